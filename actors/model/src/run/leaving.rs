//! How a task that did not end by itself is asked to, and for how long.
//!
//! Each farewell is said, and if it is heard, the task gets some time to do as it was asked; then
//! comes the next one, and after the last the signals. Whoever is in a hurry leaves the farewells
//! out: a signal is not unfriendly, and for all of it there would be no time.

use std::time::Duration;

use crate::{
    machine::Timestamp,
    run::{Run, Stage, Verdict},
};

/// How long a farewell may take to be said, its answer included.
const PATIENCE: Duration = Duration::from_secs(5);

impl Run {
    /// The stage in which this farewell is said, or the one after the last of them.
    pub(super) fn leaving(&self, now: Timestamp, farewell: usize, verdict: Verdict) -> Stage {
        if self.farewells.len() <= farewell {
            return self.cleaning(now, verdict);
        }
        Stage::Leaving { farewell, is_heard: false, until: now + PATIENCE, verdict }
    }

    pub(super) fn cleaning(&self, now: Timestamp, verdict: Verdict) -> Stage {
        Stage::Cleaning { until: now + self.limits.finalization_wait, verdict }
    }

    pub(super) fn killed(&self, now: Timestamp, message: &str, within_ms: Option<u64>) -> Stage {
        let verdict = Verdict::Killed { message: message.to_owned() };
        match within_ms {
            None => self.leaving(now, 0, verdict),
            Some(ms) => {
                let wait = self.limits.finalization_wait.min(Duration::from_millis(ms));
                Stage::Cleaning { until: now + wait, verdict }
            }
        }
    }

    /// After a farewell was said, if that was awaited.
    pub(super) fn said(&self, now: Timestamp, said: usize, is_heard: bool) -> Option<Stage> {
        let Stage::Leaving { farewell, is_heard: false, verdict, .. } = &self.stage else {
            return None;
        };
        if said != *farewell {
            return None;
        }
        let verdict = verdict.clone();
        if !is_heard {
            return Some(self.leaving(now, said + 1, verdict));
        }
        let until = now + self.farewells[said].wait;
        Some(Stage::Leaving { farewell: said, is_heard, until, verdict })
    }
}

impl Stage {
    /// Whoever is in more of a hurry than what was planned gets their way.
    pub(super) fn hurried(&self, now: Timestamp, within_ms: u64) -> Option<Self> {
        let sooner = now + Duration::from_millis(within_ms);
        match self {
            Self::Leaving { verdict, .. } => {
                Some(Self::Cleaning { until: sooner, verdict: verdict.clone() })
            }
            Self::Cleaning { until, verdict } if sooner < *until => {
                Some(Self::Cleaning { until: sooner, verdict: verdict.clone() })
            }
            Self::Finalizing { until, verdict } if sooner < *until => {
                Some(Self::Finalizing { until: sooner, verdict: verdict.clone() })
            }
            Self::Preparing
            | Self::Active
            | Self::Cleaning { .. }
            | Self::Finalizing { .. }
            | Self::Ending { .. }
            | Self::Over { .. } => None,
        }
    }
}
