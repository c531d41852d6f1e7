//! What the agent asks of a task's shepherd, and what the shepherd writes down: lines of JSON.
//!
//! The agent binds a socket in the task's folder and has the zygote fork a shepherd around it, with
//! a [`Summons`]. From then on whoever connects to the socket may give [`Order`]s, each of which may
//! be repeated without harm, and gets a byte whenever the shepherd has added a [`Record`] to its
//! file. The file is the truth: who comes late, or again, reads it from the beginning. When the
//! connection ends, or none can be made, there is no shepherd any more.
//!
//! Of commands that look at the task from within nothing is written down, because there is no end of
//! them, and who did not ask does not want to know. How one ended is said to those who are connected:
//! the [`Record`], between the other bytes, none of which is part of a record.

use std::path::PathBuf;

use airglow_model::{machine::Timestamp, process::Exit, run::RunId};
use serde::{Deserialize, Serialize};

use crate::pids::Identity;

/// What makes a fork of the zygote the shepherd of one task.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Summons {
    /// Absolute; where `record.jsonl` is to be.
    pub(crate) folder: PathBuf,
    /// Absolute; where processes start. It exists, and belongs to `user`.
    pub(crate) sandbox: PathBuf,
    /// Whose processes they are; the agent's own, if nothing is said.
    pub(crate) user: Option<Credentials>,
    /// The `cgroup.procs` files of its control groups, to be joined before anything is started.
    pub(crate) groups: Vec<PathBuf>,
    /// Where the kernel counts those of the task's processes that it killed for want of memory: the
    /// number after `oom_kill ` in this file.
    pub(crate) memory_events: Option<PathBuf>,
    /// Whether it gets a process and a mount namespace of its own.
    pub(crate) namespaces: bool,
    /// How many files a process may have open.
    pub(crate) open_files: u64,
}

#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub(crate) struct Credentials {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) groups: Vec<u32>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "order", rename_all = "snake_case")]
pub(crate) enum Order {
    /// Start a run, unless it was started before.
    Start(Start),
    /// SIGTERM to every process that a run began with and to whoever has lost its parent.
    Term,
    /// SIGKILL to everything of the task; the shepherd stays and takes orders.
    Kill,
    /// SIGKILL to one run's process group.
    KillRun { run: RunId },
    /// End everything, then itself.
    Leave,
}

/// A run of a process, or of a command that looks at the task from within (whose process has a name
/// that begins with a dot, which no user's process has). Those of another name end when one begins:
/// whoever wanted to look before is gone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Start {
    #[serde(flatten)]
    pub(crate) run: RunId,
    pub(crate) cmdline: String,
    /// All of it: nothing is inherited.
    pub(crate) environment: Vec<(String, String)>,
    pub(crate) stdout: Output,
    pub(crate) stderr: Output,
}

/// Whether it only looks at the task from within.
pub(crate) fn is_look(id: &RunId) -> bool {
    id.process.starts_with('.')
}

/// Where the bytes of a stream go; each of the two if it is there, else nowhere.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Output {
    /// Absolute. The folder that it is in is made.
    pub(crate) file: Option<PathBuf>,
    /// The file does not grow much beyond this: it becomes `FILE.1`, that `FILE.2`, and so on.
    pub(crate) rotate: Option<Rotate>,
    /// A second file, which is shared with others and never rotated.
    pub(crate) console: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub(crate) struct Rotate {
    /// Bytes; at least one.
    pub(crate) size: u64,
    /// How many old files are kept; at least one.
    pub(crate) backups: u32,
}

/// What a shepherd writes down, in the order in which it happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "record", rename_all = "snake_case")]
pub(crate) enum Record {
    /// The first. Processes are named by their numbers outside of all namespaces.
    Shepherd {
        #[serde(flatten)]
        identity: Identity,
        /// Whether its end is everybody's end, by the kernel's hand.
        namespaces: bool,
    },
    Started {
        #[serde(flatten)]
        id: RunId,
        #[serde(flatten)]
        main: Identity,
        at: Timestamp,
    },
    /// Its main process has ended, and what was in its process group is gone. On disk for good
    /// before anybody hears of it. `leftover`: there are processes of the task that no living run
    /// accounts for.
    Ended {
        #[serde(flatten)]
        id: RunId,
        at: Timestamp,
        exit: Exit,
        leftover: bool,
    },
    /// There is no such process any more.
    Gone,
    /// The kernel has killed this many processes of the task for want of memory, in all.
    OutOfMemory { kills: u64 },
}
