//! How tasks are made to end.

use airglow_model::wire::RunState;
use serde_json::json;

use crate::{
    agent::Settings,
    bench::{Bench, is_alive, outline},
    trials,
};

trials![
    a_killed_task_is_asked_to_end_and_finalized,
    a_process_that_ignores_sigterm_is_killed_with_all_that_came_of_it,
    what_left_its_group_ends_with_the_task,
    what_left_its_group_is_asked_to_end_as_well,
    an_agent_that_stops_for_good_ends_its_tasks,
    an_agent_that_cannot_go_on_ends_its_tasks_nevertheless,
    killing_what_is_not_here_or_over_does_nothing,
    many_tasks_run_at_once_and_end_together,
    who_is_killed_before_it_has_begun_leaves_nothing_behind,
    whose_shepherd_ended_for_want_of_memory_is_told_so,
];

fn a_killed_task_is_asked_to_end_and_finalized() {
    let mut bench = Bench::new();
    let cmdline =
        "trap 'echo asked > asked; exit 7' TERM; echo up > up; while :; do sleep 0.01; done";
    bench.launch(
        "t",
        json!({ "processes": [
            { "name": "p", "cmdline": cmdline },
            { "name": "q", "cmdline": "sleep 1000" },
            { "name": "f", "cmdline": "echo done > done", "final": true },
        ] }),
    );
    bench.written("t", "up");
    bench.pid("t", "q");
    bench.kill("t");
    assert_eq!(bench.ends("t"), RunState::Killed);
    assert_eq!(bench.reports.last().unwrap().message, "Instructed to kill task.");
    assert_eq!(bench.written("t", "asked"), "asked");
    assert_eq!(bench.written("t", "done"), "done");
    let processes = bench.processes("t");
    assert_eq!(outline(&processes), "p F, q K, f S");
    let codes: Vec<_> = processes.iter().map(|it| it.runs[0].exit_code).collect();
    assert_eq!(codes, [Some(7), Some(-15), Some(0)]);
}

fn a_process_that_ignores_sigterm_is_killed_with_all_that_came_of_it() {
    for mode in [Settings::ISOLATED, Settings::BARE] {
        let mut bench = Bench::in_mode(mode);
        let cmdline = "trap '' TERM; setsid bash -c 'echo $$ > escaped; sleep 1000' & sleep 1000 &
        echo $! > child; while :; do sleep 1000; done";
        bench.launch(
            "t",
            json!({ "processes": [{ "name": "p", "cmdline": cmdline }], "finalization_wait": 1 }),
        );
        bench.written("t", "child");
        bench.written("t", "escaped");
        bench.pid("t", "p");
        bench.kill("t");
        assert_eq!(bench.ends("t"), RunState::Killed);
        assert_eq!(bench.living("t"), 0);
        assert_eq!(bench.processes("t")[0].runs[0].exit_code, Some(-9));
    }
}

/// A daemon of the old kind: its process ends, the task goes on, and with the task it ends.
fn what_left_its_group_ends_with_the_task() {
    for mode in [Settings::ISOLATED, Settings::BARE] {
        let mut bench = Bench::in_mode(mode);
        let daemon = "(trap '' TERM; setsid bash -c 'echo $$ > escaped; sleep 1000') & sleep 0.1";
        bench.launch(
            "t",
            json!({
                "processes": [
                    { "name": "d", "cmdline": daemon },
                    { "name": "main", "cmdline": "until [ -e go ]; do sleep 0.01; done" },
                ],
                "finalization_wait": 1,
            }),
        );
        bench.written("t", "escaped");
        bench.process("t", "d", |it| it.state.is_terminal());
        bench.until(|| bench.living("t") > 1);
        std::fs::write(bench.sandbox("t").join("go"), "").unwrap();
        assert_eq!(bench.ends("t"), RunState::Finished);
        assert_eq!(bench.living("t"), 0);
    }
}

fn what_left_its_group_is_asked_to_end_as_well() {
    for mode in [Settings::ISOLATED, Settings::BARE] {
        let mut bench = Bench::in_mode(mode);
        let daemon = "setsid bash -c 'trap \"echo asked > asked; exit\" TERM; echo $$ > escaped
        while :; do sleep 0.01; done' & sleep 0.1";
        bench.launch(
            "t",
            json!({ "processes": [
            { "name": "d", "cmdline": daemon },
            { "name": "main", "cmdline": "sleep 1000" },
        ] }),
        );
        bench.written("t", "escaped");
        bench.process("t", "d", |it| it.state.is_terminal());
        bench.kill("t");
        assert_eq!(bench.ends("t"), RunState::Killed);
        assert_eq!(bench.written("t", "asked"), "asked");
    }
}

fn an_agent_that_stops_for_good_ends_its_tasks() {
    let mut bench = Bench::new();
    bench.launch("t", json!({ "processes": [{ "name": "p", "cmdline": "sleep 1000" }] }));
    let pid = bench.pid("t", "p");
    bench.stop_agent();
    assert!(!is_alive(pid));
    assert_eq!(bench.ends("t"), RunState::Killed);
    assert_eq!(bench.reports.last().unwrap().message, "Told to shut down executor.");
}

fn an_agent_that_cannot_go_on_ends_its_tasks_nevertheless() {
    let mut bench = Bench::new();
    bench.launch("t", json!({ "processes": [{ "name": "p", "cmdline": "sleep 1000" }] }));
    let pid = bench.pid("t", "p");
    bench.kill_agent();
    let outbox = bench.data().join("outbox.jsonl");
    std::fs::remove_file(&outbox).unwrap();
    std::fs::create_dir(&outbox).unwrap();
    bench.start_agent_that_cannot_go_on();
    bench.until(|| !is_alive(pid));
}

fn killing_what_is_not_here_or_over_does_nothing() {
    let mut bench = Bench::new();
    bench.kill("nobody");
    assert_eq!(
        bench.run(json!({ "processes": [{ "name": "p", "cmdline": "true" }] })).0,
        RunState::Finished
    );
    let told = bench.reports.len();
    bench.kill("t");
    bench.processes("t");
    assert_eq!(bench.reports.len(), told);
}

fn many_tasks_run_at_once_and_end_together() {
    let mut bench = Bench::new();
    let ids: Vec<_> = (0..100).map(|it| format!("t{it}")).collect();
    for id in &ids {
        bench.launch(id, json!({ "processes": [{ "name": "p", "cmdline": "sleep 1000" }] }));
    }
    let pids: Vec<_> = ids.iter().map(|id| bench.pid(id, "p")).collect();
    for id in &ids {
        bench.kill(id);
    }
    for id in &ids {
        assert_eq!(bench.ends(id), RunState::Killed);
    }
    assert_eq!(pids.iter().filter(|it| is_alive(**it)).count(), 0);
}

fn who_is_killed_before_it_has_begun_leaves_nothing_behind() {
    let mut bench = Bench::new();
    let ids: Vec<_> = (0..50).map(|it| format!("t{it}")).collect();
    for id in &ids {
        bench.launch(id, json!({ "processes": [{ "name": "p", "cmdline": "sleep 1000" }] }));
        bench.kill(id);
    }
    for id in &ids {
        assert_eq!(bench.ends(id), RunState::Killed);
    }
    bench.until(|| !ids.iter().any(|id| bench.has_shepherd(id)));
}

fn whose_shepherd_ended_for_want_of_memory_is_told_so() {
    let mut bench = Bench::new();
    // The end of what has no lines is all of it.
    let cmdline = "until [ -e go ]; do sleep 0.01; done; head -c 1G /dev/zero | tail";
    let process = json!({ "name": "p", "cmdline": cmdline, "max_failures": 0, "min_duration": 0 });
    let last = json!({ "name": "f", "cmdline": "sleep 0.1; echo last > last", "final": true });
    let resources = json!({ "cpu": 1.0, "ram": 64 << 20, "disk": 64 << 20 });
    bench.launch("t", json!({ "processes": [process, last], "resources": resources }));
    bench.pid("t", "p");
    if bench.view("t").isolation.iter().any(|it| it.contains("memory")) {
        return;
    }
    let score = format!("/proc/{}/oom_score_adj", bench.shepherd("t"));
    std::fs::write(score, "1000").unwrap();
    std::fs::write(bench.sandbox("t").join("go"), "").unwrap();
    assert_eq!(bench.ends("t"), RunState::Failed);
    let message = &bench.reports.last().unwrap().message;
    assert!(message.starts_with("Memory limit exceeded"), "{message}");
    assert_eq!(outline(&bench.processes("t")), "p L, f S");
    assert_eq!(bench.written("t", "last"), "last");
}
