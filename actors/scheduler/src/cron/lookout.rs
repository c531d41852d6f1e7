//! Sees when the run before has ended, for those who wait for it.
//!
//! It has no state worth keeping: whoever waits says so when it wakes up, and looks by itself now
//! and then. While nobody waits, nothing is listened to.

use std::{collections::BTreeSet, time::Duration};

use actix::prelude::*;
use airglow_kit::{Incarnation, Lifeline, To};
use airglow_model::{
    cron::{Before, Event},
    ids::JobKey,
};
use airglow_store::{Feed, ReadModel};
use tokio::time::sleep;

use super::Crons;
use crate::messages::{Happened, commit};

pub(crate) struct Lookout {
    view: ReadModel,
    feed: Feed,
    crons: Addr<Crons>,
    waiting: BTreeSet<JobKey>,
    looks: bool,
    _lifeline: Lifeline<Incarnation>,
}

/// Say when this job has nothing active.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Watch(pub(crate) JobKey);

#[derive(Message)]
#[rtype(result = "()")]
struct Look;

/// News come in flocks.
const PAUSE: Duration = Duration::from_millis(20);

impl Lookout {
    pub(crate) fn new(
        (view, feed): (ReadModel, Feed),
        crons: Addr<Crons>,
        lifeline: Lifeline<Incarnation>,
    ) -> Self {
        let waiting = BTreeSet::new();
        Self { view, feed, crons, waiting, looks: false, _lifeline: lifeline }
    }
}

impl Actor for Lookout {
    type Context = Context<Self>;
}

impl Handler<Watch> for Lookout {
    type Result = ();

    fn handle(&mut self, Watch(job): Watch, ctx: &mut Self::Context) {
        self.waiting.insert(job);
        if !std::mem::replace(&mut self.looks, true) {
            ctx.notify(Look);
        }
    }
}

impl Handler<Look> for Lookout {
    type Result = ();

    fn handle(&mut self, Look: Look, ctx: &mut Self::Context) {
        // News from now on may be in the view already, and then it is looked at once too often.
        let (_, mut listener) = self.feed.subscribe();
        let view = &self.view;
        let over = |job: &JobKey| view.read(|it| Before::of(job, it)) == Before::Over;
        let (over, waiting): (Vec<_>, _) =
            std::mem::take(&mut self.waiting).into_iter().partition(over);
        self.waiting = waiting.into_iter().collect();
        for job in over {
            self.crons.do_send(To(job, Happened(Event::Looked(Before::Over))));
        }
        self.looks = !self.waiting.is_empty();
        if self.looks {
            let news = async move {
                commit(&mut listener).await;
                sleep(PAUSE).await;
            };
            ctx.spawn(news.into_actor(self).map(|(), _, ctx| ctx.notify(Look)));
        }
    }
}
