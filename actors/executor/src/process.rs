//! One run of one process: has it started by the task's shepherd, and watches that it is.
//!
//! The shepherd's record is the truth, which the herd reads and tells. So one of these that starts
//! late, after a crash or in the next life of the agent, orders what was ordered before, and nothing
//! comes of it but that it hears how far its run is.

use std::{sync::Arc, time::Duration};

use actix::prelude::*;
use airglow_kit::{Lifeline, Supervisor, To, now};
use airglow_model::{
    ids::TaskId,
    process::Exit,
    run::{Event, RunId},
};
use tokio::{
    sync::watch,
    time::{Instant, sleep, sleep_until},
};

use crate::{
    care::Care,
    herd::{Herd, Progress, Word},
    runner::Happened,
};

pub(crate) struct Process {
    tending: Option<Tending>,
    _lifeline: Lifeline<RunId>,
}

/// How long a shepherd may take to start something.
const PATIENCE: Duration = Duration::from_secs(60);

impl Process {
    pub(crate) fn start(
        lifeline: Lifeline<RunId>,
        care: Arc<Care>,
        herd: Addr<Supervisor<Herd, TaskId>>,
        id: &RunId,
    ) -> Addr<Self> {
        let tending = Tending { care, herd, id: id.clone() };
        Self { tending: Some(tending), _lifeline: lifeline }.start()
    }
}

impl Actor for Process {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let tending = self.tending.take().expect("an actor is started once");
        let tended = tending.tend().into_actor(self);
        ctx.spawn(tended.map(|(), _, ctx| ctx.stop()));
    }
}

struct Tending {
    care: Arc<Care>,
    herd: Addr<Supervisor<Herd, TaskId>>,
    id: RunId,
}

impl Tending {
    async fn tend(self) {
        // Not at once, should the herd keep crashing.
        while !self.watch().await {
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// Whether there is nothing left to be watched, at least not by us.
    async fn watch(&self) -> bool {
        let start = match self.care.start(&self.id) {
            Ok(start) => Box::new(start),
            Err(why) => {
                self.say_unstarted(why);
                return true;
            }
        };
        let (sender, mut progress) = watch::channel(Progress::Waiting);
        self.tell(Word::Tend { start, progress: sender });
        let mut leash = self.care.leash.clone();
        // Waiting for a turn to begin is not being late.
        let mut deadline = None;
        loop {
            tokio::select! {
                changed = progress.changed() => {
                    if changed.is_err() {
                        return false;
                    }
                    match *progress.borrow_and_update() {
                        Progress::Waiting => {}
                        Progress::Ordered => deadline = Some(Instant::now() + PATIENCE),
                        Progress::Started => deadline = None,
                        Progress::Ended => return true,
                    }
                }
                _ = leash.changed() => return true,
                () = passed(deadline) => {
                    self.tell(Word::Late(self.id.clone()));
                    deadline = Some(Instant::now() + PATIENCE);
                }
            }
        }
    }

    fn say_unstarted(&self, why: String) {
        let (id, exit) = (self.id.clone(), Exit::Unstarted(why));
        let ended = Event::Ended { id, at: now(), exit, leftover: false };
        if let Some(runner) = self.care.runner.upgrade() {
            runner.do_send(Happened(vec![ended]));
        }
    }

    fn tell(&self, word: Word) {
        self.herd.do_send(To(self.care.id.clone(), word));
    }
}

async fn passed(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
