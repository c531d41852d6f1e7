//! The read model: what the API and the pages show, folded from what was committed.
//!
//! Nobody asks an entity how it is. [`View::apply`] is told every transaction in order, before
//! anybody hears that it succeeded, so a reader sees at least what it has been told of.
//! Besides what is on disk it holds a few things that need not be: why instances are pending, how
//! processes are, which keys were given up on. Those come as [`Note`]s.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use serde::{Deserialize, Serialize};

use crate::{
    config::TaskConfig,
    host::Host,
    ids::{ConfigId, HostId, JobKey, TaskId, TaskKey},
    job::Job,
    machine::Timestamp,
    record::Committed,
    resources::Resources,
    task::{Status, Task},
    wire::ProcessView,
};

#[derive(Clone, Debug, Default)]
pub struct View {
    /// The newest transaction in here.
    pub seq: u64,
    pub jobs: BTreeMap<JobKey, JobView>,
    pub hosts: BTreeMap<HostId, HostView>,
    /// Current runs and those that ended since the scheduler started; older ones are in the store.
    pub slots: BTreeMap<TaskId, TaskKey>,
    /// Entities that kept crashing and were left alone: their key, and what they said last.
    pub quarantined: BTreeMap<String, Quarantine>,
}

#[derive(Clone, Debug)]
pub struct JobView {
    pub job: Job,
    pub configs: BTreeMap<ConfigId, Arc<TaskConfig>>,
    pub tasks: BTreeMap<u32, Task>,
    /// How many slots are in each state; slots without a run count nowhere.
    pub counts: BTreeMap<Status, u32>,
    /// How many runs are in the history.
    pub history: u32,
    pub pending: BTreeMap<u32, Pending>,
    pub processes: BTreeMap<TaskId, Arc<Vec<ProcessView>>>,
}

#[derive(Clone, Debug)]
pub struct HostView {
    pub host: Host,
    /// What the runs that are placed there take, by the scheduler's book.
    pub used: Resources,
    pub ports_used: BTreeSet<u16>,
    pub tasks: BTreeSet<TaskKey>,
    pub heard_at: Timestamp,
}

/// Why an instance is not placed: for each reason, how many hosts it rules out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Pending {
    pub since: Timestamp,
    pub hosts: usize,
    /// Most frequent first: a sentence such as `Insufficient: CPU`, and how many hosts say it.
    pub vetoes: Vec<(String, usize)>,
    /// The host that misses by least, and by what, in words.
    pub nearest: Option<(HostId, String)>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Quarantine {
    pub since: Timestamp,
    pub reason: String,
}

/// News that need not outlive the scheduler.
#[derive(Clone, Debug, PartialEq)]
pub enum Note {
    Pending { task: TaskKey, why: Option<Pending> },
    Processes { task: TaskKey, id: TaskId, processes: Arc<Vec<ProcessView>> },
    Heard { host: HostId, at: Timestamp },
    Quarantined { key: String, why: Quarantine },
}

impl View {
    pub fn apply(&mut self, committed: &Committed) {
        let _ = committed;
        unimplemented!()
    }

    pub fn note(&mut self, note: Note) {
        let _ = note;
        unimplemented!()
    }
}
