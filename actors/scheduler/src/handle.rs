//! The scheduler as others see it.

use std::{io, net::SocketAddr, path::PathBuf};

use airglow_kit::identity::{Authority, IdentityError};
use airglow_model::{
    config,
    ids::{HostId, JobKey, TaskId, TaskKey},
    instances::InstanceSet,
    spec::Limits,
    task::Run,
    wire::{Answer, Question},
};
use airglow_store::{Feed, OpenError, ReadModel, StoreError};

use crate::{Refusal, Unanswered};

#[derive(Clone, Debug)]
pub struct Config {
    /// The folder with the database and the cluster's authority.
    pub data: PathBuf,
    pub cluster: String,
    /// Where agents connect; port 0 takes any that is free.
    pub mesh: SocketAddr,
    pub limits: Limits,
}

#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("cannot make the data folder {path}")]
    Data { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Store(#[from] OpenError),
    #[error("cannot read the database")]
    Read(#[from] StoreError),
    #[error(transparent)]
    Identity(#[from] IdentityError),
    #[error("cannot listen for agents on {addr}")]
    Listen { addr: SocketAddr, source: io::Error },
    #[error("cannot start a thread")]
    Thread(#[source] io::Error),
}

/// Why a running scheduler cannot go on. The process should say so and end; started again, it
/// takes up where it was.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{0}")]
pub struct Failure(pub String);

/// Clones are the same scheduler. It has threads of its own and may be used from any runtime.
#[derive(Clone)]
pub struct Scheduler {}

impl Scheduler {
    /// Comes back when agents can connect and requests be made.
    pub fn start(config: Config) -> Result<Self, StartError> {
        let _ = config;
        unimplemented!()
    }

    /// Ends it, without a word to the agents. Blocks until its threads have ended and the database
    /// is closed, other clones or not; they answer [`Refusal::NotNow`] from then on.
    pub fn stop(&self) {
        unimplemented!()
    }

    /// Waits until the scheduler cannot go on, maybe for ever.
    pub async fn failed(&self) -> Failure {
        unimplemented!()
    }

    pub fn view(&self) -> &ReadModel {
        unimplemented!()
    }

    pub fn feed(&self) -> &Feed {
        unimplemented!()
    }

    pub fn limits(&self) -> &Limits {
        unimplemented!()
    }

    /// Where agents connect.
    pub fn mesh_addr(&self) -> SocketAddr {
        unimplemented!()
    }

    /// Who may be part of this cluster: it issues identities and has the join token.
    pub fn authority(&self) -> &Authority {
        unimplemented!()
    }

    /// The newest `limit` ended runs of a job, or of one instance of it, newest first.
    pub fn history(
        &self,
        job: &JobKey,
        instance: Option<u32>,
        limit: usize,
    ) -> Result<Vec<(TaskKey, Run)>, StoreError> {
        let _ = (job, instance, limit);
        unimplemented!()
    }

    /// An ended run.
    pub fn run(&self, id: &TaskId) -> Result<Option<(TaskKey, Run)>, StoreError> {
        let _ = id;
        unimplemented!()
    }

    /// Makes the job, which must not be active.
    pub async fn create(&self, job: config::Job, by: &str) -> Result<(), Refusal> {
        let _ = (job, by);
        unimplemented!()
    }

    /// `count` more instances of the job's newest configuration. Which ones.
    pub async fn add(&self, job: &JobKey, count: u32) -> Result<InstanceSet, Refusal> {
        let _ = (job, count);
        unimplemented!()
    }

    /// Ends these instances, or all. Which ones were active: it is decided, not done yet.
    pub async fn kill(
        &self,
        job: &JobKey,
        instances: Option<InstanceSet>,
        message: &str,
    ) -> Result<InstanceSet, Refusal> {
        let _ = (job, instances, message);
        unimplemented!()
    }

    /// Ends the current runs of these instances, or of all; new ones take their place.
    pub async fn restart(
        &self,
        job: &JobKey,
        instances: Option<InstanceSet>,
        message: &str,
    ) -> Result<InstanceSet, Refusal> {
        let _ = (job, instances, message);
        unimplemented!()
    }

    pub async fn ask(&self, host: &HostId, question: Question) -> Result<Answer, Unanswered> {
        let _ = (host, question);
        unimplemented!()
    }
}
