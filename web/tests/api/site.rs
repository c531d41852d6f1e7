//! A real scheduler in a folder of its own, behind a real server on a free port.

use std::net::{SocketAddr, TcpListener};

use actix_web::dev::ServerHandle;
use airglow_model::{policy::Policy, resources::Resources, spec::Limits};
use airglow_scheduler::Scheduler;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Duration, sleep, timeout},
};

/// How long anything may take that should happen at once.
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Site {
    pub(crate) scheduler: Scheduler,
    pub(crate) addr: SocketAddr,
    server: ServerHandle,
    _data: TempDir,
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Site {
    pub(crate) fn start() -> Self {
        Self::with(Policy::default())
    }

    /// Where it is looked all the time how services are doing.
    pub(crate) fn surveying() -> Self {
        let mut policy = Policy::default();
        policy.sla.refresh = Duration::from_millis(20);
        Self::with(policy)
    }

    /// Where no backup can be made.
    pub(crate) fn saving_to_nowhere() -> Self {
        let mut policy = Policy::default();
        policy.backup.folder = Some("/dev/null/backups".into());
        Self::with(policy)
    }

    /// One that is served in another way.
    pub(crate) fn serving(config: airglow_web::Config) -> Self {
        Self::as_told(Policy::default(), config)
    }

    fn with(policy: Policy) -> Self {
        Self::as_told(policy, airglow_web::Config::default())
    }

    fn as_told(policy: Policy, config: airglow_web::Config) -> Self {
        let data = tempfile::tempdir().unwrap();
        let scheduler = Scheduler::start(airglow_scheduler::Config {
            data: data.path().to_owned(),
            cluster: "test".into(),
            mesh: "127.0.0.1:0".parse().unwrap(),
            limits: Limits { tasks_per_job_max: 20_000, ..Limits::usual("test") },
            policy,
        })
        .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let server = airglow_web::serve(scheduler.clone(), listener, config).unwrap();
        let handle = server.handle();
        actix_rt::spawn(server);
        Self { scheduler, addr, server: handle, _data: data }
    }

    pub(crate) async fn stop(self) {
        self.server.stop(false).await;
        self.scheduler.stop();
    }

    /// One request, exactly as given.
    pub(crate) async fn raw(&self, head: &str, body: &[u8]) -> Answer {
        let mut stream = TcpStream::connect(self.addr).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(body).await.unwrap();
        let mut all = Vec::new();
        timeout(PATIENCE, stream.read_to_end(&mut all)).await.expect("an answer in time").unwrap();
        let cut = all.windows(4).position(|it| it == b"\r\n\r\n").expect("an answer has a head");
        let head = String::from_utf8(all[..cut].to_vec()).unwrap();
        let status = head[9..12].parse().unwrap();
        let body = all.split_off(cut + 4);
        let chunked = head.to_ascii_lowercase().contains("transfer-encoding: chunked");
        Answer { status, body: if chunked { unchunk(&body) } else { body }, head }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        let head =
            format!("GET {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n", self.addr);
        self.raw(&head, b"").await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send("POST", path, body).await
    }

    pub(crate) async fn put(&self, path: &str, body: &Value) -> Answer {
        self.send("PUT", path, body).await
    }

    /// As somebody, with what they have to say.
    pub(crate) async fn ask(
        &self,
        verb: &str,
        path: &str,
        token: Option<&str>,
        body: Option<&Value>,
    ) -> Answer {
        let body = body.map(Value::to_string).unwrap_or_default();
        let shown = token.map(|it| format!("authorization: Bearer {it}\r\n")).unwrap_or_default();
        let head = format!(
            "{verb} {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n{shown}\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n",
            self.addr,
            body.len()
        );
        self.raw(&head, body.as_bytes()).await
    }

    /// The status of an answer that goes on.
    pub(crate) async fn begins(&self, path: &str, token: Option<&str>) -> u16 {
        let shown = token.map(|it| format!("authorization: Bearer {it}\r\n")).unwrap_or_default();
        let mut stream = Stream::open(self, path, &shown).await;
        stream.until(b"\r\n\r\n").await;
        String::from_utf8_lossy(&stream.read[9..12]).parse().unwrap()
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        let head =
            format!("DELETE {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n", self.addr);
        self.raw(&head, b"").await
    }

    async fn send(&self, verb: &str, path: &str, body: &Value) -> Answer {
        let body = body.to_string();
        let head = format!(
            "{verb} {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n",
            self.addr,
            body.len()
        );
        self.raw(&head, body.as_bytes()).await
    }

    /// Asks for `path` until the answer is as wanted.
    pub(crate) async fn until(&self, path: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let ask = async {
            loop {
                let answer = self.get(path).await;
                if answer.status == 200 && wanted(&answer.json()) {
                    return answer.json();
                }
                sleep(Duration::from_millis(20)).await;
            }
        };
        match timeout(PATIENCE, ask).await {
            Ok(value) => value,
            Err(_) => panic!("{path} is still {}", self.get(path).await.text()),
        }
    }
}

impl Answer {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("not JSON: {}", self.text()))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (is, value) = line.split_once(": ")?;
            is.eq_ignore_ascii_case(name).then_some(value)
        })
    }
}

/// An answer that goes on.
pub(crate) struct Stream {
    stream: TcpStream,
    pub(crate) read: Vec<u8>,
}

impl Stream {
    pub(crate) async fn open(site: &Site, path: &str, headers: &str) -> Self {
        let mut stream = TcpStream::connect(site.addr).await.unwrap();
        let head =
            format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{headers}\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        Self { stream, read: Vec::new() }
    }

    /// Whether there was more.
    pub(crate) async fn more(&mut self) -> bool {
        let read = self.stream.read_buf(&mut self.read);
        timeout(PATIENCE, read).await.expect("more in time").unwrap() > 0
    }

    pub(crate) async fn until(&mut self, wanted: &[u8]) {
        while !self.read.windows(wanted.len()).any(|it| it == wanted) {
            assert!(self.more().await, "it ended: {}", String::from_utf8_lossy(&self.read));
        }
    }

    /// The whole body, when it has ended.
    pub(crate) async fn rest(mut self) -> Vec<u8> {
        while self.more().await {}
        let cut = self.read.windows(4).position(|it| it == b"\r\n\r\n").unwrap();
        unchunk(&self.read[cut + 4..])
    }
}

fn unchunk(mut body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    while let Some(cut) = body.windows(2).position(|it| it == b"\r\n") {
        let length = std::str::from_utf8(&body[..cut]).unwrap();
        let length = usize::from_str_radix(length, 16).unwrap();
        out.extend_from_slice(&body[cut + 2..cut + 2 + length]);
        body = &body[cut + 4 + length..];
        if length == 0 {
            break;
        }
    }
    out
}

/// A job whose only process is `command`.
pub(crate) fn job(name: &str, instances: u32, command: &str) -> Value {
    json!({
        "cluster": "test", "role": "www", "environment": "devel", "name": name,
        "instances": instances, "service": false,
        "task": {
            "name": "main",
            "processes": [{"name": "main", "cmdline": command}],
            "resources": {"cpu": 0.01, "ram": 16 << 20, "disk": 16 << 20},
        },
    })
}

pub(crate) fn service(name: &str, instances: u32, command: &str) -> Value {
    let mut job = job(name, instances, command);
    job["service"] = json!(true);
    job
}

pub(crate) fn roomy() -> Resources {
    Resources { cpu_milli: 64_000, ram_mb: 256 << 10, disk_mb: 1 << 20, gpus: 0 }
}
