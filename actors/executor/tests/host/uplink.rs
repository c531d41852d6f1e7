//! What is said to the scheduler, again and again until it has heard it.

use std::time::Duration;

use airglow_model::{
    ids::TaskId,
    wire::{Answer, Question, RunState, Status, ToExecutor, Welcome},
};
use serde_json::json;
use tokio::time::Instant;

use crate::{agent::Settings, bench::Bench, orders::order, trials};

trials![
    reports_are_repeated_until_they_are_acknowledged,
    a_launch_that_is_repeated_or_out_of_date_is_ignored,
    files_of_a_sandbox_can_be_read_and_others_cannot,
    what_is_over_and_acknowledged_can_still_be_looked_at,
    whoever_has_been_replaced_is_not_obeyed_by_the_next_agent_either,
    orders_before_a_welcome_are_not_obeyed,
    whoever_does_not_lead_knows_where_to_go,
    tasks_go_on_without_a_scheduler_for_as_long_as_they_may,
    an_agent_that_is_started_again_grants_no_more_time,
];

fn reports_are_repeated_until_they_are_acknowledged() {
    let mut bench = Bench::new();
    bench.acknowledges = false;
    bench.run(json!({ "processes": [{ "name": "p", "cmdline": "true" }] }));
    let all =
        |reports: &[Status]| -> Vec<_> { reports.iter().map(|it| (it.seq, it.state)).collect() };
    let said = all(&bench.reports);
    let states = [RunState::Starting, RunState::Running, RunState::Finished];
    assert_eq!(said, (1..).zip(states).collect::<Vec<_>>());

    bench.hang_up();
    bench.reports.clear();
    bench.connect();
    bench.ends("t");
    assert_eq!(all(&bench.reports), said);

    bench.kill_agent();
    bench.reports.clear();
    bench.start_agent();
    assert_eq!(bench.inventory[0].state, RunState::Finished);
    bench.ends("t");
    assert_eq!(all(&bench.reports)[..3], said);

    bench.say(&ToExecutor::Ack { seq: 1000 });
    let last = bench.reports.last().unwrap().seq;
    bench.say(&ToExecutor::Ack { seq: last.max(4) });
    bench.say(&ToExecutor::Ack { seq: 3 });
    let settled = bench.data().join("tasks/t/settled");
    bench.until(|| settled.exists());
    bench.kill_agent();
    bench.reports.clear();
    bench.start_agent();
    assert_eq!(bench.inventory, []);
}

fn a_launch_that_is_repeated_or_out_of_date_is_ignored() {
    let mut bench = Bench::new();
    let task =
        || json!({ "processes": [{ "name": "p", "cmdline": "echo ran >> ran; sleep 1000" }] });
    for (id, attempt) in [("slot-2", 2), ("slot-2", 2), ("slot-1", 1)] {
        bench.say(&ToExecutor::Launch(Box::new(order(id, 0, attempt, task()))));
    }
    bench.runs("slot-2");
    assert_eq!(bench.written("slot-2", "ran"), "ran");
    assert!(!bench.data().join("tasks/slot-1").exists());
    assert!(bench.reports.iter().all(|it| *it.task_id.0 == *"slot-2"));
}

fn files_of_a_sandbox_can_be_read_and_others_cannot() {
    let mut bench = Bench::new();
    let cmdline = "echo hello > file; ln -s /etc/passwd out; ln -s .. up; mkfifo fifo";
    bench.run(json!({ "processes": [{ "name": "p", "cmdline": cmdline }] }));
    let mut file = |path: &str| {
        let (task_id, path) = (TaskId("t".into()), path.to_owned());
        match bench.ask(Question::File { task_id, path, offset: 0, length: 100 }) {
            Answer::Piece { size, .. } => format!("{size} bytes"),
            Answer::Folder { entries } => {
                entries.into_iter().map(|it| it.name).collect::<Vec<_>>().join(" ")
            }
            Answer::NotFound { .. } => "nothing".to_owned(),
            Answer::Failed { .. } => "failed".to_owned(),
            Answer::Task(_) | Answer::Metrics { .. } => unreachable!(),
        }
    };
    assert_eq!(file("file"), "6 bytes");
    assert_eq!(file(""), ".logs fifo file out up");
    assert_eq!(file(".logs/p/0/stdout"), "0 bytes");
    for outside in ["out", "up", "up/launch.json", "../launch.json", "/etc/passwd", "nothing"] {
        assert_eq!(file(outside), "nothing", "{outside}");
    }
    assert_eq!(file("fifo"), "failed");
    let task_id = TaskId("../../ca".into());
    let question = Question::File { task_id, path: String::new(), offset: 0, length: 100 };
    assert!(matches!(bench.ask(question), Answer::NotFound { .. }));
}

fn what_is_over_and_acknowledged_can_still_be_looked_at() {
    let mut bench = Bench::new();
    bench.run(json!({ "processes": [{ "name": "p", "cmdline": "echo hello" }] }));
    let settled = bench.data().join("tasks/t/settled");
    bench.until(|| settled.exists());
    assert_eq!(bench.processes("t").len(), 1);
    assert_eq!(bench.log("t", "p", 0), "hello\n");
}

fn task() -> serde_json::Value {
    json!({ "processes": [{ "name": "p", "cmdline": "sleep 1000" }] })
}

fn whoever_has_been_replaced_is_not_obeyed_by_the_next_agent_either() {
    let mut bench = Bench::new();
    bench.welcome.term = 5;
    bench.hang_up();
    bench.connect();
    for restart in [false, true] {
        if restart {
            bench.kill_agent();
            bench.start_agent_that_cannot_go_on();
        } else {
            bench.hang_up();
        }
        bench.welcome.term = 4;
        bench.is_left();
    }
    bench.welcome = Welcome { cluster: "other".into(), term: 6, ..bench.welcome.clone() };
    bench.is_left();
    bench.welcome = Welcome { cluster: "c".into(), term: 6, ..bench.welcome.clone() };
    bench.connect();
    assert_eq!(bench.greeted.as_ref().map(|it| it.term), Some(5), "it says what it knows");
    bench.launch("t", task());
    bench.runs("t");
}

fn orders_before_a_welcome_are_not_obeyed() {
    let mut bench = Bench::new();
    bench.hang_up();
    bench.is_left_saying(&[ToExecutor::Launch(Box::new(order("early", 0, 1, task())))]);
    let far = Welcome { protocol: 99, ..bench.welcome.clone() };
    bench.is_left_saying(&[ToExecutor::Welcome(far)]);
    bench.connect();
    bench.launch("t", task());
    bench.runs("t");
    assert!(!bench.data().join("tasks/early").exists());
}

/// The one to go to is the same here, so it is heard that the agent goes there at once.
fn whoever_does_not_lead_knows_where_to_go() {
    let mut bench = Bench::new();
    bench.hang_up();
    for leader in [Some(bench.addr()), None, Some(bench.addr())] {
        bench.is_left_saying(&[ToExecutor::Elsewhere { leader, schedulers: vec![bench.addr()] }]);
    }
    bench.is_left_saying(&[ToExecutor::Refused { why: "for a test".into() }]);
    bench.connect();
    bench.launch("t", task());
    bench.runs("t");
    let text = std::fs::read_to_string(bench.data().join("allegiance.json")).unwrap();
    assert!(text.contains("\"schedulers\":[]"), "the leader's list is the list: {text}");
}

/// Whoever talks to it has not left it alone.
fn tasks_go_on_without_a_scheduler_for_as_long_as_they_may() {
    let mut bench =
        Bench::in_mode(Settings { isolated_max_ms: Some(10_000), ..Settings::ISOLATED });
    assert_eq!(bench.greeted.as_ref().and_then(|it| it.isolated_max_secs), Some(10));
    bench.launch("t", task());
    bench.runs("t");
    bench.hang_up();
    bench.connect();
    assert_eq!(bench.living("t"), 1, "that was no time");
    bench.hang_up();
    bench.until(|| bench.living("t") == 0);
    bench.connect();
    let end = bench.reports("it ends", |it| it.state.is_terminal());
    assert_eq!(end.state, RunState::Killed);
    assert!(end.message.contains("has heard from no scheduler for 10 s"), "{end:?}");
    bench.launch("u", task());
    bench.runs("u");
}

fn an_agent_that_is_started_again_grants_no_more_time() {
    let mode = Settings { isolated_max_ms: Some(12_000), ..Settings::ISOLATED };
    let mut bench = Bench::in_mode(mode);
    bench.launch("t", task());
    bench.runs("t");
    bench.kill_agent();
    // Nobody is left to end it, and time passes.
    let began = Instant::now();
    bench.until(|| Duration::from_secs(12) < began.elapsed());
    bench.until(|| bench.living("t") == 1);
    bench.start_agent_that_cannot_go_on();
    bench.until(|| bench.living("t") == 0);
    bench.connect();
    assert_eq!(bench.ends("t"), RunState::Killed);
}
