//! Empties hosts that are to be maintained, and lets updates end instances that others count on.
//!
//! Who may go is `model::drain`'s decision, taken for all hosts at once. This looks, asks those who
//! may go, shows what the others wait for, and looks again when anything has happened that could
//! matter or a time has come. It has no state worth keeping: hosts that wake up while they are
//! being drained say so, and the rest is in the view. Who was asked is known until that is in the
//! view too, or somebody else would be let go in the meantime for the same reason.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use actix::prelude::*;
use airglow_kit::{Incarnation, Lifeline, To, now};
use airglow_model::{
    drain::{self, Consent, Consents, Inquiry, Known, Leave, Permit, Plan, Wait},
    host,
    ids::{Attempt, HostId, TaskKey, UpdateKey},
    instances::InstanceSet,
    machine::Timestamp,
    sla::Rules,
    task::Event,
    update,
    view::{Note, View},
};
use airglow_store::{Feed, Listener, ReadModel, Scribe};
use tokio::time::sleep;

use crate::{
    host::Hosts,
    messages::{Happened, Receipt, Registered, Settled, commit},
    root::Soil,
    task::Tasks,
    update::Updates,
};

mod coordinator;

pub(crate) struct Drainer {
    around: Around,
    /// Hosts that are being drained, or have been and not been activated since.
    hosts: BTreeSet<HostId>,
    /// Updates that have asked, and go on.
    updates: BTreeSet<UpdateKey>,
    asked: BTreeMap<TaskKey, Attempt>,
    consents: Consents,
    shown: BTreeMap<HostId, Arc<Vec<Wait>>>,
    /// For the next look. Whoever sets another forgets it.
    lookout: Option<SpawnHandle>,
    looks_soon: bool,
    _lifeline: Lifeline<Incarnation>,
}

/// What a drainer needs of the rest.
pub(crate) struct Around {
    pub(crate) cluster: String,
    pub(crate) rules: Rules,
    pub(crate) view: ReadModel,
    pub(crate) feed: Feed,
    pub(crate) scribe: Scribe,
    pub(crate) tasks: Addr<Tasks>,
    pub(crate) hosts: Addr<Hosts>,
    pub(crate) updates: Addr<Updates>,
}

impl Around {
    pub(crate) fn new(
        soil: &Soil,
        tasks: Addr<Tasks>,
        hosts: Addr<Hosts>,
        updates: Addr<Updates>,
    ) -> Self {
        let Soil { cluster, sla, view, feed, scribe, .. } = soil.clone();
        Self { cluster, rules: sla, view, feed, scribe, tasks, hosts, updates }
    }
}

/// This host is being drained, or has been.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Drains(pub(crate) HostId);

/// This update ends instances only as its job's policy allows, and would end some.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Rolls(pub(crate) UpdateKey);

/// Whoever was asked to leave has dealt with it.
#[derive(Debug, Message)]
#[rtype(result = "()")]
struct Answered {
    task: TaskKey,
    attempt: Attempt,
}

/// Nobody has dealt with it.
#[derive(Debug, Message)]
#[rtype(result = "()")]
struct Missed(Answered);

/// A coordinator has spoken, or has not.
#[derive(Debug, Message)]
#[rtype(result = "()")]
struct Advised {
    inquiry: Inquiry,
    advice: Result<(), String>,
}

/// News come in flocks, and a look costs as much as there are instances in the jobs it is about.
const PAUSE: Duration = Duration::from_millis(20);

const PAUSE_MAX: Duration = Duration::from_secs(1);

/// The clock may be set.
const LOOKOUT_MAX: Duration = Duration::from_secs(60);

/// Whoever crashed when it was asked may need a moment.
const MISSED_FOR: Duration = Duration::from_secs(5);

impl Drainer {
    pub(crate) fn new(around: Around, lifeline: Lifeline<Incarnation>) -> Self {
        Self {
            around,
            hosts: BTreeSet::new(),
            updates: BTreeSet::new(),
            asked: BTreeMap::new(),
            consents: Consents::new(),
            shown: BTreeMap::new(),
            lookout: None,
            looks_soon: false,
            _lifeline: lifeline,
        }
    }

    fn look(&mut self, ctx: &mut Context<Self>) {
        // News from now on may be in the view already, and then it is looked at once too often.
        let (_, listener) = self.around.feed.subscribe();
        let at = now();
        let view = self.around.view.clone();
        let plan = view.read(|view| self.plan(at, view));
        let took = now().since(at);
        self.show(plan.waits);
        for (host, since) in plan.emptied {
            self.around.hosts.do_send(To(host, Happened(host::Event::Emptied { since })));
        }
        for leave in plan.leave {
            self.ask(leave, ctx);
        }
        for permit in plan.permits {
            self.permit(permit, ctx);
        }
        for inquiry in plan.inquire {
            self.inquire(inquiry, ctx);
        }
        self.watch(listener, plan.look_at, took, ctx);
    }

    fn plan(&mut self, now: Timestamp, view: &View) -> Plan {
        let is_to_be_empty =
            |it: &HostId| view.hosts.get(it).is_some_and(|it| it.host.mode.is_to_be_empty());
        self.hosts.retain(is_to_be_empty);
        let asks = |it: &UpdateKey| view.updates.get(it).is_some_and(|it| it.update.asks_to_end());
        self.updates.retain(asks);
        self.consents
            .retain(|(task, attempt), _| drain::is_undecided(view, &self.hosts, task, *attempt));
        let (rules, asked, consents) = (&self.around.rules, &self.asked, &self.consents);
        let updates = &self.updates;
        drain::plan(view, &self.hosts, Known { now, rules, asked, consents, updates })
    }

    fn permit(&mut self, Permit { update, task, attempt }: Permit, ctx: &Context<Self>) {
        self.asked.insert(task.clone(), attempt);
        let this = ctx.address();
        let instances = InstanceSet::range(task.instance, task.instance);
        let answered = Answered { task, attempt };
        let receipt = Receipt::new(move |settled| match settled {
            Settled::Committed | Settled::Rejected(_) => this.do_send(answered),
            Settled::Lost => this.do_send(Missed(answered)),
        });
        let event = update::Event::Permitted(instances);
        self.around.updates.do_send(To(update, Registered { event, receipt }));
    }

    fn ask(&mut self, Leave { task, attempt, message }: Leave, ctx: &Context<Self>) {
        self.asked.insert(task.clone(), attempt);
        let this = ctx.address();
        let answered = Answered { task: task.clone(), attempt };
        let receipt = Receipt::new(move |settled| match settled {
            Settled::Committed | Settled::Rejected(_) => this.do_send(answered),
            Settled::Lost => this.do_send(Missed(answered)),
        });
        let event = Event::DrainAsked { attempt, message };
        self.around.tasks.do_send(To(task, Registered { event, receipt }));
    }

    fn inquire(&mut self, inquiry: Inquiry, ctx: &Context<Self>) {
        let of = (inquiry.task.clone(), inquiry.attempt);
        self.consents.insert(of, Consent::Asked { url: inquiry.url.clone() });
        let (this, cluster) = (ctx.address(), self.around.cluster.clone());
        let timeout = self.around.rules.coordinator_timeout;
        coordinator::ask(cluster, inquiry, timeout, move |inquiry, advice| {
            this.do_send(Advised { inquiry, advice });
        });
    }

    /// Says what has changed of who waits for what.
    fn show(&mut self, waits: BTreeMap<HostId, Vec<Wait>>) {
        self.shown.retain(|host, _| waits.contains_key(host));
        for (host, waits) in waits {
            if self.shown.get(&host).is_none_or(|it| **it != waits) {
                let waits = Arc::new(waits);
                self.shown.insert(host.clone(), waits.clone());
                self.around.scribe.note(Note::Waits { host, waits });
            }
        }
    }

    /// Looks again at `look_at`, or soon after something has been committed.
    fn watch(
        &mut self,
        mut listener: Listener,
        look_at: Option<Timestamp>,
        took: Duration,
        ctx: &mut Context<Self>,
    ) {
        if self.hosts.is_empty() && self.updates.is_empty() {
            return;
        }
        let wait = look_at.map_or(LOOKOUT_MAX, |it| it.since(now()).min(LOOKOUT_MAX));
        let pause = (took * 10).clamp(PAUSE, PAUSE_MAX);
        let until = async move {
            tokio::select! {
                () = sleep(wait) => {}
                () = commit(&mut listener) => sleep(pause).await,
            }
        };
        self.look_after(until, ctx);
    }

    fn look_soon(&mut self, ctx: &mut Context<Self>) {
        if !std::mem::replace(&mut self.looks_soon, true) {
            self.look_after(sleep(PAUSE), ctx);
        }
    }

    fn look_after(&mut self, until: impl Future<Output = ()> + 'static, ctx: &mut Context<Self>) {
        if let Some(other) = self.lookout.take() {
            ctx.cancel_future(other);
        }
        let look = until.into_actor(self).map(|(), this, ctx| {
            this.lookout = None;
            this.looks_soon = false;
            this.look(ctx);
        });
        self.lookout = Some(ctx.spawn(look));
    }
}

impl Actor for Drainer {
    type Context = Context<Self>;
}

impl Handler<Drains> for Drainer {
    type Result = ();

    fn handle(&mut self, Drains(host): Drains, ctx: &mut Self::Context) {
        self.hosts.insert(host);
        self.look_soon(ctx);
    }
}

impl Handler<Rolls> for Drainer {
    type Result = ();

    fn handle(&mut self, Rolls(update): Rolls, ctx: &mut Self::Context) {
        self.updates.insert(update);
        self.look_soon(ctx);
    }
}

impl Handler<Answered> for Drainer {
    type Result = ();

    fn handle(&mut self, Answered { task, attempt }: Answered, ctx: &mut Self::Context) {
        if self.asked.get(&task) == Some(&attempt) {
            self.asked.remove(&task);
        }
        self.look_soon(ctx);
    }
}

impl Handler<Missed> for Drainer {
    type Result = ();

    fn handle(&mut self, Missed(answered): Missed, ctx: &mut Self::Context) {
        ctx.notify_later(answered, MISSED_FOR);
    }
}

impl Handler<Advised> for Drainer {
    type Result = ();

    fn handle(&mut self, Advised { inquiry, advice }: Advised, ctx: &mut Self::Context) {
        let consent = match advice {
            Ok(()) => Consent::Granted { url: inquiry.url },
            Err(why) => Consent::Refused { at: now(), why },
        };
        self.consents.insert((inquiry.task, inquiry.attempt), consent);
        self.look_soon(ctx);
    }
}
