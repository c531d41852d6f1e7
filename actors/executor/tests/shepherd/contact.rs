//! Who speaks to a shepherd, how often, and what becomes of it when they go.

use std::{
    fs,
    io::Write,
    os::unix::net::{UnixListener, UnixStream},
};

use serde_json::json;

use crate::{
    pasture::{Pasture, end, is_alive, until, wait_until_gone},
    trials,
};

trials![
    what_happens_is_written_down_in_its_order,
    an_order_that_is_repeated_is_obeyed_once,
    half_a_line_is_heard_when_the_other_half_comes,
    what_nobody_understands_is_passed_over,
    another_caller_goes_on_where_the_first_has_left,
    two_callers_hear_of_everything,
    a_caller_that_does_not_listen_holds_nobody_up,
    the_second_shepherd_of_a_task_goes_away,
    it_outlives_its_zygote_and_ends_when_told,
    it_ends_when_its_folder_is_gone,
    who_waits_for_a_zygote_that_has_died_hears_so,
    a_zygote_whose_agent_has_gone_forks_no_more,
];

fn what_happens_is_written_down_in_its_order() {
    for namespaces in [false, true] {
        let pasture = Pasture::new(namespaces);
        assert_eq!(pasture.zygote.abilities, json!({ "namespaces": true, "why": "" }));
        pasture.start("a", "echo said; echo complained >&2; exit 3");
        assert_eq!(pasture.ended("a"), json!({ "code": 3 }));
        assert_eq!(pasture.read("a.out"), "said\n");
        assert_eq!(pasture.read("a.err"), "complained\n");
        let records = pasture.records();
        let kinds: Vec<_> = records.iter().map(|it| it["record"].as_str().unwrap()).collect();
        assert_eq!(kinds, ["shepherd", "started", "ended"]);
        assert_eq!(records[0]["namespaces"], namespaces);
        assert_eq!(records[2]["leftover"], false);
        assert!(records[1]["at"].as_u64() <= records[2]["at"].as_u64());
    }
}

fn an_order_that_is_repeated_is_obeyed_once() {
    let pasture = Pasture::new(true);
    let order = pasture.order("a", 0, "echo once");
    pasture.say(&order);
    pasture.say(&order);
    pasture.ended("a");
    pasture.say(&order);
    pasture.say(&pasture.order("a", 1, "echo twice"));
    pasture.ended_run("a", 1);
    pasture.say(&order);
    pasture.run("b", "true");
    assert_eq!(pasture.read("a.out"), "once\ntwice\n");
    assert_eq!(pasture.records().len(), 7);
}

fn half_a_line_is_heard_when_the_other_half_comes() {
    let pasture = Pasture::new(true);
    let long = "x".repeat(300_000);
    let order = pasture.order("a", 0, &format!("printf 1; : {}", &long[..100_000]));
    let mut line = serde_json::to_vec(&order).unwrap();
    line.push(b'\n');
    let stream = || pasture.stream.as_ref().unwrap();
    let (one, two) = line.split_at(50);
    stream().write_all(one).unwrap();
    // It is seen to have been there in the meantime.
    let mut other = UnixStream::connect(pasture.folder.path().join("shepherd.sock")).unwrap();
    let mut meantime = serde_json::to_vec(&pasture.order("b", 0, "true")).unwrap();
    meantime.push(b'\n');
    other.write_all(&meantime).unwrap();
    pasture.ended("b");
    for piece in two.chunks(7000) {
        stream().write_all(piece).unwrap();
    }
    pasture.ended("a");
    assert_eq!(pasture.read("a.out"), "1");
}

fn what_nobody_understands_is_passed_over() {
    let pasture = Pasture::new(true);
    pasture.say(&json!({ "order": "dance" }));
    pasture.say(&json!(["no", "order"]));
    pasture.stream.as_ref().unwrap().write_all(b"\n\xff\n").unwrap();
    assert_eq!(pasture.run("a", "echo still there"), "still there\n");
}

fn another_caller_goes_on_where_the_first_has_left() {
    for namespaces in [false, true] {
        let mut pasture = Pasture::new(namespaces);
        // It is there before anybody reads from it, or whoever writes waits for ever.
        rustix::fs::mknodat(
            rustix::fs::CWD,
            pasture.sandbox().join("gate"),
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RWXU,
            0,
        )
        .unwrap();
        pasture.start("a", "read < gate; echo through; exit 4");
        let main = pasture.pid("a");
        pasture.stream = None;
        pasture.connect();
        fs::write(pasture.sandbox().join("gate"), "go\n").unwrap();
        assert_eq!(pasture.ended("a"), json!({ "code": 4 }));
        wait_until_gone(main);
        assert_eq!(pasture.run("b", "echo b"), "b\n");
    }
}

fn two_callers_hear_of_everything() {
    let mut first = Pasture::new(true);
    let stream = first.stream.take();
    first.connect();
    first.start("a", "true");
    first.ended("a");
    first.stream = stream;
    first.ended("a");
    let mut bell = [0];
    std::io::Read::read_exact(first.stream.as_mut().unwrap(), &mut bell).unwrap();
}

fn a_caller_that_does_not_listen_holds_nobody_up() {
    let pasture = Pasture::new(true);
    let path = pasture.folder.path().join("shepherd.sock");
    // More than are let in at once, none of whom reads; and one that has given up.
    let deaf: Vec<_> = (0..15).map(|_| UnixStream::connect(&path).unwrap()).collect();
    drop(UnixStream::connect(&path).unwrap());
    for run in 0..20 {
        pasture.say(&pasture.order("a", run, "true"));
        pasture.ended_run("a", run);
    }
    drop(deaf);
}

fn the_second_shepherd_of_a_task_goes_away() {
    let mut pasture = Pasture::new(true);
    pasture.start("a", "sleep 1000");
    let main = pasture.pid("a");
    let first = pasture.shepherd();
    let (path, aside) = ("shepherd.sock", "first.sock");
    let folder = pasture.folder.path().to_owned();
    fs::rename(folder.join(path), folder.join(aside)).unwrap();
    pasture.summon();
    pasture.wait_for_end();
    assert!(is_alive(main) && is_alive(first));
    fs::rename(folder.join(aside), folder.join(path)).unwrap();
    pasture.connect();
    assert_eq!(pasture.run("b", "true"), "");
}

fn it_outlives_its_zygote_and_ends_when_told() {
    for namespaces in [false, true] {
        let mut pasture = Pasture::new(namespaces);
        pasture.start("a", "sleep 1000");
        let (main, shepherd) = (pasture.pid("a"), pasture.shepherd());
        pasture.zygote.socket = None;
        assert!(pasture.zygote.process.wait().unwrap().success());
        assert!(is_alive(main));
        pasture.run("b", "true");
        pasture.say(&json!({ "order": "leave" }));
        pasture.wait_for_end();
        assert_eq!(pasture.ended("a"), json!({ "signal": 9 }));
        wait_until_gone(main);
        wait_until_gone(shepherd);
    }
}

fn it_ends_when_its_folder_is_gone() {
    let pasture = Pasture::new(true);
    pasture.run("a", "true");
    let shepherd = pasture.shepherd();
    fs::remove_file(pasture.folder.path().join("record.jsonl")).unwrap();
    // Nobody has told it, so it has to look.
    until(|| (!is_alive(shepherd)).then_some(()));
}

fn who_waits_for_a_zygote_that_has_died_hears_so() {
    let mut pasture = Pasture::empty(true);
    end(i32::try_from(pasture.zygote.process.id()).unwrap());
    pasture.zygote.process.wait().unwrap();
    let path = pasture.folder.path().join("shepherd.sock");
    let listener = UnixListener::bind(&path).unwrap();
    pasture.connect();
    drop(listener);
    pasture.wait_for_end();
    assert!(UnixStream::connect(path).is_err());
}

fn a_zygote_whose_agent_has_gone_forks_no_more() {
    let mut pasture = Pasture::empty(true);
    let zygote = i32::try_from(pasture.zygote.process.id()).unwrap();
    let tell = |signal| {
        rustix::process::kill_process(rustix::process::Pid::from_raw(zygote).unwrap(), signal)
    };
    tell(rustix::process::Signal::STOP).unwrap();
    pasture.summon();
    pasture.zygote.socket = None;
    tell(rustix::process::Signal::CONT).unwrap();
    pasture.wait_for_end();
    assert_eq!(pasture.records(), [] as [serde_json::Value; 0]);
}
