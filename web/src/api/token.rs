//! Who may join, and who may not come back.

use airglow_model::machine::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Leave to join the cluster.
#[derive(Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Token {
    /// What its bearer becomes: `agent` or `scheduler`.
    pub purpose: String,
    /// Grows with each rotation, which makes those before it worthless.
    pub generation: u32,
    #[schema(value_type = u64)]
    pub since: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u64>)]
    pub expires_at: Option<Timestamp>,
    /// What a machine has to show. Only those who may see it are told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
}

/// For how long a new token is to be good.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Rotate {
    /// Absent: until the next rotation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    pub expires_secs: Option<u64>,
}

/// A machine that may not come back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RemovedMachine {
    pub machine: String,
    /// What it was called.
    pub host: String,
    #[schema(value_type = u64)]
    pub at: Timestamp,
}
