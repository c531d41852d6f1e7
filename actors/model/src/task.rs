//! The life of one task instance: a slot (job and instance number) and the runs that fill it.
//!
//! ```text
//!                 ┌──────────── another run, when the last one should be followed ─────────────┐
//!                 ▼                                                                            │
//!   wanted ──► PENDING ──► ASSIGNED ──► STARTING ──► RUNNING ──────────► FINISHED FAILED KILLED LOST
//!                 ▲                        │ ▲          │ ▲                    ▲
//!   flapping ► THROTTLED                   ▼ │          ▼ │                    │
//!                                        PARTITIONED (its host is silent) ─────┤
//!   asked to end: KILLING · RESTARTING · PREEMPTING · DRAINING ────────────────┘
//! ```
//! The nouns are here; where events lead is one match in `task/step.rs`.
//!
//! A run that ends and the one that takes its place are one step, so one commit: it is never half
//! true that the old one is over and a new one exists. A slot's attempts have numbers that never
//! repeat, so an older attempt's news is recognised by them.
//!
//! A slot that nobody wants may be forgotten together with its last run. If it is wanted again, it
//! is another slot: its runs' ids say when it was born, and its numbers begin anew.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{
    config::Ports,
    ids::{Attempt, ConfigId, HostId, TaskId, TaskKey},
    machine::Timestamp,
    spec::PartitionPolicy,
    wire,
};

mod order;
mod overheard;
mod penalty;
mod step;
#[cfg(test)]
mod tests;

pub use step::TRANSIENT_FOR;

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
    /// What its job wants of it after the current run, which was told to end for that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<ConfigId>,
    /// The run that ended with the last step and is not the current one any more, on its way to
    /// the history.
    #[serde(skip)]
    pub(crate) ended: Option<Box<Run>>,
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
    /// How many runs of the line ended by themselves before this one, however they ended.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub exits: u32,
    /// How the last of those ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit: Option<Box<Exit>>,
    /// The penalty that this run's predecessors earned by flapping.
    pub penalty_ms: u64,
    #[serde(default)]
    pub times_partitioned: u32,
    pub state: State,
    /// What happened, oldest first.
    pub events: Vec<TaskEvent>,
}

/// How a run ended that nobody had asked to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Exit {
    pub id: TaskId,
    pub status: Status,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
}

/// Where a run is, with what that state needs to know.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "SCREAMING_SNAKE_CASE")]
pub enum State {
    Throttled {
        until: Timestamp,
    },
    Pending,
    Assigned {
        at: Placement,
        until: Timestamp,
    },
    Starting {
        at: Placement,
    },
    Running {
        at: Placement,
    },
    Killing {
        at: Placement,
        until: Timestamp,
        retry_at: Timestamp,
        retry_ms: u64,
    },
    Restarting {
        at: Placement,
        until: Timestamp,
    },
    Preempting {
        at: Placement,
        until: Timestamp,
    },
    Draining {
        at: Placement,
        until: Timestamp,
    },
    /// `until`: when it counts as lost; never, if the policy says so.
    Partitioned {
        at: Placement,
        until: Option<Timestamp>,
    },
    Finished {
        at: Placement,
    },
    Failed {
        at: Placement,
    },
    Killed {
        at: Placement,
    },
    Lost {
        at: Placement,
    },
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
    Wanted {
        config: ConfigId,
        generation: u32,
        policy: Policy,
        /// What to say to a run of another configuration, which has to end for it.
        message: String,
    },
    /// The matchmaker found `attempt` a place.
    Placed {
        attempt: Attempt,
        at: Placement,
    },
    /// Its host says how `attempt` is.
    Reported {
        attempt: Attempt,
        state: wire::RunState,
        message: String,
    },
    /// The job does not want this instance any more. Ignored by one that was wanted again since
    /// `generation`.
    KillAsked {
        generation: u32,
        message: String,
    },
    RestartAsked {
        message: String,
    },
    /// Somebody else is to have `attempt`'s place.
    PreemptAsked {
        attempt: Attempt,
        message: String,
    },
    /// Of `attempt`: wherever the next one is, it may stay there.
    DrainAsked {
        attempt: Attempt,
        message: String,
    },
    /// Nothing has been heard of `host` for too long.
    HostUnreachable {
        host: HostId,
    },
    /// Its host does not know `attempt`, though it once said that it does.
    HostForgot {
        attempt: Attempt,
    },
    /// It is time to look at the clock: a deadline has come.
    TimedOut,
    /// What is left of it after `attempt` is too old to be kept, and its job has given it up.
    Pruned {
        attempt: Attempt,
    },
}

#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Find a place for it.
    Seek { attempt: Attempt, config: ConfigId },
    /// Start `attempt` where it was placed; a host that has it ignores this.
    Launch { at: Placement, id: TaskId, attempt: Attempt, config: ConfigId },
    /// End it.
    Kill { host: HostId, id: TaskId, reason: String },
}

impl Status {
    pub fn name(self) -> &'static str {
        match self {
            Self::Throttled => "THROTTLED",
            Self::Pending => "PENDING",
            Self::Assigned => "ASSIGNED",
            Self::Starting => "STARTING",
            Self::Running => "RUNNING",
            Self::Killing => "KILLING",
            Self::Restarting => "RESTARTING",
            Self::Preempting => "PREEMPTING",
            Self::Draining => "DRAINING",
            Self::Partitioned => "PARTITIONED",
            Self::Finished => "FINISHED",
            Self::Failed => "FAILED",
            Self::Killed => "KILLED",
            Self::Lost => "LOST",
        }
    }

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

    /// It was asked to end, whether or not another run follows, and has not ended yet.
    pub fn is_leaving(self) -> bool {
        match self {
            Self::Killing | Self::Restarting | Self::Preempting | Self::Draining => true,
            Self::Throttled
            | Self::Pending
            | Self::Assigned
            | Self::Starting
            | Self::Running
            | Self::Partitioned
            | Self::Finished
            | Self::Failed
            | Self::Killed
            | Self::Lost => false,
        }
    }
}

impl Task {
    /// A slot that nothing has been wanted of yet.
    pub fn unborn(key: TaskKey) -> Self {
        Self {
            key,
            born_at: Timestamp(0),
            generation: 0,
            attempt: Attempt(0),
            policy: Policy::default(),
            run: None,
            next: None,
            ended: None,
        }
    }

    /// The state of the current run, if there is one.
    pub fn status(&self) -> Option<Status> {
        self.run.as_ref().map(|run| run.state.status())
    }

    pub fn is_active(&self) -> bool {
        self.status().is_some_and(Status::is_active)
    }

    /// Whether its current run is this one, there: a host speaks for what it was given and for
    /// nothing else, be it of the same slot in an earlier life.
    pub fn is_run_on(&self, host: &HostId, id: &TaskId) -> bool {
        self.run.as_ref().is_some_and(|run| run.id == *id && run.is_on(host))
    }

    /// When the current run ended, if it has.
    pub fn ended_at(&self) -> Option<Timestamp> {
        let run = self.run.as_ref().filter(|it| !it.state.status().is_active())?;
        run.events.last().map(|it| it.at)
    }

    /// Which states its runs have come to be in since it was like `before`, a step ago, and whether
    /// that was for having waited too long.
    pub fn entered_since(&self, before: &Self) -> Vec<(Status, bool)> {
        let seen = before.run.as_ref().map_or(0, |it| it.events.len());
        let runs = self.ended.as_deref().into_iter().chain(&self.run);
        let events = runs.flat_map(|run| {
            let is_known = before.run.as_ref().is_some_and(|it| it.id == run.id);
            run.events.iter().skip(if is_known { seen } else { 0 })
        });
        events.map(|it| (it.status, it.message == step::TIMED_OUT)).collect()
    }

    /// Where the current run is or was.
    pub fn placement(&self) -> Option<&Placement> {
        self.run.as_ref().and_then(|run| run.state.placement())
    }

    /// What to tell a host that says it has an attempt which should not be there: one that was
    /// given up while nothing was heard of it, say. Called for every report, legal or not.
    pub fn stray(&self, host: &HostId, id: &TaskId, state: wire::RunState) -> Option<Effect> {
        let stays = |run: &Run| match run.state {
            State::Assigned { .. }
            | State::Starting { .. }
            | State::Running { .. }
            | State::Partitioned { .. } => run.id == *id,
            State::Throttled { .. }
            | State::Pending
            | State::Killing { .. }
            | State::Restarting { .. }
            | State::Preempting { .. }
            | State::Draining { .. }
            | State::Finished { .. }
            | State::Failed { .. }
            | State::Killed { .. }
            | State::Lost { .. } => false,
        };
        let unwelcome = !state.is_terminal() && !self.run.as_ref().is_some_and(stays);
        unwelcome.then(|| Effect::Kill {
            host: host.clone(),
            id: id.clone(),
            reason: "It has been given up".into(),
        })
    }
}

fn is_zero(count: &u32) -> bool {
    *count == 0
}

impl Run {
    pub fn is_on(&self, host: &HostId) -> bool {
        self.state.placement().is_some_and(|at| at.host == *host)
    }

    /// By whomever, and however it ended then: that is nobody's failure.
    fn was_asked_to_end(&self) -> bool {
        self.events.iter().any(|it| it.status.is_leaving())
    }

    /// It ended, and not because anybody wanted that or lost it.
    fn has_exited(&self) -> bool {
        matches!(self.state, State::Finished { .. } | State::Failed { .. })
            && !self.was_asked_to_end()
    }

    /// The last time that one of its line ended by itself.
    fn last_exit(&self) -> Option<Box<Exit>> {
        if !self.has_exited() {
            return self.exit.clone();
        }
        let (id, status, message) = (self.id.clone(), self.state.status(), self.why().to_owned());
        Some(Box::new(Exit { id, status, message }))
    }

    /// What was said when it came to be in its state.
    fn why(&self) -> &str {
        self.events.last().map_or("", |it| &it.message)
    }
}

impl State {
    pub fn status(&self) -> Status {
        match self {
            Self::Throttled { .. } => Status::Throttled,
            Self::Pending => Status::Pending,
            Self::Assigned { .. } => Status::Assigned,
            Self::Starting { .. } => Status::Starting,
            Self::Running { .. } => Status::Running,
            Self::Killing { .. } => Status::Killing,
            Self::Restarting { .. } => Status::Restarting,
            Self::Preempting { .. } => Status::Preempting,
            Self::Draining { .. } => Status::Draining,
            Self::Partitioned { .. } => Status::Partitioned,
            Self::Finished { .. } => Status::Finished,
            Self::Failed { .. } => Status::Failed,
            Self::Killed { .. } => Status::Killed,
            Self::Lost { .. } => Status::Lost,
        }
    }

    pub fn placement(&self) -> Option<&Placement> {
        match self {
            Self::Throttled { .. } | Self::Pending => None,
            Self::Assigned { at, .. }
            | Self::Starting { at }
            | Self::Running { at }
            | Self::Killing { at, .. }
            | Self::Restarting { at, .. }
            | Self::Preempting { at, .. }
            | Self::Draining { at, .. }
            | Self::Partitioned { at, .. }
            | Self::Finished { at }
            | Self::Failed { at }
            | Self::Killed { at }
            | Self::Lost { at } => Some(at),
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
