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
pub(crate) enum Goal {
    /// Not at all
    Pending,
    /// Until each runs, or ran
    Running,
    /// Until each has ended
    Finished,
}

impl Goal {
    pub(crate) fn is_met(self, status: Status) -> bool {
        match self {
            Self::Pending => true,
            Self::Running => is_live(status) || !status.is_active(),
            Self::Finished => !status.is_active(),
        }
    }
}

/// Whether its processes are there, by what the scheduler knows.
pub(crate) fn is_live(status: Status) -> bool {
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
pub(crate) struct Pace(Duration);

impl Pace {
    pub(crate) fn new() -> Self {
        Self(Duration::from_millis(100))
    }

    pub(crate) fn pause(&mut self) {
        pause(self.0);
        self.0 = (self.0 * 5 / 4).min(Duration::from_secs(2));
    }
}

/// Looks until all of `instances` are `done`, or `limit` has passed. `None` is an instance that the
/// job does not have: not yet, or no longer.
///
/// # Errors
/// The scheduler cannot be asked any more.
///
/// Returns those that were not done in time.
pub(crate) fn until(
    session: &Session,
    key: &FullKey,
    instances: &InstanceSet,
    limit: Option<Duration>,
    done: impl Fn(Option<&TaskSummary>) -> bool,
) -> Result<InstanceSet, Failure> {
    let deadline = limit.map(|it| airglow_kit::now() + it);
    let mut progress = Progress::new();
    let mut pace = Pace::new();
    let left = loop {
        let job = session.job(key)?;
        let tasks: BTreeMap<u32, &TaskSummary> =
            job.iter().flat_map(of_this_life).map(|it| (it.instance, it)).collect();
        let left: InstanceSet =
            instances.iter().filter(|it| !done(tasks.get(it).copied())).collect();
        if left.is_empty() || deadline.is_some_and(|it| it <= airglow_kit::now()) {
            break left;
        }
        let there: Vec<_> = tasks.values().filter(|it| instances.contains(it.instance)).collect();
        let shown = match instances.len() - there.len() as u64 {
            0 => counts(there),
            absent if there.is_empty() => format!("{absent} waiting"),
            absent => format!("{}, {absent} waiting", counts(there)),
        };
        progress.show("", &format!("{key}  {shown}"));
        pace.pause();
    };
    progress.clear();
    Ok(left)
}

/// Without what ended before the job was created anew: until its instances have their new runs,
/// the old ones are still the newest.
fn of_this_life(job: &JobDetail) -> impl Iterator<Item = &TaskSummary> {
    let born = job.summary.created_at;
    job.instances.iter().filter(move |it| it.active || born <= it.created_at)
}

/// `2 RUNNING, 1 PENDING`.
pub(crate) fn counts<'a>(tasks: impl IntoIterator<Item = &'a &'a TaskSummary>) -> String {
    let mut counts = BTreeMap::new();
    for task in tasks {
        *counts.entry(task.status).or_insert(0_u32) += 1;
    }
    describe(&counts)
}

pub(crate) fn describe(counts: &BTreeMap<Status, u32>) -> String {
    let shown = counts.iter().filter(|&(_, &count)| count > 0);
    let shown: Vec<_> =
        shown.map(|(&status, count)| format!("{count} {}", screen::status(status))).collect();
    if shown.is_empty() { "nothing yet".into() } else { shown.join(", ") }
}

/// Looks until all of `instances` are there and as far as is wanted.
pub(crate) fn until_met(
    session: &Session,
    key: &FullKey,
    instances: &InstanceSet,
    goal: Goal,
) -> Result<(), Failure> {
    until(session, key, instances, None, |it| it.is_some_and(|it| goal.is_met(it.status))).map(drop)
}

/// The job's instances that are active.
pub(crate) fn active(job: &JobDetail) -> InstanceSet {
    job.instances.iter().filter(|it| it.active).map(|it| it.instance).collect()
}

/// An instance that is being restarted.
pub(crate) struct Watch {
    /// The run that is to be replaced.
    before: String,
    asked_at: Timestamp,
    /// How long the run after it has to stay up.
    stays: Duration,
    pub(crate) state: Watched,
}

/// Whether it has come back.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Watched {
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

impl Watch {
    pub(crate) fn new(before: String, asked_at: Timestamp, stays: Duration) -> Self {
        Self { before, asked_at, stays, state: Watched::Coming }
    }

    pub(crate) fn look(&mut self, now: Timestamp, task: Option<&TaskSummary>) {
        if !self.state.is_settled() {
            self.state = task.map_or(Watched::Bad("it is gone"), |task| self.judge(now, task));
        }
    }

    fn judge(&self, now: Timestamp, task: &TaskSummary) -> Watched {
        let up_since = match &self.state {
            Watched::Up { task_id, since } if *task_id == task.task_id => Some(*since),
            Watched::Up { .. } => return Watched::Bad("it did not stay RUNNING"),
            Watched::Coming | Watched::Good | Watched::Bad(_) => None,
        };
        let replaced = task.task_id != self.before;
        match (task.status, up_since) {
            (Status::Running, since) if replaced => {
                let since = since.unwrap_or(now);
                if since + self.stays <= now {
                    Watched::Good
                } else {
                    Watched::Up { task_id: task.task_id.clone(), since }
                }
            }
            (Status::Finished, _) if replaced => Watched::Good,
            (status, _) if replaced && !status.is_active() => Watched::Bad("it ended"),
            (_, Some(_)) => Watched::Bad("it did not stay RUNNING"),
            (_, None) if self.asked_at + COMES_BACK_WITHIN <= now => {
                Watched::Bad("it is not RUNNING in time")
            }
            (_, None) => Watched::Coming,
        }
    }
}

impl Watched {
    pub(crate) fn is_settled(&self) -> bool {
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
    fn story(stays_secs: u64, looks: &[(&str, Status)]) -> Watched {
        let stays = Duration::from_secs(stays_secs);
        let mut watch = Watch::new("old".into(), Timestamp(0), stays);
        for (&(id, status), second) in looks.iter().zip(1..) {
            watch.look(Timestamp(second * 1000), Some(&task(id, status)));
        }
        watch.state
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
            let mut watch = Watch::new("old".into(), Timestamp(0), Duration::ZERO);
            watch.look(Timestamp(0) + COMES_BACK_WITHIN, task);
            watch.state
        };
        let starting = task("new", Status::Starting);
        assert_eq!(look(Some(&starting)), Watched::Bad("it is not RUNNING in time"));
        assert_eq!(look(None), Watched::Bad("it is gone"));
    }
}
