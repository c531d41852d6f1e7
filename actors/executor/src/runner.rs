//! One task on this host: steps its machine, writes that down, and only then acts.
//!
//! A runner that starts reads its task from the folder, whether the task is new, or the runner
//! before it crashed, or the agent did. There is no other way for it to learn what it is to run.

use std::{collections::BTreeSet, io, sync::Arc, time::Duration};

use actix::prelude::*;
use airglow_kit::{GaveUp, Lifeline, Supervisor, To, Wake, now};
use airglow_model::{
    ids::TaskId,
    machine::{Machine, Timestamp},
    process::Exit,
    restart::Intensity,
    run::{Effect, Event, Run, RunId},
    wire::RunState,
};
use tokio::sync::watch;

use crate::{
    Host,
    journal::Journal,
    process::{Care, Process, Wish},
    sandbox::Sandbox,
    uplink::{Report, Show},
};

pub(crate) struct Runner {
    id: TaskId,
    host: Arc<Host>,
    task: Option<Task>,
    _lifeline: Lifeline<TaskId>,
}

struct Task {
    run: Run,
    journal: Journal,
    /// What has been asked for since this runner started, as long as the state still asks for it.
    asked: BTreeSet<Effect>,
    /// Why it cannot run here, if it cannot.
    care: Result<Arc<Care>, String>,
    processes: Option<Addr<Supervisor<Process, RunId>>>,
    alarm: Option<SpawnHandle>,
    shown: Shown,
    /// Dropped with us, so that the processes know.
    _leash: watch::Sender<()>,
}

/// When people last heard of the processes, and whether they soon will again.
#[derive(Default)]
struct Shown {
    at: Timestamp,
    is_due: bool,
}

/// Something happened to the task.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Happened(pub(crate) Event);

/// Somebody tends this run from now on, perhaps in the place of one who crashed, and has not heard
/// what is wanted of it.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Tended(pub(crate) RunId);

/// The scheduler knows how it ended. There is nothing left to do.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Dismissed;

/// Say how the processes are, even if nothing is new.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct ShowAgain;

/// Nobody can look more often than that.
const SHOWN_EVERY: Duration = Duration::from_millis(500);

const PROCESS_CRASHES: Intensity = Intensity { restarts: 3, period: Duration::from_secs(60) };

impl Runner {
    pub(crate) fn start(lifeline: Lifeline<TaskId>, host: Arc<Host>, id: &TaskId) -> Addr<Self> {
        Self { id: id.clone(), host, task: None, _lifeline: lifeline }.start()
    }

    fn happened(&mut self, event: &Event, ctx: &mut Context<Self>) {
        let Some(task) = &mut self.task else { return };
        let now = now();
        match task.run.step(now, event) {
            Ok(next) => {
                // A full disk is no reason to lose hold of what runs: only our successor will miss it.
                if let Err(error) = task.journal.append(now, event) {
                    tracing::error!(task = %self.id, %error, "cannot write what happened");
                }
                task.run = next;
                self.enter(ctx);
            }
            Err(rejected) => tracing::debug!(task = %self.id, %rejected, "ignored"),
        }
    }

    /// Does what the state asks for and did not ask for before.
    fn enter(&mut self, ctx: &mut Context<Self>) {
        let Some(task) = &mut self.task else { return };
        let effects = task.run.effects();
        let news: Vec<_> = effects.iter().filter(|it| !task.asked.contains(it)).cloned().collect();
        task.asked = effects.into_iter().collect();
        if let Some(alarm) = task.alarm.take() {
            ctx.cancel_future(alarm);
        }
        let alarm = task.run.deadline();
        task.alarm = alarm.map(|(at, event)| ctx.notify_later(Happened(event), at.since(now())));
        // Whoever hears that a task has ended looks at how its processes did.
        let ends = |it: &Effect| matches!(it, Effect::Report { state, .. } if state.is_terminal());
        if news.iter().any(ends) {
            self.show_now();
        }
        for effect in news {
            self.perform(effect, ctx);
        }
        self.show(ctx);
    }

    fn perform(&self, effect: Effect, ctx: &mut Context<Self>) {
        let Some(task) = &self.task else { return };
        match (effect, &task.processes) {
            (Effect::Report { state, message }, _) => self.report(state, message),
            (Effect::Prepare, _) => self.prepare(task, ctx),
            (Effect::Tend(id), Some(processes)) => processes.do_send(Wake(id)),
            (Effect::Term(id), Some(processes)) => processes.do_send(To(id, Wish::Term)),
            (Effect::Kill(id), Some(processes)) => processes.do_send(To(id, Wish::Kill)),
            (effect, None) => tracing::error!(task = %self.id, ?effect, "without a sandbox"),
        }
    }

    fn prepare(&self, task: &Task, ctx: &mut Context<Self>) {
        let care = match &task.care {
            Ok(care) => care.clone(),
            Err(why) => return ctx.notify(Happened(Event::NotPrepared { why: why.clone() })),
        };
        let workers = self.host.known.workers.clone();
        let prepared = workers.run(move || care.sandbox.prepare(&care.config.spec.task));
        ctx.spawn(prepared.into_actor(self).map(|prepared, _, ctx| {
            ctx.notify(Happened(match prepared {
                Ok(()) => Event::Prepared,
                Err(why) => Event::NotPrepared { why },
            }));
        }));
    }

    fn report(&self, state: RunState, message: String) {
        if let Some(uplink) = self.host.uplink.upgrade() {
            uplink.do_send(Report { task_id: self.id.clone(), state, message });
        }
    }

    /// At most so often; what changes in between is shown with the next.
    fn show(&mut self, ctx: &mut Context<Self>) {
        let Some(task) = &mut self.task else { return };
        if task.shown.is_due {
            return;
        }
        let next = task.shown.at + SHOWN_EVERY;
        if next <= now() {
            self.show_now();
        } else {
            task.shown.is_due = true;
            ctx.run_later(next.since(now()), |this, _| this.show_now());
        }
    }

    fn show_now(&mut self) {
        let Some(task) = &mut self.task else { return };
        task.shown = Shown { at: now(), is_due: false };
        if let Some(uplink) = self.host.uplink.upgrade() {
            uplink.do_send(Show { task_id: self.id.clone(), processes: task.run.views() });
        }
    }
}

impl Task {
    /// `None` if nothing of the task is here.
    fn read(id: &TaskId, host: &Arc<Host>, runner: &Addr<Runner>) -> io::Result<Option<Self>> {
        let Some((folder, launch)) = host.known.tasks.launched(id)? else { return Ok(None) };
        let run = Run::new(&launch.config.spec.task).map_err(io::Error::other)?;
        let (run, journal) = Journal::open(&folder.journal(), run)?;
        let (sender, leash) = watch::channel(());
        let sandbox = Sandbox::of(&launch, &folder, &host.known);
        let care = sandbox.map(|sandbox| {
            Arc::new(Care {
                folder,
                config: launch.config.clone(),
                sandbox,
                workers: host.known.workers.clone(),
                binary: host.known.binary.clone(),
                runner: runner.downgrade(),
                leash,
            })
        });
        let processes = care.clone().ok().map(|care| {
            let start = move |lifeline, id: &RunId| Process::start(lifeline, care.clone(), id);
            Supervisor::new(PROCESS_CRASHES, runner.clone().recipient(), start).start()
        });
        Ok(Some(Self {
            run,
            journal,
            asked: BTreeSet::new(),
            care,
            processes,
            alarm: None,
            shown: Shown::default(),
            _leash: sender,
        }))
    }
}

impl Actor for Runner {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        match Task::read(&self.id, &self.host, &ctx.address()) {
            Ok(Some(task)) => {
                self.task = Some(task);
                self.enter(ctx);
            }
            Ok(None) => ctx.stop(),
            Err(error) => {
                tracing::error!(task = %self.id, %error, "cannot be read back");
                let ended = self.host.known.end_by_force(&self.id);
                ctx.spawn(ended.into_actor(self).map(|(), this, ctx| {
                    this.report(RunState::Lost, "Task checkpoint could not be read.".to_owned());
                    ctx.stop();
                }));
            }
        }
    }
}

impl Handler<Happened> for Runner {
    type Result = ();

    fn handle(&mut self, Happened(event): Happened, ctx: &mut Self::Context) {
        self.happened(&event, ctx);
    }
}

impl Handler<Tended> for Runner {
    type Result = ();

    fn handle(&mut self, Tended(tended): Tended, ctx: &mut Self::Context) {
        let Some(task) = &self.task else { return };
        let is_wanted =
            |it: &&Effect| matches!(it, Effect::Term(id) | Effect::Kill(id) if *id == tended);
        let wanted: Vec<_> = task.asked.iter().filter(is_wanted).cloned().collect();
        for effect in wanted {
            self.perform(effect, ctx);
        }
    }
}

impl Handler<Dismissed> for Runner {
    type Result = ();

    fn handle(&mut self, _: Dismissed, ctx: &mut Self::Context) {
        // People see how it ended, not how it was a moment before.
        if self.task.as_ref().is_some_and(|it| it.shown.is_due) {
            self.show_now();
        }
        ctx.stop();
    }
}

impl Handler<ShowAgain> for Runner {
    type Result = ();

    fn handle(&mut self, _: ShowAgain, _: &mut Self::Context) {
        self.show_now();
    }
}

/// Nobody tends this run any more, so it must not go on.
impl Handler<GaveUp<RunId>> for Runner {
    type Result = ();

    fn handle(&mut self, GaveUp { on, last_words }: GaveUp<RunId>, ctx: &mut Self::Context) {
        tracing::error!(task = %self.id, run = ?on, last_words, "ended by force");
        let Some(folder) = self.host.known.tasks.task(&self.id) else { return };
        let run = folder.run(&on);
        let ended = self.host.known.workers.run(move || run.end_by_force());
        ctx.spawn(ended.into_actor(self).map(|(), this, ctx| {
            let lost = Event::Ended { id: on, at: now(), exit: Exit::Lost, leftover: false };
            this.happened(&lost, ctx);
        }));
    }
}
