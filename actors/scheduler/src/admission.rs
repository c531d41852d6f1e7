//! Who may change which jobs.
//!
//! An entity can only refuse what its own state forbids. What involves more than one entity (is
//! any instance of this job still there? may it have so many?) is decided here, by looking at the
//! view. That is sound because requests for one job are dealt with one after the other, each after
//! the one before it is in the view; requests for different jobs do not wait for each other.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use actix::prelude::*;
use airglow_kit::{Incarnation, Lifeline, To, ToEach};
use airglow_model::{
    config::TaskConfig, ids::JobKey, instances::InstanceSet, job, task, view::JobView,
};
use airglow_store::ReadModel;
use tokio::sync::oneshot;

use crate::{
    Refusal,
    job::Jobs,
    messages::{Happened, Receipt, Registered, Settled},
    task::Tasks,
};

pub(crate) struct Admission {
    view: ReadModel,
    instances_max: u32,
    jobs: Addr<Jobs>,
    tasks: Addr<Tasks>,
    /// Jobs with a request on its way to the disk, and the requests that wait for it.
    under_way: BTreeMap<JobKey, VecDeque<Request>>,
    _lifeline: Lifeline<Incarnation>,
}

#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Request {
    pub(crate) job: JobKey,
    pub(crate) wish: Wish,
    pub(crate) reply: oneshot::Sender<Answer>,
}

/// Which instances are concerned.
pub(crate) type Answer = Result<InstanceSet, Refusal>;

#[derive(Clone, Debug)]
pub(crate) enum Wish {
    Create {
        config: Arc<TaskConfig>,
        instances: u32,
        by: String,
    },
    Add {
        count: u32,
    },
    /// All that are active, if none are named.
    Kill {
        instances: Option<InstanceSet>,
        message: String,
    },
    Restart {
        instances: Option<InstanceSet>,
        message: String,
    },
}

/// A request has been settled.
#[derive(Message)]
#[rtype(result = "()")]
struct Done {
    job: JobKey,
    reply: oneshot::Sender<Answer>,
    answer: Answer,
}

impl Admission {
    pub(crate) fn new(
        view: ReadModel,
        instances_max: u32,
        jobs: Addr<Jobs>,
        tasks: Addr<Tasks>,
        lifeline: Lifeline<Incarnation>,
    ) -> Self {
        let under_way = BTreeMap::new();
        Self { view, instances_max, jobs, tasks, under_way, _lifeline: lifeline }
    }

    fn consider(&mut self, request: Request, ctx: &Context<Self>) {
        let Request { job: key, wish, reply } = request;
        let admitted =
            self.view.read(|view| admit(&key, view.jobs.get(&key), wish, self.instances_max));
        // Whoever asked may not wait any more; what was decided stands.
        match admitted {
            Err(refusal) => drop(reply.send(Err(refusal))),
            Ok(Admitted::Tasks(event, instances)) => {
                self.tasks.do_send(ToEach {
                    keys: Box::new(instances.clone().into_each().map(move |it| key.task(it))),
                    message: Happened(event),
                    wakes: Box::new(|_| true),
                });
                drop(reply.send(Ok(instances)));
            }
            Ok(Admitted::Job(event, instances)) => {
                self.under_way.entry(key.clone()).or_default();
                let (job, this) = (key.clone(), ctx.address());
                let receipt = Receipt::new(move |settled| {
                    this.do_send(Done { job, reply, answer: answer(settled, instances) });
                });
                self.jobs.do_send(To(key, Registered { event, receipt }));
            }
        }
    }
}

fn answer(settled: Settled, instances: InstanceSet) -> Answer {
    match settled {
        Settled::Committed => Ok(instances),
        Settled::Rejected(rejected) => Err(Refusal::NotNow(rejected.to_string())),
        Settled::Lost => Err(Refusal::NotNow("the job could not be changed, try again".into())),
    }
}

impl Actor for Admission {
    type Context = Context<Self>;
}

impl Handler<Request> for Admission {
    type Result = ();

    fn handle(&mut self, request: Request, ctx: &mut Self::Context) {
        match self.under_way.get_mut(&request.job) {
            Some(queue) => queue.push_back(request),
            None => self.consider(request, ctx),
        }
    }
}

impl Handler<Done> for Admission {
    type Result = ();

    fn handle(&mut self, Done { job, reply, answer }: Done, ctx: &mut Self::Context) {
        drop(reply.send(answer));
        let mut waiting = self.under_way.remove(&job).unwrap_or_default();
        while let Some(request) = waiting.pop_front() {
            self.consider(request, ctx);
            if let Some(queue) = self.under_way.get_mut(&job) {
                queue.append(&mut waiting);
                return;
            }
        }
    }
}

#[derive(Debug, PartialEq)]
enum Admitted {
    Job(job::Event, InstanceSet),
    /// The job's record does not change: each of its instances looks after itself.
    Tasks(task::Event, InstanceSet),
}

/// What a wish comes to, for a job as it is now.
fn admit(
    key: &JobKey,
    job: Option<&JobView>,
    wish: Wish,
    instances_max: u32,
) -> Result<Admitted, Refusal> {
    let active = || job.filter(|it| it.is_active()).ok_or_else(|| Refusal::NoSuchJob(key.clone()));
    match wish {
        Wish::Create { config, instances, by } => {
            if active().is_ok() {
                return Err(Refusal::JobExists(key.clone()));
            }
            fits(key, instances.into(), instances_max)?;
            let instances = InstanceSet::first(instances);
            let event = job::Event::Created { config, instances: instances.clone(), by };
            Ok(Admitted::Job(event, instances))
        }
        Wish::Add { count } => {
            let job = active()?;
            let first = u64::from(job.active().last().map_or(0, |it| it + 1));
            let end = first + u64::from(count);
            fits(key, job.active_count() + u64::from(count), instances_max)?;
            let instances = end
                .checked_sub(1)
                .and_then(|last| u32::try_from(last).ok())
                .zip(u32::try_from(first).ok())
                .map(|(last, first)| InstanceSet::range(first, last))
                .ok_or(Refusal::NotNow("the instances' numbers are used up".into()))?;
            Ok(Admitted::Job(job::Event::Added { instances: instances.clone() }, instances))
        }
        Wish::Kill { instances, message } => {
            let instances = among(key, active()?, instances)?;
            let event = job::Event::KillAsked { instances: instances.clone(), message };
            Ok(Admitted::Job(event, instances))
        }
        Wish::Restart { instances, message } => {
            let instances = among(key, active()?, instances)?;
            Ok(Admitted::Tasks(task::Event::RestartAsked { message }, instances))
        }
    }
}

fn fits(key: &JobKey, asked: u64, allowed: u32) -> Result<(), Refusal> {
    let fits = asked <= u64::from(allowed);
    fits.then_some(()).ok_or_else(|| Refusal::TooMany { job: key.clone(), asked, allowed })
}

/// Those that are active among those that were named.
fn among(key: &JobKey, job: &JobView, named: Option<InstanceSet>) -> Result<InstanceSet, Refusal> {
    let active = job.active();
    let Some(named) = named else { return Ok(active) };
    let found = active.intersection(&named);
    if found.is_empty() {
        return Err(Refusal::NoInstances { job: key.clone(), instances: named });
    }
    Ok(found)
}
