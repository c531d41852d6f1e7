//! Nobody outlives a task, however hard it tries, and nobody has anything of ours.

use airglow_model::wire::{ProcessState, RunState};
use serde_json::json;

use crate::{
    agent::Settings,
    rig::{Rig, is_alive},
    trials,
};

trials![
    r7_what_goes_to_the_background_and_ignores_sigterm_is_gone_after_a_kill,
    r7_the_same_without_namespaces,
    what_goes_to_the_background_is_gone_after_a_kill_by_the_next_agent,
    r22_a_process_has_no_descriptor_of_ours,
    r22_the_same_without_namespaces,
];

/// A daemon by the book: forked twice, with a session of its own, deaf to SIGTERM and SIGHUP, with
/// the log open, and with a child that is the same again.
const DAEMON: &str = "
    daemon() {
      (trap '' TERM HUP
       setsid bash -c 'trap \"\" TERM HUP
         (setsid bash -c \"echo daemon-$1-child > $1-child; exec sleep 54321\") &
         echo daemon-$1 > $1
         while :; do echo alive; sleep 0.05; done' bash \"$1\" &) &
    }
    daemon one; daemon two
    # What has no session of its own yet would end with this one.
    until [ -e one ] && [ -e two ] && [ -e one-child ] && [ -e two-child ]; do sleep 0.01; done";

fn r7_what_goes_to_the_background_and_ignores_sigterm_is_gone_after_a_kill() {
    leaves_nobody(Settings::ISOLATED);
}

fn r7_the_same_without_namespaces() {
    leaves_nobody(Settings::BARE);
}

fn leaves_nobody(settings: Settings) {
    let mut rig = Rig::new(settings);
    start_daemons(&mut rig);
    let pids = daemons(&mut rig);
    rig.kill("t");
    assert_eq!(rig.ends("t").state, RunState::Killed);
    assert_eq!(pids.iter().filter(|it| is_alive(**it)).count(), 0, "{pids:?}");
    assert_eq!(rig.processes(), [0_i32; 0]);
}

fn what_goes_to_the_background_is_gone_after_a_kill_by_the_next_agent() {
    let mut rig = Rig::new(Settings::ISOLATED);
    start_daemons(&mut rig);
    let pids = daemons(&mut rig);
    rig.kill_agent();
    rig.start_agent();
    rig.connect();
    rig.kill("t");
    assert_eq!(rig.ends("t").state, RunState::Killed);
    assert_eq!(pids.iter().filter(|it| is_alive(**it)).count(), 0, "{pids:?}");
}

/// The process that started them is over, and another one keeps the task going.
fn start_daemons(rig: &mut Rig) {
    let processes = json!([
        { "name": "starter", "cmdline": DAEMON },
        { "name": "main", "cmdline": "trap '' TERM; while :; do sleep 0.1; done" },
    ]);
    rig.launch("t", json!({ "processes": processes, "finalization_wait": 1 }));
    for mark in ["one", "one-child", "two", "two-child"] {
        assert_eq!(rig.written("t", mark), format!("daemon-{mark}"));
    }
    rig.until("the starter is over", |rig| {
        let view = rig.view("t");
        view.processes.iter().any(|it| it.name == "starter" && it.state == ProcessState::Success)
    });
}

/// With the main process: two loops and two sleepers, besides what the loops happen to start.
fn daemons(rig: &mut Rig) -> Vec<i32> {
    rig.until("daemons are there", |rig| rig.processes().len() >= 5);
    rig.processes()
}

fn r22_a_process_has_no_descriptor_of_ours() {
    has_its_own_descriptors_only(Settings::ISOLATED);
}

fn r22_the_same_without_namespaces() {
    has_its_own_descriptors_only(Settings::BARE);
}

/// However its output is kept.
fn has_its_own_descriptors_only(settings: Settings) {
    let mut rig = Rig::new(settings);
    let loggers = [
        ("standard", json!({})),
        ("rotate", json!({ "mode": "rotate", "rotate": { "log_size": 1000, "backups": 2 } })),
        ("both", json!({ "destination": "both" })),
        ("none", json!({ "destination": "none" })),
    ];
    for (id, logger) in loggers {
        // The list is made by this shell itself, whose own descriptor for reading it is 3.
        let cmdline = "cd /proc/self/fd && echo * > \"$OLDPWD/open\"";
        let process = json!({ "name": "p", "cmdline": cmdline, "logger": logger });
        rig.launch(id, json!({ "processes": [process] }));
        let open = rig.written(id, "open");
        assert_eq!(rig.ends(id).state, RunState::Finished);
        let foreign: Vec<_> = open.split(' ').filter(|it| !is_own(it)).collect();
        assert!(foreign.is_empty(), "{id}: {open}");
    }
}

/// `bash` keeps the output that it redirects at 10, and more behind it.
fn is_own(descriptor: &str) -> bool {
    matches!(descriptor, "0" | "1" | "2" | "3")
        || descriptor.parse().is_ok_and(|it: i32| (10..13).contains(&it))
}
