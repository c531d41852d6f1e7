//! The life of one task instance: a slot (job and instance number) and the runs that fill it.

use serde::{Deserialize, Serialize};

use crate::{
    config::Ports,
    ids::{Attempt, ConfigId, HostId, TaskId, TaskKey},
    machine::Timestamp,
    spec::PartitionPolicy,
    wire,
};

/// A slot. It remembers its current run; runs that ended are in the history.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Task {
    pub key: TaskKey,
    /// When the slot came to be; part of its runs' ids.
    pub born_at: Timestamp,
    /// Which of the job's demands it has met.
    pub generation: u32,
    /// The newest attempt, whether or not there is a run of it.
    pub attempt: Attempt,
    /// What the configuration says that matters for the life of its runs.
    pub policy: Policy,
    /// `None`: killed while nothing was running, so there is nothing to tell.
    pub run: Option<Run>,
}

/// The part of a configuration that decides what comes after a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Policy {
    pub service: bool,
    /// −1: any number.
    pub max_task_failures: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partition: Option<PartitionPolicy>,
}

/// One attempt, from PENDING to its end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Run {
    pub id: TaskId,
    pub attempt: Attempt,
    pub config: ConfigId,
    /// The run before it, if this one takes its place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ancestor: Option<TaskId>,
    /// How many runs of the line failed before this one.
    pub failures: u32,
    /// The penalty that this run's predecessors earned by flapping.
    pub penalty_ms: u64,
    #[serde(default)]
    pub times_partitioned: u32,
    pub state: State,
    /// What happened, oldest first.
    pub events: Vec<TaskEvent>,
}

/// Where a run is, with what that state needs to know.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "SCREAMING_SNAKE_CASE")]
pub enum State {
    Throttled { until: Timestamp },
    Pending,
    Assigned { at: Placement, until: Timestamp },
    Starting { at: Placement },
    Running { at: Placement },
    Killing { at: Placement, until: Timestamp, retry_at: Timestamp, retry_ms: u64 },
    Restarting { at: Placement, until: Timestamp },
    Preempting { at: Placement, until: Timestamp },
    Draining { at: Placement, until: Timestamp },
    /// `until`: when it counts as lost; never, if the policy says so.
    Partitioned { at: Placement, until: Option<Timestamp> },
    Finished { at: Placement },
    Failed { at: Placement },
    Killed { at: Placement },
    Lost { at: Placement },
}

/// What the scheduler gave a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Placement {
    pub host: HostId,
    pub ports: Ports,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskEvent {
    pub at: Timestamp,
    pub status: Status,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
}

/// The state's name, as users know it.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Status {
    Throttled,
    Pending,
    Assigned,
    Starting,
    Running,
    Killing,
    Restarting,
    Preempting,
    Draining,
    Partitioned,
    Finished,
    Failed,
    Killed,
    Lost,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The job wants this instance. Ignored by one that has met `generation` already.
    Wanted { config: ConfigId, generation: u32, policy: Policy },
    /// The matchmaker found it a place.
    Placed { at: Placement },
    /// Its host says how `attempt` is.
    Reported { attempt: Attempt, state: wire::RunState, message: String },
    KillAsked { message: String },
    RestartAsked { message: String },
    PreemptAsked { message: String },
    DrainAsked { message: String },
    /// Nothing has been heard of its host for too long.
    HostUnreachable,
    /// Its host does not know `attempt`, though it should.
    HostForgot { attempt: Attempt },
    /// It is time to look at the clock: a deadline has come.
    TimedOut,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Find a place for it.
    Seek { config: ConfigId },
    /// Start `attempt` where it was placed; a host that has it ignores this.
    Launch { at: Placement, id: TaskId, attempt: Attempt, config: ConfigId },
    /// End it.
    Kill { host: HostId, id: TaskId, reason: String },
}

impl Status {
    pub fn is_active(self) -> bool {
        match self {
            Self::Throttled
            | Self::Pending
            | Self::Assigned
            | Self::Starting
            | Self::Running
            | Self::Killing
            | Self::Restarting
            | Self::Preempting
            | Self::Draining
            | Self::Partitioned => true,
            Self::Finished | Self::Failed | Self::Killed | Self::Lost => false,
        }
    }
}
