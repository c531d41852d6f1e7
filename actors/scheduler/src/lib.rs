//! The actors that decide. Each job, task instance, host and timetable is an `entity` around a machine from
//! `airglow-model`: it steps, commits, and only then acts.
//!
//! ```text
//!   Scheduler ──► admission ──► job ──► its tasks ──► matchmaker ──► its tasks ──► switchboard
//!   (handle)      one wish at   which   PENDING       who goes        ASSIGNED      the host's
//!                 a time a role exist                 where                         session
//!                                          ▲                                           │
//!                                          └────── reports, acknowledged when committed ┘
//! ```
//! Nobody waits for anybody's answer, except for the disk's. What is said may be lost with whoever
//! was to hear it; every actor asks again, from its record, when it wakes up.

mod admission;
mod archivist;
mod courier;
mod cron;
mod door;
mod drainer;
mod entity;
mod gatekeeper;
mod handle;
mod herald;
mod host;
mod hosts;
mod job;
mod lines;
mod matchmaker;
mod messages;
mod overseer;
mod peers;
mod pruner;
mod recruit;
mod reigns;
mod restore;
mod root;
mod stats;
mod surveyor;
mod task;
mod term;
#[cfg(test)]
mod tests;
mod unanswered;
mod update;

pub use airglow_kit::{
    identity::{Authority, random},
    now,
};
pub use airglow_model::admission::Refusal;
pub use airglow_store::{
    Backup, BackupError, Feed, Lag, Listener, Member, News, ReadModel, StoreError, What,
};
pub use handle::{
    AUTHORITY, AccessError, Config, Failure, Intent, NoBackup, Progress, Scheduler, StartError,
    StartUpdate,
};
pub use peers::Peering;
pub use recruit::{Past, recruit};
pub use reigns::Standing;
pub use restore::{Notes, Restore, RestoreError, Restored, SCHEDULER, Staged, finish_restore};
pub use stats::{BackupFailure, Backups, Stats};
pub use surveyor::{Survey, Surveyed, Surveys};
pub use unanswered::Unanswered;
