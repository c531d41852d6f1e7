//! One machine's part of the mesh: an executor always, a scheduler and its face if asked for.
//!
//! Wiring only. What is started here is stopped in the reverse order, and a task outlives all of
//! it, unless the agent is a [`dev`] one.

mod alone;
mod dev;
mod foreground;
mod settings;

use std::{
    io,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    time::Duration,
};

use airglow_executor::{self as executor, Executor};
use airglow_kit::{
    identity::{Identity, Role},
    link, now,
};
use airglow_model::{ids::HostId, resources::Attributes};
use airglow_scheduler::{self as scheduler, Scheduler};
use anyhow::{Context, Result, anyhow, bail};

pub(crate) use alone::{Solo, SoloOptions};
pub(crate) use dev::{Dev, DevOptions};
pub(crate) use settings::{AgentOptions, Settings, SimulatedTable};

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
            Some(it) => start_executor(&settings, it.identity(&settings.host)?, vec![it.mesh()]),
            None => {
                let (identity, schedulers) = joined(&settings).await?;
                start_executor(&settings, identity, schedulers)
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
    server: actix_web::dev::ServerHandle,
    api: SocketAddr,
}

impl Deciding {
    async fn start(settings: &Settings) -> Result<Self> {
        // Bound before anything is touched: a port in use is the likeliest mistake.
        let listener = bind(settings.api).await?;
        let api = listener.local_addr()?;
        let scheduler = Scheduler::start(scheduler::Config {
            data: settings.data.join("scheduler"),
            cluster: settings.cluster.clone(),
            mesh: settings.mesh,
            limits: settings.rules.limits.clone(),
            policy: settings.rules.policy.clone(),
        })?;
        let pages = airglow_web::Config { names: vec![settings.host.to_string()] };
        let server = airglow_web::serve(scheduler.clone(), listener, pages)?;
        let handle = server.handle();
        actix_rt::spawn(server);
        tracing::info!(%api, mesh = %scheduler.mesh_addr(), "scheduling");
        Ok(Self { scheduler, server: handle, api })
    }

    fn identity(&self, host: &HostId) -> Result<Identity> {
        Ok(self.scheduler.authority().issue(Role::Agent, &host.0)?)
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
async fn joined(settings: &Settings) -> Result<(Identity, Vec<SocketAddr>)> {
    let Some(scheduler) = settings.join else {
        bail!("no scheduler to join: say --join HOST:PORT and --token TOKEN, or --scheduler");
    };
    let dir = settings.data.join("identity");
    if let Some(identity) = Identity::load(&dir)? {
        return Ok((identity, vec![scheduler]));
    }
    let Some(token) = &settings.token else {
        bail!(
            "this machine has not joined yet: say --token TOKEN (the scheduler's data folder has it)"
        );
    };
    let identity = link::join(scheduler, token, &settings.host.0).await?;
    identity.save(&dir)?;
    Ok((identity, vec![scheduler]))
}

fn start_executor(
    settings: &Settings,
    identity: Identity,
    schedulers: Vec<SocketAddr>,
) -> Result<Executor> {
    Ok(Executor::start(executor::Config {
        data: settings.data.join("agent"),
        host: settings.host.clone(),
        attributes: with_own_name(settings),
        capacity: settings.capacity.clone(),
        schedulers,
        identity,
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
