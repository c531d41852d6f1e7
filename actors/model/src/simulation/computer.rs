//! A host as the scheduler sees it from outside: what it says, and what really runs there.
//!
//! It keeps the same promises as a real agent: what it was told to launch stays launched whatever
//! happens to the agent, a report is kept until it is acknowledged, and orders may be repeated.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::{
    ids::{Attempt, HostId, TaskId, TaskKey},
    machine::Timestamp,
    resources::Attributes,
    wire::{Capacity, Hello, Inventoried, Launch, RunState, Status, ToScheduler},
};

/// One host of a simulated cluster.
#[derive(Clone, Debug)]
pub struct Computer {
    pub id: HostId,
    pub attributes: Attributes,
    pub capacity: Capacity,
    /// What it has and the scheduler has not settled yet.
    pub tasks: BTreeMap<TaskId, Held>,
    /// Whether its agent runs. What the agent has started runs on without it.
    pub(super) has_agent: bool,
    /// How often its agent was started.
    pub(super) life: u64,
    /// How often it was switched on.
    pub(super) boot: u64,
    /// Nothing comes through to it, or from it.
    pub(super) is_cut_off: bool,
    /// How often that has changed.
    pub(super) cuts: u64,
    pub(super) link: Option<u64>,
    /// The newest attempt of each slot, as long as the agent remembers. An instance that was
    /// forgotten and comes back is another slot.
    newest: BTreeMap<Box<str>, Attempt>,
    settled: BTreeSet<TaskId>,
    outbox: VecDeque<Status>,
    reports: u64,
    told: BTreeMap<TaskId, RunState>,
}

/// A run on a host.
#[derive(Clone, Debug)]
pub struct Held {
    pub launch: Launch,
    /// What has become of it, whether or not the agent knows.
    pub state: RunState,
    /// Since when it is so.
    pub since: Timestamp,
    known: RunState,
}

impl Held {
    /// Its processes are there.
    pub fn is_alive(&self) -> bool {
        !self.state.is_terminal()
    }
}

impl Computer {
    pub(super) fn new(id: HostId, attributes: Attributes, capacity: Capacity) -> Self {
        Self {
            id,
            attributes,
            capacity,
            tasks: BTreeMap::new(),
            has_agent: false,
            life: 0,
            boot: 0,
            is_cut_off: false,
            cuts: 0,
            link: None,
            newest: BTreeMap::new(),
            settled: BTreeSet::new(),
            outbox: VecDeque::new(),
            reports: 0,
            told: BTreeMap::new(),
        }
    }

    /// Everything that it has to say has been heard.
    pub fn is_heard(&self) -> bool {
        self.outbox.is_empty()
    }

    pub fn is_connected(&self) -> bool {
        self.link.is_some()
    }

    /// What a new connection begins with.
    pub(super) fn greeting(&self) -> Vec<ToScheduler> {
        let hello = Hello {
            attributes: self.attributes.clone(),
            capacity: self.capacity.clone(),
            ..Hello::of(self.id.clone(), "1")
        };
        let reports = self.outbox.iter().cloned().map(ToScheduler::Status);
        [ToScheduler::Hello(hello), self.inventory()].into_iter().chain(reports).collect()
    }

    pub(super) fn inventory(&self) -> ToScheduler {
        let item = |it: &Held| Inventoried {
            task: it.launch.task.clone(),
            attempt: it.launch.attempt,
            task_id: it.launch.task_id.clone(),
            state: it.known,
        };
        ToScheduler::Inventory { tasks: self.tasks.values().map(item).collect() }
    }

    /// Whether it is going to start this; what it has or had is not started again.
    pub(super) fn admit(&mut self, now: Timestamp, launch: Launch) -> bool {
        let id = launch.task_id.clone();
        let is_stale = self.newest.get(id.slot()).is_some_and(|&it| launch.attempt < it);
        if is_stale || self.settled.contains(&id) || self.tasks.contains_key(&id) {
            return false;
        }
        self.newest.insert(id.slot().into(), launch.attempt);
        let state = RunState::Starting;
        self.tasks.insert(id, Held { launch, state, since: now, known: state });
        true
    }

    /// It runs, and nobody has to be told.
    pub(super) fn have(&mut self, now: Timestamp, launch: Launch) {
        let (id, state) = (launch.task_id.clone(), RunState::Running);
        self.tasks.insert(id, Held { launch, state, since: now, known: state });
    }

    /// A run is like this now. The report, if there is an agent to make one.
    pub(super) fn become_so(
        &mut self,
        now: Timestamp,
        id: &TaskId,
        state: RunState,
    ) -> Option<Status> {
        let held = self.tasks.get_mut(id).filter(|it| it.is_alive())?;
        if held.state != state {
            (held.state, held.since) = (state, now);
        }
        self.report(now, id)
    }

    fn report(&mut self, now: Timestamp, id: &TaskId) -> Option<Status> {
        let held = self.tasks.get_mut(id).filter(|_| self.has_agent)?;
        held.known = held.state;
        if self.told.insert(id.clone(), held.state) == Some(held.state) {
            return None;
        }
        self.reports += 1;
        let status = Status {
            seq: self.reports,
            task: held.launch.task.clone(),
            attempt: held.launch.attempt,
            task_id: id.clone(),
            state: held.state,
            message: String::new(),
            at: now,
        };
        self.outbox.push_back(status.clone());
        Some(status)
    }

    /// The scheduler will not forget these any more. The runs whose ends are among them.
    pub(super) fn acknowledged(&mut self, seq: u64) -> Vec<(TaskKey, TaskId, RunState)> {
        let mut over = Vec::new();
        while let Some(status) = self.outbox.pop_front_if(|it| it.seq <= seq) {
            let Status { task, task_id: id, state, .. } = status;
            if state.is_terminal() && self.tasks.remove(&id).is_some() {
                self.told.remove(&id);
                self.settled.insert(id.clone());
                over.push((task, id, state));
            }
        }
        over
    }

    /// The agent begins anew, with what is on its disk and what it finds.
    pub(super) fn start_agent(&mut self, now: Timestamp) {
        (self.has_agent, self.life) = (true, self.life + 1);
        self.newest.clear();
        self.told.clear();
        for (id, held) in &self.tasks {
            let newest = self.newest.entry(id.slot().into()).or_default();
            *newest = held.launch.attempt.max(*newest);
        }
        for id in self.tasks.keys().cloned().collect::<Vec<_>>() {
            self.report(now, &id);
        }
    }

    pub(super) fn stop_agent(&mut self) {
        (self.has_agent, self.link) = (false, None);
    }

    /// Nothing that ran runs any more.
    pub(super) fn lose_power(&mut self, now: Timestamp) {
        self.stop_agent();
        self.boot += 1;
        for held in self.tasks.values_mut().filter(|it| it.is_alive()) {
            (held.state, held.since) = (RunState::Lost, now);
        }
    }

    /// Its disk is replaced by an empty one.
    pub(super) fn lose_disk(&mut self) {
        self.tasks.clear();
        self.settled.clear();
        self.outbox.clear();
        self.reports = 0;
    }
}
