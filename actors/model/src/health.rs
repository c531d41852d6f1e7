//! Whether a task is healthy, by what its checks have said so far.
//!
//! Counted in checks, not in time. The first few, as many as fit into the initial interval, are
//! *forgiven*: if they fail, that is nobody's failure. A task that has not been healthy yet has a
//! limited number of checks in which to become so. One that has been healthy stays so until too
//! many checks in a row have failed, and one that is unhealthy stays that.

use crate::conduct::Pace;

#[derive(Clone, Debug, PartialEq)]
pub struct Health {
    limits: Limits,
    verdict: Verdict,
    /// How many checks there were; not counted further than the limit.
    attempts: u64,
    consecutive_successes: u32,
    /// Without those that were forgiven.
    consecutive_failures: u32,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// It has not been healthy yet.
    Starting,
    Healthy,
    /// There is no way back. `reason`: as users know it.
    Unhealthy {
        reason: String,
    },
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Limits {
    /// So many checks may fail at first.
    forgiven: u64,
    /// So many checks there may be until it is healthy.
    attempts_max: u64,
    failures_max: u32,
    successes_min: u32,
}

impl Health {
    pub fn new(pace: &Pace) -> Self {
        Self {
            limits: Limits::of(pace),
            verdict: Verdict::Starting,
            attempts: 0,
            consecutive_successes: 0,
            consecutive_failures: 0,
        }
    }

    /// That of a task which was healthy when somebody last looked, before the agent restarted:
    /// what was forgiven at its beginning is not forgiven again.
    pub fn resumed(pace: &Pace) -> Self {
        let new = Self::new(pace);
        Self { verdict: Verdict::Healthy, attempts: new.limits.attempts_max, ..new }
    }

    /// The same after one more check. `why`: why it failed, if it did.
    #[must_use]
    pub fn checked(&self, is_success: bool, why: &str) -> Self {
        let mut next = self.clone();
        // One more than there may be, so that it shows that they have run out.
        next.attempts = (self.attempts + 1).min(self.limits.attempts_max + 1);
        match self.verdict {
            Verdict::Unhealthy { .. } => {}
            Verdict::Starting | Verdict::Healthy if is_success => next.succeed(),
            Verdict::Starting | Verdict::Healthy => next.fail(why),
        }
        next
    }

    pub fn verdict(&self) -> &Verdict {
        &self.verdict
    }

    pub fn consecutive_successes(&self) -> u32 {
        self.consecutive_successes
    }

    pub fn consecutive_failures(&self) -> u32 {
        self.consecutive_failures
    }

    fn succeed(&mut self) {
        self.consecutive_successes = self.consecutive_successes.saturating_add(1);
        self.consecutive_failures = 0;
        if self.limits.successes_min <= self.consecutive_successes {
            self.verdict = Verdict::Healthy;
        } else {
            self.give_up_late();
        }
    }

    fn fail(&mut self, why: &str) {
        self.consecutive_successes = 0;
        if self.attempts <= self.limits.forgiven {
            return;
        }
        self.consecutive_failures = self.consecutive_failures.saturating_add(1);
        if self.limits.failures_max < self.consecutive_failures || self.is_hopeless() {
            self.verdict = Verdict::Unhealthy { reason: why.to_owned() };
        } else {
            self.give_up_late();
        }
    }

    /// It could not become healthy any more even if all further checks succeeded.
    fn is_hopeless(&self) -> bool {
        let left = self.limits.attempts_max.saturating_sub(self.attempts);
        self.verdict == Verdict::Starting && 1 < left && left < u64::from(self.limits.successes_min)
    }

    fn give_up_late(&mut self) {
        if self.verdict == Verdict::Starting && self.limits.attempts_max < self.attempts {
            let reason = "Not enough successful health checks in time.".to_owned();
            self.verdict = Verdict::Unhealthy { reason };
        }
    }
}

impl Limits {
    fn of(pace: &Pace) -> Self {
        let interval = pace.interval.as_nanos().max(1);
        let forgiven = pace.initial_interval.as_nanos().div_ceil(interval);
        let forgiven = u64::try_from(forgiven).unwrap_or(u64::MAX >> 1);
        let needed =
            u64::from(pace.max_consecutive_failures) + u64::from(pace.min_consecutive_successes);
        Self {
            forgiven,
            attempts_max: forgiven + needed,
            failures_max: pace.max_consecutive_failures,
            successes_min: pace.min_consecutive_successes,
        }
    }
}

#[cfg(test)]
mod tests;
