//! What must not be lost, until it is acknowledged.

use std::collections::VecDeque;

#[derive(Clone, Debug)]
pub struct Outbox<T> {
    /// The sequence number of the newest, or of the newest ever if all were acknowledged.
    newest: u64,
    pending: VecDeque<T>,
}

impl<T> Outbox<T> {
    /// Empty, as if everything up to and including `newest` had been acknowledged.
    pub fn after(newest: u64) -> Self {
        Self { newest, pending: VecDeque::new() }
    }

    /// Its sequence number: one more than the one before it.
    pub fn push(&mut self, item: T) -> u64 {
        self.pending.push_back(item);
        self.newest += 1;
        self.newest
    }

    /// Everything up to and including `seq` has arrived. Old news is ignored, and so is what cannot be.
    pub fn ack(&mut self, seq: u64) {
        let _ = seq;
        unimplemented!()
    }

    /// What to send (again), oldest first.
    pub fn pending(&self) -> impl Iterator<Item = (u64, &T)> {
        let first = self.newest + 1 - self.pending.len() as u64;
        (first..).zip(&self.pending)
    }
}
