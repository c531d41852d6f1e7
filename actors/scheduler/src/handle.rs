//! The scheduler as others see it.

use std::{
    fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, atomic::AtomicU64, mpsc},
    thread::{self, JoinHandle},
    time::Duration,
};

use actix::System;
use airglow_kit::{
    identity::{self, Authority, Bearer, Identity, IdentityError, LIFE, Role},
    link::Listener,
    now,
};
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
    view::View,
    webhook::Hook,
    wire::{Answer, Question},
};
use airglow_store::{FILE, Feed, OpenError, ReadModel, Scribe, Store, StoreError};
use tokio::{
    sync::{oneshot, watch},
    task::spawn_blocking,
};

use crate::{
    Refusal, Stats, Unanswered,
    admission::{Answer as Answered, Request},
    door::Door,
    hosts::{Ask, TakeStock},
    lines::Lines,
    matchmaker::Double,
    pruner::Prune,
    root::{self, Soil},
    surveyor::Surveys,
};

mod access;
mod audit;
mod backup;
mod cron;
mod joining;
mod maintenance;
mod past;
mod updates;

pub use updates::StartUpdate;

pub use access::AccessError;
pub use audit::Intent;
pub use backup::NoBackup;

/// The folder of the cluster's authority, in the data folder.
pub(crate) const AUTHORITY: &str = "authority";

/// The folder of backups, if it is nowhere else.
const BACKUPS: &str = "backups";

#[derive(Clone, Debug)]
pub struct Config {
    /// The folder with the database and the cluster's authority.
    pub data: PathBuf,
    pub cluster: String,
    /// Where agents connect; port 0 takes any that is free.
    pub mesh: SocketAddr,
    pub limits: Limits,
    pub policy: Policy,
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
    /// The number of the first entry of the audit trail since it was started.
    first_audit: u64,
    next_audit: AtomicU64,
    /// Held while users or passes change.
    access: tokio::sync::Mutex<()>,
    running: Mutex<Option<Running>>,
    failed: watch::Receiver<Option<Failure>>,
}

struct Running {
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

impl Scheduler {
    /// Comes back when agents can connect and requests be made.
    #[expect(clippy::too_many_lines, reason = "it is one list of what there is")]
    pub fn start(config: Config) -> Result<Self, StartError> {
        let Config { data, cluster, mesh, limits, mut policy } = config;
        policy.backup.folder.get_or_insert_with(|| data.join(BACKUPS));
        let store = open(&data)?;
        let view = ReadModel::load_into(View::of(&policy.scheduling), &store)?;
        let feed = Feed::new(store.seq()?);
        let (authority, identity) = certified(&data, &cluster, policy.certificate_life)?;
        let former = authority.former()?;
        let (failing, store_failed) = oneshot::channel();
        let (lines, stats, surveys) = <(Lines, Stats, Surveys)>::default();
        let (hooks, first_audit) = (policy.webhooks.clone(), store.last_audit()? + 1);
        let books = (store.clone(), view.clone(), feed.clone());
        let scribe = writing(books, hooks, &stats, failing);
        let mut soil = Soil {
            cluster,
            mesh,
            rules: Rules { instances_max: limits.tasks_per_job_max, quota: policy.quota },
            policy: policy.clone(),
            sla: policy.sla,
            feed: feed.clone(),
            view: view.clone(),
            scribe,
            store: store.clone(),
            keep: policy.history.clone(),
            stats: stats.clone(),
            surveys: surveys.clone(),
            lines: lines.clone(),
            authority: authority.clone(),
            former,
            data,
        };
        let (stop, stopped) = oneshot::channel();
        let (fail, failed) = watch::channel(None);
        let (ready, is_ready) = mpsc::channel();
        let by = authority.clone();
        let door = Door::new(&view, &authority, &stats);
        let work = async move {
            let listener = match Listener::bind(mesh, &identity, by, Arc::new(door)).await {
                Ok(listener) => listener,
                Err(source) => {
                    // Whoever tries again at once finds the database closed.
                    drop(soil);
                    store_failed.await.ok();
                    return ready.send(Err(source)).unwrap_or_default();
                }
            };
            let addr = listener.local_addr();
            soil.mesh = addr;
            let ready = move || ready.send(Ok(addr)).unwrap_or_default();
            let failure = root::run(soil, listener, store_failed, stopped, ready).await;
            if let Some(failure) = failure {
                tracing::error!(%failure, "the scheduler cannot go on");
                fail.send_replace(Some(failure));
            }
        };
        let thread = on_a_thread(work)?;
        let ready = is_ready.recv().expect("it says whether it could start");
        let mesh = ready.map_err(|source| StartError::Listen { addr: mesh, source })?;
        let (running, store) =
            (Mutex::new(Some(Running { stop, thread })), Mutex::new(Some(store)));
        let inner = Inner {
            view,
            feed,
            limits,
            policy,
            mesh,
            authority,
            lines,
            stats,
            surveys,
            store,
            first_audit,
            next_audit: AtomicU64::new(first_audit),
            access: tokio::sync::Mutex::default(),
            running,
            failed,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Ends it, without a word to the agents. Blocks until its threads have ended and the database
    /// is closed, other clones or not; they answer [`Refusal::NotNow`] from then on.
    pub fn stop(&self) {
        self.inner.stop();
    }

    /// Waits until the scheduler cannot go on, maybe for ever.
    pub async fn failed(&self) -> Failure {
        let mut failed = self.inner.failed.clone();
        let failure = failed.wait_for(Option::is_some).await.ok().and_then(|it| it.clone());
        match failure {
            Some(failure) => failure,
            // It has stopped, and that is no failure.
            None => std::future::pending().await,
        }
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

/// A scribe whose work is counted.
fn on_a_thread(
    work: impl Future<Output = ()> + Send + 'static,
) -> Result<JoinHandle<()>, StartError> {
    let thread = thread::Builder::new().name("scheduler".into());
    thread.spawn(|| System::new().block_on(work)).map_err(StartError::Thread)
}

fn open(data: &Path) -> Result<Store, StartError> {
    let unmade = |source| StartError::Data { path: data.to_owned(), source };
    fs::create_dir_all(data).map_err(unmade)?;
    Ok(Store::open(&data.join(FILE))?)
}

/// The cluster's authority, and who this scheduler is by it.
fn certified(
    data: &Path,
    cluster: &str,
    life: Option<Duration>,
) -> Result<(Arc<Authority>, Identity), StartError> {
    let authority = Authority::open_or_create(&data.join(AUTHORITY), cluster)?;
    let authority = authority.living(life.unwrap_or(LIFE));
    let machine = Some(identity::machine(data)?);
    let bearer = Bearer { name: cluster.to_owned(), role: Role::Scheduler, machine };
    let identity = authority.issue_to(&bearer)?;
    Ok((Arc::new(authority), identity))
}

fn writing(
    books: (Store, ReadModel, Feed),
    hooks: Vec<Hook>,
    stats: &Stats,
    failing: oneshot::Sender<StoreError>,
) -> Scribe {
    let counted = stats.clone();
    let scribe = Scribe::start_telling(books, hooks, failing, move |it| counted.written(it));
    stats.watch(scribe.line());
    scribe
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
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(Running { stop, thread }) = running else { return };
        *self.store.lock().unwrap_or_else(PoisonError::into_inner) = None;
        // It may have ended by itself.
        stop.send(()).ok();
        if thread.join().is_err() {
            tracing::error!("the scheduler's thread panicked");
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.stop();
    }
}
