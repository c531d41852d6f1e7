//! What an update sees of its instances.

use std::collections::BTreeMap;

use super::Update;
use crate::{
    ids::ConfigId,
    machine::Timestamp,
    task::{Exit, Status, Task},
    view::View,
};

/// The instances that are there, of those that matter to the update yet.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sight {
    pub seen: BTreeMap<u32, Seen>,
}

/// An instance that is there.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    /// What its current run has.
    pub config: ConfigId,
    pub status: Status,
    /// When something happened to it last.
    pub since: Timestamp,
    /// How often it has ended by itself with what it has.
    pub exits: u32,
    /// The last time that it did.
    pub exit: Option<Exit>,
}

impl Sight {
    pub fn of(view: &View, update: &Update) -> Self {
        let Some(job) = view.jobs.get(&update.key.job) else { return Self::default() };
        let see = |it| Some((it, Seen::of(job.tasks.get(&it)?)?));
        Self { seen: update.roll.watched().filter_map(see).collect() }
    }
}

impl Seen {
    fn of(task: &Task) -> Option<Self> {
        let run = task.run.as_ref().filter(|it| it.state.status().is_active())?;
        Some(Self {
            config: run.config,
            status: run.state.status(),
            since: run.events.last().map_or(task.born_at, |it| it.at),
            exits: run.exits,
            exit: run.exit.as_deref().cloned(),
        })
    }
}
