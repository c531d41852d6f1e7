//! One of everything that is said in the newest version, every field of it filled in. Nothing here is
//! left to defaults, so whoever adds a field has to say it here.

use std::{collections::BTreeSet, sync::Arc};

use airglow_model::{
    config::TaskConfig,
    ids::{Attempt, JobKey, TaskId, TaskKey},
    machine::Timestamp,
    resources::Resources,
    spec::{JobSpec, Limits},
    wire::{
        Answer, Bytes, Capacity, CheckView, Entry, HealthView, Hello, Inventoried, Launch,
        ProcessState, ProcessUsage, ProcessView, Question, RunState, RunView, StageView, Status,
        Stream, TaskUsage, TaskView, ToExecutor, ToScheduler, Welcome,
    },
};
use serde_json::json;

/// Names of an enum's variants, and of one of its values: adding a variant breaks this.
macro_rules! variants {
    ($name:ident, $type:ident: $($variant:ident)*) => {
        fn $name(value: Option<&$type>) -> BTreeSet<String> {
            let all = [$(stringify!($variant)),*];
            let one = value.map(|it| match it { $($type::$variant { .. } => stringify!($variant)),* });
            let named = all.into_iter().filter(|it| one.is_none_or(|one| one == *it));
            named.map(|it| format!("{}::{it}", stringify!($type))).collect()
        }
    };
}

variants!(up, ToScheduler: Hello Inventory Status Processes Answer Renew Ping Unknown);
variants!(down, ToExecutor: Welcome Elsewhere Refused Ack Launch Kill Ask TakeStock Renewed Pong Unknown);
variants!(question, Question: Task Metrics Log File Unknown);
variants!(answer, Answer: Task Metrics Piece Folder NotFound Failed);
variants!(bytes, Bytes: Text Base64);
variants!(stream, Stream: Stdout Stderr);
variants!(run_state, RunState: Starting Running Finished Failed Killed Lost);
variants!(process_state, ProcessState: Waiting Forked Running Success Killed Failed Lost);

/// Of all that can be said, but for what stands for everything else.
pub(crate) fn names() -> BTreeSet<String> {
    let all = [
        up(None),
        down(None),
        question(None),
        answer(None),
        bytes(None),
        stream(None),
        run_state(None),
        process_state(None),
    ];
    all.into_iter().flatten().filter(|it| !it.ends_with("::Unknown")).collect()
}

/// Of what the words below say.
pub(crate) fn names_said() -> BTreeSet<String> {
    let mut said = BTreeSet::new();
    for word in to_scheduler() {
        said.extend(up(Some(&word)));
        match word {
            ToScheduler::Inventory { tasks } => {
                said.extend(tasks.iter().flat_map(|it| run_state(Some(&it.state))));
            }
            ToScheduler::Processes { processes, .. } => {
                said.extend(processes.iter().flat_map(|it| process_state(Some(&it.state))));
            }
            ToScheduler::Answer { answer: it, .. } => {
                said.extend(answer(Some(&it)));
                if let Answer::Piece { data, .. } = it {
                    said.extend(bytes(Some(&data)));
                }
            }
            ToScheduler::Hello(_)
            | ToScheduler::Status(_)
            | ToScheduler::Renew { .. }
            | ToScheduler::Ping { .. }
            | ToScheduler::Unknown => {}
        }
    }
    for word in to_executor() {
        said.extend(down(Some(&word)));
        if let ToExecutor::Ask { question: it, .. } = word {
            said.extend(question(Some(&it)));
            if let Question::Log { stream: it, .. } = it {
                said.extend(stream(Some(&it)));
            }
        }
    }
    said
}

fn task() -> TaskKey {
    JobKey::new("www-data", "prod", "hello").task(7)
}

fn id() -> TaskId {
    task().task_id(Timestamp(1_700_000_000_000), Attempt(3))
}

pub(crate) fn to_scheduler() -> Vec<ToScheduler> {
    let answers = [
        Answer::Task(Box::new(task_view())),
        Answer::Metrics { text: "airglow_tasks 1\n# EOF\n".into() },
        Answer::Piece { offset: 10, size: 100, data: Bytes::Text("é\n".into()) },
        Answer::Piece { offset: 0, size: 2, data: Bytes::Base64("/w==".into()) },
        Answer::Folder { entries: vec![entry()] },
        Answer::NotFound { what: "no such log".into() },
        Answer::Failed { why: "permission denied".into() },
    ];
    let answers =
        (1..).zip(answers).map(|(request, answer)| ToScheduler::Answer { request, answer });
    let status = Status {
        seq: 12,
        task: task(),
        attempt: Attempt(3),
        task_id: id(),
        state: RunState::Failed,
        message: "exited with 1".into(),
        at: Timestamp(1_700_000_001_000),
    };
    let words = [
        ToScheduler::Hello(hello()),
        ToScheduler::Inventory { tasks: inventory() },
        ToScheduler::Status(status),
        ToScheduler::Processes { task_id: id(), processes: processes() },
        ToScheduler::Renew { machine: "m1".into(), request: "a request".to_owned() },
        ToScheduler::Ping { at: Some(Timestamp(1_700_000_002_000)) },
    ];
    words.into_iter().chain(answers).collect()
}

pub(crate) fn to_executor() -> Vec<ToExecutor> {
    let log = |stream, offset| Question::Log {
        task_id: id(),
        process: "main".into(),
        run: 2,
        stream,
        offset,
        length: 65_536,
    };
    let questions = [
        Question::Task { task_id: id() },
        Question::Metrics,
        log(Stream::Stdout, -100),
        log(Stream::Stderr, 0),
        Question::File { task_id: id(), path: "logs/a b".into(), offset: 5, length: 10 },
    ];
    let questions =
        (1..).zip(questions).map(|(request, question)| ToExecutor::Ask { request, question });
    let at = |text: &str| text.parse().unwrap();
    let schedulers = vec![at("10.0.0.1:8082"), at("[fd00::2]:8082")];
    let welcome =
        Welcome { cluster: "west".into(), protocol: 2, term: 5, schedulers: schedulers.clone() };
    let launch = Launch {
        task: task(),
        attempt: Attempt(3),
        task_id: id(),
        config: config(),
        ports: [("http".to_owned(), 31_000)].into(),
    };
    let words = [
        ToExecutor::Welcome(welcome),
        ToExecutor::Elsewhere { leader: Some(at("10.0.0.1:8082")), schedulers },
        ToExecutor::Refused { why: "upgrade the agent".into() },
        ToExecutor::Ack { seq: 12 },
        ToExecutor::Launch(Box::new(launch)),
        ToExecutor::Kill { task_id: id(), reason: "killed by ada".into() },
        ToExecutor::TakeStock,
        ToExecutor::Renewed { chain: "a certificate".to_owned() },
        ToExecutor::Pong,
    ];
    words.into_iter().chain(questions).collect()
}

fn hello() -> Hello {
    let resources = Resources { cpu_milli: 8000, ram_mb: 32_768, disk_mb: 100_000, gpus: 1 };
    let revocable = Resources { cpu_milli: 2000, ram_mb: 1024, disk_mb: 0, gpus: 0 };
    Hello {
        host: "rack-1.example".into(),
        version: "0.1.0".into(),
        protocol: 2,
        oldest_protocol: Some(1),
        attributes: [("rack".to_owned(), ["r1".to_owned(), "r2".to_owned()].into())].into(),
        capacity: Capacity { resources, ports: vec![(31_000, 32_000)], revocable },
        term: 5,
        isolated_max_secs: Some(3600),
    }
}

fn inventory() -> Vec<Inventoried> {
    use RunState::{Failed, Finished, Killed, Lost, Running, Starting};
    let item = |state| Inventoried { task: task(), attempt: Attempt(3), task_id: id(), state };
    [Starting, Running, Finished, Failed, Killed, Lost].map(item).into()
}

fn config() -> Arc<TaskConfig> {
    let spec: JobSpec = serde_json::from_value(json!({
        "cluster": "west", "role": "www-data", "environment": "prod", "name": "hello",
        "service": true, "instances": 8,
        "task": {
            "name": "hello",
            "processes": [{ "name": "main", "cmdline": "serve {{thermos.ports[http]}}" }],
            "resources": { "cpu": 0.5, "ram": 16 << 20, "disk": 16 << 20 },
        },
    }))
    .unwrap();
    Arc::new(spec.check(&Limits::usual("west")).unwrap().config)
}

fn task_view() -> TaskView {
    let check = CheckView {
        at: Timestamp(1_700_000_001_500),
        is_success: false,
        latency_ms: 12,
        message: "503".into(),
    };
    let health = HealthView {
        check: "GET http://localhost:31000/health".into(),
        is_healthy: true,
        consecutive_successes: 4,
        consecutive_failures: 0,
        is_snoozed: true,
        checks: 17,
        total_latency_ms: 210,
        last: vec![check],
    };
    let usage = TaskUsage {
        at: Timestamp(1_700_000_001_600),
        cpu: 0.5,
        cpu_seconds: 12.25,
        ram: 1 << 20,
        disk: 1 << 21,
        pids: 3,
    };
    TaskView {
        stage: StageView {
            name: "leaving".into(),
            detail: "its processes to end".into(),
            until: Some(Timestamp(1_700_000_009_000)),
        },
        health: Some(health),
        processes: processes(),
        usage: Some(usage),
        isolation: vec!["memory is not limited: no control groups".into()],
        ports: [("http".to_owned(), 31_000)].into(),
        user: "www-data".into(),
    }
}

fn processes() -> Vec<ProcessView> {
    use ProcessState::{Failed, Forked, Killed, Lost, Running, Success, Waiting};
    let run = |state| RunView {
        run: 2,
        state,
        pid: Some(4711),
        started_at: Some(Timestamp(1_700_000_000_500)),
        ended_at: Some(Timestamp(1_700_000_000_900)),
        exit_code: Some(-9),
        message: Some("killed".into()),
    };
    let usage = ProcessUsage { cpu: 0.25, cpu_seconds: 6.5, ram: 4096, processes: 2, threads: 5 };
    let process = |state| ProcessView {
        name: "main".into(),
        state,
        is_final: true,
        daemon: true,
        ephemeral: true,
        failures: 1,
        runs: vec![run(state)],
        usage: Some(usage.clone()),
    };
    [Waiting, Forked, Running, Success, Killed, Failed, Lost].map(process).into()
}

fn entry() -> Entry {
    Entry {
        name: "out".into(),
        is_folder: false,
        size: 12,
        modified_at: Timestamp(1_700_000_000_000),
        mode: 0o120_777,
        owner: "www-data".into(),
        link: Some("/etc/passwd".into()),
    }
}
