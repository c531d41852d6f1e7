//! A whole cluster in virtual time.
//!
//! The scheduler's decisions are the real ones: its machines, the matchmaker, the comparison with
//! what hosts have. Around them is as little as can be: mail between the scheduler's parts that
//! takes a while, a disk whose commits take a while, connections that break, and hosts that only
//! pretend to run what they are told to. All chance comes from one seed, so that a history can be
//! had again, as often as it takes to understand it.
//!
//! ```text
//!   actions ──► World ◄── calendar: what happens next
//!                 │
//!     scheduler ──┼── links ── computers
//!   (lost in a    │  (break,    (keep what they have,
//!    crash)       │   delay)     repeat what was not heard)
//!               records
//! ```

mod action;
mod calendar;
mod computer;
mod dice;
mod hosts;
mod network;
mod recorder;
mod report;
mod scenario;
mod scheduler;
mod snapshot;
mod story;
mod wires;
mod world;

pub use action::{Action, Conduct};
pub use computer::{Computer, Held};
pub use dice::Dice;
pub use report::{Drain, JobReport, Line, Report};
pub use scenario::Scenario;
pub use scheduler::Doomed;
pub use snapshot::{Snapshot, SnapshotHost, SnapshotJob};
pub use world::{News, Setup, World};
