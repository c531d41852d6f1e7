//! The test that broke a famous cron scheduler: while random halves of the network are cut and
//! healed, jobs run by the clock. Each of their times is one run, neither more nor less, and once
//! the network has been whole for a while, each run starts in time again.

use std::{collections::BTreeMap, fs, path::Path, time::Duration};

use airglow_model::machine::Timestamp;
use serde_json::{Value, json};

use super::{Mesh, Wishes, stays};
use crate::cluster::{CLUSTER, eventually, spec, within};

/// How long the network has to have been whole before runs have to start in time: a link that has
/// lost a few frames waits for long before it sends again, and only silence ends it.
const SETTLED_AFTER: Duration = Duration::from_secs(45);

/// How late a run may start then.
const EPSILON: Duration = Duration::from_secs(15);

/// For how long the network is broken; more by hand.
fn broken_for() -> Duration {
    let minutes = std::env::var("AIRGLOW_MESH_MINUTES").ok();
    let minutes: Option<u64> = minutes.map(|it| it.parse().expect("a number of minutes"));
    Duration::from_secs(minutes.map_or(90, |it| it * 60))
}

/// A job that runs every minute, or every second one, for a while.
#[derive(Clone, Copy)]
struct Timed {
    name: &'static str,
    schedule: &'static str,
    seconds: u32,
}

const JOBS: [Timed; 4] = [
    Timed { name: "short", schedule: "* * * * *", seconds: 0 },
    Timed { name: "some", schedule: "* * * * *", seconds: 10 },
    Timed { name: "long", schedule: "* * * * *", seconds: 30 },
    Timed { name: "seldom", schedule: "*/2 * * * *", seconds: 5 },
];

/// Each run writes one line, outside of everything that Airglow keeps.
fn timed(job: Timed, witness: &Path) -> Value {
    let Timed { name, schedule, seconds } = job;
    let cmdline = format!("echo {name} $(date +%s%3N) >> {}; sleep {seconds}", witness.display());
    let mut spec = spec(name, &cmdline, 1, false);
    spec["cron_schedule"] = json!(schedule);
    spec["cron_collision_policy"] = json!("CANCEL_NEW");
    spec["cron_catch_up"] = json!("all");
    // Nobody is given up while nobody knows what became of it, so nothing runs twice.
    spec["partition_policy"] = json!({ "reschedule": false });
    spec
}

/// When each run of a job began, by its own word.
fn starts(witness: &Path) -> BTreeMap<String, Vec<Timestamp>> {
    let mut starts: BTreeMap<String, Vec<Timestamp>> = BTreeMap::new();
    for line in fs::read_to_string(witness).unwrap().lines() {
        let (name, at) = line.split_once(' ').unwrap();
        starts.entry(name.to_owned()).or_default().push(Timestamp(at.parse().unwrap()));
    }
    starts
}

/// What became of every time of a job, oldest first.
fn firings(mesh: &Mesh, name: &str) -> Vec<Value> {
    let detail = mesh.get(&format!("/cron/www-data/test/{name}"));
    let mut firings = detail["firings"].as_array().cloned().unwrap_or_default();
    firings.reverse();
    firings
}

#[test]
fn each_time_is_one_run_while_random_halves_of_the_network_are_cut_and_healed() {
    let mut mesh = Mesh::of(3, 3, Wishes::default());
    let witness = mesh.witness();
    for job in JOBS {
        let path = format!("/cron/www-data/test/{}", job.name);
        let answer = mesh.send("PUT", &path, &timed(job, &witness).to_string());
        assert_eq!(answer.map(|it| it.0), Some(201), "{CLUSTER} {}", job.name);
    }
    let broken_until = airglow_kit::now() + broken_for();
    while airglow_kit::now() < broken_until {
        mesh.halve();
        let (cut, whole) = (mesh.chance.within(5..30), mesh.chance.within(2..20));
        stays("time passes", cut, || true);
        mesh.heal();
        stays("time passes", whole, || true);
    }
    let settled = airglow_kit::now() + SETTLED_AFTER;
    eventually("the network has settled", || (settled <= airglow_kit::now()).then_some(()));
    let minute = Timestamp(settled.0.next_multiple_of(60_000));
    for job in JOBS {
        let due = next_due(job, minute);
        eventually("its run has started", || {
            starts(&witness).get(job.name)?.iter().any(|it| due <= *it).then_some(())
        });
        let in_time = starts(&witness)[job.name].iter().any(|it| due <= *it && *it < due + EPSILON);
        assert!(in_time, "{} was due at {due:?}, and started {:?}", job.name, starts(&witness));
    }
    for job in JOBS {
        is_one_run_each(&mesh, job, &witness);
    }
    mesh.is_whole();
}

fn every_ms(job: Timed) -> u64 {
    if job.schedule.starts_with("*/2") { 120_000 } else { 60_000 }
}

fn next_due(job: Timed, minute: Timestamp) -> Timestamp {
    Timestamp(minute.0.next_multiple_of(every_ms(job)))
}

/// Every time that is still known has been dealt with once and in order, and as many runs as were
/// said to start did write their line.
fn is_one_run_each(mesh: &Mesh, job: Timed, witness: &Path) {
    let firings = firings(mesh, job.name);
    let times: Vec<_> = firings.iter().filter_map(|it| it["at"].as_u64()).collect();
    for pair in times.windows(2) {
        assert_eq!(pair[1] - pair[0], every_ms(job), "a time is missing, or twice: {firings:?}");
    }
    let is_short = job.seconds == 0;
    let is_skipped = |it: &Value| it["outcome"] != "started";
    assert!(!is_short || !firings.iter().any(is_skipped), "{}: {firings:?}", job.name);
    // Runs are numbered from 1. Another minute may begin while we look.
    let mut seen = Value::Null;
    let agree = within(Duration::from_secs(60), || {
        let firings = self::firings(mesh, job.name);
        let runs = firings.iter().filter_map(|it| it["number"].as_u64()).max()?;
        let wrote = starts(witness).get(job.name).map_or(0, Vec::len) as u64;
        seen = json!({ "runs": runs, "lines": wrote, "firings": firings });
        (runs == wrote).then_some(())
    });
    assert!(agree.is_some(), "{} did not run once for each run: {seen}", job.name);
}
