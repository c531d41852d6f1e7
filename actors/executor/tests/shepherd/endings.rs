//! What ends with what.

use serde_json::json;

use crate::{
    pasture::{Pasture, end, is_alive, marked, until, wait_until_gone},
    trials,
};

trials![
    r7_what_a_process_leaves_in_its_group_ends_with_it,
    strays_are_told_of_and_so_is_their_end,
    term_reaches_those_that_a_run_began_with_and_orphans,
    kill_ends_daemons_that_ignore_everything,
    a_run_that_starts_after_a_kill_is_spared,
    one_run_can_be_killed_alone,
    looks_from_within_are_told_and_not_written_down,
    a_shepherd_that_is_killed_takes_its_namespace_with_it,
    a_signal_of_any_number_is_told,
    two_hundred_processes_end_each_with_its_own_word,
];

/// Leaves its group, session and parent, and closes nothing.
fn daemon(what: &str) -> String {
    format!("setsid bash -c '{what}' & ")
}

fn r7_what_a_process_leaves_in_its_group_ends_with_it() {
    for namespaces in [false, true] {
        let pasture = Pasture::new(namespaces);
        let script = "(trap '' TERM HUP; echo $BASHPID > child; exec sleep 1000) &
            until [ -s child ]; do :; done; export MARK=$PWD; sleep 1000 & sleep 1000 & exit 0";
        pasture.start("a", script);
        assert_eq!(pasture.ended_run("a", 0)["leftover"], false);
        assert!(marked(pasture.sandbox().to_str().unwrap()).is_empty());
    }
}

fn strays_are_told_of_and_so_is_their_end() {
    for namespaces in [false, true] {
        let pasture = Pasture::new(namespaces);
        let stray = daemon("echo > there; until [ -e end ]; do sleep 0.01; done");
        pasture.start("other", "until [ -e end ]; do sleep 0.01; done; sleep 1000");
        pasture.start("a", &format!("{stray} until [ -e there ]; do :; done; exit 7"));
        let ended = pasture.ended_run("a", 0);
        assert_eq!((&ended["exit"], &ended["leftover"]), (&json!({ "code": 7 }), &json!(true)));
        std::fs::write(pasture.sandbox().join("end"), "").unwrap();
        pasture.gone();
        assert!(is_alive(pasture.pid("other")));
    }
}

fn term_reaches_those_that_a_run_began_with_and_orphans() {
    for namespaces in [false, true] {
        let pasture = Pasture::new(namespaces);
        let stray = daemon(
            "trap \"echo orphan >> told; exit\" TERM; echo > there; while :; do sleep 0.01; done",
        );
        pasture.start("a", &format!("{stray} until [ -e there ]; do :; done"));
        assert_eq!(pasture.ended_run("a", 0)["leftover"], true);
        pasture.start(
            "b",
            "trap 'echo main >> told; exit 5' TERM; echo > ready; while :; do sleep 0.01; done",
        );
        pasture.written("ready");
        until(|| pasture.sandbox().join("ready").exists().then_some(()));
        pasture.say(&json!({ "order": "term" }));
        assert_eq!(pasture.ended("b"), json!({ "code": 5 }));
        pasture.gone();
        let mut told: Vec<_> = pasture.read("told").lines().map(str::to_owned).collect();
        told.sort();
        assert_eq!(told, ["main", "orphan"]);
    }
}

fn kill_ends_daemons_that_ignore_everything() {
    for namespaces in [false, true] {
        let pasture = Pasture::new(namespaces);
        let mark = pasture.sandbox().display().to_string();
        // A tree of sessions, each of which holds the log open and has lost its parent.
        let deep = daemon(
            "trap \"\" TERM HUP INT; (setsid bash -c \"echo >> deep; sleep 1000\" &); echo >> deep; sleep 1000",
        );
        let script = format!("export MARK={mark}; trap '' TERM; {deep} {deep} sleep 1000");
        pasture.start("a", &script);
        until(|| (pasture.read("deep").len() == 4).then_some(()));
        until(|| (marked(&mark).len() >= 5).then_some(()));
        pasture.say(&json!({ "order": "kill" }));
        let ended = pasture.ended_run("a", 0);
        assert_eq!(ended["exit"], json!({ "signal": 9 }));
        if ended["leftover"] == true {
            pasture.gone();
        }
        until(|| marked(&mark).is_empty().then_some(()));
        assert_eq!(pasture.run("b", "echo and on"), "and on\n");
    }
}

fn a_run_that_starts_after_a_kill_is_spared() {
    for namespaces in [false, true] {
        let pasture = Pasture::new(namespaces);
        let stray = daemon("echo > there; sleep 1000");
        pasture.start("a", &format!("{stray} until [ -e there ]; do :; done; sleep 1000"));
        until(|| pasture.sandbox().join("there").exists().then_some(()));
        pasture.say(&json!({ "order": "kill" }));
        pasture.say(&pasture.order("b", 0, "sleep 0.2; echo spared"));
        assert_eq!(pasture.ended("a"), json!({ "signal": 9 }));
        assert_eq!(pasture.ended("b"), json!({ "code": 0 }));
        assert_eq!(pasture.read("b.out"), "spared\n");
    }
}

fn one_run_can_be_killed_alone() {
    let pasture = Pasture::new(true);
    pasture.start("a", "sleep 1000");
    pasture.start("b", "sleep 1000 & sleep 1000");
    pasture.pid("b");
    pasture.say(&json!({ "order": "kill_run", "run": { "process": "b", "run": 0 } }));
    assert_eq!(pasture.ended("b"), json!({ "signal": 9 }));
    assert!(is_alive(pasture.pid("a")));
    pasture.say(&json!({ "order": "kill_run", "run": { "process": "nobody", "run": 0 } }));
    assert!(is_alive(pasture.pid("a")));
}

fn looks_from_within_are_told_and_not_written_down() {
    let mut pasture = Pasture::new(true);
    pasture.start("a", "sleep 1000");
    pasture.pid("a");
    for run in 0..50 {
        pasture.say(&pasture.order(".l", run, &format!("exit {run}")));
        let told = pasture.told();
        assert_eq!((&told["run"], &told["exit"]), (&json!(run), &json!({ "code": run })));
    }
    pasture.say(&pasture.order(".l", 50, "echo there > there; sleep 1000"));
    until(|| pasture.sandbox().join("there").exists().then_some(()));
    // Somebody else looks, who is told of what ended for that as well.
    pasture.connect();
    pasture.say(&pasture.order(".m", 0, "sleep 1000"));
    let told = pasture.told();
    assert_eq!((&told["process"], &told["exit"]), (&json!(".l"), &json!({ "signal": 9 })));
    pasture.say(&json!({ "order": "kill_run", "run": { "process": ".m", "run": 0 } }));
    let told = pasture.told();
    assert_eq!((&told["process"], &told["exit"]), (&json!(".m"), &json!({ "signal": 9 })));
    assert_eq!(pasture.records().len(), 2);
}

fn a_shepherd_that_is_killed_takes_its_namespace_with_it() {
    let pasture = Pasture::new(true);
    let mark = pasture.sandbox().display().to_string();
    let stray = daemon("echo >> there; sleep 1000");
    pasture.start("a", &format!("export MARK={mark}; {stray} {stray} sleep 1000"));
    until(|| (pasture.read("there").len() == 2).then_some(()));
    // Its record may come after what it does.
    let main = pasture.pid("a");
    end(pasture.shepherd());
    pasture.wait_for_end();
    wait_until_gone(main);
    until(|| marked(&mark).is_empty().then_some(()));
}

fn a_signal_of_any_number_is_told() {
    let pasture = Pasture::new(true);
    for (run, signal) in (0..).zip([15, 6, 34, 64]) {
        pasture.say(&pasture.order("a", run, &format!("kill -{signal} $$; sleep 1000")));
        assert_eq!(pasture.ended_run("a", run)["exit"], json!({ "signal": signal }));
    }
}

fn two_hundred_processes_end_each_with_its_own_word() {
    for namespaces in [false, true] {
        let pasture = Pasture::new(namespaces);
        let name = |it: u32| format!("p{it}");
        for it in 0..200 {
            let mut order = pasture.order(&name(it), 0, &format!("echo {it}; exit {it}"));
            let file = pasture.sandbox().join(name(it));
            order["stdout"] = json!({ "file": file, "rotate": { "size": 1000, "backups": 1 } });
            pasture.say(&order);
        }
        for it in 0..200 {
            assert_eq!(pasture.ended(&name(it)), json!({ "code": it }));
            assert_eq!(pasture.read(&name(it)), format!("{it}\n"));
        }
    }
}
