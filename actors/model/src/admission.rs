//! Who may change which jobs, and how much a role may have.
//!
//! An entity can only refuse what its own state forbids. What involves more than one entity (is
//! any instance of this job still there? may its role have so many?) is decided here, by looking at
//! the view. That is sound as long as requests for one *role* are dealt with one after the other,
//! each after the one before it is in the view.

use std::{collections::BTreeMap, fmt, sync::Arc};

use crate::{
    config::{self, Kind, TaskConfig},
    cron,
    ids::{HostId, JobKey, MachineId, UpdateId, UpdateKey},
    instances::InstanceSet,
    job,
    quota::{self, Balance, Claim, Part, Quota, Short},
    task, update,
    view::{JobView, View},
};

#[cfg(test)]
mod tests;
mod updates;

pub use updates::{Updated, draft as draft_update};

/// What is allowed of jobs.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    pub instances_max: u32,
    pub quota: quota::Rules,
}

/// What somebody wants of a job.
#[derive(Clone, Debug)]
pub enum Wish {
    Create {
        config: Arc<TaskConfig>,
        instances: u32,
        by: String,
    },
    Add {
        count: u32,
    },
    /// All that are active, if none are named.
    Kill {
        instances: Option<InstanceSet>,
        message: String,
    },
    Restart {
        instances: Option<InstanceSet>,
        message: String,
    },
    /// `count` instances of this configuration, by and by. If nothing has to change for that,
    /// nothing does.
    Update {
        config: Arc<TaskConfig>,
        count: u32,
        request: Box<update::Request>,
    },
    /// To run by the clock, or to go on by another one or with another template.
    Schedule(Box<cron::Order>),
    Deschedule,
    /// One run more than the clock wants, now.
    Start {
        by: String,
    },
}

/// What that comes to, and which instances are concerned.
#[derive(Clone, Debug, PartialEq)]
pub enum Admitted {
    Job(job::Event, InstanceSet),
    /// The job's record does not change: each of its instances looks after itself.
    Tasks(task::Event, InstanceSet),
    /// Everything is as it was wished already.
    Nothing,
    Cron(cron::Event),
}

/// Why not. Nothing was changed; of [`Refusal::Unknown`] this is not sure.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Refusal {
    JobExists(JobKey),
    NoSuchJob(JobKey),
    NoSuchHost(HostId),
    /// Something is placed there.
    HostInUse {
        host: HostId,
        tasks: usize,
    },
    /// There is no machine of that id that may not come back.
    NotRemoved(MachineId),
    /// It runs by the clock, so it cannot be had in another way.
    IsCron(JobKey),
    /// It does not run by the clock.
    NotCron(JobKey),
    /// A run of it is about to start already.
    OneWaits(JobKey),
    NoInstances {
        job: JobKey,
        instances: InstanceSet,
    },
    TooMany {
        job: JobKey,
        asked: u64,
        allowed: u32,
    },
    OverQuota {
        role: String,
        short: Vec<Short>,
    },
    /// A quota cannot be less than what the role has already.
    QuotaBelowUse {
        role: String,
        short: Vec<Short>,
    },
    /// One update at a time, and nothing else meanwhile.
    Updating(UpdateKey),
    NoSuchUpdate {
        job: JobKey,
        id: Option<UpdateId>,
    },
    /// Only services are updated.
    NotUpdatable(JobKey),
    /// These are neither there nor wanted.
    UnheardOf {
        job: JobKey,
        instances: InstanceSet,
    },
    /// What was asked of an update makes no sense as it is.
    NotLikeThat {
        update: UpdateKey,
        why: String,
    },
    TooManyFailures {
        job: JobKey,
        failures: u64,
        allowed: u64,
    },
    /// No scheduler is called that.
    NoSuchMember(String),
    /// Somebody has to decide.
    LastMember(String),
    /// Nothing was done; it may be asked again.
    NotNow(String),
    /// The scheduler has crashed, stopped or ceased to lead with the request on its way to the disk:
    /// nobody can say whether, or how far, it got there.
    Unknown(String),
}

impl Refusal {
    /// Whoever dealt with the request ended before it could answer.
    pub fn unknown() -> Self {
        Self::Unknown("it may have been done or not".into())
    }

    /// The same, of a request of which something was done already.
    #[must_use]
    pub fn halfway(self) -> Self {
        let Self::NotNow(why) = self else { return self };
        Self::Unknown(format!("some of it was done: {why}"))
    }
}

/// What a wish comes to, as things are now.
///
/// # Errors
/// Why it does not come true.
pub fn admit(view: &View, key: &JobKey, wish: Wish, rules: Rules) -> Result<Admitted, Refusal> {
    let job = view.jobs.get(key);
    let active = || job.filter(|it| it.is_active()).ok_or_else(|| Refusal::NoSuchJob(key.clone()));
    if let Some(update) = job.and_then(JobView::updating) {
        return Err(Refusal::Updating(update));
    }
    let cron = || job.and_then(|it| it.cron.as_ref()).ok_or_else(|| Refusal::NotCron(key.clone()));
    match wish {
        Wish::Create { .. } | Wish::Add { .. } | Wish::Update { .. } if cron().is_ok() => {
            Err(Refusal::IsCron(key.clone()))
        }
        Wish::Create { config, instances, by } => {
            is_new(view, key, instances, rules)?;
            affords(view, key, &config, instances, rules.quota)?;
            let instances = InstanceSet::first(instances);
            let event = job::Event::Created { config, instances: instances.clone(), by };
            Ok(Admitted::Job(event, instances))
        }
        Wish::Add { count } => {
            let job = active()?;
            fits(key, job.active_count() + u64::from(count), rules.instances_max)?;
            if let Some(config) = job.configs.get(&job.job.config) {
                affords(view, key, config, count, rules.quota)?;
            }
            let instances = next(job, count)
                .ok_or(Refusal::NotNow("the instances' numbers are used up".into()))?;
            Ok(Admitted::Job(job::Event::Added { instances: instances.clone() }, instances))
        }
        Wish::Kill { instances, message } => {
            let instances = among(key, active()?, instances)?;
            let event = job::Event::KillAsked { instances: instances.clone(), message };
            Ok(Admitted::Job(event, instances))
        }
        Wish::Restart { instances, message } => {
            let instances = all_of(key, active()?, instances)?;
            Ok(Admitted::Tasks(task::Event::RestartAsked { message }, instances))
        }
        Wish::Update { config, count, request } => {
            updates::admit(view, config, count, *request, rules)
        }
        Wish::Schedule(order) => {
            admit_schedule(view, key, &order, rules)?;
            Ok(Admitted::Cron(cron::Event::Scheduled(order)))
        }
        Wish::Deschedule => cron().map(|_| Admitted::Cron(cron::Event::Descheduled)),
        Wish::Start { by } => {
            if cron()?.coming().is_some() {
                return Err(Refusal::OneWaits(key.clone()));
            }
            let before = cron::Before::of(key, view);
            Ok(Admitted::Cron(cron::Event::StartAsked { by, before }))
        }
    }
}

/// Whether all of these jobs can be created, as things are now, each after those before it.
///
/// # Errors
/// Why the first that cannot be created is refused. None should be then.
pub fn admit_all(view: &View, jobs: &[config::Job], rules: Rules) -> Result<(), Refusal> {
    let mut balances: BTreeMap<&str, Balance> = BTreeMap::new();
    for config::Job { key, config, instances, .. } in jobs {
        is_new(view, key, *instances, rules)?;
        let role = key.role.as_str();
        let now = || Balance::of(view, role, rules.quota);
        let balance = balances.entry(role).or_insert_with(now);
        let part = Part { config, count: (*instances).into() };
        let after = balance.with(&Claim::Instances(vec![part]));
        admit_balance(role, &after)?;
        *balance = after.settled();
    }
    Ok(())
}

/// Whether a job can run by the clock like this.
fn admit_schedule(
    view: &View,
    key: &JobKey,
    order: &cron::Order,
    rules: Rules,
) -> Result<(), Refusal> {
    let job = view.jobs.get(key);
    let is_other = |it: &JobView| {
        let running = it.active_by_config();
        let mut configs = running.keys().filter_map(|id| it.configs.get(id));
        configs.any(|it| it.kind != Kind::Cron)
    };
    if job.is_some_and(is_other) {
        return Err(Refusal::JobExists(key.clone()));
    }
    fits(key, order.instances.into(), rules.instances_max)?;
    let claim = Claim::cron(job, &order.config, order.instances);
    let balance = Balance::of(view, &key.role, rules.quota).with_instead(view, job, &claim);
    admit_balance(&key.role, &balance)
}

/// Whether this can be a role's quota.
///
/// # Errors
/// The role has more than that already.
pub fn admit_quota(view: &View, role: &str, quota: &Quota) -> Result<(), Refusal> {
    let short = quota::excess(quota::used(view, role), quota.limit);
    let fits = short.is_empty();
    fits.then_some(()).ok_or_else(|| Refusal::QuotaBelowUse { role: role.to_owned(), short })
}

/// Whether such a job can come to be, whatever it takes.
fn is_new(view: &View, key: &JobKey, instances: u32, rules: Rules) -> Result<(), Refusal> {
    let job = view.jobs.get(key);
    if let Some(update) = job.and_then(JobView::updating) {
        return Err(Refusal::Updating(update));
    }
    if job.is_some_and(|it| it.cron.is_some()) {
        return Err(Refusal::IsCron(key.clone()));
    }
    if job.is_some_and(JobView::is_active) {
        return Err(Refusal::JobExists(key.clone()));
    }
    fits(key, instances.into(), rules.instances_max)
}

fn fits(key: &JobKey, asked: u64, allowed: u32) -> Result<(), Refusal> {
    let fits = asked <= u64::from(allowed);
    fits.then_some(()).ok_or_else(|| Refusal::TooMany { job: key.clone(), asked, allowed })
}

/// Whether the job's role may have `count` more instances.
fn affords(
    view: &View,
    key: &JobKey,
    config: &TaskConfig,
    count: u32,
    rules: quota::Rules,
) -> Result<(), Refusal> {
    let more = Claim::Instances(vec![Part { config, count: count.into() }]);
    admit_balance(&key.role, &Balance::of(view, &key.role, rules).with(&more))
}

/// Whether a role may have what it would have.
pub(crate) fn admit_balance(role: &str, balance: &Balance) -> Result<(), Refusal> {
    let short = balance.short();
    let fits = short.is_empty();
    fits.then_some(()).ok_or_else(|| Refusal::OverQuota { role: role.to_owned(), short })
}

/// The `count` instances after the last one.
fn next(job: &JobView, count: u32) -> Option<InstanceSet> {
    let first = u64::from(job.active().last().map_or(0, |it| it + 1));
    let last = (first + u64::from(count)).checked_sub(1)?;
    Some(InstanceSet::range(u32::try_from(first).ok()?, u32::try_from(last).ok()?))
}

/// Those that are active among those that were named.
fn among(key: &JobKey, job: &JobView, named: Option<InstanceSet>) -> Result<InstanceSet, Refusal> {
    let active = job.active();
    let Some(named) = named else { return Ok(active) };
    let found = active.intersection(&named);
    if found.is_empty() {
        return Err(Refusal::NoInstances { job: key.clone(), instances: named });
    }
    Ok(found)
}

/// Those that were named, all of which have to be active: who restarts what is not there is
/// mistaken about what is.
fn all_of(key: &JobKey, job: &JobView, named: Option<InstanceSet>) -> Result<InstanceSet, Refusal> {
    let active = job.active();
    let Some(named) = named else { return Ok(active) };
    let missing = named.difference(&active);
    if named.is_empty() || !missing.is_empty() {
        return Err(Refusal::NoInstances { job: key.clone(), instances: missing });
    }
    Ok(named)
}

impl std::error::Error for Refusal {}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::JobExists(job) => write!(f, "job {job} is already active"),
            Self::NoSuchJob(job) => write!(f, "there is no active job {job}"),
            Self::NoSuchHost(host) => write!(f, "there is no host {host}"),
            Self::HostInUse { host, tasks } => write!(
                f,
                "host {host} has {tasks} task{}: drain it first (`airglow host drain {host}`), or \
                 remove it by force if they are to be LOST",
                if *tasks == 1 { "" } else { "s" }
            ),
            Self::NotRemoved(machine) => {
                write!(f, "there is no machine {machine} among those that were removed")
            }
            Self::IsCron(job) => {
                write!(f, "{job} is a cron job: schedule it anew, or deschedule it first")
            }
            Self::NotCron(job) => write!(f, "there is no cron job {job}: schedule it first"),
            Self::OneWaits(job) => {
                write!(f, "a run of {job} is about to start already: wait for that one")
            }
            Self::NoInstances { job, instances } => {
                write!(f, "job {job} has no active instances among {instances}")
            }
            Self::TooMany { job, asked, allowed } => {
                write!(f, "job {job} would have {asked} instances, and {allowed} are allowed")
            }
            Self::OverQuota { role, short } => write!(
                f,
                "role {role} may not have that: {}. Ask for less, end something, take a tier \
                 that gives way to others, or have the role's quota increased",
                list(short)
            ),
            Self::QuotaBelowUse { role, short } => {
                write!(f, "role {role} has more than that already: {}", list(short))
            }
            Self::Updating(UpdateKey { job, id }) => write!(
                f,
                "job {job} is being updated (update {id}): wait for the end of that, or abort it"
            ),
            Self::NoSuchUpdate { job, id: Some(id) } => {
                write!(f, "there is no update {id} of job {job}")
            }
            Self::NoSuchUpdate { job, id: None } => write!(f, "job {job} is not being updated"),
            Self::NotUpdatable(job) => write!(
                f,
                "job {job} is no service: only services are updated, others are killed and created"
            ),
            Self::UnheardOf { job, instances } => write!(
                f,
                "job {job} neither has nor would have the instances {instances}, so they cannot be \
                 updated"
            ),
            Self::NotLikeThat { update, why } => write!(f, "update {update}: {why}"),
            Self::TooManyFailures { job, failures, allowed } => write!(
                f,
                "an update of job {job} would bear {failures} failures of instances, and {allowed} \
                 are allowed: lower max_per_shard_failures"
            ),
            Self::NoSuchMember(name) => {
                write!(f, "there is no scheduler {name}: see `airglow admin members list`")
            }
            Self::LastMember(name) => {
                write!(f, "{name} is the only scheduler that is left: stop its agent instead")
            }
            Self::NotNow(why) => write!(f, "not now: {why}"),
            Self::Unknown(why) => {
                write!(f, "nobody knows what came of it, so look before you try again: {why}")
            }
        }
    }
}

fn list(short: &[Short]) -> String {
    short.iter().map(Short::to_string).collect::<Vec<_>>().join("; ")
}
