//! Brings waiting instances and free hosts together.
//!
//! All of that is `model::matching`'s; this knows when to look, and tells who was placed. It has no
//! state worth keeping: a waiting instance that wakes up asks again, and what hosts have is in the
//! view. The view is held only to copy what has changed in it, never while places are sought.

use std::{collections::BTreeMap, mem, time::Duration};

use actix::prelude::*;
use airglow_kit::{Incarnation, Lifeline, To, now};
use airglow_model::{
    ids::{Attempt, ConfigId, TaskKey},
    matching::{Matchmaker as Decider, Placed, Victim},
    policy::Policy,
    preemption::Preemption,
    task::Event,
    view::{Note, View},
};
use airglow_store::{ReadModel, Scribe};

use crate::{
    Stats,
    messages::{Happened, Receipt, Registered},
    stats::number,
    task::Tasks,
};

pub(crate) struct Matchmaker {
    view: ReadModel,
    scribe: Scribe,
    tasks: Addr<Tasks>,
    decider: Decider,
    preemption: Preemption,
    stats: Stats,
    /// Who has asked for a place since the last round.
    arrivals: BTreeMap<TaskKey, (Attempt, ConfigId)>,
    /// A round is coming anyway.
    awaits: bool,
    /// A reason for waiting is going to be told anyway.
    tells: bool,
    /// How long the last round took.
    took: Duration,
    _lifeline: Lifeline<Incarnation>,
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
pub(crate) struct Withdraw(pub(crate) TaskKey);

/// Something may fit now that did not.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Look;

/// One is asked for that knows the same, to try things out.
#[derive(Debug, Message)]
#[rtype(result = "Decider")]
pub(crate) struct Double;

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

impl Matchmaker {
    pub(crate) fn new(
        (view, scribe): (ReadModel, Scribe),
        tasks: Addr<Tasks>,
        policy: Policy,
        stats: Stats,
        lifeline: Lifeline<Incarnation>,
    ) -> Self {
        Self {
            view,
            scribe,
            tasks,
            decider: Decider::new(policy.scheduling),
            preemption: policy.preemption,
            stats,
            arrivals: BTreeMap::new(),
            awaits: false,
            tells: false,
            took: Duration::ZERO,
            _lifeline: lifeline,
        }
    }

    /// Rounds that take long leave others as much time as they take.
    fn look_soon(&mut self, ctx: &mut Context<Self>) {
        let is_wanted = self.decider.has_seekers() || !self.arrivals.is_empty();
        if !self.awaits && is_wanted {
            self.awaits = true;
            ctx.notify_later(Round, self.took.clamp(PAUSE, PAUSE_MAX));
        }
    }

    fn learn(&mut self) {
        let arrivals = mem::take(&mut self.arrivals);
        self.stats.arrivals.set(0);
        let missed = self.view.read(|view| {
            for (task, (attempt, config)) in arrivals {
                self.decider.seek(now(), task, attempt, config, view);
            }
            self.decider.missed(view)
        });
        self.decider.learn(missed);
    }

    fn give(&self, Placed { task, attempt, at }: Placed, ctx: &Context<Self>) {
        let event = Event::Placed { attempt, at };
        let (key, this) = (task.clone(), ctx.address());
        let receipt = Receipt::new(move |_| this.do_send(Answered { task: key, attempt }));
        self.tasks.do_send(To(task, Registered { event, receipt }));
    }

    /// Asks some to leave, if that is what others have waited for. A request that gets lost is made
    /// again, to whomever is there then.
    fn preempt(&mut self, ctx: &mut Context<Self>) {
        let decide = |view: &View| self.decider.preempt(now(), view, &self.preemption);
        for Victim { task, attempt, message, .. } in self.view.read(decide) {
            let event = Event::PreemptAsked { attempt, message };
            self.tasks.do_send(To(task, Happened(event)));
        }
        // What was kept for somebody may be anybody's now.
        self.look_soon(ctx);
    }

    /// Says why those wait who do, unless they know.
    fn tell(&mut self, ctx: &mut Context<Self>) {
        for (job, instances, why) in self.decider.reasons(now()) {
            self.scribe.note(Note::Pending { job, instances, why });
        }
        if let Some(at) = self.decider.next_look().filter(|_| !self.tells) {
            self.tells = true;
            ctx.notify_later(Look, at.since(now()).max(PAUSE));
        }
    }
}

impl Actor for Matchmaker {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        if self.preemption.enabled {
            let every = self.preemption.every.max(PAUSE);
            ctx.run_interval(every, |this, ctx| this.preempt(ctx));
        }
    }
}

impl Handler<Seek> for Matchmaker {
    type Result = ();

    fn handle(&mut self, Seek { task, attempt, config }: Seek, ctx: &mut Self::Context) {
        self.arrivals.insert(task, (attempt, config));
        self.stats.arrivals.set(number(self.arrivals.len()));
        self.look_soon(ctx);
    }
}

impl Handler<Withdraw> for Matchmaker {
    type Result = ();

    fn handle(&mut self, Withdraw(task): Withdraw, _: &mut Self::Context) {
        self.arrivals.remove(&task);
        self.decider.withdraw(&task);
    }
}

impl Handler<Look> for Matchmaker {
    type Result = ();

    fn handle(&mut self, _: Look, ctx: &mut Self::Context) {
        self.tells = false;
        self.look_soon(ctx);
    }
}

impl Handler<Double> for Matchmaker {
    type Result = MessageResult<Double>;

    fn handle(&mut self, Double: Double, _: &mut Self::Context) -> Self::Result {
        self.learn();
        MessageResult(self.decider.double())
    }
}

impl Handler<Answered> for Matchmaker {
    type Result = ();

    fn handle(&mut self, Answered { task, attempt }: Answered, ctx: &mut Self::Context) {
        self.decider.answered(&task, attempt);
        self.look_soon(ctx);
    }
}

impl Handler<Round> for Matchmaker {
    type Result = ();

    fn handle(&mut self, _: Round, ctx: &mut Self::Context) {
        self.awaits = false;
        let began = now();
        self.learn();
        let placed = self.decider.round(began);
        self.stats.placed.inc_by(placed.len() as u64);
        for placed in placed {
            self.give(placed, ctx);
        }
        self.tell(ctx);
        self.took = now().since(began);
        self.stats.round_took(self.took, &self.decider.numbers());
    }
}
