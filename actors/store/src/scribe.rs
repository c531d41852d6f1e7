//! The one writer. It lives on a thread of its own, because an fsync is not for sharing.
//!
//! Whatever is asked for during one fsync goes to disk with the next: no timer, nothing to tune.
//! There is no bound on how much may be waiting, because every entity waits for its own commit
//! before it asks for another.
//!
//! It has no way of carrying on without a disk, and does not look for one: if a transaction fails,
//! nobody in it is acknowledged, the reason goes to whoever started the scribe, and it stops. What
//! was acknowledged before is on the disk, and a restart goes on from there.

use std::{
    iter,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::mpsc,
    thread,
};

use airglow_model::{
    record::{Change, Committed},
    view::Note,
};
use tokio::sync::oneshot;

use crate::{Feed, News, ReadModel, Store, StoreError, What};

/// Clones are the same scribe. It ends with the last of them.
#[derive(Clone, Debug)]
pub struct Scribe {
    requests: mpsc::Sender<Request>,
}

/// The scribe has stopped. Whether this was written will be known after a restart.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the store has stopped")]
pub struct Gone;

#[derive(Debug)]
enum Request {
    Commit { changes: Vec<Change>, reply: oneshot::Sender<u64> },
    Note(Note),
}

struct Desk {
    store: Store,
    view: ReadModel,
    feed: Feed,
}

/// So that those who came first need not wait for ever.
const MOST_AT_ONCE: usize = 4096;

impl Scribe {
    /// `failed` hears why, if it ever has to stop before its last handle is dropped.
    pub fn start(
        store: Store,
        view: ReadModel,
        feed: Feed,
        failed: oneshot::Sender<StoreError>,
    ) -> Self {
        let (requests, inbox) = mpsc::channel();
        let desk = Desk { store, view, feed };
        let work = move || {
            // The unwind is not survived, only told: nothing of the desk is used after it.
            let end = catch_unwind(AssertUnwindSafe(|| desk.work(&inbox)));
            if let Err(error) = end.unwrap_or(Err(StoreError::Panicked)) {
                tracing::error!(error = ?error, "the store stops");
                // If nobody wants to know, everybody has gone already.
                failed.send(error).ok();
            }
        };
        thread::Builder::new()
            .name("scribe".to_owned())
            .spawn(work)
            .expect("there is room for one more thread");
        Self { requests }
    }

    /// All of `changes` or none of them, in the order of the calls. Resolves to the transaction's
    /// number once it is on disk and in the view; without changes, to the newest number when
    /// everything before it is.
    pub fn commit(
        &self,
        changes: Vec<Change>,
    ) -> impl Future<Output = Result<u64, Gone>> + Send + use<> {
        let (reply, acked) = oneshot::channel();
        self.ask(Request::Commit { changes, reply });
        async { acked.await.map_err(|_| Gone) }
    }

    /// Into the view and the feed, in order with the commits, but not onto the disk. Senders see
    /// to it that there are not too many.
    pub fn note(&self, note: Note) {
        self.ask(Request::Note(note));
    }

    fn ask(&self, request: Request) {
        // A scribe that is gone drops the reply, which says so.
        self.requests.send(request).ok();
    }
}

impl Desk {
    fn work(&self, inbox: &mpsc::Receiver<Request>) -> Result<(), StoreError> {
        let mut seq = self.store.seq()?;
        while let Ok(first) = inbox.recv() {
            let batch: Vec<_> =
                iter::once(first).chain(inbox.try_iter()).take(MOST_AT_ONCE).collect();
            self.store.write(seq, batch.iter().filter_map(Request::changes))?;
            for request in batch {
                seq = self.tell(seq, request);
            }
        }
        Ok(())
    }

    /// What is on disk becomes true for everybody. The newest transaction's number after it.
    fn tell(&self, seq: u64, request: Request) -> u64 {
        match request {
            Request::Note(note) => {
                let seq = self.view.note(note.clone());
                self.feed.publish(News { seq, what: What::Note(note) });
                seq
            }
            Request::Commit { changes, reply } => {
                let seq = if changes.is_empty() { seq } else { self.publish(seq + 1, changes) };
                // Whoever asked may have died meanwhile; its successor reads the record.
                reply.send(seq).ok();
                seq
            }
        }
    }

    fn publish(&self, seq: u64, changes: Vec<Change>) -> u64 {
        let committed = Committed { seq, changes };
        self.view.apply(&committed);
        self.feed.publish(News { seq, what: What::Committed(committed.changes) });
        seq
    }
}

impl Request {
    fn changes(&self) -> Option<&[Change]> {
        match self {
            Self::Commit { changes, .. } if !changes.is_empty() => Some(changes),
            Self::Commit { .. } | Self::Note(_) => None,
        }
    }
}
