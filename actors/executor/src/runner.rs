//! One task on this host: steps its machine, writes that down, and only then acts.
//!
//! A runner that starts reads its task from the folder, whether the task is new, or the runner
//! before it crashed, or the agent did. There is no other way for it to learn what it is to run.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use actix::prelude::*;
use airglow_kit::{GaveUp, Lifeline, Supervisor, To, now};
use airglow_model::{
    ids::TaskId,
    machine::{Machine, Timestamp},
    run::{Effect, Event, Run, RunId, Stage},
    wire::{HealthView, RunState, TaskView},
};
use tokio::sync::{oneshot, watch};

use crate::{
    Host,
    care::Care,
    checkup::{Appointment, Told},
    herd::{Herd, Word},
    journal::Journal,
    outline::Outline,
    process::Process,
    uplink::{Report, Show},
};

mod acting;
mod reading_back;

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
    outline: Outline,
    /// Why it cannot run here, if it cannot.
    team: Result<Team, String>,
    /// What it takes is seen.
    is_watched: bool,
    /// As long as it is looked at whether it is healthy.
    appointment: Option<Appointment>,
    health: Option<HealthView>,
    alarm: Option<SpawnHandle>,
    shown: Shown,
    /// Dropped with us, so that the others know.
    _leash: watch::Sender<()>,
}

/// Who runs it.
struct Team {
    care: Arc<Care>,
    herd: Addr<Supervisor<Herd, TaskId>>,
    processes: Addr<Supervisor<Process, RunId>>,
}

/// When people last heard of the processes, and whether they soon will again.
struct Shown {
    at: Timestamp,
    is_due: bool,
}

/// Things happened to the task, in this order.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Happened(pub(crate) Vec<Event>);

/// Whoever has the line to the shepherd does not know what is wanted of the task.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Attended;

/// Which runs are there to be tended?
#[derive(Debug, Message)]
#[rtype(result = "Vec<RunId>")]
pub(crate) struct Tended;

/// The scheduler knows how it ended. There is nothing left to do.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Dismissed;

/// Say how the task is, even if nothing is new.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct ShowAgain;

/// Somebody looked whether it is healthy.
#[derive(Debug, Message)]
#[rtype(result = "()")]
struct Examined(Told);

/// Say it to somebody who asked.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Describe(pub(crate) oneshot::Sender<TaskView>);

/// Nobody can look more often than that.
const SHOWN_EVERY: Duration = Duration::from_millis(500);

impl Runner {
    pub(crate) fn start(lifeline: Lifeline<TaskId>, host: Arc<Host>, id: &TaskId) -> Addr<Self> {
        Self { id: id.clone(), host, task: None, _lifeline: lifeline }.start()
    }

    fn happened(&mut self, events: &[Event], ctx: &mut Context<Self>) {
        let Some(task) = &mut self.task else { return };
        let now = now();
        let mut accepted = Vec::new();
        for event in events {
            match task.run.step(now, event) {
                Ok(next) => {
                    task.run = next;
                    accepted.push(event);
                }
                Err(rejected) => tracing::debug!(task = %self.id, %rejected, "ignored"),
            }
        }
        if accepted.is_empty() {
            return;
        }
        // A full disk is no reason to lose hold of what runs: only our successor will miss it.
        if let Err(error) = task.journal.append(now, &accepted) {
            tracing::error!(task = %self.id, %error, "cannot write what happened");
        }
        self.enter(ctx);
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
        task.alarm =
            alarm.map(|(at, event)| ctx.notify_later(Happened(vec![event]), at.since(now())));
        if !task.asked.contains(&Effect::Check) {
            task.appointment = None;
        }
        task.be_watched();
        if task.run.is_over() {
            self.take_leave();
            // Whoever hears that a task has ended looks at how its processes did.
            self.show_now();
        } else {
            self.show(ctx);
        }
        for effect in news {
            self.perform(effect, ctx);
        }
    }

    fn report(&self, state: RunState, message: String) {
        if let Some(listener) = self.host.reports.upgrade() {
            listener.do_send(Report { task_id: self.id.clone(), state, message });
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
            ctx.run_later(next.since(now()), |this, _| {
                if this.task.as_ref().is_some_and(|it| it.shown.is_due) {
                    this.show_now();
                }
            });
        }
    }

    fn show_now(&mut self) {
        let Some(task) = &mut self.task else { return };
        task.shown = Shown { at: now(), is_due: false };
        if let Some(listener) = self.host.shows.upgrade() {
            let view = Box::new(task.view(&self.id, &self.host.known));
            listener.do_send(Show { task_id: self.id.clone(), view });
        }
    }

    /// Nobody could tell what becomes of it any more, so nothing may.
    fn give_up(&self, message: String, ctx: &mut Context<Self>) {
        tracing::error!(task = %self.id, message, "is given up");
        let ended = self.host.known.end_by_force(&self.id);
        ctx.spawn(ended.into_actor(self).map(|(), this, ctx| {
            this.report(RunState::Lost, message);
            ctx.stop();
        }));
    }
}

impl Actor for Runner {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        match Task::read(&self.id, &self.host, &ctx.address()) {
            Ok(Some(task)) => {
                let has_begun = !matches!(task.run.stage(), Stage::Preparing | Stage::Over { .. });
                if let (Err(why), true) = (&task.team, has_begun) {
                    return self.give_up(why.clone(), ctx);
                }
                self.task = Some(task);
                self.wake_herd();
                self.enter(ctx);
            }
            Ok(None) => ctx.stop(),
            Err(error) => {
                tracing::error!(task = %self.id, %error, "cannot be read back");
                self.give_up("Task checkpoint could not be read.".to_owned(), ctx);
            }
        }
    }
}

impl Handler<Happened> for Runner {
    type Result = ();

    fn handle(&mut self, Happened(events): Happened, ctx: &mut Self::Context) {
        self.happened(&events, ctx);
    }
}

impl Handler<Attended> for Runner {
    type Result = ();

    fn handle(&mut self, _: Attended, ctx: &mut Self::Context) {
        let Some(task) = &self.task else { return };
        let is_for_herd = |it: &&Effect| match it {
            Effect::Prepare | Effect::Term | Effect::Kill => true,
            Effect::Report { .. } | Effect::Tend(_) | Effect::Check | Effect::Farewell { .. } => {
                false
            }
        };
        let wanted: Vec<_> = task.asked.iter().filter(is_for_herd).cloned().collect();
        if task.run.is_over() {
            self.take_leave();
        }
        for effect in wanted {
            self.perform(effect, ctx);
        }
    }
}

impl Handler<Tended> for Runner {
    type Result = MessageResult<Tended>;

    fn handle(&mut self, _: Tended, _: &mut Self::Context) -> Self::Result {
        MessageResult(self.task.as_ref().map(Task::tended).unwrap_or_default())
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

impl Handler<Describe> for Runner {
    type Result = ();

    fn handle(&mut self, Describe(asker): Describe, _: &mut Self::Context) {
        // Without a task there is nothing to say, and the asker looks elsewhere.
        if let Some(task) = &self.task {
            asker.send(task.view(&self.id, &self.host.known)).ok();
        }
    }
}

impl Handler<Examined> for Runner {
    type Result = ();

    fn handle(&mut self, Examined(told): Examined, ctx: &mut Self::Context) {
        match told {
            Told::Healthy => self.happened(&[Event::Healthy], ctx),
            Told::Unhealthy { reason } => self.happened(&[Event::Unhealthy { reason }], ctx),
            Told::Seen(view) => {
                let Some(task) = &mut self.task else { return };
                if let Some(last) = view.last.last() {
                    let latency = Duration::from_millis(last.latency_ms);
                    self.host.known.metrics.checked(last.is_success, latency);
                }
                task.health = Some(view);
                self.show(ctx);
            }
        }
    }
}

/// Nobody watches this run any more, so it must not go on.
impl Handler<GaveUp<RunId>> for Runner {
    type Result = ();

    fn handle(&mut self, GaveUp { on, last_words }: GaveUp<RunId>, _: &mut Self::Context) {
        tracing::error!(task = %self.id, run = ?on, last_words, "nobody watches it any more");
        let Some(Task { team: Ok(team), .. }) = &self.task else { return };
        team.herd.do_send(To(self.id.clone(), Word::End(on)));
    }
}

/// Nobody has the line to its shepherd any more.
impl Handler<GaveUp<TaskId>> for Runner {
    type Result = ();

    fn handle(&mut self, GaveUp { last_words, .. }: GaveUp<TaskId>, ctx: &mut Self::Context) {
        self.give_up(format!("Its herd keeps crashing: {last_words}"), ctx);
    }
}
