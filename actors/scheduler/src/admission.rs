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
    messages::{Circular, Receipt, Registered, Settled, Tally},
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
                let concerned = instances.clone().into_each();
                let tally = Tally::new(instances.len(), move |missing| {
                    drop(reply.send(answer_of_all(missing, instances)));
                });
                self.tasks.do_send(ToEach {
                    keys: Box::new(concerned.map(move |it| key.task(it))),
                    message: Circular { event, tally },
                    wakes: Box::new(|_| true),
                });
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

fn answer_of_all(missing: u64, instances: InstanceSet) -> Answer {
    let of = instances.len();
    let lost = || Refusal::NotNow(format!("{missing} of {of} instances may not have heard of it"));
    if missing == 0 { Ok(instances) } else { Err(lost()) }
}

fn answer(settled: Settled, instances: InstanceSet) -> Answer {
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

#[cfg(test)]
mod tests {
    use airglow_model::{
        ids::{Attempt, ConfigId},
        job::{Job, Wanted},
        machine::{Machine, Timestamp},
        record::{Change, Committed, Record, RecordKey},
        task::{Event, Placement, Policy, Task},
        view::View,
        wire::RunState,
    };

    use super::*;

    fn key() -> JobKey {
        JobKey::new("www", "prod", "hello")
    }

    /// Wants these instances. Of `ended` the runs are over; of `unborn` there are none yet.
    fn view(wanted: &str, ended: &str, unborn: &str) -> View {
        let [wanted, ended, unborn] =
            [wanted, ended, unborn].map(|it| it.parse::<InstanceSet>().unwrap_or_default());
        let mut job = Job::unborn(key());
        job.generation = 1;
        let (instances, config) = (wanted.clone(), ConfigId(1));
        job.wanted = vec![Wanted { instances, config, generation: 1 }];
        let at = Placement { host: "h1".into(), ports: BTreeMap::new() };
        let task = |instance| {
            let state =
                if ended.contains(instance) { RunState::Finished } else { RunState::Running };
            let (attempt, message) = (Attempt(1), String::new());
            let events = [
                Event::Wanted { config, generation: 1, policy: Policy::default() },
                Event::Placed { attempt, at: at.clone() },
                Event::Reported { attempt, state, message },
            ];
            let step = |task: Task, event| task.step(Timestamp(1), event).unwrap();
            events.iter().fold(Task::unborn(key().task(instance)), step).changes(None)
        };
        let job = Change { key: RecordKey::Job(key()), record: Some(Record::Job(job)) };
        let tasks = wanted.difference(&unborn).into_each().flat_map(task);
        let mut view = View::default();
        view.apply(&Committed { seq: 1, changes: [job].into_iter().chain(tasks).collect() });
        view
    }

    fn decide(view: &View, wish: Wish) -> String {
        match admit(&key(), view.jobs.get(&key()), wish, 10) {
            Ok(Admitted::Job(_, instances) | Admitted::Tasks(_, instances)) => {
                format!("yes: {instances}")
            }
            Err(refusal) => refusal.to_string(),
        }
    }

    fn kill(instances: Option<&str>) -> Wish {
        let instances = instances.map(|it| it.parse().unwrap());
        Wish::Kill { instances, message: String::new() }
    }

    #[test]
    fn only_what_is_active_can_be_killed_or_added_to() {
        let add = || Wish::Add { count: 2 };
        for (view, named, killed, added) in [
            (view("", "", ""), None, "there is no active job www/prod/hello", None),
            (view("0-3", "0-3", ""), None, "there is no active job www/prod/hello", None),
            (view("0-3", "1", ""), None, "yes: 0,2-3", Some("yes: 4-5")),
            (view("0-3", "0-2", "3"), None, "yes: 3", Some("yes: 4-5")),
            (view("0-3", "3", ""), Some("2-9"), "yes: 2", Some("yes: 3-4")),
            (
                view("0-3", "3", ""),
                Some("3,9"),
                "job www/prod/hello has no active instances among 3,9",
                Some("yes: 3-4"),
            ),
            (
                view("0-8", "", ""),
                None,
                "yes: 0-8",
                Some("job www/prod/hello would have 11 instances, and 10 are allowed"),
            ),
        ] {
            assert_eq!(decide(&view, kill(named)), killed);
            assert_eq!(decide(&view, add()), added.unwrap_or(killed));
        }
    }
}
