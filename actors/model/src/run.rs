//! One attempt at running a task on its host: which processes run when, and what comes of it.
//!
//! ```text
//!  preparing ──► active ──► cleaning ──► finalizing ──► ending ──► over
//!      │                        └─── out of time ─────────▲          ▲
//!      └──────── no sandbox, or killed before there was one ────────┘
//! ```
//! The regular processes run while the task is *active*, and the verdict falls when that ends: all
//! of them are done, or too many have failed, or the rest can never start, or somebody wants the
//! task dead. *Cleaning* asks what still runs to end (SIGTERM), and when nothing runs any more,
//! *finalizing* gives the final processes their turn. Both share one span of time; when it is used
//! up, and at the end in any case, *ending* makes short work of what is left (SIGKILL). A task is
//! over when nothing of it runs, not earlier: whoever gets its ports next will want them free.
//!
//! It is kept as the list of its events, and [`Run::step`] is also how that list is read back.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{
    machine::{Machine, Rejected, Timestamp},
    plan::{Plan, PlanError},
    process::{self, Exit, Process},
    record::Change,
    spec::TaskSpec,
    wire::{ProcessView, RUNS_SHOWN, RunState},
};

mod planner;
#[cfg(test)]
mod properties;
mod stage;
#[cfg(test)]
mod tests;

pub use stage::{Stage, Verdict};

use planner::Standing;

#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    plan: Arc<Plan>,
    limits: Limits,
    stage: Stage,
    /// As in the plan, place by place.
    processes: Vec<Arc<Process>>,
    /// Runs that have ended and left something running.
    leftovers: BTreeSet<RunId>,
}

/// A run of a process of this task.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
pub struct RunId {
    pub process: Arc<str>,
    pub run: u32,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Limits {
    /// How many processes may fail for good; 0: any number.
    max_failures: usize,
    max_concurrency: usize,
    finalization_wait: Duration,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// There is a sandbox.
    Prepared,
    NotPrepared {
        why: String,
    },
    Started {
        #[serde(flatten)]
        id: RunId,
        pid: i32,
        at: Timestamp,
    },
    /// Its main process has ended; `leftover` if it had descendants of which some still run.
    Ended {
        #[serde(flatten)]
        id: RunId,
        at: Timestamp,
        exit: Exit,
        leftover: bool,
    },
    /// Nothing that an ended run left behind runs any more.
    Gone {
        #[serde(flatten)]
        id: RunId,
    },
    /// `within_ms`: less time than the task's own `finalization_wait`.
    KillAsked {
        message: String,
        within_ms: Option<u64>,
    },
    TimedOut,
}

#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Effect {
    Report {
        state: RunState,
        message: String,
    },
    /// Make the sandbox.
    Prepare,
    /// See to it that the run was started, once, and say what becomes of it.
    Tend(RunId),
    /// Ask it, and what it left behind, to end.
    Term(RunId),
    /// End it and everything that came of it.
    Kill(RunId),
}

impl Run {
    /// # Errors
    /// The processes could never all have their turn.
    pub fn new(task: &TaskSpec) -> Result<Self, PlanError> {
        let number = |it: i64| usize::try_from(it.max(0)).unwrap_or(usize::MAX);
        Ok(Self {
            plan: Arc::new(Plan::new(&task.processes, &task.constraints)?),
            limits: Limits {
                max_failures: number(task.max_failures),
                max_concurrency: match task.max_concurrency {
                    0 => usize::MAX,
                    limit => number(limit),
                },
                finalization_wait: Duration::from_secs(
                    task.finalization_wait.max(0).unsigned_abs(),
                ),
            },
            stage: Stage::Preparing,
            processes: task.processes.iter().map(|it| Arc::new(Process::new(it.into()))).collect(),
            leftovers: BTreeSet::new(),
        })
    }

    pub fn stage(&self) -> &Stage {
        &self.stage
    }

    /// How the task is, for those who know nothing of stages.
    pub fn state(&self) -> RunState {
        match &self.stage {
            Stage::Preparing => RunState::Starting,
            Stage::Active
            | Stage::Cleaning { .. }
            | Stage::Finalizing { .. }
            | Stage::Ending { .. } => RunState::Running,
            Stage::Over { verdict } => verdict.state(),
        }
    }

    pub fn is_over(&self) -> bool {
        self.state().is_terminal()
    }

    /// How its processes are, for people to look at.
    pub fn views(&self) -> Vec<ProcessView> {
        let view = |(planned, process): (&crate::plan::Planned, &Arc<Process>)| {
            let mut runs = process.shown_runs();
            runs.drain(..runs.len().saturating_sub(RUNS_SHOWN));
            ProcessView {
                name: planned.name.to_string(),
                state: process.shown_state(),
                is_final: planned.is_final,
                daemon: planned.daemon,
                ephemeral: planned.ephemeral,
                failures: process.failures(),
                runs,
                usage: None,
            }
        };
        self.plan.processes().iter().zip(&self.processes).map(view).collect()
    }

    /// One stage on, if nothing has to be waited for.
    fn onward(&self, now: Timestamp) -> Option<Stage> {
        match &self.stage {
            Stage::Preparing | Stage::Over { .. } => None,
            Stage::Active => match self.standing(Plan::REGULAR) {
                Standing::Going => None,
                Standing::Complete => Some(self.cleaning(now, None, Verdict::Success)),
                Standing::Failing => Some(self.cleaning(now, None, Verdict::Failed)),
            },
            Stage::Cleaning { until, verdict } => {
                let (until, verdict) = (*until, verdict.clone());
                if !self.is_anything_alive() {
                    Some(Stage::Finalizing { until, verdict })
                } else if until <= now {
                    Some(Stage::Ending { verdict })
                } else {
                    None
                }
            }
            Stage::Finalizing { until, verdict } => {
                let going_on = now < *until && self.standing(Plan::FINAL) == Standing::Going;
                (!going_on).then(|| Stage::Ending { verdict: verdict.clone() })
            }
            Stage::Ending { verdict } => {
                (!self.is_anything_alive()).then(|| Stage::Over { verdict: verdict.clone() })
            }
        }
    }

    fn cleaning(&self, now: Timestamp, within_ms: Option<u64>, verdict: Verdict) -> Stage {
        let wait = self.limits.finalization_wait;
        let wait = within_ms.map_or(wait, |ms| wait.min(Duration::from_millis(ms)));
        Stage::Cleaning { until: now + wait, verdict }
    }

    /// Some process of the task, if only one that an ended run left behind.
    fn is_anything_alive(&self) -> bool {
        !self.leftovers.is_empty() || self.processes.iter().any(|it| it.is_alive())
    }

    fn alive(&self) -> impl Iterator<Item = RunId> {
        let runs = self.plan.processes().iter().zip(&self.processes);
        let alive = runs.filter(|(_, process)| process.is_alive());
        let ids = alive.map(|(it, process)| RunId { process: it.name.clone(), run: process.run() });
        ids.chain(self.leftovers.iter().cloned())
    }

    /// The same task after something happened to one of its processes' current run.
    fn with(&self, now: Timestamp, id: &RunId, event: &process::Event) -> Result<Self, Rejected> {
        let stale = Rejected { state: "without this run", event: "news of a run" };
        let place = self.plan.place_of(&id.process).ok_or(stale.clone())?;
        let process = &self.processes[place];
        if process.run() != id.run {
            return Err(stale);
        }
        let process = process.step(now, event)?;
        let mut next = self.clone();
        next.processes[place] = Arc::new(process);
        Ok(next)
    }

    /// Whoever is in more of a hurry than what was planned gets their way.
    fn hurried(&self, now: Timestamp, within_ms: Option<u64>) -> Option<Stage> {
        let sooner = now + Duration::from_millis(within_ms?);
        match &self.stage {
            Stage::Cleaning { until, verdict } if sooner < *until => {
                Some(Stage::Cleaning { until: sooner, verdict: verdict.clone() })
            }
            Stage::Finalizing { until, verdict } if sooner < *until => {
                Some(Stage::Finalizing { until: sooner, verdict: verdict.clone() })
            }
            Stage::Preparing
            | Stage::Active
            | Stage::Cleaning { .. }
            | Stage::Finalizing { .. }
            | Stage::Ending { .. }
            | Stage::Over { .. } => None,
        }
    }
}

impl Event {
    fn name(&self) -> &'static str {
        match self {
            Self::Prepared => "prepared",
            Self::NotPrepared { .. } => "not prepared",
            Self::Started { .. } => "started",
            Self::Ended { .. } => "ended",
            Self::Gone { .. } => "gone",
            Self::KillAsked { .. } => "kill asked",
            Self::TimedOut => "timed out",
        }
    }
}

impl Machine for Run {
    type Event = Event;
    type Effect = Effect;

    fn step(&self, now: Timestamp, event: &Event) -> Result<Self, Rejected> {
        let rejected = Rejected { state: self.stage.name(), event: event.name() };
        let at_stage = |stage| Ok(Self { stage, ..self.clone() });
        let mut next = match (&self.stage, event) {
            (Stage::Preparing, Event::Prepared) => at_stage(Stage::Active),
            (Stage::Preparing, Event::NotPrepared { why }) => {
                at_stage(Stage::Over { verdict: Verdict::Unprepared { why: why.clone() } })
            }
            (Stage::Preparing, Event::KillAsked { .. }) => {
                let message = "Task killed during initialization.".to_owned();
                at_stage(Stage::Over { verdict: Verdict::Killed { message } })
            }
            (Stage::Active, Event::KillAsked { message, within_ms }) => {
                let verdict = Verdict::Killed { message: message.clone() };
                at_stage(self.cleaning(now, *within_ms, verdict))
            }
            (_, Event::KillAsked { within_ms, .. }) => {
                self.hurried(now, *within_ms).ok_or(rejected).and_then(at_stage)
            }
            (Stage::Preparing | Stage::Over { .. }, _) => Err(rejected),
            (_, Event::Started { id, pid, at }) => {
                self.with(now, id, &process::Event::Started { at: *at, pid: *pid })
            }
            (_, Event::Ended { id, at, exit, leftover }) => {
                let ended = process::Event::Ended { at: *at, exit: exit.clone() };
                let mut next = self.with(now, id, &ended)?;
                next.leftovers.extend(leftover.then(|| id.clone()));
                Ok(next)
            }
            (_, Event::Gone { id }) if self.leftovers.contains(id) => {
                let mut next = self.clone();
                next.leftovers.remove(id);
                Ok(next)
            }
            (_, Event::TimedOut) => Ok(self.clone()),
            (_, Event::Prepared | Event::NotPrepared { .. } | Event::Gone { .. }) => Err(rejected),
        }?;
        while let Some(stage) = next.onward(now) {
            next.stage = stage;
        }
        next.choose(now);
        Ok(next)
    }

    fn effects(&self) -> Vec<Effect> {
        let running = "No health-check defined, task is assumed healthy.";
        let report = |state, message: &str| Effect::Report { state, message: message.to_owned() };
        let tended = || self.alive().map(Effect::Tend);
        match &self.stage {
            Stage::Preparing => vec![report(RunState::Starting, ""), Effect::Prepare],
            Stage::Active | Stage::Finalizing { .. } => {
                [report(RunState::Running, running)].into_iter().chain(tended()).collect()
            }
            Stage::Cleaning { .. } => [report(RunState::Running, running)]
                .into_iter()
                .chain(tended())
                .chain(self.alive().map(Effect::Term))
                .collect(),
            Stage::Ending { .. } => [report(RunState::Running, running)]
                .into_iter()
                .chain(tended())
                .chain(self.alive().map(Effect::Kill))
                .collect(),
            Stage::Over { verdict } => vec![report(verdict.state(), &verdict.message())],
        }
    }

    fn deadline(&self) -> Option<(Timestamp, Event)> {
        let at = match &self.stage {
            Stage::Preparing | Stage::Ending { .. } | Stage::Over { .. } => None,
            Stage::Active => self.next_choice(Plan::REGULAR),
            Stage::Cleaning { until, .. } => Some(*until),
            Stage::Finalizing { until, .. } => {
                Some(self.next_choice(Plan::FINAL).map_or(*until, |at| at.min(*until)))
            }
        };
        at.map(|at| (at, Event::TimedOut))
    }

    /// The host's own journal remembers it, event by event.
    fn changes(&self, _: Option<&Self>) -> Vec<Change> {
        vec![]
    }
}
