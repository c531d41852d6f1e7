//! What is not done, and why, in words for whoever asked.

use airglow_model::{
    ids::{HostId, JobKey},
    instances::InstanceSet,
};

/// Nothing was changed; of [`Refusal::NotNow`] this is not always sure.
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
    /// It may be asked again. If the scheduler has crashed or stopped with the request on its way
    /// to the disk, nobody can say whether it got there, and the words say that.
    #[error("not now: {0}")]
    NotNow(String),
}

impl Refusal {
    /// Whoever dealt with the request ended before it could answer.
    pub(crate) fn unknown() -> Self {
        Self::NotNow("it may have been done or not, so look before you try again".into())
    }
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
