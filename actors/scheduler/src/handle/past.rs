//! What has been: runs that ended, and how services have been doing.

use airglow_model::{
    ids::{JobKey, TaskId, TaskKey},
    sla::Wanted,
    task::Run,
};

use super::{Scheduler, StoreError, Surveys};
use crate::surveyor::{Surveyed, survey_of};

impl Scheduler {
    /// The newest `limit` ended runs of a job, or of one instance of it, newest first.
    pub fn history(
        &self,
        job: &JobKey,
        instance: Option<u32>,
        limit: usize,
    ) -> Result<Vec<(TaskKey, Run)>, StoreError> {
        self.inner.store().map_or(Ok(Vec::new()), |it| it.history(job, instance, limit))
    }

    /// An ended run.
    pub fn run(&self, id: &TaskId) -> Result<Option<(TaskKey, Run)>, StoreError> {
        self.inner.store().map_or(Ok(None), |it| it.run(id))
    }

    /// How all services have been doing lately.
    pub fn surveys(&self) -> &Surveys {
        &self.inner.surveys
    }

    /// How one has been doing, as of now; nothing if it is no service that is active.
    pub fn survey(&self, job: &JobKey, wanted: &Wanted) -> Result<Option<Surveyed>, StoreError> {
        let store = self.inner.store();
        store.map_or(Ok(None), |store| survey_of((self.view(), &store), job, wanted))
    }
}
