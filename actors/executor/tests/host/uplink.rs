//! What is said to the scheduler, again and again until it has heard it.

use airglow_model::{
    ids::TaskId,
    wire::{Answer, Question, RunState, Status, ToExecutor},
};
use serde_json::json;

use crate::{bench::Bench, orders::order, trials};

trials![
    reports_are_repeated_until_they_are_acknowledged,
    a_launch_that_is_repeated_or_out_of_date_is_ignored,
    files_of_a_sandbox_can_be_read_and_others_cannot,
    what_is_over_and_acknowledged_can_still_be_looked_at,
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
