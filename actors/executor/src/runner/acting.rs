//! What a runner does, and through whom.

use std::sync::Arc;

use actix::prelude::*;
use airglow_kit::{Supervisor, To, ToEach, Wake};
use airglow_model::{
    conduct::Check,
    ids::TaskId,
    run::{Effect, Event, RunId, Stage},
};

use tokio::sync::oneshot;

use super::{Examined, Happened, Runner, Task, Team};
use crate::{
    checkup::{Checkup, Shell},
    farewell,
    herd::{Herd, Leave, Look, Word},
};

/// As long as there is such a file in its sandbox, the task is healthy.
const SNOOZE: &str = ".healthchecksnooze";

/// Has commands run by the task's shepherd, and ended when nobody waits for them any more.
fn shell(id: &TaskId, herd: &Addr<Supervisor<Herd, TaskId>>) -> Shell {
    let (id, herd) = (id.clone(), herd.clone());
    Arc::new(move |cmdline, _| {
        let (answer, seen) = oneshot::channel();
        herd.do_send(To(id.clone(), Word::Look(Look { cmdline, answer })));
        Box::pin(async move { seen.await.unwrap_or_else(|_| Err("nobody looked".to_owned())) })
    })
}

impl Runner {
    pub(super) fn perform(&mut self, effect: Effect, ctx: &mut Context<Self>) {
        let Some(task) = &self.task else { return };
        match (effect, &task.team) {
            (Effect::Report { state, message }, _) => self.report(state, message),
            (Effect::Prepare, Ok(team)) => self.tell_herd(team, Word::Prepare),
            (Effect::Prepare, Err(why)) => {
                ctx.notify(Happened(vec![Event::NotPrepared { why: why.clone() }]));
            }
            (Effect::Tend(id), Ok(team)) => team.processes.do_send(Wake(id)),
            (Effect::Check, Ok(_)) => self.examine(ctx),
            (Effect::Farewell { step }, _) => self.say_farewell(step, ctx),
            (Effect::Term, Ok(team)) => self.tell_herd(team, Word::Term(task.tended())),
            (Effect::Kill, Ok(team)) => self.tell_herd(team, Word::Kill(task.tended())),
            (effect, Err(_)) => tracing::error!(task = %self.id, ?effect, "without a sandbox"),
        }
    }

    fn examine(&mut self, ctx: &mut Context<Self>) {
        if let Some(task) = &mut self.task {
            task.be_examined(&self.id, ctx);
        }
    }

    fn say_farewell(&self, step: usize, ctx: &mut Context<Self>) {
        let farewells = self.task.as_ref().map(|it| it.outline.conduct.farewells.clone());
        let Some(farewell) = farewells.and_then(|it| it.get(step).cloned()) else { return };
        let said = async move { farewell::say(&farewell).await };
        ctx.spawn(said.into_actor(self).map(move |answered, this, ctx| {
            this.happened(&[Event::FarewellSaid { step, answered }], ctx);
        }));
    }

    /// Its shepherd may be there even if nothing is to be asked of it now.
    pub(super) fn wake_herd(&self) {
        if let Some(Task { team: Ok(team), .. }) = &self.task {
            team.herd.do_send(Wake(self.id.clone()));
        }
    }

    /// Nobody is woken for it: a herd that has left would find a dead shepherd to see to.
    pub(super) fn take_leave(&self) {
        if let Some(Task { team: Ok(team), .. }) = &self.task {
            team.herd.do_send(ToEach {
                keys: Box::new(std::iter::once(self.id.clone())),
                message: Leave,
                wakes: Box::new(|_| false),
            });
        }
    }

    fn tell_herd(&self, team: &Team, word: Word) {
        team.herd.do_send(To(self.id.clone(), word));
    }
}

impl Task {
    /// From when it has a place until it is over.
    pub(super) fn be_watched(&mut self) {
        let Ok(team) = &self.team else { return };
        let should_be = !matches!(self.run.stage(), Stage::Preparing | Stage::Over { .. });
        match (should_be, std::mem::replace(&mut self.is_watched, should_be)) {
            (true, false) => team.care.watch(),
            (false, true) => team.care.unwatch(),
            (true, true) | (false, false) => {}
        }
    }

    fn be_examined(&mut self, id: &TaskId, ctx: &mut Context<Runner>) {
        let (Ok(team), Some(check)) = (&self.team, &self.outline.conduct.check) else { return };
        let how = match check.how.bound(|it| team.care.sandbox.bind(it)) {
            Ok(how) => how,
            Err(reason) => return ctx.notify(Happened(vec![Event::Unhealthy { reason }])),
        };
        let runner = ctx.address().downgrade();
        let told = move |told| {
            if let Some(runner) = runner.upgrade() {
                runner.do_send(Examined(told));
            }
        };
        let snooze_file = team.care.sandbox.path().join(SNOOZE);
        let check = Check { how, pace: check.pace };
        let is_resumed = self.run.has_been_healthy();
        let shell = shell(id, &team.herd);
        self.appointment = Some(Checkup::start(check, is_resumed, snooze_file, shell, told));
    }

    /// Runs that are to be tended.
    pub(super) fn tended(&self) -> Vec<RunId> {
        let run = |it: &Effect| if let Effect::Tend(id) = it { Some(id.clone()) } else { None };
        self.asked.iter().filter_map(run).collect()
    }
}
