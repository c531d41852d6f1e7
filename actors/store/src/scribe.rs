//! The one writer. It lives on a thread of its own, because an fsync is not for sharing.

use airglow_model::{record::Change, view::Note};
use tokio::sync::oneshot;

use crate::{Feed, ReadModel, Store, StoreError};

#[derive(Clone, Debug)]
pub struct Scribe {}

/// The scribe has stopped: whether this was written is known after a restart.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the store has stopped")]
pub struct Gone;

impl Scribe {
    /// `failed` hears why, once, if it ever has to stop. It ends with its last handle, too.
    pub fn start(
        store: Store,
        view: ReadModel,
        feed: Feed,
        failed: oneshot::Sender<StoreError>,
    ) -> Self {
        let _ = (store, view, feed, failed);
        unimplemented!()
    }

    /// All of `changes` or none of them; commits happen in the order of the calls. The transaction's number, when
    /// it is on disk and in the view.
    pub fn commit(
        &self,
        changes: Vec<Change>,
    ) -> impl Future<Output = Result<u64, Gone>> + Send + use<> {
        let _ = changes;
        async { unimplemented!() }
    }

    /// Into the view and the feed, in order with the commits, but not onto the disk. The sender keeps it rare.
    pub fn note(&self, note: Note) {
        let _ = note;
        unimplemented!()
    }
}
