//! How a job comes from one configuration to another while it runs.
//!
//! ```text
//!   started ──► ROLLING_FORWARD ◄──► ROLL_FORWARD_PAUSED         asked, or after a batch
//!      │          │  │   ▲  ▲
//!      │          │  │   │  └──────► ROLL_FORWARD_AWAITING_PULSE ◄── started, if pulses are needed
//!      │          │  └───┼─────────► ROLLED_FORWARD
//!      │          ▼      │
//!      │      ROLLING_BACK ◄──► ROLL_BACK_PAUSED, ROLL_BACK_AWAITING_PULSE
//!      │          └────────────────► ROLLED_BACK
//!      └─► from anywhere: ABORTED, FAILED, ERROR
//! ```
//! An update does not do anything to instances: it says to their job which of them should have
//! which configuration by now, and looks at how they are. It looks at what is, not at what it has
//! done, so whoever finds an update after a crash goes on with it as if nothing had happened. What
//! cannot be seen is remembered: how often an instance had failed before, and who has failed.
//!
//! What becomes of one instance is in `update/evaluate.rs`, who is next in `update/strategy.rs`, and
//! where events lead in `update/step.rs`.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{
    ids::{ConfigId, UpdateKey},
    instances::InstanceSet,
    machine::Timestamp,
    spec::UpdateConfig,
};

mod diff;
mod evaluate;
mod request;
mod roll;
mod settings;
mod sight;
mod status;
mod step;
mod strategy;
#[cfg(test)]
mod tests;
mod trial;

pub use diff::Diff;
pub use evaluate::{Verdict, evaluate};
pub use request::Request;
pub use roll::{Failure, Order, Roll, Trial, Work};
pub use settings::{Canary, Settings};
pub use sight::{Seen, Sight};
pub use status::{Direction, Status};
pub use strategy::Strategy;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Update {
    pub key: UpdateKey,
    pub created_at: Timestamp,
    pub by: String,
    /// What whoever began it wants others to know.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
    pub settings: Settings,
    /// What its instances will have; `None` if it only removes some.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Side>,
    /// What they had; those that it creates had nothing.
    pub initial: Vec<Side>,
    pub status: Status,
    /// Each change of its status, oldest first.
    pub events: Vec<UpdateEvent>,
    /// How far it has come in the direction that it goes.
    pub roll: Roll,
    /// When somebody last said that it may go on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pulsed_at: Option<Timestamp>,
    /// How many lots of instance events are in the store.
    #[serde(default)]
    pub lots: u32,
    /// What happened to instances with the last step, on its way to the store.
    #[serde(skip)]
    pub(crate) news: Vec<InstanceEvent>,
    /// When to look again if nothing happens first.
    #[serde(skip)]
    pub(crate) look_at: Option<Timestamp>,
}

/// Instances, and the configuration that they have or will have.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Side {
    pub config: ConfigId,
    pub instances: InstanceSet,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UpdateEvent {
    pub at: Timestamp,
    pub status: Status,
    /// Who asked for it; nobody did if it is empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub by: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InstanceEvent {
    pub at: Timestamp,
    pub instance: u32,
    pub action: Action,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
}

/// What became of an instance, by its name in Aurora without `INSTANCE_`.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Action {
    Updating,
    Updated,
    UpdateFailed,
    RollingBack,
    RolledBack,
    RollbackFailed,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// It is time to look. Whoever hears it looks, and tells what there is to be seen.
    Look,
    Looked(Sight),
    /// What these have may end.
    Permitted(InstanceSet),
    PauseAsked(Asked),
    ResumeAsked(Asked),
    AbortAsked(Asked),
    RollbackAsked(Asked),
    /// Whoever watches over it says that it may go on.
    Pulsed,
    /// It ended long ago.
    Pruned,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Asked {
    pub by: String,
    pub message: String,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// The job should have these instances by now.
    Demand(Demand),
    /// Somebody has to say when what some instances have may end.
    AskToEnd,
    /// The job may be changed by others again; instances that are added get this configuration, if
    /// that is not what they got before.
    Release { newest: Option<ConfigId> },
}

/// Everything that one direction of an update has come to ask for.
#[derive(Clone, Debug, PartialEq)]
pub struct Demand {
    pub update: UpdateKey,
    pub direction: Direction,
    /// Each instance once.
    pub wanted: Vec<Side>,
    pub unwanted: InstanceSet,
}

impl Action {
    pub fn name(self) -> &'static str {
        match self {
            Self::Updating => "INSTANCE_UPDATING",
            Self::Updated => "INSTANCE_UPDATED",
            Self::UpdateFailed => "INSTANCE_UPDATE_FAILED",
            Self::RollingBack => "INSTANCE_ROLLING_BACK",
            Self::RolledBack => "INSTANCE_ROLLED_BACK",
            Self::RollbackFailed => "INSTANCE_ROLLBACK_FAILED",
        }
    }
}

impl Update {
    /// One that there is no record of.
    pub fn unborn(key: UpdateKey) -> Self {
        Self {
            key,
            created_at: Timestamp(0),
            by: String::new(),
            metadata: BTreeMap::new(),
            settings: Settings::from(&UpdateConfig::default()),
            target: None,
            initial: Vec::new(),
            status: Status::Error,
            events: Vec::new(),
            roll: Roll::new(Direction::Forward, Order::default()),
            pulsed_at: None,
            lots: 0,
            news: Vec::new(),
            look_at: None,
        }
    }

    /// Every instance that it is about.
    pub fn scope(&self) -> InstanceSet {
        let target = self.target.iter().map(|it| &it.instances);
        let all = target.chain(self.initial.iter().map(|it| &it.instances));
        all.fold(InstanceSet::default(), |all, it| all.union(it))
    }

    /// What an instance should have in the direction that it goes.
    pub fn desired(&self, instance: u32) -> Option<ConfigId> {
        self.sides(self.roll.direction)
            .iter()
            .find(|it| it.instances.contains(instance))
            .map(|it| it.config)
    }

    /// Whether somebody has to say when what some instances have may end.
    pub fn asks_to_end(&self) -> bool {
        self.status.is_rolling() && self.roll.working.values().any(|it| !it.may_end)
    }

    /// Whether it ends what an instance has now.
    pub fn ends(&self, instance: u32, has: ConfigId) -> bool {
        let works = self.roll.working.get(&instance).is_some_and(|it| it.may_end);
        works && self.desired(instance) != Some(has)
    }

    /// What its instances should have in a direction.
    pub fn sides(&self, direction: Direction) -> &[Side] {
        match direction {
            Direction::Forward => self.target.as_slice(),
            Direction::Back => &self.initial,
        }
    }

    /// Which configurations it may still ask for, or tells of.
    pub fn configs(&self) -> impl Iterator<Item = ConfigId> + '_ {
        self.target.iter().chain(&self.initial).map(|it| it.config)
    }

    /// What happened to instances with the last step.
    pub fn news(&self) -> &[InstanceEvent] {
        &self.news
    }

    /// When it waits for a pulse, if it needs any and none comes before.
    pub fn pulse_due_at(&self) -> Option<Timestamp> {
        let every = Duration::from_millis(self.settings.pulse_ms?);
        self.pulsed_at.filter(|_| self.status.is_active()).map(|it| it + every)
    }

    pub fn modified_at(&self) -> Timestamp {
        self.events.last().map_or(self.created_at, |it| it.at)
    }
}
