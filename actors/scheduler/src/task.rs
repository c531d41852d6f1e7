//! What a task instance's effects mean here: words to the matchmaker and to its host.

use actix::prelude::*;
use airglow_kit::Supervisor;
use airglow_model::{
    host::Contact,
    ids::{ConfigId, TaskKey},
    machine::Machine,
    task::{Effect, Event, State, Status, Task},
    view::View,
};
use airglow_store::ReadModel;

use crate::{
    entity::{Entity, Role},
    hosts::{Switchboard, order},
    job,
    matchmaker::{Look, Matchmaker, Seek, Withdraw},
};

pub(crate) type Tasks = Supervisor<Entity<Task>, TaskKey>;

pub(crate) struct Links {
    pub(crate) view: ReadModel,
    pub(crate) matchmaker: Addr<Matchmaker>,
    pub(crate) switchboard: Addr<Switchboard>,
}

impl Role for Task {
    type Key = TaskKey;
    type Links = Links;

    fn unborn(key: TaskKey) -> Self {
        Self::unborn(key)
    }

    fn recall(view: &View, key: &TaskKey) -> Option<Self> {
        view.task_of(key).cloned()
    }

    fn overheard(&self, view: &View) -> Option<Event> {
        asked_by_job(self, view).or_else(|| silenced(self, view))
    }

    fn act(&self, before: Option<&Self>, links: &Links) {
        for effect in self.effects() {
            match effect {
                Effect::Seek { attempt, config } => {
                    links.matchmaker.do_send(Seek { task: self.key.clone(), attempt, config });
                }
                Effect::Launch { .. } | Effect::Kill { .. } => {
                    if let Some(tell) = links.view.read(|view| order(view, effect)) {
                        links.switchboard.do_send(tell);
                    }
                }
            }
        }
        let Some(before) = before else { return };
        if let Some(config) = waits(before).filter(|_| waits(self).is_none() && !occupies(self)) {
            links.matchmaker.do_send(Withdraw { task: self.key.clone(), config });
        }
        if occupies(before) && !occupies(self) {
            links.matchmaker.do_send(Look);
        }
    }
}

/// What its job asks of it and it has not done.
fn asked_by_job(task: &Task, view: &View) -> Option<Event> {
    let job = view.jobs.get(&task.key.job)?;
    let instance = task.key.instance;
    if let Some(end) = job.job.unwanted.iter().find(|it| it.instances.contains(instance)) {
        let ends = !task.is_active() || task.status() == Some(Status::Killing);
        return (!ends).then(|| job::unwanted(end));
    }
    let demand = job.job.wanted.iter().find(|it| it.instances.contains(instance))?;
    let config = job.configs.get(&demand.config)?;
    (task.generation < demand.generation).then(|| job::wanted(demand, config))
}

/// That its host cannot be reached, if that is so and it does not know.
fn silenced(task: &Task, view: &View) -> Option<Event> {
    let host = &task.placement().filter(|_| task.is_active())?.host;
    let contact = view.hosts.get(host)?.host.contact;
    let is_silent = matches!(contact, Contact::Unreachable { .. });
    let knows = task.status() == Some(Status::Partitioned);
    (is_silent && !knows).then(|| Event::HostUnreachable { host: host.clone() })
}

/// With which configuration it waits for a place, if it does.
fn waits(task: &Task) -> Option<ConfigId> {
    let run = task.run.as_ref().filter(|it| it.state == State::Pending)?;
    Some(run.config)
}

/// Whether something of a host is its.
fn occupies(task: &Task) -> bool {
    task.is_active() && task.placement().is_some()
}
