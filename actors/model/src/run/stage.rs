//! How far a task is, and what will have become of it.

use crate::{machine::Timestamp, wire::RunState};

#[derive(Clone, Debug, PartialEq)]
pub enum Stage {
    Preparing,
    Active,
    Cleaning { until: Timestamp, verdict: Verdict },
    Finalizing { until: Timestamp, verdict: Verdict },
    Ending { verdict: Verdict },
    Over { verdict: Verdict },
}

/// What has become of the task, or will have once it is over.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    Success,
    Failed,
    Killed {
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
            Self::Failed | Self::Unprepared { .. } => RunState::Failed,
            Self::Killed { .. } => RunState::Killed,
        }
    }

    pub(super) fn message(&self) -> String {
        match self {
            Self::Success => "Task finished.".to_owned(),
            Self::Failed => "Task failed.".to_owned(),
            Self::Killed { message: why } | Self::Unprepared { why } => why.clone(),
        }
    }
}
