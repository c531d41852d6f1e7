//! The read model: what the API and the pages show, folded from what was committed.
//!
//! Nobody asks an entity how it is. [`View::apply`] is told every transaction in order, before
//! anybody hears that it succeeded, so a reader sees at least what it has been told of.
//! Besides what is on disk it holds a few things that need not be: why instances are pending, how
//! processes are, which keys were given up on. Those come as [`Note`]s.
//!
//! A change costs what it changes, however large its job or host is, and leaves the same view as
//! folding the final records into an empty one would. The latter is how a scheduler starts, so a
//! book that drifted would be right again after a restart and wrong before it; a test compares.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use serde::{Deserialize, Serialize};

use self::moves::Moves;
use crate::{
    access::Accounts,
    config::TaskConfig,
    cron::Timetable,
    drain::Wait,
    host::{Contact, Host},
    ids::{Attempt, ConfigId, HostId, JobKey, TaskId, TaskKey, UpdateKey},
    instances::InstanceSet,
    job::Job,
    joining::{Removals, Tokens},
    machine::Timestamp,
    matching::{Making, Scheduling, VetoCount},
    quota::Quota,
    record::{Change, Committed, Record, RecordKey},
    resources::Resources,
    task::{Placement, Run, Status, Task},
    update::{InstanceEvent, Update},
    wire::ProcessView,
};

mod moves;
mod updating;

pub use moves::{Missed, Move, Stay};

#[derive(Clone, Debug, Default, PartialEq)]
pub struct View {
    /// The newest transaction in here.
    pub seq: u64,
    /// How often a scheduler has begun to lead.
    pub term: u64,
    pub jobs: BTreeMap<JobKey, JobView>,
    pub hosts: BTreeMap<HostId, HostView>,
    /// By role; a role without one may have nothing that counts.
    pub quotas: BTreeMap<String, Quota>,
    /// Who may join; `None` before that has been decided.
    pub tokens: Option<Tokens>,
    /// Machines that may not come back.
    pub removals: Removals,
    /// Those that have ended too, for a while.
    pub updates: BTreeMap<UpdateKey, UpdateView>,
    /// Whose the slots' current runs are, ended or not; older ones are in the store.
    pub slots: BTreeMap<TaskId, TaskKey>,
    pub accounts: Accounts,
    /// Entities that kept crashing and were left alone: their key, and what they said last.
    pub quarantined: BTreeMap<String, Quarantine>,
    moves: Moves,
    /// Whether revocable tasks take their memory, too, from what a host has beyond its capacity.
    revocable_ram: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub struct JobView {
    pub job: Job,
    pub configs: BTreeMap<ConfigId, Arc<TaskConfig>>,
    /// If it runs by the clock: when, and what.
    pub cron: Option<Timetable>,
    pub template: Option<Arc<TaskConfig>>,
    pub tasks: BTreeMap<u32, Task>,
    /// How many slots are in each state; slots without a run count nowhere.
    pub counts: BTreeMap<Status, u32>,
    /// How many runs that have not ended have each configuration.
    pub active_runs: BTreeMap<ConfigId, u32>,
    /// Instances that the job wants and that have not heard of it yet.
    pub unborn: InstanceSet,
    /// How many instances each host has, by the scheduler's book.
    pub placed: BTreeMap<HostId, u32>,
    /// How many runs are in the history.
    pub history: u32,
    pub pending: BTreeMap<u32, Arc<Pending>>,
    pub processes: BTreeMap<TaskId, Arc<Vec<ProcessView>>>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct UpdateView {
    pub update: Update,
    /// What happened to its instances, by lots.
    pub lots: BTreeMap<u32, Arc<[InstanceEvent]>>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct HostView {
    pub host: Host,
    /// What the runs that are placed there take, by the scheduler's book.
    pub used: Resources,
    /// What they take of what it offers beyond its capacity.
    pub revocable_used: Resources,
    pub ports_used: BTreeSet<u16>,
    pub tasks: BTreeSet<TaskKey>,
    pub heard_at: Timestamp,
    /// How far its clock was ahead of the scheduler's then, if it said. For people to see; nothing
    /// is decided by a host's clock.
    pub skew_ms: Option<i64>,
    /// While it is being drained: who is still there, and why.
    pub waits: Arc<Vec<Wait>>,
}

/// Why an instance is not placed: for each reason, how many hosts it rules out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Pending {
    pub since: Timestamp,
    pub hosts: usize,
    /// Most frequent first.
    pub vetoes: Vec<VetoCount>,
    /// The host that misses by least, and by what, in words.
    pub nearest: Option<(HostId, String)>,
    /// Places that are being made for those who wait for this reason. These hosts are not among
    /// the others.
    pub making: Vec<Making>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Quarantine {
    pub since: Timestamp,
    pub reason: String,
}

/// News that need not outlive the scheduler.
#[derive(Clone, Debug, PartialEq)]
pub enum Note {
    Pending {
        job: JobKey,
        instances: InstanceSet,
        why: Arc<Pending>,
    },
    Processes {
        task: TaskKey,
        id: TaskId,
        processes: Arc<Vec<ProcessView>>,
    },
    Heard {
        host: HostId,
        at: Timestamp,
        skew_ms: Option<i64>,
    },
    /// Who is still on a host that is being drained.
    Waits {
        host: HostId,
        waits: Arc<Vec<Wait>>,
    },
    Quarantined {
        key: String,
        why: Quarantine,
    },
    /// Whoever was left alone is tried again.
    Pardoned,
}

impl View {
    /// An empty one, for a scheduler that places things like this.
    pub fn of(scheduling: &Scheduling) -> Self {
        Self { revocable_ram: scheduling.revocable_ram, ..Self::default() }
    }

    pub fn apply(&mut self, committed: &Committed) {
        self.seq = committed.seq;
        for Change { key, record } in &committed.changes {
            self.change(key, record.as_ref());
        }
    }

    fn change(&mut self, key: &RecordKey, record: Option<&Record>) {
        match (key, record) {
            (RecordKey::Job(key), Some(Record::Job(job))) => self.job(key).demand(job.clone()),
            (RecordKey::Job(key), None) => self.job(key).demand(Job::unborn(key.clone())),
            (RecordKey::Config(key, id), Some(Record::Config(config))) => {
                self.job(key).configs.insert(*id, config.clone());
            }
            (RecordKey::Config(key, id), None) => {
                self.job(key).configs.remove(id);
            }
            (RecordKey::Task(key), Some(Record::Task(task))) => self.task(key, Some(task)),
            (RecordKey::Task(key), None) => self.task(key, None),
            (RecordKey::History(key, _), Some(Record::History(_))) => {
                self.job(&key.job).history += 1;
            }
            (RecordKey::History(key, _), None) => {
                let job = self.job(&key.job);
                job.history = job.history.saturating_sub(1);
            }
            (RecordKey::Host(id), Some(Record::Host(host))) => {
                self.host(id).describe(host);
                self.moves.add(Move::Host(Arc::new(host.clone())));
            }
            (RecordKey::Host(id), None) => {
                if let Some(host) = self.hosts.get_mut(id) {
                    host.host = Host::unknown(id.clone());
                }
                self.forget_host(id);
                self.moves.add(Move::Gone(id.clone()));
            }
            (RecordKey::Quota(role), Some(Record::Quota(quota))) => {
                self.quotas.insert(role.clone(), quota.clone());
            }
            (RecordKey::Quota(role), None) => {
                self.quotas.remove(role);
            }
            (RecordKey::Update(_) | RecordKey::UpdateEvents(..), record) => {
                updating::change(&mut self.updates, key, record);
            }
            // They are many, and read from the store by those few who want them.
            (RecordKey::Notice(_), None | Some(Record::Notice(_)))
            | (RecordKey::Audit(_), None | Some(Record::Audit(_))) => {}
            (RecordKey::Cron(key), Some(Record::Cron(timetable))) => {
                self.job(key).cron = Some(timetable.clone());
            }
            (RecordKey::Cron(key), None) => self.job(key).cron = None,
            (RecordKey::Template(key), Some(Record::Template(config))) => {
                self.job(key).template = Some(config.clone());
            }
            (RecordKey::Template(key), None) => self.job(key).template = None,
            (RecordKey::Term, Some(Record::Term(term))) => self.term = *term,
            (RecordKey::Term, None) => self.term = 0,
            (RecordKey::Tokens, None) => self.tokens = None,
            (RecordKey::Tokens, Some(Record::Tokens(tokens))) => {
                self.tokens = Some(tokens.clone());
            }
            (RecordKey::Removal(machine), Some(Record::Removal(removal))) => {
                self.removals.insert(machine.clone(), removal.clone());
            }
            (RecordKey::Removal(machine), None) => {
                self.removals.remove(machine);
            }
            (RecordKey::User(_) | RecordKey::Pass(_), record) => self.accounts.apply(key, record),
            (key, Some(record)) => unreachable!("{key} is no place for {record:?}"),
        }
        self.forget(key);
    }

    /// How many ended runs the store has of a job: they are not read when a scheduler starts.
    pub fn recall(&mut self, key: &JobKey, ended: u32) {
        self.job(key).history = ended;
    }

    pub fn note(&mut self, note: Note) {
        match note {
            Note::Pending { job, instances, why } => {
                let Some(job) = self.jobs.get_mut(&job) else { return };
                // It may have been placed while this was on its way.
                let waits =
                    |it: &u32| job.tasks.get(it).and_then(Task::status) == Some(Status::Pending);
                let waiting: Vec<_> = instances.iter().filter(waits).collect();
                job.pending.extend(waiting.into_iter().map(|it| (it, why.clone())));
            }
            Note::Processes { task, id, processes } => {
                let Some(job) = self.jobs.get_mut(&task.job) else { return };
                if job.tasks.get(&task.instance).is_some_and(|it| has_run(it, &id)) {
                    job.processes.insert(id, processes);
                }
            }
            Note::Heard { host, at, skew_ms } => {
                if let Some(host) = self.hosts.get_mut(&host) {
                    (host.heard_at, host.skew_ms) = (at, skew_ms);
                }
            }
            Note::Waits { host, waits } => {
                let host = self.hosts.get_mut(&host);
                if let Some(host) = host.filter(|it| it.host.mode.deadline().is_some()) {
                    host.waits = waits;
                }
            }
            Note::Quarantined { key, why } => {
                self.quarantined.insert(key, why);
            }
            Note::Pardoned => self.quarantined.clear(),
        }
    }

    /// Whose current run this is, and the slot as it is now.
    pub fn current(&self, id: &TaskId) -> Option<&Task> {
        let key = self.slots.get(id)?;
        self.task_of(key)
    }

    pub fn task_of(&self, key: &TaskKey) -> Option<&Task> {
        self.jobs.get(&key.job)?.tasks.get(&key.instance)
    }

    fn job(&mut self, key: &JobKey) -> &mut JobView {
        self.jobs.entry(key.clone()).or_insert_with(|| JobView::unborn(key.clone()))
    }

    fn host(&mut self, id: &HostId) -> &mut HostView {
        self.hosts.entry(id.clone()).or_insert_with(|| HostView::unknown(id.clone()))
    }

    /// A slot is now like this, or gone.
    fn task(&mut self, key: &TaskKey, after: Option<&Task>) {
        let job = self.job(&key.job);
        let before = match after {
            Some(task) => job.tasks.insert(key.instance, task.clone()),
            None => job.tasks.remove(&key.instance),
        };
        job.settle(key.instance, before.as_ref(), after);
        let before = before.as_ref().and_then(|it| it.run.as_ref());
        let after = after.and_then(|it| it.run.as_ref());
        self.place(key, before, after);
        if before.map(|it| &it.id) != after.map(|it| &it.id) {
            if let Some(run) = before {
                self.job(&key.job).processes.remove(&run.id);
                self.slots.remove(&run.id);
            }
            if let Some(run) = after {
                self.slots.insert(run.id.clone(), key.clone());
            }
        }
    }

    /// Where a slot's run is now, and where it was.
    fn place(&mut self, key: &TaskKey, before: Option<&Run>, after: Option<&Run>) {
        let (from, to) = (before.and_then(booking), after.and_then(booking));
        if from == to {
            return;
        }
        if let (Some(run), Some((config, at))) = (before, from) {
            self.release(key, config, at);
            if let Some(stay) = self.stay(key, run.attempt, config, at) {
                let returns = self.returns(key, run, after);
                self.moves.add(Move::Released(stay, returns));
            }
        }
        if let (Some(run), Some((config, at))) = (after, to) {
            self.take(key, config, at);
            if let Some(stay) = self.stay(key, run.attempt, config, at) {
                self.moves.add(Move::Taken(stay));
            }
        }
    }

    fn stay(
        &self,
        key: &TaskKey,
        attempt: Attempt,
        config: ConfigId,
        at: &Placement,
    ) -> Option<Stay> {
        let config = self.jobs.get(&key.job)?.configs.get(&config)?.clone();
        Some(Stay { task: key.clone(), attempt, config, at: at.clone() })
    }

    fn take(&mut self, key: &TaskKey, config: ConfigId, at: &Placement) {
        let (firm, revocable) = self.takes(key, config);
        *self.job(&key.job).placed.entry(at.host.clone()).or_default() += 1;
        let host = self.host(&at.host);
        host.used = host.used.plus(firm);
        host.revocable_used = host.revocable_used.plus(revocable);
        host.ports_used.extend(at.ports.values());
        host.tasks.insert(key.clone());
    }

    fn release(&mut self, key: &TaskKey, config: ConfigId, at: &Placement) {
        let (firm, revocable) = self.takes(key, config);
        count_down(&mut self.job(&key.job).placed, &at.host);
        let host = self.host(&at.host);
        host.used = host.used.saturating_sub(firm);
        host.revocable_used = host.revocable_used.saturating_sub(revocable);
        for port in at.ports.values() {
            host.ports_used.remove(port);
        }
        host.tasks.remove(key);
        self.forget_host(&at.host);
    }

    /// One without a record is here as long as something is placed there, by the scheduler's book.
    fn forget_host(&mut self, id: &HostId) {
        let is_nothing = |it: &HostView| !it.has_record() && it.tasks.is_empty();
        if self.hosts.get(id).is_some_and(is_nothing) {
            self.hosts.remove(id);
        }
    }

    /// Of a host's capacity, and of what the host offers beyond it.
    fn takes(&self, key: &TaskKey, config: ConfigId) -> (Resources, Resources) {
        let config = self.jobs.get(&key.job).and_then(|it| it.configs.get(&config));
        config.map_or_else(Default::default, |it| it.takes(self.revocable_ram))
    }

    /// What `key` was about may have nothing left to show.
    fn forget(&mut self, key: &RecordKey) {
        let (RecordKey::Job(job)
        | RecordKey::Config(job, _)
        | RecordKey::Cron(job)
        | RecordKey::Template(job)
        | RecordKey::Task(TaskKey { job, .. })
        | RecordKey::History(TaskKey { job, .. }, _)) = key
        else {
            return;
        };
        if self.jobs.get(job).is_some_and(JobView::is_empty) {
            self.jobs.remove(job);
        }
    }
}

impl JobView {
    fn unborn(key: JobKey) -> Self {
        Self {
            job: Job::unborn(key),
            configs: BTreeMap::new(),
            cron: None,
            template: None,
            tasks: BTreeMap::new(),
            counts: BTreeMap::new(),
            active_runs: BTreeMap::new(),
            unborn: InstanceSet::default(),
            placed: BTreeMap::new(),
            history: 0,
            pending: BTreeMap::new(),
            processes: BTreeMap::new(),
        }
    }

    /// Whether there is anything left to run or to end. Such a job cannot be created again.
    pub fn is_active(&self) -> bool {
        self.active_count() > 0
    }

    /// How many instances are there or about to be.
    pub fn active_count(&self) -> u64 {
        let runs = self.counts.iter().filter(|(status, _)| status.is_active());
        self.unborn.len() + runs.map(|(_, &count)| u64::from(count)).sum::<u64>()
    }

    /// The same, by their configurations. An instance that is there and about to be another counts
    /// as both.
    pub fn active_by_config(&self) -> BTreeMap<ConfigId, u64> {
        let mut active: BTreeMap<_, _> =
            self.active_runs.iter().map(|(config, &count)| (*config, u64::from(count))).collect();
        for wanted in &self.job.wanted {
            let unborn = wanted.instances.intersection(&self.unborn).len();
            if unborn > 0 {
                *active.entry(wanted.config).or_default() += unborn;
            }
        }
        active
    }

    /// Which instances are there or about to be. Looks at all of them.
    pub fn active(&self) -> InstanceSet {
        let runs = self.tasks.values().filter(|it| it.is_active());
        runs.map(|it| it.key.instance).collect::<InstanceSet>().union(&self.unborn)
    }

    fn is_empty(&self) -> bool {
        self.job.generation == 0
            && self.configs.is_empty()
            && self.tasks.is_empty()
            && self.history == 0
            && self.cron.is_none()
            && self.template.is_none()
    }

    fn demand(&mut self, job: Job) {
        let news = job.wanted.iter().map(|it| it.news(&self.job.wanted));
        let news = news.fold(InstanceSet::default(), |all, it| all.union(&it));
        // An update wants many to be another that are there: they are not about to be.
        let is_there = |it: &u32| self.tasks.get(it).is_some_and(Task::is_active);
        let news = news.iter().filter(|it| !is_there(it)).collect();
        self.unborn = self.unborn.union(&news).intersection(&job.all_wanted());
        self.job = job;
    }

    /// What is counted of a slot, when it changes.
    fn settle(&mut self, instance: u32, before: Option<&Task>, after: Option<&Task>) {
        let (from, to) = (before.and_then(Task::status), after.and_then(Task::status));
        if from != to {
            if let Some(status) = from {
                count_down(&mut self.counts, &status);
            }
            if let Some(status) = to {
                *self.counts.entry(status).or_default() += 1;
            }
        }
        if to != Some(Status::Pending) {
            self.pending.remove(&instance);
        }
        let (from, to) = (before.and_then(active_run), after.and_then(active_run));
        if from != to {
            if let Some(config) = from {
                count_down(&mut self.active_runs, &config);
            }
            if let Some(config) = to {
                *self.active_runs.entry(config).or_default() += 1;
            }
        }
        let wanted = self.job.wanted.iter().find(|it| it.instances.contains(instance));
        if let Some(wanted) = wanted {
            let met = |it: &Task| it.is_active() || wanted.generation <= it.generation;
            let met = after.is_some_and(met);
            if met == self.unborn.contains(instance) {
                let one = InstanceSet::range(instance, instance);
                self.unborn =
                    if met { self.unborn.difference(&one) } else { self.unborn.union(&one) };
            }
        }
    }
}

impl HostView {
    fn unknown(id: HostId) -> Self {
        Self {
            host: Host::unknown(id),
            used: Resources::default(),
            revocable_used: Resources::default(),
            ports_used: BTreeSet::new(),
            tasks: BTreeSet::new(),
            heard_at: Timestamp::default(),
            skew_ms: None,
            waits: Arc::default(),
        }
    }

    fn describe(&mut self, host: &Host) {
        if host.mode.deadline().is_none() {
            self.waits = Arc::default();
        }
        self.host.clone_from(host);
    }

    /// Whether it is part of the cluster, and not only where something is placed.
    pub fn has_record(&self) -> bool {
        self.host.contact != Contact::Unknown || self.host != Host::unknown(self.host.id.clone())
    }

    /// What can still be given out; nothing if the host has shrunk below what runs there.
    pub fn free(&self) -> Resources {
        self.host.capacity.resources.saturating_sub(self.used)
    }
}

fn has_run(task: &Task, id: &TaskId) -> bool {
    task.run.as_ref().is_some_and(|run| run.id == *id)
}

/// What a run takes of a host, and of which: everything from its placement to its end, whatever
/// the host says in between.
fn booking(run: &Run) -> Option<(ConfigId, &Placement)> {
    let at = run.state.placement().filter(|_| run.state.status().is_active())?;
    Some((run.config, at))
}

/// The configuration of a slot's run, unless that has ended.
fn active_run(task: &Task) -> Option<ConfigId> {
    task.run.as_ref().filter(|it| it.state.status().is_active()).map(|it| it.config)
}

fn count_down<K: Ord>(counts: &mut BTreeMap<K, u32>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(key);
        }
    }
}

#[cfg(test)]
mod tests;
