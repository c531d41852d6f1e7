//! A job in hand is a valid job: these are made by [`crate::spec::JobSpec::check`] only.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::{
    cron::Rule,
    ids::JobKey,
    resources::{Constraint, Resources},
    spec::{JobSpec, UpdateConfig},
    tier::Tier,
};

/// A checked job: its configuration, how many of it, and how it is updated.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Job {
    pub key: JobKey,
    pub config: TaskConfig,
    pub instances: u32,
    pub update_config: UpdateConfig,
    /// When it runs, if that is by the clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cron: Option<Rule>,
}

/// Everything that one instance needs. Two instances with equal configurations are interchangeable:
/// neither the number of instances nor the way to update them is part of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskConfig {
    pub job: JobKey,
    pub kind: Kind,
    /// With executor needs such as names of ports taken out of it.
    pub resources: Resources,
    /// Names of the ports that the host has to give it.
    pub ports: BTreeSet<String>,
    /// Value constraints before limits.
    pub constraints: Vec<Constraint>,
    pub tier: String,
    /// What that meant when the job was made.
    #[serde(default)]
    pub class: Tier,
    pub priority: i64,
    /// How many runs of an instance may fail; −1 for any number. Services ignore it.
    pub max_task_failures: i64,
    /// What was written, `instances` and `update_config` set to their defaults.
    pub spec: JobSpec,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    Service,
    Adhoc,
    Cron,
}

impl TaskConfig {
    pub fn is_service(&self) -> bool {
        self.kind == Kind::Service
    }

    /// What it takes of a host's capacity, and of what the host offers beyond it: cores if it can
    /// do with those, and memory where that can be taken back, too.
    pub fn takes(&self, revocable_ram: bool) -> (Resources, Resources) {
        let all = self.resources;
        let part = |is_taken, amount| if self.class.revocable && is_taken { amount } else { 0 };
        let (cpu_milli, ram_mb) = (part(true, all.cpu_milli), part(revocable_ram, all.ram_mb));
        let spare = Resources { cpu_milli, ram_mb, ..Resources::default() };
        (all.saturating_sub(spare), spare)
    }

    /// It asks for hosts that are kept for those who do.
    pub fn is_dedicated(&self) -> bool {
        self.constraints.iter().any(|it| it.attribute == DEDICATED)
    }
}

/// The attribute that keeps a host for those who ask for it.
pub const DEDICATED: &str = "dedicated";

/// Ports as they were given out: name to number.
pub type Ports = BTreeMap<String, u16>;
