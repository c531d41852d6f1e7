//! A task's effects, as its host hears them.

use super::Effect;
use crate::{
    ids::HostId,
    view::View,
    wire::{Launch, ToExecutor},
};

impl Effect {
    /// Which host is told, and what. `None`: it is not for a host, or about a run that is over and
    /// forgotten.
    pub fn order(self, view: &View) -> Option<(HostId, ToExecutor)> {
        match self {
            Self::Seek { .. } => None,
            Self::Kill { host, id: task_id, reason } => {
                Some((host, ToExecutor::Kill { task_id, reason }))
            }
            Self::Launch { at, id: task_id, attempt, config } => {
                let task = view.slots.get(&task_id)?.clone();
                let config = view.jobs.get(&task.job)?.configs.get(&config)?.clone();
                let launch = Launch { task, attempt, task_id, config, ports: at.ports };
                Some((at.host, ToExecutor::Launch(Box::new(launch))))
            }
        }
    }
}
