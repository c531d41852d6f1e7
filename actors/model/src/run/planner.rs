//! Whose turn it is among the processes of one plan, and whether that plan is done.

use std::sync::Arc;

use crate::{
    machine::{Machine, Timestamp},
    plan::{Plan, Planned},
    process::{self, State},
    run::{Run, Stage},
};

/// How the processes of a plan are, taken together.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Standing {
    Going,
    /// Every process has had its last run or need not have one.
    Complete,
    /// Too many have failed, or those that are left wait for something that will never be.
    Failing,
}

impl Plan {
    /// The two plans of a task, told apart by their processes' `is_final`.
    pub(super) const REGULAR: bool = false;
    pub(super) const FINAL: bool = true;
}

impl Run {
    pub(super) fn standing(&self, is_final: bool) -> Standing {
        let (mut failed, mut going, mut incomplete) = (0, false, false);
        for (place, planned) in self.of(is_final) {
            let process = &self.processes[place];
            match process.state() {
                State::Finished => continue,
                State::Failed => failed += 1,
                State::Forked { .. } | State::Running { .. } => going = true,
                State::Waiting { .. } => going |= self.is_free(planned),
            }
            incomplete |= process.state() != State::Failed && !planned.ephemeral;
        }
        let too_many = self.limits.max_failures != 0 && self.limits.max_failures <= failed;
        match (incomplete, too_many) {
            (_, true) => Standing::Failing,
            (false, false) => Standing::Complete,
            (true, false) if going => Standing::Going,
            (true, false) => Standing::Failing,
        }
    }

    /// Gives their turn to those whose turn it is, in the order in which they were written.
    pub(super) fn choose(&mut self, now: Timestamp) {
        let is_final = match &self.stage {
            Stage::Active => Plan::REGULAR,
            Stage::Finalizing { .. } => Plan::FINAL,
            Stage::Preparing
            | Stage::Leaving { .. }
            | Stage::Cleaning { .. }
            | Stage::Ending { .. }
            | Stage::Over { .. } => return,
        };
        let chosen = |place: usize| {
            let process = self.processes[place].step(now, &process::Event::Chosen);
            process.ok().map(|it| (place, Arc::new(it)))
        };
        let chosen: Vec<_> =
            self.candidates(is_final).filter_map(chosen).take(self.room()).collect();
        for (place, process) in chosen {
            self.processes[place] = process;
        }
    }

    /// When, at the latest, [`Run::choose`] should have another look.
    pub(super) fn next_choice(&self, is_final: bool) -> Option<Timestamp> {
        if self.room() == 0 {
            return None;
        }
        self.candidates(is_final).filter_map(|place| self.waits_until(place)).min()
    }

    /// Those that wait for nothing but the clock.
    fn candidates(&self, is_final: bool) -> impl Iterator<Item = usize> {
        let free = move |&(place, planned): &(usize, &Planned)| {
            self.waits_until(place).is_some() && self.is_free(planned)
        };
        self.of(is_final).filter(free).map(|(place, _)| place)
    }

    fn waits_until(&self, place: usize) -> Option<Timestamp> {
        match self.processes[place].state() {
            State::Waiting { until } => Some(until),
            State::Forked { .. } | State::Running { .. } | State::Finished | State::Failed => None,
        }
    }

    pub(super) fn is_free(&self, planned: &Planned) -> bool {
        planned.after.iter().all(|&place| self.processes[place].state() == State::Finished)
    }

    fn room(&self) -> usize {
        let alive = self.processes.iter().filter(|it| it.is_alive()).count();
        self.limits.max_concurrency.saturating_sub(alive)
    }

    pub(super) fn of(&self, is_final: bool) -> impl Iterator<Item = (usize, &Planned)> {
        self.plan.processes().iter().enumerate().filter(move |(_, it)| it.is_final == is_final)
    }
}
