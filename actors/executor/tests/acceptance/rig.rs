//! A scheduler with one agent that may come and go: it orders tasks, acknowledges what is reported,
//! and orders again what an agent that comes back does not know of.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use airglow_kit::{
    identity::{Authority, Bearer, Role},
    link::{Link, Listener, Receiver, Sender},
};
use airglow_model::{
    config::{Kind, Ports, TaskConfig},
    ids::{Attempt, JobKey, TaskId},
    wire::{
        Answer, Bytes, Launch, Question, Status, Stream, TaskView, ToExecutor, ToScheduler, Welcome,
    },
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::{Value, json};
use tokio::{runtime::Runtime, time::Instant};

use crate::agent::{AGENT, Settings};

pub(crate) struct Rig {
    runtime: Runtime,
    folder: tempfile::TempDir,
    listener: Listener,
    settings: Settings,
    pub(crate) agent: Option<Child>,
    link: Option<(Sender<ToExecutor>, Receiver<ToScheduler>)>,
    /// By their numbers, so each once.
    pub(crate) reports: BTreeMap<u64, Status>,
    /// What was ordered, as long as it is not over.
    ordered: BTreeMap<TaskId, Launch>,
    /// Which of them should end.
    killed: BTreeSet<TaskId>,
    launched: u32,
    answers: BTreeMap<u64, Answer>,
    asked: u64,
}

/// Far longer than anything takes that works.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// Whoever calls is told to whom it speaks.
fn welcome(link: Link) -> (Sender<ToExecutor>, Receiver<ToScheduler>) {
    let (sender, receiver) = link.split();
    let welcome = Welcome { cluster: "c".into(), protocol: 2, term: 1, schedulers: vec![] };
    sender.send(&ToExecutor::Welcome(welcome)).unwrap();
    (sender, receiver)
}

impl Rig {
    pub(crate) fn new(settings: Settings) -> Self {
        Self::in_folder(tempfile::tempdir().unwrap(), settings)
    }

    pub(crate) fn in_folder(folder: tempfile::TempDir, settings: Settings) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let authority = Authority::open_or_create(&folder.path().join("ca"), "c").unwrap();
        let own = authority.issue(Role::Scheduler, "s").unwrap();
        let data = folder.path().join("data");
        fs::create_dir_all(&data).unwrap();
        let bearer = Bearer { name: "h".into(), role: Role::Agent, machine: Some("m".into()) };
        authority.issue_to(&bearer).unwrap().save(&data).unwrap();
        let anywhere = (Ipv4Addr::LOCALHOST, 0).into();
        let listener = Listener::bind(anywhere, &own, Arc::new(authority), Arc::new(()));
        let listener = runtime.block_on(listener).unwrap();
        let mut rig = Self {
            runtime,
            folder,
            listener,
            settings,
            agent: None,
            link: None,
            reports: BTreeMap::new(),
            ordered: BTreeMap::new(),
            killed: BTreeSet::new(),
            launched: 0,
            answers: BTreeMap::new(),
            asked: 0,
        };
        rig.start_agent();
        rig.connect();
        rig
    }

    /// Not the agent's.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn sandbox(&self, id: &str) -> PathBuf {
        self.folder().join("data/tasks").join(id).join("sandbox")
    }

    /// Nobody waits for it to do anything.
    pub(crate) fn start_agent(&mut self) {
        // With something that its processes should not inherit.
        let script = "exec 9< /dev/null; exec \"$@\"";
        let agent = Command::new("/bin/bash")
            .args(["-c", script, "agent"])
            .arg(std::env::current_exe().unwrap())
            .arg(AGENT)
            .arg(self.folder().join("data"))
            .arg(self.listener.local_addr().to_string())
            .arg(serde_json::to_string(&self.settings).unwrap())
            .stdin(Stdio::null())
            .spawn();
        self.agent = Some(agent.unwrap());
    }

    /// As `kill -9` does, so that it cannot do anything about it.
    pub(crate) fn kill_agent(&mut self) {
        let mut agent = self.agent.take().expect("there is an agent");
        agent.kill().unwrap();
        agent.wait().unwrap();
        self.link = None;
    }

    /// Until there is a link, and what is here and what should be have been compared.
    pub(crate) fn connect(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        while self.link.is_none() {
            assert!(Instant::now() < deadline, "the agent connects");
            self.hear(Duration::from_secs(1));
        }
    }

    /// The next message, if there is one within that time; what it says is taken note of. Whoever
    /// calls is let in, whether that was waited for or not.
    pub(crate) fn hear(&mut self, within: Duration) -> Option<ToScheduler> {
        let until = Instant::now() + within;
        loop {
            let Self { runtime, listener, link, .. } = self;
            let next = async {
                let heard = async {
                    match link {
                        Some((_, receiver)) => receiver.next().await,
                        None => std::future::pending().await,
                    }
                };
                tokio::select! {
                    heard = heard => Some(Ok(heard)),
                    (_, link) = listener.accept() => Some(Err(welcome(link))),
                    () = tokio::time::sleep_until(until) => None,
                }
            };
            match runtime.block_on(next)? {
                Ok(Ok(Some(message))) => {
                    self.note(&message);
                    return Some(message);
                }
                Ok(Ok(None) | Err(_)) => self.link = None,
                Err(link) => self.link = Some(link),
            }
        }
    }

    fn note(&mut self, message: &ToScheduler) {
        match message {
            ToScheduler::Status(status) => {
                if status.state.is_terminal() {
                    self.ordered.remove(&status.task_id);
                    self.killed.remove(&status.task_id);
                }
                let before = self.reports.insert(status.seq, status.clone());
                assert!(
                    before.is_none_or(|it| it == *status),
                    "a number is used twice: {status:?}"
                );
                self.say(&ToExecutor::Ack { seq: status.seq });
            }
            ToScheduler::Inventory { tasks } => {
                let here: BTreeSet<_> = tasks.iter().map(|it| &it.task_id).collect();
                for (_, launch) in self.ordered.iter().filter(|(id, _)| !here.contains(id)) {
                    self.say(&ToExecutor::Launch(Box::new(launch.clone())));
                }
                for id in &self.killed {
                    self.say_kill(id);
                }
            }
            ToScheduler::Answer { request, answer } => {
                self.answers.insert(*request, answer.clone());
            }
            ToScheduler::Hello(_) | ToScheduler::Processes { .. } => {}
            ToScheduler::Renew { .. } => unreachable!("its certificate is new"),
            ToScheduler::Ping { .. } => self.say(&ToExecutor::Pong),
            ToScheduler::Unknown => unreachable!("it is as old as we are"),
        }
    }

    /// What does not arrive is said again when there is an inventory.
    fn say(&self, message: &ToExecutor) {
        if let Some((sender, _)) = &self.link {
            sender.send(message).ok();
        }
    }

    /// `task` is what a job's configuration says of it.
    pub(crate) fn launch(&mut self, id: &str, task: Value) {
        let launch = order(id, self.launched, task);
        self.launched += 1;
        self.say(&ToExecutor::Launch(Box::new(launch.clone())));
        self.ordered.insert(launch.task_id.clone(), launch);
    }

    pub(crate) fn kill(&mut self, id: &str) {
        let id = TaskId(id.into());
        if self.ordered.contains_key(&id) {
            self.say_kill(&id);
            self.killed.insert(id);
        }
    }

    fn say_kill(&self, id: &TaskId) {
        self.say(&ToExecutor::Kill { task_id: id.clone(), reason: "for a test".to_owned() });
    }

    /// How many tasks were ordered and are not over.
    pub(crate) fn pending(&self) -> usize {
        self.ordered.len()
    }

    /// Listens until that is the case.
    pub(crate) fn until(&mut self, what: &str, mut is: impl FnMut(&mut Self) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !is(self) {
            assert!(Instant::now() < deadline, "never: {what}; {:?}", self.reports);
            self.hear(Duration::from_millis(20));
        }
    }

    /// How it ended, once it has.
    pub(crate) fn ends(&mut self, id: &str) -> Status {
        self.until(&format!("{id} ends"), |rig| rig.end(id).is_some());
        self.end(id).expect("it has just been there")
    }

    fn end(&self, id: &str) -> Option<Status> {
        self.reports.values().find(|it| *it.task_id.0 == *id && it.state.is_terminal()).cloned()
    }

    /// What is in a file of its sandbox, once that is whole lines.
    pub(crate) fn written(&mut self, id: &str, file: &str) -> String {
        let path = self.sandbox(id).join(file);
        let mut text = String::new();
        self.until(&format!("{id} writes {file}"), |_| {
            text = fs::read_to_string(&path).unwrap_or_default();
            text.ends_with('\n')
        });
        text.trim().to_owned()
    }

    pub(crate) fn ask(&mut self, question: Question) -> Answer {
        self.asked += 1;
        let asked = self.asked;
        self.say(&ToExecutor::Ask { request: asked, question });
        self.until("an answer", |rig| rig.answers.contains_key(&asked));
        self.answers.remove(&asked).expect("it has just been there")
    }

    pub(crate) fn view(&mut self, id: &str) -> TaskView {
        let answer = self.ask(Question::Task { task_id: TaskId(id.into()) });
        let Answer::Task(view) = answer else { panic!("{id}: {answer:?}") };
        *view
    }

    /// All that a run has said, however many files it is in.
    pub(crate) fn log(&mut self, id: &str, process: &str, run: u32) -> Vec<u8> {
        let mut log = Vec::new();
        loop {
            let piece = self.log_from(id, process, run, log.len());
            if piece.is_empty() {
                return log;
            }
            log.extend(piece);
        }
    }

    /// Some of what it has said after that.
    pub(crate) fn log_from(&mut self, id: &str, process: &str, run: u32, from: usize) -> Vec<u8> {
        let answer = self.ask(Question::Log {
            task_id: TaskId(id.into()),
            process: process.into(),
            run,
            stream: Stream::Stdout,
            offset: from.try_into().unwrap(),
            length: 1 << 20,
        });
        let Answer::Piece { offset, data, .. } = answer else { panic!("{id}: {answer:?}") };
        assert_eq!(offset, from as u64, "of {id}'s log a piece is missing");
        match data {
            Bytes::Text(text) => text.into_bytes(),
            Bytes::Base64(text) => BASE64_STANDARD.decode(text).unwrap(),
        }
    }

    /// The users' processes: those whose working directory is somewhere here.
    pub(crate) fn processes(&self) -> Vec<i32> {
        self.inhabitants().filter(|pid| !is_shepherd(*pid)).collect()
    }

    pub(crate) fn processes_of(&self, id: &str) -> Vec<i32> {
        let sandbox = self.sandbox(id);
        let lives = |it: &i32| cwd(*it).is_some_and(|it| it.starts_with(&sandbox));
        self.processes().into_iter().filter(lives).collect()
    }

    fn inhabitants(&self) -> impl Iterator<Item = i32> {
        pids().filter(|pid| cwd(*pid).is_some_and(|it| it.starts_with(self.folder())))
    }

    /// As an agent that is not to come back is told to end.
    fn stop_agent(&mut self) {
        let Some(mut agent) = self.agent.take() else { return };
        kill(Pid::from_raw(agent.id().cast_signed()), Signal::SIGTERM).ok();
        let deadline = Instant::now() + PATIENCE;
        while matches!(agent.try_wait(), Ok(None)) && Instant::now() < deadline {
            self.hear(Duration::from_millis(5));
        }
        agent.kill().ok();
        agent.wait().ok();
    }
}

/// Leaves nothing behind, however the test went.
impl Drop for Rig {
    fn drop(&mut self) {
        self.stop_agent();
        for _ in 0..100 {
            let left: Vec<_> = self.inhabitants().collect();
            if left.is_empty() {
                break;
            }
            for pid in left {
                kill(Pid::from_raw(pid), Signal::SIGKILL).ok();
            }
            self.hear(Duration::from_millis(20));
        }
    }
}

fn order(id: &str, instance: u32, mut task: Value) -> Launch {
    let job = JobKey::new("r", "devel", "n");
    task["name"] = json!("t");
    if task["resources"].is_null() {
        task["resources"] = json!({ "cpu": 0.5, "ram": 256 << 20, "disk": 1_u64 << 30 });
    }
    let spec = json!({ "cluster": "c", "role": "r", "name": "n", "task": task });
    Launch {
        task: job.task(instance),
        attempt: Attempt(1),
        task_id: TaskId(id.into()),
        config: Arc::new(TaskConfig {
            job,
            kind: Kind::Adhoc,
            resources: Default::default(),
            ports: Default::default(),
            constraints: vec![],
            tier: "preferred".into(),
            class: Default::default(),
            priority: 0,
            max_task_failures: 1,
            spec: serde_json::from_value(spec).unwrap(),
        }),
        ports: Ports::new(),
    }
}

pub(crate) fn pids() -> impl Iterator<Item = i32> {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    entries.filter_map(|it| it.file_name().to_str()?.parse().ok())
}

fn cwd(pid: i32) -> Option<PathBuf> {
    fs::read_link(format!("/proc/{pid}/cwd")).ok()
}

pub(crate) fn is_shepherd(pid: i32) -> bool {
    let name = fs::read_to_string(format!("/proc/{pid}/comm"));
    name.is_ok_and(|it| it.starts_with("airglow-herd"))
}

/// A zombie is no life.
pub(crate) fn is_alive(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"));
    stat.is_ok_and(|it| !it.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('Z')))
}
