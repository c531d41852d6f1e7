//! The one shape every decision in the cluster has.

use std::{fmt, ops, time::Duration};

use serde::{Deserialize, Serialize};

use crate::record::Change;

/// Milliseconds since the Unix epoch. Handed in by the caller; nothing in this crate reads a clock.
#[derive(
    Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// How long after `earlier` this is; zero if it is not.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

impl From<Duration> for Timestamp {
    fn from(since_epoch: Duration) -> Self {
        Self(u64::try_from(since_epoch.as_millis()).expect("the year 584 million is far away"))
    }
}

impl ops::Add<Duration> for Timestamp {
    type Output = Self;

    fn add(self, rhs: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(rhs.as_millis()).unwrap_or(u64::MAX)))
    }
}

/// A state machine whose outputs depend on its state alone, so that they can be
/// worked out again by whoever finds the state after a crash.
pub trait Machine: Sized + Clone + fmt::Debug + Unpin + 'static {
    type Event: fmt::Debug + Send + 'static;
    type Effect: fmt::Debug + PartialEq + 'static;

    /// Where `event` leads. The machine itself is not changed: the caller decides when the next
    /// state is real.
    fn step(&self, now: Timestamp, event: &Self::Event) -> Result<Self, Rejected>;

    /// What being in this state asks of others. Asked again after every restart, so each effect
    /// must be idempotent.
    fn effects(&self) -> Vec<Self::Effect>;

    /// The event to feed back, and when, if nothing happens first.
    fn deadline(&self) -> Option<(Timestamp, Self::Event)> {
        None
    }

    /// What has to be on disk before the step from `before` to `self` is real: the machine's own
    /// record, and whatever leaves it for good (an ended attempt goes to history with the very
    /// commit that begins the next).
    fn changes(&self, before: Option<&Self>) -> Vec<Change>;
}

/// The event makes no sense in this state. Late news is normal, so this is not a bug by itself.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Rejected {
    pub state: &'static str,
    pub event: &'static str,
}

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} does not apply to something {}", self.event, self.state)
    }
}
