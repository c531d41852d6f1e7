//! Who had to give way to whom, by rules that are written here once more.

use std::collections::BTreeMap;

use airglow_model::{
    config::TaskConfig,
    ids::{ConfigId, JobKey, TaskId},
    task::{Run, Status, Task},
};

use crate::audit::Verdict;

/// What every run had for a configuration, ended or not.
#[derive(Default)]
pub(crate) struct Runs(BTreeMap<TaskId, (JobKey, ConfigId)>);

/// How long somebody waits at most before others have to give way, if they were there all the time:
/// three minutes, and another until the next look, and something for what is on its way.
pub(crate) const WAITING_MAX_MS: u64 = 5 * 60_000;

impl Runs {
    pub(crate) fn saw(&mut self, task: &Task, run: &Run) {
        let what = (task.key.job.clone(), run.config);
        self.0.insert(run.id.clone(), what);
    }

    /// This one gives way. Its history says to whom.
    pub(crate) fn may_give_way<'a>(
        &self,
        (run, its): (&Run, &TaskConfig),
        config: impl Fn(&(JobKey, ConfigId)) -> Option<&'a TaskConfig>,
    ) -> Verdict {
        let said = run.events.iter().rfind(|it| it.status == Status::Preempting);
        let said = said.map_or("", |it| it.message.as_str());
        let whom = said.strip_prefix("Preempting in favor of ");
        let whom = whom.and_then(|it| self.0.get(&TaskId(it.into()))).and_then(config);
        match whom {
            None => Err(format!("{} gives way, and it is not known to whom: {said}", run.id)),
            Some(whom) if gives_way(its, whom) => Ok(()),
            Some(whom) => Err(format!("{} gives way to {}: {its:?}, {whom:?}", run.id, whom.job)),
        }
    }
}

/// What others may have the place of gives way to what they may not, whoever's it is; otherwise
/// only to what is of the same role and more urgent.
pub(crate) fn gives_way(its: &TaskConfig, whom: &TaskConfig) -> bool {
    if its.class.preemptible != whom.class.preemptible {
        return its.class.preemptible;
    }
    its.job.role == whom.job.role && its.priority < whom.priority
}

/// Whether it could be asked to leave.
pub(crate) fn is_settled(task: &Task, long_before: u64) -> bool {
    let is_asked = |it| matches!(it, Some(Status::Assigned | Status::Starting | Status::Running));
    let begun = task.run.as_ref().and_then(|run| {
        run.events.iter().find(|it| it.status == Status::Assigned).map(|it| it.at.0)
    });
    is_asked(task.status()) && begun.is_some_and(|it| it <= long_before)
}
