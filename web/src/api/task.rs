//! Tasks and their processes, down to a single run.

use std::collections::BTreeMap;

use airglow_model::{
    ids::JobKey, machine::Timestamp, spec::ProcessSpec, task::Status, wire::ProcessState,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    Config, PendingTask,
    schema::{process_spec, process_state, status},
};

/// The newest run of an instance, or one from its history.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TaskSummary {
    pub role: String,
    pub environment: String,
    pub name: String,
    pub instance: u32,
    pub task_id: String,
    #[schema(schema_with = status)]
    pub status: Status,
    /// Whether there is more to come of it.
    pub active: bool,
    /// When it came into this state.
    #[schema(value_type = u64)]
    pub since: Timestamp,
    /// When it came to be.
    #[schema(value_type = u64)]
    pub created_at: Timestamp,
    /// What was said about its newest event.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// Where it runs or ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub ports: BTreeMap<String, u16>,
    /// How many runs before it failed.
    pub failures: u32,
    /// Which attempt of its instance it is.
    pub attempt: u32,
    /// Which of the job's configurations it runs with.
    pub config: u32,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TaskDetail {
    pub task: TaskSummary,
    /// Absent once the job has forgotten it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<Config>,
    #[serde(flatten)]
    pub on_host: OnHost,
    /// Oldest first.
    pub events: Vec<TaskEvent>,
    /// The run that this one took the place of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ancestor: Option<String>,
    /// How long it had to wait because its predecessors kept failing.
    pub penalty_ms: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending: Option<PendingTask>,
    pub processes: Vec<Process>,
    /// Why `processes` is empty, if its host could not be asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub processes_unknown: Option<String>,
}

/// What only its host knows of a task.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct OnHost {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage: Option<Stage>,
    /// Absent if it has no health check.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<Health>,
    /// Absent until it was measured, and when nothing of it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<TaskUsage>,
    /// What it is kept from, and what it is not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub isolation: Vec<String>,
    /// All its ports by all their names, aliases included.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub ports: BTreeMap<String, u16>,
    /// Whose processes they are.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub user: String,
    /// Why its host did not say how it is now, if it did not: then this is all that is known here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unheard: Option<String>,
}

/// Where a task is between its beginning and its end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Stage {
    /// `preparing`, `active`, `leaving`, `cleaning`, `finalizing`, `ending` or `over`.
    pub name: String,
    /// What is being waited for.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
    /// Until when at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u64>)]
    pub until: Option<Timestamp>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Health {
    /// How it is checked.
    #[schema(example = "GET http://localhost:31000/health")]
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
    /// The last few, newest last.
    pub last: Vec<Check>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Check {
    #[schema(value_type = u64)]
    pub at: Timestamp,
    pub is_success: bool,
    pub latency_ms: u64,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
}

/// What all processes of a task use together.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TaskUsage {
    #[schema(value_type = u64)]
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
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ProcessUsage {
    /// Cores.
    pub cpu: f64,
    pub cpu_seconds: f64,
    /// Bytes.
    pub ram: u64,
    pub processes: u64,
    pub threads: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TaskEvent {
    #[schema(value_type = u64)]
    pub at: Timestamp,
    #[schema(schema_with = status)]
    pub status: Status,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
}

/// A process of a task, as it goes. (The language's own `Process` is what was written.)
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = TaskProcess)]
pub struct Process {
    pub name: String,
    /// `WAITING` until its first run, then its newest run's.
    #[schema(schema_with = process_state)]
    pub state: ProcessState,
    #[serde(rename = "final")]
    pub is_final: bool,
    pub daemon: bool,
    pub ephemeral: bool,
    pub failures: u32,
    /// Newest last; of very many only the newest.
    pub runs: Vec<Run>,
    /// Of its current run, its descendants included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<ProcessUsage>,
}

/// A process of a task with what was written about it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ProcessDetail {
    pub task: TaskSummary,
    pub process: Process,
    /// Absent once the job has forgotten it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = process_spec)]
    pub spec: Option<ProcessSpec>,
    /// Whom it waits for: they have to succeed before it starts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<String>,
    /// Why its host did not say how it is now, if it did not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unheard: Option<String>,
}

/// One run of a process.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Run {
    /// From 0.
    pub run: u32,
    #[schema(schema_with = process_state)]
    pub state: ProcessState,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<i32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u64>)]
    pub started_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u64>)]
    pub ended_at: Option<Timestamp>,
    /// Negative is the signal that ended it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

impl TaskSummary {
    pub fn job(&self) -> JobKey {
        JobKey::new(&self.role, &self.environment, &self.name)
    }
}
