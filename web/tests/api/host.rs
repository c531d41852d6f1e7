//! A host that runs nothing and says it does: what it answers is what a test puts into it.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use airglow_kit::{
    identity::Role,
    link::{self, Sender},
    now,
};
use airglow_model::{
    ids::TaskId,
    resources::Resources,
    wire::{
        Answer, Bytes, Capacity, CheckView, Entry, HealthView, Hello, Launch, ProcessState,
        ProcessUsage, ProcessView, Question, RunState, RunView, StageView, Status, Stream,
        TaskUsage, TaskView, ToExecutor, ToScheduler,
    },
};
use airglow_scheduler::Scheduler;
use base64::{Engine, prelude::BASE64_STANDARD};

/// Clones are the same host.
#[derive(Clone, Default)]
pub(crate) struct Host {
    pub(crate) known: Arc<Mutex<Known>>,
}

#[derive(Default)]
pub(crate) struct Known {
    launched: BTreeMap<TaskId, Launch>,
    /// By process, run and stream, whichever task it is.
    pub(crate) logs: BTreeMap<(String, u32, &'static str), Vec<u8>>,
    pub(crate) files: BTreeMap<String, Vec<u8>>,
    /// So many bytes of every log are not kept any more.
    pub(crate) rotated_away: usize,
    pub(crate) views: BTreeMap<TaskId, TaskView>,
    /// What it was asked stays without an answer.
    pub(crate) is_silent: bool,
    seq: u64,
}

impl Host {
    /// Joins the cluster; stays until the runtime ends.
    pub(crate) async fn join(scheduler: &Scheduler, name: &str, resources: Resources) -> Self {
        let identity = scheduler.authority().issue(Role::Agent, name).unwrap();
        let link = link::dial(scheduler.mesh_addr(), &identity).await.unwrap();
        let (sender, mut receiver) = link.split::<ToScheduler, ToExecutor>();
        let capacity = Capacity { resources, ports: vec![(31000, 31999)], ..Capacity::default() };
        let attributes = [("host", name), ("rack", "r1")];
        sender
            .send(&ToScheduler::Hello(Hello {
                attributes: attributes.map(|(k, v)| (k.into(), [v.into()].into())).into(),
                capacity,
                ..Hello::of(name, "0.1.0")
            }))
            .unwrap();
        sender.send(&ToScheduler::Inventory { tasks: vec![] }).unwrap();
        let host = Self::default();
        let mine = host.clone();
        actix_rt::spawn(async move {
            let mut beat = actix_rt::time::interval(link::HEARTBEAT);
            loop {
                tokio::select! {
                    _ = beat.tick() => drop(sender.send(&ToScheduler::Ping { at: None })),
                    heard = receiver.next() => match heard {
                        Ok(Some(order)) => mine.obey(&sender, order),
                        Ok(None) | Err(_) => return,
                    }
                }
            }
        });
        host
    }

    fn obey(&self, sender: &Sender<ToScheduler>, order: ToExecutor) {
        match order {
            ToExecutor::Welcome(_)
            | ToExecutor::Elsewhere { .. }
            | ToExecutor::Refused { .. }
            | ToExecutor::Unknown
            | ToExecutor::Ack { .. }
            | ToExecutor::TakeStock
            | ToExecutor::Renewed { .. }
            | ToExecutor::Pong => {}
            ToExecutor::Launch(launch) => {
                let command = &launch.config.spec.task.processes[0].cmdline;
                let end = match command.as_str() {
                    it if it.contains("exit 1") => {
                        Some((RunState::Failed, "Task failed: process main exited with 1"))
                    }
                    it if it.contains("once") => Some((RunState::Finished, "Task finished")),
                    _ => None,
                };
                let views = processes(&launch, end.map(|it| it.0));
                let told = ToScheduler::Processes {
                    task_id: launch.task_id.clone(),
                    processes: views.clone(),
                };
                let new = {
                    let mut known = self.known.lock().unwrap();
                    let view = || view(views, &launch.ports);
                    known.views.entry(launch.task_id.clone()).or_insert_with(view);
                    known.launched.insert(launch.task_id.clone(), (*launch).clone()).is_none()
                };
                if new {
                    self.say(sender, &launch, RunState::Starting, "Initializing sandbox");
                    self.say(sender, &launch, RunState::Running, "");
                    sender.send(&told).unwrap();
                    if let Some((state, message)) = end {
                        self.say(sender, &launch, state, message);
                    }
                }
            }
            ToExecutor::Kill { task_id, .. } => {
                let launch = self.known.lock().unwrap().launched.get(&task_id).cloned();
                if let Some(launch) = launch {
                    self.say(sender, &launch, RunState::Killed, "Instructed to kill task.");
                }
            }
            ToExecutor::Ask { request, question } => {
                let known = self.known.lock().unwrap();
                if known.is_silent {
                    return;
                }
                let answer = known.answer(question);
                drop(known);
                sender.send(&ToScheduler::Answer { request, answer }).unwrap();
            }
        }
    }

    fn say(&self, sender: &Sender<ToScheduler>, launch: &Launch, state: RunState, message: &str) {
        let seq = {
            let mut known = self.known.lock().unwrap();
            known.seq += 1;
            known.seq
        };
        let Launch { task, attempt, task_id, .. } = launch.clone();
        let message = message.to_owned();
        let status = Status { seq, task, attempt, task_id, state, message, at: now() };
        sender.send(&ToScheduler::Status(status)).unwrap();
    }
}

impl Known {
    fn answer(&self, question: Question) -> Answer {
        match question {
            Question::Unknown => Answer::Failed { why: "what?".into() },
            Question::Metrics => Answer::Metrics { text: "airglow_tasks 1\n# EOF\n".into() },
            Question::Task { task_id } => match self.views.get(&task_id) {
                Some(view) => Answer::Task(Box::new(view.clone())),
                None => Answer::NotFound { what: format!("task {task_id}") },
            },
            Question::Log { process, run, stream, offset, length, .. } => {
                let stream = match stream {
                    Stream::Stdout => "stdout",
                    Stream::Stderr => "stderr",
                };
                match self.logs.get(&(process, run, stream)) {
                    Some(log) => {
                        let size = log.len();
                        let at = match usize::try_from(offset) {
                            Ok(at) => at.max(self.rotated_away).min(size),
                            Err(_) => size.saturating_sub(usize::try_from(-offset).unwrap()),
                        };
                        piece(log, at, length)
                    }
                    None => Answer::NotFound { what: "no such log".into() },
                }
            }
            Question::File { path, offset, length, .. } => match self.files.get(&path) {
                Some(file) => piece(file, usize::try_from(offset).unwrap(), length),
                None => self.folder(&path),
            },
        }
    }

    fn folder(&self, path: &str) -> Answer {
        let prefix = if path.is_empty() { String::new() } else { format!("{path}/") };
        let inside =
            self.files.iter().filter_map(|(name, data)| Some((name.strip_prefix(&prefix)?, data)));
        let entries: BTreeMap<_, _> = inside
            .map(|(rest, data)| match rest.split_once('/') {
                Some((folder, _)) => (folder, (true, 0)),
                None => (rest, (false, data.len() as u64)),
            })
            .collect();
        if entries.is_empty() && !path.is_empty() {
            return Answer::NotFound { what: format!("{path} does not exist") };
        }
        let entry = |(name, (is_folder, size)): (&str, (bool, u64))| Entry {
            name: name.to_owned(),
            is_folder,
            size,
            modified_at: now(),
            mode: if is_folder { 0o040_755 } else { 0o100_644 },
            owner: "www".into(),
            link: None,
        };
        Answer::Folder { entries: entries.into_iter().map(entry).collect() }
    }
}

/// Everything as base64 that is not text, as a real host does.
fn piece(data: &[u8], at: usize, length: u32) -> Answer {
    let size = data.len();
    let end = size.min(at.saturating_add(length as usize));
    let data = &data[at.min(size)..end];
    let data = match std::str::from_utf8(data) {
        Ok(text) => Bytes::Text(text.to_owned()),
        Err(_) => Bytes::Base64(BASE64_STANDARD.encode(data)),
    };
    Answer::Piece { offset: at as u64, size: size as u64, data }
}

/// A task that is as well as can be.
fn view(processes: Vec<ProcessView>, ports: &BTreeMap<String, u16>) -> TaskView {
    let check = |message: &str| CheckView {
        at: now(),
        is_success: message.is_empty(),
        latency_ms: 12,
        message: message.into(),
    };
    TaskView {
        stage: StageView { name: "active".into(), ..StageView::default() },
        health: Some(HealthView {
            check: "GET http://localhost:31000/health".into(),
            is_healthy: true,
            consecutive_successes: 3,
            checks: 5,
            total_latency_ms: 60,
            last: vec![check("Connection refused"), check(""), check(""), check("")],
            ..HealthView::default()
        }),
        processes,
        usage: Some(TaskUsage {
            at: now(),
            cpu: 0.005,
            cpu_seconds: 12.5,
            ram: 12 << 20,
            disk: 4 << 20,
            pids: 3,
        }),
        isolation: vec!["its own processes and mounts".into(), "memory is not limited".into()],
        ports: ports.clone(),
        user: "www".into(),
    }
}

fn processes(launch: &Launch, end: Option<RunState>) -> Vec<ProcessView> {
    let (state, exit_code) = match end {
        None => (ProcessState::Running, None),
        Some(RunState::Finished) => (ProcessState::Success, Some(0)),
        Some(_) => (ProcessState::Failed, Some(1)),
    };
    let processes = launch.config.spec.task.processes.iter();
    processes
        .map(|it| ProcessView {
            name: it.name.clone(),
            state,
            is_final: it.is_final,
            daemon: it.daemon,
            ephemeral: it.ephemeral,
            failures: u32::from(exit_code == Some(1)),
            runs: vec![RunView {
                run: 0,
                state,
                pid: Some(4711),
                started_at: Some(now()),
                ended_at: end.map(|_| now()),
                exit_code,
                message: None,
            }],
            usage: end.is_none().then_some(ProcessUsage {
                cpu: 0.004,
                cpu_seconds: 12.0,
                ram: 8 << 20,
                processes: 2,
                threads: 3,
            }),
        })
        .collect()
}
