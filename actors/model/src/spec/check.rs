//! From what somebody wrote to what the cluster takes, or everything that is wrong with it.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{config::Job, spec::JobSpec};


/// One thing wrong with a job, and where.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
pub struct Complaint {
    /// A JSON pointer into the job, such as `/task/processes/0/name`; empty for the whole.
    pub pointer: String,
    /// What is wrong and what would be right.
    pub detail: String,
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.pointer, self.detail)
    }
}

/// What this cluster allows.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Limits {
    pub cluster: String,
    pub tasks_per_job_max: u32,
    /// Tier names; the first is the default.
    pub tiers: Vec<String>,
    pub gpus_allowed: bool,
}

impl JobSpec {
    /// The job that this describes.
    ///
    /// # Errors
    /// Everything that is wrong with it, not the first thing only.
    pub fn check(self, limits: &Limits) -> Result<Job, Vec<Complaint>> {
        let _ = limits;
        Err(vec![])
    }
}
