//! The cluster's memory, and what everyone may know of it.
//!
//! ```text
//!   entities ──commit──►  Scribe  ──one transaction──► Store (redb, fsync)
//!                           │ then, and only then, in this order:
//!                           ├──► ReadModel   the view that the API and the pages read
//!                           ├──► Feed        the same, as news
//!                           └──► the ack     now the entity may act
//! ```
//! Where several schedulers share their records, what stands in the place of that one transaction is
//! a [`Replica`]: the same changes become true, in the same order, in every member's store, view and
//! feed, once most of them have them on disk.
//!
//! There is one writer, so there is one order, and everybody sees that one. Nothing here knows what
//! a record means; that is for `airglow_model` to say.

#[cfg(test)]
mod bench;
mod books;
mod disk;
mod feed;
mod open;
mod read_model;
mod replica;
mod scribe;
mod shelf;
mod snapshot;
mod store;

pub use feed::{Feed, Listener, News, What};
pub use open::OpenError;
pub use read_model::ReadModel;
pub use replica::{
    Answer, Asking, Lag, Member, NotLeading, PeerLine, Peers, Place, Question, Reign, Replica,
    Setting, Standing, Unchanged,
};
pub use scribe::{Gone, Line, Scribe, Written};
pub use shelf::{Backup, BackupError, NotABackup, Opened, Shelf, backups_in, open_backup};
pub use snapshot::{CheckError, CopyError, Summary};
pub use store::{FILE, Kept, Store, StoreError};
