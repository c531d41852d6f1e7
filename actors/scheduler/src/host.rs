//! What a host's effects mean here: words to the matchmaker, and to what runs there.

use std::collections::BTreeSet;

use actix::prelude::*;
use airglow_kit::{Supervisor, To, ToEach};
use airglow_model::{
    host::{Contact, Effect, Event as HostEvent, Host},
    ids::{HostId, TaskKey},
    machine::Machine,
    task::Event,
    view::View,
};
use airglow_store::ReadModel;

use crate::{
    drainer::{Drainer, Drains},
    entity::{Entity, Role},
    hosts::{Repeat, Switchboard},
    matchmaker::{Look, Matchmaker},
    messages::Happened,
    task::Tasks,
};

pub(crate) type Hosts = Supervisor<Entity<Host>, HostId>;

pub(crate) struct Links {
    pub(crate) view: ReadModel,
    pub(crate) tasks: Addr<Tasks>,
    pub(crate) matchmaker: Addr<Matchmaker>,
    pub(crate) drainer: Addr<Drainer>,
    pub(crate) switchboard: Addr<Switchboard>,
}

impl Links {
    /// Those that are placed there hear that it is gone. Whoever misses it finds out by itself.
    fn abandon(&self, host: &HostId) {
        let there = self.view.read(|view| {
            let keys = view.hosts.get(host).into_iter().flat_map(|it| &it.tasks);
            let tasks = keys.filter_map(|it| view.task_of(it));
            let news = tasks.filter_map(|it| Some((it.key.clone(), it.abandoned(view)?)));
            news.collect::<Vec<_>>()
        });
        for (task, event) in there {
            self.tasks.do_send(To(task, Happened(event)));
        }
    }
}

impl Role for Host {
    type Key = HostId;
    type Links = Links;

    fn unborn(key: HostId) -> Self {
        Self::unknown(key)
    }

    fn recall(view: &View, key: &HostId) -> Option<Self> {
        view.hosts.get(key).map(|it| it.host.clone())
    }

    fn is_overtaken(event: &Self::Event, view: &ReadModel) -> bool {
        let HostEvent::Identified(machine) = event else { return false };
        view.read(|view| view.removals.contains_key(machine))
    }

    fn rests(&self) -> bool {
        matches!(self.contact, Contact::Removed { .. })
    }

    fn act(&self, before: Option<&Self>, links: &Links) {
        // What it was told last may have been lost with whoever it was before it woke up.
        if before.is_none() {
            links.switchboard.do_send(Repeat(self.id.clone()));
        }
        if self.mode.is_to_be_empty() {
            links.drainer.do_send(Drains(self.id.clone()));
        }
        for effect in self.effects() {
            match effect {
                // It takes hosts from the view; this is to say that one has changed.
                Effect::Offer | Effect::Rescind => links.matchmaker.do_send(Look),
                Effect::Abandon => links.abandon(&self.id),
                Effect::Partition => {
                    let there = |view: &View| {
                        view.hosts.get(&self.id).map(|it| it.tasks.clone()).unwrap_or_default()
                    };
                    let tasks: BTreeSet<TaskKey> = links.view.read(there);
                    links.tasks.do_send(ToEach {
                        keys: Box::new(tasks.into_iter()),
                        message: Happened(Event::HostUnreachable { host: self.id.clone() }),
                        wakes: Box::new(|_| true),
                    });
                }
            }
        }
    }
}
