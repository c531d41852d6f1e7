//! When the cluster's memory is copied for a bad day, how copies are called, and which may go.

use std::{collections::BTreeSet, fmt, path::PathBuf, str::FromStr, time::Duration};

use jiff::{civil::DateTime, tz::TimeZone};
use serde::{Deserialize, Serialize};

use crate::{
    ids::{NotAKey, is_identifier},
    machine::Timestamp,
};

/// How backups are made without being asked for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Plan {
    /// `None`: never.
    pub every: Option<Duration>,
    /// How many are kept, at least one.
    pub keep: usize,
    /// Where they go; `None`: beside the database.
    pub folder: Option<PathBuf>,
}

/// Nothing is written to a disk that nobody has chosen.
impl Default for Plan {
    fn default() -> Self {
        Self { every: None, keep: 24, folder: None }
    }
}

/// A scheduler that has just started has enough to do.
const FIRST: Duration = Duration::from_secs(60);

/// After a failure it is tried again this much sooner than otherwise, but not all the time.
const AGAIN: Duration = Duration::from_secs(5 * 60);

impl Plan {
    /// For how long a scheduler that starts waits, when the newest that there is was made then.
    pub fn wait(&self, newest: Option<Timestamp>, now: Timestamp) -> Option<Duration> {
        let every = self.every?;
        let due = newest.map_or(now, |it| it + every);
        // A clock that was wrong for a while must not put it off.
        Some(due.since(now).clamp(FIRST.min(every), every))
    }

    /// For how long to wait after one could not be made.
    pub fn wait_after_failure(&self) -> Option<Duration> {
        self.every.map(|every| every.min(AGAIN))
    }

    /// Those that need not be kept, `newest` having just been made.
    pub fn surplus<'a>(&self, all: &'a BTreeSet<Name>, newest: &Name) -> Vec<&'a Name> {
        let mut ours: Vec<_> =
            all.iter().filter(|it| it.cluster == newest.cluster && *it != newest).collect();
        ours.sort_by_key(|it| (it.at, it.seq));
        let surplus = ours.len().saturating_sub(self.keep.saturating_sub(1));
        ours.truncate(surplus);
        ours
    }
}

/// Which backup it is. Written as `west-20261201T001500Z-12345.airglow`.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Name {
    pub cluster: String,
    /// To the second.
    pub at: Timestamp,
    /// The newest transaction in it.
    pub seq: u64,
}

/// How the file of a backup ends.
pub const SUFFIX: &str = ".airglow";

const TIME: &str = "%Y%m%dT%H%M%SZ";

impl Name {
    pub fn new(cluster: &str, at: Timestamp, seq: u64) -> Self {
        Self { cluster: cluster.to_owned(), at: Timestamp(at.0 / 1000 * 1000), seq }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at =
            i64::try_from(self.at.0).ok().and_then(|it| jiff::Timestamp::from_millisecond(it).ok());
        let at = at.unwrap_or(jiff::Timestamp::MAX).strftime(TIME);
        write!(f, "{}-{at}-{}{SUFFIX}", self.cluster, self.seq)
    }
}

/// Exactly what it is displayed as.
impl FromStr for Name {
    type Err = NotAKey;

    fn from_str(text: &str) -> Result<Self, NotAKey> {
        let mut parts = text.strip_suffix(SUFFIX).ok_or(NotAKey)?.rsplitn(3, '-');
        let (Some(seq), Some(at), Some(cluster)) = (parts.next(), parts.next(), parts.next())
        else {
            return Err(NotAKey);
        };
        let at = DateTime::strptime(TIME, at).map_err(|_| NotAKey)?;
        let at = TimeZone::UTC.to_timestamp(at).map_err(|_| NotAKey)?.as_millisecond();
        let at = Timestamp(u64::try_from(at).map_err(|_| NotAKey)?);
        let name = Self::new(cluster, at, seq.parse().map_err(|_| NotAKey)?);
        // Nothing that is a path, and nothing that reads otherwise.
        if is_identifier(cluster) && name.to_string() == text { Ok(name) } else { Err(NotAKey) }
    }
}

/// What a backup says of itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    pub cluster: String,
    pub at: Timestamp,
    /// Of the Airglow that made it.
    pub version: String,
}

/// What is added to the scheduler's term by a restore: more than a scheduler whose last days are
/// not in the backup can have used up, so that nobody obeys that one any more.
pub const TERMS_AHEAD: u64 = 1_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        text.parse().unwrap()
    }

    #[test]
    fn names_are_read_back_as_they_are_written() {
        let at = Timestamp(1_796_084_100_987);
        let made = Name::new("west-2", at, 12_345);
        assert_eq!(made.to_string(), "west-2-20261201T001500Z-12345.airglow");
        assert_eq!(name(&made.to_string()), made);
        for bad in [
            "",
            "x.airglow",
            "west-20261201T001500Z-1",
            "west-20261201T001500Z-01.airglow",
            "west-20261201T001500Z-+1.airglow",
            "west-20261301T001500Z-1.airglow",
            "-20261201T001500Z-1.airglow",
            "../../etc-20261201T001500Z-1.airglow",
            "a/b-20261201T001500Z-1.airglow",
            "west-20261201T001500Z-1.airglow.part",
        ] {
            assert_eq!(bad.parse::<Name>(), Err(NotAKey), "{bad}");
        }
    }

    #[test]
    fn the_oldest_go_and_never_the_one_just_made() {
        let of = |texts: &[&str]| -> BTreeSet<Name> {
            texts.iter().map(|it| name(&format!("{it}.airglow"))).collect()
        };
        let all = of(&[
            "west-20261201T000000Z-1",
            "west-20261201T010000Z-2",
            "west-20261201T020000Z-3",
            "west-20261201T030000Z-4",
            "east-20261101T000000Z-1",
        ]);
        let surplus = |keep, newest: &str| -> Vec<u64> {
            let plan = Plan { keep, ..Plan::default() };
            let newest = name(&format!("{newest}.airglow"));
            plan.surplus(&all, &newest).iter().map(|it| it.seq).collect()
        };
        assert_eq!(surplus(2, "west-20261201T030000Z-4"), [1, 2]);
        assert_eq!(surplus(4, "west-20261201T030000Z-4"), [0; 0]);
        assert_eq!(surplus(0, "west-20261201T030000Z-4"), [1, 2, 3]);
        // The clock went back an hour or three: the one just made is kept all the same.
        assert_eq!(surplus(2, "west-20261201T000000Z-1"), [2, 3]);
    }

    #[test]
    fn what_is_overdue_is_made_soon_and_nothing_is_put_off_for_ever() {
        let hour = Duration::from_secs(3600);
        let plan = Plan { every: Some(hour), ..Plan::default() };
        let now = Timestamp(100_000_000);
        let ago = |secs: u64| Some(Timestamp(now.0 - secs * 1000));
        assert_eq!(plan.wait(None, now), Some(FIRST));
        assert_eq!(plan.wait(ago(9999), now), Some(FIRST));
        assert_eq!(plan.wait(ago(600), now), Some(Duration::from_secs(3000)));
        assert_eq!(plan.wait(Some(now + hour * 50), now), Some(hour));
        assert_eq!(Plan::default().wait(None, now), None);
        assert_eq!(plan.wait_after_failure(), Some(AGAIN));
        let often = Plan { every: Some(Duration::from_secs(1)), ..Plan::default() };
        assert_eq!(often.wait(None, now), Some(Duration::from_secs(1)));
        assert_eq!(often.wait_after_failure(), Some(Duration::from_secs(1)));
    }
}
