//! How much of a cluster's dependable resources each role may have.
//!
//! Only production work (neither preemptible nor revocable) on shared hosts is limited; what gives
//! way to others, and what brings its own hosts, is counted for people to look at.
//!
//! Limited is what was promised, not what runs: an instance counts from the moment it is wanted,
//! and a job that may be one of two things counts as whichever is more.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{
    config::TaskConfig,
    ids::{ConfigId, JobKey},
    machine::Timestamp,
    resources::Resources,
    update::{Side, Update},
    view::{JobView, View},
};

#[cfg(test)]
mod tests;

/// What an operator decides about quotas.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Rules {
    /// Whether a role that was given no quota may have nothing that is limited. If not, it may
    /// have anything.
    pub enforce: bool,
}

/// What a role may have. GPUs are not part of it, and always 0 here.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Quota {
    pub limit: Resources,
    pub set_at: Timestamp,
    pub set_by: String,
}

/// What a role has. GPUs are not part of it, and always 0 here.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct Consumption {
    /// The only one that is limited.
    pub prod_shared: Resources,
    pub nonprod_shared: Resources,
    pub prod_dedicated: Resources,
    pub nonprod_dedicated: Resources,
}

/// So many instances of one configuration.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Part<'a> {
    pub config: &'a TaskConfig,
    pub count: u64,
}

/// What a job was promised.
#[derive(Clone, Debug, PartialEq)]
pub enum Claim<'a> {
    /// Instances that are there or about to be.
    Instances(Vec<Part<'a>>),
    /// Some instances change from one side to the other, or back; `others` are left as they are.
    Update { others: Vec<Part<'a>>, before: Vec<Part<'a>>, after: Vec<Part<'a>> },
    /// What each firing starts, and what still runs.
    Cron { template: Part<'a>, running: Vec<Part<'a>> },
}

/// What a role may have of what is limited, what it has, and what it would have.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Balance {
    /// `None` is anything.
    pub limit: Option<Resources>,
    pub before: Consumption,
    pub after: Consumption,
}

/// One resource of which there is not enough.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Short {
    pub what: What,
    /// Thousandths of a core, or megabytes.
    pub by: u64,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum What {
    Cpu,
    Ram,
    Disk,
}

impl Rules {
    /// What the role may have of what is limited; `None` is anything.
    pub fn limit(self, view: &View, role: &str) -> Option<Resources> {
        match view.quotas.get(role) {
            Some(quota) => Some(quota.limit),
            None if self.enforce => Some(Resources::default()),
            None => None,
        }
    }
}

impl Consumption {
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        self.with(other, Resources::plus)
    }

    #[must_use]
    fn minus(self, other: Self) -> Self {
        self.with(other, Resources::saturating_sub)
    }

    /// Whichever is more, for each resource by itself.
    #[must_use]
    fn max(self, other: Self) -> Self {
        self.with(other, Resources::max)
    }

    fn with(self, other: Self, join: impl Fn(Resources, Resources) -> Resources) -> Self {
        Self {
            prod_shared: join(self.prod_shared, other.prod_shared),
            nonprod_shared: join(self.nonprod_shared, other.nonprod_shared),
            prod_dedicated: join(self.prod_dedicated, other.prod_dedicated),
            nonprod_dedicated: join(self.nonprod_dedicated, other.nonprod_dedicated),
        }
    }
}

impl Part<'_> {
    fn consumption(&self) -> Consumption {
        let all = Resources { gpus: 0, ..self.config.resources }.times(self.count);
        let mut consumption = Consumption::default();
        let bucket = match (self.config.class.is_production(), self.config.is_dedicated()) {
            (true, false) => &mut consumption.prod_shared,
            (false, false) => &mut consumption.nonprod_shared,
            (true, true) => &mut consumption.prod_dedicated,
            (false, true) => &mut consumption.nonprod_dedicated,
        };
        *bucket = all;
        consumption
    }
}

impl<'a> Claim<'a> {
    /// What a job would have that runs by the clock, so many instances of this template each time.
    pub fn cron(job: Option<&'a JobView>, template: &'a TaskConfig, instances: u32) -> Self {
        let template = Part { config: template, count: instances.into() };
        Self::Cron { template, running: job.map(running).unwrap_or_default() }
    }

    pub fn consumption(&self) -> Consumption {
        let sum = |parts: &[Part<'_>]| consumption(parts.iter().map(Part::consumption));
        match self {
            Self::Instances(parts) => sum(parts),
            Self::Update { others, before, after } => sum(others).plus(sum(before).max(sum(after))),
            Self::Cron { template, running } => template.consumption().max(sum(running)),
        }
    }
}

impl Balance {
    /// A role's as it is now.
    pub fn of(view: &View, role: &str, rules: Rules) -> Self {
        let used = used(view, role);
        Self { limit: rules.limit(view, role), before: used, after: used }
    }

    #[must_use]
    pub fn with(self, claim: &Claim<'_>) -> Self {
        Self { after: self.after.plus(claim.consumption()), ..self }
    }

    /// As it would be if `config` were what an update of a job is to come to.
    #[must_use]
    pub fn with_update(self, view: &View, update: &Update, config: &TaskConfig) -> Self {
        let Some(job) = view.jobs.get(&update.key.job) else {
            let count = update.target.as_ref().map_or(0, |it| it.instances.len());
            return self.with(&Claim::Instances(vec![Part { config, count }]));
        };
        let mut claim = updating(job, update);
        if let (Claim::Update { after, .. }, Some(target)) = (&mut claim, &update.target) {
            *after = vec![Part { config, count: target.instances.len() }];
        }
        self.with_instead(view, Some(job), &claim)
    }

    /// With `claim` in place of what the job has now.
    #[must_use]
    pub fn with_instead(self, view: &View, job: Option<&JobView>, claim: &Claim<'_>) -> Self {
        let had = job.map(|it| self::claim(view, it).consumption()).unwrap_or_default();
        Self { after: self.after.minus(had), ..self }.with(claim)
    }

    /// As if it had come to pass.
    #[must_use]
    pub fn settled(self) -> Self {
        Self { before: self.after, ..self }
    }

    /// All that there is too little of.
    pub fn short(&self) -> Vec<Short> {
        let checked = self.limit.map(|limit| check(limit, self.before, self.after));
        checked.and_then(Result::err).unwrap_or_default()
    }
}

/// What all of these are together.
pub fn consumption(all: impl IntoIterator<Item = Consumption>) -> Consumption {
    all.into_iter().fold(Consumption::default(), Consumption::plus)
}

/// What a role has. Costs what the role has jobs.
pub fn used(view: &View, role: &str) -> Consumption {
    let first = JobKey::new(role, "", "");
    let jobs = view.jobs.range(first..).take_while(|(key, _)| key.role == role);
    consumption(jobs.map(|(_, job)| claim(view, job).consumption()))
}

/// What a job was promised: while it is updated, whatever it may come to be.
fn claim<'a>(view: &'a View, job: &'a JobView) -> Claim<'a> {
    match (&job.cron, &job.template, view.active_update(&job.job.key)) {
        (Some(timetable), Some(config), _) => Claim::cron(Some(job), config, timetable.instances),
        (_, _, Some(update)) => updating(job, update),
        (None, _, None) | (_, None, None) => Claim::Instances(running(job)),
    }
}

/// Instances that are there or about to be.
fn running(job: &JobView) -> Vec<Part<'_>> {
    parts(job, job.active_by_config())
}

fn updating<'a>(job: &'a JobView, update: &Update) -> Claim<'a> {
    let scope = update.scope();
    let sides = |sides: &[Side]| parts(job, sides.iter().map(|it| (it.config, it.instances.len())));
    let others = job.job.wanted.iter();
    let others = others.map(|it| (it.config, it.instances.difference(&scope).len()));
    Claim::Update {
        others: parts(job, others),
        before: sides(&update.initial),
        after: sides(update.target.as_slice()),
    }
}

fn parts(job: &JobView, counts: impl IntoIterator<Item = (ConfigId, u64)>) -> Vec<Part<'_>> {
    let part = |(id, count)| job.configs.get(&id).map(|config| Part { config, count });
    counts.into_iter().filter_map(part).collect()
}

/// Whether a role that has `before` may have `after`, if `limit` is all that it may have. What does
/// not grow is no reason to refuse, even where a role has more than it may have.
///
/// # Errors
/// Everything of which there is not enough.
pub fn check(limit: Resources, before: Consumption, after: Consumption) -> Result<(), Vec<Short>> {
    let grown = after.prod_shared.saturating_sub(before.prod_shared);
    let mut short = excess(after, limit);
    short.retain(|it| it.what.of(grown) > 0);
    if short.is_empty() { Ok(()) } else { Err(short) }
}

/// By how much a role has more than `limit` of what is limited.
pub fn excess(used: Consumption, limit: Resources) -> Vec<Short> {
    let over = used.prod_shared.saturating_sub(limit);
    let all = [What::Cpu, What::Ram, What::Disk].map(|what| Short { what, by: what.of(over) });
    all.into_iter().filter(|it| it.by > 0).collect()
}

impl What {
    fn of(self, resources: Resources) -> u64 {
        match self {
            Self::Cpu => resources.cpu_milli,
            Self::Ram => resources.ram_mb,
            Self::Disk => resources.disk_mb,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Cpu => "CPU",
            Self::Ram => "RAM",
            Self::Disk => "disk",
        }
    }
}

/// `CPU quota exceeded by 1.00 core(s)`.
impl fmt::Display for Short {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} quota exceeded by ", self.what.name())?;
        match self.what {
            What::Cpu => {
                let (cores, milli) = (self.by / 1000, self.by % 1000);
                // Two digits, unless that would hide something.
                match milli % 10 {
                    0 => write!(f, "{cores}.{:02} core(s)", milli / 10),
                    _ => write!(f, "{cores}.{milli:03} core(s)"),
                }
            }
            What::Ram | What::Disk => write!(f, "{} MB", self.by),
        }
    }
}
