//! What it means here that a job runs by the clock: words to the job, and to whoever watches it end.

use actix::prelude::*;
use airglow_kit::{Supervisor, To};
use airglow_model::{
    cron::{Effect, Entry, Event},
    ids::JobKey,
    instances::InstanceSet,
    job::{self, Fired},
    machine::Machine,
    view::View,
};
use airglow_store::ReadModel;

use crate::{
    Stats,
    entity::{Entity, Role},
    job::Jobs,
    messages::{Happened, Receipt, Registered, Settled},
};

mod lookout;

pub(crate) use lookout::{Lookout, Watch};

pub(crate) type Crons = Supervisor<Entity<Entry>, JobKey>;

pub(crate) struct Links {
    pub(crate) view: ReadModel,
    pub(crate) jobs: Addr<Jobs>,
    pub(crate) crons: Addr<Crons>,
    pub(crate) lookout: Addr<Lookout>,
    pub(crate) stats: Stats,
}

impl Role for Entry {
    type Key = JobKey;
    type Links = Links;

    fn unborn(key: JobKey) -> Self {
        Self::unscheduled(key)
    }

    fn recall(view: &View, key: &JobKey) -> Option<Self> {
        Self::recall(view, key)
    }

    fn overheard(&self, view: &View) -> Option<Event> {
        self.overheard(view)
    }

    fn informed(&self, event: &Event, view: &ReadModel) -> Option<Event> {
        view.read(|view| event.seeing(&self.key, view))
    }

    /// It condemns nobody, and every moment counts.
    fn is_patient() -> bool {
        false
    }

    fn rests(&self) -> bool {
        self.timetable.is_none()
    }

    fn act(&self, before: Option<&Self>, links: &Links) {
        for effect in self.effects() {
            match effect {
                Effect::Watch => links.lookout.do_send(Watch(self.key.clone())),
                Effect::Kill { message } => links.kill(&self.key, message),
                Effect::Launch { run, instances, by } => {
                    links.launch(&self.key, run, instances, by);
                }
            }
        }
        if let Some(before) = before {
            links.stats.fired(before, self);
        }
    }
}

impl Links {
    fn kill(&self, key: &JobKey, message: String) {
        let active = |view: &View| view.jobs.get(key).map(|it| it.active());
        let instances = self.view.read(active).unwrap_or_default();
        let event = job::Event::KillAsked { instances, message };
        self.jobs.do_send(To(key.clone(), Happened(event)));
    }

    /// The job says when it is on its disk; if it knew already, its record says so.
    fn launch(&self, key: &JobKey, run: Fired, instances: u32, by: String) {
        let template = |view: &View| view.jobs.get(key)?.template.clone();
        let config = self.view.read(template).expect("a timetable is committed with its template");
        let instances = InstanceSet::first(instances);
        let event = job::Event::Fired { run, config, instances, by };
        let (view, crons, stats) = (self.view.clone(), self.crons.clone(), self.stats.clone());
        let whose = key.clone();
        let receipt = Receipt::new(move |settled| {
            let is_there = match settled {
                Settled::Committed => true,
                Settled::Rejected(_) => view.read(|view| has_fired(view, &whose, run)),
                Settled::Lost => false,
            };
            if is_there {
                let event = Event::Launched { number: run.number };
                crons.do_send(To(whose, Happened(event)));
            } else {
                stats.launch_failed();
            }
        });
        self.jobs.do_send(To(key.clone(), Registered { event, receipt }));
    }
}

fn has_fired(view: &View, key: &JobKey, run: Fired) -> bool {
    let fired = view.jobs.get(key).and_then(|it| it.job.fired);
    fired.is_some_and(|it| run.is_no_later(it))
}
