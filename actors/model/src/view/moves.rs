//! What has changed for those who find places: a short memory, so that they need not look at the
//! whole cluster each time.

use std::{collections::VecDeque, sync::Arc};

use super::{View, booking};
use crate::{
    config::TaskConfig,
    host::Host,
    ids::{Attempt, HostId, TaskKey},
    machine::Timestamp,
    resources::Resources,
    task::{Placement, Run, Status},
};

/// One thing that is different now.
#[derive(Clone, Debug, PartialEq)]
pub enum Move {
    /// A run has its place, and takes what its configuration says.
    Taken(Stay),
    /// It needs it no longer. If another run of the instance takes its place, because it was asked
    /// to restart, and that one needs no more: since when it is over.
    Released(Stay, Option<Timestamp>),
    /// A host is new, or another than it was in some way.
    Host(Arc<Host>),
    Gone(HostId),
}

/// A run at a place.
#[derive(Clone, Debug, PartialEq)]
pub struct Stay {
    pub task: TaskKey,
    pub attempt: Attempt,
    pub config: Arc<TaskConfig>,
    pub at: Placement,
}

/// What a reader has missed.
#[derive(Clone, Debug, PartialEq)]
pub struct Missed {
    /// Whether it is everything there is, so that what the reader knows is to be forgotten first.
    pub all: bool,
    pub moves: Vec<Move>,
    /// What to ask with next time.
    pub version: u64,
}

/// The newest moves. How a view came about is not part of what it is, so any two are equal.
#[derive(Clone, Debug, Default)]
pub(super) struct Moves {
    /// How many there were in all.
    count: u64,
    newest: VecDeque<Move>,
}

/// Who has missed more than this is told everything instead.
const REMEMBERED: usize = 1 << 16;

impl Moves {
    pub(super) fn add(&mut self, it: Move) {
        if self.newest.len() == REMEMBERED {
            self.newest.pop_front();
        }
        self.newest.push_back(it);
        self.count += 1;
    }

    /// The moves after the first `version`, if they are still known.
    fn since(&self, version: u64) -> Option<Vec<Move>> {
        let missed = usize::try_from(self.count.checked_sub(version)?).ok()?;
        let first = self.newest.len().checked_sub(missed)?;
        Some(self.newest.range(first..).cloned().collect())
    }
}

impl PartialEq for Moves {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl View {
    /// What has changed for those who find places since they asked and were told `version`; all
    /// there is if they never did, or it is too long ago.
    pub fn missed(&self, version: Option<u64>) -> Missed {
        let known = version.and_then(|it| self.moves.since(it));
        let (all, moves) = known.map_or_else(|| (true, self.as_moves()), |it| (false, it));
        Missed { all, moves, version: self.moves.count }
    }

    /// The moves that lead here from nothing.
    fn as_moves(&self) -> Vec<Move> {
        let hosts = self.hosts.values().map(|it| Move::Host(Arc::new(it.host.clone())));
        let stays = self.jobs.values().flat_map(|job| {
            job.tasks.values().filter_map(|task| {
                let run = task.run.as_ref()?;
                let (config, at) = booking(run)?;
                let config = job.configs.get(&config)?.clone();
                let (task, attempt, at) = (task.key.clone(), run.attempt, at.clone());
                Some(Move::Taken(Stay { task, attempt, config, at }))
            })
        });
        hosts.chain(stays).collect()
    }

    /// Where a slot's run is, if it has a place.
    pub fn stay_of(&self, key: &TaskKey) -> Option<Stay> {
        let run = self.task_of(key)?.run.as_ref()?;
        let (config, at) = booking(run)?;
        self.stay(key, run.attempt, config, at)
    }

    /// Since when the run is over, if it was asked to restart and the next one needs no more.
    pub(super) fn returns(
        &self,
        key: &TaskKey,
        before: &Run,
        after: Option<&Run>,
    ) -> Option<Timestamp> {
        let after = after.filter(|it| it.state.status().is_active())?;
        let job = self.jobs.get(&key.job)?;
        let (old, new) = (job.configs.get(&before.config)?, job.configs.get(&after.config)?);
        // Who was killed and is followed by another makes way for an update.
        let was_asked = matches!(before.state.status(), Status::Restarting | Status::Killing);
        let needs_no_more = new.resources.saturating_sub(old.resources) == Resources::default()
            && new.ports.len() <= old.ports.len()
            && new.constraints == old.constraints;
        (was_asked && needs_no_more).then(|| after.events.first().map_or(Timestamp(0), |it| it.at))
    }
}
