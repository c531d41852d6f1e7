//! What this host and its scheduler say to each other, and the list of what is here.
//!
//! One link at a time, made again whenever it ends. Nothing depends on it: tasks run on without.
//! Reports are said again on every new link until they are acknowledged, and the inventory, which
//! comes first, lets the scheduler find out by itself what else there is to correct.

use std::{
    collections::BTreeMap,
    hash::{DefaultHasher, Hash, Hasher},
    io,
    sync::Arc,
    time::Duration,
};

use actix::prelude::*;
use airglow_kit::{
    GaveUp, Incarnation, Lifeline, Supervisor, To, Wake,
    identity::Request,
    link::{HEARTBEAT, Sender, Unsent},
    now,
};
use airglow_model::{
    ids::{HostId, TaskId},
    machine::Timestamp,
    restart::Intensity,
    run::Event,
    wire::{
        Answer, Inventoried, Launch, Question, RunState, Status, TaskView, ToExecutor, ToScheduler,
    },
};

use tokio::sync::oneshot;

mod renewal;

use crate::{
    Contact, Host,
    calling::{Caller, Line, SpokenVersion},
    inventory::{Admission, Inventory},
    isolation::Isolation,
    known::Known,
    meter::Meter,
    outbox::Reports,
    records,
    runner::{Describe, Dismissed, Happened, Runner, ShowAgain},
};

pub(crate) struct Uplink {
    known: Arc<Known>,
    contact: Arc<Contact>,
    runners: Addr<Supervisor<Runner, TaskId>>,
    inventory: Inventory,
    reports: Reports,
    /// What has been reported since we started.
    told: BTreeMap<TaskId, RunState>,
    link: Option<Sender<ToScheduler>>,
    isolation: Isolation,
    /// For another certificate, when it has been asked for.
    renewing: Option<Request>,
    spoken: SpokenVersion,
    is_closing: bool,
    /// More tasks are over than there were.
    is_untidy: bool,
    tidied_at: Timestamp,
    _lifeline: Lifeline<Incarnation>,
}

/// How a task is.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Report {
    pub(crate) task_id: TaskId,
    pub(crate) state: RunState,
    pub(crate) message: String,
}

/// How a task is, for whoever looks.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Show {
    pub(crate) task_id: TaskId,
    pub(crate) view: Box<TaskView>,
}

/// Take no more tasks, and end those that are here. Says how many are not over yet.
#[derive(Debug, Message)]
#[rtype(result = "usize")]
pub(crate) struct Close {
    pub(crate) within: Duration,
}

const RUNNER_CRASHES: Intensity = Intensity { restarts: 5, period: Duration::from_secs(60) };

const INVENTORY_EVERY: Duration = Duration::from_secs(180);

const TIDY_EVERY: Duration = Duration::from_secs(10);
const TIDY_AT_LEAST_EVERY: Duration = Duration::from_secs(60);

impl Uplink {
    /// Adopts what is on disk.
    pub(crate) fn start(
        lifeline: Lifeline<Incarnation>,
        known: Arc<Known>,
        meter: Addr<Meter>,
        contact: Arc<Contact>,
    ) -> io::Result<Addr<Self>> {
        let inventory = records::take_stock(&known.tasks, |it| records::end(&known, it))?;
        known.sweep(inventory.all().map(|it| it.task_id.clone()));
        let isolation = Isolation::open(&known.data, contact.isolated_max)?;
        let reports = Reports::open(&known.data.join("outbox.jsonl"))?;
        Ok(Self::create(move |ctx| {
            let host = Arc::new(Host {
                known: known.clone(),
                meter,
                reports: ctx.address().recipient().downgrade(),
                shows: ctx.address().recipient().downgrade(),
            });
            let gave_up = ctx.address().recipient();
            let begin = move |lifeline, id: &TaskId| Runner::start(lifeline, host.clone(), id);
            let runners = Supervisor::new(RUNNER_CRASHES, gave_up, begin).start();
            Self {
                known,
                contact,
                runners,
                inventory,
                reports,
                told: BTreeMap::new(),
                link: None,
                isolation,
                renewing: None,
                spoken: 0,
                is_closing: false,
                is_untidy: true,
                tidied_at: Timestamp::default(),
                _lifeline: lifeline,
            }
        }))
    }

    /// If it cannot be said now, whatever matters of it will be when there is a link again.
    fn say(&mut self, message: &ToScheduler) {
        match self.link.as_ref().map(|it| it.send(message)) {
            None | Some(Ok(())) => {}
            Some(Err(error @ Unsent::TooLong(_))) => tracing::error!(%error, "not said"),
            Some(Err(error @ (Unsent::Ended | Unsent::Behind))) => {
                tracing::warn!(%error, "lost the scheduler");
                self.link = None;
            }
        }
    }

    /// What a scheduler that is obeyed from now on needs to know.
    fn greet(&mut self) {
        self.say_inventory();
        let pending: Vec<_> = self.reports.pending().collect();
        for status in pending {
            self.say(&ToScheduler::Status(status));
        }
        for task in self.inventory.all() {
            self.runners.do_send(To(task.task_id.clone(), ShowAgain));
        }
    }

    fn ping(&mut self) {
        self.say(&ToScheduler::Ping { at: Some(now()) });
    }

    /// Ends everything, gracefully, if that is the time.
    fn end_if_isolated(&mut self) {
        let Some(message) = self.isolation.verdict() else { return };
        let alive = self.inventory.all().filter(|it| !it.state.is_terminal());
        let alive: Vec<_> = alive.map(|it| it.task_id.clone()).collect();
        tracing::warn!(tasks = alive.len(), message, "ends its tasks");
        for id in alive {
            let asked = Event::KillAsked { message: message.clone(), within_ms: None };
            self.runners.do_send(To(id, Happened(vec![asked])));
        }
    }

    fn say_inventory(&mut self) {
        let tasks: Vec<Inventoried> = self.inventory.all().cloned().collect();
        self.say(&ToScheduler::Inventory { tasks });
    }

    fn hear(&mut self, message: ToExecutor, ctx: &mut Context<Self>) {
        match message {
            ToExecutor::Ack { seq } => self.acknowledged(seq),
            ToExecutor::Launch(launch) => self.launch(&launch),
            ToExecutor::Kill { task_id, reason } => self.kill(task_id, &reason),
            ToExecutor::Ask { request, question } => self.ask(request, question, ctx),
            ToExecutor::TakeStock => self.say_inventory(),
            ToExecutor::Renewed { chain } => self.renewed(chain, ctx),
            // Who greets does so once, before anything is heard here.
            ToExecutor::Welcome(_)
            | ToExecutor::Elsewhere { .. }
            | ToExecutor::Refused { .. }
            | ToExecutor::Pong
            | ToExecutor::Unknown => {}
        }
    }

    /// From when this returns the task is here, whatever happens to us: it is on disk.
    fn launch(&mut self, launch: &Launch) {
        let id = &launch.task_id;
        let Some(folder) = self.known.tasks.task(id).filter(|_| !self.is_closing) else {
            return tracing::warn!(task = %id, "not launched");
        };
        if folder.settled_at().is_some() {
            return tracing::debug!(task = %id, "has long been over");
        }
        match self.inventory.admit(launch) {
            Admission::New => {}
            Admission::Known => return tracing::debug!(task = %id, "is here"),
            Admission::Stale => return tracing::debug!(task = %id, "is out of date"),
        }
        match self.known.tasks.launch(&folder, launch) {
            Ok(()) => self.runners.do_send(Wake(id.clone())),
            Err(error) => {
                let message = format!("Failed to initialize sandbox: {error}");
                self.report(id, RunState::Failed, message);
            }
        }
    }

    fn kill(&self, task_id: TaskId, reason: &str) {
        tracing::info!(task = %task_id, reason, "is to be killed");
        if self.inventory.get(&task_id).is_none() {
            return;
        }
        let message = "Instructed to kill task.".to_owned();
        let asked = Event::KillAsked { message, within_ms: None };
        self.runners.do_send(To(task_id, Happened(vec![asked])));
    }

    fn report(&mut self, id: &TaskId, state: RunState, message: String) {
        let Some(task) = self.inventory.get(id).cloned() else { return };
        if self.told.insert(id.clone(), state) == Some(state) {
            return;
        }
        self.inventory.set(id, state);
        let Inventoried { task, attempt, task_id, .. } = task;
        let status = Status { seq: 0, task, attempt, task_id, state, message, at: now() };
        let status = self.reports.push(status);
        self.say(&ToScheduler::Status(status));
    }

    /// The scheduler will not forget the ends of these any more, so we may.
    fn acknowledged(&mut self, seq: u64) {
        let arrived = self.reports.acknowledge(seq);
        for Status { task_id: id, .. } in arrived.iter().filter(|it| it.state.is_terminal()) {
            let Some(folder) = self.known.tasks.task(id).filter(|_| self.inventory.remove(id))
            else {
                continue;
            };
            if let Err(error) = folder.settle() {
                tracing::warn!(task = %id, %error, "will be reported again");
            }
            self.told.remove(id);
            self.runners.do_send(To(id.clone(), Dismissed));
            self.is_untidy = true;
        }
    }

    fn tidy(&mut self, ctx: &mut Context<Self>) {
        // Time passes and disks fill up even if no task ends.
        let is_due = self.tidied_at + TIDY_AT_LEAST_EVERY <= now();
        if !std::mem::take(&mut self.is_untidy) && !is_due {
            return;
        }
        self.tidied_at = now();
        let known = self.known.clone();
        let tidied = self.known.workers.run(move || {
            known.tidy_groups();
            records::tidy(&known.tasks, &known.retention)
        });
        ctx.spawn(tidied.into_actor(self).map(|tidied, _, _| {
            if let Err(error) = tidied {
                tracing::error!(%error, "cannot tidy up");
            }
        }));
    }

    fn ask(&self, request: u64, question: Question, ctx: &mut Context<Self>) {
        let known = self.known.clone();
        let described = self.described(&question);
        let answered = async move {
            if let Some(described) = described
                && let Ok(view) = described.await
            {
                return Answer::Task(Box::new(view));
            }
            let asked = known.clone();
            known.workers.run(move || records::answer(&asked, &question)).await
        };
        ctx.spawn(answered.into_actor(self).map(move |answer, this, _| {
            this.say(&ToScheduler::Answer { request, answer });
        }));
    }

    /// By its runner, if it should have one.
    fn described(&self, question: &Question) -> Option<oneshot::Receiver<TaskView>> {
        let Question::Task { task_id } = question else { return None };
        self.inventory.get(task_id)?;
        let (asker, described) = oneshot::channel();
        self.runners.do_send(To(task_id.clone(), Describe(asker)));
        Some(described)
    }
}

impl Actor for Uplink {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        for task in self.inventory.all() {
            self.runners.do_send(Wake(task.task_id.clone()));
        }
        ctx.run_interval(HEARTBEAT, |this, _| this.ping());
        if let Some(pace) = self.isolation.pace() {
            ctx.run_interval(pace, |this, _| this.end_if_isolated());
        }
        let phase = INVENTORY_EVERY.mul_f64(phase(&self.known.id));
        ctx.run_later(phase, |_, ctx| {
            ctx.run_interval(INVENTORY_EVERY, |this, _| this.say_inventory());
        });
        ctx.run_interval(TIDY_EVERY, Self::tidy);
        self.stay_certified(ctx);
        let (known, contact) = (self.known.clone(), self.contact.clone());
        let caller = Caller::new(known, contact, ctx.address().downgrade());
        ctx.spawn(caller.stay_connected().into_actor(self));
    }
}

impl Handler<Line> for Uplink {
    type Result = ();

    fn handle(&mut self, line: Line, ctx: &mut Self::Context) {
        match line {
            Line::Connected(link, spoken) => {
                self.spoken = spoken;
                self.isolation.heard();
                self.link = Some(link);
                self.greet();
                self.ask_for_renewal();
            }
            Line::Heard(message) => {
                self.isolation.heard();
                self.hear(message, ctx);
            }
            Line::Disconnected => self.link = None,
            Line::Removed => self.evict(),
        }
    }
}

impl Handler<Report> for Uplink {
    type Result = ();

    fn handle(&mut self, Report { task_id, state, message }: Report, _: &mut Self::Context) {
        self.report(&task_id, state, message);
    }
}

impl Handler<Show> for Uplink {
    type Result = ();

    fn handle(&mut self, Show { task_id, view }: Show, _: &mut Self::Context) {
        let processes = view.processes;
        self.say(&ToScheduler::Processes { task_id, processes });
    }
}

impl Handler<Close> for Uplink {
    type Result = usize;

    fn handle(&mut self, Close { within }: Close, _: &mut Self::Context) -> usize {
        let alive = self.inventory.all().filter(|it| !it.state.is_terminal());
        let alive: Vec<_> = alive.map(|it| it.task_id.clone()).collect();
        if !std::mem::replace(&mut self.is_closing, true) {
            let within_ms = Some(u64::try_from(within.as_millis()).unwrap_or(u64::MAX));
            for id in &alive {
                let message = "Told to shut down executor.".to_owned();
                let asked = Event::KillAsked { message, within_ms };
                self.runners.do_send(To(id.clone(), Happened(vec![asked])));
            }
        }
        alive.len()
    }
}

/// Where in a period this host has its turn, so that hosts started together do not all speak at
/// once: a part of it, which its name decides.
fn phase(host: &HostId) -> f64 {
    let mut hasher = DefaultHasher::new();
    host.hash(&mut hasher);
    let parts = u16::try_from(hasher.finish() >> 48).unwrap_or_default();
    f64::from(parts) / f64::from(u16::MAX)
}

/// Nobody looks after this task any more, so it must not go on.
impl Handler<GaveUp<TaskId>> for Uplink {
    type Result = ();

    fn handle(&mut self, GaveUp { on, last_words }: GaveUp<TaskId>, ctx: &mut Self::Context) {
        let ended = self.known.end_by_force(&on);
        ctx.spawn(ended.into_actor(self).map(move |(), this, _| {
            this.report(&on, RunState::Lost, format!("Its runner keeps crashing: {last_words}"));
        }));
    }
}
