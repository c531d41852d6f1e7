//! What has to wait, and how long: what failed soon after it began is not tried again at once.
//!
//! The waits grow by a factor between one and two, so that many that fail together do not come
//! back together. The factor comes from the run's id: it differs between runs and is the same
//! whenever it is asked for.

use std::time::Duration;

use super::{Run, Status};
use crate::{hash::fnv1a, ids::TaskId, machine::Timestamp};

/// A run that lasted at least so long did not flap.
const FLAPPED_WITHIN: Duration = Duration::from_secs(5 * 60);
const FLAPPING: Backoff =
    Backoff { first: Duration::from_secs(30), most: Duration::from_secs(5 * 60) };

/// How long the run after `ended` has to wait.
///
/// It grows with every run of an unbroken line of them that flapped, the one that just ended
/// included; one that did not flap ends the line.
pub(super) fn after(ended: &Run) -> Duration {
    if flapped(ended) {
        FLAPPING.after(Duration::from_millis(ended.penalty_ms), &ended.id)
    } else {
        Duration::ZERO
    }
}

/// It ended soon, and nobody but itself is to blame.
fn flapped(ended: &Run) -> bool {
    let [.., before, end] = ended.events.as_slice() else { return false };
    let given_up = (before.status, end.status) == (Status::Partitioned, Status::Lost);
    if given_up || ended.was_asked_to_end() {
        return false;
    }
    // A short partition in between does not make a run that lasted for days look young.
    let ran = ended.events.iter().find(|it| it.status == Status::Running).unwrap_or(before);
    end.at.since(ran.at) < FLAPPED_WITHIN
}

/// Waits that grow.
#[derive(Clone, Copy, Debug)]
pub(super) struct Backoff {
    pub(super) first: Duration,
    pub(super) most: Duration,
}

impl Backoff {
    /// The wait that follows one of `last`; zero if there was none.
    pub(super) fn after(self, last: Duration, id: &TaskId) -> Duration {
        let base = if last.is_zero() { self.first } else { last };
        let share = fraction(id.0.bytes().chain(last.as_millis().to_le_bytes()));
        let wait = (base + base.mul_f64(share)).min(self.most);
        // Whole milliseconds are what is kept on disk.
        Duration::from_millis(Timestamp::from(wait).0)
    }
}

/// At least zero, less than one; any two inputs are as good as unrelated.
fn fraction(bytes: impl Iterator<Item = u8>) -> f64 {
    // A thousand steps are fine enough for a wait.
    let thousandths =
        u16::try_from((fnv1a(bytes) >> 32) % 1000).expect("it is less than a thousand");
    f64::from(thousandths) / 1000.0
}
