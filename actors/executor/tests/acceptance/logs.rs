//! Where the output of processes goes.

use std::fs;

use airglow_model::wire::RunState;
use serde_json::{Value, json};

use crate::{agent::Settings, rig::Rig, trials};

trials![
    r19_output_is_in_a_file_for_each_stream,
    r20_logs_rotate_at_their_size_and_as_often_as_was_said,
    r23_output_goes_where_it_was_said_that_it_goes,
    a_rotated_log_reads_as_one,
    a_log_that_rotates_while_it_is_read_loses_no_byte,
];

/// A task of one process that is called `p`.
fn one(cmdline: &str, logger: &Value) -> Value {
    json!({ "processes": [{ "name": "p", "cmdline": cmdline, "logger": logger }] })
}

fn rotate(log_size: u64, backups: u32) -> Value {
    json!({ "mode": "rotate", "rotate": { "log_size": log_size, "backups": backups } })
}

fn read(rig: &Rig, id: &str, name: &str) -> Option<String> {
    fs::read_to_string(rig.sandbox(id).join(".logs/p/0").join(name)).ok()
}

fn r19_output_is_in_a_file_for_each_stream() {
    let mut rig = Rig::new(Settings::ISOLATED);
    let cmdline = "for i in {1..31}; do echo out$i; echo err$i >&2; done";
    rig.launch("t", one(cmdline, &json!({})));
    assert_eq!(rig.ends("t").state, RunState::Finished);
    let lines = |name: &str| (1..=31).map(|it| format!("{name}{it}\n")).collect::<String>();
    assert_eq!(read(&rig, "t", "stdout"), Some(lines("out")));
    assert_eq!(read(&rig, "t", "stderr"), Some(lines("err")));
}

fn r20_logs_rotate_at_their_size_and_as_often_as_was_said() {
    let mut rig = Rig::new(Settings::ISOLATED);
    let cmdline = "for i in {10..40}; do echo line$i; echo fail$i >&2; done";
    rig.launch("t", one(cmdline, &rotate(70, 2)));
    assert_eq!(rig.ends("t").state, RunState::Finished);
    for (stream, word) in [("stdout", "line"), ("stderr", "fail")] {
        let lines = |from: u32, to: u32| (from..to).map(|it| format!("{word}{it}\n")).collect();
        assert_eq!(read(&rig, "t", stream), Some(lines(40, 41)));
        assert_eq!(read(&rig, "t", &format!("{stream}.1")), Some(lines(30, 40)));
        assert_eq!(read(&rig, "t", &format!("{stream}.2")), Some(lines(20, 30)));
        assert_eq!(read(&rig, "t", &format!("{stream}.3")), None);
    }
}

fn r23_output_goes_where_it_was_said_that_it_goes() {
    let mut rig = Rig::new(Settings::ISOLATED);
    for destination in ["file", "console", "both", "none"] {
        rig.launch(destination, one("echo said", &json!({ "destination": destination })));
        assert_eq!(rig.ends(destination).state, RunState::Finished);
    }
    let said = Some("said\n".to_owned());
    let file = |rig: &Rig, id| read(rig, id, "stdout").filter(|it| !it.is_empty());
    assert_eq!(file(&rig, "file"), said);
    assert_eq!(file(&rig, "both"), said);
    assert_eq!(file(&rig, "console"), None);
    assert_eq!(file(&rig, "none"), None);
}

fn a_rotated_log_reads_as_one() {
    let mut rig = Rig::new(Settings::ISOLATED);
    rig.launch("t", one("seq 1 20000", &rotate(4096, 1000)));
    assert_eq!(rig.ends("t").state, RunState::Finished);
    let expected: String = (1..=20000).map(|it| format!("{it}\n")).collect();
    assert!(rig.log("t", "p", 0) == expected.as_bytes(), "the log is another");
}

/// Who follows a log asks for what comes after what it has; however often the file gets another
/// name meanwhile, that is where it goes on.
fn a_log_that_rotates_while_it_is_read_loses_no_byte() {
    let mut rig = Rig::new(Settings::ISOLATED);
    let cmdline = "echo up > up
        for ((i = 0; i < 3000; i++)); do echo $i; ((i % 100)) || sleep 0.02; done";
    rig.launch("t", one(cmdline, &rotate(1024, 100)));
    rig.written("t", "up");
    let mut followed = Vec::new();
    let mut is_over = false;
    while !is_over {
        // What was said before it was over is there after it.
        is_over = rig.pending() == 0;
        followed.extend(rig.log_from("t", "p", 0, followed.len()));
    }
    let expected: String = (0..3000).map(|it| format!("{it}\n")).collect();
    assert_eq!(String::from_utf8(followed).unwrap(), expected);
}
