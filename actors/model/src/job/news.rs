//! A job's effects, as its instances hear them. A job of 100,000 instances that loses one must not
//! speak to all of them, so it tells only those for whom it has news.

use super::{Effect, Unwanted, Wanted};
use crate::{
    config::TaskConfig,
    instances::InstanceSet,
    task::{Event, Policy, Task},
};

impl Wanted {
    /// Those of whom an older list of demands did not say the same.
    pub fn news(&self, told: &[Self]) -> InstanceSet {
        let same = |it: &&Self| (it.generation, it.config) == (self.generation, self.config);
        let told = told.iter().find(same);
        told.map_or_else(|| self.instances.clone(), |it| self.instances.difference(&it.instances))
    }

    /// The job's demand, whose configuration `config` is.
    pub fn event(&self, config: &TaskConfig) -> Event {
        Event::Wanted {
            config: self.config,
            generation: self.generation,
            message: self.update.as_ref().map(super::updating::killed_for).unwrap_or_default(),
            policy: Policy {
                service: config.is_service(),
                max_task_failures: config.max_task_failures,
                partition: config.spec.partition_policy.clone(),
            },
        }
    }
}

impl Unwanted {
    /// The end of demands.
    pub fn event(&self) -> Event {
        Event::KillAsked { generation: self.generation, message: self.message.clone() }
    }
}

impl Effect {
    /// Whom it concerns that have not been told the same.
    pub fn news(&self, told: &[Self]) -> InstanceSet {
        let same = |it: &&Self| match (self, it) {
            (Self::Ensure(new), Self::Ensure(old)) => {
                (new.generation, new.config) == (old.generation, old.config)
            }
            (Self::Kill(new), Self::Kill(old)) => {
                (new.generation, &new.message) == (old.generation, &old.message)
            }
            (Self::Ensure(_), Self::Kill(_)) | (Self::Kill(_), Self::Ensure(_)) => false,
        };
        let told = told.iter().find(same).map(Self::whom);
        told.map_or_else(|| self.whom().clone(), |told| self.whom().difference(told))
    }

    /// Whether an instance that sleeps has to wake up for it, by its record.
    pub fn matters_to(&self, task: Option<&Task>) -> bool {
        match self {
            Self::Ensure(demand) => task.is_none_or(|it| it.generation < demand.generation),
            Self::Kill(_) => task.is_some_and(Task::is_active),
        }
    }

    fn whom(&self) -> &InstanceSet {
        match self {
            Self::Ensure(demand) => &demand.instances,
            Self::Kill(end) => &end.instances,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::ConfigId;

    fn set(text: &str) -> InstanceSet {
        text.parse().unwrap_or_default()
    }

    #[test]
    fn who_was_told_the_same_is_not_told_again() {
        let ensure = |instances, generation| {
            let (instances, config) = (set(instances), ConfigId(1));
            Effect::Ensure(Wanted { instances, config, generation, update: None })
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
            assert_eq!(effect.news(&told), set(fresh), "{effect:?} after {told:?}");
        }
    }
}
