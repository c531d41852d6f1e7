//! The database, without a thread in sight.

use std::path::{Path, PathBuf};

use airglow_model::{
    ids::{JobKey, TaskId, TaskKey},
    record::{Record, RecordKey},
    task::Run,
};

/// The name of the database's file in a data folder.
pub const FILE: &str = "airglow.redb";

/// One database. Clones are the same one.
#[derive(Clone, Debug)]
pub struct Store {}

#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("{path} is in use by another process")]
    Locked { path: PathBuf },
}

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("the database cannot be read or written")]
    Database(#[source] Box<redb::Error>),
}

impl Store {
    /// Created if absent. A file that cannot be used is left as it is, to the byte.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        let _ = path;
        unimplemented!()
    }

    /// All but the history, in the order of [`RecordKey`]: jobs first.
    pub fn records(&self) -> Result<Vec<(RecordKey, Record)>, StoreError> {
        unimplemented!()
    }

    /// The newest `limit` ended runs of a job, or of one instance of it, newest first.
    pub fn history(
        &self,
        job: &JobKey,
        instance: Option<u32>,
        limit: usize,
    ) -> Result<Vec<(TaskKey, Run)>, StoreError> {
        let _ = (job, instance, limit);
        unimplemented!()
    }

    /// An ended run.
    pub fn run(&self, id: &TaskId) -> Result<Option<(TaskKey, Run)>, StoreError> {
        let _ = id;
        unimplemented!()
    }
}
