//! Tells receivers of webhooks what has happened, as `airglow_model::webhook` says in which order.
//!
//! It has no state worth keeping: what is still to be told is on disk, and leaves it when the
//! receiver has said that it has it. A courier that begins reads that, and then listens for more.
//! Nobody waits for it, and a receiver waits for no other one.

use std::{mem, time::Duration};

use actix::prelude::*;
use airglow_kit::{Incarnation, Lifeline, now};
use airglow_model::{
    machine::Timestamp,
    record::{Change, Record, RecordKey},
    webhook::{Hook, Notice, NoticeId},
};
use airglow_store::{Feed, Listener, Scribe, Store, StoreError, What};
use tokio::sync::broadcast::error::RecvError;

use self::post::Post;
use crate::Stats;

mod delivery;
mod post;

pub(crate) struct Courier {
    feed: Feed,
    scribe: Scribe,
    store: Store,
    stats: Stats,
    posts: Vec<Post>,
    /// The newest that was taken in; nothing is twice.
    newest: Option<NoticeId>,
    /// Not wanted on disk any more.
    settled: Vec<NoticeId>,
    /// A transaction that deletes some is on its way.
    deletes: bool,
    /// For the next look. Whoever sets another forgets it.
    lookout: Option<SpawnHandle>,
    _lifeline: Lifeline<Incarnation>,
}

/// Something happened that is to be told.
#[derive(Message)]
#[rtype(result = "()")]
struct Announced(Vec<(NoticeId, Notice)>);

/// More happened than could be listened to; it is on disk.
#[derive(Message)]
#[rtype(result = "()")]
struct Missed;

/// A receiver has answered, or has not.
#[derive(Message)]
#[rtype(result = "()")]
struct Answered {
    post: usize,
    id: NoticeId,
    answer: Result<(), String>,
}

/// How many are read from the disk at a time.
const READ_AT_ONCE: usize = 1000;

/// The clock may be set.
const LOOKOUT_MAX: Duration = Duration::from_secs(60);

impl Courier {
    pub(crate) fn new(
        hooks: Vec<Hook>,
        (feed, scribe, store): (Feed, Scribe, Store),
        stats: Stats,
        lifeline: Lifeline<Incarnation>,
    ) -> Self {
        Self {
            feed,
            scribe,
            store,
            posts: hooks.into_iter().map(|hook| Post::new(hook, &stats)).collect(),
            stats,
            newest: None,
            settled: vec![],
            deletes: false,
            lookout: None,
            _lifeline: lifeline,
        }
    }

    /// All that is on disk and not known yet.
    fn catch_up(&mut self, ctx: &mut Context<Self>) {
        loop {
            match self.store.notices(self.newest, READ_AT_ONCE) {
                Ok(notices) if notices.is_empty() => return self.look(ctx),
                Ok(notices) => self.take_in(&notices),
                Err(error) => {
                    complain(&error);
                    return self.look(ctx);
                }
            }
        }
    }

    fn take_in(&mut self, notices: &[(NoticeId, Notice)]) {
        for (id, notice) in notices {
            if self.newest.is_some_and(|newest| *id <= newest) {
                continue;
            }
            self.newest = Some(*id);
            match self.posts.iter_mut().find(|it| it.hook.name == notice.hook) {
                Some(post) => post.queue.add(*id, &notice.job, notice.at),
                None => {
                    self.stats.notices.dropped(&notice.hook, 1);
                    self.settled.push(*id);
                }
            }
        }
    }

    /// Sends what may be sent, gives up what nobody takes, and looks again when it is time to.
    fn look(&mut self, ctx: &mut Context<Self>) {
        let at = now();
        for (number, post) in self.posts.iter_mut().enumerate() {
            let hopeless = post.give_up(at);
            self.stats.notices.dropped(&post.hook.name, hopeless.len());
            self.settled.extend(hopeless);
            while let Some(id) = post.queue.next(at) {
                match self.store.notice(id) {
                    Ok(Some(notice)) => {
                        let this = ctx.address();
                        post.send(id, notice, move |answer| {
                            this.do_send(Answered { post: number, id, answer });
                        });
                    }
                    Ok(None) => post.queue.delivered(id),
                    Err(error) => {
                        complain(&error);
                        post.queue.failed(id, at);
                    }
                }
            }
            self.stats.notices.waiting(&post.hook.name, post.queue.len());
        }
        self.delete(ctx);
        self.look_again(at, ctx);
    }

    fn look_again(&mut self, at: Timestamp, ctx: &mut Context<Self>) {
        if let Some(other) = self.lookout.take() {
            ctx.cancel_future(other);
        }
        let Some(look_at) = self.posts.iter().filter_map(|it| it.queue.look_at()).min() else {
            return;
        };
        self.lookout = Some(ctx.run_later(look_at.since(at).min(LOOKOUT_MAX), |this, ctx| {
            this.lookout = None;
            this.look(ctx);
        }));
    }

    /// One transaction at a time: what is settled meanwhile shares the next.
    fn delete(&mut self, ctx: &mut Context<Self>) {
        if self.settled.is_empty() || mem::replace(&mut self.deletes, true) {
            return;
        }
        let delete = |id| Change { key: RecordKey::Notice(id), record: None };
        let commit =
            self.scribe.commit(mem::take(&mut self.settled).into_iter().map(delete).collect());
        // Without a disk nobody goes on.
        ctx.spawn(commit.into_actor(self).map(|_, this, ctx| {
            this.deletes = false;
            this.delete(ctx);
        }));
    }
}

fn complain(error: &StoreError) {
    tracing::error!(
        error = error as &dyn std::error::Error,
        "cannot read what webhooks are to be told"
    );
}

/// Whatever is announced from now on.
async fn listen(mut listener: Listener, this: Addr<Courier>) {
    loop {
        match listener.recv().await {
            Ok(news) => {
                let What::Committed(changes) = &news.what else { continue };
                let announced: Vec<_> = changes.iter().filter_map(announced).collect();
                if !announced.is_empty() {
                    this.do_send(Announced(announced));
                }
            }
            Err(RecvError::Lagged(_)) => this.do_send(Missed),
            Err(RecvError::Closed) => return,
        }
    }
}

fn announced(Change { key, record }: &Change) -> Option<(NoticeId, Notice)> {
    match (key, record) {
        (RecordKey::Notice(id), Some(Record::Notice(notice))) => Some((*id, notice.clone())),
        _ => None,
    }
}

impl Actor for Courier {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        if !self.posts.is_empty() {
            // Before the disk is read, so that there is no gap.
            let (_, listener) = self.feed.subscribe();
            ctx.spawn(listen(listener, ctx.address()).into_actor(self));
        }
        self.catch_up(ctx);
        if !self.settled.is_empty() || self.deletes {
            tracing::warn!("what was to be told to webhooks that are no more is dropped");
        }
    }
}

impl Handler<Announced> for Courier {
    type Result = ();

    fn handle(&mut self, Announced(notices): Announced, ctx: &mut Self::Context) {
        self.take_in(&notices);
        self.look(ctx);
    }
}

impl Handler<Missed> for Courier {
    type Result = ();

    fn handle(&mut self, Missed: Missed, ctx: &mut Self::Context) {
        self.catch_up(ctx);
    }
}

impl Handler<Answered> for Courier {
    type Result = ();

    fn handle(&mut self, Answered { post, id, answer }: Answered, ctx: &mut Self::Context) {
        let post = &mut self.posts[post];
        self.stats.notices.answered(&post.hook.name, answer.is_ok());
        if post.answered(id, answer) {
            self.settled.push(id);
        }
        self.look(ctx);
    }
}
