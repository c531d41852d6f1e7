//! The view, shared by many readers.

use airglow_model::view::View;

use crate::{Store, StoreError};

#[derive(Clone, Debug)]
pub struct ReadModel {}

impl ReadModel {
    /// What is true in `store`.
    pub fn load(store: &Store) -> Result<Self, StoreError> {
        let _ = store;
        unimplemented!()
    }

    /// Never held across an `await`: the closure is synchronous.
    pub fn read<R>(&self, read: impl FnOnce(&View) -> R) -> R {
        let _ = read;
        unimplemented!()
    }
}
