//! How far an update has come in one direction.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Direction, Strategy, strategy::Progress};
use crate::{ids::TaskId, instances::InstanceSet, machine::Timestamp};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Roll {
    pub direction: Direction,
    pub order: Order,
    /// Those that wait for their turn.
    pub idle: InstanceSet,
    pub working: BTreeMap<u32, Work>,
    pub done: InstanceSet,
    pub failed: BTreeMap<u32, Failure>,
    /// The next batch may begin without anybody being asked.
    pub cleared: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trial: Option<Trial>,
}

/// Which instances come to be, change, and go. Forward in this order and by their numbers; back
/// exactly the other way round.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Order {
    pub create: InstanceSet,
    pub update: InstanceSet,
    pub remove: InstanceSet,
}

/// An instance whose turn it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Work {
    pub since: Timestamp,
    /// How often it had ended by itself with the configuration that it should have, when its turn
    /// came.
    #[serde(default)]
    pub excused: u32,
    /// Whether what is there now may end for it.
    pub may_end: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Failure {
    pub at: Timestamp,
    /// Goes on after "instance 3".
    pub why: String,
    /// The run that failed, if one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<TaskId>,
}

/// Canaries that are compared with those that are as they were.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trial {
    pub canaries: InstanceSet,
    /// Since when all of them are up; `None` as long as they are not.
    pub since: Option<Timestamp>,
    /// How often each of either had ended by itself then.
    pub exits: BTreeMap<u32, u32>,
}

impl Order {
    pub fn all(&self) -> InstanceSet {
        self.create.union(&self.update).union(&self.remove)
    }

    /// The first `count` of `among`.
    fn first(&self, count: u32, among: &InstanceSet, direction: Direction) -> Vec<u32> {
        let groups = [&self.create, &self.update, &self.remove].map(|it| it.intersection(among));
        let all = groups.iter().flat_map(InstanceSet::iter);
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        match direction {
            Direction::Forward => all.take(count).collect(),
            Direction::Back => all.rev().take(count).collect(),
        }
    }
}

impl Roll {
    pub fn new(direction: Direction, order: Order) -> Self {
        Self {
            direction,
            idle: order.all(),
            order,
            working: BTreeMap::new(),
            done: InstanceSet::default(),
            failed: BTreeMap::new(),
            cleared: true,
            trial: None,
        }
    }

    /// Those whose state may still change something.
    pub fn watched(&self) -> impl Iterator<Item = u32> + '_ {
        let canaries = self.trial.iter().flat_map(|it| it.canaries.iter());
        let canaries = canaries.filter(|it| !self.working.contains_key(it));
        self.idle.iter().chain(self.working.keys().copied()).chain(canaries)
    }

    pub(super) fn progress(&self) -> Progress {
        let number = |it: u64| u32::try_from(it).unwrap_or(u32::MAX);
        Progress {
            total: number(self.order.all().len()),
            idle: number(self.idle.len()),
            working: number(self.working.len() as u64),
            direction: self.direction,
        }
    }

    /// Those that are next if nothing is said against it.
    pub fn next_group(&self, strategy: &Strategy) -> Vec<u32> {
        self.next(strategy.next(self.progress()).max(1))
    }

    /// The next `count` of those that wait.
    pub(super) fn next(&self, count: u32) -> Vec<u32> {
        self.order.first(count, &self.idle, self.direction)
    }

    pub fn is_over(&self) -> bool {
        self.idle.is_empty() && self.working.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instances_are_created_changed_removed_and_back_the_other_way_round() {
        let set = |text: &str| text.parse::<InstanceSet>().unwrap();
        let order = Order { create: set("1,3"), update: set("0,2"), remove: set("4-6") };
        let all = order.all();
        assert_eq!(order.first(9, &all, Direction::Forward), [1, 3, 0, 2, 4, 5, 6]);
        assert_eq!(order.first(9, &all, Direction::Back), [6, 5, 4, 2, 0, 3, 1]);
        assert_eq!(order.first(2, &set("2-5"), Direction::Forward), [3, 2]);
        assert_eq!(order.first(2, &set("2-5"), Direction::Back), [5, 4]);
    }
}
