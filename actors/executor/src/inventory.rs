//! What this host has, as far as the scheduler has not settled it.

use std::collections::BTreeMap;

use airglow_model::{
    ids::{Attempt, TaskId},
    wire::{Inventoried, Launch, RunState},
};

#[derive(Debug, Default)]
pub(crate) struct Inventory {
    tasks: BTreeMap<TaskId, Inventoried>,
    /// The newest attempt of each slot that was ever here in this life of the agent. An instance
    /// that was forgotten and is wanted again is another slot, whose attempts begin anew.
    newest: BTreeMap<Box<str>, Attempt>,
}

/// What becomes of an order to launch something.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Admission {
    New,
    /// It is here already: orders are repeated.
    Known,
    /// A later attempt of the same slot was here, so the order has been on its way for long.
    Stale,
}

impl Inventory {
    pub(crate) fn add(&mut self, launch: &Launch, state: RunState) {
        let Launch { task, attempt, task_id, .. } = launch;
        let entry =
            Inventoried { task: task.clone(), attempt: *attempt, task_id: task_id.clone(), state };
        self.tasks.insert(task_id.clone(), entry);
        let newest = self.newest.entry(task_id.slot().into()).or_insert(*attempt);
        *newest = (*newest).max(*attempt);
    }

    pub(crate) fn admit(&mut self, launch: &Launch) -> Admission {
        let newest = self.newest.get(launch.task_id.slot());
        if self.tasks.contains_key(&launch.task_id) {
            Admission::Known
        } else if newest.is_some_and(|it| launch.attempt < *it) {
            Admission::Stale
        } else {
            self.add(launch, RunState::Starting);
            Admission::New
        }
    }

    pub(crate) fn get(&self, id: &TaskId) -> Option<&Inventoried> {
        self.tasks.get(id)
    }

    pub(crate) fn set(&mut self, id: &TaskId, state: RunState) {
        if let Some(task) = self.tasks.get_mut(id) {
            task.state = state;
        }
    }

    /// Whether it was there.
    pub(crate) fn remove(&mut self, id: &TaskId) -> bool {
        self.tasks.remove(id).is_some()
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &Inventoried> {
        self.tasks.values()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use airglow_model::{
        config::Ports,
        machine::Timestamp,
        spec::{JobSpec, Limits},
    };

    use super::*;

    /// An order to run this attempt at instance 0.
    fn launch(attempt: u32) -> Launch {
        let spec = serde_json::json!({
            "cluster": "c", "role": "r", "environment": "prod", "name": "n",
            "task": {
                "name": "t", "processes": [{ "name": "p", "cmdline": "" }],
                "resources": { "cpu": 1, "ram": 1 << 20, "disk": 1 << 20 },
            },
        });
        let limits = Limits { tasks_per_job_max: 1, ..Limits::usual("c") };
        let job = JobSpec::read_and_check(&spec, &limits).unwrap();
        let task = job.key.task(0);
        Launch {
            task_id: task.task_id(Timestamp(0), Attempt(attempt)),
            task,
            attempt: Attempt(attempt),
            config: Arc::new(job.config),
            ports: Ports::new(),
        }
    }

    #[test]
    fn e2_an_order_that_comes_twice_is_followed_once() {
        let mut inventory = Inventory::default();
        assert_eq!(inventory.admit(&launch(2)), Admission::New);
        inventory.set(&launch(2).task_id, RunState::Running);
        assert_eq!(inventory.admit(&launch(2)), Admission::Known);
        assert_eq!(inventory.get(&launch(2).task_id).unwrap().state, RunState::Running);
    }

    #[test]
    fn an_order_that_was_long_on_its_way_is_not_followed() {
        let mut inventory = Inventory::default();
        assert_eq!(inventory.admit(&launch(2)), Admission::New);
        assert!(inventory.remove(&launch(2).task_id));
        assert_eq!(inventory.admit(&launch(1)), Admission::Stale);
        assert_eq!(inventory.admit(&launch(3)), Admission::New);
        let reborn = launch(1);
        let task_id = reborn.task.task_id(Timestamp(9), Attempt(1));
        assert_eq!(inventory.admit(&Launch { task_id, ..reborn }), Admission::New);
    }
}
