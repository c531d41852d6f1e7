//! From a request to the first instruction of what it asked for, through the real binary: HTTP,
//! checks, commits to disk, the mesh link, the sandbox, the shepherd and `bash`.
//!
//! One job of one instance at a time, on an otherwise idle cluster of this machine. The process
//! writes down the time; the difference to when the request was sent is what is shown.

use std::{
    fs,
    io::Read as _,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde_json::json;

const JOBS: usize = 200;
const PATIENCE: Duration = Duration::from_secs(60);

#[expect(clippy::print_stdout, reason = "a measurement")]
fn main() {
    let folder = tempfile::tempdir().expect("there is room for a folder");
    let cluster = Cluster::start(folder.path());
    let mut latencies: Vec<Duration> =
        (0..JOBS).map(|job| cluster.latency(job, folder.path())).collect();
    latencies.sort_unstable();
    let at = |percent: usize| latencies[(JOBS - 1) * percent / 100];
    println!("request to first process, {JOBS} jobs one after another:");
    println!("  p50 {:?}  p90 {:?}  p99 {:?}  most {:?}", at(50), at(90), at(99), at(100));
}

struct Cluster {
    child: Child,
    uri: String,
}

impl Cluster {
    fn start(folder: &Path) -> Self {
        let port = free_port();
        let child = Command::new(env!("CARGO_BIN_EXE_airglow"))
            .args(["dev", "--port", &port.to_string(), "--data"])
            .arg(folder.join("data"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the binary was built");
        let cluster = Self { child, uri: format!("http://127.0.0.1:{port}") };
        until("a host to place things on", || cluster.has_a_host().then_some(()));
        cluster
    }

    fn has_a_host(&self) -> bool {
        let mut body = String::new();
        let Ok(mut answer) = ureq::get(format!("{}/api/v1/hosts", self.uri)).call() else {
            return false;
        };
        answer.body_mut().as_reader().read_to_string(&mut body).is_ok()
            && body.to_lowercase().contains("\"up\"")
    }

    fn latency(&self, number: usize, folder: &Path) -> Duration {
        let mark = folder.join(format!("mark-{number}"));
        let job = json!({
            "cluster": "devcluster", "role": "bench", "environment": "test",
            "name": format!("job{number}"),
            "task": {
                "name": "t",
                "processes": [{ "name": "p", "cmdline": format!("date +%s%N > {}", mark.display()) }],
                "resources": { "cpu": 0.01, "ram": 1 << 20, "disk": 1 << 20 },
            },
        });
        let asked = since_epoch();
        ureq::post(format!("{}/api/v1/jobs", self.uri))
            .send_json(json!({ "jobs": [job] }))
            .expect("the job is taken");
        let started = until("the process to start", || written_time(&mark));
        started.saturating_sub(asked)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let pid = nix::unistd::Pid::from_raw(self.child.id().cast_signed());
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGINT).ok();
        self.child.wait().ok();
    }
}

fn written_time(mark: &PathBuf) -> Option<Duration> {
    let nanos = fs::read_to_string(mark).ok()?;
    nanos.strip_suffix('\n')?.parse().ok().map(Duration::from_nanos)
}

fn free_port() -> u16 {
    loop {
        let first = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        let port = first.local_addr().expect("it is bound").port();
        if port < u16::MAX && TcpListener::bind(("127.0.0.1", port + 1)).is_ok() {
            return port;
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a measurement of the time that it takes")]
fn since_epoch() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970")
}

#[expect(clippy::disallowed_methods, reason = "nothing here waits for this thread")]
fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let give_up_at = since_epoch() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(since_epoch() < give_up_at, "waited for {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}
