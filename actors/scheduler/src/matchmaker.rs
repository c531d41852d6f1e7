//! Brings waiting instances and free hosts together.
//!
//! The decision is `model::matching`'s; this knows who waits, and when to look. It has no state
//! worth keeping: a waiting instance that wakes up asks again, and what hosts have is in the view.
//!
//! The view does not show a placement before the instance has committed it, and rounds do not wait
//! for that. So what was given out is booked here until the instance has answered, and no host is
//! ever given out twice.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use actix::prelude::*;
use airglow_kit::{Incarnation, Lifeline, To, now};
use airglow_model::{
    ids::{Attempt, ConfigId, JobKey, TaskKey},
    machine::Timestamp,
    task::Event,
    view::{Note, Pending},
};
use airglow_store::{ReadModel, Scribe};

use crate::{
    matchmaker::round::{Booking, Candidates, Given},
    messages::{Receipt, Registered},
    task::Tasks,
};

mod round;

pub(crate) struct Matchmaker {
    view: ReadModel,
    scribe: Scribe,
    tasks: Addr<Tasks>,
    waiting: BTreeMap<QueueKey, Queue>,
    /// Given out, and not answered yet.
    given: BTreeMap<TaskKey, Given>,
    /// Where the next round begins, so that nobody is always last.
    turn: usize,
    rounds: u64,
    /// A round is coming anyway.
    awaits: bool,
    /// A reason for waiting is going to be told anyway.
    tells: bool,
    /// How long the last round took.
    took: Duration,
    _lifeline: Lifeline<Incarnation>,
}

type QueueKey = (JobKey, ConfigId);

/// Instances of one job with one configuration: they wait for the same.
struct Queue {
    attempts: BTreeMap<u32, Attempt>,
    since: Timestamp,
    told: Option<Told>,
}

/// Why they wait, as was last told, and whether somebody has joined them since.
struct Told {
    why: Arc<Pending>,
    at: Timestamp,
    to_all: bool,
}

/// An attempt wants a place.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Seek {
    pub(crate) task: TaskKey,
    pub(crate) attempt: Attempt,
    pub(crate) config: ConfigId,
}

/// An instance does not want a place any more.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Withdraw {
    pub(crate) task: TaskKey,
    pub(crate) config: ConfigId,
}

/// Something may fit now that did not.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Look;

/// An instance has taken its place, or does not want it.
#[derive(Debug, Message)]
#[rtype(result = "()")]
struct Answered {
    task: TaskKey,
    attempt: Attempt,
}

#[derive(Message)]
#[rtype(result = "()")]
struct Round;

/// Those who want a place want it soon, and usually there are more of them coming.
const PAUSE: Duration = Duration::from_millis(2);

/// By the wall clock, which may have been set forward during a round that took no time.
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// How many placements may be on their way to the disk. More would only queue up there.
const IN_FLIGHT_MAX: usize = 8192;

/// The reason for waiting is told again, if it has changed, no more often than this.
const TELL_EVERY: Duration = Duration::from_secs(1);

impl Matchmaker {
    pub(crate) fn new(
        view: ReadModel,
        scribe: Scribe,
        tasks: Addr<Tasks>,
        lifeline: Lifeline<Incarnation>,
    ) -> Self {
        Self {
            view,
            scribe,
            tasks,
            waiting: BTreeMap::new(),
            given: BTreeMap::new(),
            turn: 0,
            rounds: 0,
            awaits: false,
            tells: false,
            took: Duration::ZERO,
            _lifeline: lifeline,
        }
    }

    /// Rounds that take long leave others as much time as they take.
    fn look_soon(&mut self, ctx: &mut Context<Self>) {
        if !self.awaits && !self.waiting.is_empty() {
            self.awaits = true;
            ctx.notify_later(Round, self.took.clamp(PAUSE, PAUSE_MAX));
        }
    }

    /// Who takes part in this round: of each queue a fair share of what can be placed at once.
    fn candidates(&mut self) -> Vec<Candidates> {
        let mut room = IN_FLIGHT_MAX.saturating_sub(self.given.len());
        let queues = self.waiting.len();
        self.turn = (self.turn + 1) % queues.max(1);
        let in_turn = self.waiting.iter().cycle().skip(self.turn).take(queues);
        let mut candidates = Vec::new();
        for (left, ((job, config), queue)) in (1..=queues).rev().zip(in_turn) {
            let share = room.div_ceil(left).min(queue.attempts.len());
            room -= share;
            if share > 0 {
                let instances = queue.attempts.keys().take(share).copied().collect();
                let (job, config, since) = (job.clone(), *config, queue.since);
                candidates.push(Candidates { job, config, instances, since });
            }
        }
        candidates
    }

    fn give(&mut self, task: TaskKey, queue: QueueKey, given: Booking, ctx: &Context<Self>) {
        let Some(attempt) = self.leave(&queue, task.instance) else { return };
        let event = Event::Placed { attempt, at: given.at.clone() };
        let (key, this) = (task.clone(), ctx.address());
        let receipt = Receipt::new(move |_| this.do_send(Answered { task: key, attempt }));
        self.given.insert(task.clone(), Given { attempt, booking: given });
        self.tasks.do_send(To(task, Registered { event, receipt }));
    }

    fn leave(&mut self, key: &QueueKey, instance: u32) -> Option<Attempt> {
        let queue = self.waiting.get_mut(key)?;
        let attempt = queue.attempts.remove(&instance);
        if queue.attempts.is_empty() {
            self.waiting.remove(key);
        }
        attempt
    }

    /// Says why those in this queue wait, unless they know.
    fn tell(&mut self, key: &QueueKey, why: Pending, ctx: &mut Context<Self>) {
        let Some(queue) = self.waiting.get_mut(key) else { return };
        let at = now();
        if let Some(told) = &queue.told {
            if told.to_all && *told.why == why {
                return;
            }
            let wait = TELL_EVERY.saturating_sub(at.since(told.at));
            if !wait.is_zero() {
                if !self.tells {
                    self.tells = true;
                    ctx.notify_later(Look, wait);
                }
                return;
            }
        }
        let why = Arc::new(why);
        queue.told = Some(Told { why: why.clone(), at, to_all: true });
        let instances = queue.attempts.keys().copied().collect();
        self.scribe.note(Note::Pending { job: key.0.clone(), instances, why });
    }
}

impl Actor for Matchmaker {
    type Context = Context<Self>;
}

impl Handler<Seek> for Matchmaker {
    type Result = ();

    fn handle(&mut self, Seek { task, attempt, config }: Seek, ctx: &mut Self::Context) {
        // It woke up while its place was on the way. If it misses that too, it asks again.
        if self.given.get(&task).is_some_and(|it| it.attempt == attempt) {
            return;
        }
        let queue = self.waiting.entry((task.job, config)).or_insert_with(|| Queue {
            attempts: BTreeMap::new(),
            since: now(),
            told: None,
        });
        queue.attempts.insert(task.instance, attempt);
        if let Some(told) = &mut queue.told {
            told.to_all = false;
        }
        self.look_soon(ctx);
    }
}

impl Handler<Withdraw> for Matchmaker {
    type Result = ();

    fn handle(&mut self, Withdraw { task, config }: Withdraw, _: &mut Self::Context) {
        self.leave(&(task.job, config), task.instance);
    }
}

impl Handler<Look> for Matchmaker {
    type Result = ();

    fn handle(&mut self, _: Look, ctx: &mut Self::Context) {
        self.tells = false;
        self.look_soon(ctx);
    }
}

impl Handler<Answered> for Matchmaker {
    type Result = ();

    fn handle(&mut self, Answered { task, attempt }: Answered, ctx: &mut Self::Context) {
        if self.given.get(&task).is_some_and(|it| it.attempt == attempt) {
            self.given.remove(&task);
        }
        self.look_soon(ctx);
    }
}

impl Handler<Round> for Matchmaker {
    type Result = ();

    fn handle(&mut self, _: Round, ctx: &mut Self::Context) {
        self.awaits = false;
        let began = now();
        let candidates = self.candidates();
        self.rounds += 1;
        let outcome = self.view.read(|it| round::hold(self.rounds, it, &candidates, &self.given));
        for (task, index, booking) in outcome.placed {
            self.give(task, candidates[index].queue(), booking, ctx);
        }
        for (index, why) in outcome.waiting {
            self.tell(&candidates[index].queue(), why, ctx);
        }
        self.took = now().since(began);
    }
}
