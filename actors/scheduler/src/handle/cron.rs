//! Jobs that run by the clock, as others ask for them.

use std::sync::Arc;

use airglow_model::{
    admission::Wish,
    config,
    cron::{Order, Timetable},
    ids::JobKey,
};

use super::Scheduler;
use crate::Refusal;

impl Scheduler {
    /// Has the job run by the clock, from now on or in another way than before. Whether it did not
    /// already.
    pub async fn schedule(&self, job: config::Job, by: &str) -> Result<bool, Refusal> {
        let config::Job { key, config, instances, cron, .. } = job;
        let Some(rule) = cron else { return Err(Refusal::NotCron(key)) };
        let zone = rule.zone.clone().unwrap_or_else(|| self.inner.policy.clock.clone());
        let (config, by) = (Arc::new(config), by.to_owned());
        let is_new = self.timetable(&key).is_none();
        let order = Box::new(Order { config, instances, rule, zone, by });
        self.wish(&key, Wish::Schedule(order)).await.map(|_| is_new)
    }

    /// The job does not run by the clock any more; what runs of it runs on.
    pub async fn deschedule(&self, job: &JobKey) -> Result<(), Refusal> {
        self.wish(job, Wish::Deschedule).await.map(drop)
    }

    /// One run of the job now, as if it was due. What came of that: it is about to start, or waits,
    /// or is skipped.
    pub async fn start_cron(&self, job: &JobKey, by: &str) -> Result<Timetable, Refusal> {
        self.wish(job, Wish::Start { by: by.to_owned() }).await?;
        self.timetable(job).ok_or_else(|| Refusal::NotCron(job.clone()))
    }

    fn timetable(&self, job: &JobKey) -> Option<Timetable> {
        self.view().read(|view| view.jobs.get(job)?.cron.clone())
    }
}
