//! What somebody asks of updates.

use std::{collections::BTreeMap, sync::Arc};

use airglow_kit::{To, identity::random, now};
use airglow_model::{
    admission::Wish,
    config,
    forecast::{UpdateForecast, draft_update},
    ids::{JobKey, UpdateId, UpdateKey},
    instances::InstanceSet,
    update::{Asked, Event, Request, Settings},
    view::JobView,
};
use tokio::task::spawn_blocking;

use super::{Scheduler, not_now};
use crate::{
    Refusal,
    matchmaker::Double,
    messages::{Receipt, Registered, Settled},
};

/// What a job is to become, and how it is called then.
#[derive(Clone, Debug)]
pub struct StartUpdate {
    pub job: config::Job,
    /// Only these instances are meant.
    pub only: Option<InstanceSet>,
    pub asked: Asked,
    pub metadata: BTreeMap<String, String>,
}

impl StartUpdate {
    fn request(&self, id: UpdateId) -> Request {
        Request {
            key: UpdateKey { job: self.job.key.clone(), id },
            at: now(),
            asked: self.asked.clone(),
            metadata: self.metadata.clone(),
            settings: Settings::from(&self.job.update_config),
            only: self.only.clone(),
        }
    }
}

impl Scheduler {
    /// Lets an update begin; `None`: everything is as it should be already.
    pub async fn start_update(&self, start: StartUpdate) -> Result<Option<UpdateKey>, Refusal> {
        let request = start.request(UpdateId::random(random()));
        let key = request.key.clone();
        let config::Job { config, instances: count, .. } = start.job;
        let (config, request) = (Arc::new(config), Box::new(request));
        let scope = self.wish(&key.job, Wish::Update { config, count, request }).await?;
        Ok((!scope.is_empty()).then_some(key))
    }

    /// What an update would come to. Nothing changes.
    pub async fn forecast_update(&self, start: StartUpdate) -> Result<UpdateForecast, Refusal> {
        let entities = self.inner.lines.entities().ok_or_else(not_now)?;
        let mut double = entities.matchmaker.send(Double).await.map_err(|_| not_now())?;
        let (view, rules) = (self.view().clone(), self.inner.rules());
        let think = move || {
            let request = start.request(UpdateId("draft".into()));
            let config::Job { config, instances, key, .. } = start.job;
            let draft = view.read(|view| {
                double.catch_up(view);
                draft_update(view, rules, Arc::new(config), instances, request)
            })?;
            let nothing = || UpdateForecast {
                unchanged: view
                    .read(|it| it.jobs.get(&key).map(JobView::active).unwrap_or_default()),
                ..UpdateForecast::default()
            };
            Ok(draft.map_or_else(nothing, |it| it.play_out(&mut double, now())))
        };
        spawn_blocking(think).await.map_err(|_| not_now())?
    }

    /// Asks something of an update: to pause, to go on, to turn back, to end.
    pub async fn command_update(&self, update: &UpdateKey, event: Event) -> Result<(), Refusal> {
        let entities = self.inner.lines.entities().ok_or_else(not_now)?;
        if !self.view().read(|view| view.updates.contains_key(update)) {
            let (job, id) = (update.job.clone(), Some(update.id.clone()));
            return Err(Refusal::NoSuchUpdate { job, id });
        }
        let (receipt, settled) = Receipt::awaited();
        entities.updates.do_send(To(update.clone(), Registered { event, receipt }));
        match settled.await {
            Settled::Committed => Ok(()),
            Settled::Rejected(rejected) => {
                let why = rejected.to_string();
                Err(Refusal::NotLikeThat { update: update.clone(), why })
            }
            Settled::Lost => Err(Refusal::unknown()),
        }
    }

    /// The update that alone may change a job now.
    pub fn active_update(&self, job: &JobKey) -> Result<UpdateKey, Refusal> {
        let update = self.view().read(|view| view.jobs.get(job)?.updating());
        update.ok_or_else(|| Refusal::NoSuchUpdate { job: job.clone(), id: None })
    }
}
