//! What a herd tells of what it has read: the runner what happened, and whoever watches over a run
//! how far that is.

use actix::prelude::*;
use airglow_kit::now;
use airglow_model::{
    process::Exit,
    run::{Event, RunId},
};

use super::{Progress, Tending};
use crate::{
    order::Record,
    runner::{Happened, Runner},
};

impl Tending {
    pub(super) fn tell_records(&mut self, records: Vec<Record>) {
        let mut events = Vec::new();
        let has_changed = !records.is_empty();
        let is_anything_gone = records.contains(&Record::Gone);
        for record in records {
            match record {
                Record::Started { id, main, at } => {
                    self.progressed(&id, Progress::Started);
                    events.push(Event::Started { id, pid: main.pid, at });
                }
                Record::Ended { id, at, exit, leftover } => {
                    self.forget(&id);
                    events.push(Event::Ended { id, at, exit, leftover });
                }
                Record::OutOfMemory { .. } => {
                    events.push(Event::Exceeded { message: self.care.out_of_memory() });
                }
                Record::Gone | Record::Shepherd { .. } => {}
            }
        }
        // Of what is said again, only what is still true: others may have been left behind since.
        if is_anything_gone && !self.register.has_leftover {
            events.push(Event::Gone);
        }
        if has_changed {
            self.care.consists_of(&self.register);
        }
        if !events.is_empty() {
            self.tell_runner(Happened(events));
        }
    }

    pub(super) fn say_lost(&self, id: RunId, exit: &Exit) {
        self.tell(Event::Ended { id, at: now(), exit: exit.clone(), leftover: false });
    }

    /// Of a run that was never started, and never will be.
    pub(super) fn say_ended(&mut self, id: RunId, exit: Exit) {
        self.forget(&id);
        self.tell(Event::Ended { id, at: now(), exit, leftover: false });
    }

    pub(super) fn forget(&mut self, id: &RunId) {
        self.progressed(id, Progress::Ended);
        self.watchers.remove(id);
        self.ordered.remove(id);
        self.unwanted.remove(id);
    }

    pub(super) fn progressed(&self, id: &RunId, progress: Progress) {
        if let Some(watcher) = self.watchers.get(id) {
            watcher.send_replace(progress);
        }
    }

    pub(super) fn tell(&self, event: Event) {
        self.tell_runner(Happened(vec![event]));
    }

    pub(super) fn tell_runner<M>(&self, message: M)
    where
        M: Message + Send + 'static,
        M::Result: Send,
        Runner: Handler<M>,
    {
        if let Some(runner) = self.care.runner.upgrade() {
            runner.do_send(message);
        }
    }
}
