//! What tasks use, and whether that is more than they asked for: one actor for all of a host's.
//!
//! A tick a second, as long as there are tasks, finds out what is due. *Scans* look through all
//! processes of the machine and all control groups for memory and processor time; *walks* go through
//! sandboxes for the disk. Both are done by workers, one of each at a time, and the longer they take
//! the less often they are done ([`pace`]): the work is bounded whatever the number of tasks, of
//! processes, or of files that one of them makes. While the disk is filling up there are more walks.
//!
//! A task that has had more than its share is told so once, by the closure that came with its
//! [`Watch`]; that it ends for it is decided elsewhere. Memory is limited by the kernel, so by then it
//! has ended a process. Nothing here is remembered: whoever starts again watches again.
//!
//! ```text
//! care ──── Watch, Trees, Unwatch ───► meter ──── told(why) ───► runner
//!                                        │
//!                                     usages ──► a task's view, Metrics::text
//! ```
//! Where there are no control groups memory is what processes have resident, processes are counted by
//! their ancestry, and nobody is told of too much memory.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use actix::prelude::*;
use airglow_model::{
    ids::{TaskId, TaskKey},
    retention::Disk,
    wire::{ProcessUsage, TaskUsage},
};
use nix::sys::statvfs::statvfs;

mod actor;
mod pace;
mod processes;
pub(crate) mod reasons;
mod sample;
mod stroll;
#[cfg(test)]
mod tests;
mod text;
mod walk;

pub(crate) use actor::Meter;
pub(crate) use text::Metrics;

use crate::{
    cgroups::{Group, Limits},
    pids::Identity,
};

/// See what it uses from now on. Said again, it replaces what was said before.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Watch {
    pub(crate) task_id: TaskId,
    pub(crate) task: TaskKey,
    pub(crate) sandbox: PathBuf,
    pub(crate) limits: Limits,
    /// Bytes that it asked for; 0 if it did not.
    pub(crate) disk: u64,
    pub(crate) group: Option<Group>,
    /// Hears, at most once for memory and once for the disk, why the task should end.
    pub(crate) told: Told,
}

pub(crate) type Told = Arc<dyn Fn(String) + Send + Sync>;

/// Whose descendants its processes are, as of now. Said whenever that changes.
#[derive(Clone, Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Trees {
    pub(crate) task_id: TaskId,
    pub(crate) roots: Roots,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Roots {
    pub(crate) shepherd: Option<Identity>,
    /// Of those of its processes that run, what each run began with.
    pub(crate) mains: BTreeMap<String, Identity>,
}

/// Forget it.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Unwatch(pub(crate) TaskId);

/// What was measured last of all tasks that are watched, for whoever wants to know.
#[derive(Clone, Debug, Default)]
pub(crate) struct Usages(Arc<Mutex<BTreeMap<TaskId, Measured>>>);

#[derive(Clone, Debug)]
struct Measured {
    task: TaskKey,
    limits: Limits,
    disk_reserved: u64,
    /// `None` before the first time.
    usage: Option<TaskUsage>,
    processes: BTreeMap<String, ProcessUsage>,
}

/// How much room there is where this is, for those who may not use all of it.
pub(crate) fn space(path: &Path) -> io::Result<Disk> {
    let stat = statvfs(path)?;
    let bytes = |blocks: u64| blocks.saturating_mul(stat.fragment_size());
    Ok(Disk { size: bytes(stat.blocks()), free: bytes(stat.blocks_available()) })
}

impl Usages {
    /// Of the whole task, and of those of its processes that run, by name.
    pub(crate) fn of(&self, id: &TaskId) -> Option<(TaskUsage, BTreeMap<String, ProcessUsage>)> {
        let measured = self.lock();
        let measured = measured.get(id)?;
        Some((measured.usage.clone()?, measured.processes.clone()))
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<TaskId, Measured>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
