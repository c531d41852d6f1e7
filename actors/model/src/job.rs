//! Which instances of a job should exist, and with which configuration.
//!
//! ```text
//!             created                    kill asked
//!   (nothing) ───────► instances wanted ───────────► instances unwanted
//!                           ▲  added, created again        │
//!                           └──────────────────────────────┘
//! ```
//! A job does not hear of its instances' ends: it says what should be, again after every restart,
//! and each instance knows by its generation whether that is news.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{
    config::TaskConfig,
    ids::{ConfigId, JobKey},
    instances::InstanceSet,
    machine::{Machine, Rejected, Timestamp},
    record::{Change, Record, RecordKey},
};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Job {
    pub key: JobKey,
    pub created_at: Timestamp,
    pub by: String,
    /// The newest configuration; instances added later get it.
    pub config: ConfigId,
    /// Grows whenever instances are asked for; an instance ignores a demand that it has met.
    pub generation: u32,
    pub wanted: Vec<Wanted>,
    pub unwanted: InstanceSet,
    /// Why they are unwanted, for the instances' own histories.
    pub kill_message: String,
    /// The configurations that came with the last step, on their way to the store.
    #[serde(skip)]
    arriving: Option<Arc<TaskConfig>>,
}

/// Instances that should exist since `generation`, with this configuration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Wanted {
    pub instances: InstanceSet,
    pub config: ConfigId,
    pub generation: u32,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    Created { config: Arc<TaskConfig>, instances: InstanceSet, by: String },
    Added { instances: InstanceSet },
    KillAsked { instances: InstanceSet, message: String },
}

#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// These instances should exist.
    Ensure(Wanted),
    /// These should not.
    Kill { instances: InstanceSet, message: String },
}

impl Job {
    /// A job that nobody has asked for yet.
    pub fn unborn(key: JobKey) -> Self {
        Self {
            key,
            created_at: Timestamp(0),
            by: String::new(),
            config: ConfigId(0),
            generation: 0,
            wanted: Vec::new(),
            unwanted: InstanceSet::default(),
            kill_message: String::new(),
            arriving: None,
        }
    }

    pub fn all_wanted(&self) -> InstanceSet {
        self.wanted.iter().fold(InstanceSet::default(), |all, it| all.union(&it.instances))
    }

    /// The demand for `instances`, which replaces every older one for them.
    fn want(&mut self, instances: &InstanceSet) {
        self.generation += 1;
        self.give_up(instances);
        self.unwanted = self.unwanted.difference(instances);
        self.wanted.push(Wanted {
            instances: instances.clone(),
            config: self.config,
            generation: self.generation,
        });
    }

    fn give_up(&mut self, instances: &InstanceSet) {
        for wanted in &mut self.wanted {
            wanted.instances = wanted.instances.difference(instances);
        }
        self.wanted.retain(|it| !it.instances.is_empty());
    }

    fn name(&self) -> &'static str {
        match (self.generation, self.wanted.is_empty()) {
            (0, _) => "unborn",
            (_, true) => "unwanted",
            (_, false) => "wanted",
        }
    }
}

impl Event {
    fn name(&self) -> &'static str {
        match self {
            Self::Created { .. } => "created",
            Self::Added { .. } => "added",
            Self::KillAsked { .. } => "kill asked",
        }
    }
}

impl Machine for Job {
    type Event = Event;
    type Effect = Effect;

    fn step(&self, now: Timestamp, event: &Event) -> Result<Self, Rejected> {
        let rejected = || Rejected { state: self.name(), event: event.name() };
        let mut next = Self { arriving: None, ..self.clone() };
        match event {
            Event::Created { config, instances, by } => {
                if instances.is_empty() {
                    return Err(rejected());
                }
                next.config = ConfigId(self.config.0 + 1);
                next.arriving = Some(config.clone());
                (next.created_at, next.by) = (now, by.clone());
                // What is left of an earlier life has ended, or the creation was not admitted.
                next.wanted.clear();
                next.want(instances);
            }
            Event::Added { instances } => {
                if self.generation == 0 || instances.is_empty() {
                    return Err(rejected());
                }
                next.want(instances);
            }
            Event::KillAsked { instances, message } => {
                let known = self.all_wanted().union(&self.unwanted);
                let instances = instances.intersection(&known);
                if instances.is_empty() {
                    return Err(rejected());
                }
                next.give_up(&instances);
                next.unwanted = self.unwanted.union(&instances);
                next.kill_message.clone_from(message);
            }
        }
        Ok(next)
    }

    fn effects(&self) -> Vec<Effect> {
        let kill = (!self.unwanted.is_empty()).then(|| Effect::Kill {
            instances: self.unwanted.clone(),
            message: self.kill_message.clone(),
        });
        self.wanted.iter().cloned().map(Effect::Ensure).chain(kill).collect()
    }

    fn changes(&self, _: Option<&Self>) -> Vec<Change> {
        let config = self.arriving.as_ref().map(|config| Change {
            key: RecordKey::Config(self.key.clone(), self.config),
            record: Some(Record::Config(config.clone())),
        });
        let job = Change {
            key: RecordKey::Job(self.key.clone()),
            record: Some(Record::Job(Self { arriving: None, ..self.clone() })),
        };
        config.into_iter().chain([job]).collect()
    }
}
