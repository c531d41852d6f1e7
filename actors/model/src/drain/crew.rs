//! Since when a job's instances have been up.

use std::{collections::BTreeMap, time::Duration};

use crate::{
    ids::{Attempt, TaskKey},
    machine::Timestamp,
    sla::Need,
    task::{Run, State, Status},
    update::Update,
    view::JobView,
};

/// Those who run, except for who is about to leave.
pub(super) struct Crew {
    pub(super) active: u64,
    /// Ascending.
    up_since: Vec<Timestamp>,
}

impl Crew {
    /// Whoever is to make way for an update is as good as gone.
    pub(super) fn of(
        job: &JobView,
        update: Option<&Update>,
        gone: &BTreeMap<TaskKey, Attempt>,
    ) -> Self {
        let stays = |run: &&Run, key: &TaskKey| {
            let ends = update.is_some_and(|it| it.ends(key.instance, run.config));
            gone.get(key) != Some(&run.attempt) && !ends
        };
        let runs =
            job.tasks.values().filter_map(|it| it.run.as_ref().filter(|run| stays(run, &it.key)));
        let mut up_since: Vec<_> = runs.filter_map(up_since).collect();
        up_since.sort_unstable();
        Self { active: job.active_count(), up_since }
    }

    /// How many besides `run` have been up for so long.
    pub(super) fn others_up(&self, now: Timestamp, run: &Run, duration: Duration) -> u64 {
        let is_one = up_since(run).is_some_and(|it| it + duration <= now);
        let all = self.up_since.partition_point(|it| *it + duration <= now);
        all as u64 - u64::from(is_one)
    }

    /// When enough besides `run` will have been up for so long, if nothing else happens.
    pub(super) fn enough_at(&self, run: &Run, need: Need, duration: Duration) -> Option<Timestamp> {
        let last = usize::try_from(need.fewest).ok()?.checked_sub(1)?;
        let own = self.index_of(run);
        let last = if own.is_some_and(|it| it <= last) { last + 1 } else { last };
        self.up_since.get(last).map(|&at| at + duration)
    }

    /// It is about to go.
    pub(super) fn leaves(&mut self, run: &Run) {
        if let Some(index) = self.index_of(run) {
            self.up_since.remove(index);
        }
    }

    fn index_of(&self, run: &Run) -> Option<usize> {
        self.up_since.binary_search(&up_since(run)?).ok()
    }
}

fn up_since(run: &Run) -> Option<Timestamp> {
    let State::Running { .. } = run.state else { return None };
    run.events.iter().rev().find(|it| it.status == Status::Running).map(|it| it.at)
}
