//! A task's effects, as its host hears them.

use airglow_model::{
    task::Effect,
    view::View,
    wire::{Launch, ToExecutor},
};

use super::Tell;

/// `None`: not for a host, or about a run that is over and forgotten.
pub(crate) fn order(view: &View, effect: Effect) -> Option<Tell> {
    match effect {
        Effect::Seek { .. } => None,
        Effect::Kill { host, id: task_id, reason } => {
            Some(Tell { host, order: ToExecutor::Kill { task_id, reason } })
        }
        Effect::Launch { at, id: task_id, attempt, config } => {
            let task = view.slots.get(&task_id)?.clone();
            let config = view.jobs.get(&task.job)?.configs.get(&config)?.clone();
            let launch = Launch { task, attempt, task_id, config, ports: at.ports };
            Some(Tell { host: at.host, order: ToExecutor::Launch(Box::new(launch)) })
        }
    }
}
