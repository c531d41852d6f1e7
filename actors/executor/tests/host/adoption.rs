//! The agent dies and comes back, and nobody's process notices.

use airglow_model::{
    ids::TaskId,
    wire::{ProcessState, Question, RunState},
};
use nix::{
    sys::signal::{SIGKILL, kill},
    unistd::Pid,
};
use serde_json::json;

use crate::{
    agent::Settings,
    bench::{Bench, is_alive, outline},
    trials,
};

trials![
    processes_outlive_the_agent_and_are_adopted,
    what_ends_while_the_agent_is_away_is_known_when_it_is_back,
    a_run_whose_shepherd_died_with_the_agent_is_lost,
    what_a_dead_shepherd_left_ends_before_its_run_does,
    a_run_that_cannot_be_read_back_is_ended_and_lost,
    an_agent_killed_while_it_starts_many_tasks_runs_each_once,
    a_task_that_was_being_killed_is_killed_by_the_next_agent,
    r13_a_task_comes_to_its_end_however_often_its_agent_is_killed,
];

fn processes_outlive_the_agent_and_are_adopted() {
    let mut bench = Bench::new();
    bench.launch("t", json!({ "processes": [{ "name": "p", "cmdline": "sleep 1000" }] }));
    bench.runs("t");
    let pid = bench.pid("t", "p");
    bench.kill_agent();
    assert!(is_alive(pid));
    bench.start_agent();
    assert_eq!(bench.inventory.len(), 1);
    assert_eq!(bench.inventory[0].state, RunState::Running);
    assert_eq!(bench.pid("t", "p"), pid);
    bench.kill("t");
    assert_eq!(bench.ends("t"), RunState::Killed);
    assert!(!is_alive(pid));
    assert_eq!(outline(&bench.processes("t")), "p K");
}

fn what_ends_while_the_agent_is_away_is_known_when_it_is_back() {
    let mut bench = Bench::new();
    let cmdline = "until [ -e go ]; do sleep 0.01; done; exit 3";
    bench.launch(
        "t",
        json!({ "processes": [
            { "name": "p", "cmdline": cmdline, "max_failures": 1 },
            { "name": "f", "cmdline": "true", "final": true },
        ] }),
    );
    let pid = bench.pid("t", "p");
    bench.kill_agent();
    std::fs::write(bench.sandbox("t").join("go"), "").unwrap();
    bench.until(|| !is_alive(pid));
    bench.start_agent();
    assert_eq!(bench.ends("t"), RunState::Failed);
    let processes = bench.processes("t");
    assert_eq!(outline(&processes), "p F, f S");
    assert_eq!(processes[0].runs[0].exit_code, Some(3));
}

fn a_run_whose_shepherd_died_with_the_agent_is_lost() {
    for mode in [Settings::ISOLATED, Settings::BARE] {
        let mut bench = Bench::in_mode(mode);
        let cmdline = "[ -e again ] && exit 0; touch again; echo up > up; sleep 1000";
        let process = json!({ "name": "p", "cmdline": cmdline, "min_duration": 0 });
        bench.launch("t", json!({ "processes": [process] }));
        bench.written("t", "up");
        let pid = bench.pid("t", "p");
        bench.kill_agent();
        kill(Pid::from_raw(bench.shepherd("t")), SIGKILL).unwrap();
        bench.start_agent();
        assert_eq!(bench.ends("t"), RunState::Finished);
        assert_eq!(outline(&bench.processes("t")), "p L S");
        assert!(!is_alive(pid));
    }
}

fn what_a_dead_shepherd_left_ends_before_its_run_does() {
    for mode in [Settings::ISOLATED, Settings::BARE] {
        let mut bench = Bench::in_mode(mode);
        // It leaves the group of its process, but not the session of its shepherd.
        let cmdline = "set -m; sleep 1000 & echo $! > left; sleep 0.1";
        let main = "until [ -e go ]; do sleep 0.01; done";
        bench.launch(
            "t",
            json!({ "processes": [
            { "name": "p", "cmdline": cmdline },
            { "name": "main", "cmdline": main },
        ] }),
        );
        bench.written("t", "left");
        bench.process("t", "p", |it| it.state.is_terminal());
        kill(Pid::from_raw(bench.shepherd("t")), SIGKILL).unwrap();
        std::fs::write(bench.sandbox("t").join("go"), "").unwrap();
        assert_eq!(bench.ends("t"), RunState::Finished, "{:?}", bench.processes("t"));
        assert_eq!(bench.living("t"), 0);
    }
}

fn a_run_that_cannot_be_read_back_is_ended_and_lost() {
    let mut bench = Bench::new();
    let cmdline = "[ -e again ] && exit 0; touch again; echo up > up; sleep 1000";
    let process = json!({ "name": "p", "cmdline": cmdline, "min_duration": 0 });
    bench.launch("t", json!({ "processes": [process] }));
    bench.written("t", "up");
    let pid = bench.pid("t", "p");
    bench.kill_agent();
    std::fs::write(bench.data().join("tasks/t/record.jsonl"), "{\n").unwrap();
    bench.start_agent();
    assert_eq!(bench.ends("t"), RunState::Finished);
    // Whoever ended it could still say so.
    assert_eq!(outline(&bench.processes("t")), "p K S");
    assert!(!is_alive(pid));
}

fn an_agent_killed_while_it_starts_many_tasks_runs_each_once() {
    let mut bench = Bench::new();
    let ids: Vec<_> = (0..30).map(|it| format!("t{it}")).collect();
    let cmdline = "echo $$ >> ran; until [ -e go ]; do sleep 0.05; done";
    let task = || json!({ "processes": [{ "name": "p", "cmdline": cmdline }] });
    for (round, id) in ids.iter().enumerate() {
        bench.launch(id, task());
        if round % 10 == 9 {
            // Wherever it happens to be.
            bench.ask(Question::Task { task_id: TaskId(id.as_str().into()) });
            bench.kill_agent();
            bench.start_agent();
        }
    }
    // As a scheduler does when the inventory lacks what it has ordered.
    for id in &ids {
        bench.launch(id, task());
    }
    for id in &ids {
        bench.pid(id, "p");
        assert_eq!(bench.written(id, "ran").lines().count(), 1);
        std::fs::write(bench.sandbox(id).join("go"), "").unwrap();
        assert_eq!(bench.ends(id), RunState::Finished);
        assert_eq!(outline(&bench.processes(id)), "p S");
    }
}

fn a_task_that_was_being_killed_is_killed_by_the_next_agent() {
    let mut bench = Bench::new();
    let cmdline = "trap '' TERM; echo up > up; while :; do sleep 1000; done";
    bench.launch(
        "t",
        json!({ "processes": [{ "name": "p", "cmdline": cmdline }], "finalization_wait": 1 }),
    );
    bench.written("t", "up");
    let pid = bench.pid("t", "p");
    bench.kill("t");
    bench.processes("t");
    bench.kill_agent();
    bench.start_agent();
    assert_eq!(bench.ends("t"), RunState::Killed);
    assert!(!is_alive(pid));
    let run = &bench.processes("t")[0].runs[0];
    assert_eq!((run.state, run.exit_code), (ProcessState::Killed, Some(-9)));
}

fn r13_a_task_comes_to_its_end_however_often_its_agent_is_killed() {
    let mut bench = Bench::new();
    let process = |name: &str, cmdline: &str| json!({ "name": name, "cmdline": cmdline, "max_failures": 2, "min_duration": 0 });
    let mut last = process("c", "sleep 0.02");
    last["final"] = json!(true);
    bench.launch(
        "t",
        json!({
            "processes": [process("a", "sleep 0.02"), process("b", "sleep 0.02; exit 1"), last],
            "constraints": [{ "order": ["a", "b"] }],
            "max_failures": 2,
        }),
    );
    bench.runs("t");
    while !bench.reports.iter().any(|it| it.state.is_terminal()) {
        bench.kill_agent();
        bench.start_agent();
        // However far it gets by then.
        bench.processes("t");
    }
    assert_eq!(bench.ends("t"), RunState::Finished);
    assert_eq!(outline(&bench.processes("t")), "a S, b F F, c S");
}
