//! All that a scheduler and an agent say to each other. Plain data; neither knows the other's code.
//!
//! What must not be lost is sent again until it is acknowledged: a [`Status`] until an
//! [`ToExecutor::Ack`] with its sequence number says that it is on the scheduler's disk. Orders
//! follow from the scheduler's state, so they are derived again after every reconnect, from the
//! [`Inventory`](ToScheduler::Inventory).
//!
//! Each side speaks several versions of this ([`PROTOCOLS`]), and both go by the newest that they
//! have in common. What is only added needs no version of its own: fields that are absent have a
//! default, fields that are unknown are not looked at, and an unknown word is [`Unknown`] and
//! changes nothing. That is safe, since orders are derived again, and what was not acknowledged is
//! said again. A state or an answer that is unknown is another matter: it ends the connection, so
//! it may only be said from the version on that has it.
//!
//! [`Unknown`]: ToExecutor::Unknown

use std::{net::SocketAddr, sync::Arc};

use serde::{Deserialize, Serialize};

mod protocol;
mod task_view;

pub use protocol::*;
pub use task_view::*;

use crate::{
    config::{Ports, TaskConfig},
    ids::{Attempt, HostId, MachineId, TaskId, TaskKey},
    machine::Timestamp,
    resources::{Attributes, Resources},
};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "say", rename_all = "snake_case")]
pub enum ToScheduler {
    /// The first word on every connection.
    Hello(Hello),
    /// Everything that this host knows of. On connecting, right after `Hello`, and now and then.
    Inventory {
        tasks: Vec<Inventoried>,
    },
    /// A task's state has changed. Repeated until acknowledged.
    Status(Status),
    /// How a task's processes are, for people to look at. Not acknowledged.
    Processes {
        task_id: TaskId,
        processes: Vec<ProcessView>,
    },
    Answer {
        request: u64,
        answer: Answer,
    },
    /// This host's certificate is to be followed by another, for the key of this request.
    Renew {
        /// For hosts whose certificate names none.
        machine: MachineId,
        request: String,
    },
    Ping {
        /// What the host's clock shows, for people to see that it is wrong.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        at: Option<Timestamp>,
    },
    /// Something that only a newer agent says.
    #[serde(other)]
    Unknown,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "say", rename_all = "snake_case")]
pub enum ToExecutor {
    /// The first word to a host that is heard from now on.
    Welcome(Welcome),
    /// The first and last word of a scheduler that does not lead.
    Elsewhere {
        /// Who does, if it knows.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        leader: Option<SocketAddr>,
        schedulers: Vec<SocketAddr>,
    },
    /// The first and last word to a host that is not to be part of this.
    Refused {
        why: String,
    },
    /// Everything up to and including `seq` is on the scheduler's disk.
    Ack {
        seq: u64,
    },
    Launch(Box<Launch>),
    /// End the task, gracefully as its configuration says.
    Kill {
        task_id: TaskId,
        reason: String,
    },
    Ask {
        request: u64,
        question: Question,
    },
    /// Say the [`Inventory`](ToScheduler::Inventory) now.
    TakeStock,
    /// The certificate that was asked for, and the authority's.
    Renewed {
        chain: String,
    },
    Pong,
    /// Something that only a newer scheduler says.
    #[serde(other)]
    Unknown,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Welcome {
    pub cluster: String,
    /// Which version both sides speak from now on.
    pub protocol: u32,
    /// Grows whenever a scheduler begins to lead. Whoever has heard of a later one obeys no earlier.
    #[serde(default)]
    pub term: u64,
    /// Where all of the cluster's are, the one that says this among them.
    #[serde(default)]
    pub schedulers: Vec<SocketAddr>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Hello {
    pub host: HostId,
    pub version: String,
    /// The newest version of the protocol that it speaks.
    pub protocol: u32,
    /// And the oldest; absent: no other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest_protocol: Option<u32>,
    pub attributes: Attributes,
    pub capacity: Capacity,
    /// The latest that it has heard of.
    #[serde(default)]
    pub term: u64,
    /// How long it lets its tasks run when it hears from no scheduler; absent: for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub isolated_max_secs: Option<u64>,
}

impl Hello {
    /// Of a host that has nothing to offer, and speaks as this program does.
    pub fn of(host: impl Into<HostId>, version: &str) -> Self {
        Self {
            host: host.into(),
            version: version.to_owned(),
            protocol: PROTOCOLS.newest,
            oldest_protocol: Some(PROTOCOLS.oldest),
            attributes: Attributes::new(),
            capacity: Capacity::default(),
            term: 0,
            isolated_max_secs: None,
        }
    }

    pub fn protocols(&self) -> Protocols {
        let newest = self.protocol;
        Protocols { oldest: self.oldest_protocol.unwrap_or(newest), newest }
    }
}

/// What a host has to offer when nothing runs on it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Capacity {
    pub resources: Resources,
    /// Inclusive ranges.
    pub ports: Vec<(u16, u16)>,
    /// What it offers to revocable tasks beyond that, and may take back. Only cores and memory
    /// count.
    #[serde(default)]
    pub revocable: Resources,
}

/// One attempt to be run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Launch {
    pub task: TaskKey,
    pub attempt: Attempt,
    pub task_id: TaskId,
    pub config: Arc<TaskConfig>,
    pub ports: Ports,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Inventoried {
    pub task: TaskKey,
    pub attempt: Attempt,
    pub task_id: TaskId,
    pub state: RunState,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// Grows by one with each status of this agent's data directory, restarts included.
    pub seq: u64,
    pub task: TaskKey,
    pub attempt: Attempt,
    pub task_id: TaskId,
    pub state: RunState,
    pub message: String,
    pub at: Timestamp,
}

/// What a host can say about an attempt.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum RunState {
    Starting,
    Running,
    Finished,
    Failed,
    Killed,
    Lost,
}

impl RunState {
    pub fn is_terminal(self) -> bool {
        match self {
            Self::Starting | Self::Running => false,
            Self::Finished | Self::Failed | Self::Killed | Self::Lost => true,
        }
    }
}

/// What may be asked of a host, above all about a task that it has or had.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case")]
pub enum Question {
    /// How the task is, from its stage to its processes' runs.
    Task { task_id: TaskId },
    /// What the host measures of itself and its tasks.
    Metrics,
    /// `length` bytes (the answer may have fewer) of a run's log. A negative offset counts from the end.
    Log { task_id: TaskId, process: String, run: u32, stream: Stream, offset: i64, length: u32 },
    /// A folder's entries or a piece of a file, below the sandbox.
    File { task_id: TaskId, path: String, offset: u64, length: u32 },
    /// Something that only a newer scheduler asks. It is answered that it cannot be.
    #[serde(other)]
    Unknown,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stream {
    Stdout,
    Stderr,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum Answer {
    Task(Box<TaskView>),
    /// As Prometheus reads it.
    Metrics {
        text: String,
    },
    /// A piece of a file. Bytes that are not UTF-8 travel as base64.
    Piece {
        offset: u64,
        size: u64,
        data: Bytes,
    },
    Folder {
        entries: Vec<Entry>,
    },
    /// There is no such task, log or file here; `what` says which.
    NotFound {
        what: String,
    },
    /// It is here and could not be read.
    Failed {
        why: String,
    },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bytes {
    Text(String),
    Base64(String),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    pub name: String,
    pub is_folder: bool,
    pub size: u64,
    pub modified_at: Timestamp,
    /// Its kind and who may do what with it, as `stat` tells; 0 if the host is too old to say.
    #[serde(default)]
    pub mode: u32,
    /// The user's name, or number if nobody has it.
    #[serde(default)]
    pub owner: String,
    /// Where it leads if it is a symbolic link, as written there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
}
