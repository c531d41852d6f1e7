//! The view, shared by many readers.

use std::sync::{Arc, RwLock};

use airglow_model::{
    record::{Change, Committed},
    view::{Note, View},
};

use crate::{Store, StoreError};

/// Clones are the same view.
#[derive(Clone, Debug)]
pub struct ReadModel {
    view: Arc<RwLock<View>>,
}

impl ReadModel {
    pub fn new(view: View) -> Self {
        Self { view: Arc::new(RwLock::new(view)) }
    }

    /// What is true in `store`. It is folded by the same code as every later commit.
    pub fn load(store: &Store) -> Result<Self, StoreError> {
        Self::load_into(View::default(), store)
    }

    /// The same for an empty view that counts otherwise.
    pub fn load_into(view: View, store: &Store) -> Result<Self, StoreError> {
        load(view, store).map(Self::new)
    }

    /// From now on it is what is true in `store`, folded into an empty view.
    pub(crate) fn reload(&self, empty: View, store: &Store) -> Result<u64, StoreError> {
        let loaded = load(empty, store)?;
        let seq = loaded.seq;
        *self.view.write().expect(WHOLE) = loaded;
        Ok(seq)
    }

    /// Readers share it and the scribe waits for them, so look, copy what you need, and be gone.
    /// It cannot be held across an `await`.
    pub fn read<R>(&self, read: impl FnOnce(&View) -> R) -> R {
        read(&self.view.read().expect(WHOLE))
    }

    pub(crate) fn apply(&self, committed: &Committed) {
        self.view.write().expect(WHOLE).apply(committed);
    }

    /// The newest transaction before the note.
    pub(crate) fn note(&self, note: Note) -> u64 {
        let mut view = self.view.write().expect(WHOLE);
        view.note(note);
        view.seq
    }
}

fn load(mut view: View, store: &Store) -> Result<View, StoreError> {
    let change = |(key, record)| Change { key, record: Some(record) };
    let changes = store.records()?.into_iter().map(change).collect();
    view.apply(&Committed { seq: store.seq()?, changes });
    for (job, ended) in store.ended_runs()? {
        view.recall(&job, ended);
    }
    Ok(view)
}

const WHOLE: &str = "a view that was left half changed is of no use to anybody";
