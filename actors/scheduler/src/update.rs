//! What an update's effects mean here: words to its job.

use actix::prelude::*;
use airglow_kit::{Supervisor, To};
use airglow_model::{
    ids::UpdateKey,
    job,
    machine::Machine,
    update::{Effect, Event, Sight, Update},
    view::View,
};
use airglow_store::ReadModel;

use crate::{
    Stats,
    drainer::{Drainer, Rolls},
    entity::{Entity, Role},
    job::Jobs,
    messages::Happened,
};

pub(crate) type Updates = Supervisor<Entity<Update>, UpdateKey>;

pub(crate) struct Links {
    pub(crate) jobs: Addr<Jobs>,
    pub(crate) drainer: Addr<Drainer>,
    pub(crate) stats: Stats,
}

impl Role for Update {
    type Key = UpdateKey;
    type Links = Links;

    fn unborn(key: UpdateKey) -> Self {
        Self::unborn(key)
    }

    fn recall(view: &View, key: &UpdateKey) -> Option<Self> {
        view.updates.get(key).map(|it| it.update.clone())
    }

    fn overheard(&self, view: &View) -> Option<Event> {
        self.status.is_rolling().then(|| Event::Looked(Sight::of(view, self)))
    }

    fn informed(&self, event: &Event, view: &ReadModel) -> Option<Event> {
        (*event == Event::Look).then(|| Event::Looked(view.read(|it| Sight::of(it, self))))
    }

    /// One that has ended has told its job, which nobody can keep from hearing it: who wakes a job
    /// wakes its update.
    fn rests(&self) -> bool {
        !self.status.is_active()
    }

    fn act(&self, before: Option<&Self>, links: &Links) {
        let told = before.map(Machine::effects).unwrap_or_default();
        for effect in self.effects() {
            if told.contains(&effect) && effect != Effect::AskToEnd {
                continue;
            }
            let event = match effect {
                Effect::Demand(demand) => job::Event::Demanded(demand),
                Effect::Release { newest } => {
                    job::Event::Released { update: self.key.id.clone(), newest }
                }
                Effect::AskToEnd => {
                    links.drainer.do_send(Rolls(self.key.clone()));
                    continue;
                }
            };
            links.jobs.do_send(To(self.key.job.clone(), Happened(event)));
        }
        if let Some(before) = before {
            links.stats.updates.stepped(before, self);
        }
    }
}
