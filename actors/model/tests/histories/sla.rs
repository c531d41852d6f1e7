//! How many of a job are up, counted as its owner would.

use std::collections::{BTreeMap, VecDeque};

use airglow_model::{
    ids::JobKey,
    machine::Timestamp,
    spec::SlaPolicy,
    task::{Run, Status, Task},
};

use crate::audit::Verdict;

/// What nobody could know who decided a moment before.
#[derive(Default)]
pub(crate) struct Surprises {
    /// When instances of a job ceased to run without being let go.
    hurt: BTreeMap<JobKey, VecDeque<Timestamp>>,
    changed: BTreeMap<JobKey, Timestamp>,
}

/// Between a decision and the record of it there is so much time at most.
const MOMENT_MS: u64 = 1000;

impl Surprises {
    pub(crate) fn changed(&mut self, now: Timestamp, job: &JobKey) {
        self.changed.insert(job.clone(), now);
    }

    pub(crate) fn hurt(&mut self, now: Timestamp, job: &JobKey) {
        let hurt = self.hurt.entry(job.clone()).or_default();
        while hurt.pop_front_if(|it| it.0 + MOMENT_MS < now.0).is_some() {}
        hurt.push_back(now);
    }

    fn recent(&self, now: Timestamp, job: &JobKey) -> u64 {
        let is_recent = |it: &&Timestamp| now.0 <= it.0 + MOMENT_MS;
        self.hurt.get(job).map_or(0, |it| it.iter().filter(is_recent).count() as u64)
    }

    /// This one has been let go. `others` are the rest of its job.
    pub(crate) fn let_go<'a>(
        &self,
        now: Timestamp,
        (task, policy): (&Task, &SlaPolicy),
        others: impl Iterator<Item = &'a Task> + Clone,
        unborn: u64,
    ) -> Verdict {
        let job = &task.key.job;
        if self.changed.get(job).is_some_and(|it| now.0 <= it.0 + MOMENT_MS) {
            return Ok(());
        }
        let active = 1 + unborn + others.clone().filter(|it| it.is_active()).count() as u64;
        let (fewest, secs) = match policy {
            SlaPolicy::Coordinator { .. } => return Ok(()),
            SlaPolicy::Percentage { percentage, duration_secs } => {
                #[expect(clippy::cast_possible_truncation, reason = "a few instances")]
                let share = (percentage * active as f64 / 100.0).ceil() as u64;
                let is_relaxed = (100.0 - percentage) * (active as f64) < 100.0;
                (if is_relaxed { active - 1 } else { share }, *duration_secs)
            }
            SlaPolicy::Count { count, duration_secs } => {
                (u64::try_from(*count).unwrap().min(active - 1), *duration_secs)
            }
        };
        let duration_ms = u64::try_from(secs).unwrap() * 1000;
        let is_up = |run: &Run| {
            let since = run.events.iter().rfind(|it| it.status == Status::Running);
            run.state.status() == Status::Running
                && since.is_some_and(|it| it.at.0 + duration_ms <= now.0)
        };
        let up = others.filter(|it| it.run.as_ref().is_some_and(is_up)).count() as u64;
        if fewest <= up + self.recent(now, job) {
            return Ok(());
        }
        Err(format!("{} was let go, and {up} of {active} are up: {policy:?}", task.key))
    }
}
