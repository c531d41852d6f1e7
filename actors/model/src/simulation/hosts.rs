//! What goes on at the hosts: agents that start, and runs that begin, go on and end.

use std::time::Duration;

use super::{
    computer::Computer,
    network::Parcel,
    world::{Due, News, World},
};
use crate::{
    ids::{HostId, TaskId},
    resources::Attributes,
    wire::{Capacity, Launch, RunState, ToScheduler},
};

impl World {
    /// A host that starts now.
    pub(super) fn have_host(&mut self, id: HostId, attributes: Attributes, capacity: Capacity) {
        self.hosts.insert(id.clone(), Computer::new(id.clone(), attributes, capacity));
        self.calendar.enter(self.now, Due::AgentStarts(id));
    }

    /// A run that has been on a host for long.
    pub(super) fn have_run(&mut self, id: &HostId, launch: Launch) {
        if let Some(host) = self.hosts.get_mut(id) {
            host.have(self.now, launch);
        }
    }

    pub(super) fn start_agent(&mut self, id: &HostId) {
        let Some(host) = self.hosts.get_mut(id).filter(|it| !it.has_agent) else { return };
        host.start_agent(self.now);
        let life = host.life;
        self.calendar.enter(self.now, Due::Dial(id.clone(), life));
        if let Some(every) = self.setup.inventory_every {
            let more = self.dice.below(every.as_millis().try_into().unwrap_or(u64::MAX));
            let first = self.now + every + Duration::from_millis(more);
            self.calendar.enter(first, Due::Inventory(id.clone(), life));
        }
        self.tell(|| format!("{id}: its agent starts"));
    }

    pub(super) fn say_inventory(&mut self, id: &HostId, life: u64) {
        let Some(host) = self.hosts.get(id).filter(|it| it.has_agent && it.life == life) else {
            return;
        };
        if let Some(link) = host.link {
            let inventory = host.inventory();
            self.say(link, Parcel::Up(inventory));
        }
        if let Some(every) = self.setup.inventory_every {
            self.calendar.enter(self.now + every, Due::Inventory(id.clone(), life));
        }
    }

    pub(super) fn launch(&mut self, id: &HostId, launch: Launch) {
        let Some(host) = self.hosts.get_mut(id) else { return };
        let (task, run) = (launch.task.clone(), launch.task_id.clone());
        if !host.admit(self.now, launch) {
            return;
        }
        let boot = host.boot;
        let conduct = self.conducts.get(&task.job).cloned().unwrap_or_default();
        let starts = self.now + Duration::from_millis(self.dice.between((10, 500)));
        let runs = starts + Duration::from_millis(self.dice.between(conduct.starts_ms));
        let mut go_on = |at, state| {
            self.calendar.enter(at, Due::Run(id.clone(), boot, run.clone(), state));
        };
        go_on(starts, RunState::Starting);
        go_on(runs, RunState::Running);
        if let Some(lasts) = conduct.lasts_ms {
            let fails = self.dice.chance(conduct.fails_percent);
            let state = if fails { RunState::Failed } else { RunState::Finished };
            let ends = runs + Duration::from_millis(self.dice.between(lasts));
            self.calendar.enter(ends, Due::Run(id.clone(), boot, run.clone(), state));
        }
        self.news.push(News::Launched { host: id.clone(), task, id: run });
    }

    pub(super) fn kill(&mut self, id: &HostId, run: &TaskId) {
        let Some(host) = self.hosts.get(id) else { return };
        let Some(held) = host.tasks.get(run).filter(|it| it.is_alive()) else { return };
        let conduct = self.conducts.get(&held.launch.task.job).cloned().unwrap_or_default();
        let at = self.now + Duration::from_millis(self.dice.between(conduct.stops_ms));
        self.calendar.enter(at, Due::Run(id.clone(), host.boot, run.clone(), RunState::Killed));
    }

    pub(super) fn run_goes_on(&mut self, id: &HostId, boot: u64, run: &TaskId, state: RunState) {
        let Some(host) = self.hosts.get_mut(id).filter(|it| it.boot == boot) else { return };
        let status = host.become_so(self.now, run, state);
        let link = host.link;
        if let Some((link, status)) = link.zip(status) {
            self.say(link, Parcel::Up(ToScheduler::Status(status)));
        }
    }

    pub(super) fn acknowledged(&mut self, id: &HostId, seq: u64) {
        let Some(host) = self.hosts.get_mut(id) else { return };
        for (task, run, state) in host.acknowledged(seq) {
            self.news.push(News::Settled { host: id.clone(), task, id: run, state });
        }
    }
}
