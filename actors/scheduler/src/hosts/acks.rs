//! Which of a host's reports may be acknowledged.
//!
//! An acknowledgement covers everything before it, but reports are settled by many entities in any
//! order. So one report that takes its time holds back the others' acknowledgement, never their
//! effect.

use std::collections::BTreeMap;

use airglow_model::wire::Status;

#[derive(Debug, Default)]
pub(crate) struct Acks {
    /// Heard on this connection, and neither committed nor refused.
    unsettled: BTreeMap<u64, Status>,
    newest: u64,
    acked: u64,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Arrival {
    News,
    /// It is being dealt with.
    Repeated,
    /// It was settled: the host has missed the acknowledgement.
    Settled,
}

impl Acks {
    pub(crate) fn arrived(&mut self, status: &Status) -> Arrival {
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
    pub(crate) fn settled(&mut self, seq: u64) -> Option<u64> {
        self.unsettled.remove(&seq);
        let safe = self.unsettled.first_key_value().map_or(self.newest, |(&seq, _)| seq - 1);
        (safe > self.acked).then(|| {
            self.acked = safe;
            safe
        })
    }

    pub(crate) fn acked(&self) -> u64 {
        self.acked
    }

    pub(crate) fn unsettled(&self, seq: u64) -> Option<&Status> {
        self.unsettled.get(&seq)
    }
}

#[cfg(test)]
mod tests {
    use airglow_model::{
        ids::{Attempt, JobKey, TaskId},
        machine::Timestamp,
        wire::RunState,
    };

    use super::*;

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
