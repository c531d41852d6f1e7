//! What the scheduler's actors say to each other about anything that happens.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use actix::prelude::*;
use airglow_model::machine::Rejected;
use airglow_store::{Listener, What};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::oneshot;

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

/// The same to many: the sender hears when all of them have dealt with it.
#[derive(Clone, Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Circular<E> {
    pub(crate) event: E,
    pub(crate) tally: Tally,
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

    /// One that is waited for. Whoever waits may go away; it is dealt with all the same.
    pub(crate) fn awaited() -> (Self, impl Future<Output = Settled>) {
        let (tell, told) = oneshot::channel();
        let receipt = Self::new(move |settled| drop(tell.send(settled)));
        (receipt, async { told.await.unwrap_or(Settled::Lost) })
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

/// How many have dealt with an event that many are told. Told when nobody can any more, be it
/// because all have: whoever has crashed with it, or is quarantined, has not.
#[derive(Clone)]
pub(crate) struct Tally(Arc<Count>);

struct Count {
    missing: AtomicU64,
    tell: Option<TellMissing>,
}

type TellMissing = Box<dyn FnOnce(u64) + Send + Sync>;

impl Tally {
    /// `tell` hears how many of `all` have not dealt with it.
    pub(crate) fn new(all: u64, tell: impl FnOnce(u64) + Send + Sync + 'static) -> Self {
        Self(Arc::new(Count { missing: AtomicU64::new(all), tell: Some(Box::new(tell)) }))
    }

    /// For one of them.
    pub(crate) fn receipt(self) -> Receipt {
        Receipt::new(move |settled| match settled {
            Settled::Committed | Settled::Rejected(_) => {
                self.0.missing.fetch_sub(1, Ordering::Relaxed);
            }
            Settled::Lost => {}
        })
    }
}

impl Drop for Count {
    fn drop(&mut self) {
        if let Some(tell) = self.tell.take() {
            tell(*self.missing.get_mut());
        }
    }
}

impl fmt::Debug for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tally({} missing)", self.0.missing.load(Ordering::Relaxed))
    }
}

/// Waits until something has been committed.
pub(crate) async fn commit(listener: &mut Listener) {
    loop {
        match listener.recv().await {
            Ok(news) => match news.what {
                What::Committed(_) => return,
                What::Note(_) => {}
            },
            Err(RecvError::Lagged(_)) => return,
            Err(RecvError::Closed) => return std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn a_tally_is_told_once_when_the_last_one_has_dealt_with_it_or_never_will() {
        let rejected = || Settled::Rejected(Rejected { state: "KILLED", event: "restart asked" });
        for (settled, missing) in [
            ([Settled::Committed, rejected()], 0),
            ([rejected(), Settled::Lost], 1),
            ([Settled::Lost, Settled::Lost], 2),
        ] {
            let (tell, told) = mpsc::channel();
            let tally = Tally::new(2, move |missing| tell.send(missing).unwrap());
            let receipts = settled.each_ref().map(|_| tally.clone().receipt());
            drop(tally);
            for (receipt, how) in receipts.into_iter().zip(settled) {
                assert!(told.try_recv().is_err(), "it is too soon");
                receipt.settle(how);
            }
            assert_eq!(told.iter().collect::<Vec<_>>(), [missing]);
        }
    }
}
