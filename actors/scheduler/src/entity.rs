//! The one shell around every state machine: step, commit, and only then act.
//!
//! Every accepted step asks again for *all* effects of the state that it leads to, and so does
//! waking up. Asking only for what the last state did not ask for would be fewer words, but some
//! steps exist in order to ask again (a kill that shows no result), and effects are idempotent
//! anyway. A role whose effects are large says itself what is no news to those who were told.
//!
//! What an entity was told and had not committed when it crashed is lost with its mailbox. Nobody
//! resends on a guess: hosts repeat their reports, the matchmaker is asked for a place again, and
//! what another entity wants of this one is in that one's record, where a waking entity looks
//! ([`Role::overheard`]).

use std::{fmt, rc::Rc, time::Duration};

use actix::{WeakRecipient, prelude::*};
use airglow_kit::{Key, Leave, Lifeline, now};
use airglow_model::{
    machine::{Machine, Timestamp},
    view::View,
};
use airglow_store::{Gone, ReadModel, Scribe};

use crate::{
    Stats,
    messages::{Circular, Happened, Receipt, Registered, Settled},
};

/// What a machine's effects mean in terms of other actors.
pub(crate) trait Role: Machine {
    type Key: Key + fmt::Display;
    type Links: 'static;

    /// Before there is a record of it.
    fn unborn(key: Self::Key) -> Self;

    /// By its record.
    fn recall(view: &View, key: &Self::Key) -> Option<Self>;

    /// What others' records say should happen to this one, and it may not have heard.
    fn overheard(&self, view: &View) -> Option<Self::Event> {
        let _ = view;
        None
    }

    /// What is to be heard instead, if an event leaves out what anybody can see.
    fn informed(&self, event: &Self::Event, view: &ReadModel) -> Option<Self::Event> {
        let _ = (event, view);
        None
    }

    /// Whether a deadline that passed while there was no entity leaves hosts time to be heard.
    fn is_patient() -> bool {
        true
    }

    /// The event was true when it was sent and is not any more.
    fn is_overtaken(event: &Self::Event, view: &ReadModel) -> bool {
        let _ = (event, view);
        false
    }

    /// It has nothing to wait for and nothing to say, so it need not be there: its record, or that
    /// there is none, says all. Whoever has a word for it starts it again.
    fn rests(&self) -> bool {
        false
    }

    /// Asks others for what this state needs. `before` is the state that has asked already; there
    /// is none when the entity has just woken up, and then everything is news.
    fn act(&self, before: Option<&Self>, links: &Self::Links);
}

pub(crate) struct Entity<M: Role> {
    key: M::Key,
    state: M,
    shared: Rc<Shared<M>>,
    alarm: Option<SpawnHandle>,
    /// A step is on its way to the disk.
    is_stepping: bool,
    /// How much was sent to it: when that is all, it may leave.
    heard: u32,
    _lifeline: Lifeline<M::Key>,
}

/// What all entities of a kind have in common.
pub(crate) struct Shared<M: Role> {
    pub(crate) view: ReadModel,
    pub(crate) scribe: Scribe,
    pub(crate) links: M::Links,
    pub(crate) stats: Stats,
    pub(crate) parent: WeakRecipient<Leave<M::Key>>,
}

/// The deadline that was set has come, by the timer.
#[derive(Message)]
#[rtype(result = "()")]
struct Alarm;

/// Nobody is condemned for a silence during which we could not hear. A deadline that passed while
/// there was no entity leaves hosts this long to connect again and say how things are.
const HEARING: Duration = Duration::from_secs(30);

/// The clock may be set, and a machine may sleep, of which timers know nothing: nobody waits longer
/// without a look.
const NAP: Duration = Duration::from_secs(30);

impl<M: Role> Entity<M> {
    pub(crate) fn start(
        lifeline: Lifeline<M::Key>,
        key: &M::Key,
        shared: Rc<Shared<M>>,
    ) -> Addr<Self> {
        let (key, state) = (key.clone(), M::unborn(key.clone()));
        let entity = Self {
            key,
            state,
            shared,
            alarm: None,
            is_stepping: false,
            heard: 0,
            _lifeline: lifeline,
        };
        Actor::start(entity)
    }

    fn hear(
        &mut self,
        at: Timestamp,
        event: &M::Event,
        receipt: Option<Receipt>,
        ctx: &mut Context<Self>,
    ) {
        if M::is_overtaken(event, &self.shared.view) {
            tracing::debug!(key = %self.key, ?event, "overtaken");
            receipt.into_iter().for_each(|it| it.settle(Settled::Committed));
            return self.leave_if_resting();
        }
        let informed = self.state.informed(event, &self.shared.view);
        let next = match self.state.step(at, informed.as_ref().unwrap_or(event)) {
            Ok(next) => next,
            Err(rejected) => {
                tracing::debug!(key = %self.key, %rejected, "ignored");
                self.shared.stats.rejected(&rejected);
                if let Some(receipt) = receipt {
                    receipt.settle(Settled::Rejected(rejected));
                }
                return self.leave_if_resting();
            }
        };
        self.is_stepping = true;
        let changes = next.changes(Some(&self.state));
        if changes.is_empty() {
            return self.become_quietly(next, receipt, ctx);
        }
        let commit = self.shared.scribe.commit(changes);
        // `wait` holds the mailbox: nothing is heard, and nothing is said, until this is on disk.
        ctx.wait(commit.into_actor(self).map(|committed, this, ctx| match committed {
            Ok(_) => this.become_next(next, receipt, ctx),
            // The process is about to end; the next one will know whether this was written.
            Err(Gone) => ctx.stop(),
        }));
    }

    /// There is nothing about it that has to be on disk first.
    fn become_quietly(&self, next: M, receipt: Option<Receipt>, ctx: &mut Context<Self>) {
        let done = std::future::ready(()).into_actor(self).map(|(), this, ctx| {
            this.become_next(next, receipt, ctx);
        });
        ctx.wait(done);
    }

    fn become_next(&mut self, next: M, receipt: Option<Receipt>, ctx: &mut Context<Self>) {
        self.is_stepping = false;
        let before = std::mem::replace(&mut self.state, next);
        if let Some(receipt) = receipt {
            receipt.settle(Settled::Committed);
        }
        self.state.act(Some(&before), &self.shared.links);
        self.set_alarm(ctx);
        self.leave_if_resting();
    }

    /// Unless something is on its way here, which its parent knows.
    fn leave_if_resting(&self) {
        if self.state.rests()
            && let Some(parent) = self.shared.parent.upgrade()
        {
            parent.do_send(Leave { key: self.key.clone(), heard: self.heard });
        }
    }

    fn set_alarm(&mut self, ctx: &mut Context<Self>) {
        self.set_alarm_not_before(now(), ctx);
    }

    fn set_alarm_not_before(&mut self, earliest: Timestamp, ctx: &mut Context<Self>) {
        if let Some(alarm) = self.alarm.take() {
            ctx.cancel_future(alarm);
        }
        let deadline = self.state.deadline();
        let wait = |at: Timestamp| at.max(earliest).since(now()).min(NAP);
        self.alarm = deadline.map(|(at, _)| ctx.notify_later(Alarm, wait(at)));
    }
}

impl<M: Role> Actor for Entity<M> {
    type Context = Context<Self>;

    /// What was in memory is gone; the view, which has all that was ever committed, says who we
    /// are. Waking up in a state and entering it are the same thing.
    fn started(&mut self, ctx: &mut Self::Context) {
        // An actor whose thread is stopped before its first turn is still told that it starts.
        if ctx.state() != ActorState::Running {
            return;
        }
        let (record, overheard) = self.shared.view.read(|view| {
            let record = M::recall(view, &self.key);
            let overheard = record.as_ref().unwrap_or(&self.state).overheard(view);
            (record, overheard)
        });
        if let Some(record) = record {
            self.state = record;
        }
        self.state.act(None, &self.shared.links);
        let earliest = if M::is_patient() { now() + HEARING } else { now() };
        self.set_alarm_not_before(earliest, ctx);
        match overheard {
            Some(event) => self.hear(now(), &event, None, ctx),
            None => self.leave_if_resting(),
        }
    }
}

impl<M: Role> Handler<Happened<M::Event>> for Entity<M> {
    type Result = ();

    fn handle(&mut self, Happened(event): Happened<M::Event>, ctx: &mut Self::Context) {
        self.heard = self.heard.wrapping_add(1);
        self.hear(now(), &event, None, ctx);
    }
}

impl<M: Role> Handler<Registered<M::Event>> for Entity<M> {
    type Result = ();

    fn handle(&mut self, mail: Registered<M::Event>, ctx: &mut Self::Context) {
        self.heard = self.heard.wrapping_add(1);
        self.hear(now(), &mail.event, Some(mail.receipt), ctx);
    }
}

impl<M: Role> Handler<Circular<M::Event>> for Entity<M> {
    type Result = ();

    fn handle(&mut self, mail: Circular<M::Event>, ctx: &mut Self::Context) {
        self.heard = self.heard.wrapping_add(1);
        self.hear(now(), &mail.event, Some(mail.tally.receipt()), ctx);
    }
}

impl<M: Role> Handler<Alarm> for Entity<M> {
    type Result = ();

    /// Timers wake us to look at the clock; the clock decides. It is looked at once: it may be set
    /// back, and by a second look the deadline would not have come, and nobody would set another.
    fn handle(&mut self, Alarm: Alarm, ctx: &mut Self::Context) {
        self.alarm = None;
        // `wait` holds the mailbox, but not a timer that has run out by the time that a message is
        // handled. The next state sets another.
        if self.is_stepping {
            return;
        }
        let at = now();
        match self.state.deadline() {
            Some((deadline, event)) if deadline <= at => self.hear(at, &event, None, ctx),
            Some(_) => self.set_alarm(ctx),
            None => {}
        }
    }
}
