//! Which instances of a job should exist, and with which configuration.
//!
//! ```text
//!             created                    kill asked
//!   (nothing) ───────► instances wanted ───────────► instances unwanted
//!                           ▲  added, created again        │
//!                           └──────────────────────────────┘
//! ```
//! A job does not hear of its instances' ends: it says what should be, again after every restart,
//! and each instance knows by its generation whether that is news. An instance that is forgotten
//! knows nothing, and would begin anew: so a job gives up what has ended before anybody forgets it,
//! and is itself the last to be forgotten.
//!
//! While a job is updated, its update alone says what it should be. What an update asks for in one
//! direction is one demand, however many batches it comes in: so a job of 10,000 instances that are
//! updated one after the other does not grow with each of them.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{
    config::TaskConfig,
    ids::{ConfigId, JobKey, UpdateId},
    instances::InstanceSet,
    machine::{Machine, Rejected, Timestamp},
    record::{Change, Record, RecordKey},
    update::{Demand, Update},
};

mod news;
mod overheard;
#[cfg(test)]
mod tests;
mod updating;

pub use updating::Updating;

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
    pub unwanted: Vec<Unwanted>,
    /// The number of the newest configuration that it ever had.
    #[serde(default)]
    newest: ConfigId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updating: Option<Updating>,
    /// The update that the last step let begin, on its way to the store: its first record is
    /// written by its job, so that neither is there without the other.
    #[serde(skip)]
    beginning: Option<Box<Update>>,
    /// The newest run that its schedule has started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fired: Option<Fired>,
    /// The configuration that came with the last step, on its way to the store.
    #[serde(skip)]
    arriving: Option<Arc<TaskConfig>>,
    /// Those that the last step gave up, on their way out of it.
    #[serde(skip)]
    leaving: Vec<ConfigId>,
}

/// Instances that should exist since `generation`, with this configuration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Wanted {
    pub instances: InstanceSet,
    pub config: ConfigId,
    pub generation: u32,
    /// On behalf of which update.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub update: Option<UpdateId>,
}

/// A run of a job that runs by the clock: which one, of which life and of which template of its
/// timetable.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Fired {
    pub born_at: Timestamp,
    pub number: u32,
    pub template: u32,
}

/// Instances that should not exist any more, unless a demand after `generation` wants them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Unwanted {
    pub instances: InstanceSet,
    pub generation: u32,
    /// Why, for the instances' own histories.
    pub message: String,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    Created {
        config: Arc<TaskConfig>,
        instances: InstanceSet,
        by: String,
    },
    Added {
        instances: InstanceSet,
    },
    /// Its schedule starts a run. Which one, so that no run is started twice.
    Fired {
        run: Fired,
        config: Arc<TaskConfig>,
        instances: InstanceSet,
        by: String,
    },
    KillAsked {
        instances: InstanceSet,
        message: String,
    },
    /// It was decided that this update begins; its configuration is new, or was there before.
    UpdateBegun {
        update: Box<Update>,
        config: Option<Arc<TaskConfig>>,
    },
    /// Its update says what should be.
    Demanded(Demand),
    /// Its update has ended. Instances that are added get `newest`, if that is not what they got
    /// before.
    Released {
        update: UpdateId,
        newest: Option<ConfigId>,
    },
    /// These have ended, having met every demand up to `generation`, or never came to be: there is
    /// no more to be said about them.
    Over {
        instances: InstanceSet,
        generation: u32,
    },
    /// No run has these configurations, and none will.
    Unused {
        configs: Vec<ConfigId>,
    },
    /// Nothing is left of it but its record and these configurations.
    Forgotten {
        configs: Vec<ConfigId>,
    },
}

#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// These instances should exist.
    Ensure(Wanted),
    /// These should not.
    Kill(Unwanted),
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
            unwanted: Vec::new(),
            newest: ConfigId(0),
            updating: None,
            beginning: None,
            fired: None,
            arriving: None,
            leaving: Vec::new(),
        }
    }

    /// The number of the next configuration that is new to it.
    pub fn next_config(&self) -> ConfigId {
        ConfigId(self.newest.max(self.config).0 + 1)
    }

    pub fn all_wanted(&self) -> InstanceSet {
        self.wanted.iter().fold(InstanceSet::default(), |all, it| all.union(&it.instances))
    }

    /// The demand for `instances`, which replaces every older one for them.
    fn want(&mut self, instances: &InstanceSet) {
        self.generation += 1;
        self.want_as(instances, self.config, None);
    }

    /// A demand of the current generation, which may have others of its kind.
    fn want_as(&mut self, instances: &InstanceSet, config: ConfigId, update: Option<&UpdateId>) {
        self.give_up(instances);
        for unwanted in &mut self.unwanted {
            unwanted.instances = unwanted.instances.difference(instances);
        }
        self.unwanted.retain(|it| !it.instances.is_empty());
        let generation = self.generation;
        let same = |it: &&mut Wanted| (it.generation, it.config) == (generation, config);
        if let Some(wanted) = self.wanted.iter_mut().find(same) {
            wanted.instances = wanted.instances.union(instances);
        } else {
            let (instances, update) = (instances.clone(), update.cloned());
            self.wanted.push(Wanted { instances, config, generation, update });
        }
    }

    /// The end of every demand so far for `instances`, and of none that comes later.
    fn end(&mut self, instances: &InstanceSet, message: &str) {
        self.give_up(instances);
        let generation = self.generation;
        let same = |it: &&mut Unwanted| it.generation == generation && it.message == message;
        if let Some(unwanted) = self.unwanted.iter_mut().find(same) {
            unwanted.instances = unwanted.instances.union(instances);
        } else {
            let (instances, message) = (instances.clone(), message.to_owned());
            self.unwanted.push(Unwanted { instances, generation, message });
        }
    }

    /// Runs of one template share its configuration.
    fn fire(&mut self, now: Timestamp, run: Fired, config: &Arc<TaskConfig>, by: &str) {
        let same = |it: Fired| (it.born_at, it.template) == (run.born_at, run.template);
        if !self.fired.is_some_and(same) {
            self.config = self.next_config();
            self.newest = self.config;
            self.arriving = Some(config.clone());
        }
        self.fired = Some(run);
        (self.created_at, self.by) = (now, by.to_owned());
        self.wanted.clear();
    }

    fn give_up(&mut self, instances: &InstanceSet) {
        self.give_up_until(instances, u32::MAX);
    }

    /// Demands after `generation` stand.
    fn give_up_until(&mut self, instances: &InstanceSet, generation: u32) {
        for wanted in self.wanted.iter_mut().filter(|it| it.generation <= generation) {
            wanted.instances = wanted.instances.difference(instances);
        }
        self.wanted.retain(|it| !it.instances.is_empty());
    }

    /// With nothing on its way to the store.
    fn settled(&self) -> Self {
        Self { beginning: None, arriving: None, leaving: Vec::new(), ..self.clone() }
    }

    fn say_no_more(&mut self, instances: &InstanceSet, generation: u32) {
        self.give_up_until(instances, generation);
        for unwanted in self.unwanted.iter_mut().filter(|it| it.generation <= generation) {
            unwanted.instances = unwanted.instances.difference(instances);
        }
        self.unwanted.retain(|it| !it.instances.is_empty());
    }

    /// Whether instances that are added, or demanded already, come with this one.
    fn needs(&self, config: ConfigId) -> bool {
        self.config == config
            || self.wanted.iter().any(|it| it.config == config)
            || self.updating.iter().any(|it| it.configs.contains(&config))
    }

    fn name(&self) -> &'static str {
        match (self.generation, &self.updating, self.wanted.is_empty()) {
            (0, _, _) => "unborn",
            (_, Some(_), _) => "updating",
            (_, None, true) => "unwanted",
            (_, None, false) => "wanted",
        }
    }
}

impl Fired {
    /// Whether it was `other`, or came before it.
    pub fn is_no_later(self, other: Self) -> bool {
        (self.born_at, self.number) <= (other.born_at, other.number)
    }
}

impl Event {
    fn name(&self) -> &'static str {
        match self {
            Self::Created { .. } => "created",
            Self::Added { .. } => "added",
            Self::Fired { .. } => "fired",
            Self::KillAsked { .. } => "kill asked",
            Self::UpdateBegun { .. } => "update begun",
            Self::Demanded(_) => "demanded",
            Self::Released { .. } => "released",
            Self::Over { .. } => "over",
            Self::Unused { .. } => "unused",
            Self::Forgotten { .. } => "forgotten",
        }
    }
}

impl Machine for Job {
    type Event = Event;
    type Effect = Effect;

    fn step(&self, now: Timestamp, event: &Event) -> Result<Self, Rejected> {
        let rejected = || Rejected { state: self.name(), event: event.name() };
        let mut next = self.settled();
        let is_updating = self.updating.is_some();
        match event {
            Event::Created { .. }
            | Event::Added { .. }
            | Event::Fired { .. }
            | Event::KillAsked { .. }
                if is_updating =>
            {
                return Err(rejected());
            }
            Event::Created { config, instances, by } => {
                if instances.is_empty() {
                    return Err(rejected());
                }
                next.config = self.next_config();
                next.newest = next.config;
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
            Event::Fired { run, config, instances, by } => {
                if instances.is_empty() || self.fired.is_some_and(|it| run.is_no_later(it)) {
                    return Err(rejected());
                }
                next.fire(now, *run, config, by);
                next.want(instances);
            }
            Event::KillAsked { instances, message } => {
                let ending = self.unwanted.iter().any(|it| it.instances.meets(instances));
                let instances = instances.intersection(&self.all_wanted());
                // Whoever is to end already has its reason.
                match (instances.is_empty(), ending) {
                    (true, false) => return Err(rejected()),
                    (true, true) => {}
                    (false, _) => next.end(&instances, message),
                }
            }
            Event::UpdateBegun { .. } | Event::Demanded(_) | Event::Released { .. } => {
                next = self.updated(now, event).ok_or_else(rejected)?;
            }
            Event::Over { instances, generation } => {
                next.say_no_more(instances, *generation);
                if (&next.wanted, &next.unwanted) == (&self.wanted, &self.unwanted) {
                    return Err(rejected());
                }
            }
            Event::Unused { configs } => {
                next.leaving = configs.iter().copied().filter(|it| !self.needs(*it)).collect();
                if self.generation == 0 || next.leaving.is_empty() {
                    return Err(rejected());
                }
            }
            Event::Forgotten { configs } => {
                if self.generation == 0 || !self.wanted.is_empty() || is_updating {
                    return Err(rejected());
                }
                next = Self { leaving: configs.clone(), ..Self::unborn(self.key.clone()) };
            }
        }
        Ok(next)
    }

    fn effects(&self) -> Vec<Effect> {
        let ensure = self.wanted.iter().cloned().map(Effect::Ensure);
        ensure.chain(self.unwanted.iter().cloned().map(Effect::Kill)).collect()
    }

    fn changes(&self, _: Option<&Self>) -> Vec<Change> {
        let config = self.arriving.as_ref().map(|config| Change {
            key: RecordKey::Config(self.key.clone(), self.newest),
            record: Some(Record::Config(config.clone())),
        });
        let leaving = self.leaving.iter().map(|config| Change {
            key: RecordKey::Config(self.key.clone(), *config),
            record: None,
        });
        let update = self.beginning.as_ref().map(|update| Change {
            key: RecordKey::Update(update.key.clone()),
            record: Some(Record::Update(update.clone())),
        });
        let job = Change {
            key: RecordKey::Job(self.key.clone()),
            record: (self.generation > 0).then(|| Record::Job(self.settled())),
        };
        config.into_iter().chain(leaving).chain([job]).chain(update).collect()
    }
}
