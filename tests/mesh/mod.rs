//! Clusters on a network that can be broken: hosts are namespaces on a bridge of the test's own, each
//! with an agent, and whatever can happen to cables, processes, disks and clocks can be made to.
//!
//! Chance has a seed, which a failing test tells. A test ends with [`Mesh::is_whole`]: every instance
//! that can run is RUNNING once, counted in real processes too, and nothing that was acknowledged is
//! lost. It takes root. Nothing is left behind, whatever ends the test.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

mod cable;
mod chance;
mod checks;
mod faults;
mod host;
mod machine;
mod users;

/// One scheduler, and what must not harm it.
mod lone;
/// Three schedulers, and what must not harm them.
mod several;
/// Jobs that run by the clock while the network breaks and heals.
mod timely;

use self::{
    cable::Carrier,
    chance::Chance,
    checks::Ledger,
    host::{Host, Part},
    machine::Machine,
    users::Request,
};
use crate::cluster::{eventually, pause};

pub(crate) struct Mesh {
    // What is first here is dropped first: machines before the cables, and files last.
    hosts: Vec<Host>,
    bridge: Machine,
    carrier: Carrier,
    chance: Chance,
    ledger: Ledger,
    root: PathBuf,
}

/// What its cluster is told, besides who is who.
#[derive(Clone, Copy, Default)]
pub(crate) struct Wishes<'a> {
    /// Lines of the `[scheduler]` table.
    scheduler: &'a str,
    /// More of the `mesh` table.
    mesh: &'a str,
    /// Nobody is told where anybody is.
    no_address: bool,
}

impl Mesh {
    /// All are up, and know each other.
    pub(crate) fn of(schedulers: u8, agents: u8, wishes: Wishes<'_>) -> Self {
        let mut mesh = Self::prepared(schedulers, agents, wishes);
        mesh.start_all();
        mesh
    }

    /// For the first time. All are up after it.
    pub(crate) fn start_all(&mut self) {
        for name in self.names() {
            self.start(&name);
            if name == "s1" {
                self.answers("s1");
                self.hand_out_tokens();
            }
        }
        self.all_are_up();
        let all = self.schedulers().len();
        eventually("every scheduler has a vote", || (self.voters() == all).then_some(()));
    }

    /// Schedulers whose word counts.
    fn voters(&self) -> usize {
        let members = self.get("/members");
        let members = members["items"].as_array();
        members.map_or(0, |all| all.iter().filter(|it| it["votes"] == true).count())
    }

    /// Every host is on, and no agent runs.
    pub(crate) fn prepared(schedulers: u8, agents: u8, wishes: Wishes<'_>) -> Self {
        let root = root();
        let mut chance = Chance::new();
        let carrier = Carrier::start(chance.another());
        let mut bridge = Machine::boot("bridge", &root.join("bridge.log"));
        bridge.tell("ip link add bridge type bridge mcast_snooping 0 && ip link set bridge up");
        let part = |number| if number <= schedulers { Part::Scheduler } else { Part::Agent };
        let hosts = (1..=schedulers + agents).map(|it| Host::new(&root, part(it), it)).collect();
        let ledger = Ledger::default();
        let mut mesh = Self { hosts, bridge, carrier, chance, ledger, root };
        for host in &mut mesh.hosts {
            host.configure(&settings(host, wishes));
            mesh.carrier.plug_in(host.power_on(&mut mesh.bridge));
        }
        mesh
    }

    /// A file that every task may write to, whoever it is and wherever it runs.
    pub(crate) fn witness(&self) -> PathBuf {
        let path = self.root.join("witness");
        fs::write(&path, "").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
        path
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.hosts.iter().map(|it| it.name.clone()).collect()
    }

    fn host(&self, name: &str) -> &Host {
        self.hosts.iter().find(|it| it.name == name).expect("there is such a host")
    }

    fn host_mut(&mut self, name: &str) -> &mut Host {
        self.hosts.iter_mut().find(|it| it.name == name).expect("there is such a host")
    }

    /// The leave to join is on every other host's disk, where its settings say.
    fn hand_out_tokens(&self) {
        eventually("s1 has tokens", || {
            let tokens = self.get("/tokens");
            for token in tokens["items"].as_array()? {
                let path = self.root.join(format!("token-{}", token["purpose"].as_str()?));
                fs::write(path, token["token"].as_str()?).unwrap();
            }
            Some(())
        });
    }

    pub(crate) fn start(&mut self, name: &str) {
        self.host_mut(name).start_agent();
    }

    pub(crate) fn answers(&self, name: &str) {
        let log = self.host(name).log();
        eventually("the scheduler answers", || {
            let is_there = self.has_agent(name);
            assert!(is_there, "{name} ended: {}", fs::read_to_string(&log).unwrap_or_default());
            let request = Request { method: "GET", path: "/health", body: "" };
            self.ask(name, &request).filter(|it| it.status == 200)
        });
    }

    pub(crate) fn all_are_up(&self) {
        let all = self.hosts.iter().filter(|it| it.has_power()).count();
        eventually("every host is up", || (self.hosts_that_are("up") == all).then_some(()));
    }

    /// What the scheduler says of them.
    pub(crate) fn hosts_that_are(&self, state: &str) -> usize {
        let hosts = self.get("/hosts");
        hosts["items"]
            .as_array()
            .map_or(0, |all| all.iter().filter(|it| it["state"] == state).count())
    }

    pub(crate) fn is(&self, name: &str, state: &str) -> bool {
        let hosts = self.get("/hosts");
        hosts["items"]
            .as_array()
            .is_some_and(|all| all.iter().any(|it| it["host"] == name && it["state"] == state))
    }
}

impl Drop for Mesh {
    #[expect(clippy::print_stderr, reason = "whoever looks at a failed test wants to know")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the same again: {}", self.chance.told());
            for host in &self.hosts {
                let log = fs::read_to_string(host.log()).unwrap_or_default();
                let from = log.lines().count().saturating_sub(25);
                let tail: Vec<_> = log.lines().skip(from).collect();
                eprintln!("--- {} said last:\n{}", host.name, tail.join("\n"));
            }
        }
        self.hosts.clear();
        fs::remove_dir_all(&self.root).ok();
    }
}

fn settings(host: &Host, wishes: Wishes<'_>) -> String {
    let own = format!(
        "host = \"{}\"\n\
         api = {{ listen = \"{ip}:8081\", insecure = true }}\n\
         mesh = {{ listen = \"{ip}:8082\"{mesh} }}\n\
         run_as = \"oneself\"\n",
        host.name,
        ip = host::ip(host.number),
        mesh = wishes.mesh,
    );
    let token = |purpose: &str| {
        let path = host.data().with_file_name(format!("token-{purpose}"));
        format!("token_file = \"{}\"\n", path.display())
    };
    let token = match host.part {
        Part::Scheduler if host.number == 1 => String::new(),
        Part::Scheduler => token("scheduler"),
        Part::Agent => token("agent"),
    };
    let join = if token.is_empty() || wishes.no_address {
        String::new()
    } else {
        format!("join = \"{}:8082\"\n", host::ip(1))
    };
    let rest = "[resources]\n\
         cpu = 64.0\n\
         ram_mb = 65536\n\
         disk_mb = 65536\n\
         [isolation]\n\
         cgroups = false\n\
         [scheduler]\n";
    format!("{own}{join}{token}{rest}{}\n", wishes.scheduler)
}

/// A folder that is this test's. What tests left that were killed is removed on the way.
fn root() -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    const PREFIX: &str = "airglow-mesh-";
    let all = std::env::temp_dir();
    for entry in fs::read_dir(&all).unwrap().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let owner = name.strip_prefix(PREFIX).and_then(|it| it.split_once('-'));
        if owner.is_some_and(|(pid, _)| !Path::new("/proc").join(pid).exists()) {
            fs::remove_dir_all(entry.path()).ok();
        }
    }
    let next = NEXT.fetch_add(1, Ordering::Relaxed);
    let root = all.join(format!("{PREFIX}{}-{next}", std::process::id()));
    fs::create_dir(&root).unwrap();
    fs::set_permissions(&root, fs::Permissions::from_mode(0o755)).unwrap();
    root
}

/// What a test does meanwhile, when it has to let time pass: for so long something stays as it is.
#[track_caller]
pub(crate) fn stays(what: &str, seconds: u64, mut is: impl FnMut() -> bool) {
    let until = airglow_kit::now() + Duration::from_secs(seconds);
    while airglow_kit::now() < until {
        assert!(is(), "not for long: {what}");
        pause();
    }
}
