//! What is not done, and why, in words for whoever asked.

use airglow_model::{
    ids::{HostId, JobKey},
    instances::InstanceSet,
};

/// Nothing was changed.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Refusal {
    #[error("job {0} is already active")]
    JobExists(JobKey),
    #[error("there is no active job {0}")]
    NoSuchJob(JobKey),
    #[error("job {job} has no active instances among {instances}")]
    NoInstances { job: JobKey, instances: InstanceSet },
    #[error("job {job} would have {asked} instances, and {allowed} are allowed")]
    TooMany { job: JobKey, asked: u64, allowed: u32 },
    /// It may be asked again.
    #[error("not now: {0}")]
    NotNow(String),
}

/// A host was asked something, and there is no answer.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Unanswered {
    #[error("host {0} is not connected")]
    NotConnected(HostId),
    #[error("host {0} did not answer in time")]
    TimedOut(HostId),
    #[error("the connection to host {0} ended before it answered")]
    Ended(HostId),
}
