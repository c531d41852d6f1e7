//! One process of a task on its host, and whether it gets another run.
//!
//! ```text
//!            chosen            started            ended
//!   waiting ────────► forked ──────────► running ───────┐
//!      ▲                 └──────────────────────────────┤ ended
//!      │  daemon, or failed and may try again           │
//!      └────────────────────────────────────────────────┼──► finished
//!                                                       └──► failed
//! ```
//! Whose turn it is depends on the other processes and is decided in [`crate::run`]. What a run
//! that has ended means is decided here: success ends a process unless it is a daemon; failure
//! counts until there were too many; a run that was killed or lost is nobody's fault and does not
//! count, except as one of the runs that there may be in all.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{
    machine::{Machine, Rejected, Timestamp},
    record::Change,
    spec::ProcessSpec,
    wire::{ProcessState, RunView},
};

/// How many runs a process gets in all, however they end.
pub const RUNS_MAX: usize = 100;

#[derive(Clone, Debug, PartialEq)]
pub struct Process {
    policy: Policy,
    state: State,
    /// How many runs failed; those that were killed or lost did not.
    failures: u32,
    ended: Vec<Ended>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Policy {
    /// 0: any number.
    pub max_failures: u32,
    pub daemon: bool,
    pub ephemeral: bool,
    /// From the end of a run to the beginning of the next.
    pub min_duration: Duration,
    pub max_runs: usize,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum State {
    Waiting {
        until: Timestamp,
    },
    /// Somebody was told to run it.
    Forked {
        at: Timestamp,
    },
    Running {
        at: Timestamp,
        pid: i32,
    },
    Finished,
    Failed,
}

/// A run that is over.
#[derive(Clone, Debug, PartialEq)]
struct Ended {
    started: Option<(Timestamp, i32)>,
    at: Timestamp,
    exit: Exit,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Exit {
    Code(i32),
    Signal(i32),
    /// Whoever ran it vanished without a word.
    Lost,
    /// It could not be started.
    Unstarted(String),
}

#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// Its turn has come.
    Chosen,
    Started {
        at: Timestamp,
        pid: i32,
    },
    Ended {
        at: Timestamp,
        exit: Exit,
    },
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Effect {
    /// See to it that this run was started, once, and say what becomes of it.
    Tend { run: u32 },
}

impl From<&ProcessSpec> for Policy {
    fn from(spec: &ProcessSpec) -> Self {
        Self {
            max_failures: u32::try_from(spec.max_failures.max(0)).unwrap_or(u32::MAX),
            daemon: spec.daemon,
            ephemeral: spec.ephemeral,
            min_duration: Duration::from_secs(spec.min_duration.max(0).unsigned_abs()),
            max_runs: RUNS_MAX,
        }
    }
}

impl Process {
    pub fn new(policy: Policy) -> Self {
        let state = State::Waiting { until: Timestamp(0) };
        Self { policy, state, failures: 0, ended: Vec::new() }
    }

    pub fn state(&self) -> State {
        self.state
    }

    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// The number of its current run, else of its next.
    pub fn run(&self) -> u32 {
        u32::try_from(self.ended.len()).expect("runs are limited to far fewer")
    }

    pub fn is_alive(&self) -> bool {
        match self.state {
            State::Forked { .. } | State::Running { .. } => true,
            State::Waiting { .. } | State::Finished | State::Failed => false,
        }
    }

    /// It gets no further run.
    pub fn is_done(&self) -> bool {
        match self.state {
            State::Finished | State::Failed => true,
            State::Waiting { .. } | State::Forked { .. } | State::Running { .. } => false,
        }
    }

    /// `WAITING` until its first run, then its newest run's.
    pub fn shown_state(&self) -> ProcessState {
        match self.state {
            State::Forked { .. } => ProcessState::Forked,
            State::Running { .. } => ProcessState::Running,
            State::Waiting { .. } | State::Finished | State::Failed => {
                self.ended.last().map_or(ProcessState::Waiting, |it| it.exit.shown_state())
            }
        }
    }

    /// At most its `most` newest runs, newest last.
    pub fn shown_runs(&self, most: usize) -> Vec<RunView> {
        let started = match self.state {
            State::Running { at, pid } => Some((at, pid)),
            State::Forked { .. } | State::Waiting { .. } | State::Finished | State::Failed => None,
        };
        let current = self.is_alive().then(|| RunView {
            run: self.run(),
            state: self.shown_state(),
            pid: started.map(|(_, pid)| pid),
            started_at: started.map(|(at, _)| at),
            ended_at: None,
            exit_code: None,
            message: None,
        });
        let ended = self.ended.len().min(most.saturating_sub(usize::from(current.is_some())));
        let first = self.ended.len() - ended;
        let ended = (0..).zip(&self.ended).skip(first).map(|(run, it)| it.shown(run));
        ended.chain(current).collect()
    }

    fn name(&self) -> &'static str {
        match self.state {
            State::Waiting { .. } => "waiting",
            State::Forked { .. } => "forked",
            State::Running { .. } => "running",
            State::Finished => "finished",
            State::Failed => "failed",
        }
    }

    fn after(&self, ended: Ended) -> Self {
        let Policy { max_failures, daemon, ephemeral, min_duration, max_runs } = self.policy;
        let failures = self.failures + u32::from(ended.exit.is_failure());
        let given_up = if ephemeral { State::Finished } else { State::Failed };
        let is_hopeless = ended.exit.is_failure() && max_failures != 0 && max_failures <= failures;
        let state = if ended.exit == Exit::Code(0) && !daemon {
            State::Finished
        } else if is_hopeless || max_runs <= self.ended.len() + 1 {
            given_up
        } else {
            State::Waiting { until: ended.at + min_duration }
        };
        let ended = self.ended.iter().cloned().chain([ended]).collect();
        Self { policy: self.policy, state, failures, ended }
    }
}

impl Ended {
    fn shown(&self, run: u32) -> RunView {
        let (exit_code, message) = match &self.exit {
            Exit::Code(code) => (Some(*code), None),
            Exit::Signal(signal) => (Some(-signal), None),
            Exit::Lost => (None, None),
            Exit::Unstarted(why) => (None, Some(why.clone())),
        };
        RunView {
            run,
            state: self.exit.shown_state(),
            pid: self.started.map(|(_, pid)| pid),
            started_at: self.started.map(|(at, _)| at),
            ended_at: Some(self.at),
            exit_code,
            message,
        }
    }
}

impl Exit {
    fn is_failure(&self) -> bool {
        match self {
            Self::Code(code) => *code != 0,
            Self::Unstarted(_) => true,
            Self::Signal(_) | Self::Lost => false,
        }
    }

    fn shown_state(&self) -> ProcessState {
        match self {
            Self::Code(0) => ProcessState::Success,
            Self::Code(_) | Self::Unstarted(_) => ProcessState::Failed,
            Self::Signal(_) => ProcessState::Killed,
            Self::Lost => ProcessState::Lost,
        }
    }
}

impl Event {
    fn name(&self) -> &'static str {
        match self {
            Self::Chosen => "chosen",
            Self::Started { .. } => "started",
            Self::Ended { .. } => "ended",
        }
    }
}

impl Machine for Process {
    type Event = Event;
    type Effect = Effect;

    fn step(&self, now: Timestamp, event: &Event) -> Result<Self, Rejected> {
        let state = match (self.state, event) {
            (State::Waiting { until }, Event::Chosen) if until <= now => State::Forked { at: now },
            (State::Forked { .. }, &Event::Started { at, pid }) => State::Running { at, pid },
            (State::Forked { .. }, Event::Ended { at, exit }) => {
                return Ok(self.after(Ended { started: None, at: *at, exit: exit.clone() }));
            }
            (State::Running { at: since, pid }, Event::Ended { at, exit }) => {
                let started = Some((since, pid));
                return Ok(self.after(Ended { started, at: *at, exit: exit.clone() }));
            }
            (_, event) => return Err(Rejected { state: self.name(), event: event.name() }),
        };
        Ok(Self { state, ..self.clone() })
    }

    fn effects(&self) -> Vec<Effect> {
        if self.is_alive() { vec![Effect::Tend { run: self.run() }] } else { vec![] }
    }

    /// The host's own journal remembers it, as part of its task.
    fn changes(&self, _: Option<&Self>) -> Vec<Change> {
        vec![]
    }
}

#[cfg(test)]
mod tests;
