//! A cluster for one test: agents as real programs, and the command line as a user has it.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::atomic::{AtomicU16, Ordering},
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;
use tempfile::TempDir;

pub(crate) const AIRGLOW: &str = env!("CARGO_BIN_EXE_airglow");

/// How long anything may take before it counts as never: this machine may be busy with other tests.
const LIMIT: Duration = Duration::from_secs(180);

pub(crate) const CLUSTER: &str = "devcluster";

/// Some agents on this machine, the first of which is the scheduler too.
pub(crate) struct Cluster {
    root: TempDir,
    pub(crate) api: u16,
    mesh: u16,
    nodes: Vec<Node>,
    /// More of what every agent is told.
    settings: String,
}

/// An agent, running or not.
struct Node {
    name: String,
    child: Option<Child>,
}

impl Cluster {
    /// One agent that is the scheduler too, with room for anything.
    pub(crate) fn start() -> Self {
        Self::with_agents(&[])
    }

    /// A scheduler, and more agents that join it.
    pub(crate) fn with_agents(agents: &[&str]) -> Self {
        let mut cluster = Self::with_settings("");
        for agent in agents {
            cluster.add(agent);
            cluster.spawn(cluster.nodes.len() - 1);
        }
        eventually("every agent is up", || {
            let hosts = cluster.get("/hosts");
            let up = hosts["items"].as_array()?.iter().filter(|it| it["state"] == "up").count();
            (up == agents.len() + 1).then_some(())
        });
        cluster
    }

    /// One agent that is the scheduler too, with more in its settings, and in those of whoever
    /// joins.
    pub(crate) fn with_settings(settings: &str) -> Self {
        let mut cluster = Self::prepared();
        settings.clone_into(&mut cluster.settings);
        cluster.add("scheduler");
        cluster.spawn(0);
        cluster.answers();
        cluster
    }

    /// Nothing runs yet.
    pub(crate) fn prepared() -> Self {
        let (api, mesh) = (free_port(), free_port());
        let root = TempDir::new().unwrap();
        // Tasks are other users', and their sandboxes are in there.
        fs::set_permissions(root.path(), fs::Permissions::from_mode(0o755)).unwrap();
        Self { root, api, mesh, nodes: Vec::new(), settings: String::new() }
    }

    pub(crate) fn root(&self) -> &Path {
        self.root.path()
    }

    /// A file that every task may write to, whoever it is.
    pub(crate) fn witness(&self) -> PathBuf {
        let path = self.root().join("witness");
        fs::write(&path, "").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
        path
    }

    pub(crate) fn uri(&self) -> String {
        format!("http://127.0.0.1:{}", self.api)
    }

    pub(crate) fn data(&self, node: &str) -> PathBuf {
        self.root.path().join(node)
    }

    /// Another agent, which does not run yet.
    pub(crate) fn add(&mut self, name: &str) {
        let (api, mesh) = (self.api, self.mesh);
        let first_port = free_ports(100);
        let last_port = first_port + 99;
        let config = format!(
            "host = \"{name}\"\n\
             api = \"127.0.0.1:{api}\"\n\
             mesh = \"127.0.0.1:{mesh}\"\n\
             run_as = \"oneself\"\n\
             [resources]\n\
             cpu = 64.0\n\
             ram_mb = 65536\n\
             disk_mb = 65536\n\
             ports = [[{first_port}, {last_port}]]\n\
             {}",
            self.settings
        );
        fs::write(self.config(name), config).unwrap();
        if self.nodes.iter().any(|it| it.name == name) {
            return;
        }
        self.nodes.push(Node { name: name.to_owned(), child: None });
    }

    fn config(&self, name: &str) -> PathBuf {
        self.root.path().join(format!("{name}.toml"))
    }

    /// The command that runs an agent, for a test that wants to change it.
    pub(crate) fn agent(&self, name: &str) -> Command {
        match self.nodes.iter().position(|it| it.name == name) {
            Some(0) | None => {
                let mut command = self.bare_agent(name);
                command.arg("--scheduler");
                command
            }
            Some(_) => self.agent_with(name, &self.token()),
        }
    }

    /// One that joins with this token.
    pub(crate) fn agent_with(&self, name: &str, token: &str) -> Command {
        let mut command = self.agent_without_token(name);
        command.args(["--token", token.trim()]);
        command
    }

    /// One that has joined long ago.
    fn agent_without_token(&self, name: &str) -> Command {
        let mut command = self.bare_agent(name);
        command.arg("--join").arg(format!("127.0.0.1:{}", self.mesh));
        command
    }

    fn bare_agent(&self, name: &str) -> Command {
        let mut command = Command::new(AIRGLOW);
        command.arg("agent").args(["--cluster", CLUSTER]);
        command.arg("--data").arg(self.data(name)).arg("--config").arg(self.config(name));
        command
    }

    /// As [`Cluster::agent`], for a scheduler that the harness does not look after.
    pub(crate) fn scheduler(&mut self) -> Command {
        self.add("scheduler");
        self.agent("scheduler")
    }

    /// A scheduler with more in its configuration, which is the first node.
    pub(crate) fn start_scheduler_with(&mut self, config: &str) {
        self.add("scheduler");
        let path = self.config("scheduler");
        fs::write(&path, fs::read_to_string(&path).unwrap() + config).unwrap();
        self.spawn(0);
        self.answers();
    }

    fn token(&self) -> String {
        let found = files_below(&self.data("scheduler")).into_iter().find_map(|file| {
            let text = fs::read_to_string(file).ok()?;
            text.starts_with("airglow-1-").then(|| text.trim().to_owned())
        });
        found.expect("the scheduler keeps a join token in its data folder")
    }

    /// Another agent, which runs.
    pub(crate) fn join(&mut self, name: &str) {
        self.add(name);
        self.spawn(self.node(name));
    }

    /// The same, with this token.
    pub(crate) fn join_with(&mut self, name: &str, token: &str) {
        self.add(name);
        let command = self.agent_with(name, token);
        self.run(self.node(name), command);
    }

    pub(crate) fn log(&self, name: &str) -> String {
        fs::read_to_string(self.root.path().join(format!("{name}.log"))).unwrap_or_default()
    }

    fn spawn(&mut self, node: usize) {
        let command = self.agent(&self.nodes[node].name);
        self.run(node, command);
    }

    fn run(&mut self, node: usize, mut command: Command) {
        let name = self.nodes[node].name.clone();
        let log = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.root.path().join(format!("{name}.log")))
            .unwrap();
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        self.nodes[node].child = Some(command.spawn().unwrap());
    }

    pub(crate) fn restart(&mut self, name: &str) {
        let node = self.node(name);
        assert!(self.nodes[node].child.is_none(), "{name} was killed before");
        self.spawn(node);
        if node == 0 {
            self.answers();
        }
    }

    /// As one that has joined long ago.
    pub(crate) fn restart_without_token(&mut self, name: &str) {
        let node = self.node(name);
        assert!(self.nodes[node].child.is_none(), "{name} was killed before");
        let command = self.agent_without_token(name);
        self.run(node, command);
    }

    /// With SIGKILL: it has no say in it.
    pub(crate) fn kill_9(&mut self, name: &str) {
        let node = self.node(name);
        let mut child = self.nodes[node].child.take().expect("it is running");
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// From wherever, since it was started.
    pub(crate) fn bytes_read(&self, name: &str) -> u64 {
        let child = self.nodes[self.node(name)].child.as_ref().expect("it is running");
        let io = fs::read_to_string(format!("/proc/{}/io", child.id())).unwrap();
        io.lines().find_map(|it| it.strip_prefix("rchar: ")).unwrap().parse().unwrap()
    }

    /// What it has in memory now, in KiB.
    pub(crate) fn memory(&self, name: &str) -> u64 {
        let child = self.nodes[self.node(name)].child.as_ref().expect("it is running");
        let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
        let resident = status.lines().find_map(|it| it.strip_prefix("VmRSS:")).unwrap();
        resident.trim().strip_suffix(" kB").unwrap().parse().unwrap()
    }

    /// Where agents connect.
    pub(crate) fn mesh(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.mesh))
    }

    fn node(&self, name: &str) -> usize {
        self.nodes.iter().position(|it| it.name == name).expect("there is such a node")
    }

    /// Waits until the API does.
    pub(crate) fn answers(&mut self) {
        let (uri, root) = (self.uri(), self.root.path().to_owned());
        let child = self.nodes[0].child.as_mut().expect("it was started");
        eventually("the scheduler answers", || {
            if let Some(status) = child.try_wait().unwrap() {
                let log = fs::read_to_string(root.join("scheduler.log")).unwrap_or_default();
                panic!("the scheduler ended with {status}:\n{log}");
            }
            ureq::get(format!("{uri}/health")).call().ok()
        });
    }

    /// `airglow` with these arguments, as typed in a shell that knows this scheduler.
    pub(crate) fn airglow(&self, args: &[&str]) -> Ran {
        let mut command = airglow(self.root.path());
        command.env("AIRGLOW_SCHEDULER_URI", self.uri()).args(args);
        Ran::new(args, &command.output().unwrap())
    }

    /// As [`Cluster::airglow`], and it has to succeed.
    pub(crate) fn succeeds(&self, args: &[&str]) -> String {
        self.airglow(args).code(0).stdout
    }

    pub(crate) fn get(&self, path: &str) -> Value {
        let response = ureq::get(format!("{}/api/v1{path}", self.uri())).call();
        response.ok().and_then(|mut it| it.body_mut().read_json().ok()).unwrap_or(Value::Null)
    }

    /// A page, as text.
    pub(crate) fn page(&self, path: &str) -> String {
        let response = ureq::get(format!("{}{path}", self.uri())).call();
        response.unwrap().body_mut().read_to_string().unwrap()
    }

    /// `POST` with a body; the answer's status and body.
    pub(crate) fn post(&self, path: &str, body: &str) -> (u16, Value) {
        let agent: ureq::Agent =
            ureq::Agent::config_builder().http_status_as_error(false).build().into();
        let mut response = agent
            .post(format!("{}/api/v1{path}", self.uri()))
            .content_type("application/json")
            .send(body)
            .unwrap();
        let text = response.body_mut().read_to_string().unwrap();
        (response.status().as_u16(), serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    /// `PUT` with a body; the answer's status.
    pub(crate) fn put(&self, path: &str, body: &str) -> u16 {
        let request = ureq::put(format!("{}/api/v1{path}", self.uri()));
        let sent = request.content_type("application/json").send(body);
        sent.map_or(0, |it| it.status().as_u16())
    }

    /// A job of shell commands, written to a file that the command line can read.
    pub(crate) fn file(&self, name: &str, text: &str) -> String {
        let path = self.root.path().join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// The newest runs of a job's instances: `role/environment/name`.
    pub(crate) fn instances(&self, job: &str) -> Vec<Value> {
        self.get(&format!("/jobs/{job}"))["instances"].as_array().cloned().unwrap_or_default()
    }

    pub(crate) fn counts(&self, job: &str) -> Value {
        self.get(&format!("/jobs/{job}"))["summary"]["counts"].clone()
    }

    /// Waits until that many of a job's instances are in that state.
    pub(crate) fn reaches(&self, job: &str, status: &str, count: u64) {
        let mut last = Value::Null;
        let reached = within(LIMIT, || {
            last = self.counts(job);
            (last[status] == count).then_some(())
        });
        if reached.is_none() {
            let root = self.root.path();
            let log = fs::read_to_string(root.join("scheduler.log")).unwrap_or_default();
            let tail = log.lines().rev().take(40).collect::<Vec<_>>();
            let tail = tail.into_iter().rev().collect::<Vec<_>>().join("\n");
            panic!("{job} never had {count} {status}, it has {last}; the scheduler said:\n{tail}");
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for node in &mut self.nodes {
            if let Some(mut child) = node.child.take() {
                child.kill().and_then(|()| child.wait().map(drop)).ok();
            }
        }
        end_all_below(self.root.path());
    }
}

/// `airglow` with a home of its own, so that the user's own clusters are not among the known.
pub(crate) fn airglow(home: &Path) -> Command {
    let mut command = Command::new(AIRGLOW);
    command
        .env("HOME", home)
        .env("XDG_STATE_HOME", home.join("state"))
        .env("AURORA_CONFIG_ROOT", home.join("etc"))
        .env_remove("AIRGLOW_SCHEDULER_URI")
        .env_remove("RUST_LOG")
        .stdin(Stdio::null());
    command
}

/// What a command came to.
#[derive(Debug)]
pub(crate) struct Ran {
    what: String,
    code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    pub(crate) fn new(args: &[&str], output: &Output) -> Self {
        Self {
            what: args.join(" "),
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    #[track_caller]
    pub(crate) fn code(self, expected: i32) -> Self {
        let Self { what, code, stdout, stderr } = &self;
        assert_eq!(*code, Some(expected), "airglow {what}\n{stdout}\n{stderr}");
        self
    }

    #[track_caller]
    pub(crate) fn says(self, expected: &str) -> Self {
        let Self { what, stdout, stderr, .. } = &self;
        let said = stdout.contains(expected) || stderr.contains(expected);
        assert!(said, "airglow {what} does not say {expected:?}:\n{stdout}\n{stderr}");
        self
    }
}

/// Asks until there is an answer; panics if there is none in a long time.
#[track_caller]
pub(crate) fn eventually<T>(what: &str, ask: impl FnMut() -> Option<T>) -> T {
    within(LIMIT, ask).unwrap_or_else(|| panic!("never: {what}"))
}

pub(crate) fn within<T>(limit: Duration, mut ask: impl FnMut() -> Option<T>) -> Option<T> {
    let give_up_at = airglow_kit::now() + limit;
    loop {
        match ask() {
            None if airglow_kit::now() < give_up_at => pause(),
            answer => return answer,
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a test has nothing else to do until it asks again")]
pub(crate) fn pause() {
    std::thread::sleep(Duration::from_millis(50));
}

/// Where no system takes ports from by itself, so that nobody is given one of ours meanwhile; and
/// below those that a `dev` cluster hands out.
static NEXT_PORT: AtomicU16 = AtomicU16::new(0);

pub(crate) fn free_port() -> u16 {
    free_ports(1)
}

/// The first of `count` ports in a row that nobody listens on.
pub(crate) fn free_ports(count: u16) -> u16 {
    // Other runs of these tests, at the same time, begin elsewhere.
    let start = 15_000 + (std::process::id() % 50) as u16 * 200;
    loop {
        let first = start + NEXT_PORT.fetch_add(count, Ordering::Relaxed) % 5_000;
        let free = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
        if (first..first + count).all(free) {
            return first;
        }
    }
}

/// The processes that live in a folder, by their working directory, or that were told about it.
pub(crate) fn processes_below(root: &Path) -> Vec<Pid> {
    let root = root.to_str().unwrap();
    let belongs = |pid: Pid| {
        let proc = PathBuf::from(format!("/proc/{pid}"));
        let lives = fs::read_link(proc.join("cwd")).is_ok_and(|it| it.starts_with(root));
        let told = fs::read(proc.join("cmdline"))
            .is_ok_and(|it| String::from_utf8_lossy(&it).contains(root));
        (lives || told) && pid != Pid::this()
    };
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let pids = entries.filter_map(|it| it.file_name().to_str()?.parse().ok().map(Pid::from_raw));
    pids.filter(|&pid| belongs(pid)).collect()
}

/// Whatever a test left behind. Shepherds and processes come in any order, so a few rounds.
pub(crate) fn end_all_below(root: &Path) {
    for _ in 0..100 {
        let left = processes_below(root);
        if left.is_empty() {
            return;
        }
        for pid in left {
            kill(pid, Signal::SIGKILL).ok();
        }
        pause();
    }
}

pub(crate) fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            match entry.file_type() {
                Ok(it) if it.is_dir() => folders.push(entry.path()),
                Ok(it) if it.is_file() => files.push(entry.path()),
                _ => (),
            }
        }
    }
    files
}

/// A file of `deploy/examples`.
pub(crate) fn example(name: &str) -> String {
    format!("{}/deploy/examples/{name}.aurora", env!("CARGO_MANIFEST_DIR"))
}

/// The whole of a URL's answer.
pub(crate) fn fetch(url: &str) -> Option<String> {
    ureq::get(url).call().ok()?.body_mut().read_to_string().ok()
}

/// A job with one process, as the API takes it.
pub(crate) fn spec(name: &str, cmdline: &str, instances: u32, service: bool) -> Value {
    serde_json::json!({
        "cluster": CLUSTER, "role": "www-data", "environment": "test", "name": name,
        "instances": instances, "service": service,
        "task": {
            "name": name,
            "processes": [{ "name": "main", "cmdline": cmdline }],
            "resources": { "cpu": 0.001, "ram": 4 * 1024 * 1024, "disk": 1024 * 1024 },
        },
    })
}

/// A body for `POST /jobs`.
pub(crate) fn jobs_of(specs: &[Value]) -> String {
    serde_json::json!({ "jobs": specs }).to_string()
}
