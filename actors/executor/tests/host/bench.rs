//! A scheduler on a bench, with one agent wired to it.

use std::{
    collections::BTreeMap,
    fs::{self, Permissions},
    io::Write,
    net::SocketAddr,
    os::unix::{fs::PermissionsExt, net::UnixStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use airglow_kit::{
    identity::{Authority, Bearer, Role},
    link::{Listener, Receiver, Sender},
};
use airglow_model::{
    ids::TaskId,
    wire::{
        Answer, Bytes, Hello, Inventoried, ProcessState, ProcessView, Question, RunState, RunView,
        Status, Stream, TaskView, ToExecutor, ToScheduler, Welcome,
    },
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;
use tokio::runtime::Runtime;

use crate::{
    agent::{AGENT, Settings},
    orders::{order, order_of},
};

pub(crate) struct Bench {
    runtime: Runtime,
    folder: tempfile::TempDir,
    listener: Listener,
    /// Of the next agent.
    pub(crate) mode: Settings,
    agent: Child,
    link: Option<(Sender<ToExecutor>, Receiver<ToScheduler>)>,
    /// Everything that was reported, repetitions included.
    pub(crate) reports: Vec<Status>,
    pub(crate) inventory: Vec<Inventoried>,
    answers: BTreeMap<u64, Answer>,
    asked: u64,
    pub(crate) acknowledges: bool,
    /// How the agent has greeted last.
    pub(crate) greeted: Option<Hello>,
    /// What it says to whoever calls.
    pub(crate) welcome: Welcome,
}

/// Far longer than anything takes that works.
const PATIENCE: Duration = Duration::from_secs(60);

impl Bench {
    pub(crate) fn new() -> Self {
        Self::in_mode(Settings::ISOLATED)
    }

    /// One of those that the agent knows.
    pub(crate) fn in_mode(mode: Settings) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), Permissions::from_mode(0o711)).unwrap();
        let data = folder.path().join("data");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let authority = Authority::open_or_create(&folder.path().join("ca"), "c").unwrap();
        let own = authority.issue(Role::Scheduler, "s").unwrap();
        fs::create_dir_all(&data).unwrap();
        let bearer = Bearer { name: "h".into(), role: Role::Agent, machine: Some("m".into()) };
        authority.issue_to(&bearer).unwrap().save(&data).unwrap();
        let anywhere = "127.0.0.1:0".parse().unwrap();
        let listener = runtime
            .block_on(Listener::bind(anywhere, &own, Arc::new(authority), Arc::new(())))
            .unwrap();
        let agent = spawn_agent(&data, &listener, mode);
        let mut bench = Self {
            runtime,
            folder,
            listener,
            mode,
            agent,
            link: None,
            reports: Vec::new(),
            inventory: Vec::new(),
            answers: BTreeMap::new(),
            asked: 0,
            acknowledges: true,
            greeted: None,
            welcome: Welcome { cluster: "c".into(), protocol: 2, term: 1, schedulers: vec![] },
        };
        bench.connect();
        bench
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    pub(crate) fn sandbox(&self, id: &str) -> PathBuf {
        self.data().join("tasks").join(id).join("sandbox")
    }

    /// Until the agent is there and has said what it has.
    pub(crate) fn connect(&mut self) {
        let listener = &mut self.listener;
        let link = self.runtime.block_on(async { listener.accept().await.1.split() });
        self.link = Some(link);
        self.say(&ToExecutor::Welcome(self.welcome.clone()));
        let mut has_inventory = false;
        while !has_inventory {
            has_inventory = matches!(self.hear(), ToScheduler::Inventory { .. });
        }
    }

    /// The agent calls, hears whoever leads now, and wants nothing more of it.
    pub(crate) fn is_left(&mut self) {
        let welcome = ToExecutor::Welcome(self.welcome.clone());
        self.is_left_saying(&[welcome]);
    }

    /// The same of somebody who says that instead.
    pub(crate) fn is_left_saying(&mut self, words: &[ToExecutor]) {
        let Self { runtime, listener, .. } = self;
        let left = async {
            let link = listener.accept().await.1;
            let (says, mut hears) = link.split::<ToExecutor, ToScheduler>();
            let hello = hears.next().await.unwrap();
            assert!(matches!(hello, Some(ToScheduler::Hello(_))), "{hello:?}");
            for word in words {
                says.send(word).unwrap();
            }
            let more = hears.next().await;
            assert!(!matches!(more, Ok(Some(_))), "{more:?}");
        };
        runtime.block_on(async { tokio::time::timeout(PATIENCE, left).await.expect("it leaves") });
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.listener.local_addr()
    }

    pub(crate) fn hang_up(&mut self) {
        self.link = None;
    }

    /// As `kill -9` does, so that it cannot do anything about it.
    pub(crate) fn kill_agent(&mut self) {
        self.agent.kill().unwrap();
        self.agent.wait().unwrap();
        self.link = None;
    }

    pub(crate) fn start_agent(&mut self) {
        self.start_agent_that_cannot_go_on();
        self.connect();
    }

    /// It is there, and nobody hears of it.
    pub(crate) fn start_agent_that_cannot_go_on(&mut self) {
        self.agent = spawn_agent(&self.data(), &self.listener, self.mode);
    }

    /// Has it end its tasks and itself.
    pub(crate) fn stop_agent(&mut self) {
        kill(Pid::from_raw(self.agent.id().cast_signed()), Signal::SIGTERM).unwrap();
        let (agent, runtime) = (&mut self.agent, &self.runtime);
        runtime.block_on(async {
            while agent.try_wait().unwrap().is_none() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
    }

    pub(crate) fn say(&self, message: &ToExecutor) {
        self.link.as_ref().unwrap().0.send(message).unwrap();
    }

    /// The next message, taken note of.
    fn hear(&mut self) -> ToScheduler {
        let (_, receiver) = self.link.as_mut().expect("there is a link");
        let heard = async { tokio::time::timeout(PATIENCE, receiver.next()).await };
        let heard = self.runtime.block_on(heard).expect("it says something in time");
        let message = heard.expect("the link holds").expect("the link holds");
        match &message {
            ToScheduler::Status(status) => {
                self.reports.push(status.clone());
                if self.acknowledges {
                    self.say(&ToExecutor::Ack { seq: status.seq });
                }
            }
            ToScheduler::Inventory { tasks } => self.inventory.clone_from(tasks),
            ToScheduler::Answer { request, answer } => {
                self.answers.insert(*request, answer.clone());
            }
            ToScheduler::Hello(hello) => self.greeted = Some(hello.clone()),
            ToScheduler::Processes { .. } => {}
            ToScheduler::Renew { .. } => unreachable!("its certificate is new"),
            ToScheduler::Ping { .. } => self.say(&ToExecutor::Pong),
            ToScheduler::Unknown => unreachable!("it is as old as we are"),
        }
        message
    }

    /// `task` is what the configuration says of it; processes are `name: cmdline`.
    pub(crate) fn launch(&self, id: &str, task: Value) {
        self.say(&ToExecutor::Launch(Box::new(order(id, 0, 1, task))));
    }

    /// With what its job says beyond its task, and with ports.
    pub(crate) fn launch_job(&self, id: &str, job: Value, ports: &[(&str, u16)]) {
        let mut launch = order_of(id, job);
        launch.ports = ports.iter().map(|(name, port)| ((*name).to_owned(), *port)).collect();
        self.say(&ToExecutor::Launch(Box::new(launch)));
    }

    pub(crate) fn kill(&self, id: &str) {
        let (task_id, reason) = (TaskId(id.into()), "for a test".to_owned());
        self.say(&ToExecutor::Kill { task_id, reason });
    }

    pub(crate) fn run(&mut self, task: Value) -> (RunState, Vec<ProcessView>) {
        self.launch("t", task);
        (self.ends("t"), self.processes("t"))
    }

    /// How it ended, once it has.
    pub(crate) fn ends(&mut self, id: &str) -> RunState {
        self.reports("it ends", |it| *it.task_id.0 == *id && it.state.is_terminal()).state
    }

    pub(crate) fn runs(&mut self, id: &str) {
        self.reports("it runs", |it| *it.task_id.0 == *id && it.state == RunState::Running);
    }

    /// The first report that is like that, once there is one.
    pub(crate) fn reports(&mut self, what: &str, is: impl Fn(&Status) -> bool) -> Status {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            if let Some(found) = self.reports.iter().find(|it| is(it)) {
                return found.clone();
            }
            assert!(tokio::time::Instant::now() < deadline, "{what}: {:?}", self.reports);
            self.hear();
        }
    }

    pub(crate) fn ask(&mut self, question: Question) -> Answer {
        self.asked += 1;
        self.say(&ToExecutor::Ask { request: self.asked, question });
        loop {
            if let Some(answer) = self.answers.remove(&self.asked) {
                return answer;
            }
            self.hear();
        }
    }

    pub(crate) fn processes(&mut self, id: &str) -> Vec<ProcessView> {
        self.view(id).processes
    }

    pub(crate) fn view(&mut self, id: &str) -> TaskView {
        let answer = self.ask(Question::Task { task_id: TaskId(id.into()) });
        let Answer::Task(view) = answer else { panic!("{answer:?}") };
        *view
    }

    /// Once it is like that.
    pub(crate) fn process(
        &mut self,
        id: &str,
        name: &str,
        is: impl Fn(&ProcessView) -> bool,
    ) -> ProcessView {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let answer = self.ask(Question::Task { task_id: TaskId(id.into()) });
            if let Answer::Task(view) = &answer {
                let found = view.processes.iter().find(|it| it.name == name).unwrap();
                if is(found) {
                    return found.clone();
                }
            }
            assert!(tokio::time::Instant::now() < deadline, "{answer:?}");
            self.runtime.block_on(async { tokio::time::sleep(Duration::from_millis(5)).await });
        }
    }

    /// Its process's number, once it runs.
    pub(crate) fn pid(&mut self, id: &str, name: &str) -> i32 {
        let running = self.process(id, name, |it| it.state == ProcessState::Running);
        running.runs.last().unwrap().pid.unwrap()
    }

    pub(crate) fn log(&mut self, id: &str, process: &str, run: u32) -> String {
        let question = Question::Log {
            task_id: TaskId(id.into()),
            process: process.into(),
            run,
            stream: Stream::Stdout,
            offset: 0,
            length: 1_000_000,
        };
        let answer = self.ask(question);
        let Answer::Piece { data: Bytes::Text(text), .. } = answer else { panic!("{answer:?}") };
        text
    }

    /// Once the file is there, and whole lines are in it: what is in it.
    pub(crate) fn written(&self, id: &str, file: &str) -> String {
        let path = self.sandbox(id).join(file);
        let is_whole = |it: &String| it.ends_with('\n');
        let text = || fs::read_to_string(&path).ok().filter(is_whole);
        self.until(|| text().is_some());
        text().unwrap().trim().to_owned()
    }

    /// How many processes of the task there are, whoever their parents are by now: all of them have
    /// its sandbox for a home.
    pub(crate) fn living(&self, id: &str) -> usize {
        let Ok(sandbox) = self.sandbox(id).canonicalize() else { return 0 };
        let home = format!("HOME={}\0", sandbox.display());
        let pids = fs::read_dir("/proc").unwrap().flatten();
        let pids = pids.filter_map(|it| it.file_name().to_str()?.parse::<i32>().ok());
        let is_member = |pid: &i32| {
            let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            environment.windows(home.len()).any(|it| it == home.as_bytes())
        };
        pids.filter(is_member).filter(|it| is_alive(*it)).count()
    }

    pub(crate) fn until(&self, is: impl Fn() -> bool) {
        self.runtime.block_on(async {
            let waiting = async {
                while !is() {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            };
            tokio::time::timeout(PATIENCE, waiting).await.expect("it happens in time");
        });
    }

    /// Whether somebody takes orders for it.
    pub(crate) fn has_shepherd(&self, id: &str) -> bool {
        UnixStream::connect(self.data().join("tasks").join(id).join("shepherd.sock")).is_ok()
    }

    /// The number of its shepherd, once there is one.
    pub(crate) fn shepherd(&self, id: &str) -> i32 {
        let folder = self.data().join("tasks").join(id);
        self.until(|| shepherd_of(&folder).is_some());
        shepherd_of(&folder).unwrap()
    }
}

/// By the first line of what it writes.
fn shepherd_of(folder: &Path) -> Option<i32> {
    let record = fs::read_to_string(folder.join("record.jsonl")).ok()?;
    let first: Value = serde_json::from_str(record.lines().next()?).ok()?;
    i32::try_from(first["pid"].as_i64()?).ok()
}

/// Leaves nothing behind, however the test went.
impl Drop for Bench {
    fn drop(&mut self) {
        self.agent.kill().ok();
        self.agent.wait().ok();
        let tasks = fs::read_dir(self.data().join("tasks")).into_iter().flatten().flatten();
        for task in tasks {
            if let Ok(line) = UnixStream::connect(task.path().join("shepherd.sock")) {
                (&line).write_all(b"{\"order\":\"leave\"}\n").ok();
            }
        }
        let tasks = fs::read_dir(self.data().join("tasks")).into_iter().flatten().flatten();
        for shepherd in tasks.filter_map(|it| shepherd_of(&it.path())) {
            self.until(|| !is_shepherd(shepherd));
        }
    }
}

fn is_shepherd(pid: i32) -> bool {
    let name = fs::read_to_string(format!("/proc/{pid}/comm"));
    is_alive(pid) && name.is_ok_and(|it| it.starts_with("airglow-herd"))
}

pub(crate) fn is_alive(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"));
    stat.is_ok_and(|it| !it.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('Z')))
}

fn spawn_agent(data: &Path, listener: &Listener, mode: Settings) -> Child {
    // With things that its processes should not inherit: an open file, signals ignored, and, where
    // that is allowed, protection from running out of memory.
    let script = "trap '' HUP INT PIPE USR1; exec 9< /dev/null
        echo -500 2> /dev/null > /proc/self/oom_score_adj; exec \"$@\"";
    Command::new("/bin/bash")
        .args(["-c", script, "agent"])
        .arg(std::env::current_exe().unwrap())
        .arg(AGENT)
        .arg(data)
        .arg(listener.local_addr().to_string())
        .arg(serde_json::to_string(&mode).unwrap())
        .stdin(Stdio::null())
        .spawn()
        .unwrap()
}

/// How each run ended, by process: `a S, b F F`.
pub(crate) fn outline(processes: &[ProcessView]) -> String {
    let letter = |it: &RunView| match it.state {
        ProcessState::Waiting => "W",
        ProcessState::Forked | ProcessState::Running => "R",
        ProcessState::Success => "S",
        ProcessState::Killed => "K",
        ProcessState::Failed => "F",
        ProcessState::Lost => "L",
    };
    let process = |it: &ProcessView| {
        let runs: Vec<_> = it.runs.iter().map(letter).collect();
        format!("{} {}", it.name, runs.join(" ")).trim().to_owned()
    };
    processes.iter().map(process).collect::<Vec<_>>().join(", ")
}
