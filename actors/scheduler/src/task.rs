//! What a task instance's effects mean here: words to the matchmaker and to its host.

use actix::prelude::*;
use airglow_kit::Supervisor;
use airglow_model::{
    ids::TaskKey,
    machine::Machine,
    task::{Effect, Event, Status, Task},
    view::View,
};
use airglow_store::ReadModel;

use crate::{
    Stats,
    entity::{Entity, Role},
    hosts::{Switchboard, order},
    matchmaker::{Look, Matchmaker, Seek, Withdraw},
};

pub(crate) type Tasks = Supervisor<Entity<Task>, TaskKey>;

pub(crate) struct Links {
    pub(crate) view: ReadModel,
    pub(crate) matchmaker: Addr<Matchmaker>,
    pub(crate) switchboard: Addr<Switchboard>,
    pub(crate) stats: Stats,
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
        self.overheard(view)
    }

    fn is_overtaken(event: &Event, view: &ReadModel) -> bool {
        matches!(event, Event::HostUnreachable { .. }) && view.read(|it| event.is_overtaken(it))
    }

    fn rests(&self) -> bool {
        !self.is_active()
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
        links.stats.stepped(before, self);
        if waits(before) && !waits(self) && !occupies(self) {
            links.matchmaker.do_send(Withdraw(self.key.clone()));
        }
        if occupies(before) && !occupies(self) {
            links.matchmaker.do_send(Look);
        }
    }
}

fn waits(task: &Task) -> bool {
    task.status() == Some(Status::Pending)
}

/// Whether something of a host is its.
fn occupies(task: &Task) -> bool {
    task.is_active() && task.placement().is_some()
}
