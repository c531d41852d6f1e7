//! What the scheduler's actors say to each other about anything that happens.

use std::fmt;

use actix::prelude::*;
use airglow_model::machine::Rejected;

/// Something happened to an entity.
#[derive(Clone, Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Happened<E>(pub(crate) E);

/// The same, by registered mail: the sender hears what became of it.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Registered<E> {
    pub(crate) event: E,
    pub(crate) receipt: Receipt,
}

/// What became of an event.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Settled {
    /// The entity's new state is on disk and in the view.
    Committed,
    Rejected(Rejected),
    /// Nobody has taken it in: the entity crashed first, or is quarantined.
    Lost,
}

/// Told exactly once. Whoever drops it without a word has lost the event, be it in a crash.
pub(crate) struct Receipt(Option<Box<dyn FnOnce(Settled) + Send>>);

impl Receipt {
    /// `tell` is called wherever the event ends, a panicking thread included.
    pub(crate) fn new(tell: impl FnOnce(Settled) + Send + 'static) -> Self {
        Self(Some(Box::new(tell)))
    }

    pub(crate) fn settle(mut self, how: Settled) {
        self.tell(how);
    }

    fn tell(&mut self, how: Settled) {
        if let Some(tell) = self.0.take() {
            tell(how);
        }
    }
}

impl Drop for Receipt {
    fn drop(&mut self) {
        self.tell(Settled::Lost);
    }
}

impl fmt::Debug for Receipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Receipt")
    }
}
