//! Updates, as the API tells of them.

use std::collections::BTreeMap;

use airglow_model::{
    forecast,
    instances::InstanceSet,
    machine::Timestamp,
    spec::JobSpec,
    task,
    update::{Action, Direction, Order, Settings, Status},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    ConfigDiff, PendingTask, Placement, QuotaForecast, Unplaced,
    schema::{job_spec, update_settings},
};

/// What a job is to become.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StartUpdate {
    #[schema(schema_with = job_spec)]
    pub job: JobSpec,
    /// Only these, as in `0-3,7`; absent: all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "0-3")]
    pub instances: Option<InstanceSet>,
    /// For whoever reads the update's history.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
}

/// An update that has begun, or that there is nothing to do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct UpdateStarted {
    /// `None`: everything is as it should be already, and no update was made.
    pub update: Option<UpdateSummary>,
    /// The update's page, absolute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    pub message: String,
}

/// What an update would come to. Nothing has changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct UpdateForecast {
    #[schema(value_type = String)]
    pub add: InstanceSet,
    #[schema(value_type = String)]
    pub update: InstanceSet,
    #[schema(value_type = String)]
    pub remove: InstanceSet,
    #[schema(value_type = String)]
    pub unchanged: InstanceSet,
    /// Whether all that would be new finds a place as things are now, each after what it replaces
    /// has made room.
    pub fits: bool,
    /// Which host would get which of those that are new or change. By host.
    pub placements: Vec<Placement>,
    /// Those that would find none, and why.
    pub pending: Vec<Unplaced>,
    /// What differs from each configuration that instances have which change.
    pub configs: Vec<ConfigDiff>,
    pub quota: QuotaForecast,
}

/// Why somebody pauses, resumes, aborts an update or rolls it back.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateCommand {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// What became of a pulse.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Pulsed {
    /// `OK`, or `FINISHED`: the update has ended, or there is none, and pulses are no use any more.
    pub status: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct UpdateSummary {
    pub role: String,
    pub environment: String,
    pub name: String,
    /// A UUID.
    pub id: String,
    /// As in Aurora: `ROLLING_FORWARD` and so on.
    #[schema(value_type = String, example = "ROLLING_FORWARD")]
    pub status: Status,
    /// Whether it has not ended.
    pub active: bool,
    /// `forward` or `back`.
    #[schema(value_type = String)]
    pub direction: Direction,
    pub user: String,
    #[schema(value_type = u64)]
    pub created_at: Timestamp,
    #[schema(value_type = u64)]
    pub modified_at: Timestamp,
    /// Of the newest change of its status: why it came to that, if that was said.
    pub message: String,
    pub progress: UpdateProgress,
    /// Its page, from the root.
    pub url: String,
}

/// How far an update has come in the direction that it goes, in instances.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct UpdateProgress {
    pub total: u64,
    pub waiting: u64,
    pub working: u64,
    pub done: u64,
    pub failed: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct UpdateDetail {
    pub summary: UpdateSummary,
    #[schema(schema_with = update_settings)]
    pub settings: Settings,
    pub metadata: BTreeMap<String, String>,
    /// What its instances come to have; absent if it only removes some.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<UpdateSide>,
    /// What they had.
    pub initial: Vec<UpdateSide>,
    /// Which instances come to be, change and go.
    #[schema(value_type = String)]
    pub add: InstanceSet,
    #[schema(value_type = String)]
    pub update: InstanceSet,
    #[schema(value_type = String)]
    pub remove: InstanceSet,
    /// What changes for those that change, from each configuration that they had.
    pub configs: Vec<ConfigDiff>,
    /// Each change of its status, oldest first.
    pub events: Vec<UpdateEvent>,
    /// What happened to its instances, oldest first.
    pub instance_events: Vec<InstanceEvent>,
    /// All that it is about, by their numbers.
    pub instances: Vec<UpdateInstance>,
    /// The groups that it has begun in the direction that it goes, in their order.
    pub batches: Vec<UpdateBatch>,
    /// Its instances without a place, and why.
    pub pending: Vec<PendingTask>,
    /// When it will wait for a pulse, if none comes before; it does already if that has passed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u64>)]
    pub pulse_due_at: Option<Timestamp>,
}

/// Instances and a configuration of theirs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct UpdateSide {
    /// The configuration's number in its job.
    pub config: u32,
    #[schema(value_type = String)]
    pub instances: InstanceSet,
    /// What was written; absent once it has been forgotten.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = job_spec)]
    pub job: Option<JobSpec>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct UpdateEvent {
    #[schema(value_type = u64)]
    pub at: Timestamp,
    #[schema(value_type = String)]
    pub status: Status,
    /// Empty: nobody asked for it.
    pub user: String,
    pub message: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct InstanceEvent {
    #[schema(value_type = u64)]
    pub at: Timestamp,
    pub instance: u32,
    /// `UPDATING`, `UPDATED`, `UPDATE_FAILED`, `ROLLING_BACK`, `ROLLED_BACK`, `ROLLBACK_FAILED`.
    #[schema(value_type = String)]
    pub action: Action,
    pub message: String,
}

/// How far one instance has come.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum UpdateStage {
    /// Its turn has not come.
    Waiting,
    Working,
    Done,
    Failed,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct UpdateInstance {
    pub instance: u32,
    pub stage: UpdateStage,
    /// The state of its run; absent: it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub status: Option<task::Status>,
    /// The number of the configuration that its run has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<u32>,
    /// Of its run, and where that is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Since when it has been in that state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u64>)]
    pub since: Option<Timestamp>,
    /// Why it failed, or what it waits for, if that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// The run that failed, whose logs say more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed_task_id: Option<String>,
}

/// Instances whose turn came together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct UpdateBatch {
    #[schema(value_type = u64)]
    pub at: Timestamp,
    #[schema(value_type = String)]
    pub instances: InstanceSet,
    /// Whether all of them are done or failed.
    pub over: bool,
}

impl UpdateForecast {
    pub(crate) fn new(role: &str, it: forecast::UpdateForecast) -> Self {
        let Order { create, update, remove } = it.order;
        Self {
            add: create,
            update,
            remove,
            unchanged: it.unchanged,
            fits: it.pending.is_empty(),
            placements: it.placements.into_iter().map(Placement::of).collect(),
            pending: it.pending.into_iter().map(Unplaced::of).collect(),
            configs: it.configs.into_iter().map(ConfigDiff::from).collect(),
            quota: QuotaForecast::new(role, &it.quota),
        }
    }
}
