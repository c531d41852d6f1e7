//! How what is said gets from one side to the other, or does not.

use std::time::Duration;

use super::{
    network::{Link, Parcel},
    scheduler::ToSession,
    world::{Due, SILENCE, World},
};
use crate::{ids::HostId, wire::ToExecutor};

/// How long an agent waits before it tries again.
const DIAL_MS: (u64, u64) = (100, 5000);

impl World {
    pub(super) fn say(&mut self, number: u64, parcel: Parcel) {
        let delay = Duration::from_millis(self.dice.between(self.setup.latency_ms));
        let Some(link) = self.links.get_mut(&number).filter(|it| !it.is_broken) else { return };
        let last = match &parcel {
            Parcel::Up(_) => &mut link.up_at,
            Parcel::Down(_) => &mut link.down_at,
        };
        *last = (*last).max(self.now + delay);
        self.calendar.enter(*last, Due::Parcel(number, parcel));
    }

    pub(super) fn arrive(&mut self, number: u64, parcel: Parcel) {
        let Some(link) = self.links.get_mut(&number) else { return };
        let arrives = match &parcel {
            Parcel::Up(_) => link.carries_up && link.scheduler_listens,
            Parcel::Down(_) => link.carries_down && link.agent_listens,
        };
        if !arrives {
            return;
        }
        let id = link.host.clone();
        if self.hosts.get(&id).is_some_and(|it| it.is_cut_off) {
            link.held.push_back(parcel);
            return;
        }
        match parcel {
            Parcel::Up(message) => self.hand_over(number, ToSession::Heard(message)),
            Parcel::Down(message) => self.obey(&id, message),
        }
    }

    fn obey(&mut self, id: &HostId, message: ToExecutor) {
        match message {
            ToExecutor::Launch(launch) => {
                self.tell(|| format!("{id} is asked to launch {}", launch.task_id));
                self.launch(id, *launch);
            }
            ToExecutor::Kill { task_id, reason } => {
                self.tell(|| format!("{id} is asked to kill {task_id}: {reason}"));
                self.kill(id, &task_id);
            }
            ToExecutor::Ack { seq } => self.acknowledged(id, seq),
            ToExecutor::Welcome(_)
            | ToExecutor::Elsewhere { .. }
            | ToExecutor::Refused { .. }
            | ToExecutor::Ask { .. }
            | ToExecutor::TakeStock
            | ToExecutor::Renewed { .. }
            | ToExecutor::Pong
            | ToExecutor::Unknown => {}
        }
    }

    pub(super) fn dial(&mut self, id: &HostId, life: u64) {
        let is_me =
            |it: &&mut super::Computer| it.has_agent && it.life == life && it.link.is_none();
        let Some(host) = self.hosts.get_mut(id).filter(is_me) else { return };
        if host.is_cut_off || self.scheduler.is_none() {
            return self.dial_later(id, life);
        }
        self.newest_link += 1;
        let number = self.newest_link;
        host.link = Some(number);
        let greeting = host.greeting();
        self.links.insert(number, Link::new(id.clone(), self.now));
        self.tell(|| format!("{id} connects"));
        for message in greeting {
            self.say(number, Parcel::Up(message));
        }
    }

    fn dial_later(&mut self, id: &HostId, life: u64) {
        let at = self.now + Duration::from_millis(self.dice.between(DIAL_MS));
        self.calendar.enter(at, Due::Dial(id.clone(), life));
    }

    /// Nothing goes into it any more, and what is on its way may be lost. Each side notices soon,
    /// or only by the silence; so a host can have a newer connection while words from this one
    /// still arrive.
    pub(super) fn break_link(&mut self, number: u64) {
        let Some(link) = self.links.get_mut(&number).filter(|it| !it.is_broken) else { return };
        link.is_broken = true;
        (link.carries_up, link.carries_down) = (self.dice.chance(50), self.dice.chance(50));
        let last_up = link.up_at;
        let mut notice = || {
            let soon = Duration::from_millis(self.dice.between((0, 200)));
            self.now + if self.dice.chance(80) { soon } else { SILENCE }
        };
        let (agent, scheduler) = (notice(), notice());
        self.calendar.enter(agent, Due::AgentNotices(number));
        self.calendar.enter(scheduler.max(last_up), Due::SchedulerNotices(number));
    }

    /// The scheduler ends a connection.
    pub(super) fn hang_up(&mut self, number: u64) {
        let Some(link) = self.links.get_mut(&number) else { return };
        link.scheduler_listens = false;
        self.break_link(number);
    }

    pub(super) fn agent_notices(&mut self, number: u64) {
        let Some(link) = self.links.get_mut(&number) else { return };
        link.agent_listens = false;
        link.is_broken = true;
        let id = link.host.clone();
        self.forget_link(number);
        if let Some(host) = self.hosts.get_mut(&id).filter(|it| it.link == Some(number)) {
            host.link = None;
            let life = host.life;
            self.dial_later(&id, life);
        }
    }

    pub(super) fn scheduler_notices(&mut self, number: u64) {
        let Some(link) = self.links.get_mut(&number) else { return };
        link.is_broken = true;
        if std::mem::replace(&mut link.scheduler_listens, false) {
            self.hand_over(number, ToSession::Ended);
        }
        self.forget_link(number);
    }

    fn forget_link(&mut self, number: u64) {
        if self.links.get(&number).is_some_and(Link::is_over) {
            self.links.remove(&number);
        }
    }

    /// Nothing comes through to a host, nor from it. Whoever hears nothing for long hangs up.
    pub(super) fn cut_off(&mut self, id: &HostId, how_long: Duration) {
        let Some(host) = self.hosts.get_mut(id).filter(|it| !it.is_cut_off) else { return };
        host.is_cut_off = true;
        host.cuts += 1;
        let cut = host.cuts;
        self.tell(|| format!("{id} is cut off for {how_long:?}"));
        self.calendar.enter(self.now + how_long, Due::NetworkHeals(id.clone(), cut));
        let links = self.links.iter().filter(|(_, it)| it.host == *id && !it.is_broken);
        for number in links.map(|(&number, _)| number).collect::<Vec<_>>() {
            if SILENCE < how_long {
                let mut notice = || {
                    let heard = Duration::from_millis(self.dice.between((0, 5000)));
                    self.now + SILENCE.saturating_sub(heard)
                };
                let (agent, scheduler) = (notice(), notice());
                self.calendar.enter(agent, Due::AgentNotices(number));
                self.calendar.enter(scheduler, Due::SchedulerNotices(number));
            }
        }
    }

    pub(super) fn heal(&mut self, id: &HostId, cut: u64) {
        let Some(host) = self.hosts.get_mut(id).filter(|it| it.is_cut_off && it.cuts == cut) else {
            return;
        };
        host.is_cut_off = false;
        self.tell(|| format!("{id} can be reached again"));
        let links = self.links.iter_mut().filter(|(_, it)| it.host == *id);
        let held: Vec<_> =
            links.map(|(&number, it)| (number, std::mem::take(&mut it.held))).collect();
        for (number, parcels) in held {
            parcels.into_iter().for_each(|it| self.arrive(number, it));
        }
    }
}
