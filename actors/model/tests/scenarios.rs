//! Airglow schedules and runs tasks as Aurora did. What Aurora did was written down as numbered
//! scenarios, before Airglow was begun, and a test that shows one of them has its number at the
//! beginning of its name, in whichever package it is. Here they all are. Each has a test, or a reason
//! why there cannot be one.
//!
//! `P`: who may run when; `R`: tasks and their processes; `H`: health; `E`: a task's life on a host;
//! `S`: what the scheduler decides.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails where it is")]

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

/// Number, what it is about, and which of it does not apply here and why.
const SCENARIOS: &[(&str, &str, &str)] = &[
    ("P1", "a plan without processes", ""),
    ("P2", "processes with an order and without", ""),
    ("P4", "orders that lead in a circle", ""),
    ("P5", "nothing but ephemeral processes", ""),
    ("P7", "daemons that fail", ""),
    ("P8", "ephemeral daemons beside a process that ends", ""),
    ("P10", "a process whose predecessor failed", ""),
    ("P11", "the pause between runs", ""),
    ("P13", "nothing to wait for when all have failed", ""),
    ("P14", "daemons that may always fail", ""),
    ("P16", "orders among regular and final processes", ""),
    ("P17", "the number of runs in all", ""),
    ("R1", "layers of processes, ports and what is reported", ""),
    ("R2", "a failure amid an order", ""),
    ("R4", "how many processes run at once", ""),
    ("R5", "runs that were killed or lost", ""),
    ("R7", "children of a process that has ended", ""),
    ("R8", "how lost and killed runs are seen later", ""),
    ("R10", "final processes that fail", ""),
    ("R11", "final processes of a task that failed", ""),
    ("R13", "crashes at any moment", ""),
    ("R14", "a profile that one process writes for the others", ""),
    ("R16", "a task of ephemeral processes", ""),
    ("R17", "a process that can never run", ""),
    ("R19", "plain logs", ""),
    ("R20", "logs that rotate", ""),
    ("R22", "descriptors and users", ""),
    ("R23", "other places for logs", ""),
    ("R25", "two processes of one name", "refused, where Aurora took the second"),
    ("H1", "healthy at the first check", ""),
    ("H2", "a failure within the grace", ""),
    ("H4", "failures beyond the grace", ""),
    ("H5", "a success at the end of the grace", ""),
    ("H7", "no grace", ""),
    ("H8", "failures in a row of who was healthy", ""),
    ("H10", "failures in a row of who was not", ""),
    ("H11", "successes and failures by turns", ""),
    ("H13", "what HTTP servers may answer", ""),
    (
        "H14",
        "how commands may end",
        "commands run by bash, so a path that leads nowhere is exit 127",
    ),
    ("H16", "as whom commands run", "always as the task's user: no flag runs them as the agent's"),
    ("H17", "a port called health", ""),
    ("E1", "what is reported of a task, in order", "no driver has to be stopped afterwards"),
    (
        "E2",
        "the same task launched twice",
        "orders are repeated, so the second changes nothing, where Aurora lost it",
    ),
    ("E4", "killed before there was a sandbox", ""),
    ("E5", "killed while it runs, and by whom", ""),
    (
        "E7",
        "every end's state and words",
        "no program runs a task, so none has exit statuses to be understood",
    ),
    ("E8", "more disk than was reserved", ""),
    ("E10", "asked to leave over HTTP", ""),
    ("E14", "users that do not exist", "tasks in images are refused when a job is submitted"),
    ("E16", "ports by all their names", ""),
    ("S1", "a service that finishes", ""),
    ("S2", "a job that is done", ""),
    ("S4", "the last failure that was allowed", ""),
    ("S5", "failures without a limit", ""),
    ("S7", "killed before there was a place", ""),
    ("S8", "killed while it runs", ""),
    ("S10", "a host runs what nobody knows", ""),
    ("S11", "restarted", ""),
    ("S13", "a kill without an answer", ""),
    ("S14", "partitioned for too long", ""),
    ("S16", "partitioned, and never given up", ""),
    ("S17", "killed or restarted while partitioned", ""),
    ("S19", "flapping", "the first flap waits too, as it was meant"),
    ("S20", "runs that ended early and are no flaps", ""),
    ("S22", "a dedicated host", ""),
    ("S23", "whose a dedicated host may be", ""),
    ("S25", "constraints on what a host lacks", ""),
    ("S26", "hosts in maintenance", ""),
    ("S28", "the fullest host that fits", ""),
    ("S29", "too few ports, and how far from fitting", ""),
    ("S31", "who preempts whom", ""),
    ("S32", "which victims", ""),
    ("S34", "a host that is kept for a preemptor", ""),
    ("S35", "more than the quota", ""),
    ("S37", "the quota that an idle cron job takes", ""),
    ("S38", "the quota that a job takes while it is updated", ""),
    ("S40", "a quota below what is used", ""),
    ("S41", "an update that goes well", ""),
    ("S43", "an update to fewer instances", ""),
    ("S44", "an update that changes nothing", ""),
    ("S46", "an update of instances that nobody has", ""),
    ("S47", "in which order instances are touched", ""),
    ("S48", "an update that fails is undone", ""),
    ("S49", "an update that fails is left as it is", ""),
    ("S50", "how often an instance may fail", ""),
    ("S52", "batches, and a pause after each", ""),
    ("S53", "an update that needs pulses", ""),
    ("S55", "a second update of a job", ""),
    ("S56", "when an update can be rolled back", ""),
    ("S58", "a replacement that finds no place", "it can be given a deadline"),
    ("S59", "updates that make no sense", ""),
    ("S61", "a cron job is due while it runs", ""),
    ("S62", "how long instances have been up", ""),
    ("S64", "how much of the time instances were up", ""),
    ("S65", "who may leave without breaking an SLA", ""),
    ("S68", "forgetting updates", ""),
    ("S67", "a host is drained", "a host that is not known is an error, not an empty answer"),
    ("S70", "how many instances, and which names", ""),
    ("S71", "restarting some and adding some", ""),
    ("S77", "forgetting ended tasks on demand", ""),
];

/// Numbers without a test, and why.
const ABSENT: &[(&str, &str)] = &[
    ("E11", "announces instances in ZooKeeper; Airglow has none, and its API knows where they are"),
    ("E13", "credentials for ZooKeeper"),
    ("S73", "there is one scheduler, so it always leads"),
    ("S74", "no service behind the API's own address yet"),
    ("S76", "there are no backups yet"),
];

/// Of every function in the repository's Rust files that has numbers at the beginning of its name.
fn tests_by_number() -> BTreeMap<String, Vec<String>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut files = Vec::new();
    for folder in ["actors", "src", "tests", "web"] {
        collect(&root.join(folder), &mut files);
    }
    let mut found: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        let after_fn = text.lines().filter_map(|it| it.trim_start().split_once("fn "));
        for name in after_fn.filter_map(|(_, rest)| rest.split(['(', '<']).next()) {
            for number in name.split('_').take_while(|it| is_number(it)) {
                found.entry(number.to_uppercase()).or_default().push(name.to_owned());
            }
        }
    }
    found
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("target") {
            collect(&path, files);
        } else if path.extension().is_some_and(|it| it == "rs") {
            files.push(path);
        }
    }
}

fn is_number(word: &str) -> bool {
    let digits = word.strip_prefix(['p', 'r', 'h', 'e', 's']).unwrap_or_default();
    !digits.is_empty() && digits.bytes().all(|it| it.is_ascii_digit())
}

#[test]
fn every_scenario_has_a_test_or_a_reason_why_not() {
    let tests = tests_by_number();
    let missing: Vec<_> = SCENARIOS
        .iter()
        .filter(|(number, ..)| !tests.contains_key(*number))
        .map(|(number, about, _)| format!("{number}: {about}"))
        .collect();
    assert!(missing.is_empty(), "without a test: {missing:#?}");
}

#[test]
fn every_number_in_a_tests_name_is_that_of_a_scenario() {
    let mut tests = tests_by_number();
    tests.retain(|number, _| !SCENARIOS.iter().any(|(known, ..)| known == number));
    assert!(tests.is_empty(), "without a scenario: {tests:#?}, and {ABSENT:?} have none");
}
