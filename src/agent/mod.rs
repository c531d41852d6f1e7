//! One machine's part of the mesh: an executor always, a scheduler and its face if asked for.
//!
//! Wiring only. What is started here is stopped in the reverse order, and a task outlives all of
//! it, unless the agent is a [`dev`] one.

mod alone;
mod dev;
mod face;
mod finding;
mod foreground;
mod peers;
mod settings;

use std::{
    io,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    time::Duration,
};

use airglow_executor::{self as executor, Credentials, Executor};
use airglow_kit::{
    discovery::Announcement,
    identity::{self, Bearer, Identity, JoinToken, Role},
    link, now,
};
use airglow_model::{
    discovery::Sought,
    ids::{HostId, MachineId},
    resources::Attributes,
};
use airglow_scheduler::{self as scheduler, SCHEDULER, Scheduler, finish_restore};
use anyhow::{Context, Result, anyhow, bail};

pub(crate) use alone::{Solo, SoloOptions};
pub(crate) use dev::{Dev, DevOptions};
pub(crate) use settings::{AgentOptions, DATA, Settings, SimulatedTable};

/// How long a port may be held by what is left of an agent that was killed.
const PREDECESSOR_GONE_WITHIN: Duration = Duration::from_secs(1);

/// Runs an agent until it is told to end or cannot go on. Its tasks stay.
pub(crate) fn run(options: AgentOptions) -> Result<()> {
    let settings = Settings::gather(options)?;
    tracing::info!("{}", tasks_run_as(settings.run_as));
    actix_rt::System::new().block_on(async {
        let scheduler =
            if settings.scheduler { Some(Deciding::start(&settings).await?) } else { None };
        let mut executor = match &scheduler {
            Some(it) => start_executor(&settings, it.credentials(&settings)?, vec![it.mesh()]),
            None => {
                let (credentials, schedulers) = joined(&settings).await?;
                start_executor(&settings, credentials, schedulers)
            }
        }?;
        let ended = tokio::select! {
            why = broken(scheduler.as_ref(), &mut executor) => Err(why),
            told = told_to_end() => told,
        };
        executor.stop(true).await;
        if let Some(scheduler) = scheduler {
            scheduler.stop().await;
        }
        ended
    })
}

/// Comes back only if a part of the agent cannot go on: then why.
async fn broken(scheduler: Option<&Deciding>, executor: &mut Executor) -> anyhow::Error {
    let scheduler = async {
        match scheduler {
            Some(it) => it.scheduler.failed().await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        failure = scheduler => failure.into(),
        why = executor.gave_up() => anyhow!("the executor cannot go on: {why}"),
    }
}

/// The part of an agent that decides, and the pages that show it.
struct Deciding {
    scheduler: Scheduler,
    /// Taken back before the rest ends.
    _announcement: Option<Announcement>,
    server: actix_web::dev::ServerHandle,
    api: SocketAddr,
}

impl Deciding {
    async fn start(settings: &Settings) -> Result<Self> {
        // Bound before anything is touched: a port in use is the likeliest mistake.
        let listener = bind(settings.api).await?;
        let api = listener.local_addr()?;
        if let Some(restored) = finish_restore(&settings.data)? {
            tracing::warn!(?restored, "a restore that was interrupted has been finished");
        }
        let join = peers::join(settings).await?;
        let config = scheduler::Config {
            data: settings.data.join(SCHEDULER),
            cluster: settings.cluster.clone(),
            mesh: settings.mesh,
            limits: settings.rules.limits.clone(),
            policy: settings.rules.policy.clone(),
        };
        let scheduler = Scheduler::start_among(config, peers::peering(settings, api, join))?;
        let pages = face::put_on(settings, &scheduler, api)?;
        let server = airglow_web::serve(scheduler.clone(), listener, pages)?;
        let handle = server.handle();
        actix_rt::spawn(server);
        let mesh = scheduler.mesh_addr();
        tracing::info!(%api, %mesh, "scheduling");
        let authority = scheduler.authority().pin();
        let announcement = finding::announce(settings, mesh, &authority);
        Ok(Self { scheduler, _announcement: announcement, server: handle, api })
    }

    /// Certified anew at every start.
    fn credentials(&self, settings: &Settings) -> Result<Credentials> {
        let machine = identity::machine(&settings.data)?;
        let (name, role) = (settings.host.to_string(), Role::Agent);
        let bearer = Bearer { name, role, machine: Some(machine.clone()) };
        let identity = self.scheduler.authority().issue_to(&bearer)?;
        Ok(Credentials { identity, machine, kept: None, token: None })
    }

    /// Where this machine's own executor finds it, whatever address it listens on.
    fn mesh(&self) -> SocketAddr {
        let mut addr = self.scheduler.mesh_addr();
        if addr.ip().is_unspecified() {
            addr.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
        }
        addr
    }

    async fn stop(self) {
        self.server.stop(false).await;
        self.scheduler.stop();
    }
}

/// The identity that this machine got when it joined, or gets now; and whom it belongs to.
async fn joined(settings: &Settings) -> Result<(Credentials, Vec<SocketAddr>)> {
    let dir = settings.data.join("identity");
    let machine = identity::machine(&settings.data)?;
    let token = settings.token.clone();
    let (identity, schedulers) = match Identity::load(&dir)? {
        Some(identity) => (identity, settings.join.into_iter().collect()),
        None => {
            let Some(token) = &token else {
                bail!(
                    "this machine has not joined yet: put the token that `airglow admin token show` \
                     prints where the scheduler is into AIRGLOW_TOKEN, or into a file that token_file \
                     names in the settings"
                );
            };
            join(settings, token, &machine).await?
        }
    };
    Ok((Credentials { identity, machine, kept: Some(dir), token }, schedulers))
}

async fn join(
    settings: &Settings,
    token: &JoinToken,
    machine: &MachineId,
) -> Result<(Identity, Vec<SocketAddr>)> {
    let schedulers = match settings.join {
        Some(scheduler) => vec![scheduler],
        None if settings.discovery => finding::find(&sought(settings, token.pin())).await?,
        None => bail!("no scheduler to join: say --join HOST:PORT, or mesh.discovery = true"),
    };
    let joined = join_any(&schedulers, token, &settings.host, machine).await?;
    if joined.authority.is_some() {
        bail!(
            "this token is for schedulers: say --scheduler too, or take the agents' \
             (`airglow admin token show`)"
        );
    }
    joined.identity.save(&settings.data.join("identity"))?;
    Ok((joined.identity, schedulers))
}

/// The first that will have us; if none will, why the last would not.
async fn join_any(
    schedulers: &[SocketAddr],
    token: &JoinToken,
    host: &HostId,
    machine: &MachineId,
) -> Result<link::Joined> {
    let mut refused = anyhow!("there is no scheduler to join");
    for scheduler in schedulers {
        match link::join(*scheduler, token, &host.0, machine).await {
            Ok(joined) => return Ok(joined),
            Err(error) => refused = error.into(),
        }
    }
    Err(refused)
}

/// The cluster of that authority, if it calls itself as it is told to.
fn sought(settings: &Settings, authority: String) -> Sought {
    Sought { cluster: settings.belongs_to.clone(), authority }
}

fn start_executor(
    settings: &Settings,
    credentials: Credentials,
    schedulers: Vec<SocketAddr>,
) -> Result<Executor> {
    Ok(Executor::start(executor::Config {
        data: settings.data.join("agent"),
        host: settings.host.clone(),
        attributes: with_own_name(settings),
        capacity: settings.capacity.clone(),
        cluster: settings.belongs_to.clone(),
        sought: (settings.discovery && !settings.scheduler)
            .then(|| sought(settings, credentials.identity.pin())),
        isolated_max: settings.isolated_max,
        schedulers,
        credentials,
        binary: binary()?,
        run_as: settings.run_as,
        isolation: settings.isolation,
        logger: settings.logger.clone(),
        retention: settings.retention,
    })?)
}

/// Whose a task's processes are, in a sentence.
pub(crate) fn tasks_run_as(run_as: executor::RunAs) -> String {
    let uid = nix::unistd::geteuid();
    let user = nix::unistd::User::from_uid(uid).ok().flatten();
    let user = user.map_or_else(|| format!("user {uid}"), |it| it.name);
    match run_as {
        executor::RunAs::Role => "Tasks run as their roles' users.".into(),
        executor::RunAs::RoleOrOneself if uid.is_root() => {
            format!("Tasks run as their roles' users where there are such, else as {user}.")
        }
        executor::RunAs::Oneself | executor::RunAs::RoleOrOneself => {
            format!("Tasks run as {user}, whatever their role.")
        }
    }
}

/// The host's name is an attribute too: constraints such as `host: limit:1` rest on it.
fn with_own_name(settings: &Settings) -> Attributes {
    let mut attributes = settings.attributes.clone();
    attributes.insert("host".to_owned(), [settings.host.to_string()].into());
    attributes
}

/// This program, for the shepherds. The link in /proc rather than what it points to: an upgrade
/// replaces the file, and a running agent must go on with its own.
fn binary() -> Result<PathBuf> {
    let link = Path::new("/proc/self/exe");
    if link.exists() { Ok(link.to_owned()) } else { Ok(std::env::current_exe()?) }
}

/// An agent that was killed while it started a shepherd has a child for another moment that holds
/// all that it had open, until that is a program of its own.
async fn bind(addr: SocketAddr) -> Result<TcpListener> {
    let give_up_at = now() + PREDECESSOR_GONE_WITHIN;
    loop {
        match TcpListener::bind(addr) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && now() < give_up_at => {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            bound => {
                return bound.with_context(|| {
                    format!(
                        "cannot listen on {addr} for the API and the pages; is another Airglow running?"
                    )
                });
            }
        }
    }
}

async fn told_to_end() -> Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted?,
        _ = terminate.recv() => (),
    }
    Ok(())
}
