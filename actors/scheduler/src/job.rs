//! What a job's effects mean here: words to its instances.

use std::sync::Arc;

use actix::prelude::*;
use airglow_kit::Supervisor;
use airglow_model::{
    config::TaskConfig,
    ids::JobKey,
    instances::InstanceSet,
    job::{Effect, Job, Wanted},
    machine::Machine,
    task::Event,
    view::View,
};
use airglow_store::ReadModel;

use crate::{
    entity::{Entity, Role},
    herald::{Herald, Proclaim, Word},
};

pub(crate) type Jobs = Supervisor<Entity<Job>, JobKey>;

pub(crate) struct Links {
    pub(crate) view: ReadModel,
    pub(crate) herald: Addr<Herald>,
}

impl Role for Job {
    type Key = JobKey;
    type Links = Links;

    fn unborn(key: JobKey) -> Self {
        Self::unborn(key)
    }

    fn recall(view: &View, key: &JobKey) -> Option<Self> {
        view.jobs.get(key).map(|it| it.job.clone())
    }

    fn overheard(&self, view: &View) -> Option<airglow_model::job::Event> {
        self.overheard(view)
    }

    fn rests(&self) -> bool {
        self.generation == 0
    }

    fn act(&self, before: Option<&Self>, links: &Links) {
        let told = before.map(Machine::effects).unwrap_or_default();
        for effect in self.effects() {
            let news = effect.news(&told);
            if news.is_empty() {
                continue;
            }
            let event = match &effect {
                Effect::Ensure(demand) => demand.event(&links.config(&self.key, demand)),
                Effect::Kill(end) => end.event(),
            };
            links.tell(&self.key, news, event, effect);
        }
    }
}

impl Links {
    fn config(&self, job: &JobKey, demand: &Wanted) -> Arc<TaskConfig> {
        let config = |view: &View| view.jobs.get(job)?.configs.get(&demand.config).cloned();
        self.view.read(config).expect("a demand is committed with its configuration")
    }

    /// Those that are not there are told only if their record says that it matters. One that
    /// crashed with the news reads it in the job's record.
    fn tell(&self, job: &JobKey, instances: InstanceSet, event: Event, why: Effect) {
        let view = self.view.clone();
        let wakes = Arc::new(move |key: &_| view.read(|it| why.matters_to(it.task_of(key))));
        let word = Word::Happened { event, wakes };
        self.herald.do_send(Proclaim { job: job.clone(), instances, word });
    }
}
