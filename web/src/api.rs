//! What the JSON API says and hears, as types: the server writes them and the command line reads
//! them, so that neither can misspell the other.
//!
//! They are not the model's own types, although many look alike. What is on disk and on the mesh
//! may change with any version; what is here was promised to scripts. Fields may be added: readers
//! ignore what they do not know. Points in time are milliseconds since the Unix epoch.

mod access;
mod audit;
mod cron;
mod forecast;
mod from;
mod member;
mod place;
mod schema;
mod snapshot;
mod task;
mod token;
mod update;
mod waits;

use std::collections::BTreeMap;

use airglow_model::{
    config::Kind, host::in_words_if_wrong, ids::JobKey, instances::InstanceSet, machine::Timestamp,
    spec::JobSpec, task::Status,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use self::schema::{job_spec, job_specs, kind};
pub use self::{
    access::*, audit::*, cron::*, forecast::*, member::Scheduler, place::PlaceMade, snapshot::*,
    task::*, token::*, update::*, waits::Alike,
};

/// One page of a list. `next`, given back as `cursor`, gets the page after it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Page<T> {
    pub items: Vec<T>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// Jobs to be created: all of them or, if anything is wrong with any, none.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CreateJobs {
    #[schema(schema_with = job_specs)]
    pub jobs: Vec<JobSpec>,
}

/// The jobs that a request created, in its order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Created {
    pub jobs: Vec<CreatedJob>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CreatedJob {
    pub role: String,
    pub environment: String,
    pub name: String,
    /// The first of them: `0-4` of a new job of five.
    #[schema(value_type = String, example = "0-4")]
    pub instances: InstanceSet,
    /// The job's page, absolute.
    pub url: String,
}

/// Which instances a kill or a restart is meant for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Selection {
    /// Absent: all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instances: Option<Vec<u32>>,
    /// Goes into the instances' histories.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// How many instances to add to a job, with its newest configuration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AddInstances {
    #[schema(minimum = 1)]
    pub count: u32,
}

/// Which ended runs to forget; all that is given has to fit.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Prune {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// How they ended: `FINISHED`, `FAILED`, `KILLED`, `LOST`. None of them: however they did.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<String>)]
    pub statuses: Vec<Status>,
    /// No more than this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
}

/// Whom to ask what they have.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Reconcile {
    /// Absent: every host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
}

/// How many hosts were connected and asked; what differs is corrected as they answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Reconciling {
    pub asked: usize,
}

/// How many ended runs were forgotten.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Pruned {
    pub pruned: u64,
}

/// The instances that an order reached.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Affected {
    #[schema(value_type = String, example = "0-2,5")]
    pub instances: InstanceSet,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct JobSummary {
    pub role: String,
    pub environment: String,
    pub name: String,
    #[schema(schema_with = kind)]
    pub kind: Kind,
    pub tier: String,
    pub production: bool,
    /// How many instances should exist.
    pub instances: u64,
    /// How many instances are in each state; states without any are left out.
    #[schema(value_type = BTreeMap<String, u32>)]
    pub counts: BTreeMap<Status, u32>,
    /// How many ended runs are remembered besides the newest of each instance.
    pub history: u32,
    #[schema(value_type = u64)]
    pub created_at: Timestamp,
    pub created_by: String,
    /// When it is due next, if it runs by the clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u64>)]
    pub next_run: Option<Timestamp>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct JobDetail {
    pub summary: JobSummary,
    /// Newest first.
    pub configs: Vec<Config>,
    /// The newest run of each instance, in their order.
    pub instances: Vec<TaskSummary>,
    /// Instances without a place, and why.
    pub pending: Vec<PendingTask>,
    /// Parts of this job that kept crashing inside the scheduler and were left alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub quarantined: Vec<Quarantined>,
}

/// One of a job's configurations.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Config {
    /// Counts from 1.
    pub number: u32,
    /// Which instances should run with it, and whose newest run does.
    #[schema(value_type = String, example = "0-2,5")]
    pub instances: InstanceSet,
    #[schema(schema_with = kind)]
    pub kind: Kind,
    pub resources: Resources,
    /// Names of the ports that a host has to give it.
    pub ports: Vec<String>,
    pub tier: String,
    pub priority: i64,
    /// What was written, with all defaults filled in.
    #[schema(schema_with = job_spec)]
    pub job: JobSpec,
}

/// What hosts have and tasks get. (The language's own `Resources` are in bytes.)
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = Amounts)]
pub struct Resources {
    /// Cores.
    pub cpu: f64,
    pub ram_mb: u64,
    pub disk_mb: u64,
    pub gpus: u64,
}

/// An instance without a place, and why it has none.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PendingTask {
    pub role: String,
    pub environment: String,
    pub name: String,
    pub instance: u32,
    pub task_id: String,
    #[schema(value_type = u64)]
    pub since: Timestamp,
    /// How many hosts were looked at.
    pub hosts: usize,
    /// Most frequent first. Empty while it has not been looked at.
    pub vetoes: Vec<VetoCount>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nearest: Option<NearestHost>,
    /// Places that are being made for it and others like it, whichever comes first. The vetoes are
    /// other hosts'.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub making: Vec<PlaceMade>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct VetoCount {
    /// What it is about.
    #[serde(default)]
    #[schema(example = "cpu")]
    pub kind: String,
    #[schema(example = "Insufficient: CPU")]
    pub reason: String,
    /// How many hosts it rules out.
    pub hosts: usize,
    /// What would help, in a sentence.
    #[serde(default)]
    #[schema(example = "The largest of them has 4 in all: ask for no more than that")]
    pub help: String,
}

/// The host that misses by least, and by what.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct NearestHost {
    pub host: String,
    #[schema(example = "CPU: 4 wanted, 1.5 free")]
    pub misses: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct HostSummary {
    pub host: String,
    /// `up`, `away`, `unreachable` or `unknown`.
    pub state: String,
    /// When it came into this state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u64>)]
    pub since: Option<Timestamp>,
    #[schema(value_type = u64)]
    pub joined_at: Timestamp,
    #[schema(value_type = u64)]
    pub heard_at: Timestamp,
    /// How far its clock was ahead of the scheduler's then. Nothing is decided by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock_skew_ms: Option<i64>,
    pub version: String,
    /// The newest version of the protocol that it speaks.
    #[serde(default)]
    pub protocol: u32,
    /// How long it lets its tasks run when it hears from no scheduler; absent: for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub isolated_max_secs: Option<u64>,
    pub attributes: BTreeMap<String, Vec<String>>,
    pub capacity: Resources,
    pub used: Resources,
    pub tasks: usize,
    /// What its operator wants of it: `NONE`, `SCHEDULED`, `DRAINING` or `DRAINED`.
    #[serde(default)]
    pub mode: String,
    /// Since when, unless it is `NONE`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u64>)]
    pub mode_since: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drain: Option<DrainProgress>,
}

impl HostSummary {
    /// `clock 12 s ahead`, if it is wrong by so much that somebody should know.
    pub fn wrong_clock(&self) -> Option<String> {
        in_words_if_wrong(self.clock_skew_ms?)
    }

    /// What becomes of its tasks when it hears from no scheduler.
    pub fn alone(&self) -> String {
        match self.isolated_max_secs {
            None => "tasks go on for ever".into(),
            Some(secs) if secs % 3600 == 0 => format!("tasks go on for {} h", secs / 3600),
            Some(secs) if secs % 60 == 0 => format!("tasks go on for {} min", secs / 60),
            Some(secs) => format!("tasks go on for {secs} s"),
        }
    }
}

/// How a service has been doing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct JobSla {
    pub role: String,
    pub environment: String,
    pub name: String,
    pub production: bool,
    /// When it was looked.
    #[serde(default)]
    #[schema(value_type = u64)]
    pub at: Timestamp,
    /// How far back from then.
    pub window_secs: u64,
    /// Median time from PENDING to ASSIGNED, of instances that came there within the window.
    pub mtta_ms: f64,
    /// To STARTING.
    pub mtts_ms: f64,
    /// To RUNNING.
    pub mttr_ms: f64,
    pub uptimes: Vec<Uptime>,
    pub up_counts: Vec<UpCount>,
    /// How much of its instances' time was not lost by the cluster's doing.
    pub platform_uptime_percent: f64,
}

/// For how long so many of the instances that run have been up at least.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Uptime {
    pub percentile: f64,
    pub uptime_secs: f64,
}

/// Which part of the active instances has been up for at least so long.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct UpCount {
    pub duration_secs: u64,
    pub percent: f64,
}

/// How a host is to be drained. Without any of `percentage`, `count` and `duration_secs`, nobody's
/// SLA policy counts unless there is a `timeout_secs`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Drain {
    /// How much of a job without a policy of its own has to stay up, from 0 to 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub percentage: Option<f64>,
    /// Or how many of its instances.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// For how long an instance has to have been up to count; 1800 if nobody says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_secs: Option<u64>,
    /// After this nobody's policy counts. A week if nobody says; at once without a policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_secs: Option<u64>,
}

/// How far a drain has come.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DrainProgress {
    #[schema(value_type = u64)]
    pub since: Timestamp,
    /// When nobody's policy counts any more.
    #[schema(value_type = u64)]
    pub deadline: Timestamp,
    pub by: String,
    /// What was asked for.
    #[serde(default)]
    pub request: Drain,
    /// How many tasks are still there.
    pub left: usize,
    /// What they wait for, as far as is known already.
    pub waits: Vec<DrainWait>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DrainWait {
    /// `role/environment/name/instance`.
    pub task: String,
    /// A sentence.
    pub reason: String,
    /// When that may have changed, if time alone can change it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u64>)]
    pub until: Option<Timestamp>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct HostDetail {
    pub host: HostSummary,
    /// Inclusive ranges that it offers.
    pub port_ranges: Vec<(u16, u16)>,
    pub ports_used: Vec<u16>,
    pub tasks: Vec<TaskSummary>,
}

/// What a host has free for new tasks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Offer {
    pub host: String,
    pub free: Resources,
    pub ports_free: usize,
    pub attributes: BTreeMap<String, Vec<String>>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Tier {
    pub name: String,
    /// Whether jobs that name no tier get this one.
    pub default: bool,
    /// Whether it gives way to tasks that are not.
    pub preemptible: bool,
    /// Whether its CPU is what hosts offer beyond what they have.
    pub revocable: bool,
}

/// What a role may have and what it has. GPUs are no part of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Quota {
    pub role: String,
    /// What `prod_shared` may come to; absent: anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quota: Option<Amount>,
    /// Production work (neither preemptible nor revocable) on hosts that are for everybody. What is
    /// wanted counts whether it runs or waits.
    pub prod_shared: Amount,
    pub nonprod_shared: Amount,
    /// On hosts that are kept for those who ask for them.
    pub prod_dedicated: Amount,
    pub nonprod_dedicated: Amount,
}

/// What is limited by quotas.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Amount {
    /// Cores.
    #[schema(minimum = 0)]
    pub cpu: f64,
    pub ram_mb: u64,
    pub disk_mb: u64,
}

/// Something inside the scheduler that kept crashing and was left alone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Quarantined {
    pub key: String,
    #[schema(value_type = u64)]
    pub since: Timestamp,
    pub reason: String,
}

/// A stretch of a log or a file, for whoever asked for JSON. Bytes that are not UTF-8 are replaced.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Stretch {
    /// Where it begins. What was rotated away cannot be had, so it may begin later than was asked.
    pub offset: u64,
    /// In bytes.
    pub length: u64,
    /// How long the whole was at that moment.
    pub size: u64,
    pub data: String,
}

/// A sandbox folder's content.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Folder {
    pub path: String,
    pub entries: Vec<FileEntry>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct FileEntry {
    pub name: String,
    pub is_folder: bool,
    /// Bytes.
    pub size: u64,
    #[schema(value_type = u64)]
    pub modified_at: Timestamp,
    /// Its kind and who may do what with it, as `stat` tells; 0 if that is not known.
    #[serde(default)]
    pub mode: u32,
    /// A user's name or number.
    #[serde(default)]
    pub owner: String,
    /// Where it leads if it is a symbolic link.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
}

/// What `/events` says: something about these changed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Changed {
    /// The newest transaction that is seen by whoever reads after this.
    pub seq: u64,
    /// `role/environment/name` of each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub jobs: Vec<String>,
    /// `role/environment/name/instance` of each; empty when they are too many to name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tasks: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<String>,
}

/// What went wrong (RFC 9457).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// Which kind of problem it is, for programs: `/problems/invalid-job`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The kind of problem, for people.
    pub title: String,
    pub status: u16,
    /// This occurrence of it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
    /// Everything that is wrong with the request's body, and where.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct FieldError {
    /// A JSON pointer into the body.
    #[schema(example = "/jobs/0/task/processes/1/name")]
    pub pointer: String,
    pub detail: String,
}

impl JobSummary {
    pub fn key(&self) -> JobKey {
        JobKey::new(&self.role, &self.environment, &self.name)
    }
}

impl PendingTask {
    pub fn job(&self) -> JobKey {
        JobKey::new(&self.role, &self.environment, &self.name)
    }
}
