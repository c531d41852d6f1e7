//! What was committed, in order, to whoever listens.

use std::sync::Arc;

use airglow_model::{record::Change, view::Note};
use tokio::sync::broadcast;

#[derive(Clone, Debug)]
pub struct Feed {}

#[derive(Clone, Debug, PartialEq)]
pub struct News {
    /// Of the transaction; a note has that of the newest transaction before it.
    pub seq: u64,
    pub what: What,
}

#[derive(Clone, Debug, PartialEq)]
pub enum What {
    Committed(Vec<Change>),
    Note(Note),
}

impl Feed {
    /// For a store whose newest transaction is `seq`.
    pub fn new(seq: u64) -> Self {
        let _ = seq;
        unimplemented!()
    }

    /// Everything from now on. Whoever lags is told so, and resumes.
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<News>> {
        unimplemented!()
    }

    /// Everything after transaction `seq`, without a gap and without repetition: first what was missed, then
    /// what is still to come. `None`: too long ago (or of another store); look at the whole view.
    pub fn resume(&self, seq: u64) -> Option<(Vec<Arc<News>>, broadcast::Receiver<Arc<News>>)> {
        let _ = seq;
        unimplemented!()
    }

    /// What has happened after transaction `seq`; `None` as with [`Feed::resume`].
    pub fn since(&self, seq: u64) -> Option<Vec<Arc<News>>> {
        let _ = seq;
        unimplemented!()
    }
}
