//! What must hold at every moment, and what must hold in the end.

use std::collections::{BTreeMap, BTreeSet};

use airglow_model::{
    config::{DEDICATED, TaskConfig},
    host::{Contact, Host, Mode},
    ids::{ConfigId, HostId, JobKey, TaskId, TaskKey},
    job::Job,
    machine::{Machine, Timestamp},
    record::{Change, Record, RecordKey},
    resources::{Constraint, Demand, Resources},
    simulation::{News, World},
    task::{Placement, Run, Status, Task},
    wire::RunState,
};

use crate::{
    giving_way::{Runs, WAITING_MAX_MS, gives_way, is_settled},
    sla::Surprises,
};

/// What was broken, in words.
pub(crate) type Verdict = Result<(), String>;

/// Reads everything that happens and keeps books of its own.
#[derive(Default)]
pub(crate) struct Auditor {
    tasks: BTreeMap<TaskKey, Task>,
    ended: BTreeMap<TaskId, Status>,
    jobs: BTreeMap<JobKey, Job>,
    quotas: BTreeMap<String, Resources>,
    surprises: Surprises,
    hosts: BTreeMap<HostId, Host>,
    configs: BTreeMap<(JobKey, ConfigId), std::sync::Arc<TaskConfig>>,
    there: BTreeMap<HostId, BTreeSet<TaskKey>>,
    /// When something of a host, or a job, was last given up.
    released: (BTreeMap<HostId, Timestamp>, BTreeMap<JobKey, Timestamp>),
    /// When something of a host had to give way: what becomes free there is kept for a while.
    preempted: BTreeMap<HostId, Timestamp>,
    runs: Runs,
}

/// How long a run may take from one state to the next when nothing goes wrong.
const SOON_MS: u64 = 2 * 60_000;

/// What has become free may be free for so long before somebody takes it.
const JUST_MS: u64 = 2000;

/// A place that was made for somebody is kept for as long as preemption usually does.
const KEPT_MS: u64 = 3 * 60_000 + JUST_MS;

impl Auditor {
    pub(crate) fn watch(&mut self, world: &mut World) -> Verdict {
        for news in world.take_news() {
            self.hear(world, news)?;
        }
        Ok(())
    }

    pub(crate) fn hear(&mut self, world: &World, news: News) -> Verdict {
        match news {
            News::Committed(change) => self.committed(world, *change),
            News::Launched { host, task, id } => self.launched(world, &host, &task, &id),
            News::Settled { id, state, .. } => self.settled(&id, state),
            News::Answered { .. } => Ok(()),
        }
    }

    fn committed(&mut self, world: &World, Change { key, record }: Change) -> Verdict {
        match (key, record) {
            (RecordKey::Config(job, id), Some(Record::Config(config))) => {
                self.configs.insert((job, id), config);
            }
            (RecordKey::Job(key), Some(Record::Job(job))) => {
                let role = key.role.clone();
                self.surprises.changed(world.now(), &key);
                self.jobs.insert(key, job);
                self.within_quota(&role)?;
            }
            (RecordKey::Job(key), None) => _ = self.jobs.remove(&key),
            (RecordKey::Quota(role), Some(Record::Quota(quota))) => {
                self.quotas.insert(role.clone(), quota.limit);
                self.within_quota(&role)?;
            }
            (RecordKey::Host(id), Some(Record::Host(host))) => _ = self.hosts.insert(id, host),
            (RecordKey::History(_, id), Some(Record::History(run))) => {
                self.ended.insert(id, run.state.status());
                over_is_over(world, &run)?;
            }
            (RecordKey::Task(key), Some(Record::Task(task))) => {
                let before = self.tasks.get(&key).and_then(Task::status);
                self.book(world.now(), &key, Some(task.clone()));
                self.watch_sla(world.now(), before, &task)?;
                self.within_quota(&key.job.role)?;
                if let Some(run) = &task.run {
                    over_is_over(world, run)?;
                    self.runs.saw(&task, run);
                    let is_new = before != Some(Status::Preempting);
                    if is_new && run.state.status() == Status::Preempting {
                        self.gave_way(&task, run)?;
                    }
                    if run.state.status() == Status::Assigned {
                        self.assigned(&task, run)?;
                    }
                }
            }
            (RecordKey::Task(key), None) => {
                let run = self.tasks.get(&key).and_then(|it| it.run.as_ref());
                let fate = run.map(|it| (it.id.clone(), it.state.status()));
                self.ended.extend(fate);
                self.book(world.now(), &key, None);
            }
            (_, _) => {}
        }
        Ok(())
    }

    fn book(&mut self, now: Timestamp, key: &TaskKey, task: Option<Task>) {
        if let Some(host) = self.tasks.get(key).and_then(|it| placed(it)).map(|it| it.host.clone())
        {
            self.released.0.insert(host.clone(), now);
            self.released.1.insert(key.job.clone(), now);
            self.there.entry(host).or_default().remove(key);
        }
        if let Some(host) = task.as_ref().and_then(placed).map(|it| it.host.clone()) {
            if task.as_ref().and_then(Task::status) == Some(Status::Preempting) {
                self.preempted.insert(host.clone(), now);
            }
            self.there.entry(host).or_default().insert(key.clone());
        }
        match task {
            Some(task) => _ = self.tasks.insert(key.clone(), task),
            None => _ = self.tasks.remove(key),
        }
    }

    fn config(&self, task: &Task) -> Option<&TaskConfig> {
        let run = task.run.as_ref()?;
        self.configs.get(&(task.key.job.clone(), run.config)).map(|it| &**it)
    }

    /// Nobody gives way to whom it need not.
    fn gave_way(&self, task: &Task, run: &Run) -> Verdict {
        let its = self.config(task).ok_or(format!("{} has no configuration", run.id))?;
        self.runs.may_give_way((run, its), |it| self.configs.get(it).map(|it| &**it))
    }

    /// Nobody is let go from a host that is drained without enough others, unless time is up.
    fn watch_sla(&mut self, now: Timestamp, before: Option<Status>, task: &Task) -> Verdict {
        let after = task.status();
        if before == Some(Status::Running) && after != Some(Status::Running) {
            if after == Some(Status::Draining) {
                self.check_sla(now, task)?;
            } else {
                self.surprises.hurt(now, &task.key.job);
            }
        }
        Ok(())
    }

    fn check_sla(&self, now: Timestamp, task: &Task) -> Verdict {
        let host = placed(task).and_then(|it| self.hosts.get(&it.host));
        let Some((host, config)) = host.zip(self.config(task)) else { return Ok(()) };
        let Mode::Draining { request, since } = &host.mode else { return Ok(()) };
        // It may have been let go by what was asked before.
        let is_new = now.0 < since.0 + JUST_MS;
        if is_new
            || host.mode.deadline().is_none_or(|it| it <= now)
            || !config.class.is_production()
        {
            return Ok(());
        }
        let policy = config.spec.sla_policy.as_ref().unwrap_or(&request.policy);
        let of_job = |it: &&Task| it.key.job == task.key.job && it.key != task.key;
        let others = self.tasks.values().filter(of_job);
        let active = 1 + others.clone().filter(|it| it.is_active()).count();
        let unborn = self.jobs.get(&task.key.job).map_or(0, |it| self.unborn(it).count() as u64);
        if (active as u64) + unborn < crate::LARGE {
            return Ok(());
        }
        self.surprises.let_go(now, (task, policy), others, unborn)
    }

    /// What a job wants and nobody has heard of yet, and with which configuration.
    fn unborn<'a>(&'a self, job: &'a Job) -> impl Iterator<Item = ConfigId> + 'a {
        job.wanted.iter().flat_map(move |demand| {
            let is_unmet = move |it: &u32| {
                let task = self.tasks.get(&job.key.task(*it));
                task.is_none_or(|it| it.generation < demand.generation && !it.is_active())
            };
            demand.instances.iter().filter(is_unmet).map(move |_| demand.config)
        })
    }

    /// What a role was promised of what others give way to is no more than it may have.
    fn within_quota(&self, role: &str) -> Verdict {
        let Some(&limit) = self.quotas.get(role) else { return Ok(()) };
        let shape = |job: &JobKey, id| self.configs.get(&(job.clone(), id));
        let jobs = self.jobs.values().filter(|it| it.key.role == role);
        let unborn = jobs.flat_map(|job| self.unborn(job).map(|it| shape(&job.key, it)));
        let active = self.tasks.values().filter(|it| it.key.job.role == role && it.is_active());
        let active =
            active.map(|it| it.run.as_ref().and_then(|run| shape(&it.key.job, run.config)));
        let counts =
            |it: &&std::sync::Arc<TaskConfig>| it.class.is_production() && !it.is_dedicated();
        let all = unborn.chain(active).flatten().filter(counts);
        let used = all.fold(Resources::default(), |sum, it| sum.plus(it.resources));
        let used = Resources { gpus: 0, ..used };
        if used == fitting(used, limit) {
            return Ok(());
        }
        Err(format!("{role} has {used:?}, and may have {limit:?}"))
    }

    /// What is placed on a host: how much of it, and which ports.
    fn taken(&self, host: &HostId) -> (Resources, Vec<u16>) {
        let there = self.there.get(host).into_iter().flatten().filter_map(|it| self.tasks.get(it));
        let mut taken = (Resources::default(), Vec::new());
        for task in there {
            let needs = self.config(task).map(|it| it.resources).unwrap_or_default();
            taken.0 = taken.0.plus(needs);
            taken.1.extend(placed(task).into_iter().flat_map(|it| it.ports.values().copied()));
        }
        taken
    }

    /// Where it was put there is room for it, and it may be there.
    fn assigned(&self, task: &Task, run: &Run) -> Verdict {
        let (Some(at), Some(config)) = (placed(task), self.config(task)) else {
            return Err(format!("{} is nowhere", run.id));
        };
        let host = self.hosts.get(&at.host).ok_or(format!("{} is on no host", run.id))?;
        let (taken, mut ports) = self.taken(&at.host);
        if taken != fitting(taken, host.capacity.resources) {
            return Err(format!("{} has given out more than it has: {taken:?}", at.host));
        }
        let all = ports.len();
        ports.sort_unstable();
        ports.dedup();
        if ports.len() != all || config.ports.len() != at.ports.len() {
            return Err(format!("{} has given out a port twice, or too few", at.host));
        }
        match self.refusal(config, host, 1) {
            Some(why) => Err(format!("{} may not be on {}: {why}", run.id, at.host)),
            None => Ok(()),
        }
    }

    /// What speaks against the host; `own`: how many of those counted there are the task itself.
    fn refusal(&self, config: &TaskConfig, host: &Host, own: u32) -> Option<String> {
        if host.attributes.contains_key(DEDICATED) && !config.is_dedicated() {
            return Some("it is dedicated".into());
        }
        let unmet = |it: &&Constraint| match (&it.demand, host.attributes.get(&it.attribute)) {
            (Demand::Value { negated, values }, has) => {
                has.is_some_and(|has| !has.is_disjoint(values)) == *negated
            }
            (Demand::Limit(_), None) => true,
            (Demand::Limit(limit), Some(has)) => has
                .iter()
                .any(|value| *limit + own <= self.crowd(&config.job, &it.attribute, value)),
        };
        config.constraints.iter().find(unmet).map(|it| format!("{it:?}"))
    }

    /// How many of a job are where an attribute has a value.
    fn crowd(&self, job: &JobKey, attribute: &str, value: &str) -> u32 {
        let there = |task: &&Task| {
            let host = placed(task).and_then(|it| self.hosts.get(&it.host));
            let has = host.and_then(|it| it.attributes.get(attribute));
            task.key.job == *job && has.is_some_and(|it| it.contains(value))
        };
        u32::try_from(self.tasks.values().filter(there).count()).unwrap()
    }

    /// Two runs of one instance are never both meant to be: all but one were given up.
    fn launched(&self, world: &World, host: &HostId, task: &TaskKey, id: &TaskId) -> Verdict {
        let current = self.tasks.get(task).and_then(|it| it.run.as_ref());
        if current.is_none_or(|it| it.id != *id) && !self.ended.contains_key(id) {
            return Err(format!("{id} was launched on {host}, and nobody knows of it"));
        }
        for other in world.hosts().values() {
            for (run, held) in other.tasks.iter().filter(|(_, it)| it.launch.task == *task) {
                let is_given_up = self.fate(run) == Some(Status::Lost);
                let is_it = run == id && other.id == *host;
                if held.is_alive() && !is_it && !is_given_up && self.fate(id) != Some(Status::Lost)
                {
                    return Err(format!(
                        "{id} was launched on {host} while {run} runs on {}, and that is {:?}",
                        other.id,
                        self.fate(run)
                    ));
                }
            }
        }
        Ok(())
    }

    /// What the records say of a run.
    fn fate(&self, id: &TaskId) -> Option<Status> {
        let current = || {
            let mut runs = self.tasks.values().filter_map(|it| it.run.as_ref());
            runs.find(|it| it.id == *id).map(|it| it.state.status())
        };
        self.ended.get(id).copied().or_else(current)
    }

    /// A host may forget the end of a run only when the records have it.
    fn settled(&self, id: &TaskId, state: RunState) -> Verdict {
        let status = match state {
            RunState::Finished => Status::Finished,
            RunState::Failed => Status::Failed,
            RunState::Killed => Status::Killed,
            RunState::Lost | RunState::Starting | RunState::Running => Status::Lost,
        };
        match self.fate(id) {
            Some(fate) if fate == status || fate == Status::Lost => Ok(()),
            fate => Err(format!("{id} is {state:?}, was acknowledged, and is {fate:?} on disk")),
        }
    }

    /// When nothing has gone wrong for long: what should run does, and nothing else.
    pub(crate) fn rests(&self, world: &World) -> Verdict {
        let view = world.view().ok_or("there is no scheduler")?;
        let mut known = view.clone();
        known.jobs.values_mut().for_each(|it| it.pending.clear());
        if known != world.view_from_disk() {
            return Err("the view is not what the records say".into());
        }
        if let Some(job) = view.jobs.values().find(|it| !it.unborn.is_empty()) {
            return Err(format!("{} still wants {}", job.job.key, job.unborn));
        }
        for host in world.hosts().values() {
            for (id, held) in host.tasks.iter().filter(|(_, it)| it.is_alive()) {
                let slot = self.tasks.get(&held.launch.task);
                let run = slot.and_then(|it| it.run.as_ref()).filter(|it| it.id == *id);
                if !run.is_some_and(|it| it.state.status().is_active()) {
                    return Err(format!("{id} runs on {}, and nobody wants it", host.id));
                }
            }
        }
        let drains = |it: &&Host| matches!(it.mode, Mode::Draining { .. });
        if let Some(host) = self.hosts.values().find(drains) {
            return Err(format!("{} is still being drained", host.id));
        }
        self.tasks.values().try_for_each(|it| self.task_rests(world, it))
    }

    fn task_rests(&self, world: &World, task: &Task) -> Verdict {
        let Some(run) = task.run.as_ref().filter(|it| it.state.status().is_active()) else {
            return Ok(());
        };
        let wanted = world.view().and_then(|it| it.jobs.get(&task.key.job));
        if !wanted.is_some_and(|it| it.job.all_wanted().contains(task.key.instance)) {
            return Err(format!("{} is {}, and unwanted", task.key, run.state.status()));
        }
        let since = run.events.last().map_or(Timestamp(0), |it| it.at);
        let is_new = world.now().0 < since.0 + SOON_MS;
        match run.state.status() {
            Status::Throttled => Ok(()),
            Status::Pending => {
                let config = self.config(task).ok_or("no configuration")?;
                let fits = self.hosts.values().find(|it| self.could_run(world, config, it));
                let is_old = since.0 + WAITING_MAX_MS < world.now().0;
                let yields = || self.hosts.values().find(|it| self.could_yield(world, config, it));
                match fits {
                    Some(host) if !is_new => {
                        Err(format!("{} waits, and {} would suit", task.key, host.id))
                    }
                    _ if is_old => yields().map_or(Ok(()), |host| {
                        let key = &task.key;
                        Err(format!("{key} waits, and others would have to leave {}", host.id))
                    }),
                    _ => Ok(()),
                }
            }
            Status::Running => {
                let host = placed(task).and_then(|it| world.hosts().get(&it.host));
                let held = host.and_then(|it| it.tasks.get(&run.id));
                let runs = held.is_some_and(|it| it.state == RunState::Running);
                let just_ended = held.is_some_and(|it| world.now().0 < it.since.0 + SOON_MS);
                let is_up = host.is_some_and(|it| it.is_connected());
                if runs && is_up || just_ended {
                    Ok(())
                } else {
                    Err(format!("{} should run, and does not: {held:?}", run.id))
                }
            }
            // Its job says that nobody else is to take its place.
            Status::Partitioned
                if run
                    .state
                    .placement()
                    .is_some_and(|it| !world.hosts()[&it.host].is_connected())
                    && task.deadline().is_none() =>
            {
                Ok(())
            }
            status @ (Status::Assigned
            | Status::Starting
            | Status::Killing
            | Status::Restarting
            | Status::Preempting
            | Status::Draining
            | Status::Partitioned
            | Status::Finished
            | Status::Failed
            | Status::Killed
            | Status::Lost) => {
                let why = || format!("{} has been {status} since {}", run.id, since.0);
                is_new.then_some(()).ok_or_else(why)
            }
        }
    }

    /// Whether it has been true for long that those who would have to leave for it are enough.
    fn could_yield(&self, world: &World, config: &TaskConfig, host: &Host) -> bool {
        let long_before = world.now().0.saturating_sub(WAITING_MAX_MS);
        let there = self.there.get(&host.id).into_iter().flatten();
        let there = there.filter_map(|it| self.tasks.get(it));
        let yields = there.filter(|it| is_settled(it, long_before));
        let yields = yields.filter(|it| self.config(it).is_some_and(|its| gives_way(its, config)));
        let (mut taken, mut ports) = self.taken(&host.id);
        for task in yields {
            let needs = self.config(task).map(|it| it.resources).unwrap_or_default();
            taken = taken.saturating_sub(needs);
            ports.truncate(ports.len() - placed(task).map_or(0, |it| it.ports.len()));
        }
        let at = self.released.0.get(&host.id).max(self.released.1.get(&config.job));
        let at = at.max(self.preempted.get(&host.id));
        at.is_none_or(|it| it.0 < long_before) && self.suits(world, config, host, (taken, ports))
    }

    fn could_run(&self, world: &World, config: &TaskConfig, host: &Host) -> bool {
        let at = self.released.0.get(&host.id).max(self.released.1.get(&config.job));
        let is_new = at.is_some_and(|it| world.now().0 < it.0 + JUST_MS);
        let kept = self.preempted.get(&host.id);
        let is_kept = kept.is_some_and(|it| world.now().0 < it.0 + KEPT_MS);
        !is_new && !is_kept && self.suits(world, config, host, self.taken(&host.id))
    }

    /// Whether it could be on the host if only this were taken there.
    fn suits(
        &self,
        world: &World,
        config: &TaskConfig,
        host: &Host,
        (taken, ports): (Resources, Vec<u16>),
    ) -> bool {
        let total = taken.plus(config.resources);
        let has: usize =
            host.capacity.ports.iter().map(|&(a, b)| usize::from(b) - usize::from(a) + 1).sum();
        matches!(host.contact, Contact::Up { .. })
            && world.hosts()[&host.id].is_connected()
            && matches!(host.mode, Mode::None | Mode::Scheduled { .. })
            && total == fitting(total, host.capacity.resources)
            && ports.len() + config.ports.len() <= has
            && self.refusal(config, host, 0).is_none()
    }
}

/// Whoever is recorded as ended by its own doing, or by a kill, has really ended.
fn over_is_over(world: &World, run: &Run) -> Verdict {
    let status = run.state.status();
    let host = run.state.placement().and_then(|it| world.hosts().get(&it.host));
    let held = host.and_then(|it| it.tasks.get(&run.id));
    let is_alive = held.is_some_and(airglow_model::simulation::Held::is_alive);
    let is_over = matches!(status, Status::Finished | Status::Failed | Status::Killed);
    if is_over && is_alive {
        return Err(format!("{} is {status}, and runs", run.id));
    }
    Ok(())
}

fn placed(task: &Task) -> Option<&Placement> {
    task.placement().filter(|_| task.is_active())
}

/// As much of the first as the second has.
fn fitting(wanted: Resources, has: Resources) -> Resources {
    wanted.saturating_sub(wanted.saturating_sub(has))
}
