//! Looks once in a while how all services have been doing, so that nobody who asks has to wait for
//! that: it means reading every run of a day.
//!
//! What it has found is kept beside the view. It is no state: a new one looks again at once.

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use actix::prelude::*;
use airglow_kit::{Incarnation, Lifeline, now};
use airglow_model::{
    ids::{JobKey, TaskKey},
    machine::Timestamp,
    sla::{Figures, Samples, Wanted},
    task::{Run, Task},
    view::JobView,
};
use airglow_store::{ReadModel, Store, StoreError};
use tokio::time::sleep;

/// How a service has been doing.
#[derive(Clone, Debug, PartialEq)]
pub struct Surveyed {
    /// Neither preempted nor fed on what others leave.
    pub is_production: bool,
    pub figures: Figures,
}

/// How all services have been doing, as of one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Survey {
    pub at: Timestamp,
    pub took: Duration,
    pub window: Duration,
    pub jobs: BTreeMap<JobKey, Surveyed>,
    /// All production services together.
    pub production: Figures,
}

/// The newest survey. Clones are of the same.
#[derive(Clone, Debug, Default)]
pub struct Surveys(Arc<RwLock<Option<Arc<Survey>>>>);

pub(crate) struct Surveyor {
    work: Work,
    every: Duration,
    _lifeline: Lifeline<Incarnation>,
}

#[derive(Clone)]
struct Work {
    view: ReadModel,
    store: Store,
    surveys: Surveys,
}

/// Ended runs of a job that are looked at, the newest first.
const HISTORY_MAX: usize = 10_000;

/// How many runs are copied while the view is held.
const COPIED: usize = 2048;

/// However often an operator wants to know, others have their turn, too.
const EVERY_MIN: Duration = Duration::from_millis(10);

impl Surveys {
    /// `None` while the first is under way.
    pub fn newest(&self) -> Option<Arc<Survey>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn replace(&self, survey: Survey) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(survey));
    }
}

impl Surveyor {
    pub(crate) fn new(
        (view, store): (ReadModel, Store),
        surveys: Surveys,
        every: Duration,
        lifeline: Lifeline<Incarnation>,
    ) -> Self {
        Self { work: Work { view, store, surveys }, every, _lifeline: lifeline }
    }
}

impl Actor for Surveyor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let (work, every) = (self.work.clone(), self.every.max(EVERY_MIN));
        let for_ever = async move {
            loop {
                match work.survey().await {
                    Ok(survey) => work.surveys.replace(survey),
                    Err(error) => {
                        tracing::error!(error = &error as &dyn std::error::Error, "cannot survey");
                    }
                }
                sleep(every).await;
            }
        };
        ctx.spawn(for_ever.into_actor(self));
    }
}

impl Work {
    async fn survey(&self) -> Result<Survey, StoreError> {
        let began = now();
        let wanted = Wanted::usual(began);
        let services = self.view.read(|view| {
            let services = view.jobs.values().filter(|it| is_service(it));
            services.map(|it| it.job.key.clone()).collect::<Vec<_>>()
        });
        let (mut jobs, mut production) = (BTreeMap::new(), Samples::default());
        for key in services {
            tokio::task::yield_now().await;
            let Some((samples, is_production)) = samples(&self.view, &self.store, &key, &wanted)?
            else {
                continue;
            };
            jobs.insert(key, Surveyed { is_production, figures: samples.figures(&wanted) });
            if is_production {
                production.add(samples);
            }
        }
        let production = production.figures(&wanted);
        let took = now().since(began);
        Ok(Survey { at: began, took, window: wanted.window, jobs, production })
    }
}

/// How one job has been doing; nothing if it is no service that is active.
pub(crate) fn survey_of(
    (view, store): (&ReadModel, &Store),
    job: &JobKey,
    wanted: &Wanted,
) -> Result<Option<Surveyed>, StoreError> {
    if !view.read(|view| view.jobs.get(job).is_some_and(is_service)) {
        return Ok(None);
    }
    let found = samples(view, store, job, wanted)?;
    Ok(found.map(|(samples, is_production)| Surveyed {
        is_production,
        figures: samples.figures(wanted),
    }))
}

pub(crate) fn is_service(it: &JobView) -> bool {
    it.is_active() && it.configs.get(&it.job.config).is_some_and(|it| it.is_service())
}

/// What its figures are made of, and whether it is production work. The current runs are read
/// first: one that ends meanwhile is then among both instead of among neither.
fn samples(
    view: &ReadModel,
    store: &Store,
    job: &JobKey,
    wanted: &Wanted,
) -> Result<Option<(Samples, bool)>, StoreError> {
    let looked = view.read(|view| {
        let job = view.jobs.get(job)?;
        let config = job.configs.get(&job.job.config);
        Some((config.is_some_and(|it| it.class.is_production()), job.history > 0))
    });
    let Some((is_production, has_history)) = looked else { return Ok(None) };
    let current = current_runs(view, job);
    let ended = if has_history { store.history(job, None, HISTORY_MAX)? } else { Vec::new() };
    Ok(Some((Samples::of(&current, &ended, wanted), is_production)))
}

/// In pieces, since whoever holds the view makes the scribe wait.
fn current_runs(view: &ReadModel, job: &JobKey) -> Vec<(TaskKey, Run)> {
    let run = |it: &Task| Some((it.key.clone(), it.run.clone()?));
    let (mut runs, mut from) = (Vec::new(), Some(0));
    while let Some(first) = from {
        from = view.read(|view| {
            let mut rest = view.jobs.get(job)?.tasks.range(first..);
            let piece = rest.by_ref().take(COPIED);
            runs.extend(piece.filter_map(|(_, it)| run(it)));
            rest.next().map(|(&instance, _)| instance)
        });
    }
    runs
}
