//! The cluster's memory: records in redb behind one writer, and what everyone else may know of them.

mod feed;
mod read_model;
mod scribe;
mod store;

pub use feed::{Feed, News, What};
pub use read_model::ReadModel;
pub use scribe::{Gone, Scribe};
pub use store::{FILE, OpenError, Store, StoreError};
