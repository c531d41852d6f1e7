//! A scenario as people write it, and what is wrong with it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use serde::Deserialize;
use serde_json::Value;

use super::{Happening, Scenario};
use crate::{
    config::Job,
    host::DrainRequest,
    ids::{HostId, JobKey},
    instances::InstanceSet,
    policy::Policy,
    resources::{Attributes, Resources},
    simulation::Conduct,
    spec::{JobSpec, Limits, SlaPolicy},
    wire::Capacity,
};

/// See `Scenario` for what it all means. Times are seconds, sizes megabytes.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Written {
    seed: u64,
    duration_secs: Option<f64>,
    hosts: Vec<HostGroup>,
    jobs: Vec<WrittenJob>,
    quotas: BTreeMap<String, WrittenQuota>,
    timeline: Vec<Moment>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct HostGroup {
    /// The host's name; of several, what their names begin with.
    name: String,
    #[serde(default = "one")]
    count: u32,
    cpu: f64,
    ram_mb: u64,
    disk_mb: u64,
    #[serde(default)]
    gpus: u64,
    #[serde(default = "thousand")]
    ports: u16,
    /// How many racks they are spread over: the attribute `rack`.
    #[serde(default)]
    racks: u32,
    #[serde(default)]
    attributes: BTreeMap<String, OneOrMore>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum OneOrMore {
    One(String),
    More(BTreeSet<String>),
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenJob {
    job: Value,
    /// How long a run lasts; for ever, if nothing is said.
    lasts_secs: Option<Span>,
    starts_secs: Option<Span>,
    stops_secs: Option<Span>,
    #[serde(default)]
    fails_percent: u64,
}

/// So long, or anything between two limits.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(untagged)]
enum Span {
    Exactly(f64),
    Between(f64, f64),
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenQuota {
    cpu: f64,
    ram_mb: u64,
    disk_mb: u64,
}

/// One thing that happens at one time.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Moment {
    at_secs: f64,
    add_hosts: Option<Vec<HostGroup>>,
    lose_hosts: Option<Vec<String>>,
    return_hosts: Option<Vec<String>>,
    drain: Option<WrittenDrain>,
    maintain: Option<Vec<String>>,
    activate: Option<Vec<String>>,
    create: Option<WrittenJob>,
    add_instances: Option<More>,
    kill: Option<Whom>,
    restart: Option<Whom>,
    set_quota: Option<RoleQuota>,
    crash_scheduler: Option<Down>,
}

/// As when it is asked for: at once if nothing is said about how many have to stay up.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenDrain {
    hosts: Vec<String>,
    percentage: Option<f64>,
    count: Option<u32>,
    duration_secs: Option<u32>,
    timeout_secs: Option<u32>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct More {
    job: String,
    count: u32,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Whom {
    job: String,
    instances: Option<InstanceSet>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RoleQuota {
    role: String,
    cpu: f64,
    ram_mb: u64,
    disk_mb: u64,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Down {
    down_secs: f64,
}

const HOUR_SECS: f64 = 3600.0;
const FIRST_PORT: u16 = 31_000;

fn one() -> u32 {
    1
}

fn thousand() -> u16 {
    1000
}

impl TryFrom<Written> for Scenario {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        let lasts = duration("duration_secs", written.duration_secs.unwrap_or(HOUR_SECS))?;
        let mut happenings = Vec::new();
        let mut names = BTreeSet::new();
        let mut hosts = |at, place: &str, groups: Vec<HostGroup>| {
            let mut all = Vec::new();
            for (index, group) in groups.into_iter().enumerate() {
                for (id, attributes, capacity) in group.read(&format!("{place}[{index}]"))? {
                    if !names.insert(id.clone()) {
                        return Err(format!("{place}[{index}]: there are two hosts named {id}"));
                    }
                    all.push((at, Happening::AddHost(id, attributes, capacity)));
                }
            }
            Ok(all)
        };
        let zero = Duration::ZERO;
        happenings.extend(hosts(zero, "hosts", written.hosts)?);
        for (role, it) in written.quotas {
            let limit = it.read(&format!("quotas.{role}"))?;
            happenings.push((zero, Happening::SetQuota(role, limit)));
        }
        for (index, job) in written.jobs.into_iter().enumerate() {
            happenings.push((zero, job.read(&format!("jobs[{index}]"))?));
        }
        for (index, moment) in written.timeline.into_iter().enumerate() {
            let place = format!("timeline[{index}]");
            let at = duration(&format!("{place}.at_secs"), moment.at_secs)?;
            match moment.read(&place)? {
                Read::Hosts(groups) => happenings.extend(hosts(at, &place, groups)?),
                Read::Other(all) => happenings.extend(all.into_iter().map(|it| (at, it))),
            }
        }
        happenings.sort_by_key(|&(at, _)| at);
        let policy = Policy::default();
        Ok(Self { seed: written.seed, lasts, policy, happenings, before: None })
    }
}

/// What a moment comes to.
enum Read {
    Hosts(Vec<HostGroup>),
    Other(Vec<Happening>),
}

impl Moment {
    fn read(self, place: &str) -> Result<Read, String> {
        let each = |names: Vec<String>, what: fn(String) -> Happening| {
            Read::Other(names.into_iter().map(what).collect())
        };
        let only = |it| Read::Other(vec![it]);
        let mut found = Vec::new();
        found.extend(self.add_hosts.map(Read::Hosts));
        found.extend(self.lose_hosts.map(|it| each(it, Happening::LoseHosts)));
        found.extend(self.return_hosts.map(|it| each(it, Happening::ReturnHosts)));
        found.extend(self.maintain.map(|it| each(it, Happening::Maintain)));
        found.extend(self.activate.map(|it| each(it, Happening::Activate)));
        if let Some(drain) = self.drain {
            found.push(Read::Other(drain.read(&format!("{place}.drain"))?));
        }
        if let Some(job) = self.create {
            found.push(only(job.read(&format!("{place}.create"))?));
        }
        if let Some(More { job, count }) = self.add_instances {
            found.push(only(Happening::AddInstances(key(place, &job)?, count)));
        }
        if let Some(Whom { job, instances }) = self.kill {
            found.push(only(Happening::Kill(key(place, &job)?, instances)));
        }
        if let Some(Whom { job, instances }) = self.restart {
            found.push(only(Happening::Restart(key(place, &job)?, instances)));
        }
        if let Some(RoleQuota { role, cpu, ram_mb, disk_mb }) = self.set_quota {
            let quota = WrittenQuota { cpu, ram_mb, disk_mb };
            found.push(only(Happening::SetQuota(role, quota.read(place)?)));
        }
        if let Some(Down { down_secs }) = self.crash_scheduler {
            found.push(only(Happening::CrashScheduler(duration(place, down_secs)?)));
        }
        let one = "besides at_secs it takes exactly one thing that happens then";
        match (found.pop(), found.is_empty()) {
            (Some(read), true) => Ok(read),
            (_, _) => Err(format!("{place}: {one}")),
        }
    }
}

impl HostGroup {
    fn read(self, place: &str) -> Result<Vec<(HostId, Attributes, Capacity)>, String> {
        if self.name.is_empty() || self.count == 0 {
            return Err(format!("{place}: it takes a name, and a count of at least 1"));
        }
        let last = FIRST_PORT.saturating_add(self.ports.saturating_sub(1));
        let ports = if self.ports == 0 { vec![] } else { vec![(FIRST_PORT, last)] };
        let resources = Resources {
            cpu_milli: milli(&format!("{place}.cpu"), self.cpu)?,
            ram_mb: self.ram_mb,
            disk_mb: self.disk_mb,
            gpus: self.gpus,
        };
        let capacity = Capacity { resources, ports, ..Capacity::default() };
        let given: Attributes = self.attributes.into_iter().map(|(k, v)| (k, v.set())).collect();
        let host = |number: u32| {
            let name = &self.name;
            let id = if self.count == 1 { name.clone() } else { format!("{name}-{number}") };
            let mut attributes = given.clone();
            attributes.entry("host".into()).or_insert_with(|| [id.clone()].into());
            if let Some(rack) = (number - 1).checked_rem(self.racks) {
                attributes.insert("rack".into(), [format!("rack-{}", rack + 1)].into());
            }
            (HostId::from(id.as_str()), attributes, capacity.clone())
        };
        Ok((1..=self.count).map(host).collect())
    }
}

impl WrittenDrain {
    fn read(self, place: &str) -> Result<Vec<Happening>, String> {
        const DURATION_SECS: u32 = 30 * 60;
        const TIMEOUT_SECS: u32 = 7 * 24 * 60 * 60;
        let duration_secs = self.duration_secs.unwrap_or(DURATION_SECS).into();
        let is_at_once =
            self.percentage.is_none() && self.count.is_none() && self.duration_secs.is_none();
        let policy = match (self.percentage, self.count) {
            (Some(_), Some(_)) => {
                return Err(format!("{place}: a percentage or a count, not both"));
            }
            (None, Some(count)) => SlaPolicy::Count { count: count.into(), duration_secs },
            (percentage, None) => {
                let percentage = percentage.unwrap_or(if is_at_once { 0.0 } else { 95.0 });
                if !(0.0..=100.0).contains(&percentage) {
                    return Err(format!("{place}: {percentage} is no percentage"));
                }
                SlaPolicy::Percentage { percentage, duration_secs }
            }
        };
        let usual = if is_at_once { 0 } else { TIMEOUT_SECS };
        let timeout_secs = self.timeout_secs.unwrap_or(usual).into();
        let request = DrainRequest { policy, timeout_secs, by: "simulation".into() };
        let drain = |host| Happening::Drain(host, request.clone());
        Ok(self.hosts.into_iter().map(drain).collect())
    }
}

impl OneOrMore {
    fn set(self) -> BTreeSet<String> {
        match self {
            Self::One(it) => [it].into(),
            Self::More(all) => all,
        }
    }
}

impl WrittenJob {
    fn read(self, place: &str) -> Result<Happening, String> {
        let usual = Conduct::default();
        let span = |name: &str, it: Option<Span>| {
            it.map(|it| it.read(&format!("{place}.{name}"))).transpose()
        };
        let conduct = Conduct {
            starts_ms: span("starts_secs", self.starts_secs)?.unwrap_or(usual.starts_ms),
            lasts_ms: span("lasts_secs", self.lasts_secs)?,
            fails_percent: self.fails_percent.min(100),
            stops_ms: span("stops_secs", self.stops_secs)?.unwrap_or(usual.stops_ms),
        };
        let Job { key, config, instances, .. } = job(place, self.job)?;
        Ok(Happening::Create(key, Arc::new(config), instances, conduct))
    }
}

/// Any cluster will do: this is none.
fn job(place: &str, mut written: Value) -> Result<Job, String> {
    let cluster = written.get("cluster").and_then(Value::as_str).unwrap_or("simulation").to_owned();
    if let Some(fields) = written.as_object_mut() {
        fields.insert("cluster".into(), cluster.clone().into());
    }
    let limits =
        Limits { tasks_per_job_max: u32::MAX, gpus_allowed: true, ..Limits::usual(cluster) };
    JobSpec::read_and_check(&written, &limits).map_err(|complaints| {
        let all: Vec<_> = complaints.iter().map(|it| format!("{place}.job{it}")).collect();
        all.join("\n")
    })
}

impl Span {
    fn read(self, place: &str) -> Result<(u64, u64), String> {
        let (least, most) = match self {
            Self::Exactly(it) => (it, it),
            Self::Between(least, most) => (least, most),
        };
        if most < least {
            return Err(format!("{place}: {least} to {most} is the wrong way round"));
        }
        Ok((millis(place, least)?, millis(place, most)?))
    }
}

impl WrittenQuota {
    fn read(self, place: &str) -> Result<Resources, String> {
        let cpu_milli = milli(&format!("{place}.cpu"), self.cpu)?;
        Ok(Resources { cpu_milli, ram_mb: self.ram_mb, disk_mb: self.disk_mb, gpus: 0 })
    }
}

fn key(place: &str, text: &str) -> Result<JobKey, String> {
    text.parse().map_err(|_| format!("{place}: {text} is not role/environment/name"))
}

fn duration(place: &str, secs: f64) -> Result<Duration, String> {
    millis(place, secs).map(Duration::from_millis)
}

/// Thousandths of what is written in whole ones.
fn milli(place: &str, cores: f64) -> Result<u64, String> {
    millis(place, cores)
}

fn millis(place: &str, it: f64) -> Result<u64, String> {
    let is_sane = it.is_finite() && (0.0..1e12).contains(&it);
    let sane = is_sane.then(|| Duration::from_secs_f64(it).as_millis());
    sane.and_then(|it| it.try_into().ok()).ok_or(format!("{place}: {it} is out of range"))
}

#[cfg(test)]
mod tests;
