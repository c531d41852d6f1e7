//! The scheduler as others see it.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use airglow_kit::{identity::Authority, now};
use airglow_model::{
    admission::{Rules, Wish, admit_all},
    config,
    forecast::{Forecast, draft, forecast, preempt},
    ids::{HostId, JobKey},
    instances::InstanceSet,
    policy::Policy,
    pruning::Selection,
    quota::{self, Consumption, Quota},
    resources::Resources,
    spec::Limits,
    wire::{Answer, Question},
};
use airglow_store::{Feed, ReadModel, Store, StoreError};
use tokio::{sync::oneshot, task::spawn_blocking};

use crate::{
    Refusal, Stats, Unanswered,
    admission::{Answer as Answered, Request},
    hosts::{Ask, TakeStock},
    lines::Lines,
    matchmaker::Double,
    peers::House,
    pruner::Prune,
    reigns::Standing,
    surveyor::Surveys,
};

mod access;
mod audit;
mod backup;
mod cron;
mod joining;
mod maintenance;
mod members;
mod past;
mod starting;
mod updates;

pub use updates::StartUpdate;

pub use access::AccessError;
pub use audit::Intent;
use audit::Numbers;
pub use backup::NoBackup;
pub use members::Progress;
use starting::Life;
pub(crate) use starting::open;
pub use starting::{AUTHORITY, Config, StartError};

/// Why a running scheduler cannot go on. The process should say so and end; started again, it
/// takes up where it was.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{0}")]
pub struct Failure(pub String);

/// Clones are the same scheduler. It has threads of its own and may be used from any runtime; it
/// ends with its last clone.
#[derive(Clone)]
pub struct Scheduler {
    inner: Arc<Inner>,
}

struct Inner {
    view: ReadModel,
    feed: Feed,
    limits: Limits,
    policy: Policy,
    mesh: SocketAddr,
    authority: Arc<Authority>,
    lines: Lines,
    stats: Stats,
    surveys: Surveys,
    store: Mutex<Option<Store>>,
    audit: Arc<Numbers>,
    house: Arc<House>,
    /// Held while users or passes change.
    access: tokio::sync::Mutex<()>,
    life: Life,
}

impl Scheduler {
    /// Ends it, without a word to the agents. Blocks until its threads have ended and the database
    /// is closed, other clones or not; they answer [`Refusal::NotNow`] from then on.
    pub fn stop(&self) {
        self.inner.stop();
    }

    /// Waits until the scheduler cannot go on, maybe for ever.
    pub async fn failed(&self) -> Failure {
        self.inner.life.failed().await
    }

    pub fn view(&self) -> &ReadModel {
        &self.inner.view
    }

    pub fn feed(&self) -> &Feed {
        &self.inner.feed
    }

    pub fn limits(&self) -> &Limits {
        &self.inner.limits
    }

    /// Where agents connect.
    pub fn mesh_addr(&self) -> SocketAddr {
        self.inner.mesh
    }

    /// Who may be part of this cluster: it issues identities and makes the join tokens.
    pub fn authority(&self) -> &Authority {
        &self.inner.authority
    }

    /// Makes the job, which must not be active.
    pub async fn create(&self, job: config::Job, by: &str) -> Result<(), Refusal> {
        let config::Job { key, config, instances, .. } = job;
        let wish = Wish::Create { config: Arc::new(config), instances, by: by.to_owned() };
        self.wish(&key, wish).await.map(drop)
    }

    /// Whether all of these could be created now, one after the other: asked before the first of
    /// them is, so that usually nothing has to be taken back.
    pub fn admits(&self, jobs: &[config::Job]) -> Result<(), Refusal> {
        self.view().read(|view| admit_all(view, jobs, self.inner.rules()))
    }

    /// What the creation of these jobs would come to, of each after those before it. Nothing
    /// changes.
    pub async fn forecast(&self, jobs: Vec<config::Job>) -> Result<Vec<Forecast>, Refusal> {
        let entities = self.inner.lines.entities().ok_or_else(not_now)?;
        let mut double = entities.matchmaker.send(Double).await.map_err(|_| not_now())?;
        let (view, rules, at) = (self.view().clone(), self.inner.rules(), now());
        let preemption = self.inner.policy.preemption.clone();
        let think = move || {
            let drafts = view.read(|view| {
                double.catch_up(view);
                draft(view, rules, at, &jobs)
            });
            let mut forecasts = forecast(drafts, &mut double, at);
            if forecasts.iter().any(|it| !it.pending.is_empty()) {
                view.read(|view| preempt(&mut forecasts, &mut double, at, view, &preemption));
            }
            forecasts
        };
        spawn_blocking(think).await.map_err(|_| not_now())
    }

    /// `count` more instances of the job's newest configuration. Which ones.
    pub async fn add(&self, job: &JobKey, count: u32) -> Result<InstanceSet, Refusal> {
        self.wish(job, Wish::Add { count }).await
    }

    /// Ends these instances, or all. Which ones were active: it is decided, not done yet.
    pub async fn kill(
        &self,
        job: &JobKey,
        instances: Option<InstanceSet>,
        message: &str,
    ) -> Result<InstanceSet, Refusal> {
        self.wish(job, Wish::Kill { instances, message: message.to_owned() }).await
    }

    /// Ends the current runs of these instances, or of all; new ones take their place. Each of them
    /// has decided what that means when this answers.
    pub async fn restart(
        &self,
        job: &JobKey,
        instances: Option<InstanceSet>,
        message: &str,
    ) -> Result<InstanceSet, Refusal> {
        self.wish(job, Wish::Restart { instances, message: message.to_owned() }).await
    }

    /// What a role may have of what is limited (`None`: anything), and what it has.
    pub fn quota(&self, role: &str) -> (Option<Resources>, Consumption) {
        let rules = self.inner.policy.quota;
        self.view().read(|view| (rules.limit(view, role), quota::used(view, role)))
    }

    /// What a role may have from now on; GPUs are no part of it. No less than it has already.
    pub async fn set_quota(&self, role: &str, limit: Resources, by: &str) -> Result<(), Refusal> {
        let limit = Resources { gpus: 0, ..limit };
        let quota = Quota { limit, set_at: now(), set_by: by.to_owned() };
        self.request(|reply| Request::Quota { role: role.to_owned(), quota, reply }).await
    }

    /// Forgets ended runs now, however young they are. How many.
    pub async fn prune(&self, what: Selection) -> Result<u64, Refusal> {
        let pruner = self.inner.lines.pruner().ok_or_else(not_now)?;
        let (reply, answer) = oneshot::channel();
        pruner.do_send(Prune { what, reply });
        let unreadable =
            |error: StoreError| Refusal::NotNow(format!("the history cannot be read: {error}"));
        answer.await.map_err(|_| Refusal::unknown())?.map_err(unreadable)
    }

    /// Asks this host, or all, what they have, and corrects what differs. How many were connected
    /// and asked.
    pub async fn reconcile(&self, host: Option<HostId>) -> Result<usize, Refusal> {
        let not_now = || Refusal::NotNow("the scheduler is starting or stopping".into());
        let entities = self.inner.lines.entities().ok_or_else(not_now)?;
        entities.switchboard.send(TakeStock(host)).await.map_err(|_| Refusal::unknown())
    }

    /// What was counted since it started.
    pub fn stats(&self) -> &Stats {
        &self.inner.stats
    }

    pub async fn ask(&self, host: &HostId, question: Question) -> Result<Answer, Unanswered> {
        let not_connected = || Unanswered::NotConnected(host.clone());
        let entities = self.inner.lines.entities().ok_or_else(not_connected)?;
        let (reply, answer) = oneshot::channel();
        entities.switchboard.do_send(Ask { host: host.clone(), question, reply });
        answer.await.unwrap_or_else(|_| Err(Unanswered::Ended(host.clone())))
    }

    #[cfg(test)]
    pub(crate) fn lines(&self) -> &Lines {
        &self.inner.lines
    }

    async fn wish(&self, job: &JobKey, wish: Wish) -> Result<InstanceSet, Refusal> {
        self.request(|reply| Request::Job { job: job.clone(), wish, reply }).await
    }

    async fn request<T>(
        &self,
        request: impl FnOnce(oneshot::Sender<Answered<T>>) -> Request,
    ) -> Answered<T> {
        let entities = self.inner.lines.entities().ok_or_else(not_now)?;
        let (reply, answer) = oneshot::channel();
        entities.admission.do_send(request(reply));
        answer.await.unwrap_or_else(|_| Err(Refusal::unknown()))
    }
}

pub(crate) fn not_now() -> Refusal {
    Refusal::NotNow("the scheduler is starting or stopping".into())
}

impl Inner {
    fn rules(&self) -> Rules {
        Rules { instances_max: self.limits.tasks_per_job_max, quota: self.policy.quota }
    }

    fn store(&self) -> Option<Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn stop(&self) {
        self.life.end(|| {
            *self.store.lock().unwrap_or_else(PoisonError::into_inner) = None;
        });
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.stop();
    }
}
