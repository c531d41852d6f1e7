//! How many of a job's instances its owner can count on while they are moved from host to host.
//!
//! A policy speaks of instances that have been up for a while: one that has only just started may
//! not be of use yet. Aurora's rules hold: jobs whose tier gives way to others have no say, nor
//! have small ones, which cannot lose an instance without an outage whatever is promised; and a
//! policy that would never let anybody go lets one go at a time.

use std::{fmt, time::Duration};

use crate::spec::SlaPolicy;

mod figures;

pub use figures::{Figures, Samples, Wanted};

/// What an operator decides about policies.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rules {
    /// Jobs with fewer active instances are not asked.
    pub instances_min: u64,
    /// Whether jobs that others may preempt have a say.
    pub nonproduction: bool,
    /// How long a coordinator may think.
    pub coordinator_timeout: Duration,
    /// How many coordinators are asked at a time.
    pub coordinators_max: usize,
    /// How often it is looked how all services have been doing.
    pub refresh: Duration,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            instances_min: 20,
            nonproduction: false,
            coordinator_timeout: Duration::from_secs(60),
            coordinators_max: 10,
            refresh: Duration::from_secs(60),
        }
    }
}

/// How many instances have to be up.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Need {
    pub fewest: u64,
    /// As its policy says it, if it says that in another way.
    percentage: Option<f64>,
}

impl Need {
    /// What a policy means for a job with `active` instances, and how long those that count have
    /// to have been up. `None`: a coordinator knows.
    pub fn of(policy: &SlaPolicy, active: u64) -> Option<(Self, Duration)> {
        let all_but_one = Self { fewest: active.saturating_sub(1), percentage: None };
        let (need, secs) = match policy {
            SlaPolicy::Coordinator { .. } => return None,
            SlaPolicy::Percentage { percentage, duration_secs } => {
                let spare = (100.0 - percentage) * active as f64;
                let share = Self::share(*percentage, active);
                (if spare < 100.0 { all_but_one } else { share }, *duration_secs)
            }
            SlaPolicy::Count { count, duration_secs } => {
                let fewest = u64::try_from(*count).unwrap_or(0);
                let count = Self { fewest, percentage: None };
                (if fewest >= active { all_but_one } else { count }, *duration_secs)
            }
        };
        Some((need, Duration::from_secs(secs.try_into().unwrap_or(0))))
    }

    fn share(percentage: f64, active: u64) -> Self {
        let fewest = (percentage * active as f64 / 100.0).ceil();
        #[expect(
            clippy::cast_possible_truncation,
            reason = "it is a part of a number of instances"
        )]
        Self { fewest: fewest as u64, percentage: Some(percentage) }
    }
}

impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.percentage {
            Some(percentage) => write!(f, "{percentage} %"),
            None => write!(f, "{}", self.fewest),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_that_would_never_let_anybody_go_lets_one_go() {
        let percent = |percentage| SlaPolicy::Percentage { percentage, duration_secs: 60 };
        let count = |count| SlaPolicy::Count { count, duration_secs: 60 };
        for (policy, active, need, fewest) in [
            (percent(95.0), 100, "95 %", 95),
            (percent(95.0), 20, "95 %", 19),
            (percent(99.0), 20, "19", 19),
            (percent(100.0), 1, "0", 0),
            (percent(66.6), 10, "66.6 %", 7),
            (percent(0.0), 10, "0 %", 0),
            (count(2), 3, "2", 2),
            (count(3), 3, "2", 2),
            (count(30), 3, "2", 2),
            (count(1), 0, "0", 0),
        ] {
            let (found, duration) = Need::of(&policy, active).unwrap();
            let found = (found.to_string(), found.fewest);
            assert_eq!(found, (need.into(), fewest), "{policy:?} of {active}");
            assert_eq!(duration, Duration::from_secs(60));
        }
    }
}
