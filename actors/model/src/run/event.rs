//! What may happen to a task, and what it asks of others.

use serde::{Deserialize, Serialize};

use crate::{machine::Timestamp, process::Exit, run::RunId, wire::RunState};

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
    /// Its main process has ended; `leftover` if something of the task runs that came of no run
    /// which is alive. That it does not is said by `Gone` alone.
    Ended {
        #[serde(flatten)]
        id: RunId,
        at: Timestamp,
        exit: Exit,
        leftover: bool,
    },
    /// Nothing that ended runs left behind runs any more.
    Gone,
    /// Its checks say so, for the first time.
    Healthy,
    Unhealthy {
        reason: String,
    },
    /// `answered`: whatever the answer was.
    FarewellSaid {
        step: usize,
        answered: bool,
    },
    /// It takes more than its share of something.
    Exceeded {
        message: String,
    },
    /// `within_ms`: less time than the task's own for all that its end takes.
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
    /// Look again and again whether it is healthy.
    Check,
    /// Say this one of its conduct's farewells.
    Farewell {
        step: usize,
    },
    /// Ask all that runs to end, and let none begin that has not.
    Term,
    /// End everything, and let none begin that has not.
    Kill,
}

impl Event {
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Prepared => "prepared",
            Self::NotPrepared { .. } => "not prepared",
            Self::Started { .. } => "started",
            Self::Ended { .. } => "ended",
            Self::Gone => "gone",
            Self::Healthy => "healthy",
            Self::Unhealthy { .. } => "unhealthy",
            Self::FarewellSaid { .. } => "farewell said",
            Self::Exceeded { .. } => "exceeded",
            Self::KillAsked { .. } => "kill asked",
            Self::TimedOut => "timed out",
        }
    }
}
