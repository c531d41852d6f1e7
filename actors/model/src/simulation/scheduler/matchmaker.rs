//! When the matchmaker looks, and whom it tells.

use std::time::Duration;

use super::{Mail, Out, Receipt, Word};
use crate::{
    ids::{Attempt, ConfigId, TaskKey},
    matching::{Matchmaker, Placed},
    policy::Policy,
    task,
    view::View,
};

#[derive(Clone, Debug)]
pub(in crate::simulation) enum ToMatchmaker {
    Seek(TaskKey, Attempt, ConfigId),
    Withdraw(TaskKey),
    /// Something may fit now that did not.
    Look,
    Answered(TaskKey, Attempt),
    Round,
}

pub(super) struct Bureau {
    decider: Matchmaker,
    awaits: bool,
}

const PAUSE: Duration = Duration::from_millis(2);

impl Bureau {
    pub(super) fn new(policy: &Policy) -> Self {
        Self { decider: Matchmaker::new(policy.scheduling.clone()), awaits: false }
    }

    pub(super) fn read(&mut self, word: ToMatchmaker, view: &View, out: &mut Out) {
        match word {
            ToMatchmaker::Seek(task, attempt, config) => {
                self.decider.seek(out.now(), task, attempt, config, view);
            }
            ToMatchmaker::Withdraw(task) => self.decider.withdraw(&task),
            ToMatchmaker::Look => {}
            ToMatchmaker::Answered(task, attempt) => self.decider.answered(&task, attempt),
            ToMatchmaker::Round => {
                self.awaits = false;
                return self.round(view, out);
            }
        }
        if !self.awaits && self.decider.has_seekers() {
            self.awaits = true;
            out.later(out.now() + PAUSE, Mail::Matchmaker(ToMatchmaker::Round));
        }
    }

    fn round(&mut self, view: &View, out: &mut Out) {
        self.decider.catch_up(view);
        for Placed { task, attempt, at } in self.decider.round(out.now()) {
            let (event, receipt) =
                (task::Event::Placed { attempt, at }, Receipt::Place(task.clone(), attempt));
            out.send(Mail::Task(task, Word::Happened(event, Some(receipt))));
        }
    }
}
