//! Jobs that run by the clock: when they are due, and what becomes of each time.
//!
//! A [`Schedule`] is the five fields, a [`Zone`] the clock that they are read on. Together they say
//! which instants are due; nothing else here knows that clocks are set. An [`Entry`] is the machine:
//! it deals with one time after the other, and its [`Timetable`] is all that it knows.

mod dealing;
mod entry;
mod field;
mod schedule;
#[cfg(test)]
mod tests;
mod timetable;
mod zone;

pub use entry::{Before, Counts, Effect, Entry, Event, Order};
pub use schedule::Schedule;
pub use timetable::{
    CATCH_UP_MAX, CatchUp, Collision, Fate, Firing, IN_TIME, KEPT_FIRINGS, Rule, Run, Skip, State,
    Timetable,
};
pub use zone::Zone;
