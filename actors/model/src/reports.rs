//! What becomes of a host's reports: whose business each is, and which may be acknowledged.
//!
//! An acknowledgement covers everything before it, but reports are settled by many entities in any
//! order. So one report that takes its time holds back the others' acknowledgement, never their
//! effect.

use std::collections::BTreeMap;

use crate::wire::{RunState, Status};

/// One connection's reports.
#[derive(Debug, Default)]
pub struct Acks {
    /// Heard on this connection, and neither committed nor refused.
    unsettled: BTreeMap<u64, Status>,
    newest: u64,
    acked: u64,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Arrival {
    News,
    /// It is being dealt with.
    Repeated,
    /// It was settled: the host has missed the acknowledgement.
    Settled,
}

/// Whose business a report is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Concern {
    Instance,
    /// It has to be heard by somebody who does not listen now, so it stays unacknowledged, and the
    /// host says it again on every connection until somebody does. The price: an acknowledgement
    /// covers what came before it, so the host keeps its later reports as long; they have their
    /// effect all the same.
    LeftAlone,
    /// Settled as it is: there is nobody to be told, or the host's next inventory says the same.
    Nobody,
}

impl Concern {
    /// `is_here`: by the records, the task that it is about runs on the host that says it.
    /// `left_alone`: nobody listens for that task, since it kept crashing.
    pub fn of(is_here: bool, left_alone: bool, state: RunState) -> Self {
        match (is_here, left_alone, state.is_terminal()) {
            (true, false, _) => Self::Instance,
            // Of what has ended there will be no inventory: if the host forgot it now, a task that
            // has done its work would count as lost, and run again.
            (true, true, true) => Self::LeftAlone,
            (true, true, false) | (false, _, _) => Self::Nobody,
        }
    }
}

impl Acks {
    /// The host says this, perhaps again.
    pub fn arrived(&mut self, status: &Status) -> Arrival {
        if self.unsettled.contains_key(&status.seq) {
            return Arrival::Repeated;
        }
        if status.seq <= self.newest {
            return Arrival::Settled;
        }
        // A host repeats what was not acknowledged in order, so what came before was.
        if self.newest == 0 {
            self.acked = status.seq - 1;
        }
        self.newest = status.seq;
        self.unsettled.insert(status.seq, status.clone());
        Arrival::News
    }

    /// What to acknowledge now, if that is more than before.
    pub fn settled(&mut self, seq: u64) -> Option<u64> {
        self.unsettled.remove(&seq);
        let safe = self.unsettled.first_key_value().map_or(self.newest, |(&seq, _)| seq - 1);
        (safe > self.acked).then(|| {
            self.acked = safe;
            safe
        })
    }

    /// How far everything is settled.
    pub fn acked(&self) -> u64 {
        self.acked
    }

    /// What was said under this number, if nobody has dealt with it yet.
    pub fn unsettled(&self, seq: u64) -> Option<&Status> {
        self.unsettled.get(&seq)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        ids::{Attempt, JobKey, TaskId},
        machine::Timestamp,
    };

    #[test]
    fn whose_business_a_report_is() {
        let whose = |is_here, left_alone| {
            [RunState::Running, RunState::Finished].map(|it| Concern::of(is_here, left_alone, it))
        };
        assert_eq!(whose(true, false), [Concern::Instance, Concern::Instance]);
        assert_eq!(whose(true, true), [Concern::Nobody, Concern::LeftAlone]);
        assert_eq!(whose(false, false), [Concern::Nobody, Concern::Nobody]);
        assert_eq!(whose(false, true), [Concern::Nobody, Concern::Nobody]);
    }

    fn status(seq: u64) -> Status {
        Status {
            seq,
            task: JobKey::new("www", "prod", "hello").task(0),
            attempt: Attempt(1),
            task_id: TaskId("it".into()),
            state: RunState::Running,
            message: String::new(),
            at: Timestamp(0),
        }
    }

    #[test]
    fn nothing_is_acknowledged_before_everything_up_to_it_is_settled() {
        let mut acks = Acks::default();
        for seq in 7..=10 {
            assert_eq!(acks.arrived(&status(seq)), Arrival::News);
        }
        assert_eq!(acks.acked(), 6);
        assert_eq!(acks.settled(8), None);
        assert_eq!(acks.settled(9), None);
        assert_eq!(acks.settled(7), Some(9));
        assert_eq!(acks.settled(7), None);
        assert_eq!(acks.settled(10), Some(10));
    }

    #[test]
    fn a_repeated_report_is_dealt_with_once() {
        let mut acks = Acks::default();
        assert_eq!(acks.arrived(&status(1)), Arrival::News);
        assert_eq!(acks.arrived(&status(1)), Arrival::Repeated);
        assert_eq!(acks.settled(1), Some(1));
        assert_eq!(acks.arrived(&status(1)), Arrival::Settled);
        assert_eq!(acks.acked(), 1);
    }
}
