//! Backups of the cluster's memory.

use airglow_model::machine::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A backup that is on the scheduler's machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Snapshot {
    #[schema(example = "west-20261201T001500Z-12345.airglow")]
    pub name: String,
    /// Where it is there.
    pub path: String,
    #[schema(value_type = u64)]
    pub made_at: Timestamp,
    /// The newest transaction in it.
    pub seq: u64,
    pub bytes: u64,
}

/// What there is to go back to, and how it comes to be there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Snapshots {
    /// Newest first.
    pub items: Vec<Snapshot>,
    pub folder: String,
    /// How often one is made without being asked for, if ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every_secs: Option<u64>,
    pub keep: usize,
    /// Why the last attempt failed, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<SnapshotFailure>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SnapshotFailure {
    #[schema(value_type = u64)]
    pub at: Timestamp,
    pub why: String,
}
