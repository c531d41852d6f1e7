//! How far a task is, and what will have become of it.

use crate::{machine::Timestamp, wire::RunState};

#[derive(Clone, Debug, PartialEq)]
pub enum Stage {
    Preparing,
    Active,
    Leaving {
        /// Which of its conduct's farewells.
        farewell: usize,
        /// It has answered, so it gets some time.
        is_heard: bool,
        /// When the next one follows.
        until: Timestamp,
        verdict: Verdict,
    },
    Cleaning {
        until: Timestamp,
        verdict: Verdict,
    },
    Finalizing {
        until: Timestamp,
        verdict: Verdict,
    },
    Ending {
        verdict: Verdict,
    },
    Over {
        verdict: Verdict,
    },
}

/// What has become of the task, or will have once it is over.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    Success,
    Failed,
    Killed {
        message: String,
    },
    Unhealthy {
        reason: String,
    },
    /// It took more than its share of something.
    Exceeded {
        message: String,
    },
    /// It never ran, for want of a place to run in.
    Unprepared {
        why: String,
    },
}

impl Stage {
    pub fn name(&self) -> &'static str {
        match self {
            Self::Preparing => "preparing",
            Self::Active => "active",
            Self::Leaving { .. } => "leaving",
            Self::Cleaning { .. } => "cleaning",
            Self::Finalizing { .. } => "finalizing",
            Self::Ending { .. } => "ending",
            Self::Over { .. } => "over",
        }
    }
}

impl Verdict {
    pub(super) fn state(&self) -> RunState {
        match self {
            Self::Success => RunState::Finished,
            Self::Failed
            | Self::Unhealthy { .. }
            | Self::Exceeded { .. }
            | Self::Unprepared { .. } => RunState::Failed,
            Self::Killed { .. } => RunState::Killed,
        }
    }

    pub(super) fn message(&self) -> String {
        match self {
            Self::Success => "Task finished.".to_owned(),
            Self::Failed => "Task failed.".to_owned(),
            Self::Unhealthy { reason } => format!("Failed health check! {reason}"),
            Self::Killed { message: why }
            | Self::Exceeded { message: why }
            | Self::Unprepared { why } => why.clone(),
        }
    }

    /// It ends because it takes too much, so that it still does is no news.
    pub(super) fn is_excess(&self) -> bool {
        matches!(self, Self::Exceeded { .. })
    }
}
