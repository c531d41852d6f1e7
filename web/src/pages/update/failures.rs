//! What failed, and where its logs are.

use std::collections::BTreeSet;

use airglow_model::{
    ids::{ConfigId, JobKey, TaskId},
    machine::Timestamp,
    task,
    update::{Action, Direction, InstanceEvent, Update},
    view::UpdateView,
    wire::ProcessState,
};
use futures_util::future::join_all;

use crate::{
    Site,
    api::{Process, TaskSummary},
    hearsay, jobs, tasks,
};

/// More than this nobody reads one by one.
pub(super) const SHOWN: usize = 20;
/// Whose logs are looked for: each may mean a question to a host.
const TRACED: usize = 5;
/// Among so many of an instance's last runs is the one that failed, or it is not found.
const RUNS: usize = 20;

/// An instance that failed, on the way forward or back.
pub(super) struct Failure {
    pub(super) instance: u32,
    pub(super) at: Timestamp,
    /// Goes on after "instance 3".
    pub(super) why: String,
    pub(super) is_back: bool,
    /// What it should have had.
    config: Option<ConfigId>,
    pub(super) task: Option<TaskId>,
    /// The process that is to blame, and its run.
    pub(super) log: Option<(String, u32)>,
}

/// Each instance once in each direction, newest first.
pub(super) fn of(it: &UpdateView) -> Vec<Failure> {
    let mut seen = BTreeSet::new();
    let newest = it.lots.values().rev().flat_map(|lot| lot.iter().rev());
    let failed = newest.filter_map(|event| {
        let direction = match event.action {
            Action::UpdateFailed => Direction::Forward,
            Action::RollbackFailed => Direction::Back,
            Action::Updating | Action::Updated | Action::RollingBack | Action::RolledBack => {
                return None;
            }
        };
        let is_back = direction == Direction::Back;
        seen.insert((event.instance, is_back)).then(|| failure(&it.update, event, direction))
    });
    failed.collect()
}

fn failure(update: &Update, event: &InstanceEvent, direction: Direction) -> Failure {
    let InstanceEvent { at, instance, ref message, .. } = *event;
    let sides = update.sides(direction);
    let is_current = update.roll.direction == direction;
    let known = update.roll.failed.get(&instance).filter(|_| is_current);
    Failure {
        instance,
        at,
        why: if message.is_empty() { "failed".into() } else { message.clone() },
        is_back: direction == Direction::Back,
        config: sides.iter().find(|it| it.instances.contains(instance)).map(|it| it.config),
        task: known.and_then(|it| it.task.clone()),
        log: None,
    }
}

/// Finds the runs that failed, and in each the process.
pub(super) async fn trace(site: &Site, job: &JobKey, failures: &mut [Failure]) {
    join_all(failures.iter_mut().take(TRACED).map(|it| async {
        if it.task.is_none() {
            it.task = run(site, job, it).await;
        }
        if let Some(task) = &it.task {
            it.log = log(site, task).await;
        }
    }))
    .await;
}

/// Once an update has turned back it does not know any more which run it was; the history does.
async fn run(site: &Site, job: &JobKey, failure: &Failure) -> Option<TaskId> {
    let ended = jobs::ended(site, job.clone(), Some(failure.instance), RUNS).await.ok()?;
    let is_it = |it: &&TaskSummary| {
        let by_itself = match it.status {
            task::Status::Finished | task::Status::Failed | task::Status::Lost => true,
            task::Status::Throttled
            | task::Status::Pending
            | task::Status::Assigned
            | task::Status::Starting
            | task::Status::Running
            | task::Status::Killing
            | task::Status::Restarting
            | task::Status::Preempting
            | task::Status::Draining
            | task::Status::Partitioned
            | task::Status::Killed => false,
        };
        by_itself && Some(ConfigId(it.config)) == failure.config && it.since <= failure.at
    };
    ended.iter().find(is_it).map(|it| TaskId(it.task_id.as_str().into()))
}

async fn log(site: &Site, task: &TaskId) -> Option<(String, u32)> {
    let found = tasks::find(site, task).await.ok()?;
    to_blame(&hearsay::of(site, &found).await.processes)
}

/// The process that failed; else one that was ended with the task, as it is when health checks fail.
fn to_blame(processes: &[Process]) -> Option<(String, u32)> {
    let guilt = |it: &Process| match it.state {
        ProcessState::Failed => 4,
        ProcessState::Lost => 3,
        ProcessState::Killed => 2,
        ProcessState::Running | ProcessState::Forked => 1,
        ProcessState::Waiting | ProcessState::Success => 0,
    };
    let ran = processes.iter().filter(|it| !it.runs.is_empty());
    let most = ran.max_by_key(|it| (guilt(it), !it.is_final, !it.ephemeral))?;
    Some((most.name.clone(), most.runs.last()?.run))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Run;

    fn process(name: &str, state: ProcessState, is_final: bool) -> Process {
        let run = |run| Run {
            run,
            state,
            pid: None,
            started_at: None,
            ended_at: None,
            exit_code: None,
            message: None,
        };
        Process {
            name: name.into(),
            state,
            is_final,
            daemon: false,
            ephemeral: false,
            failures: 0,
            runs: vec![run(0), run(1)],
            usage: None,
        }
    }

    #[test]
    fn whoever_failed_is_to_blame_and_else_whoever_was_ended() {
        let setup = process("setup", ProcessState::Success, false);
        let web = process("web", ProcessState::Killed, false);
        let cleanup = process("cleanup", ProcessState::Failed, true);
        assert_eq!(to_blame(&[setup.clone(), web.clone()]), Some(("web".into(), 1)));
        assert_eq!(to_blame(&[setup, web, cleanup]), Some(("cleanup".into(), 1)));
        assert_eq!(to_blame(&[]), None);
    }
}
