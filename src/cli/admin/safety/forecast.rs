//! What is left of a job when hosts go.

use std::{collections::BTreeSet, time::Duration};

use airglow_model::ids::JobKey;

/// How many percent of a job's instances should have been up for how long.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Goal {
    pub(super) percentage: f64,
    pub(super) duration: Duration,
}

/// A job's active instances: where each is, and for how long it has been up.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) key: JobKey,
    instances: Vec<(Option<String>, Option<Duration>)>,
}

/// A job without what it has on some hosts.
#[derive(Clone, Debug)]
pub(super) struct Forecast<'a> {
    pub(super) job: &'a Job,
    pub(super) goal: Goal,
    /// Of all its instances, those that are left and have been up for long enough.
    pub(super) percentage: f64,
    /// After which the goal is reached all the same, if what is left stays up.
    pub(super) wait: Option<Duration>,
}

impl Job {
    pub(super) fn new(key: JobKey) -> Self {
        Self { key, instances: Vec::new() }
    }

    pub(super) fn add(&mut self, host: Option<&str>, up: Option<Duration>) {
        self.instances.push((host.map(str::to_owned), up));
    }

    pub(super) fn instances(&self) -> usize {
        self.instances.len()
    }

    pub(super) fn is_on(&self, host: &str) -> bool {
        self.instances.iter().any(|(on, _)| on.as_deref() == Some(host))
    }

    pub(super) fn without(&self, hosts: &BTreeSet<&str>, goal: Goal) -> Forecast<'_> {
        let stays = |on: &Option<String>| on.as_deref().is_none_or(|it| !hosts.contains(it));
        let left = self.instances.iter().filter(|(on, _)| stays(on));
        let ups: Vec<Duration> = left.filter_map(|&(_, up)| up).collect();
        let enough = ups.iter().filter(|&&up| goal.duration <= up).count();
        let wait = wait(&ups, self.instances.len(), goal);
        Forecast { job: self, goal, percentage: percent(enough, self.instances.len()), wait }
    }
}

impl Forecast<'_> {
    pub(super) fn is_safe(&self) -> bool {
        self.goal.percentage <= self.percentage
    }
}

#[expect(clippy::cast_precision_loss, reason = "no job has that many instances")]
fn percent(part: usize, total: usize) -> f64 {
    if total == 0 { 100.0 } else { part as f64 * 100.0 / total as f64 }
}

/// Until as many as are needed have been up for long enough; `None`: they are too few.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a share of how many instances a job has"
)]
fn wait(ups: &[Duration], total: usize, goal: Goal) -> Option<Duration> {
    let needed = (goal.percentage / 100.0 * total as f64).ceil() as usize;
    let mut ups = ups.to_vec();
    ups.sort_unstable_by(|a, b| b.cmp(a));
    let last_needed = ups.get(needed.checked_sub(1)?)?;
    Some(goal.duration.saturating_sub(*last_needed))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    #[test]
    fn waiting_helps_those_that_are_enough() {
        let ups = [100, 200, 300, 400].map(secs);
        for (percentage, duration, total, expected) in
            [(25.0, 450, 4, Some(50)), (75.0, 200, 4, Some(0)), (95.0, 10, 5, None)]
        {
            let goal = Goal { percentage, duration: secs(duration) };
            assert_eq!(wait(&ups, total, goal), expected.map(secs), "{percentage}");
        }
        assert_eq!(wait(&[], 0, Goal { percentage: 95.0, duration: secs(1) }), None);
    }

    #[test]
    fn a_job_without_a_host_is_what_it_has_elsewhere() {
        let mut job = Job::new(JobKey::new("r", "e", "n"));
        for (host, up) in [(Some("a"), Some(100)), (Some("b"), Some(100)), (Some("b"), Some(5))] {
            job.add(host, up.map(secs));
        }
        job.add(None, None);
        let goal = Goal { percentage: 25.0, duration: secs(60) };
        let without = |hosts: &[&str]| {
            let told = job.without(&hosts.iter().copied().collect(), goal);
            (told.percentage, told.is_safe(), told.wait.map(|it| it.as_secs()))
        };
        assert_eq!(without(&[]), (50.0, true, Some(0)));
        assert_eq!(without(&["a"]), (25.0, true, Some(0)));
        assert_eq!(without(&["b"]), (25.0, true, Some(0)));
        assert_eq!(without(&["a", "b"]), (0.0, false, None));
        assert!(job.is_on("a") && !job.is_on("c"));
    }
}
