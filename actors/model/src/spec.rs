//! A job as people write it, field for field the configuration language's `Job` after binding.
//! [`JobSpec::check`] turns it into a [`crate::config::Job`], which is valid by being one.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

mod check;

pub use check::{Complaint, Limits};

/// Sizes are bytes, times are seconds, as in the configuration language.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JobSpec {
    pub cluster: String,
    pub role: String,
    #[serde(default = "defaults::environment")]
    pub environment: String,
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contact: Option<String>,
    #[serde(default = "defaults::one")]
    pub instances: i64,
    pub task: TaskSpec,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub announce: Option<Announcer>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tier: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cron_schedule: Option<String>,
    #[serde(default = "defaults::kill_existing")]
    pub cron_collision_policy: String,
    /// The clock that the schedule is read on; the cluster's if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cron_timezone: Option<String>,
    #[serde(default = "defaults::none")]
    pub cron_catch_up: String,
    #[serde(default)]
    pub update_config: UpdateConfig,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub constraints: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub metadata: Vec<Metadata>,
    #[serde(default)]
    pub service: bool,
    #[serde(default = "defaults::one")]
    pub max_task_failures: i64,
    #[serde(default)]
    pub production: bool,
    #[serde(default)]
    pub priority: i64,
    #[serde(default)]
    pub health_check_config: HealthCheckConfig,
    #[serde(default = "LifecycleConfig::usual")]
    pub lifecycle: LifecycleConfig,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_links: Option<BTreeMap<String, String>>,
    #[serde(default)]
    pub executor_config: ExecutorConfig,
    #[serde(default)]
    pub enable_hooks: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partition_policy: Option<PartitionPolicy>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sla_policy: Option<SlaPolicy>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<Container>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaskSpec {
    pub name: String,
    pub processes: Vec<ProcessSpec>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub constraints: Vec<OrderConstraint>,
    pub resources: ResourceSpec,
    #[serde(default = "defaults::one")]
    pub max_failures: i64,
    #[serde(default)]
    pub max_concurrency: i64,
    #[serde(default = "defaults::finalization_wait")]
    pub finalization_wait: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProcessSpec {
    pub name: String,
    pub cmdline: String,
    #[serde(default = "defaults::one")]
    pub max_failures: i64,
    #[serde(default)]
    pub daemon: bool,
    #[serde(default)]
    pub ephemeral: bool,
    #[serde(default = "defaults::min_duration")]
    pub min_duration: i64,
    #[serde(default, rename = "final")]
    pub is_final: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logger: Option<LoggerSpec>,
    /// Reserved by the language; read and ignored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<ResourceSpec>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoggerSpec {
    /// `file`, `console`, `both` or `none`.
    #[serde(default = "defaults::file")]
    pub destination: String,
    /// `standard` or `rotate`.
    #[serde(default = "defaults::standard")]
    pub mode: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotate: Option<RotatePolicy>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RotatePolicy {
    #[serde(default = "defaults::log_size")]
    pub log_size: i64,
    #[serde(default = "defaults::backups")]
    pub backups: i64,
}

/// Each name has to finish before the one after it starts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OrderConstraint {
    #[serde(default)]
    pub order: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResourceSpec {
    /// Cores.
    pub cpu: f64,
    /// Bytes.
    pub ram: i64,
    /// Bytes.
    pub disk: i64,
    #[serde(default)]
    pub gpu: i64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Announcer {
    pub primary_port: String,
    pub portmap: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zk_path: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct UpdateConfig {
    pub batch_size: i64,
    pub watch_secs: i64,
    pub max_per_shard_failures: i64,
    pub max_total_failures: i64,
    pub rollback_on_failure: bool,
    pub wait_for_batch_completion: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pulse_interval_secs: Option<i64>,
    pub sla_aware: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub update_strategy: Option<UpdateStrategy>,
    /// A replacement that finds no place for so long has failed; absent: it may wait for ever.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_pending_secs: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub canary: Option<Canary>,
}

/// Instances that are updated first and compared with the others before these follow.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Canary {
    #[serde(default = "defaults::one")]
    pub instances: i64,
    #[serde(default = "defaults::canary_watch")]
    pub watch_secs: i64,
    /// `pause` or `rollback`.
    #[serde(default = "defaults::pause")]
    pub on_worse: String,
}

/// Which of the three it is shows in its fields: `batch_sizes` makes it variable,
/// `autopause_after_batch` makes it a batch strategy, `batch_size` alone a queue.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum UpdateStrategy {
    VariableBatch {
        batch_sizes: Vec<i64>,
        #[serde(default)]
        autopause_after_batch: bool,
    },
    Batch {
        #[serde(default = "defaults::one")]
        batch_size: i64,
        autopause_after_batch: bool,
    },
    Queue {
        #[serde(default = "defaults::one")]
        batch_size: i64,
    },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HealthCheckConfig {
    pub health_checker: HealthChecker,
    pub initial_interval_secs: f64,
    pub interval_secs: f64,
    pub max_consecutive_failures: i64,
    pub min_consecutive_successes: i64,
    pub timeout_secs: f64,
}

/// Of several the closest look is taken: the command's, then the connection's. With none the task
/// counts as healthy once it runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HealthChecker {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<HttpHealthChecker>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tcp: Option<TcpHealthChecker>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shell: Option<ShellHealthChecker>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HttpHealthChecker {
    pub endpoint: String,
    pub expected_response: String,
    pub expected_response_code: i64,
}

/// Healthy while somebody listens on the port. Aurora had no such thing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TcpHealthChecker {
    /// The port's name.
    pub port: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShellHealthChecker {
    pub shell_command: String,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LifecycleConfig {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<HttpLifecycleConfig>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HttpLifecycleConfig {
    pub port: String,
    pub graceful_shutdown_endpoint: String,
    pub shutdown_endpoint: String,
    pub graceful_shutdown_wait_secs: i64,
    pub shutdown_wait_secs: i64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ExecutorConfig {
    pub name: String,
    pub data: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PartitionPolicy {
    pub reschedule: bool,
    pub delay_secs: i64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metadata {
    pub key: String,
    pub value: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum SlaPolicy {
    Percentage {
        percentage: f64,
        duration_secs: i64,
    },
    Count {
        count: i64,
        duration_secs: i64,
    },
    Coordinator {
        coordinator_url: String,
        #[serde(default = "defaults::drain")]
        status_key: String,
    },
}

/// What the task runs in. Written as `Mesos(…)`, `Docker(…)` or the old wrapper `Container(docker=…)`;
/// here always one object with one field.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Container {
    Docker {
        image: String,
        #[serde(default)]
        parameters: Vec<Parameter>,
    },
    Mesos {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        image: Option<Image>,
        #[serde(default)]
        volumes: Vec<Volume>,
    },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parameter {
    pub name: String,
    pub value: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Image {
    Appc { name: String, image_id: String },
    Docker { name: String, tag: String },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Volume {
    pub container_path: String,
    pub host_path: String,
    /// `RO` or `RW`.
    pub mode: String,
}

impl Default for Announcer {
    fn default() -> Self {
        Self {
            primary_port: "http".into(),
            portmap: BTreeMap::from([("aurora".into(), "{{primary_port}}".into())]),
            zk_path: None,
        }
    }
}

impl Default for UpdateConfig {
    fn default() -> Self {
        Self {
            batch_size: 1,
            watch_secs: 45,
            max_per_shard_failures: 0,
            max_total_failures: 0,
            rollback_on_failure: true,
            wait_for_batch_completion: false,
            pulse_interval_secs: None,
            sla_aware: false,
            update_strategy: None,
            max_pending_secs: None,
            canary: None,
        }
    }
}

impl Default for LoggerSpec {
    fn default() -> Self {
        Self { destination: defaults::file(), mode: defaults::standard(), rotate: None }
    }
}

impl Default for RotatePolicy {
    fn default() -> Self {
        Self { log_size: defaults::log_size(), backups: defaults::backups() }
    }
}

impl Default for HealthCheckConfig {
    fn default() -> Self {
        Self {
            health_checker: HealthChecker {
                http: Some(HttpHealthChecker::default()),
                tcp: None,
                shell: None,
            },
            initial_interval_secs: 15.0,
            interval_secs: 10.0,
            max_consecutive_failures: 0,
            min_consecutive_successes: 1,
            timeout_secs: 1.0,
        }
    }
}

impl Default for HttpHealthChecker {
    fn default() -> Self {
        Self {
            endpoint: "/health".into(),
            expected_response: "ok".into(),
            expected_response_code: 0,
        }
    }
}

impl Default for TcpHealthChecker {
    fn default() -> Self {
        Self { port: "health".into() }
    }
}

impl LifecycleConfig {
    /// What a job has that says nothing about it.
    pub fn usual() -> Self {
        Self { http: Some(HttpLifecycleConfig::default()) }
    }
}

impl Default for HttpLifecycleConfig {
    fn default() -> Self {
        Self {
            port: "health".into(),
            graceful_shutdown_endpoint: "/quitquitquit".into(),
            shutdown_endpoint: "/abortabortabort".into(),
            graceful_shutdown_wait_secs: 5,
            shutdown_wait_secs: 5,
        }
    }
}

impl Default for ExecutorConfig {
    fn default() -> Self {
        Self { name: "AuroraExecutor".into(), data: String::new() }
    }
}

impl Default for PartitionPolicy {
    fn default() -> Self {
        Self { reschedule: true, delay_secs: 0 }
    }
}

/// The language's defaults, as users were told them.
mod defaults {
    pub(super) fn environment() -> String {
        "devel".into()
    }
    pub(super) fn kill_existing() -> String {
        "KILL_EXISTING".into()
    }
    pub(super) fn pause() -> String {
        "pause".into()
    }
    pub(super) fn canary_watch() -> i64 {
        60
    }
    pub(super) fn none() -> String {
        "none".into()
    }
    pub(super) fn one() -> i64 {
        1
    }
    pub(super) fn min_duration() -> i64 {
        15
    }
    pub(super) fn finalization_wait() -> i64 {
        30
    }
    pub(super) fn log_size() -> i64 {
        100 * 1024 * 1024
    }
    pub(super) fn backups() -> i64 {
        5
    }
    pub(super) fn file() -> String {
        "file".into()
    }
    pub(super) fn standard() -> String {
        "standard".into()
    }
    pub(super) fn drain() -> String {
        "drain".into()
    }
}
