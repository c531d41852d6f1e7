//! A task that takes too much ends, or gets no more, and its neighbours do not notice.

use std::fs;

use airglow_model::wire::RunState;
use serde_json::{Value, json};

use crate::{agent::Settings, rig::Rig, trials};

trials![
    a_task_that_takes_more_memory_than_it_has_fails_and_says_so,
    a_fork_bomb_is_stopped_and_its_neighbours_live,
    e8_a_task_that_fills_its_disk_fails_and_says_so,
];

/// The kernel sets limits for the machine's owner only.
fn as_root(settings: Settings) -> Rig {
    assert!(nix::unistd::geteuid().is_root(), "this takes root: run tests/run as root");
    Rig::new(settings)
}

/// It fails as often as it likes, so that it is not its process's end that ends the task.
fn greedy(cmdline: &str, resources: Value) -> Value {
    let process = json!({ "name": "p", "cmdline": cmdline, "max_failures": 0, "min_duration": 0 });
    json!({ "processes": [process], "max_failures": 0, "resources": resources })
}

fn a_task_that_takes_more_memory_than_it_has_fails_and_says_so() {
    let mut rig = as_root(Settings::ISOLATED);
    start_neighbour(&mut rig);
    let resources = json!({ "cpu": 1.0, "ram": 64 << 20, "disk": 64 << 20 });
    // The end of what has no lines is all of it.
    rig.launch("hog", greedy("head -c 1G /dev/zero | tail", resources));
    let end = rig.ends("hog");
    assert_eq!(end.state, RunState::Failed, "{end:?}");
    assert!(end.message.starts_with("Memory limit exceeded"), "{end:?}");
    neighbour_is_well(&mut rig);
}

fn e8_a_task_that_fills_its_disk_fails_and_says_so() {
    let mut rig = as_root(Settings::ISOLATED);
    start_neighbour(&mut rig);
    let resources = json!({ "cpu": 1.0, "ram": 64 << 20, "disk": 8 << 20 });
    rig.launch("hog", greedy("head -c 32M /dev/zero > big; sleep 10000", resources));
    let end = rig.ends("hog");
    assert_eq!(end.state, RunState::Failed, "{end:?}");
    let reason = "Disk limit exceeded.  Reserved 8388608 bytes vs used ";
    assert!(end.message.starts_with(reason), "{end:?}");
    neighbour_is_well(&mut rig);
}

/// It would end by itself at a few hundred, should nobody stop it.
fn a_fork_bomb_is_stopped_and_its_neighbours_live() {
    const MOST: usize = 40;
    let mut rig = as_root(Settings { pids_max: MOST as u64, ..Settings::ISOLATED });
    start_neighbour(&mut rig);
    let cmdline = "bomb() { ((7 < $1)) && exec sleep 10000
        bomb $(($1 + 1)) & bomb $(($1 + 1)) & wait; }; bomb 0";
    let resources = json!({ "cpu": 0.5, "ram": 256 << 20, "disk": 64 << 20 });
    rig.launch("bomb", greedy(cmdline, resources));
    let complaints = rig.sandbox("bomb").join(".logs/p/0/stderr");
    rig.until("it is refused a process", |_| {
        fs::read_to_string(&complaints).is_ok_and(|it| it.contains("Resource temporarily"))
    });
    let processes = rig.processes_of("bomb");
    assert!((2..=MOST).contains(&processes.len()), "{} processes", processes.len());
    neighbour_is_well(&mut rig);
    rig.kill("bomb");
    assert_eq!(rig.ends("bomb").state, RunState::Killed);
    assert_eq!(rig.processes_of("bomb"), [0_i32; 0]);
    neighbour_is_well(&mut rig);
}

/// Which counts, and starts a process for every number.
fn start_neighbour(rig: &mut Rig) {
    let cmdline = "for ((i = 0; ; i++)); do echo $i > count; sleep 0.05; done";
    rig.launch("neighbour", json!({ "processes": [{ "name": "p", "cmdline": cmdline }] }));
    rig.written("neighbour", "count");
}

fn neighbour_is_well(rig: &mut Rig) {
    let mut count = || rig.written("neighbour", "count").parse::<u64>().unwrap();
    let before = count();
    while count() < before + 3 {}
    let reports = rig.reports.values();
    assert!(!reports.filter(|it| *it.task_id.0 == *"neighbour").any(|it| it.state.is_terminal()));
}
