//! What the creation of jobs would come to.

use std::{collections::BTreeMap, sync::Arc};

use airglow_model::{
    forecast,
    ids::{HostId, TaskKey},
    instances::InstanceSet,
    quota,
    view::Pending,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::{Amount, NearestHost, VetoCount};

/// What creating jobs would come to, if nothing else changed. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Forecast {
    /// Whether they would be created: all of them, or, if any is refused, none.
    pub is_accepted: bool,
    /// In the order of the request, each as if those before it had been created.
    pub jobs: Vec<JobForecast>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct JobForecast {
    #[schema(example = "www-data/prod/hello")]
    pub key: String,
    /// There is such a job, and it has not ended: it cannot be created again.
    pub is_active: bool,
    /// Why it would not be created; nothing of it would be placed then, or wait.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusal: Option<String>,
    pub diff: Diff,
    /// Which host gets which instances. By host.
    pub placements: Vec<Placement>,
    /// Instances for which there is no place, and why.
    pub pending: Vec<Unplaced>,
    /// Absent if nobody would.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preempted: Option<Preempted>,
    pub quota: QuotaForecast,
}

/// How a job would differ from what runs of it, or, if nothing does, from what ran last.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Diff {
    pub instances: InstancesChange,
    /// From each configuration that an active instance has, or else from the newest. Empty for a
    /// job that is new.
    pub configs: Vec<ConfigDiff>,
}

/// How many instances there are, and how many are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct InstancesChange {
    pub from: u64,
    pub to: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ConfigDiff {
    /// Of the earlier configuration.
    pub number: u32,
    /// Which active instances have it; empty if none is active.
    #[schema(value_type = String, example = "0-2,5")]
    pub instances: InstanceSet,
    /// Empty if nothing differs.
    pub changes: Vec<Change>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Change {
    /// A JSON pointer into the new job; into the earlier one where something is gone.
    #[schema(example = "/task/processes/0/cmdline")]
    pub pointer: String,
    /// Absent where something is new.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub from: Option<Value>,
    /// Absent where something is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub to: Option<Value>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Placement {
    pub host: String,
    #[schema(value_type = String, example = "0-3,7")]
    pub instances: InstanceSet,
    /// By instance and name, if they need any.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub ports: BTreeMap<u32, BTreeMap<String, u16>>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Unplaced {
    #[schema(value_type = String, example = "4-9")]
    pub instances: InstanceSet,
    pub why: Waiting,
}

/// Who would have to give way to those without a place.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Preempted {
    /// When those have waited for so long.
    pub after_secs: u64,
    pub tasks: Vec<PreemptedTask>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PreemptedTask {
    #[schema(example = "www-data/prod/batch/3")]
    pub task: String,
    pub host: String,
}

/// Why there is no place.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Waiting {
    /// How many hosts were looked at.
    pub hosts: usize,
    /// Most frequent first.
    pub vetoes: Vec<VetoCount>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nearest: Option<NearestHost>,
}

/// What the job does to its role's quota. What is not production work on shared hosts changes
/// nothing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct QuotaForecast {
    pub role: String,
    /// Absent: anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<Amount>,
    pub used_before: Amount,
    pub used_after: Amount,
    /// What there is too little of, in words.
    #[schema(example = json!(["CPU quota exceeded by 1.00 core(s)"]))]
    pub short: Vec<String>,
}

impl From<Vec<forecast::Forecast>> for Forecast {
    fn from(jobs: Vec<forecast::Forecast>) -> Self {
        let is_accepted = jobs.iter().all(|it| it.refusal.is_none());
        Self { is_accepted, jobs: jobs.into_iter().map(JobForecast::from).collect() }
    }
}

fn preempted(it: &forecast::Preempted) -> Option<Preempted> {
    let task = |(task, host): &(TaskKey, HostId)| PreemptedTask {
        task: task.to_string(),
        host: host.to_string(),
    };
    let tasks: Vec<_> = it.tasks.iter().map(task).collect();
    (!tasks.is_empty()).then_some(Preempted { after_secs: it.after.as_secs(), tasks })
}

impl From<forecast::Forecast> for JobForecast {
    fn from(it: forecast::Forecast) -> Self {
        Self {
            quota: QuotaForecast::new(&it.key.role, &it.quota),
            key: it.key.to_string(),
            is_active: it.is_active,
            refusal: it.refusal.map(|it| it.to_string()),
            diff: it.diff.into(),
            placements: it.placements.into_iter().map(Placement::of).collect(),
            pending: it.pending.into_iter().map(Unplaced::of).collect(),
            preempted: preempted(&it.preempted),
        }
    }
}

impl From<forecast::Diff> for Diff {
    fn from(forecast::Diff { instances: (from, to), configs }: forecast::Diff) -> Self {
        let configs = configs.into_iter().map(ConfigDiff::from);
        let instances = InstancesChange { from, to: to.into() };
        Self { instances, configs: configs.collect() }
    }
}

impl From<forecast::ConfigDiff> for ConfigDiff {
    fn from(it: forecast::ConfigDiff) -> Self {
        let change = |forecast::Difference { pointer, from, to }| Change { pointer, from, to };
        let changes = it.differences.into_iter().map(change).collect();
        Self { number: it.from.0, instances: it.instances, changes }
    }
}

impl Placement {
    pub(crate) fn of((host, share): (HostId, forecast::Share)) -> Self {
        Self { host: host.to_string(), instances: share.instances, ports: share.ports }
    }
}

impl Unplaced {
    pub(crate) fn of((instances, why): (InstanceSet, Arc<Pending>)) -> Self {
        Self { instances, why: (&*why).into() }
    }
}

impl QuotaForecast {
    pub(crate) fn new(role: &str, it: &quota::Balance) -> Self {
        Self {
            role: role.to_owned(),
            limit: it.limit.map(Into::into),
            used_before: it.before.prod_shared.into(),
            used_after: it.after.prod_shared.into(),
            short: it.short().iter().map(ToString::to_string).collect(),
        }
    }
}

impl From<&Pending> for Waiting {
    fn from(Pending { hosts, vetoes, nearest, .. }: &Pending) -> Self {
        let nearest = nearest.as_ref();
        let nearest = nearest
            .map(|(host, misses)| NearestHost { host: host.to_string(), misses: misses.clone() });
        Self { hosts: *hosts, vetoes: vetoes.iter().map(VetoCount::from).collect(), nearest }
    }
}
