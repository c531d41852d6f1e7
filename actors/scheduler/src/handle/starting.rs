//! How a scheduler starts, and ends.

use std::{
    fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, mpsc},
    thread::{self, JoinHandle},
    time::Duration,
};

use actix::System;
use airglow_kit::{
    identity::{self, Authority, Bearer, Identity, IdentityError, LIFE, Role},
    link::Listener,
};
use airglow_model::{admission::Rules, policy::Policy, spec::Limits, view::View};
use airglow_store::{FILE, Feed, OpenError, ReadModel, Scribe, Store, StoreError};
use tokio::sync::{oneshot, watch};

use super::{Failure, Inner, Scheduler, audit::Numbers};
use crate::{
    Stats,
    door::Door,
    lines::Lines,
    peers::{Gate, House, Peering, Ways},
    reigns::{Memory, Reigns, Sharing, Standing},
    root::{Plant, Soil},
    surveyor::Surveys,
};

/// The folder of the cluster's authority, in the data folder.
pub const AUTHORITY: &str = "authority";

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
    #[error(
        "the scheduler in {} was to share the records of others and has not joined them yet: say \
         --join HOST:PORT with the schedulers' token once more, or move it away", data.display()
    )]
    NotJoined { data: PathBuf },
}

/// What is the same for all of a scheduler's life, whoever decides.
#[derive(Clone)]
struct Ground {
    cluster: String,
    limits: Limits,
    policy: Policy,
    books: (Store, ReadModel, Feed),
    lines: Lines,
    stats: Stats,
    surveys: Surveys,
    audit: Arc<Numbers>,
    authority: Arc<Authority>,
    former: Option<String>,
    house: Arc<House>,
    data: PathBuf,
}

impl Ground {
    fn sharing(
        &self,
        house: Arc<House>,
        ways: Ways,
        join: Vec<SocketAddr>,
        folder: PathBuf,
    ) -> Sharing {
        Sharing {
            house,
            ways,
            join,
            folder,
            books: self.books.clone(),
            empty: View::of(&self.policy.scheduling),
            hooks: self.policy.webhooks.clone(),
            stats: self.stats.clone(),
        }
    }

    /// What whoever begins to decide begins with.
    fn plant(self) -> impl Fn(Scribe) -> Soil + Send {
        let quota = self.policy.quota;
        let rules = Rules { instances_max: self.limits.tasks_per_job_max, quota };
        move |scribe| {
            let (store, view, feed) = self.books.clone();
            // Others may have written meanwhile.
            self.audit.begin_after(store.last_audit());
            self.stats.watch(scribe.line());
            Soil {
                cluster: self.cluster.clone(),
                rules,
                policy: self.policy.clone(),
                sla: self.policy.sla,
                feed,
                view,
                scribe,
                store,
                keep: self.policy.history.clone(),
                stats: self.stats.clone(),
                surveys: self.surveys.clone(),
                lines: self.lines.clone(),
                authority: self.authority.clone(),
                former: self.former.clone(),
                house: self.house.clone(),
                data: self.data.clone(),
            }
        }
    }
}

/// What goes on in a thread, and how that is.
pub(super) struct Life {
    /// None once it was ended.
    running: Mutex<Option<Running>>,
    standing: watch::Receiver<Standing>,
    failed: watch::Receiver<Option<Failure>>,
}

struct Running {
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

impl Life {
    pub(super) fn standing(&self) -> Standing {
        self.standing.borrow().clone()
    }

    pub(super) async fn leads_no_more(&self) {
        // Whoever has ended does not decide either.
        self.standing.clone().wait_for(|it| *it != Standing::Leads).await.ok();
    }

    /// Waits until it cannot go on, maybe for ever.
    pub(super) async fn failed(&self) -> Failure {
        let mut failed = self.failed.clone();
        let failure = failed.wait_for(Option::is_some).await.ok().and_then(|it| it.clone());
        match failure {
            Some(failure) => failure,
            // It has stopped, and that is no failure.
            None => std::future::pending().await,
        }
    }

    /// Blocks until it has ended. `before` is done just before it is told to, if it is not told yet.
    pub(super) fn end(&self, before: impl FnOnce()) {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(Running { stop, thread }) = running else { return };
        before();
        // It may have ended by itself.
        stop.send(()).ok();
        if thread.join().is_err() {
            tracing::error!("the scheduler's thread panicked");
        }
    }
}

impl Scheduler {
    /// Comes back when agents can connect and requests be made.
    pub fn start(config: Config) -> Result<Self, StartError> {
        Self::start_among(config, Peering::default())
    }

    /// The same for one that others are to know, or that is to join them. Until it leads it only
    /// answers requests about itself.
    pub fn start_among(config: Config, peering: Peering) -> Result<Self, StartError> {
        let Config { data, cluster, mesh, limits, mut policy } = config;
        policy.backup.folder.get_or_insert_with(|| data.join(BACKUPS));
        let store = open(&data)?;
        let member = store.membership()?;
        let view = ReadModel::load_into(View::of(&policy.scheduling), &store)?;
        let feed = Feed::new(store.seq()?);
        let (authority, identity) = certified(&data, &cluster, (member, policy.certificate_life))?;
        let former = authority.former()?;
        let stats = Stats::default();
        let door = Door::new(&view, &authority, &stats);
        let me = (&peering, cluster.as_str(), member.is_some());
        let (gate, house) = open_gate((mesh, identity, door), me, &authority)?;
        let mesh = gate.local_addr();
        let ground = Ground {
            cluster,
            limits,
            policy,
            books: (store.clone(), view, feed),
            lines: Lines::default(),
            stats,
            surveys: Surveys::default(),
            audit: Arc::new(Numbers::after(store.last_audit()?)),
            authority: authority.clone(),
            former,
            house: house.clone(),
            data: data.clone(),
        };
        let ways = Ways { authority: authority.clone(), name: house.me.name.clone() };
        let sharing = ground.sharing(house.clone(), ways, peering.join, data);
        let (memory, store_failed) = remembering(member, &sharing)?;
        let plant = Box::new(ground.clone().plant());
        let life = set_going((plant, sharing), gate, (memory, store_failed))?;
        let Ground { books: (_, view, feed), limits, policy, lines, stats, surveys, audit, .. } =
            ground;
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
            store: Mutex::new(Some(store)),
            audit,
            house,
            access: tokio::sync::Mutex::default(),
            life,
        };
        Ok(Self { inner: Arc::new(inner) })
    }
}

fn open_gate(
    (mesh, identity, door): (SocketAddr, Identity, Door),
    (peering, cluster, shares): (&Peering, &str, bool),
    authority: &Arc<Authority>,
) -> Result<(Gate, Arc<House>), StartError> {
    let by = Arc::clone(authority);
    let listen = async move { Listener::bind(mesh, &identity, by, Arc::new(door)).await };
    let (cluster, peering) = (cluster.to_owned(), peering.clone());
    let house = move |mesh| Arc::new(House::new(peering.member(&cluster, mesh), cluster, shares));
    Gate::open(listen, house).map_err(|source| StartError::Listen { addr: mesh, source })
}

/// A scribe whose work is counted, or what makes one for each reign.
fn remembering(
    member: Option<u64>,
    sharing: &Sharing,
) -> Result<(Memory, oneshot::Receiver<StoreError>), StartError> {
    if let Some(id) = member {
        let (replica, failed) = sharing.replica(id)?;
        return Ok((Memory::Shared(replica), failed));
    }
    let (failing, failed) = oneshot::channel();
    let counted = sharing.stats.clone();
    let tell_of = move |it| counted.written(it);
    let scribe =
        Scribe::start_telling(sharing.books.clone(), sharing.hooks.clone(), failing, tell_of);
    Ok((Memory::Own(scribe), failed))
}

/// Comes back when it decides or follows; what it stands for, and why it cannot go on, if it cannot,
/// are told from then on.
fn set_going(
    (plant, sharing): (Plant, Sharing),
    gate: Gate,
    (memory, store_failed): (Memory, oneshot::Receiver<StoreError>),
) -> Result<Life, StartError> {
    let (stop, stopped) = oneshot::channel();
    let (fail, failed) = watch::channel(None);
    let (stand, standing) = watch::channel(Standing::Follows(None));
    let (ready, is_ready) = mpsc::channel();
    let thread = on_a_thread(async move {
        let reigns = Reigns { plant, sharing, gate, store_failed, stop: stopped, standing: stand };
        let ready = move || ready.send(()).unwrap_or_default();
        if let Some(failure) = reigns.run(memory, ready).await {
            tracing::error!(%failure, "the scheduler cannot go on");
            fail.send_replace(Some(failure));
        }
    })?;
    // If it hangs up without a word it has failed already, and says so to whoever asks.
    is_ready.recv().ok();
    Ok(Life { running: Mutex::new(Some(Running { stop, thread })), standing, failed })
}

fn on_a_thread(
    work: impl Future<Output = ()> + Send + 'static,
) -> Result<JoinHandle<()>, StartError> {
    let thread = thread::Builder::new().name("scheduler".into());
    thread.spawn(|| System::new().block_on(work)).map_err(StartError::Thread)
}

pub(crate) fn open(data: &Path) -> Result<Store, StartError> {
    let unmade = |source| StartError::Data { path: data.to_owned(), source };
    fs::create_dir_all(data).map_err(unmade)?;
    Ok(Store::open(&data.join(FILE))?)
}

/// The cluster's authority, and who this scheduler is by it.
fn certified(
    data: &Path,
    cluster: &str,
    (member, life): (Option<u64>, Option<Duration>),
) -> Result<(Arc<Authority>, Identity), StartError> {
    let folder = data.join(AUTHORITY);
    let authority = match member {
        Some(_) => Authority::open(&folder)?,
        None => Some(Authority::open_or_create(&folder, cluster)?),
    };
    let authority = authority.ok_or_else(|| StartError::NotJoined { data: data.to_owned() })?;
    let authority = authority.living(life.unwrap_or(LIFE));
    let machine = Some(identity::machine(data)?);
    let bearer = Bearer { name: cluster.to_owned(), role: Role::Scheduler, machine };
    let identity = authority.issue_to(&bearer)?;
    Ok((Arc::new(authority), identity))
}
