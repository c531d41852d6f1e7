//! What an instance that wakes up can read in others' records: what was said to it may have been
//! lost with whoever it was before.

use super::{Event, Status, Task};
use crate::{
    host::Contact,
    ids::HostId,
    instances::InstanceSet,
    job::Unwanted,
    view::{HostView, View},
    wire::RunState,
};

impl Task {
    /// What others' records say should happen to it, and it does not know.
    pub fn overheard(&self, view: &View) -> Option<Event> {
        let asked = || asked_by_job(self, view);
        self.abandoned(view).or_else(asked).or_else(|| silenced(self, view))
    }
}

impl Task {
    /// That its host was removed, if that is so and it does not know.
    pub fn abandoned(&self, view: &View) -> Option<Event> {
        let host = &self.placement().filter(|_| self.is_active())?.host;
        let is_there = view.hosts.get(host).is_some_and(HostView::has_record);
        (!is_there).then(|| Event::Reported {
            attempt: self.attempt,
            state: RunState::Lost,
            message: format!("Host {host} was removed from the cluster."),
        })
    }
}

/// What its job asks of it and it has not done.
fn asked_by_job(task: &Task, view: &View) -> Option<Event> {
    let job = view.jobs.get(&task.key.job)?;
    let instance = task.key.instance;
    if let Some(end) = job.job.unwanted.iter().find(|it| it.instances.contains(instance)) {
        let is_killed = task.status() == Some(Status::Killing) && task.next.is_none();
        let ends = !task.is_active() || is_killed;
        return (!ends).then(|| end.event());
    }
    let Some(demand) = job.job.wanted.iter().find(|it| it.instances.contains(instance)) else {
        return task.is_active().then(|| nobody_wants(task).event());
    };
    let config = job.configs.get(&demand.config)?;
    (task.generation < demand.generation).then(|| demand.event(config))
}

/// The job has forgotten that this one should end, so that is all that there is to say.
fn nobody_wants(task: &Task) -> Unwanted {
    let instances = InstanceSet::range(task.key.instance, task.key.instance);
    Unwanted { instances, generation: task.generation, message: "Nobody wants it".into() }
}

/// That its host cannot be reached, if that is so and it does not know.
fn silenced(task: &Task, view: &View) -> Option<Event> {
    let host = &task.placement().filter(|_| task.is_active())?.host;
    let knows = task.status() == Some(Status::Partitioned);
    (is_silent(host, view) && !knows).then(|| Event::HostUnreachable { host: host.clone() })
}

fn is_silent(host: &HostId, view: &View) -> bool {
    let host = view.hosts.get(host);
    host.is_some_and(|it| matches!(it.host.contact, Contact::Unreachable { .. }))
}

impl Event {
    /// Word of this was under way for so long that it is not true any more.
    pub fn is_overtaken(&self, view: &View) -> bool {
        match self {
            Self::HostUnreachable { host } => !is_silent(host, view),
            Self::Wanted { .. }
            | Self::Placed { .. }
            | Self::Reported { .. }
            | Self::KillAsked { .. }
            | Self::RestartAsked { .. }
            | Self::PreemptAsked { .. }
            | Self::DrainAsked { .. }
            | Self::HostForgot { .. }
            | Self::Pruned { .. }
            | Self::TimedOut => false,
        }
    }
}
