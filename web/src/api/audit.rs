//! Who did what.

use airglow_model::machine::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What somebody asked for, and what came of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AuditEntry {
    /// Grows with each.
    pub number: u64,
    #[schema(value_type = u64)]
    pub at: Timestamp,
    /// `anonymous` while there are no accounts.
    pub user: String,
    /// The address that the request came from.
    pub peer: String,
    #[schema(example = "kill")]
    pub verb: String,
    /// What it was done to: `job/role/environment/name`, `host/name`, `role/name` or `cluster`.
    #[schema(example = "job/www/prod/web")]
    pub target: String,
    /// More of what was asked for, in a sentence.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub details: String,
    /// What whoever asked had to say about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// `under way`, `done`, `refused`, or `unknown` if the scheduler was killed in the middle.
    pub outcome: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u64>)]
    pub ended_at: Option<Timestamp>,
    /// Why it was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}
