//! Several schedulers: what one of them leaves behind when it is killed.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use serde_json::Value;
use tempfile::TempDir;

use crate::cluster::{
    CLUSTER, Ran, airglow, end_all_below, eventually, free_port, free_ports, spec,
};

const JOB: &str = "www-data/test/steady";
const INSTANCES: u64 = 6;

/// How long a cluster may be without a leader. Only far more than that fails: this machine may be busy
/// with other tests.
const FAIL_OVER: Duration = Duration::from_secs(5);

/// Agents on this machine, each of which is a scheduler.
struct Schedulers {
    root: TempDir,
    nodes: Vec<Node>,
    /// With which others become schedulers, too.
    token: String,
}

struct Node {
    name: &'static str,
    api: u16,
    mesh: u16,
    child: Option<Child>,
}

impl Schedulers {
    /// The first, and those who join it.
    fn start() -> Self {
        let root = TempDir::new().unwrap();
        let node = |name| Node { name, api: free_port(), mesh: free_port(), child: None };
        let nodes = ["one", "two", "three"].map(node).into();
        let mut all = Self { root, nodes, token: String::new() };
        all.spawn(0);
        all.answers(0);
        let shown = all.airglow(0, &["admin", "token", "show", CLUSTER, "--for", "schedulers"]);
        shown.code(0).stdout.trim().clone_into(&mut all.token);
        for index in [1, 2] {
            all.spawn(index);
        }
        eventually("three schedulers share the records", || {
            let members = all.get(0, "/members");
            let voters = members["items"].as_array()?.iter().filter(|it| it["votes"] == true);
            (voters.count() == 3).then_some(())
        });
        all
    }

    fn data(&self, index: usize) -> PathBuf {
        self.root.path().join(self.nodes[index].name)
    }

    fn spawn(&mut self, index: usize) {
        let Node { name, api, mesh, .. } = &self.nodes[index];
        let first_port = free_ports(20);
        let config = format!(
            "host = \"{name}\"\n\
             api = \"127.0.0.1:{api}\"\n\
             mesh = \"127.0.0.1:{mesh}\"\n\
             run_as = \"oneself\"\n\
             [resources]\n\
             cpu = 64.0\n\
             ram_mb = 65536\n\
             disk_mb = 65536\n\
             ports = [[{first_port}, {}]]\n",
            first_port + 19
        );
        let file = self.root.path().join(format!("{name}.toml"));
        fs::write(&file, config).unwrap();
        let log = self.root.path().join(format!("{name}.log"));
        let log = fs::OpenOptions::new().create(true).append(true).open(log).unwrap();
        let mut command = airglow(self.root.path());
        command.args(["agent", "--scheduler", "--cluster", CLUSTER]);
        command.arg("--data").arg(self.data(index)).arg("--config").arg(file);
        if index > 0 {
            command.arg("--join").arg(format!("127.0.0.1:{}", self.nodes[0].mesh));
            command.env("AIRGLOW_TOKEN", &self.token);
        }
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        self.nodes[index].child = Some(command.spawn().unwrap());
    }

    /// With SIGKILL: it has no say in it.
    fn kill_9(&mut self, index: usize) {
        let mut child = self.nodes[index].child.take().expect("it is running");
        child.kill().unwrap();
        child.wait().unwrap();
    }

    fn uri(&self, index: usize) -> String {
        format!("http://127.0.0.1:{}", self.nodes[index].api)
    }

    fn answers(&self, index: usize) {
        let uri = format!("{}/health", self.uri(index));
        eventually("it answers", || ureq::get(&uri).call().ok());
    }

    /// As a browser asks: whoever is sent on goes there.
    fn get(&self, index: usize, path: &str) -> Value {
        let response = ureq::get(format!("{}/api/v1{path}", self.uri(index))).call();
        response.ok().and_then(|mut it| it.body_mut().read_json().ok()).unwrap_or(Value::Null)
    }

    /// The status of `/leader-health`.
    fn leader_health(&self, index: usize) -> Option<u16> {
        let agent: ureq::Agent =
            ureq::Agent::config_builder().http_status_as_error(false).build().into();
        let response = agent.get(format!("{}/leader-health", self.uri(index))).call().ok()?;
        Some(response.status().as_u16())
    }

    fn leader(&self) -> usize {
        eventually("somebody leads", || (0..3).find(|it| self.leader_health(*it) == Some(200)))
    }

    /// `airglow` as typed in a shell that knows this scheduler.
    fn airglow(&self, index: usize, args: &[&str]) -> Ran {
        let mut command: Command = airglow(self.root.path());
        command.env("AIRGLOW_SCHEDULER_URI", self.uri(index)).args(args);
        Ran::new(args, &command.output().unwrap())
    }

    fn running(&self, index: usize) -> u64 {
        let job = self.get(index, &format!("/jobs/{JOB}"));
        job["summary"]["counts"]["RUNNING"].as_u64().unwrap_or(0)
    }
}

impl Drop for Schedulers {
    #[expect(clippy::print_stderr, reason = "whoever looks at a failed test wants to know")]
    fn drop(&mut self) {
        for Node { name, .. } in self.nodes.iter().filter(|_| std::thread::panicking()) {
            let log = fs::read_to_string(self.root.path().join(format!("{name}.log")));
            eprintln!("--- {name} said:\n{}", log.unwrap_or_default());
        }
        for node in &mut self.nodes {
            if let Some(mut child) = node.child.take() {
                child.kill().and_then(|()| child.wait().map(drop)).ok();
            }
        }
        end_all_below(self.root.path());
    }
}

/// Who started, by the lines that they wrote.
fn started(witness: &Path) -> Vec<String> {
    let text = fs::read_to_string(witness).unwrap_or_default();
    let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

#[test]
fn jobs_go_on_while_the_scheduler_that_leads_is_killed() {
    let mut all = Schedulers::start();
    let leader = all.leader();
    let (follower, other) = ((leader + 1) % 3, (leader + 2) % 3);
    assert_eq!(all.leader_health(follower), Some(503));

    // Through one that does not lead.
    let witness = all.root.path().join("witness");
    let cmdline = format!("echo {{{{mesos.instance}}}} >> {}; exec sleep 10000", witness.display());
    let job = spec("steady", &cmdline, u32::try_from(INSTANCES).unwrap(), true);
    let file = all.root.path().join("steady.json");
    fs::write(&file, job.to_string()).unwrap();
    let key = format!("{CLUSTER}/{JOB}");
    all.airglow(follower, &["job", "create", &key, file.to_str().unwrap()]).code(0);
    eventually("every instance runs", || (all.running(other) == INSTANCES).then_some(()));
    let before = started(&witness);
    assert_eq!(before.len() as u64, INSTANCES);

    all.kill_9(leader);
    let killed_at = airglow_kit::now();
    let next = eventually("another one leads", || {
        [follower, other].into_iter().find(|it| all.leader_health(*it) == Some(200))
    });
    let took = airglow_kit::now().since(killed_at);
    assert!(took < FAIL_OVER * 6, "{took:?}");
    assert_eq!(all.running(next), INSTANCES, "nothing that was known is lost");
    all.airglow(follower, &["job", "status", &key]).code(0).says("steady");

    // The old one comes back and is one of the others.
    all.spawn(leader);
    eventually("it follows", || (all.leader_health(leader) == Some(503)).then_some(()));
    assert_eq!(started(&witness), before, "an instance was started again");

    // One of three may be removed, and stops.
    let name = all.nodes[leader].name;
    all.airglow(leader, &["admin", "members", "remove", CLUSTER, name]).code(0);
    let mut child = all.nodes[leader].child.take().unwrap();
    eventually("the scheduler that was removed ends", || child.try_wait().unwrap());
    let members = all.airglow(other, &["admin", "members", "list", CLUSTER]).code(0).stdout;
    assert!(!members.contains(name) && members.contains("leader"), "{members}");
}

#[test]
fn what_is_acknowledged_by_any_scheduler_is_known_to_all() {
    let all = Schedulers::start();
    for index in 0..3 {
        let name = format!("job{index}");
        let file = all.root.path().join(format!("{name}.json"));
        fs::write(&file, spec(&name, "exec sleep 10000", 1, true).to_string()).unwrap();
        let key = format!("{CLUSTER}/www-data/test/{name}");
        all.airglow(index, &["job", "create", &key, file.to_str().unwrap()]).code(0);
    }
    for index in 0..3 {
        let jobs = all.get(index, "/jobs");
        assert_eq!(jobs["items"].as_array().map(Vec::len), Some(3), "{jobs}");
        let page = ureq::get(format!("{}/scheduler/www-data", all.uri(index))).call().unwrap();
        assert_eq!(page.status().as_u16(), 200);
        let metrics = ureq::get(format!("{}/metrics", all.uri(index))).call();
        let metrics = metrics.unwrap().body_mut().read_to_string().unwrap();
        assert!(metrics.contains("airglow_raft_term"), "{metrics}");
    }
}
