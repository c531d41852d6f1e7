//! Says to many instances what concerns them, no faster than it can be written down.
//!
//! A job has something to say to each of its instances, and so have those who restart it. An
//! instance that hears it has a commit to make, and commits stand in one line. Whoever said a word
//! to 100,000 instances at once would make everybody else wait until they have all been written. So
//! the line is kept short: while it is long nothing new is said, and when there is room, it is said
//! by turns.

use std::{sync::Arc, time::Duration};

use actix::prelude::*;
use airglow_kit::{Incarnation, Lifeline, ToEach};
use airglow_model::{
    ids::{JobKey, TaskKey},
    instances::InstanceSet,
    task::Event,
};
use airglow_store::Scribe;

use crate::{
    Stats,
    messages::{Circular, Happened},
    task::Tasks,
};
use turns::Turns;

mod turns;

pub(crate) struct Herald {
    scribe: Scribe,
    tasks: Addr<Tasks>,
    turns: Turns<Word>,
    stats: Stats,
    /// A turn is coming anyway.
    is_busy: bool,
    _lifeline: Lifeline<Incarnation>,
}

/// The same word to many instances of a job. Words for one job are heard in their order.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Proclaim {
    pub(crate) job: JobKey,
    pub(crate) instances: InstanceSet,
    pub(crate) word: Word,
}

#[derive(Clone)]
pub(crate) enum Word {
    /// To those that are alive, and to those others that it wakes.
    Happened { event: Event, wakes: Arc<dyn Fn(&TaskKey) -> bool + Send + Sync> },
    /// To all of them.
    Circular(Circular<Event>),
}

#[derive(Message)]
#[rtype(result = "()")]
struct Turn;

/// How many commits may wait for the disk before nothing is added to them: more than go with one
/// fsync, so that the disk is never idle.
const WAITING_MAX: usize = 8192;

/// How many instances are spoken to before other actors have their turn.
const AT_ONCE: usize = 512;

/// How many of one job.
const OF_A_JOB: usize = 64;

/// A look at the line costs nothing, and it does not get shorter much faster than this.
const PAUSE: Duration = Duration::from_millis(1);

impl Herald {
    pub(crate) fn new(
        scribe: Scribe,
        tasks: Addr<Tasks>,
        stats: Stats,
        lifeline: Lifeline<Incarnation>,
    ) -> Self {
        // Who crashed has forgotten what was to be said.
        stats.unsaid.set(0);
        Self { scribe, tasks, turns: Turns::new(), stats, is_busy: false, _lifeline: lifeline }
    }

    fn show(&self) {
        self.stats.unsaid.set(i64::try_from(self.turns.len()).unwrap_or(i64::MAX));
    }

    fn take_turns(&mut self) {
        let mut room = WAITING_MAX.saturating_sub(self.scribe.waiting()).min(AT_ONCE);
        while room > 0 {
            let most = u32::try_from(room.min(OF_A_JOB)).expect("a turn is short");
            let Some((job, instances, word)) = self.turns.next(most) else { return };
            room = room.saturating_sub(usize::try_from(instances.len()).unwrap_or(usize::MAX));
            self.say(job, instances, word);
        }
    }

    fn say(&self, job: JobKey, instances: InstanceSet, word: Word) {
        let keys = Box::new(instances.into_each().map(move |it| job.task(it)));
        match word {
            Word::Happened { event, wakes } => {
                let wakes = Box::new(move |key: &_| wakes(key));
                self.tasks.do_send(ToEach { keys, message: Happened(event), wakes });
            }
            Word::Circular(message) => {
                self.tasks.do_send(ToEach { keys, message, wakes: Box::new(|_| true) });
            }
        }
    }
}

impl Actor for Herald {
    type Context = Context<Self>;
}

impl Handler<Proclaim> for Herald {
    type Result = ();

    fn handle(&mut self, it: Proclaim, ctx: &mut Self::Context) {
        self.turns.push(it.job, it.instances, it.word);
        self.show();
        if !self.is_busy {
            self.is_busy = true;
            ctx.notify(Turn);
        }
    }
}

impl Handler<Turn> for Herald {
    type Result = ();

    fn handle(&mut self, _: Turn, ctx: &mut Self::Context) {
        self.take_turns();
        self.show();
        self.is_busy = !self.turns.is_empty();
        if self.is_busy {
            ctx.notify_later(Turn, PAUSE);
        }
    }
}
