//! Tasks that are looked at, and tasks that are asked to leave before they are made to.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    path::PathBuf,
    sync::mpsc,
};

use airglow_model::wire::RunState;
use serde_json::{Value, json};

use crate::{agent::Settings, bench::Bench, trials};

trials![
    e1_a_task_runs_when_it_is_healthy_and_not_before,
    an_unhealthy_task_fails_and_says_why,
    a_healthy_task_stays_so_when_its_agent_is_another,
    a_look_that_takes_too_long_is_ended,
    e10_a_task_is_asked_to_quit_and_then_to_abort,
    e10_who_quits_when_asked_is_not_asked_twice,
    e10_who_does_not_listen_is_not_waited_for,
];

fn checked(command: &str, cmdline: &str) -> Value {
    json!({
        "task": { "processes": [{ "name": "p", "cmdline": cmdline }], "finalization_wait": 5 },
        "health_check_config": {
            "health_checker": { "shell": { "shell_command": command } },
            "interval_secs": 0.2, "initial_interval_secs": 60, "timeout_secs": 20,
        },
    })
}

fn states(bench: &Bench) -> Vec<RunState> {
    bench.reports.iter().map(|it| it.state).collect()
}

fn e1_a_task_runs_when_it_is_healthy_and_not_before() {
    for mode in [Settings::ISOLATED, Settings::BARE] {
        let mut bench = Bench::in_mode(mode);
        bench.launch_job("t", checked("[ -e healthy ]", "sleep 1000"), &[]);
        bench.pid("t", "p");
        while bench.view("t").health.is_none_or(|it| it.checks < 2) {}
        assert_eq!(states(&bench), [RunState::Starting], "{mode:?}");
        std::fs::write(bench.sandbox("t").join("healthy"), "").unwrap();
        bench.runs("t");
        assert_eq!(bench.reports.last().unwrap().message, "Task is healthy.");
        let view = bench.view("t");
        assert!(view.health.unwrap().is_healthy, "{mode:?}");
        assert_eq!(view.processes.len(), 1);
        let record = std::fs::read_to_string(bench.data().join("tasks/t/record.jsonl")).unwrap();
        assert_eq!(record.lines().count(), 2, "{record}");
        bench.kill("t");
        assert_eq!(bench.ends("t"), RunState::Killed);
    }
}

fn an_unhealthy_task_fails_and_says_why() {
    let mut bench = Bench::new();
    let mut job = checked("echo sick; exit 3", "sleep 1000");
    job["health_check_config"]["initial_interval_secs"] = json!(0);
    bench.launch_job("t", job, &[]);
    assert_eq!(bench.ends("t"), RunState::Failed);
    assert_eq!(
        bench.reports.last().unwrap().message,
        "Failed health check! Command 'echo sick; exit 3' returned non-zero exit status 3 with \
         output 'sick\n'"
    );
    assert_eq!(bench.living("t"), 0);
}

fn a_healthy_task_stays_so_when_its_agent_is_another() {
    let mut bench = Bench::new();
    bench.launch_job("t", checked("[ -e healthy ]", "touch healthy; sleep 1000"), &[]);
    bench.runs("t");
    bench.kill_agent();
    bench.reports.clear();
    bench.start_agent();
    assert_eq!(bench.inventory[0].state, RunState::Running);
    while bench.view("t").health.is_none_or(|it| it.checks < 1) {}
    assert!(bench.view("t").health.unwrap().is_healthy);
    assert!(!states(&bench).contains(&RunState::Starting));
}

fn a_look_that_takes_too_long_is_ended() {
    let mut bench = Bench::new();
    let mut job = checked("echo looked >> looks; exec sleep 1000", "sleep 1000");
    job["health_check_config"]["timeout_secs"] = json!(0.3);
    bench.launch_job("t", job, &[]);
    let message = |bench: &mut Bench| {
        let health = bench.view("t").health;
        health.and_then(|it| it.last.first().map(|it| it.message.clone()))
    };
    while message(&mut bench).is_none() {}
    assert_eq!(message(&mut bench).unwrap(), "Health check timed out.");
    // Itself, and perhaps the look that has just begun.
    bench.until(|| bench.living("t") <= 2);
    bench.kill("t");
    assert_eq!(bench.ends("t"), RunState::Killed);
    assert_eq!(bench.living("t"), 0);
}

/// Stands for the server of a task: answers everything, tells what was asked, and touches a file
/// when it is asked for `ends_at`.
fn serve(ends_at: &'static str, file: PathBuf) -> (u16, mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (asked, heard) = mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let request = answer(stream.unwrap());
            if request.contains(ends_at) {
                std::fs::write(&file, "").unwrap();
            }
            if asked.send(request).is_err() {
                return;
            }
        }
    });
    (port, heard)
}

fn answer(mut stream: TcpStream) -> String {
    let mut request = Vec::new();
    let mut piece = [0; 1024];
    while !request.windows(4).any(|it| it == b"\r\n\r\n") {
        match stream.read(&mut piece).unwrap() {
            0 => break,
            more => request.extend(&piece[..more]),
        }
    }
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").unwrap();
    String::from_utf8(request).unwrap().lines().next().unwrap_or_default().to_owned()
}

/// Ends when its file is there, and not when it is only told to.
fn leaving(waits: i64) -> Value {
    let cmdline = "trap 'echo term > term' TERM; until [ -e go ]; do sleep 0.01; done";
    json!({
        "task": { "processes": [{ "name": "p", "cmdline": cmdline }], "finalization_wait": 1 },
        "health_check_config": { "health_checker": { "shell": { "shell_command": "true" } } },
        "lifecycle": { "http": {
            "port": "admin", "graceful_shutdown_wait_secs": waits, "shutdown_wait_secs": waits,
        } },
    })
}

fn e10_a_task_is_asked_to_quit_and_then_to_abort() {
    let mut bench = Bench::new();
    let (port, heard) = serve("/abortabortabort", bench.sandbox("t").join("go"));
    bench.launch_job("t", leaving(1), &[("admin", port)]);
    bench.runs("t");
    bench.kill("t");
    bench.until(|| bench.living("t") == 0);
    assert_eq!(bench.ends("t"), RunState::Killed);
    let asked: Vec<_> = heard.try_iter().collect();
    assert_eq!(asked, ["POST /quitquitquit HTTP/1.1", "POST /abortabortabort HTTP/1.1"]);
    assert_eq!(bench.processes("t")[0].runs[0].exit_code, Some(0));
    assert!(!bench.sandbox("t").join("term").exists());
}

fn e10_who_quits_when_asked_is_not_asked_twice() {
    let mut bench = Bench::new();
    let (port, heard) = serve("/quitquitquit", bench.sandbox("t").join("go"));
    bench.launch_job("t", leaving(1000), &[("admin", port)]);
    bench.runs("t");
    bench.kill("t");
    assert_eq!(bench.ends("t"), RunState::Killed);
    assert_eq!(heard.try_iter().count(), 1);
    assert_eq!(bench.processes("t")[0].runs[0].exit_code, Some(0));
}

fn e10_who_does_not_listen_is_not_waited_for() {
    let mut bench = Bench::new();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    bench.launch_job("t", leaving(1000), &[("admin", port)]);
    bench.runs("t");
    bench.kill("t");
    assert_eq!(bench.ends("t"), RunState::Killed);
    assert!(bench.sandbox("t").join("term").exists());
}
