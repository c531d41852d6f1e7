//! Whole updates, as stories. Numbers are those of the scenarios of Aurora's own tests.

use std::collections::BTreeMap;

use super::*;
use crate::{
    ids::{JobKey, TaskId, UpdateId, UpdateKey},
    machine::Machine,
    record::Record,
    task::{self, Exit},
};

mod canaries;
mod machine;
mod rolling;

pub(super) fn settings() -> Settings {
    Settings {
        strategy: Strategy::Queue { size: 1 },
        watch_ms: 2000,
        failures_of_instance_max: 0,
        failed_instances_max: 0,
        rollback_on_failure: true,
        pulse_ms: None,
        sla_aware: false,
        pending_ms_max: None,
        canary: None,
    }
}

fn set(text: &str) -> InstanceSet {
    text.parse().unwrap_or_default()
}

/// An update, and instances that do as they are told: at once, if nothing else is said.
struct Scene {
    now: Timestamp,
    update: Update,
    there: BTreeMap<u32, Seen>,
    /// What happened, in words.
    told: Vec<String>,
}

const OLD: u32 = 1;
const NEW: u32 = 2;

impl Scene {
    /// Of instances that have the old configuration, some are to have the new one.
    fn new(there: &str, order: [&str; 3], settings: Settings) -> Self {
        let [create, update, remove] = order.map(set);
        let leaving = update.union(&remove);
        let initial = Side { config: ConfigId(OLD), instances: leaving.clone() };
        let diff = Diff {
            order: Order { create, update, remove },
            initial: (!leaving.is_empty()).then_some(initial).into_iter().collect(),
            ..Diff::default()
        };
        let asked = Asked { by: "ada".into(), message: "now".into() };
        let id = UpdateId("u1".into());
        let request = Request {
            key: UpdateKey { job: JobKey::new("www", "prod", "web"), id },
            at: Timestamp(0),
            asked,
            metadata: BTreeMap::new(),
            settings,
            only: None,
        };
        let mut scene = Self {
            now: Timestamp(0),
            update: request.begin(diff, ConfigId(NEW)),
            there: BTreeMap::new(),
            told: Vec::new(),
        };
        for instance in set(there).iter() {
            scene.run(instance, OLD);
        }
        scene.now = Timestamp(1_000_000);
        scene
    }

    /// Without those that were there long before.
    fn of(count: u32, settings: Settings) -> Self {
        let all = format!("0-{}", count - 1);
        Self::new(&all, ["", &all, ""], settings)
    }

    fn run(&mut self, instance: u32, config: u32) {
        let (status, since) = (task::Status::Running, self.now);
        let exits = self.there.get(&instance).filter(|it| it.config.0 == config);
        let (exits, exit) = exits.map_or((0, None), |it| (it.exits, it.exit.clone()));
        self.there.insert(instance, Seen { config: ConfigId(config), status, since, exits, exit });
    }

    fn is(&mut self, instance: u32, status: task::Status) {
        let now = self.now;
        let seen = self.there.get_mut(&instance).expect("it is there");
        (seen.status, seen.since) = (status, now);
    }

    /// It ends by itself, and is followed by another that waits.
    fn exits(&mut self, instance: u32) {
        self.is(instance, task::Status::Throttled);
        let seen = self.there.get_mut(&instance).expect("it is there");
        seen.exits += 1;
        let id = TaskId(format!("task-{instance}").into());
        let (status, message) = (task::Status::Failed, "exit code 1".into());
        seen.exit = Some(Exit { id, status, message });
    }

    fn happens(&mut self, event: &Event) -> bool {
        let Ok(next) = self.update.step(self.now, event) else { return false };
        for change in next.changes(Some(&self.update)) {
            if let Some(Record::UpdateEvents(events)) = change.record {
                let told = events.iter().map(|it| {
                    let why = if it.message.is_empty() { "" } else { ": " };
                    let action = &it.action.name()["INSTANCE_".len()..];
                    format!("{} {action}{why}{}", it.instance, it.message)
                });
                self.told.extend(told);
            }
        }
        let news = &next.events[self.update.events.len().min(next.events.len())..];
        self.told.extend(news.iter().map(|it| {
            let why = if it.message.is_empty() { "" } else { ": " };
            format!("{}{why}{}", it.status, it.message)
        }));
        self.update = next;
        true
    }

    /// It looks until there is nothing new to be seen.
    fn look(&mut self) {
        let mut looks = 0;
        while self.update.status.is_rolling() {
            let watched: Vec<_> = self.update.roll.watched().collect();
            let seen = self.there.iter().filter(|(it, _)| watched.contains(it));
            let seen = seen.map(|(instance, it)| (*instance, it.clone())).collect();
            if !self.happens(&Event::Looked(Sight { seen })) {
                return;
            }
            looks += 1;
            assert!(looks < 1000, "it finds no rest");
        }
    }

    /// Which instances are to have which configuration now, and which none.
    fn demands(&self) -> String {
        let demand = self.update.effects().into_iter().find_map(|it| match it {
            Effect::Demand(demand) => Some(demand),
            Effect::Release { .. } | Effect::AskToEnd => None,
        });
        let Some(demand) = demand else { return "nothing".into() };
        let wanted = demand.wanted.iter().map(|it| format!("{}={}", it.instances, it.config.0));
        let unwanted = (!demand.unwanted.is_empty()).then(|| format!("-{}", demand.unwanted));
        wanted.chain(unwanted).collect::<Vec<_>>().join(" ")
    }

    /// Instances do what is asked of them, and come up at once.
    fn obey(&mut self) {
        let effects = self.update.effects();
        for effect in effects {
            let Effect::Demand(demand) = effect else { continue };
            for side in demand.wanted {
                for instance in side.instances.iter() {
                    let has = self.there.get(&instance).map(|it| it.config);
                    if has != Some(side.config) {
                        self.run(instance, side.config.0);
                    }
                }
            }
            self.there.retain(|it, _| !demand.unwanted.contains(*it));
        }
    }

    /// All goes well for so long.
    fn goes_on(&mut self, secs: u64) {
        for _ in 0..secs * 2 {
            self.look();
            self.obey();
            self.now = self.now + Duration::from_millis(500);
        }
        self.look();
    }

    /// What was told since this was asked for last.
    fn tale(&mut self) -> String {
        std::mem::take(&mut self.told).join(", ")
    }

    fn configs(&self) -> String {
        let config = |(instance, it): (&u32, &Seen)| format!("{instance}={}", it.config.0);
        self.there.iter().map(config).collect::<Vec<_>>().join(" ")
    }
}

fn asked(message: &str) -> Asked {
    Asked { by: "bob".into(), message: message.into() }
}
