//! What an agent is told: by its flags, which win, and by its configuration file.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr, ToSocketAddrs},
    path::{Path, PathBuf},
    time::Duration,
};

use airglow_executor::{Isolation, RunAs};
use airglow_kit::identity::JoinToken;
use airglow_model::{
    ids::HostId,
    resources::{Attributes, Resources},
    retention::Retention,
    spec::LoggerSpec,
    wire::Capacity,
};
use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::units;

mod api;
mod backup;
mod deciding;
mod mesh;
mod policy;
mod tasks;
mod webhooks;

pub(crate) use api::{Encryption, Protection};
pub(crate) use deciding::Rules;
pub(crate) use policy::SimulatedTable;

/// As Aurora's scheduler had it.
const API_PORT: u16 = 8081;
const MESH_PORT: u16 = 8082;
pub(crate) const DATA: &str = "/var/lib/airglow";
const CLUSTER: &str = "devcluster";

/// The flags of `airglow agent`.
#[derive(Debug, Default)]
pub(crate) struct AgentOptions {
    pub(crate) scheduler: bool,
    pub(crate) data: Option<PathBuf>,
    pub(crate) cluster: Option<String>,
    /// `HOST:PORT` of a scheduler's mesh.
    pub(crate) join: Option<String>,
    pub(crate) token: Option<JoinToken>,
    pub(crate) attributes: Attributes,
    pub(crate) config: Option<PathBuf>,
}

/// The configuration file, in TOML. Every field may be left out.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct File {
    data: Option<PathBuf>,
    cluster: Option<String>,
    /// The name that this machine goes by; its host name if left out.
    host: Option<String>,
    /// Where the API and the pages are served, and how.
    api: Option<api::Written>,
    /// Where agents connect: `127.0.0.1:8082`; or a table with that and more.
    #[serde(deserialize_with = "mesh::read")]
    mesh: mesh::MeshTable,
    join: Option<String>,
    /// A file with the join token: not every user may read it, and no process list shows it.
    token_file: Option<PathBuf>,
    attributes: std::collections::BTreeMap<String, Values>,
    resources: Option<Offered>,
    /// Whose processes tasks are: `role` or `oneself`.
    run_as: Option<String>,
    isolation: tasks::IsolationTable,
    logger: tasks::LoggerTable,
    sandboxes: tasks::SandboxesTable,
    scheduler: deciding::SchedulerTable,
    backup: backup::BackupTable,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Values {
    One(String),
    Many(Vec<String>),
}

/// What this machine offers, instead of what it is found to have.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Offered {
    /// Cores.
    cpu: f64,
    ram_mb: u64,
    disk_mb: u64,
    #[serde(default)]
    gpus: u64,
    /// Cores and memory beyond these, for revocable tasks only.
    #[serde(default)]
    revocable_cpu: f64,
    #[serde(default)]
    revocable_ram_mb: u64,
    /// Inclusive ranges.
    #[serde(default = "usual_ports")]
    ports: Vec<(u16, u16)>,
}

fn usual_ports() -> Vec<(u16, u16)> {
    vec![(31_000, 32_000)]
}

/// Flags and file together, every default filled in.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) scheduler: bool,
    pub(crate) data: PathBuf,
    pub(crate) cluster: String,
    /// What whoever runs this calls the cluster that the host is to belong to, if anything.
    pub(crate) belongs_to: Option<String>,
    pub(crate) host: HostId,
    pub(crate) api: SocketAddr,
    pub(crate) protection: Protection,
    pub(crate) mesh: SocketAddr,
    /// Whether schedulers are announced and looked for in the local network.
    pub(crate) discovery: bool,
    /// How long tasks go on when no scheduler is heard.
    pub(crate) isolated_max: Option<Duration>,
    pub(crate) join: Option<SocketAddr>,
    pub(crate) token: Option<JoinToken>,
    pub(crate) attributes: Attributes,
    /// What the machine is found to have, if `None`.
    pub(crate) capacity: Option<Capacity>,
    pub(crate) run_as: RunAs,
    pub(crate) isolation: Isolation,
    pub(crate) logger: LoggerSpec,
    pub(crate) retention: Retention,
    /// For whoever is the scheduler.
    pub(crate) rules: Rules,
}

impl Settings {
    pub(crate) fn gather(options: AgentOptions) -> Result<Self> {
        let file = options.config.as_deref().map(read).transpose()?.unwrap_or_default();
        let token = match (options.token, &file.token_file) {
            (Some(token), _) => Some(token),
            (None, Some(path)) => Some(read_token(path)?),
            (None, None) => None,
        };
        let mut attributes: Attributes = file.attributes.into_iter().map(values).collect();
        attributes.extend(options.attributes);
        let join = options.join.or(file.join);
        let loopback = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let (api, protection) = file.api.unwrap_or_default().read(loopback(API_PORT))?;
        let mesh = file.mesh.read()?;
        let named = options.cluster.or(file.cluster);
        let cluster = named.clone().unwrap_or_else(|| CLUSTER.to_owned());
        let data = options.data.or(file.data).unwrap_or_else(|| DATA.into());
        let mut rules = file.scheduler.read(&cluster)?;
        rules.policy.backup = file.backup.read(&data)?;
        Ok(Self {
            scheduler: options.scheduler,
            belongs_to: if options.scheduler { Some(cluster.clone()) } else { named },
            data,
            rules,
            cluster,
            host: file.host.map_or_else(host_name, |name| Ok(HostId(name.into())))?,
            api,
            protection,
            mesh: mesh.listen.unwrap_or_else(|| loopback(MESH_PORT)),
            discovery: mesh.discovery,
            isolated_max: mesh.isolated_max,
            join: join.as_deref().map(resolve).transpose()?,
            token,
            attributes,
            capacity: file.resources.map(Offered::capacity).transpose()?,
            run_as: tasks::run_as(file.run_as.as_deref(), nix::unistd::geteuid().is_root())?,
            isolation: file.isolation.read()?,
            logger: file.logger.read()?,
            retention: file.sandboxes.read()?,
        })
    }
}

impl Offered {
    fn capacity(self) -> Result<Capacity> {
        let cpu_milli = units::cores(self.cpu).context("resources.cpu")?;
        if cpu_milli == 0 {
            bail!("resources.cpu is a number of cores above 0, not {}", self.cpu);
        }
        let spare = units::cores(self.revocable_cpu).context("resources.revocable_cpu")?;
        let Self { ram_mb, disk_mb, gpus, ports, revocable_ram_mb, .. } = self;
        Ok(Capacity {
            resources: Resources { cpu_milli, ram_mb, disk_mb, gpus },
            revocable: Resources {
                cpu_milli: spare,
                ram_mb: revocable_ram_mb,
                ..Resources::default()
            },
            ports,
        })
    }
}

fn values((name, values): (String, Values)) -> (String, std::collections::BTreeSet<String>) {
    match values {
        Values::One(value) => (name, [value].into()),
        Values::Many(values) => (name, values.into_iter().collect()),
    }
}

fn read(path: &Path) -> Result<File> {
    let text =
        fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    toml::from_str(&text)
        .with_context(|| format!("{} is not an agent's configuration", path.display()))
}

fn read_token(path: &Path) -> Result<JoinToken> {
    let text =
        fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    text.trim().parse().with_context(|| format!("{} holds no token", path.display()))
}

fn resolve(addr: &str) -> Result<SocketAddr> {
    let with_port =
        if addr.contains(':') { addr.to_owned() } else { format!("{addr}:{MESH_PORT}") };
    let found = with_port.to_socket_addrs().with_context(|| format!("cannot find {addr}"))?.next();
    found.with_context(|| format!("{addr} has no address"))
}

pub(crate) fn host_name() -> Result<HostId> {
    let name = nix::unistd::gethostname().context("this machine has no host name")?;
    Ok(HostId(name.to_string_lossy().into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gather(toml: &str, options: AgentOptions) -> Result<Settings> {
        let dir = tempfile::tempdir().unwrap();
        let config = dir.path().join("agent.toml");
        fs::write(&config, toml).unwrap();
        Settings::gather(AgentOptions { config: Some(config), ..options })
    }

    #[test]
    fn flags_win_over_the_file_and_the_file_over_defaults() {
        let toml = r#"
            cluster = "west"
            host = "a1"
            mesh = "127.0.0.1:0"
            [attributes]
            rack = "r1"
            zone = ["a", "b"]
            [resources]
            cpu = 1.5
            ram_mb = 100
            disk_mb = 200
        "#;
        let flags = AgentOptions {
            cluster: Some("east".into()),
            attributes: [("rack".to_owned(), ["r2".to_owned()].into())].into(),
            ..AgentOptions::default()
        };
        let it = gather(toml, flags).unwrap();
        assert_eq!((it.cluster.as_str(), &*it.host.0), ("east", "a1"));
        assert_eq!(it.api.to_string(), "127.0.0.1:8081");
        assert!(it.attributes["rack"].contains("r2") && it.attributes["zone"].contains("b"));
        let capacity = it.capacity.unwrap();
        assert_eq!(
            (capacity.resources.cpu_milli, &capacity.ports[..]),
            (1500, &[(31_000, 32_000)][..])
        );
    }

    #[test]
    fn what_is_wrong_is_told_with_the_settings_name() {
        for (toml, told) in [
            ("clutser = \"x\"", "clutser"),
            ("[api]\ncertificate = \"x\"", "api.certificate needs api.key"),
            ("[isolation]\nnamespace = true", "unknown field `namespace`"),
            ("[isolation]\npids_max = 0", "isolation.pids_max"),
            ("[isolation]\ncgroups = \"yes\"", "cgroups"),
            ("[logger]\ndestination = \"disk\"", "logger.destination"),
            ("[logger]\nlog_size = \"much\"", "logger.log_size"),
            ("[sandboxes]\nage_max = 7", "age_max"),
            ("[sandboxes]\nfree_min = 10", "sandboxes.free_min"),
            ("[backup]\nkeep = 0", "backup.keep"),
            ("run_as = \"me\"", "run_as"),
            ("[resources]\ncpu = 0.0\nram_mb = 1\ndisk_mb = 1", "resources.cpu"),
            ("[scheduler]\ntier = \"x\"", "unknown field `tier`"),
            ("[scheduler]\ncertificate_days = 0.0", "scheduler.certificate_days: it is a number"),
            ("[scheduler]\ntasks_per_job_max = 0", "scheduler.tasks_per_job_max"),
            ("[scheduler]\ncron_timezone = \"Berlin\"", "scheduler.cron_timezone: There is no"),
        ] {
            let error = gather(toml, AgentOptions::default()).unwrap_err();
            assert!(format!("{error:#}").contains(told), "{toml}: {error:#}");
        }
    }
}
