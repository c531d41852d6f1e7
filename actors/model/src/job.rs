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
    update::{Demand, Direction, Update},
};

mod news;
mod overheard;

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
    /// The configuration that came with the last step, on its way to the store.
    #[serde(skip)]
    arriving: Option<Arc<TaskConfig>>,
    /// Those that the last step gave up, on their way out of it.
    #[serde(skip)]
    leaving: Vec<ConfigId>,
}

/// Its update alone may change it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Updating {
    pub id: UpdateId,
    /// Where the update went when it last asked for something.
    pub direction: Direction,
    /// Which configurations it may still ask for.
    configs: Vec<ConfigId>,
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

    fn begin(&mut self, now: Timestamp, update: &Update, config: Option<Arc<TaskConfig>>) {
        if self.generation == 0 {
            (self.created_at, self.by) = (now, update.by.clone());
        }
        if self.wanted.is_empty() {
            // What is left of an earlier life has ended, and nothing is to follow it.
            self.config = update.target.as_ref().map_or(self.config, |it| it.config);
        }
        self.newest = if config.is_some() { self.next_config() } else { self.newest };
        self.generation += 1;
        self.arriving = config;
        self.updating = Some(Updating {
            id: update.key.id.clone(),
            direction: Direction::Forward,
            configs: update.configs().collect(),
        });
        self.beginning = Some(Box::new(update.clone()));
    }

    /// What is demanded and is not so already.
    fn meet(&mut self, demand: &Demand) {
        let Demand { update, direction, wanted, unwanted } = demand;
        if let Some(updating) = self.updating.as_mut().filter(|it| it.direction != *direction) {
            updating.direction = *direction;
            self.generation += 1;
        }
        for side in wanted {
            let has = self.wanted.iter().filter(|it| it.config == side.config);
            let has = has.fold(InstanceSet::default(), |all, it| all.union(&it.instances));
            let instances = side.instances.difference(&has);
            if !instances.is_empty() {
                self.want_as(&instances, side.config, Some(&update.id));
            }
        }
        let instances = unwanted.intersection(&self.all_wanted());
        if !instances.is_empty() {
            self.end(&instances, &killed_for(&update.id));
        }
    }

    /// Whether this update may say what the job should be.
    fn obeys(&self, demand: &Demand) -> bool {
        self.updating.as_ref().is_some_and(|it| {
            let turns = it.direction == Direction::Back && demand.direction == Direction::Forward;
            it.id == demand.update.id && !turns
        })
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

/// What an instance is told that has to end for an update.
fn killed_for(update: &UpdateId) -> String {
    format!("Killed for job update {update}")
}

impl Event {
    fn name(&self) -> &'static str {
        match self {
            Self::Created { .. } => "created",
            Self::Added { .. } => "added",
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
            Event::Created { .. } | Event::Added { .. } | Event::KillAsked { .. }
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
            Event::UpdateBegun { update, config } => {
                if is_updating {
                    return Err(rejected());
                }
                next.begin(now, update, config.clone());
            }
            Event::Demanded(demand) => {
                if !self.obeys(demand) {
                    return Err(rejected());
                }
                next.meet(demand);
                if next == self.settled() {
                    return Err(rejected());
                }
            }
            Event::Released { update, newest } => {
                if self.updating.as_ref().is_none_or(|it| it.id != *update) {
                    return Err(rejected());
                }
                next.updating = None;
                next.config = newest.unwrap_or(self.config);
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::spec::{JobSpec, Limits};

    fn config() -> Arc<TaskConfig> {
        let resources = json!({ "cpu": 1.0, "ram": 1 << 20, "disk": 1 << 20 });
        let process = json!({ "name": "p", "cmdline": "true" });
        let task = json!({ "name": "t", "processes": [process], "resources": resources });
        let job = json!({ "cluster": "c", "role": "www", "name": "web", "task": task });
        let limits = Limits { tasks_per_job_max: 10, ..Limits::usual("c") };
        let spec: JobSpec = serde_json::from_value(job).unwrap();
        Arc::new(spec.check(&limits).unwrap().config)
    }

    fn set(text: &str) -> InstanceSet {
        text.parse().unwrap_or_default()
    }

    fn created(instances: &str) -> Event {
        Event::Created { config: config(), instances: set(instances), by: "ada".into() }
    }

    fn added(instances: &str) -> Event {
        Event::Added { instances: set(instances) }
    }

    fn kill_asked(instances: &str) -> Event {
        Event::KillAsked { instances: set(instances), message: "by ada".into() }
    }

    fn kill_asked_by_bob(instances: &str) -> Event {
        Event::KillAsked { instances: set(instances), message: "by bob".into() }
    }

    fn over(instances: &str, generation: u32) -> Event {
        Event::Over { instances: set(instances), generation }
    }

    fn effects(job: &Job) -> String {
        let words = |effect: &Effect| match effect {
            Effect::Ensure(Wanted { instances, config, generation, .. }) => {
                format!("ensure {instances} of config {} since {generation}", config.0)
            }
            Effect::Kill(Unwanted { instances, generation, message }) => {
                format!("kill {instances} until {generation} {message}")
            }
        };
        job.effects().iter().map(words).collect::<Vec<_>>().join(", ")
    }

    /// Plays `script` to a new job and prints what it asks for after each step.
    fn story(script: &[Event]) -> String {
        let mut job = Job::unborn(JobKey::new("www", "devel", "web"));
        let mut out = String::new();
        for event in script {
            let (state, name) = (job.name(), event.name());
            match job.step(Timestamp(7), event) {
                Ok(next) => {
                    out += &format!("{state} --{name}--> {} [{}]\n", next.name(), effects(&next));
                    job = next;
                }
                Err(_) => out += &format!("{state} --{name}--> rejected\n"),
            }
        }
        out
    }

    #[test]
    fn the_whole_table() {
        let unborn = Job::unborn(JobKey::new("www", "devel", "web"));
        let wanted = unborn.step(Timestamp(0), &created("0-2")).unwrap();
        let unwanted = wanted.step(Timestamp(0), &kill_asked("0-2")).unwrap();
        let configs = || vec![ConfigId(1)];
        let events = [
            created("0"),
            created(""),
            added("3"),
            added(""),
            kill_asked("0"),
            kill_asked("9"),
            over("0-9", 1),
            Event::Unused { configs: configs() },
            Event::Forgotten { configs: configs() },
        ];
        let mut table = String::new();
        for state in [unborn, wanted, unwanted] {
            let row = events
                .each_ref()
                .map(|event| state.step(Timestamp(0), event).map_or("-", |next| next.name()));
            table += &format!("{:9}{}\n", state.name(), row.join(" "));
        }
        assert_eq!(
            table,
            "\
unborn   wanted - - - - - - - -
wanted   wanted - wanted - wanted - unwanted - -
unwanted wanted - wanted - unwanted - unwanted - unborn
"
        );
    }

    #[test]
    fn instances_come_and_go_and_come_again() {
        assert_eq!(
            story(&[
                created("0-3"),
                kill_asked("1-2"),
                added("2,4"),
                kill_asked_by_bob("0-9"),
                kill_asked("0-3"),
                kill_asked("9"),
                created("0-1"),
            ]),
            "\
unborn --created--> wanted [ensure 0-3 of config 1 since 1]
wanted --kill asked--> wanted [ensure 0,3 of config 1 since 1, kill 1-2 until 1 by ada]
wanted --added--> wanted [ensure 0,3 of config 1 since 1, ensure 2,4 of config 1 since 2, kill 1 until 1 by ada]
wanted --kill asked--> unwanted [kill 1 until 1 by ada, kill 0,2-4 until 2 by bob]
unwanted --kill asked--> unwanted [kill 1 until 1 by ada, kill 0,2-4 until 2 by bob]
unwanted --kill asked--> rejected
unwanted --created--> wanted [ensure 0-1 of config 2 since 3, kill 2-4 until 2 by bob]
"
        );
    }

    #[test]
    fn what_is_over_is_given_up_unless_it_was_wanted_again() {
        assert_eq!(
            story(&[
                created("0-4"),
                kill_asked("3-4"),
                over("0,3", 1),
                added("3"),
                over("1,3-4", 1),
                over("1,4", 2),
                over("3", 2),
            ]),
            "\
unborn --created--> wanted [ensure 0-4 of config 1 since 1]
wanted --kill asked--> wanted [ensure 0-2 of config 1 since 1, kill 3-4 until 1 by ada]
wanted --over--> wanted [ensure 1-2 of config 1 since 1, kill 4 until 1 by ada]
wanted --added--> wanted [ensure 1-2 of config 1 since 1, ensure 3 of config 1 since 2, kill 4 until 1 by ada]
wanted --over--> wanted [ensure 2 of config 1 since 1, ensure 3 of config 1 since 2]
wanted --over--> rejected
wanted --over--> wanted [ensure 2 of config 1 since 1]
"
        );
    }

    #[test]
    fn a_job_keeps_the_configurations_that_it_needs_and_takes_all_with_it() {
        let script = [created("0-1"), kill_asked("0-1"), created("0-1")];
        let unborn = Job::unborn(JobKey::new("www", "devel", "web"));
        let job = script.iter().fold(unborn, |job, it| job.step(Timestamp(7), it).unwrap());
        let configs = || vec![ConfigId(1), ConfigId(2)];
        let gone = |job: &Job| {
            let gone = job.changes(None).into_iter().filter(|it| it.record.is_none());
            gone.map(|it| it.key.to_string()).collect::<Vec<_>>()
        };
        let lighter = job.step(Timestamp(8), &Event::Unused { configs: configs() }).unwrap();
        assert_eq!(gone(&lighter), ["config/www/devel/web/0000000001"]);
        let idle = lighter.step(Timestamp(9), &kill_asked("0-1")).unwrap();
        assert_eq!(gone(&idle), [""; 0]);
        let none = idle.step(Timestamp(9), &Event::Forgotten { configs: configs() }).unwrap();
        assert_eq!(
            gone(&none),
            [
                "config/www/devel/web/0000000001",
                "config/www/devel/web/0000000002",
                "job/www/devel/web"
            ]
        );
        let again = none.step(Timestamp(10), &created("0")).unwrap();
        assert_eq!((gone(&again), again.generation), (vec![], 1));
    }

    #[test]
    fn a_configuration_is_written_once_with_the_step_that_brought_it() {
        let job = Job::unborn(JobKey::new("www", "devel", "web"));
        let job = job.step(Timestamp(7), &created("0-3")).unwrap();
        assert_eq!((job.created_at, job.by.as_str()), (Timestamp(7), "ada"));
        let keys =
            |job: &Job| job.changes(None).iter().map(|it| it.key.to_string()).collect::<Vec<_>>();
        assert_eq!(keys(&job), ["config/www/devel/web/0000000001", "job/www/devel/web"]);
        let Some(Record::Job(kept)) = &job.changes(None)[1].record else { panic!("{job:?}") };
        assert_eq!(keys(kept), ["job/www/devel/web"]);
        let more = job.step(Timestamp(8), &added("4")).unwrap();
        assert_eq!(keys(&more), ["job/www/devel/web"]);
        assert_eq!(more.all_wanted(), set("0-4"));
    }
}
