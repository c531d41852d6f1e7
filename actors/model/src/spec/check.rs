//! From what somebody wrote to what the cluster takes, or everything that is wrong with it.
//!
//! Each rule adds what it finds and returns what it read all the same, so that one mistake never
//! hides another. Whether there was one is looked at once, at the end.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{JobSpec, UpdateConfig};
use crate::{
    config::{DEDICATED, Job, Kind, TaskConfig},
    ids::{JobKey, is_identifier},
    resources::{Constraint, Demand},
    schema,
    tier::Tiers,
};

mod coordinator;
mod cron;
mod follow;
mod policies;
mod ports;
mod task;
#[cfg(test)]
mod tests;

/// One thing wrong with a job, and where.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
pub struct Complaint {
    /// A JSON pointer into the job, such as `/task/processes/0/name`; empty for the whole.
    pub pointer: String,
    /// What is wrong and what would be right.
    pub detail: String,
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.pointer, self.detail)
    }
}

/// What this cluster allows.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Limits {
    pub cluster: String,
    pub tasks_per_job_max: u32,
    pub tiers: Tiers,
    pub gpus_allowed: bool,
    /// How URLs of coordinators may begin; however they want, if nothing is said.
    pub coordinator_urls: Option<Vec<String>>,
}

impl Limits {
    /// What a cluster allows unless it is told otherwise.
    pub fn usual(cluster: impl Into<String>) -> Self {
        Self {
            cluster: cluster.into(),
            tasks_per_job_max: 4000,
            tiers: Tiers::builtin(),
            gpus_allowed: false,
            coordinator_urls: None,
        }
    }
}

/// The tier that is neither preempted nor fed on what others leave over.
const PREFERRED: &str = "preferred";
/// A task's id is its sandbox's name: the names in it, an instance's number and what makes it
/// unique have to fit into what a file system takes for one.
const NAMES_LEN_MAX: usize = 200;

impl JobSpec {
    /// The job that somebody wrote as JSON. What cannot be read hides no mistake elsewhere.
    ///
    /// # Errors
    /// Everything that is wrong with it, by place, whether with its form or with its meaning.
    pub fn read_and_check(value: &Value, limits: &Limits) -> Result<Job, Vec<Complaint>> {
        let (spec, unreadable) = schema::read_job_leniently(value);
        let checked = spec.map(|it| it.check(limits));
        match (checked, unreadable) {
            (Some(checked), unreadable) if unreadable.is_empty() => checked,
            (checked, unreadable) => {
                let found = checked.and_then(Result::err).unwrap_or_default();
                Err(follow::merge(unreadable, found))
            }
        }
    }

    /// The job that this describes.
    ///
    /// # Errors
    /// Everything that is wrong with it, not the first thing only.
    pub fn check(self, limits: &Limits) -> Result<Job, Vec<Complaint>> {
        let mut found = Complaints::default();
        found.names(&self, limits);
        let kind = found.kind(&self);
        let cron = found.cron(&self);
        let instances = found.instances(&self, limits);
        found.processes(&self.task);
        let resources = found.resources(&self.task.resources, limits);
        let constraints = found.constraints(&self);
        let tier = found.tier(&self, limits);
        let ports = found.ports(&self);
        let class = limits.tiers.get(&tier).unwrap_or_default();
        found.policies(&self, class, instances);
        found.coordinator(&self, limits);
        if !found.0.is_empty() {
            return Err(found.in_order());
        }
        let key = JobKey::new(&self.role, &self.environment, &self.name);
        Ok(Job {
            key: key.clone(),
            instances,
            update_config: self.update_config.clone(),
            cron,
            config: TaskConfig {
                job: key,
                kind,
                resources,
                ports,
                constraints,
                tier,
                class,
                priority: self.priority,
                max_task_failures: self.max_task_failures,
                spec: Self { instances: 1, update_config: UpdateConfig::default(), ..self },
            },
        })
    }
}

/// What is wrong so far.
#[derive(Debug, Default)]
struct Complaints(Vec<Complaint>);

impl Complaints {
    fn add(&mut self, pointer: impl Into<String>, detail: impl Into<String>) {
        self.0.push(Complaint { pointer: pointer.into(), detail: detail.into() });
    }

    /// By place, and no sentence twice.
    fn in_order(mut self) -> Vec<Complaint> {
        self.0.sort();
        self.0.dedup();
        self.0
    }

    fn names(&mut self, job: &JobSpec, limits: &Limits) {
        let names = [
            ("/cluster", &job.cluster),
            ("/role", &job.role),
            ("/environment", &job.environment),
            ("/name", &job.name),
        ];
        for (pointer, name) in names {
            if !is_identifier(name) {
                self.add(pointer, invalid_name(name));
            }
        }
        if is_identifier(&job.cluster) && job.cluster != limits.cluster {
            let (this, other) = (&limits.cluster, &job.cluster);
            self.add("/cluster", format!("This is the cluster {this}, and the job is for {other}"));
        }
        if is_identifier(&job.environment) && !is_environment(&job.environment) {
            let given = &job.environment;
            let detail =
                format!("Environment must be prod, devel, test or staging<number>, got {given}");
            self.add("/environment", detail);
        }
        let lens = [&job.role, &job.environment, &job.name].map(|it| it.len());
        if lens.iter().all(|&it| it <= 255) && NAMES_LEN_MAX < lens.iter().sum() {
            let detail = format!(
                "Role, environment and name may have {NAMES_LEN_MAX} characters together, got {}",
                lens.iter().sum::<usize>()
            );
            self.add("/name", detail);
        }
    }

    fn kind(&mut self, job: &JobSpec) -> Kind {
        match (&job.cron_schedule, job.service) {
            (None, true) => Kind::Service,
            (None, false) => Kind::Adhoc,
            (Some(_), false) => Kind::Cron,
            (Some(_), true) => {
                self.add("/service", "A cron job cannot be a service: its runs have to end");
                Kind::Cron
            }
        }
    }

    /// 0 if the number is not one that a job may have.
    fn instances(&mut self, job: &JobSpec, limits: &Limits) -> u32 {
        let max = limits.tasks_per_job_max;
        match u32::try_from(job.instances) {
            Ok(instances) if 0 < instances && instances <= max => return instances,
            Ok(1..) => self.add(
                "/instances",
                format!("A job may have {max} instances, got {}", job.instances),
            ),
            Ok(0) | Err(_) => {
                self.add(
                    "/instances",
                    format!("A job has at least one instance, got {}", job.instances),
                );
            }
        }
        0
    }

    /// Value constraints first: they are cheaper to check, and say more about why a host is not it.
    fn constraints(&mut self, job: &JobSpec) -> Vec<Constraint> {
        let mut constraints = Vec::new();
        for (attribute, text) in &job.constraints {
            let pointer = format!("/constraints/{}", escape(attribute));
            match Constraint::parse(attribute, text) {
                Ok(constraint) => {
                    if attribute == DEDICATED && !is_dedication(&constraint.demand, &job.role) {
                        let role = &job.role;
                        let detail = format!("Must be {role}/… or */…, and one value, got {text}");
                        self.add(pointer, detail);
                    }
                    constraints.push(constraint);
                }
                Err(detail) => self.add(pointer, detail),
            }
        }
        constraints.sort_by_key(|it| matches!(it.demand, Demand::Limit(_)));
        constraints
    }

    fn tier(&mut self, job: &JobSpec, limits: &Limits) -> String {
        let known = |tier: &str| limits.tiers.get(tier).is_some();
        match &job.tier {
            Some(tier) => {
                if !known(tier) {
                    let tiers: Vec<_> = limits.tiers.tiers.keys().map(String::as_str).collect();
                    let tiers = tiers.join(", ");
                    self.add("/tier", format!("Invalid tier '{tier}', expected one of {tiers}"));
                }
                tier.clone()
            }
            None if job.production && known(PREFERRED) => PREFERRED.to_owned(),
            None => limits.tiers.default.clone(),
        }
    }
}

fn invalid_name(name: &str) -> String {
    format!("Invalid name '{name}': expected letters, digits, '_', '-' and '.', at most 255")
}

fn is_environment(name: &str) -> bool {
    let staging = name.strip_prefix("staging");
    let numbered = staging.is_some_and(|it| it.bytes().all(|digit| digit.is_ascii_digit()));
    numbered || matches!(name, "prod" | "devel" | "test")
}

/// `role/anything` or `*/anything`.
fn is_dedication(demand: &Demand, role: &str) -> bool {
    match demand {
        Demand::Value { negated: false, values } => {
            let whose = values.first().and_then(|it| it.split_once('/')).map(|(whose, _)| whose);
            values.len() == 1 && whose.is_some_and(|it| it == "*" || it == role)
        }
        Demand::Value { negated: true, .. } | Demand::Limit(_) => false,
    }
}

/// A name as part of a JSON pointer.
fn escape(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}
