//! A cluster as the view shows it, and a matchmaker that keeps up with it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use super::super::*;
use crate::{
    config::{Kind, TaskConfig},
    host::{Contact, Host, Mode},
    ids::{Attempt, ConfigId, HostId, JobKey, TaskKey},
    machine::{Machine, Timestamp},
    record::{Change, Committed, Record, RecordKey},
    resources::{Constraint, Resources},
    task::{self, Event, Placement, Task},
    tier::Tier,
    view::View,
    wire::Capacity,
};

/// `www/prod/NAME` with instances of one core and 512 MB each.
pub(super) fn config(name: &str) -> TaskConfig {
    of_role("www", name)
}

pub(super) fn of_role(role: &str, name: &str) -> TaskConfig {
    let resources = json!({ "cpu": 1.0, "ram": 512 << 20, "disk": 1 << 20 });
    let process = json!({ "name": name, "cmdline": "true" });
    let task = json!({ "name": name, "processes": [process], "resources": resources });
    let spec =
        json!({ "cluster": "c", "role": role, "environment": "prod", "name": name, "task": task });
    TaskConfig {
        job: JobKey::new(role, "prod", name),
        kind: Kind::Service,
        resources: Resources { cpu_milli: 1000, ram_mb: 512, disk_mb: 1, gpus: 0 },
        ports: BTreeSet::new(),
        constraints: Vec::new(),
        tier: "preemptible".into(),
        class: Tier { preemptible: true, revocable: false },
        priority: 0,
        max_task_failures: 1,
        spec: serde_json::from_value(spec).unwrap(),
    }
}

pub(super) fn demanding(constraints: &[(&str, &str)]) -> TaskConfig {
    let constraints =
        constraints.iter().map(|&(name, text)| Constraint::parse(name, text).unwrap()).collect();
    TaskConfig { constraints, ..config("web") }
}

pub(super) fn with_ports(names: &[&str]) -> TaskConfig {
    TaskConfig { ports: names.iter().map(|&it| it.to_owned()).collect(), ..config("web") }
}

/// A host with so many cores, and much of everything else.
pub(super) fn host(name: &str, cores: u64, attributes: &[(&str, &str)]) -> Host {
    let mut host = Host::unknown(name.into());
    for &(name, value) in attributes {
        host.attributes.entry(name.to_owned()).or_default().insert(value.to_owned());
    }
    let resources = Resources { cpu_milli: cores * 1000, ram_mb: 8192, disk_mb: 10_000, gpus: 0 };
    host.capacity = Capacity { resources, ..Capacity::default() };
    host.contact = Contact::Up { since: Timestamp(0) };
    host
}

pub(super) fn down(host: Host) -> Host {
    Host { contact: Contact::Away { since: Timestamp(0), until: None }, ..host }
}

pub(super) fn in_mode(host: Host, mode: Mode) -> Host {
    Host { mode, ..host }
}

pub(super) struct Scene {
    pub(super) view: View,
    pub(super) matchmaker: Matchmaker,
    pub(super) now: Timestamp,
}

impl Scene {
    pub(super) fn new(hosts: &[Host]) -> Self {
        Self::with(Scheduling::default(), hosts)
    }

    pub(super) fn with(scheduling: Scheduling, hosts: &[Host]) -> Self {
        let view = View::of(&scheduling);
        let matchmaker = Matchmaker::new(scheduling);
        let mut scene = Self { view, matchmaker, now: Timestamp(0) };
        hosts.iter().for_each(|it| scene.host(it));
        scene
    }

    pub(super) fn commit(&mut self, changes: Vec<Change>) {
        self.view.apply(&Committed { seq: self.view.seq + 1, changes });
    }

    pub(super) fn host(&mut self, host: &Host) {
        self.commit(host.changes(None));
    }

    pub(super) fn gone(&mut self, host: &str) {
        self.commit(vec![Change { key: RecordKey::Host(host.into()), record: None }]);
    }

    pub(super) fn config(&mut self, config: &TaskConfig, id: u32) {
        let key = RecordKey::Config(config.job.clone(), ConfigId(id));
        self.commit(vec![Change { key, record: Some(Record::Config(config.clone().into())) }]);
    }

    /// Instances of a configuration, which is the job's only one, want a place.
    pub(super) fn seek(&mut self, config: &TaskConfig, instances: impl IntoIterator<Item = u32>) {
        self.seek_as(config, 1, instances);
    }

    pub(super) fn seek_as(
        &mut self,
        config: &TaskConfig,
        id: u32,
        instances: impl IntoIterator<Item = u32>,
    ) {
        self.config(config, id);
        self.matchmaker.catch_up(&self.view);
        for instance in instances {
            let task = self.task(&config.job.task(instance), id);
            self.commit(task.changes(None));
            self.matchmaker.seek(self.now, task.key, task.attempt, ConfigId(id), &self.view);
        }
    }

    /// An instance of a configuration is on a host.
    pub(super) fn put(&mut self, config: &TaskConfig, id: u32, instance: u32, host: &str) {
        self.config(config, id);
        let task = self.task(&config.job.task(instance), id);
        self.commit(task.changes(None));
        let at = Placement { host: host.into(), ports: BTreeMap::new() };
        self.accept(&Placed { task: task.key, attempt: task.attempt, at });
    }

    /// As the slot is, or as it is when it was just wanted (again).
    fn task(&self, key: &TaskKey, id: u32) -> Task {
        let known = self.view.task_of(key).cloned();
        let slot = known.unwrap_or_else(|| Task::unborn(key.clone()));
        let generation = slot.generation + 1;
        let wanted = Event::Wanted {
            config: ConfigId(id),
            generation,
            policy: task::Policy::default(),
            message: String::new(),
        };
        if slot.is_active() { slot } else { slot.step(self.now, &wanted).unwrap() }
    }

    pub(super) fn tell(&mut self, task: &TaskKey, event: &Event) {
        let task = self.view.task_of(task).unwrap();
        let changes = task.step(self.now, event).unwrap().changes(Some(task));
        self.commit(changes);
    }

    /// An instance takes its place.
    pub(super) fn accept(&mut self, Placed { task, attempt, at }: &Placed) {
        self.tell(task, &Event::Placed { attempt: *attempt, at: at.clone() });
        self.matchmaker.answered(task, *attempt);
    }

    /// It was asked to restart, and has ended: another run of it wants a place.
    pub(super) fn restart(&mut self, task: &TaskKey) {
        let attempt = self.view.task_of(task).unwrap().attempt;
        let (state, message) = (crate::wire::RunState::Running, String::new());
        self.tell(task, &Event::Reported { attempt, state, message: message.clone() });
        self.tell(task, &Event::RestartAsked { message: message.clone() });
        let state = crate::wire::RunState::Killed;
        self.tell(task, &Event::Reported { attempt, state, message });
    }

    /// Its newest run seeks a place.
    pub(super) fn again(&mut self, task: &TaskKey) {
        let attempt = self.view.task_of(task).unwrap().attempt;
        self.matchmaker.seek(self.now, task.clone(), attempt, ConfigId(1), &self.view);
    }

    /// It has ended, if it was anywhere.
    pub(super) fn end(&mut self, task: &TaskKey) {
        let slot = self.view.task_of(task).filter(|it| it.is_active() && it.placement().is_some());
        let Some(Task { generation, attempt, .. }) = slot.cloned() else { return };
        self.tell(task, &Event::KillAsked { generation, message: String::new() });
        let (state, message) = (crate::wire::RunState::Killed, String::new());
        self.tell(task, &Event::Reported { attempt, state, message });
    }

    /// A round whose placements all are taken.
    pub(super) fn round(&mut self) -> Vec<Placed> {
        self.matchmaker.catch_up(&self.view);
        let placed = self.matchmaker.round(self.now);
        placed.iter().for_each(|it| self.accept(it));
        placed
    }

    /// What a round comes to, in words.
    pub(super) fn story(&mut self) -> String {
        let mut text = String::new();
        for Placed { task, at, .. } in self.round() {
            let ports: String =
                at.ports.iter().map(|(name, port)| format!(" {name}={port}")).collect();
            text += &format!("{}/{} → {}{ports}\n", task.job.name, task.instance, at.host);
        }
        for (job, instances, why) in self.matchmaker.reasons(self.now) {
            text += &format!("{}/{instances} waits:", job.name);
            for it in &why.vetoes {
                text += &format!(" {} ({} of {});", it.reason, it.hosts, why.hosts);
            }
            match &why.nearest {
                Some((host, lack)) => text += &format!(" {host} {lack}\n"),
                None => text += " there is no host\n",
            }
        }
        text
    }

    /// How many of a job each host has.
    pub(super) fn spread(&self, config: &TaskConfig) -> BTreeMap<HostId, u32> {
        self.view.jobs[&config.job].placed.clone()
    }
}

/// What becomes of groups of waiting instances, in words.
pub(super) fn story(groups: &[(&TaskConfig, &[u32])], hosts: &[Host]) -> String {
    let mut scene = Scene::new(hosts);
    for (config, instances) in groups {
        scene.seek(config, instances.iter().copied());
    }
    scene.story()
}

pub(super) fn attempt(number: u32) -> Attempt {
    Attempt(number)
}
