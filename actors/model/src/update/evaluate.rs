//! What becomes of one instance: by what it should have, and what is there.
//!
//! | should have | is there | |
//! |---|---|---|
//! | nothing | nothing | done |
//! | nothing | anything | wait: it was told to end |
//! | a configuration | nothing, or something else | wait: it was told what to become |
//! | a configuration | it, and has ended by itself too often | failed |
//! | a configuration | it, PENDING for longer than it may be | failed |
//! | a configuration | it, RUNNING for long enough | done |
//! | a configuration | it, RUNNING, not for long enough yet | look again when it is |
//! | a configuration | it, in any other state | wait |
//!
//! Only ends that nobody asked for count: who was drained, preempted, restarted, or lost its host is
//! followed by another run, and the configuration is not to blame.

use std::time::Duration;

use super::{Failure, Seen, Settings, Work};
use crate::{ids::ConfigId, machine::Timestamp, task::Status};

#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    Done,
    Failed(Failure),
    /// Something has to happen first; time alone may be enough.
    Wait {
        until: Option<Timestamp>,
    },
}

/// `work` is `None` for an instance that has not been begun: then only what is done already is told
/// apart from the rest.
pub fn evaluate(
    now: Timestamp,
    desired: Option<ConfigId>,
    seen: Option<&Seen>,
    work: Option<&Work>,
    settings: &Settings,
) -> Verdict {
    match (desired, seen) {
        (None, None) => Verdict::Done,
        (Some(desired), Some(seen)) if desired == seen.config => {
            let exits = work.map_or(0, |it| seen.exits.saturating_sub(it.excused));
            if settings.failures_of_instance_max < exits {
                return Verdict::Failed(exited(now, seen));
            }
            as_desired(now, seen, settings)
        }
        (None, Some(_)) | (Some(_), None | Some(_)) => Verdict::Wait { until: None },
    }
}

/// It has the right configuration, and has not failed.
fn as_desired(now: Timestamp, seen: &Seen, settings: &Settings) -> Verdict {
    let after = |ms: u64| seen.since + Duration::from_millis(ms);
    match seen.status {
        Status::Running => match after(settings.watch_ms) {
            until if until <= now => Verdict::Done,
            until => Verdict::Wait { until: Some(until) },
        },
        Status::Pending => match settings.pending_ms_max.map(after) {
            Some(until) if until <= now => Verdict::Failed(waited(now, seen)),
            until => Verdict::Wait { until },
        },
        Status::Throttled
        | Status::Assigned
        | Status::Starting
        | Status::Killing
        | Status::Restarting
        | Status::Preempting
        | Status::Draining
        | Status::Partitioned
        | Status::Finished
        | Status::Failed
        | Status::Killed
        | Status::Lost => Verdict::Wait { until: None },
    }
}

fn exited(at: Timestamp, seen: &Seen) -> Failure {
    let why = match &seen.exit {
        Some(exit) if exit.message.is_empty() => format!("exited ({})", exit.status),
        Some(exit) => format!("exited ({}: {})", exit.status, exit.message),
        None => "exited".to_owned(),
    };
    Failure { at, why, task: seen.exit.as_ref().map(|it| it.id.clone()) }
}

fn waited(at: Timestamp, seen: &Seen) -> Failure {
    let secs = at.since(seen.since).as_secs();
    Failure { at, why: format!("found no place for {secs} s"), task: None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ids::TaskId, task::Exit, update::tests::settings};

    const NOW: Timestamp = Timestamp(1_000_000);

    fn seen(config: u32, status: Status, for_ms: u64, exits: u32) -> Seen {
        let exit = (exits > 0).then(|| Exit {
            id: TaskId("www-prod-web-3-1".into()),
            status: Status::Failed,
            message: "Health check failed".into(),
        });
        let since = Timestamp(NOW.0 - for_ms);
        Seen { config: ConfigId(config), status, since, exits, exit }
    }

    fn verdict(desired: Option<u32>, seen: Option<Seen>, excused: u32) -> String {
        let settings = Settings {
            watch_ms: 2000,
            failures_of_instance_max: 1,
            pending_ms_max: Some(60_000),
            ..settings()
        };
        let work = Work { since: NOW, excused, may_end: true };
        let desired = desired.map(ConfigId);
        match evaluate(NOW, desired, seen.as_ref(), Some(&work), &settings) {
            Verdict::Done => "done".into(),
            Verdict::Failed(failure) => format!("failed: {}", failure.why),
            Verdict::Wait { until: None } => "wait".into(),
            Verdict::Wait { until: Some(at) } => {
                format!("look in {} ms", at.since(NOW).as_millis())
            }
        }
    }

    #[test]
    fn the_whole_table() {
        use Status as S;
        for (desired, there, excused, expected) in [
            (None, None, 0, "done"),
            (None, Some(seen(1, S::Running, 9000, 0)), 0, "wait"),
            (None, Some(seen(1, S::Killing, 9000, 0)), 0, "wait"),
            (Some(2), None, 0, "wait"),
            (Some(2), Some(seen(1, S::Running, 9000, 0)), 0, "wait"),
            (Some(2), Some(seen(1, S::Pending, 900_000, 7)), 0, "wait"),
            (Some(2), Some(seen(1, S::Killing, 9000, 0)), 0, "wait"),
            (Some(2), Some(seen(2, S::Running, 2000, 0)), 0, "done"),
            (Some(2), Some(seen(2, S::Running, 1999, 0)), 0, "look in 1 ms"),
            (Some(2), Some(seen(2, S::Running, 2000, 1)), 0, "done"),
            (
                Some(2),
                Some(seen(2, S::Running, 2000, 2)),
                0,
                "failed: exited (FAILED: Health check failed)",
            ),
            (Some(2), Some(seen(2, S::Running, 2000, 2)), 1, "done"),
            (
                Some(2),
                Some(seen(2, S::Throttled, 1, 2)),
                0,
                "failed: exited (FAILED: Health check failed)",
            ),
            (Some(2), Some(seen(2, S::Pending, 59_000, 0)), 0, "look in 1000 ms"),
            (Some(2), Some(seen(2, S::Pending, 60_000, 0)), 0, "failed: found no place for 60 s"),
        ] {
            let what = format!("{desired:?} {there:?} {excused}");
            assert_eq!(verdict(desired, there, excused), expected, "{what}");
        }
        for status in [
            S::Throttled,
            S::Assigned,
            S::Starting,
            S::Killing,
            S::Restarting,
            S::Preempting,
            S::Draining,
            S::Partitioned,
            S::Finished,
            S::Failed,
            S::Killed,
            S::Lost,
        ] {
            assert_eq!(verdict(Some(2), Some(seen(2, status, 900_000, 1)), 0), "wait", "{status}");
        }
    }
}
