//! The scheduler's side: the real machines and the real decisions, and mail between them.
//!
//! What the actors of a real scheduler do besides deciding is passing on: this passes on the same,
//! in the same order, with as little of its own as can be. Whatever is in here is lost when the
//! scheduler crashes; whatever it has committed is not.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::{
    admission::{Refusal, Rules},
    cron::{self, Before, Entry},
    drain::Inquiry,
    host::{self, Host},
    ids::{Attempt, HostId, JobKey, TaskKey},
    instances::InstanceSet,
    job::{self, Job},
    machine::{Rejected, Timestamp},
    policy::Policy,
    record::Change,
    task::{self, Task},
    view::View,
    wire::ToExecutor,
};

mod admission;
mod drainer;
mod entity;
mod matchmaker;
mod pruner;
mod roles;
mod session;
mod switchboard;

pub(super) use admission::{Answer, Request};
use drainer::Drainer;
pub(super) use drainer::ToDrainer;
use entity::Kind;
pub(super) use entity::Word;
use matchmaker::Bureau;
pub(super) use matchmaker::ToMatchmaker;
use pruner::Pruner;
pub(super) use pruner::{Kept, ToPruner};
use session::Session;
pub(super) use session::ToSession;
use switchboard::Line;
pub(super) use switchboard::ToSwitchboard;

pub(super) struct Scheduler {
    pub(super) view: View,
    tasks: Kind<Task>,
    jobs: Kind<Job>,
    hosts: Kind<Host>,
    crons: Kind<Entry>,
    /// Jobs whose next run waits for the end of what they have.
    watched: BTreeSet<JobKey>,
    bureau: Bureau,
    drainer: Drainer,
    pruner: Pruner,
    lines: BTreeMap<HostId, Line>,
    sessions: BTreeMap<u64, Session>,
    /// Roles with a request on its way to the disk, and the requests that wait for it.
    under_way: BTreeMap<String, VecDeque<Request>>,
    rules: Rules,
}

/// What the scheduler's parts say to each other.
#[derive(Clone, Debug)]
pub(super) enum Mail {
    Task(TaskKey, Word<task::Event>),
    /// To those of a job's instances that are awake or have to wake up for it.
    Each(JobKey, InstanceSet, task::Event, job::Effect),
    /// To everything that is on a host.
    There(Vec<TaskKey>, task::Event),
    Job(JobKey, Word<job::Event>),
    Host(HostId, Word<host::Event>),
    Cron(JobKey, Word<cron::Event>),
    /// Whoever waits for the end of what the job has wants to hear of it.
    Watch(JobKey),
    /// The job has dealt with the word that it should start a run.
    Fired(JobKey, job::Fired),
    Matchmaker(ToMatchmaker),
    Drainer(ToDrainer),
    Pruner(ToPruner),
    Switchboard(ToSwitchboard),
    Session(u64, ToSession),
    Request(Request),
    /// A role's request is settled.
    Done(Request, Answer),
}

/// Who panics at the next that happens to it.
#[derive(Clone, Debug)]
pub enum Doomed {
    Task(TaskKey),
    Job(JobKey),
    Host(HostId),
    Cron(JobKey),
}

/// Whose mail it is: what one reader is sent arrives in order.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Reader {
    Tasks,
    Jobs,
    Hosts,
    Crons,
    Matchmaker,
    Drainer,
    Pruner,
    Switchboard,
    Session(u64),
    Admission,
}

/// Who wants to hear what became of an event.
#[derive(Clone, Debug)]
pub(super) enum Receipt {
    Report { session: u64, seq: u64 },
    Place(TaskKey, Attempt),
    Leave(TaskKey, Attempt),
    Over(JobKey, Vec<(u32, Attempt)>),
    Request(Request, InstanceSet),
    Fired(JobKey, job::Fired),
}

#[derive(Clone, Debug)]
pub(super) enum Settled {
    Committed,
    Rejected(Rejected),
    Lost,
}

/// What a part of the scheduler asks of the world.
#[derive(Debug)]
pub(super) enum Ask {
    Send(Mail),
    Later(Timestamp, Mail),
    Commit(Vec<Change>, Mail),
    Say(u64, ToExecutor),
    HangUp(u64),
    /// A coordinator is asked whether an instance may go.
    Inquire(Box<Inquiry>),
    /// The pruner wants to know what is in the history.
    ReadHistory,
    Answered(Request, Answer),
}

/// What is asked while a piece of mail is dealt with, in order.
pub(super) struct Out {
    now: Timestamp,
    serial: u64,
    pub(super) asks: Vec<Ask>,
}

impl Out {
    pub(super) fn new(serial: u64) -> Self {
        Self { now: Timestamp::default(), serial, asks: Vec::new() }
    }

    pub(super) fn at(&mut self, now: Timestamp) {
        self.now = now;
    }

    fn now(&self) -> Timestamp {
        self.now
    }

    /// A number that nobody else has.
    fn serial(&mut self) -> u64 {
        self.serial += 1;
        self.serial
    }

    fn send(&mut self, mail: Mail) {
        self.asks.push(Ask::Send(mail));
    }

    fn later(&mut self, at: Timestamp, mail: Mail) {
        self.asks.push(Ask::Later(at, mail));
    }

    fn commit(&mut self, changes: Vec<Change>, then: Mail) {
        self.asks.push(Ask::Commit(changes, then));
    }

    fn settle(&mut self, receipt: Receipt, how: Settled) {
        self.send(match receipt {
            Receipt::Report { session, seq } => {
                Mail::Session(session, ToSession::Settled(seq, how))
            }
            Receipt::Place(task, attempt) => {
                Mail::Matchmaker(ToMatchmaker::Answered(task, attempt))
            }
            Receipt::Over(job, slots) => Mail::Pruner(pruner::heard(job, slots, &how)),
            Receipt::Leave(task, attempt) => Mail::Drainer(drainer::heard(task, attempt, &how)),
            Receipt::Fired(job, run) => Mail::Fired(job, run),
            Receipt::Request(request, instances) => {
                let answer = match how {
                    Settled::Committed => Ok(instances),
                    Settled::Rejected(rejected) => Err(Refusal::NotNow(rejected.to_string())),
                    Settled::Lost => Err(Refusal::unknown()),
                };
                Mail::Done(request, answer)
            }
        });
    }
}

impl Mail {
    pub(super) fn reader(&self) -> Reader {
        match self {
            Self::Task(..) | Self::Each(..) | Self::There(..) => Reader::Tasks,
            Self::Job(..) => Reader::Jobs,
            Self::Host(..) => Reader::Hosts,
            Self::Cron(..) | Self::Watch(_) | Self::Fired(..) => Reader::Crons,
            Self::Matchmaker(_) => Reader::Matchmaker,
            Self::Drainer(_) => Reader::Drainer,
            Self::Pruner(_) => Reader::Pruner,
            Self::Switchboard(_) => Reader::Switchboard,
            Self::Session(link, _) => Reader::Session(*link),
            Self::Request(_) | Self::Done(..) => Reader::Admission,
        }
    }
}

impl Scheduler {
    /// One that knows nothing but what is on the disk.
    pub(super) fn new(view: View, policy: &Policy, rules: Rules) -> Self {
        Self {
            view,
            tasks: Kind::new(),
            jobs: Kind::new(),
            hosts: Kind::new(),
            crons: Kind::new(),
            watched: BTreeSet::new(),
            bureau: Bureau::new(policy),
            drainer: Drainer::new(policy.sla),
            pruner: Pruner::new(policy.history.clone()),
            lines: BTreeMap::new(),
            sessions: BTreeMap::new(),
            under_way: BTreeMap::new(),
            rules,
        }
    }

    /// Wakes everyone who has something to do, be it to wait. No host is connected yet.
    pub(super) fn wake(&self, out: &mut Out) {
        for (id, host) in &self.view.hosts {
            let word = match host.host.contact {
                host::Contact::Up { .. } => Word::Happened(switchboard::disconnected(), None),
                host::Contact::Unknown
                | host::Contact::Away { .. }
                | host::Contact::Unreachable { .. }
                | host::Contact::Removed { .. } => Word::Wake,
            };
            out.send(Mail::Host(id.clone(), word));
        }
        for (key, job) in &self.view.jobs {
            let active = job.tasks.values().filter(|it| it.is_active());
            active.for_each(|it| out.send(Mail::Task(it.key.clone(), Word::Wake)));
            out.send(Mail::Job(key.clone(), Word::Wake));
            if job.cron.is_some() {
                out.send(Mail::Cron(key.clone(), Word::Wake));
            }
        }
    }

    /// Puts into the view why those wait who do.
    pub(super) fn explain(&mut self, now: Timestamp) {
        for note in self.bureau.explain(now, &self.view) {
            self.view.note(note);
        }
    }

    /// Something is on the disk, and in the view.
    pub(super) fn has_news(&self, out: &mut Out) {
        if self.drainer.is_busy() {
            out.send(Mail::Drainer(ToDrainer::News));
        }
        for job in self.watched.iter().filter(|it| Before::of(it, &self.view) == Before::Over) {
            out.send(Mail::Watch(job.clone()));
        }
    }

    fn watch(&mut self, job: JobKey, out: &mut Out) {
        if Before::of(&job, &self.view) == Before::Active {
            self.watched.insert(job);
            return;
        }
        self.watched.remove(&job);
        let event = cron::Event::Looked(Before::Over);
        self.crons.tell(&job, Word::Happened(event, None), &self.view, out);
    }

    fn has_fired(&mut self, job: &JobKey, run: job::Fired, out: &mut Out) {
        let fired = self.view.jobs.get(job).and_then(|it| it.job.fired);
        if fired.is_some_and(|it| run.is_no_later(it)) {
            let event = cron::Event::Launched { number: run.number };
            self.crons.tell(job, Word::Happened(event, None), &self.view, out);
        }
    }

    pub(super) fn read(&mut self, mail: Mail, out: &mut Out) {
        match mail {
            Mail::Task(key, word) => self.tasks.tell(&key, word, &self.view, out),
            Mail::Job(key, word) => self.jobs.tell(&key, word, &self.view, out),
            Mail::Host(id, word) => self.hosts.tell(&id, word, &self.view, out),
            Mail::Cron(key, word) => self.crons.tell(&key, word, &self.view, out),
            Mail::Watch(job) => self.watch(job, out),
            Mail::Fired(job, run) => self.has_fired(&job, run, out),
            Mail::Each(job, instances, event, why) => {
                for key in instances.iter().map(|it| job.task(it)) {
                    if self.tasks.has(&key) || why.matters_to(self.view.task_of(&key)) {
                        let word = Word::Happened(event.clone(), None);
                        self.tasks.tell(&key, word, &self.view, out);
                    }
                }
            }
            Mail::There(tasks, event) => {
                for key in tasks {
                    let word = Word::Happened(event.clone(), None);
                    self.tasks.tell(&key, word, &self.view, out);
                }
            }
            Mail::Matchmaker(word) => self.bureau.read(word, &self.view, out),
            Mail::Drainer(word) => self.drainer.read(word, &self.view, out),
            Mail::Pruner(word) => self.pruner.read(word, &self.view, out),
            Mail::Switchboard(word) => switchboard::read(&mut self.lines, word, out),
            Mail::Session(link, word) => self.session(link, word, out),
            Mail::Request(request) => self.request(request, out),
            Mail::Done(request, answer) => self.done(request, answer, out),
        }
    }

    pub(super) fn doom(&mut self, whom: &Doomed) {
        match whom {
            Doomed::Task(key) => self.tasks.doom(key),
            Doomed::Job(key) => self.jobs.doom(key),
            Doomed::Host(id) => self.hosts.doom(id),
            Doomed::Cron(key) => self.crons.doom(key),
        }
    }
}
