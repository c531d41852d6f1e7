//! How an update goes about it, as its job's configuration says.

use serde::{Deserialize, Serialize};

use super::Strategy;
use crate::spec::{self, UpdateConfig};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    pub strategy: Strategy,
    /// How long an instance has to run before it counts as updated; 0: its health is enough.
    pub watch_ms: u64,
    /// How often one instance may fail without having failed.
    pub failures_of_instance_max: u32,
    /// How many instances may have failed without the update having failed.
    pub failed_instances_max: u32,
    pub rollback_on_failure: bool,
    /// Without a pulse for so long it waits for one; `None`: it needs none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pulse_ms: Option<u64>,
    /// Whether running instances end only as the job's SLA policy allows.
    #[serde(default)]
    pub sla_aware: bool,
    /// How long an instance may wait for a place before it has failed; `None`: for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending_ms_max: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canary: Option<Canary>,
}

/// Some instances go first, and are compared with those that do not yet.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Canary {
    pub instances: u32,
    /// How long they are compared, from when all of them are up.
    pub watch_ms: u64,
    /// What happens if they do worse.
    pub rollback: bool,
}

impl From<&UpdateConfig> for Settings {
    fn from(config: &UpdateConfig) -> Self {
        Self {
            strategy: config.into(),
            watch_ms: millis(config.watch_secs),
            failures_of_instance_max: count(config.max_per_shard_failures),
            failed_instances_max: count(config.max_total_failures),
            rollback_on_failure: config.rollback_on_failure,
            pulse_ms: config.pulse_interval_secs.map(millis),
            sla_aware: config.sla_aware,
            pending_ms_max: config.max_pending_secs.map(millis),
            canary: config.canary.as_ref().map(Canary::from),
        }
    }
}

impl From<&spec::Canary> for Canary {
    fn from(canary: &spec::Canary) -> Self {
        Self {
            instances: count(canary.instances),
            watch_ms: millis(canary.watch_secs),
            rollback: canary.on_worse == "rollback",
        }
    }
}

fn millis(secs: i64) -> u64 {
    u64::try_from(secs).unwrap_or(0).saturating_mul(1000)
}

/// A checked configuration has no negative ones.
pub(super) fn count(number: i64) -> u32 {
    u32::try_from(number.max(0)).unwrap_or(u32::MAX)
}
