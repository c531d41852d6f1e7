//! What is going to happen, and when. What was entered first for an instant happens first.

use std::collections::BTreeMap;

use crate::machine::Timestamp;

#[derive(Debug)]
pub(super) struct Calendar<T> {
    entries: BTreeMap<(Timestamp, u64), T>,
    entered: u64,
}

impl<T> Calendar<T> {
    pub(super) fn new() -> Self {
        Self { entries: BTreeMap::new(), entered: 0 }
    }

    pub(super) fn enter(&mut self, at: Timestamp, what: T) {
        self.entered += 1;
        self.entries.insert((at, self.entered), what);
    }

    pub(super) fn next_at(&self) -> Option<Timestamp> {
        self.entries.first_key_value().map(|(&(at, _), _)| at)
    }

    pub(super) fn take(&mut self) -> Option<(Timestamp, T)> {
        self.entries.pop_first().map(|((at, _), what)| (at, what))
    }
}
