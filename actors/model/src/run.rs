//! One attempt at running a task on its host: which processes run when, and what comes of it.
//!
//! ```text
//!              asked to leave by itself
//!                   ┌──► leaving ──┐
//!  preparing ──► active ───────────┴─► cleaning ──► finalizing ──► ending ──► over
//!      │                                   └────── out of time ──────▲          ▲
//!      └────────────────── no sandbox, or killed before there was one ──────────┘
//! ```
//! The regular processes run while the task is *active*, and the verdict falls when that ends: all
//! of them are done, or too many have failed, or the rest can never start, or somebody wants the
//! task dead, or it is unhealthy, or it takes more than its share. A task that did not end by
//! itself is *leaving* first, if it has a port for that: one request after the other asks it to,
//! and nothing new is started. *Cleaning* asks what still runs to end (SIGTERM), and when nothing
//! runs any more, *finalizing* gives the final processes their turn. These two share one span of
//! time; when it is used up, and at the end in any case, *ending* makes short work of what is left
//! (SIGKILL). A task is over when nothing of it runs, not earlier: whoever gets its ports next will
//! want them free.
//!
//! It is kept as the list of its events, and [`Run::step`] is also how that list is read back.

use std::{sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{
    conduct::{Conduct, Farewell},
    machine::{Machine, Rejected, Timestamp},
    plan::{Plan, PlanError},
    process::{self, Process},
    record::Change,
    spec::TaskSpec,
    wire::RunState,
};

mod event;
mod leaving;
mod planner;
#[cfg(test)]
mod properties;
mod shown;
mod stage;
#[cfg(test)]
mod tests;

pub use event::{Effect, Event};
pub use stage::{Stage, Verdict};

use planner::Standing;

/// Cheap to clone: each step makes a new one, which shares with the old what has not changed.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    plan: Arc<Plan>,
    limits: Limits,
    farewells: Arc<[Farewell]>,
    readiness: Readiness,
    stage: Stage,
    /// As in the plan, place by place.
    processes: Vec<Arc<Process>>,
    /// Something of the task runs that came of no run which is alive.
    has_strays: bool,
}

/// A run of a process of this task.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize, Deserialize, Hash)]
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

/// Whether it does what it is there for, as far as anybody can tell.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Readiness {
    /// Nobody checks.
    Assumed,
    /// Its checks have yet to say so.
    Awaited,
    Proven,
}

impl Run {
    /// # Errors
    /// The processes could never all have their turn.
    pub fn new(task: &TaskSpec, conduct: &Conduct) -> Result<Self, PlanError> {
        let number = |it: i64| usize::try_from(it.max(0)).unwrap_or(usize::MAX);
        let is_checked = conduct.check.is_some();
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
            farewells: conduct.farewells.clone(),
            readiness: if is_checked { Readiness::Awaited } else { Readiness::Assumed },
            stage: Stage::Preparing,
            processes: task.processes.iter().map(|it| Arc::new(Process::new(it.into()))).collect(),
            has_strays: false,
        })
    }

    pub fn stage(&self) -> &Stage {
        &self.stage
    }

    /// Its checks have said so at some time.
    pub fn has_been_healthy(&self) -> bool {
        self.readiness == Readiness::Proven
    }

    /// How the task is, for those who know nothing of stages.
    pub fn state(&self) -> RunState {
        match (&self.stage, self.readiness) {
            (Stage::Over { verdict }, _) => verdict.state(),
            (Stage::Preparing, _) | (_, Readiness::Awaited) => RunState::Starting,
            (_, Readiness::Assumed | Readiness::Proven) => RunState::Running,
        }
    }

    pub fn is_over(&self) -> bool {
        self.state().is_terminal()
    }

    /// Some process of the task, if only one that an ended run left behind.
    fn is_anything_alive(&self) -> bool {
        self.has_strays || self.processes.iter().any(|it| it.is_alive())
    }

    fn alive(&self) -> impl Iterator<Item = RunId> {
        let runs = self.plan.processes().iter().zip(&self.processes);
        let alive = runs.filter(|(_, process)| process.is_alive());
        alive.map(|(it, process)| RunId { process: it.name.clone(), run: process.run() })
    }

    /// One stage on, if nothing has to be waited for.
    fn onward(&self, now: Timestamp) -> Option<Stage> {
        match &self.stage {
            Stage::Preparing | Stage::Over { .. } => None,
            Stage::Active => match self.standing(Plan::REGULAR) {
                Standing::Going => None,
                Standing::Complete => Some(self.cleaning(now, Verdict::Success)),
                Standing::Failing => Some(self.cleaning(now, Verdict::Failed)),
            },
            Stage::Leaving { farewell, until, verdict, .. } => {
                if !self.is_anything_alive() {
                    Some(self.cleaning(now, verdict.clone()))
                } else if *until <= now {
                    Some(self.leaving(now, farewell + 1, verdict.clone()))
                } else {
                    None
                }
            }
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

    /// Where something leads that is no news of a run. `None`: nowhere.
    fn redirected(&self, now: Timestamp, event: &Event) -> Option<Stage> {
        let leave = |verdict| Some(self.leaving(now, 0, verdict));
        match (&self.stage, event) {
            (Stage::Preparing, Event::Prepared) => Some(Stage::Active),
            (Stage::Preparing, Event::NotPrepared { why }) => {
                Some(Stage::Over { verdict: Verdict::Unprepared { why: why.clone() } })
            }
            (Stage::Preparing, Event::KillAsked { .. }) => {
                let message = "Task killed during initialization.".to_owned();
                Some(Stage::Over { verdict: Verdict::Killed { message } })
            }
            (Stage::Active, Event::KillAsked { message, within_ms }) => {
                Some(self.killed(now, message, *within_ms))
            }
            (stage, Event::KillAsked { within_ms, .. }) => stage.hurried(now, (*within_ms)?),
            (Stage::Active, Event::Unhealthy { reason })
                if self.readiness != Readiness::Assumed =>
            {
                leave(Verdict::Unhealthy { reason: reason.clone() })
            }
            (Stage::Active, Event::Exceeded { message }) => {
                leave(Verdict::Exceeded { message: message.clone() })
            }
            (Stage::Finalizing { verdict, .. }, Event::Exceeded { .. }) => {
                (!verdict.is_excess()).then(|| Stage::Ending { verdict: verdict.clone() })
            }
            (_, Event::FarewellSaid { step, answered }) => self.said(now, *step, *answered),
            _ => None,
        }
    }

    /// The same task after news of its runs. Nothing of it runs before it is prepared, and nothing
    /// after it is over.
    fn told(&self, now: Timestamp, event: &Event) -> Result<Self, Rejected> {
        match event {
            Event::Started { id, pid, at } => {
                self.with(now, id, &process::Event::Started { at: *at, pid: *pid })
            }
            Event::Ended { id, at, exit, leftover } => {
                let ended = process::Event::Ended { at: *at, exit: exit.clone() };
                let next = self.with(now, id, &ended)?;
                Ok(Self { has_strays: self.has_strays || *leftover, ..next })
            }
            Event::Gone if self.has_strays => Ok(Self { has_strays: false, ..self.clone() }),
            Event::Healthy
                if self.stage == Stage::Active && self.readiness == Readiness::Awaited =>
            {
                Ok(Self { readiness: Readiness::Proven, ..self.clone() })
            }
            Event::TimedOut if self.deadline().is_some() => Ok(self.clone()),
            Event::Prepared
            | Event::NotPrepared { .. }
            | Event::Gone
            | Event::Healthy
            | Event::Unhealthy { .. }
            | Event::FarewellSaid { .. }
            | Event::Exceeded { .. }
            | Event::KillAsked { .. }
            | Event::TimedOut => Err(self.rejected(event)),
        }
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

    fn rejected(&self, event: &Event) -> Rejected {
        Rejected { state: self.stage.name(), event: event.name() }
    }

    fn report(&self) -> Effect {
        let message = match (&self.stage, self.readiness) {
            (Stage::Over { verdict }, _) => verdict.message(),
            (Stage::Preparing, _) | (_, Readiness::Awaited) => String::new(),
            (_, Readiness::Proven) => "Task is healthy.".to_owned(),
            (_, Readiness::Assumed) => {
                "No health-check defined, task is assumed healthy.".to_owned()
            }
        };
        Effect::Report { state: self.state(), message }
    }
}

impl Machine for Run {
    type Event = Event;
    type Effect = Effect;

    fn step(&self, now: Timestamp, event: &Event) -> Result<Self, Rejected> {
        let mut next = match (&self.stage, self.redirected(now, event)) {
            (_, Some(stage)) => Self { stage, ..self.clone() },
            (Stage::Preparing | Stage::Over { .. }, None) => return Err(self.rejected(event)),
            (_, None) => self.told(now, event)?,
        };
        while let Some(stage) = next.onward(now) {
            next.stage = stage;
        }
        next.choose(now);
        Ok(next)
    }

    fn effects(&self) -> Vec<Effect> {
        let is_checked = self.readiness != Readiness::Assumed;
        let also = match &self.stage {
            Stage::Preparing => Some(Effect::Prepare),
            Stage::Active => is_checked.then_some(Effect::Check),
            Stage::Leaving { farewell, is_heard: false, .. } => {
                Some(Effect::Farewell { step: *farewell })
            }
            Stage::Leaving { .. } | Stage::Finalizing { .. } | Stage::Over { .. } => None,
            Stage::Cleaning { .. } => Some(Effect::Term),
            Stage::Ending { .. } => Some(Effect::Kill),
        };
        [self.report()].into_iter().chain(self.alive().map(Effect::Tend)).chain(also).collect()
    }

    fn deadline(&self) -> Option<(Timestamp, Event)> {
        let at = match &self.stage {
            Stage::Preparing | Stage::Ending { .. } | Stage::Over { .. } => None,
            Stage::Active => self.next_choice(Plan::REGULAR),
            Stage::Leaving { until, .. } | Stage::Cleaning { until, .. } => Some(*until),
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
