//! Schedules from outside: what others made of them, what a reader without any cleverness does, and
//! how clocks are set.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod clocks;
mod plain;
mod syntax;
mod table;

use airglow_model::{
    cron::{Schedule, Zone},
    machine::Timestamp,
};

fn schedule(text: &str) -> Schedule {
    text.parse().unwrap_or_else(|mistake| panic!("{text}: {mistake}"))
}

fn zone(name: &str) -> Zone {
    name.parse().unwrap()
}

fn at(utc: &str) -> Timestamp {
    let at: jiff::Timestamp = utc.parse().unwrap();
    Timestamp(u64::try_from(at.as_millisecond()).unwrap())
}
