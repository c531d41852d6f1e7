//! The closed set of things that the store keeps, and the names under which it keeps them.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::{
    config::TaskConfig,
    host::Host,
    ids::{ConfigId, HostId, JobKey, TaskId, TaskKey},
    job::Job,
    task::{Run, Task},
};

/// The version of everything below. A store of a newer one is refused, of an older one migrated.
pub const SCHEMA: u32 = 1;

/// Where a record lives. Every record has one owner, and only that entity writes it.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd, Hash, Serialize, Deserialize)]
pub enum RecordKey {
    Job(JobKey),
    Config(JobKey, ConfigId),
    Task(TaskKey),
    /// An ended attempt of an instance.
    History(TaskKey, TaskId),
    Host(HostId),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Record {
    Job(Job),
    Config(Arc<TaskConfig>),
    Task(Task),
    History(Run),
    Host(Host),
}

/// One record's new content, or its end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Change {
    pub key: RecordKey,
    pub record: Option<Record>,
}

/// What one transaction made true, in the order of all transactions.
#[derive(Clone, Debug, PartialEq)]
pub struct Committed {
    pub seq: u64,
    pub changes: Vec<Change>,
}

/// `kind/…`, unique and sorted by what belongs together. Identifiers hold no `/`.
impl fmt::Display for RecordKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Job(job) => write!(f, "job/{job}"),
            Self::Config(job, ConfigId(number)) => write!(f, "config/{job}/{number:010}"),
            Self::Task(TaskKey { job, instance }) => write!(f, "task/{job}/{instance:010}"),
            Self::History(TaskKey { job, instance }, id) => {
                write!(f, "history/{job}/{instance:010}/{id}")
            }
            Self::Host(host) => write!(f, "host/{host}"),
        }
    }
}
