//! The five fields, and which times of which days they mean.

use std::{fmt, str::FromStr};

use jiff::civil::{Date, DateTime, Weekday};
use serde::{Deserialize, Serialize, de};

use super::field::{DAYS, Field, HOURS, MINUTES, MONTHS, Values, WEEKDAYS};

/// When a job is due, by whichever clock it goes.
///
/// Kept as it was written. Records hold that text, so what was once accepted has to be accepted for
/// ever.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Schedule {
    text: String,
    minutes: Values,
    hours: Values,
    days: Values,
    months: Values,
    weekdays: Values,
}

/// Names for schedules that many want.
const NAMED: [(&str, &str); 7] = [
    ("@hourly", "0 * * * *"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@weekly", "0 0 * * 0"),
    ("@monthly", "0 0 1 * *"),
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
];

/// How many days each month may have, January first.
const DAYS_MAX: [i8; 12] = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

impl Schedule {
    /// As it was written, but for the blanks around its fields.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The same for all schedules that mean the same: full ranges are `*`, sets are ranges.
    pub fn canonical(&self) -> String {
        // A leading `*` of one day field matters only where the other one rules something out.
        let day = |field: &Field, values, other_has_all| {
            if other_has_all { field.write(values) } else { field.write_open(values) }
        };
        [
            MINUTES.write(self.minutes),
            HOURS.write(self.hours),
            day(&DAYS, self.days, WEEKDAYS.has_all(self.weekdays)),
            MONTHS.write(self.months),
            day(&WEEKDAYS, self.weekdays, DAYS.has_all(self.days)),
        ]
        .join(" ")
    }

    /// Whether it means so often, rather than certain times of a day: its hours are not named.
    pub(super) fn is_interval(&self) -> bool {
        HOURS.has_all(self.hours)
    }

    /// The first time that is due and not before `from`. There is always one, unless the calendar
    /// ends first.
    pub(super) fn at_or_after(&self, from: DateTime) -> Option<DateTime> {
        let mut date = from.date();
        let (mut hour, mut minute) = (from.hour(), from.minute());
        loop {
            if !self.months.has(date.month()) {
                date = date.last_of_month().tomorrow().ok()?;
            } else if self.has_day(date)
                && let Some((hour, minute)) = self.time_at_or_after(hour, minute)
            {
                return Some(date.at(hour, minute, 0, 0));
            } else {
                date = date.tomorrow().ok()?;
            }
            (hour, minute) = (0, 0);
        }
    }

    fn time_at_or_after(&self, hour: i8, minute: i8) -> Option<(i8, i8)> {
        let later = self.minutes.at_or_after(minute).filter(|_| self.hours.has(hour));
        if let Some(minute) = later {
            return Some((hour, minute));
        }
        Some((self.hours.at_or_after(hour + 1)?, self.minutes.at_or_after(0)?))
    }

    /// If both kinds of days are named, either will do.
    fn has_day(&self, date: Date) -> bool {
        let by_date = self.days.has(date.day());
        let by_week = self.weekdays.has(Weekday::to_sunday_zero_offset(date.weekday()));
        if self.needs_both() { by_date && by_week } else { by_date || by_week }
    }

    fn needs_both(&self) -> bool {
        DAYS.is_open(self.days) || WEEKDAYS.is_open(self.weekdays)
    }

    /// Every date falls on each day of the week in some year, so only the dates can be impossible.
    fn ever_comes(&self) -> bool {
        let longest =
            self.months.iter().filter_map(|it| DAYS_MAX.get(usize::try_from(it).ok()? - 1));
        let first = self.days.iter().next();
        !self.needs_both() || longest.max().zip(first).is_some_and(|(longest, day)| day <= *longest)
    }
}

impl FromStr for Schedule {
    type Err = String;

    /// # Errors
    /// What is wrong with it and what to write instead.
    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let named = NAMED.iter().find(|(name, _)| name.eq_ignore_ascii_case(&text));
        let fields: Vec<_> = named.map_or(text.as_str(), |(_, fields)| fields).split(' ').collect();
        let [minutes, hours, days, months, weekdays] = fields[..] else {
            return Err(not_five(&text, fields.len()));
        };
        let (minutes, hours) = (MINUTES.read(minutes)?, HOURS.read(hours)?);
        let (days, months) = (DAYS.read(days)?, MONTHS.read(months)?);
        let weekdays = WEEKDAYS.read(weekdays)?;
        let schedule = Self { text, minutes, hours, days, months, weekdays };
        if !schedule.ever_comes() {
            return Err(format!(
                "'{}' never comes: there is no such day in {}; write one that there is",
                schedule.text,
                MONTHS.names(months)
            ));
        }
        Ok(schedule)
    }
}

fn not_five(text: &str, count: usize) -> String {
    const FIELDS: &str = "minute, hour, day of the month, month and day of the week";
    if text.is_empty() {
        return format!(
            "A schedule has five fields ({FIELDS}), and this has none: write '0 * * * *' for hourly"
        );
    }
    if text.starts_with('@') {
        let names = NAMED.map(|(name, _)| name).join(", ");
        return format!("'{text}' is no schedule: write one of {names}, or five fields ({FIELDS})");
    }
    let hint = if count > 5 { "; there are no seconds and no years" } else { ", and * for any" };
    format!("'{text}' has {count} field(s): write five ({FIELDS}){hint}")
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Serialize for Schedule {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for Schedule {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}
