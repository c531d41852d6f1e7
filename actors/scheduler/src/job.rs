//! What a job's effects mean here: words to its instances.

use std::sync::Arc;

use actix::prelude::*;
use airglow_kit::{Supervisor, ToEach};
use airglow_model::{
    config::TaskConfig,
    ids::JobKey,
    instances::InstanceSet,
    job::{Effect, Job, Unwanted, Wanted},
    machine::Machine,
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
        let told = before.map(Machine::effects).unwrap_or_default();
        for effect in self.effects() {
            let news = news(&effect, &told);
            match effect {
                Effect::Ensure(demand) => {
                    let event = || wanted(&demand, &links.config(&self.key, &demand));
                    links.tell(&self.key, &news, event, move |task| {
                        task.is_none_or(|it| it.generation < demand.generation)
                    });
                }
                Effect::Kill(end) => {
                    let event = || unwanted(&end);
                    links.tell(&self.key, &news, event, |task| task.is_some_and(Task::is_active));
                }
            }
        }
    }
}

/// Whom `effect` concerns that have not been told the same.
fn news(effect: &Effect, told: &[Effect]) -> InstanceSet {
    let same = |it: &&Effect| match (effect, it) {
        (Effect::Ensure(new), Effect::Ensure(old)) => new.generation == old.generation,
        (Effect::Kill(new), Effect::Kill(old)) => {
            (new.generation, &new.message) == (old.generation, &old.message)
        }
        (Effect::Ensure(_), Effect::Kill(_)) | (Effect::Kill(_), Effect::Ensure(_)) => false,
    };
    let told = told.iter().find(same).map(whom);
    told.map_or_else(|| whom(effect).clone(), |told| whom(effect).difference(told))
}

fn whom(effect: &Effect) -> &InstanceSet {
    match effect {
        Effect::Ensure(demand) => &demand.instances,
        Effect::Kill(end) => &end.instances,
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

/// The end of demands, as an instance hears it.
pub(crate) fn unwanted(end: &Unwanted) -> Event {
    Event::KillAsked { generation: end.generation, message: end.message.clone() }
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

#[cfg(test)]
mod tests {
    use airglow_model::ids::ConfigId;

    use super::*;

    fn set(text: &str) -> InstanceSet {
        text.parse().unwrap_or_default()
    }

    #[test]
    fn who_was_told_the_same_is_not_told_again() {
        let ensure = |instances, generation| {
            let (instances, config) = (set(instances), ConfigId(1));
            Effect::Ensure(Wanted { instances, config, generation })
        };
        let kill = |instances, generation, message: &str| {
            let (instances, message) = (set(instances), message.to_owned());
            Effect::Kill(Unwanted { instances, generation, message })
        };
        for (effect, told, fresh) in [
            (ensure("0-3", 1), vec![], "0-3"),
            (ensure("0-3", 1), vec![ensure("0-3", 1)], ""),
            (ensure("2", 2), vec![ensure("0-3", 1)], "2"),
            (kill("1-2", 1, "a"), vec![ensure("0-3", 1)], "1-2"),
            (kill("1-3", 1, "a"), vec![kill("1-2", 1, "a")], "3"),
            (kill("1", 1, "b"), vec![kill("1-2", 1, "a")], "1"),
            (kill("1", 2, "a"), vec![kill("1-2", 1, "a")], "1"),
        ] {
            assert_eq!(news(&effect, &told), set(fresh), "{effect:?} after {told:?}");
        }
    }
}
