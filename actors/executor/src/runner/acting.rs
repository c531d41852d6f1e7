//! What a runner does, and through whom.

use actix::prelude::*;
use airglow_kit::{To, Wake};
use airglow_model::run::{Effect, Event, RunId};

use super::{Happened, Runner, Task, Team};
use crate::herd::Word;

impl Runner {
    pub(super) fn perform(&self, effect: Effect, ctx: &mut Context<Self>) {
        let Some(task) = &self.task else { return };
        match (effect, &task.team) {
            (Effect::Report { state, message }, _) => self.report(state, message),
            (Effect::Prepare, Ok(team)) => self.tell_herd(team, Word::Prepare),
            (Effect::Prepare, Err(why)) => {
                ctx.notify(Happened(vec![Event::NotPrepared { why: why.clone() }]));
            }
            (Effect::Tend(id), Ok(team)) => team.processes.do_send(Wake(id)),
            (Effect::Check, Ok(_)) => {}
            (Effect::Farewell { step }, Ok(_)) => {
                ctx.notify(Happened(vec![Event::FarewellSaid { step, answered: false }]));
            }
            (Effect::Term, Ok(team)) => self.tell_herd(team, Word::Term(task.tended())),
            (Effect::Kill, Ok(team)) => self.tell_herd(team, Word::Kill(task.tended())),
            (effect, Err(_)) => tracing::error!(task = %self.id, ?effect, "without a sandbox"),
        }
    }

    /// Its shepherd may be there even if nothing is to be asked of it now.
    pub(super) fn wake_herd(&self) {
        if let Some(Task { team: Ok(team), .. }) = &self.task {
            team.herd.do_send(Wake(self.id.clone()));
        }
    }

    pub(super) fn take_leave(&self) {
        if let Some(Task { team: Ok(team), .. }) = &self.task {
            self.tell_herd(team, Word::Leave);
        }
    }

    fn tell_herd(&self, team: &Team, word: Word) {
        team.herd.do_send(To(self.id.clone(), word));
    }
}

impl Task {
    /// Runs that are to be tended.
    pub(super) fn tended(&self) -> Vec<RunId> {
        let run = |it: &Effect| if let Effect::Tend(id) = it { Some(id.clone()) } else { None };
        self.asked.iter().filter_map(run).collect()
    }
}
