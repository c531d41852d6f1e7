//! How a task is on its host, for people to look at.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::machine::Timestamp;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TaskView {
    pub stage: StageView,
    /// Absent if it has no health check.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<HealthView>,
    pub processes: Vec<ProcessView>,
    /// Absent until it was measured, and when nothing of it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<TaskUsage>,
    /// What it is kept from, and what it is not: `memory is not limited: no control groups`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub isolation: Vec<String>,
    /// All its ports by all their names, aliases included.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub ports: BTreeMap<String, u16>,
    /// Whose processes they are.
    #[serde(default)]
    pub user: String,
}

/// Where a task is between its beginning and its end.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StageView {
    /// `preparing`, `active`, `leaving`, `cleaning`, `finalizing`, `ending` or `over`.
    pub name: String,
    /// What is being waited for, in words; empty if nothing is.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
    /// Until when at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct HealthView {
    /// How it is checked: `GET http://localhost:31000/health`.
    pub check: String,
    /// It has been healthy once, and not unhealthy since.
    pub is_healthy: bool,
    pub consecutive_successes: u32,
    pub consecutive_failures: u32,
    /// A `.healthchecksnooze` lets all checks succeed.
    pub is_snoozed: bool,
    /// In all.
    pub checks: u64,
    pub total_latency_ms: u64,
    /// The last [`CHECKS_SHOWN`], newest last.
    pub last: Vec<CheckView>,
}

pub const CHECKS_SHOWN: usize = 10;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CheckView {
    pub at: Timestamp,
    pub is_success: bool,
    pub latency_ms: u64,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
}

/// What all processes of a task use together.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TaskUsage {
    pub at: Timestamp,
    /// Cores, on average since the measurement before.
    pub cpu: f64,
    /// Seconds of a core since its beginning.
    pub cpu_seconds: f64,
    /// Bytes, file caches not counted.
    pub ram: u64,
    /// Bytes of its sandbox, as allocated on the disk.
    pub disk: u64,
    /// How many processes and threads it has.
    pub pids: u64,
}

/// What a process and its descendants use.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ProcessUsage {
    pub cpu: f64,
    pub cpu_seconds: f64,
    pub ram: u64,
    pub processes: u64,
    pub threads: u64,
}

/// A process of a task and its runs, newest last.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProcessView {
    pub name: String,
    /// The process's own state: `WAITING` until its first run, then its newest run's.
    pub state: ProcessState,
    pub is_final: bool,
    pub daemon: bool,
    pub ephemeral: bool,
    /// How many of its runs failed.
    pub failures: u32,
    /// At most the newest [`RUNS_SHOWN`] of them.
    pub runs: Vec<RunView>,
    /// Of its current run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<ProcessUsage>,
}

/// How many runs of a process are shown.
pub const RUNS_SHOWN: usize = 100;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunView {
    /// From 0.
    pub run: u32,
    pub state: ProcessState,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<i32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// The exit code; negative is the signal that ended it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ProcessState {
    Waiting,
    Forked,
    Running,
    Success,
    Killed,
    Failed,
    Lost,
}

impl ProcessState {
    pub fn is_terminal(self) -> bool {
        match self {
            Self::Waiting | Self::Forked | Self::Running => false,
            Self::Success | Self::Killed | Self::Failed | Self::Lost => true,
        }
    }
}
