//! What a job's effects mean here: words to its instances.

use std::sync::Arc;

use actix::prelude::*;
use airglow_kit::{Supervisor, ToEach};
use airglow_model::{
    config::TaskConfig,
    ids::JobKey,
    instances::InstanceSet,
    job::{Job, Wanted},
    task::{Event, Policy, Task},
    view::View,
};
use airglow_store::ReadModel;

use crate::{
    entity::{Entity, Role},
    messages::Happened,
    task::Tasks,
};

pub(crate) type Jobs = Supervisor<Entity<Job>, JobKey>;

pub(crate) struct Links {
    pub(crate) view: ReadModel,
    pub(crate) tasks: Addr<Tasks>,
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

    /// A job of 100,000 instances that loses one must not speak to all of them, so it tells only
    /// those for whom it has news. An instance that crashed with the news reads it in the record.
    fn act(&self, before: Option<&Self>, links: &Links) {
        for demand in &self.wanted {
            let generation = demand.generation;
            let same = |it: &&Wanted| it.generation == generation;
            let told = before.and_then(|it| it.wanted.iter().find(same));
            let news = without(&demand.instances, told.map(|it| &it.instances));
            let event = || wanted(demand, &links.config(&self.key, demand));
            links.tell(&self.key, &news, event, move |task| {
                task.is_none_or(|it| it.generation < generation)
            });
        }
        let news = without(&self.unwanted, before.map(|it| &it.unwanted));
        let event = || Event::KillAsked { message: self.kill_message.clone() };
        links.tell(&self.key, &news, event, |task| task.is_some_and(Task::is_active));
    }
}

/// The job's demand, as an instance hears it.
pub(crate) fn wanted(demand: &Wanted, config: &TaskConfig) -> Event {
    Event::Wanted {
        config: demand.config,
        generation: demand.generation,
        policy: Policy {
            service: config.is_service(),
            max_task_failures: config.max_task_failures,
            partition: config.spec.partition_policy.clone(),
        },
    }
}

fn without(all: &InstanceSet, told: Option<&InstanceSet>) -> InstanceSet {
    told.map_or_else(|| all.clone(), |told| all.difference(told))
}

impl Links {
    fn config(&self, job: &JobKey, demand: &Wanted) -> Arc<TaskConfig> {
        let config = |view: &View| view.jobs.get(job)?.configs.get(&demand.config).cloned();
        self.view.read(config).expect("a demand is committed with its configuration")
    }

    /// Those that are not there are told only if their record says that it matters.
    fn tell(
        &self,
        job: &JobKey,
        instances: &InstanceSet,
        event: impl FnOnce() -> Event,
        matters: impl Fn(Option<&Task>) -> bool + Send + 'static,
    ) {
        if instances.is_empty() {
            return;
        }
        let (job, view) = (job.clone(), self.view.clone());
        let task = move |instance| job.task(instance);
        self.tasks.do_send(ToEach {
            keys: Box::new(instances.clone().into_each().map(task)),
            message: Happened(event()),
            wakes: Box::new(move |task| view.read(|it| matters(it.task_of(task)))),
        });
    }
}
