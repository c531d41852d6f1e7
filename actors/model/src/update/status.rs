//! What updates can be in the middle of, and what may follow. (Aurora's table.)

use std::fmt;

use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Status {
    RollingForward,
    RollForwardPaused,
    RollForwardAwaitingPulse,
    RollingBack,
    RollBackPaused,
    RollBackAwaitingPulse,
    RolledForward,
    RolledBack,
    Aborted,
    Error,
    Failed,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    Forward,
    Back,
}

impl Status {
    pub const ALL: [Self; 11] = [
        Self::RollingForward,
        Self::RollForwardPaused,
        Self::RollForwardAwaitingPulse,
        Self::RollingBack,
        Self::RollBackPaused,
        Self::RollBackAwaitingPulse,
        Self::RolledForward,
        Self::RolledBack,
        Self::Aborted,
        Self::Error,
        Self::Failed,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::RollingForward => "ROLLING_FORWARD",
            Self::RollForwardPaused => "ROLL_FORWARD_PAUSED",
            Self::RollForwardAwaitingPulse => "ROLL_FORWARD_AWAITING_PULSE",
            Self::RollingBack => "ROLLING_BACK",
            Self::RollBackPaused => "ROLL_BACK_PAUSED",
            Self::RollBackAwaitingPulse => "ROLL_BACK_AWAITING_PULSE",
            Self::RolledForward => "ROLLED_FORWARD",
            Self::RolledBack => "ROLLED_BACK",
            Self::Aborted => "ABORTED",
            Self::Error => "ERROR",
            Self::Failed => "FAILED",
        }
    }

    /// Whether it has not ended. A job has at most one update like that.
    pub fn is_active(self) -> bool {
        match self {
            Self::RollingForward
            | Self::RollForwardPaused
            | Self::RollForwardAwaitingPulse
            | Self::RollingBack
            | Self::RollBackPaused
            | Self::RollBackAwaitingPulse => true,
            Self::RolledForward | Self::RolledBack | Self::Aborted | Self::Error | Self::Failed => {
                false
            }
        }
    }

    /// Whether anything is begun now.
    pub fn is_rolling(self) -> bool {
        matches!(self, Self::RollingForward | Self::RollingBack)
    }

    /// Whether this one may follow directly.
    pub fn may_become(self, next: Self) -> bool {
        use Status as S;
        match self {
            S::RollingForward => matches!(
                next,
                S::RollingBack
                    | S::RollForwardPaused
                    | S::RollForwardAwaitingPulse
                    | S::RolledForward
                    | S::Aborted
                    | S::Error
                    | S::Failed
            ),
            S::RollForwardPaused => matches!(
                next,
                S::RollingForward
                    | S::RollingBack
                    | S::RollForwardAwaitingPulse
                    | S::Aborted
                    | S::Error
            ),
            S::RollForwardAwaitingPulse => matches!(
                next,
                S::RollingForward | S::RollingBack | S::RollForwardPaused | S::Aborted | S::Error
            ),
            S::RollingBack => matches!(
                next,
                S::RollBackPaused
                    | S::RollBackAwaitingPulse
                    | S::RolledBack
                    | S::Aborted
                    | S::Error
                    | S::Failed
            ),
            S::RollBackPaused => {
                matches!(next, S::RollingBack | S::RollBackAwaitingPulse | S::Aborted | S::Error)
            }
            S::RollBackAwaitingPulse => {
                matches!(next, S::RollingBack | S::RollBackPaused | S::Aborted | S::Error)
            }
            S::RolledForward | S::RolledBack | S::Aborted | S::Error | S::Failed => false,
        }
    }
}

impl Direction {
    pub fn rolling(self) -> Status {
        match self {
            Self::Forward => Status::RollingForward,
            Self::Back => Status::RollingBack,
        }
    }

    pub fn paused(self) -> Status {
        match self {
            Self::Forward => Status::RollForwardPaused,
            Self::Back => Status::RollBackPaused,
        }
    }

    pub fn awaiting_pulse(self) -> Status {
        match self {
            Self::Forward => Status::RollForwardAwaitingPulse,
            Self::Back => Status::RollBackAwaitingPulse,
        }
    }

    pub fn rolled(self) -> Status {
        match self {
            Self::Forward => Status::RolledForward,
            Self::Back => Status::RolledBack,
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
