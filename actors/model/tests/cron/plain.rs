//! Schedules as a reader without any cleverness reads them, a minute at a time. It knows one rule: a
//! schedule that names hours is due when the clock shows, or is set past, what it has not shown yet.

use std::collections::BTreeSet;

use airglow_model::{cron::Zone, machine::Timestamp};
use jiff::{
    Timestamp as Instant, ToSpan,
    civil::DateTime,
    tz::{TimeZone, TimeZoneDatabase},
};
use proptest::{collection::vec, prelude::*, sample::select};

use crate::{at, schedule, zone};

/// A field's text, and which values it means.
#[derive(Clone, Debug)]
struct Field {
    text: String,
    values: BTreeSet<i8>,
    is_open: bool,
}

#[derive(Clone, Debug)]
struct Plain {
    minutes: Field,
    hours: Field,
    days: Field,
    months: Field,
    weekdays: Field,
}

impl Plain {
    fn text(&self) -> String {
        [&self.minutes, &self.hours, &self.days, &self.months, &self.weekdays]
            .map(|it| it.text.as_str())
            .join(" ")
    }

    fn matches(&self, shown: DateTime) -> bool {
        let weekday = shown.weekday().to_sunday_zero_offset();
        let by_date = self.days.values.contains(&shown.day());
        let by_week = self.weekdays.values.contains(&weekday);
        let day = match self.days.is_open || self.weekdays.is_open {
            true => by_date && by_week,
            false => by_date || by_week,
        };
        self.minutes.values.contains(&shown.minute())
            && self.hours.values.contains(&shown.hour())
            && self.months.values.contains(&shown.month())
            && day
    }

    /// What is due after `from` and up to `until`.
    fn due(&self, clock: &TimeZone, from: Instant, until: Instant) -> Vec<Instant> {
        let mut due = Vec::new();
        let by_clock = self.hours.values.len() < 24;
        let mut minute =
            from - 2.days().to_duration(jiff::SpanRelativeTo::days_are_24_hours()).unwrap();
        let mut latest = clock.to_datetime(minute);
        while minute < until {
            minute += 1.minute();
            let shown = clock.to_datetime(minute);
            let is_due = if by_clock {
                let mut unseen = latest;
                let mut is_due = false;
                while unseen < shown {
                    unseen += 1.minute();
                    is_due |= self.matches(unseen);
                }
                latest = latest.max(shown);
                is_due
            } else {
                self.matches(shown)
            };
            if is_due && from < minute {
                due.push(minute);
            }
        }
        due
    }
}

fn field(first: i8, last: i8) -> impl Strategy<Value = Field> {
    let whole = (last - first) as usize;
    let element = prop_oneof![
        3 => Just(("*".to_owned(), (first..=last).collect::<Vec<_>>())),
        2 => (1..=whole).prop_map(move |step| {
            (format!("*/{step}"), (first..=last).step_by(step).collect())
        }),
        2 => (first..=last).prop_map(|it| (it.to_string(), vec![it])),
        2 => (first..=last, first..=last).prop_map(|(a, b)| {
            let (a, b) = (a.min(b), a.max(b));
            (format!("{a}-{b}"), (a..=b).collect())
        }),
        1 => (first..=last, first..=last, 1..=whole).prop_map(|(a, b, step)| {
            let (a, b) = (a.min(b), a.max(b));
            (format!("{a}-{b}/{step}"), (a..=b).step_by(step).collect())
        }),
        1 => (first..=last, 1..=whole).prop_map(move |(a, step)| {
            (format!("{a}/{step}"), (a..=last).step_by(step).collect())
        }),
    ];
    vec(element, 1..3).prop_map(move |elements| {
        let text = elements.iter().map(|(text, _)| text.as_str()).collect::<Vec<_>>().join(",");
        let values: BTreeSet<i8> = elements.into_iter().flat_map(|(_, values)| values).collect();
        let is_open = text.starts_with('*') || values.len() == whole + 1;
        Field { text, values, is_open }
    })
}

fn any_day(first: i8, last: i8) -> Field {
    Field { text: "*".into(), values: (first..=last).collect(), is_open: true }
}

/// Of the time of day only, or of days too.
fn plain(with_days: bool) -> impl Strategy<Value = Plain> {
    let days = move |field: BoxedStrategy<Field>, first, last| {
        if with_days { field } else { Just(any_day(first, last)).boxed() }
    };
    let days_of_month = days(field(1, 31).boxed(), 1, 31);
    let weekdays = days(field(0, 6).boxed(), 0, 6);
    let months = days(prop_oneof![Just(any_day(1, 12)), field(1, 12)].boxed(), 1, 12);
    (field(0, 59), field(0, 23), days_of_month, months, weekdays).prop_map(
        |(minutes, hours, days, months, weekdays)| Plain { minutes, hours, days, months, weekdays },
    )
}

fn ours(clock: &Zone, plain: &Plain, from: Timestamp, until: Timestamp) -> Vec<Timestamp> {
    clock.all(&schedule(&plain.text()), from).take_while(|it| *it <= until).collect()
}

fn theirs(clock: &Zone, plain: &Plain, from: Timestamp, until: Timestamp) -> Vec<Timestamp> {
    let instant = |it: Timestamp| Instant::from_millisecond(i64::try_from(it.0).unwrap()).unwrap();
    let rules = TimeZoneDatabase::bundled().get(clock.name()).unwrap();
    let due = plain.due(&rules, instant(from), instant(until));
    due.into_iter().map(|it| Timestamp(u64::try_from(it.as_millisecond()).unwrap())).collect()
}

/// Around days on which clocks are set, and others.
const NIGHTS: [(&str, &str); 9] = [
    ("Europe/Berlin", "2027-03-27T00:00:00Z"),
    ("Europe/Berlin", "2027-10-30T00:00:00Z"),
    ("America/New_York", "2027-03-13T00:00:00Z"),
    ("America/New_York", "2027-11-06T00:00:00Z"),
    ("Australia/Lord_Howe", "2027-10-02T00:00:00Z"),
    ("Australia/Lord_Howe", "2027-04-03T00:00:00Z"),
    ("America/Sao_Paulo", "2018-11-03T00:00:00Z"),
    ("Asia/Beirut", "2027-03-27T00:00:00Z"),
    ("Pacific/Apia", "2011-12-29T00:00:00Z"),
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn a_plain_reader_finds_the_same_times_while_clocks_are_set(
        plain in plain(false),
        (clock, night) in select(&NIGHTS[..]),
        offset_minutes in 0..2000_u64,
    ) {
        let clock = zone(clock);
        let from = Timestamp(at(night).0 + offset_minutes * 60_000);
        let until = Timestamp(from.0 + 36 * 3_600_000);
        prop_assert_eq!(ours(&clock, &plain, from, until), theirs(&clock, &plain, from, until));
    }

    #[test]
    fn a_plain_reader_finds_the_same_days(
        plain in plain(true),
        start in 0..1500_u64,
        second in 0..60_u64,
    ) {
        let clock = zone("UTC");
        let from = Timestamp(at("2027-01-01T00:00:00Z").0 + start * 86_400_000 + second * 1000);
        let minute = Timestamp(from.0 - second * 1000);
        let until = Timestamp(minute.0 + 45 * 86_400_000);
        let Ok(_) = plain.text().parse::<airglow_model::cron::Schedule>() else {
            // It never comes, and by a plain reader neither.
            prop_assert!(theirs(&clock, &plain, minute, until).is_empty());
            return Ok(());
        };
        prop_assert_eq!(ours(&clock, &plain, from, until), theirs(&clock, &plain, minute, until));
    }
}
