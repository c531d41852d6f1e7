//! When the matchmaker looks, and whom it tells.

use std::{collections::BTreeMap, time::Duration};

use super::{Mail, Out, Receipt, Word};
use crate::{
    ids::{Attempt, ConfigId, TaskKey},
    machine::Timestamp,
    matching::{Matchmaker, Placed, Victim},
    policy::Policy,
    preemption::Preemption,
    task,
    view::{Note, View},
};

#[derive(Clone, Debug)]
pub(in crate::simulation) enum ToMatchmaker {
    Seek(TaskKey, Attempt, ConfigId),
    Withdraw(TaskKey),
    /// Something may fit now that did not.
    Look,
    Answered(TaskKey, Attempt),
    Round,
    /// Somebody may have waited for long enough.
    Preempt,
}

pub(super) struct Bureau {
    decider: Matchmaker,
    preemption: Preemption,
    /// Who has asked for a place since the last round.
    arrivals: BTreeMap<TaskKey, (Attempt, ConfigId)>,
    awaits: bool,
    /// Those who wait are going to be looked at again.
    preempts: bool,
}

const PAUSE: Duration = Duration::from_millis(2);

impl Bureau {
    pub(super) fn new(policy: &Policy) -> Self {
        let decider = Matchmaker::new(policy.scheduling.clone());
        let (preemption, arrivals) = (policy.preemption.clone(), BTreeMap::new());
        Self { decider, preemption, arrivals, awaits: false, preempts: false }
    }

    pub(super) fn read(&mut self, word: ToMatchmaker, view: &View, out: &mut Out) {
        match word {
            ToMatchmaker::Seek(task, attempt, config) => {
                self.arrivals.insert(task, (attempt, config));
            }
            ToMatchmaker::Withdraw(task) => {
                self.arrivals.remove(&task);
                self.decider.withdraw(&task);
            }
            ToMatchmaker::Look => {}
            ToMatchmaker::Answered(task, attempt) => self.decider.answered(&task, attempt),
            ToMatchmaker::Round => {
                self.awaits = false;
                return self.round(view, out);
            }
            ToMatchmaker::Preempt => {
                self.preempts = false;
                self.preempt(view, out);
            }
        }
        let is_wanted = self.decider.has_seekers() || !self.arrivals.is_empty();
        if !self.preempts && is_wanted && self.preemption.enabled {
            self.preempts = true;
            let at = out.now() + self.preemption.every.max(PAUSE);
            out.later(at, Mail::Matchmaker(ToMatchmaker::Preempt));
        }
        if !self.awaits && is_wanted {
            self.awaits = true;
            out.later(out.now() + PAUSE, Mail::Matchmaker(ToMatchmaker::Round));
        }
    }

    fn preempt(&mut self, view: &View, out: &mut Out) {
        let victims = self.decider.preempt(out.now(), view, &self.preemption);
        for Victim { task, attempt, message, .. } in victims {
            let event = task::Event::PreemptAsked { attempt, message };
            out.send(Mail::Task(task, Word::Happened(event, None)));
        }
    }

    fn round(&mut self, view: &View, out: &mut Out) {
        for (task, (attempt, config)) in std::mem::take(&mut self.arrivals) {
            self.decider.seek(out.now(), task, attempt, config, view);
        }
        self.decider.catch_up(view);
        for Placed { task, attempt, at } in self.decider.round(out.now()) {
            let (event, receipt) =
                (task::Event::Placed { attempt, at }, Receipt::Place(task.clone(), attempt));
            out.send(Mail::Task(task, Word::Happened(event, Some(receipt))));
        }
    }

    /// Why those wait who do.
    pub(super) fn explain(&mut self, now: Timestamp, view: &View) -> Vec<Note> {
        self.decider.catch_up(view);
        let reasons = self.decider.reasons(now).into_iter();
        reasons.map(|(job, instances, why)| Note::Pending { job, instances, why }).collect()
    }
}
