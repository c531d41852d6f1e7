//! How much of a cluster's dependable resources each role may have.
//!
//! Only production work (neither preemptible nor revocable) on shared hosts is limited; what gives
//! way to others, and what brings its own hosts, is counted for people to look at.

use serde::{Deserialize, Serialize};

use crate::{machine::Timestamp, resources::Resources};

/// What a role may have. GPUs are not part of it, and always 0 here.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Quota {
    pub limit: Resources,
    pub set_at: Timestamp,
    pub set_by: String,
}

/// What a role has.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct Consumption {
    /// The only one that is limited.
    pub prod_shared: Resources,
    pub nonprod_shared: Resources,
    pub prod_dedicated: Resources,
    pub nonprod_dedicated: Resources,
}
