//! Waiting for instances to get somewhere, and saying how far they are meanwhile.
//!
//! Each look is at the whole job as it is now, never at what changed: what happened between two
//! looks cannot be missed.

use std::{collections::BTreeMap, time::Duration};

use airglow_model::{instances::InstanceSet, machine::Timestamp, task::Status};
use airglow_web::api::{JobDetail, TaskSummary};

use super::{
    Session,
    exit::Failure,
    key::FullKey,
    screen::{self, Progress},
};
use crate::client::pause;

/// How far `--wait-until` waits for every instance.
#[derive(Clone, Copy, Debug, Eq, PartialEq, clap::ValueEnum)]
#[value(rename_all = "UPPER")]
pub enum Goal {
    /// Not at all
    Pending,
    /// Until each runs, or ran
    Running,
    /// Until each has ended
    Finished,
}

impl Goal {
    pub fn is_met(self, status: Status) -> bool {
        match self {
            Self::Pending => true,
            Self::Running => is_live(status) || !status.is_active(),
            Self::Finished => !status.is_active(),
        }
    }
}

/// Whether its processes are there, by what the scheduler knows.
pub fn is_live(status: Status) -> bool {
    match status {
        Status::Running
        | Status::Killing
        | Status::Restarting
        | Status::Preempting
        | Status::Draining
        | Status::Partitioned => true,
        Status::Throttled
        | Status::Pending
        | Status::Assigned
        | Status::Starting
        | Status::Finished
        | Status::Failed
        | Status::Killed
        | Status::Lost => false,
    }
}

/// Often at first, since most things happen at once; then less and less.
pub struct Pace(Duration);

impl Pace {
    pub fn new() -> Self {
        Self(Duration::from_millis(100))
    }

    pub fn pause(&mut self) {
        pause(self.0);
        self.0 = (self.0 * 5 / 4).min(Duration::from_secs(2));
    }
}

/// Looks until all of `instances` are `done`, or `limit` has passed. An instance that the job no
/// longer has is done.
///
/// # Errors
/// The scheduler cannot be asked any more.
///
/// Returns those that were not done in time.
pub fn until(
    session: &Session,
    key: &FullKey,
    instances: &InstanceSet,
    limit: Option<Duration>,
    done: impl Fn(&TaskSummary) -> bool,
) -> Result<InstanceSet, Failure> {
    let deadline = limit.map(|it| airglow_kit::now() + it);
    let mut progress = Progress::new();
    let mut pace = Pace::new();
    let left = loop {
        let job = session.job(key)?;
        let tasks = job.iter().flat_map(|it| &it.instances);
        let tasks: Vec<_> = tasks.filter(|it| instances.contains(it.instance)).collect();
        let left: InstanceSet = tasks.iter().filter(|it| !done(it)).map(|it| it.instance).collect();
        if left.is_empty() || deadline.is_some_and(|it| it <= airglow_kit::now()) {
            break left;
        }
        progress.show("", &format!("{key}  {}", counts(&tasks)));
        pace.pause();
    };
    progress.clear();
    Ok(left)
}

/// `2 RUNNING, 1 PENDING`.
pub fn counts<'a>(tasks: impl IntoIterator<Item = &'a &'a TaskSummary>) -> String {
    let mut counts = BTreeMap::new();
    for task in tasks {
        *counts.entry(task.status).or_insert(0_u32) += 1;
    }
    describe(&counts)
}

pub fn describe(counts: &BTreeMap<Status, u32>) -> String {
    let shown = counts.iter().filter(|&(_, &count)| count > 0);
    let shown: Vec<_> =
        shown.map(|(&status, count)| format!("{count} {}", screen::status(status))).collect();
    if shown.is_empty() { "nothing yet".into() } else { shown.join(", ") }
}

/// The job's instances that are active.
pub fn active(job: &JobDetail) -> InstanceSet {
    job.instances.iter().filter(|it| it.active).map(|it| it.instance).collect()
}

/// Whether an instance that is being restarted has come back, judged again at each look.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Watched {
    /// The run that was there is still there, or its successor does not run yet.
    Coming,
    /// The run that follows has been up since then.
    Up {
        task_id: String,
        since: Timestamp,
    },
    Good,
    Bad(&'static str),
}

/// How long a restarted instance may take until it runs again.
const COMES_BACK_WITHIN: Duration = Duration::from_secs(300);

impl Watched {
    /// `before`: the run that was to be replaced, at `asked_at`.
    #[must_use]
    pub fn look(
        self,
        now: Timestamp,
        asked_at: Timestamp,
        before: &str,
        task: Option<&TaskSummary>,
        watch: Duration,
    ) -> Self {
        let coming = |this: Self| match this {
            Self::Up { .. } => Self::Bad("it did not stay RUNNING"),
            _ if asked_at + COMES_BACK_WITHIN <= now => Self::Bad("it is not RUNNING in time"),
            _ => Self::Coming,
        };
        match (self, task) {
            (settled @ (Self::Good | Self::Bad(_)), _) => settled,
            (_, None) => Self::Bad("it is gone"),
            (this, Some(task)) if task.task_id == before => coming(this),
            (Self::Up { task_id, .. }, Some(task)) if task_id != task.task_id => {
                Self::Bad("it did not stay RUNNING")
            }
            (this, Some(task)) => match (this, task.status) {
                (Self::Up { since, .. }, Status::Running) if since + watch <= now => Self::Good,
                (up @ Self::Up { .. }, Status::Running) => up,
                (_, Status::Running) if watch.is_zero() => Self::Good,
                (_, Status::Running) => Self::Up { task_id: task.task_id.clone(), since: now },
                (_, Status::Finished) => Self::Good,
                (_, Status::Failed | Status::Killed | Status::Lost) => Self::Bad("it ended"),
                (this, _) => coming(this),
            },
        }
    }

    pub fn is_settled(&self) -> bool {
        matches!(self, Self::Good | Self::Bad(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn running_is_reached_by_those_that_ran_too() {
        assert!(Goal::Pending.is_met(Status::Pending));
        assert!(!Goal::Running.is_met(Status::Starting));
        for status in [Status::Running, Status::Killing, Status::Finished, Status::Lost] {
            assert!(Goal::Running.is_met(status), "{status:?}");
        }
        assert!(!Goal::Finished.is_met(Status::Running));
        assert!(Goal::Finished.is_met(Status::Failed));
    }

    fn task(task_id: &str, status: Status) -> TaskSummary {
        TaskSummary {
            role: "r".into(),
            environment: "e".into(),
            name: "n".into(),
            instance: 0,
            task_id: task_id.into(),
            status,
            active: status.is_active(),
            since: Timestamp(0),
            created_at: Timestamp(0),
            message: String::new(),
            host: None,
            ports: BTreeMap::new(),
            failures: 0,
            attempt: 0,
            config: 1,
        }
    }

    /// What is thought after each look, one a second; the restart was asked for at second 0.
    fn story(watch_secs: u64, looks: &[(&str, Status)]) -> Watched {
        looks.iter().zip(1..).fold(Watched::Coming, |watched, (&(id, status), second)| {
            let now = Timestamp(second * 1000);
            let watch = Duration::from_secs(watch_secs);
            watched.look(now, Timestamp(0), "old", Some(&task(id, status)), watch)
        })
    }

    #[test]
    fn a_restarted_instance_is_good_when_it_stays_up() {
        use Status::{Assigned, Failed, Finished, Pending, Restarting, Running};
        let arriving = [("old", Running), ("old", Restarting), ("new", Pending), ("new", Assigned)];
        assert_eq!(story(2, &arriving), Watched::Coming);

        let up = [&arriving[..], &[("new", Running), ("new", Running)]].concat();
        assert!(matches!(story(2, &up), Watched::Up { .. }));
        let stayed = [&up[..], &[("new", Running)]].concat();
        assert_eq!(story(2, &stayed), Watched::Good);
        assert_eq!(story(0, &up[..5]), Watched::Good);

        let next = [&up[..], &[("newer", Running)]].concat();
        assert_eq!(story(9, &next), Watched::Bad("it did not stay RUNNING"));
        let fell = [&up[..], &[("new", Failed)]].concat();
        assert_eq!(story(9, &fell), Watched::Bad("it ended"));
        assert_eq!(story(9, &[("new", Finished)]), Watched::Good);
    }

    #[test]
    fn a_restarted_instance_that_does_not_come_back_is_bad() {
        let look = |task| {
            let late = Timestamp(0) + COMES_BACK_WITHIN;
            Watched::Coming.look(late, Timestamp(0), "old", task, Duration::ZERO)
        };
        let starting = task("new", Status::Starting);
        assert_eq!(look(Some(&starting)), Watched::Bad("it is not RUNNING in time"));
        assert_eq!(look(None), Watched::Bad("it is gone"));
    }
}
