//! Tells updates to look when there is something to be seen.
//!
//! An update decides by what is, so it is enough that it looks soon after anything has changed that
//! concerns it. What changes together is looked at together: many instances of a job come up at
//! once, and an update that looked after each of them would write as many records.

use std::{collections::BTreeSet, time::Duration};

use actix::prelude::*;
use airglow_kit::{Incarnation, Lifeline, To};
use airglow_model::{
    ids::{JobKey, UpdateKey},
    record::{Change, Record, RecordKey},
    update::Event,
    view::View,
};
use airglow_store::{Feed, Listener, News, ReadModel, What};
use tokio::{sync::broadcast::error::RecvError, time::sleep};

use crate::{messages::Happened, update::Updates};

pub(crate) struct Overseer {
    watch: Watch,
    _lifeline: Lifeline<Incarnation>,
}

#[derive(Clone)]
struct Watch {
    view: ReadModel,
    feed: Feed,
    updates: Addr<Updates>,
}

/// Jobs that are being updated.
#[derive(Default)]
struct Known {
    jobs: BTreeSet<JobKey>,
    /// Of these something has changed.
    changed: BTreeSet<JobKey>,
}

/// News come in flocks.
const PAUSE: Duration = Duration::from_millis(20);

impl Overseer {
    pub(crate) fn new(
        view: ReadModel,
        feed: Feed,
        updates: Addr<Updates>,
        lifeline: Lifeline<Incarnation>,
    ) -> Self {
        Self { watch: Watch { view, feed, updates }, _lifeline: lifeline }
    }
}

impl Actor for Overseer {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let watch = self.watch.clone();
        ctx.spawn(async move { watch.for_ever().await }.into_actor(self));
    }
}

impl Watch {
    async fn for_ever(self) {
        loop {
            let (_, mut news) = self.feed.subscribe();
            let mut known = self.view.read(Known::all);
            while self.turn(&mut news, &mut known).await {}
        }
    }

    /// Tells whom it concerns, and waits for more. Whether nothing was missed meanwhile.
    async fn turn(&self, news: &mut Listener, known: &mut Known) -> bool {
        let jobs = std::mem::take(&mut known.changed);
        let updates: Vec<_> = self.view.read(|view| {
            let updating = |job: &JobKey| view.jobs.get(job)?.updating();
            jobs.iter().filter_map(updating).collect()
        });
        for update in updates {
            self.updates.do_send(To(update, Happened(Event::Look)));
        }
        while known.changed.is_empty() {
            match news.recv().await {
                Ok(it) => known.hear(&it),
                Err(RecvError::Lagged(_)) => return false,
                // Nobody commits any more.
                Err(RecvError::Closed) => return std::future::pending().await,
            }
        }
        sleep(PAUSE).await;
        while let Ok(it) = news.try_recv() {
            known.hear(&it);
        }
        true
    }
}

impl Known {
    fn all(view: &View) -> Self {
        let updating = view.jobs.iter().filter(|(_, it)| it.job.updating.is_some());
        let jobs: BTreeSet<_> = updating.map(|(key, _)| key.clone()).collect();
        Self { changed: jobs.clone(), jobs }
    }

    fn hear(&mut self, news: &News) {
        let What::Committed(changes) = &news.what else { return };
        for Change { key, record } in changes {
            match (key, record) {
                (RecordKey::Update(UpdateKey { job, .. }), Some(Record::Update(_))) => {
                    self.jobs.insert(job.clone());
                    self.changed.insert(job.clone());
                }
                (RecordKey::Job(job), Some(Record::Job(it))) if it.updating.is_none() => {
                    self.jobs.remove(job);
                }
                (RecordKey::Task(task), _) if self.jobs.contains(&task.job) => {
                    self.changed.insert(task.job.clone());
                }
                (_, _) => {}
            }
        }
    }
}
