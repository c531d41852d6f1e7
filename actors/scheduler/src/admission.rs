//! One wish at a time for each role.
//!
//! What is admitted is decided by `airglow_model::admission`, by looking at the view. That is sound
//! because requests for one role are dealt with one after the other, each after the one before it
//! is in the view; requests for different roles do not wait for each other.

use std::collections::{BTreeMap, VecDeque};

use actix::prelude::*;
use airglow_kit::{Incarnation, Lifeline, To};
use airglow_model::{
    admission::{Admitted, Refusal, Rules, Wish, admit, admit_quota},
    ids::JobKey,
    instances::InstanceSet,
    quota::Quota,
    record::{Change, Record, RecordKey},
};
use airglow_store::{Gone, ReadModel, Scribe};
use tokio::sync::oneshot;

use crate::{
    cron::Crons,
    herald::{Herald, Proclaim, Word},
    job::Jobs,
    messages::{Circular, Receipt, Registered, Settled, Tally},
};

pub(crate) struct Admission {
    view: ReadModel,
    scribe: Scribe,
    rules: Rules,
    jobs: Addr<Jobs>,
    crons: Addr<Crons>,
    herald: Addr<Herald>,
    /// Roles with a request on its way to the disk, and the requests that wait for it.
    under_way: BTreeMap<String, VecDeque<Request>>,
    _lifeline: Lifeline<Incarnation>,
}

#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) enum Request {
    Job {
        job: JobKey,
        wish: Wish,
        reply: Reply<InstanceSet>,
    },
    /// The role's new quota.
    Quota {
        role: String,
        quota: Quota,
        reply: Reply<()>,
    },
}

/// Of jobs, which instances are concerned.
pub(crate) type Answer<T> = Result<T, Refusal>;
type Reply<T> = oneshot::Sender<Answer<T>>;

/// A request of this role has been settled; its answer is to be sent now.
#[derive(Message)]
#[rtype(result = "()")]
struct Done {
    role: String,
    send: Box<dyn FnOnce() + Send>,
}

impl Request {
    fn role(&self) -> &str {
        match self {
            Self::Job { job, .. } => &job.role,
            Self::Quota { role, .. } => role,
        }
    }
}

impl Admission {
    pub(crate) fn new(
        (view, scribe): (ReadModel, Scribe),
        rules: Rules,
        (jobs, crons): (Addr<Jobs>, Addr<Crons>),
        herald: Addr<Herald>,
        lifeline: Lifeline<Incarnation>,
    ) -> Self {
        let under_way = BTreeMap::new();
        Self { view, scribe, rules, jobs, crons, herald, under_way, _lifeline: lifeline }
    }

    fn consider(&mut self, request: Request, ctx: &mut Context<Self>) {
        match request {
            Request::Job { job, wish, reply } => self.consider_job(job, wish, reply, ctx),
            Request::Quota { role, quota, reply } => self.consider_quota(role, quota, reply, ctx),
        }
    }

    fn consider_job(
        &mut self,
        key: JobKey,
        wish: Wish,
        reply: Reply<InstanceSet>,
        ctx: &Context<Self>,
    ) {
        // Whoever asked may not wait any more; what was decided stands.
        match self.view.read(|view| admit(view, &key, wish, self.rules)) {
            Err(refusal) => drop(reply.send(Err(refusal))),
            Ok(Admitted::Nothing) => drop(reply.send(Ok(InstanceSet::default()))),
            Ok(Admitted::Tasks(event, instances)) => {
                let concerned = instances.clone();
                let tally = Tally::new(instances.len(), move |missing| {
                    drop(reply.send(answer_of_all(missing, instances)));
                });
                let word = Word::Circular(Circular { event, tally });
                self.herald.do_send(Proclaim { job: key, instances: concerned, word });
            }
            Ok(Admitted::Job(event, instances)) => {
                let receipt = self.receipt(&key.role, instances, reply, ctx);
                self.jobs.do_send(To(key, Registered { event, receipt }));
            }
            Ok(Admitted::Cron(event)) => {
                let receipt = self.receipt(&key.role, InstanceSet::default(), reply, ctx);
                self.crons.do_send(To(key, Registered { event, receipt }));
            }
        }
    }

    /// For an event of this role, on which the others of the role wait.
    fn receipt(
        &mut self,
        role: &str,
        instances: InstanceSet,
        reply: Reply<InstanceSet>,
        ctx: &Context<Self>,
    ) -> Receipt {
        let (role, this) = (role.to_owned(), ctx.address());
        self.under_way.entry(role.clone()).or_default();
        Receipt::new(move |settled| {
            let send = Box::new(move || drop(reply.send(answer(settled, instances))));
            this.do_send(Done { role, send });
        })
    }

    /// A quota has no entity: nothing happens to it but this.
    fn consider_quota(
        &mut self,
        role: String,
        quota: Quota,
        reply: Reply<()>,
        ctx: &mut Context<Self>,
    ) {
        if let Err(refusal) = self.view.read(|view| admit_quota(view, &role, &quota)) {
            return drop(reply.send(Err(refusal)));
        }
        self.under_way.entry(role.clone()).or_default();
        let key = RecordKey::Quota(role.clone());
        let commit = self.scribe.commit(vec![Change { key, record: Some(Record::Quota(quota)) }]);
        ctx.spawn(commit.into_actor(self).map(move |committed, _, ctx| {
            let answer = committed.map(drop).map_err(|Gone| Refusal::unknown());
            ctx.notify(Done { role, send: Box::new(move || drop(reply.send(answer))) });
        }));
    }
}

fn answer_of_all(missing: u64, instances: InstanceSet) -> Answer<InstanceSet> {
    let of = instances.len();
    let lost = || Refusal::Unknown(format!("{missing} of {of} instances may not have heard of it"));
    if missing == 0 { Ok(instances) } else { Err(lost()) }
}

fn answer(settled: Settled, instances: InstanceSet) -> Answer<InstanceSet> {
    match settled {
        Settled::Committed => Ok(instances),
        Settled::Rejected(rejected) => Err(Refusal::NotNow(rejected.to_string())),
        Settled::Lost => Err(Refusal::unknown()),
    }
}

impl Actor for Admission {
    type Context = Context<Self>;
}

impl Handler<Request> for Admission {
    type Result = ();

    fn handle(&mut self, request: Request, ctx: &mut Self::Context) {
        match self.under_way.get_mut(request.role()) {
            Some(queue) => queue.push_back(request),
            None => self.consider(request, ctx),
        }
    }
}

impl Handler<Done> for Admission {
    type Result = ();

    fn handle(&mut self, Done { role, send }: Done, ctx: &mut Self::Context) {
        send();
        let mut waiting = self.under_way.remove(&role).unwrap_or_default();
        while let Some(request) = waiting.pop_front() {
            self.consider(request, ctx);
            if let Some(queue) = self.under_way.get_mut(&role) {
                queue.append(&mut waiting);
                return;
            }
        }
    }
}
