//! One connection's conversation, from its greeting to its end.

use std::{collections::VecDeque, time::Duration};

use super::{Ask, Mail, Out, Receipt, Scheduler, Settled, ToSwitchboard, Word};
use crate::{
    ids::HostId,
    reconcile::{self, Correction},
    reports::{Acks, Arrival, Concern},
    task::{self, Effect, Task},
    view::View,
    wire::{Inventoried, Status, ToExecutor, ToScheduler},
};

pub(super) struct Session {
    link: u64,
    host: HostId,
    is_plugged: bool,
    /// Said before the switchboard knew of it.
    early: VecDeque<ToScheduler>,
    acks: Acks,
    lost: Vec<u64>,
}

#[derive(Clone, Debug)]
pub(in crate::simulation) enum ToSession {
    Heard(ToScheduler),
    Plugged,
    /// The host has a newer connection.
    Replaced,
    Obey(ToExecutor),
    Settled(u64, Settled),
    Retell,
    /// Nothing comes any more.
    Ended,
}

/// A report that an entity lost in a crash is told again after this.
const RETELL_AFTER: Duration = Duration::from_secs(1);

impl Scheduler {
    pub(super) fn session(&mut self, link: u64, word: ToSession, out: &mut Out) {
        let Some(session) = self.sessions.get_mut(&link) else {
            if let ToSession::Heard(ToScheduler::Hello(hello)) = word {
                self.sessions.insert(link, Session::new(link, hello.host.clone()));
                out.send(Mail::Switchboard(ToSwitchboard::PlugIn(link, hello)));
            }
            return;
        };
        match word {
            ToSession::Heard(message) if session.is_plugged => {
                session.hear(message, &self.view, out);
            }
            ToSession::Heard(message) => session.early.push_back(message),
            ToSession::Plugged => {
                session.is_plugged = true;
                for message in std::mem::take(&mut session.early) {
                    session.hear(message, &self.view, out);
                }
            }
            ToSession::Obey(order) => out.asks.push(Ask::Say(link, order)),
            ToSession::Settled(seq, how) => session.settle(seq, &how, out),
            ToSession::Retell => session.retell(&self.view, out),
            ToSession::Replaced | ToSession::Ended => {
                let host = session.host.clone();
                self.sessions.remove(&link);
                out.asks.push(Ask::HangUp(link));
                out.send(Mail::Switchboard(ToSwitchboard::Unplugged(host, link)));
            }
        }
    }
}

impl Session {
    fn new(link: u64, host: HostId) -> Self {
        let (early, acks, lost) = (VecDeque::new(), Acks::default(), Vec::new());
        Self { link, host, is_plugged: false, early, acks, lost }
    }

    fn hear(&mut self, message: ToScheduler, view: &View, out: &mut Out) {
        match message {
            ToScheduler::Inventory { tasks } => self.reconcile(&tasks, view, out),
            ToScheduler::Status(status) => match self.acks.arrived(&status) {
                Arrival::News => self.pass_on(status, view, out),
                Arrival::Repeated => {}
                Arrival::Settled => self.say(ToExecutor::Ack { seq: self.acks.acked() }, out),
            },
            ToScheduler::Hello(_)
            | ToScheduler::Processes { .. }
            | ToScheduler::Answer { .. }
            | ToScheduler::Renew { .. }
            | ToScheduler::Ping { .. }
            | ToScheduler::Unknown => {}
        }
    }

    fn reconcile(&self, reported: &[Inventoried], view: &View, out: &mut Out) {
        let there = view.hosts.get(&self.host).into_iter().flat_map(|it| &it.tasks);
        let believed = there.filter_map(|it| view.task_of(it));
        for correction in reconcile::compare(&self.host, believed, reported) {
            match correction {
                Correction::Tell { task, event } => {
                    out.send(Mail::Task(task, Word::Happened(event, None)));
                }
                Correction::Ask(effect) => self.perform(effect, view, out),
            }
        }
    }

    /// To the task that it is about.
    fn pass_on(&mut self, status: Status, view: &View, out: &mut Out) {
        let slot = view.task_of(&status.task);
        let stray = |slot: &Task| slot.stray(&self.host, &status.task_id, status.state);
        let nobody = || stray(&Task::unborn(status.task.clone()));
        if let Some(kill) = slot.map_or_else(nobody, stray) {
            self.perform(kill, view, out);
        }
        let is_here = slot.is_some_and(|it| it.is_run_on(&self.host, &status.task_id));
        match Concern::of(is_here, false, status.state) {
            Concern::Nobody => return self.settle(status.seq, &Settled::Committed, out),
            Concern::LeftAlone => return,
            Concern::Instance => {}
        }
        let Status { seq, task, attempt, state, message, .. } = status;
        let event = task::Event::Reported { attempt, state, message };
        let receipt = Receipt::Report { session: self.link, seq };
        out.send(Mail::Task(task, Word::Happened(event, Some(receipt))));
    }

    fn settle(&mut self, seq: u64, how: &Settled, out: &mut Out) {
        match how {
            Settled::Committed | Settled::Rejected(_) => {
                if let Some(seq) = self.acks.settled(seq) {
                    self.say(ToExecutor::Ack { seq }, out);
                }
            }
            Settled::Lost => {
                self.lost.push(seq);
                out.later(out.now() + RETELL_AFTER, Mail::Session(self.link, ToSession::Retell));
            }
        }
    }

    fn retell(&mut self, view: &View, out: &mut Out) {
        for seq in std::mem::take(&mut self.lost) {
            if let Some(status) = self.acks.unsettled(seq).cloned() {
                self.pass_on(status, view, out);
            }
        }
    }

    fn perform(&self, effect: Effect, view: &View, out: &mut Out) {
        if let Some((_, order)) = effect.order(view) {
            self.say(order, out);
        }
    }

    fn say(&self, message: ToExecutor, out: &mut Out) {
        out.asks.push(Ask::Say(self.link, message));
    }
}
