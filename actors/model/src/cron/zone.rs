//! Which instants a schedule means on a clock that is set forward and back.
//!
//! | a schedule that | where the clock skips | where it repeats |
//! |---|---|---|
//! | names hours | what is skipped is due once, right after | the first time counts |
//! | names none | goes by the time that passes | goes by the time that passes |
//!
//! So a nightly job runs once a night whatever happens to the night, and a job of every quarter of
//! an hour runs every quarter of an hour.

use std::{fmt, str::FromStr, sync::LazyLock, time::Duration};

use jiff::{
    civil::DateTime,
    tz::{AmbiguousOffset, TimeZone, TimeZoneDatabase},
};
use serde::{Deserialize, Serialize, de};

use super::Schedule;
use crate::{machine::Timestamp, schema};

/// A clock. Its rules come with the program, never from the machine, so that every scheduler of a
/// cluster reads it alike.
#[derive(Clone, Debug, PartialEq)]
pub struct Zone(TimeZone);

static ZONES: LazyLock<TimeZoneDatabase> = LazyLock::new(TimeZoneDatabase::bundled);

impl Zone {
    pub const UTC: Self = Self(TimeZone::UTC);

    pub fn name(&self) -> &str {
        self.0.iana_name().unwrap_or("UTC")
    }

    /// What its clock shows then, and how that is called: `2027-03-28 03:00 CEST`.
    pub fn shows(&self, at: Timestamp) -> String {
        let zoned = instant(at).map(|it| it.to_zoned(self.0.clone()));
        zoned.map(|it| it.strftime("%Y-%m-%d %H:%M %Z").to_string()).unwrap_or_default()
    }

    /// The first instant after `after` at which `schedule` is due. There is one, unless the
    /// calendar ends first.
    pub fn next(&self, schedule: &Schedule, after: Timestamp) -> Option<Timestamp> {
        let after = instant(after)?;
        let next = match schedule.is_interval() {
            true => self.next_by_elapsed_time(schedule, after),
            false => self.next_by_clock(schedule, after),
        };
        u64::try_from(next?.as_millisecond()).ok().map(Timestamp)
    }

    /// All instants after `after` at which it is due.
    pub fn all(&self, schedule: &Schedule, after: Timestamp) -> impl Iterator<Item = Timestamp> {
        std::iter::successors(self.next(schedule, after), |it| self.next(schedule, *it))
    }

    /// The last `most` instants after `after` and up to `until`, oldest first, without looking at
    /// all the others.
    pub fn newest(
        &self,
        schedule: &Schedule,
        (after, until): (Timestamp, Timestamp),
        most: usize,
    ) -> Vec<Timestamp> {
        let mut span = Duration::from_secs(60 * 60);
        loop {
            let from = after.max(Timestamp(until.0.saturating_sub(Timestamp::from(span).0)));
            let due: Vec<_> = self.all(schedule, from).take_while(|it| *it <= until).collect();
            if from == after || most <= due.len() {
                return due[due.len().saturating_sub(most)..].to_vec();
            }
            span *= 4;
        }
    }

    /// Every minute counts that passes, whatever was shown before.
    fn next_by_elapsed_time(
        &self,
        schedule: &Schedule,
        after: jiff::Timestamp,
    ) -> Option<jiff::Timestamp> {
        let (mut from, mut offset) = (after, self.0.to_offset(after));
        let mut earliest = next_minute(offset.to_datetime(after))?;
        loop {
            let due = offset.to_timestamp(schedule.at_or_after(earliest)?).ok()?;
            match self.0.following(from).next() {
                Some(set) if set.timestamp() <= due => {
                    (from, offset) = (set.timestamp(), set.offset());
                    earliest = offset.to_datetime(from);
                }
                Some(_) | None => return Some(due),
            }
        }
    }

    /// Each time that is shown counts once.
    fn next_by_clock(
        &self,
        schedule: &Schedule,
        after: jiff::Timestamp,
    ) -> Option<jiff::Timestamp> {
        let mut shown = schedule.at_or_after(minute(self.0.to_datetime(after)))?;
        loop {
            let due = self.first_shows(shown)?;
            if after < due {
                return Some(due);
            }
            shown = schedule.at_or_after(next_minute(shown)?)?;
        }
    }

    /// When this clock shows that for the first time, or is set past it.
    fn first_shows(&self, shown: DateTime) -> Option<jiff::Timestamp> {
        match self.0.to_ambiguous_timestamp(shown).offset() {
            AmbiguousOffset::Unambiguous { offset } => offset.to_timestamp(shown).ok(),
            AmbiguousOffset::Fold { before, .. } => before.to_timestamp(shown).ok(),
            AmbiguousOffset::Gap { before, .. } => {
                // As if the clock had not been set; it has been by then.
                let unset = before.to_timestamp(shown).ok()?.checked_add(MINUTE).ok()?;
                Some(self.0.preceding(unset).next()?.timestamp())
            }
        }
    }
}

const MINUTE: jiff::SignedDuration = jiff::SignedDuration::from_mins(1);

fn minute(shown: DateTime) -> DateTime {
    shown.date().at(shown.hour(), shown.minute(), 0, 0)
}

fn next_minute(shown: DateTime) -> Option<DateTime> {
    minute(shown).checked_add(MINUTE).ok()
}

fn instant(at: Timestamp) -> Option<jiff::Timestamp> {
    jiff::Timestamp::from_millisecond(i64::try_from(at.0).ok()?).ok()
}

impl Default for Zone {
    fn default() -> Self {
        Self::UTC
    }
}

impl FromStr for Zone {
    type Err = String;

    /// # Errors
    /// There is no such zone, and which one may be meant.
    fn from_str(name: &str) -> Result<Self, String> {
        ZONES.get(name).map(Self).map_err(|_| {
            let names: Vec<_> = ZONES.available().map(|it| it.as_str().to_owned()).collect();
            let closest = schema::closest(name, names.iter().map(String::as_str));
            let hint = closest.map(|it| format!(", did you mean {it}?")).unwrap_or_default();
            format!("There is no time zone '{name}'{hint}: write a name like Europe/Berlin, or UTC")
        })
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Serialize for Zone {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for Zone {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}
