use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use serde_json::Value;

use crate::cluster::{Cluster, eventually, jobs_of, spec};

const INSTANCES: u32 = 50;
const JOB: &str = "www-data/test/steady";

/// Every instance writes a line when it starts, to a file that nobody else looks after: its number
/// and its process. Whoever runs twice is found out.
fn steady(witness: &Path) -> Value {
    let cmdline =
        format!("echo {{{{mesos.instance}}}} $$ >> {}; exec sleep 10000", witness.display());
    spec("steady", &cmdline, INSTANCES, true)
}

/// Who started: the processes of each instance.
fn started(witness: &Path) -> BTreeMap<u32, Vec<i32>> {
    let mut started: BTreeMap<u32, Vec<i32>> = BTreeMap::new();
    for line in fs::read_to_string(witness).unwrap_or_default().lines() {
        let (instance, pid) = line.split_once(' ').unwrap();
        started.entry(instance.parse().unwrap()).or_default().push(pid.parse().unwrap());
    }
    started
}

fn lives(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // A zombie is no life.
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

/// What the scheduler knows of each instance: its run, and all that happened to it.
fn known(cluster: &Cluster) -> BTreeMap<u64, (String, Vec<String>)> {
    let instances = cluster.instances(JOB);
    let known = instances.iter().map(|task| {
        let id = task["task_id"].as_str().unwrap();
        let detail = cluster.get(&format!("/tasks/{id}"));
        let events = detail["events"].as_array().unwrap().iter();
        let events = events.map(|it| it["status"].as_str().unwrap().to_owned()).collect();
        (task["instance"].as_u64().unwrap(), (id.to_owned(), events))
    });
    known.collect()
}

/// The pid that the scheduler shows for each instance.
fn pids_shown(cluster: &Cluster) -> Option<BTreeMap<u32, i32>> {
    let mut pids = BTreeMap::new();
    for task in cluster.instances(JOB) {
        let detail = cluster.get(&format!("/tasks/{}", task["task_id"].as_str()?));
        let pid = detail["processes"][0]["runs"][0]["pid"].as_i64()?;
        pids.insert(task["instance"].as_u64()?.try_into().unwrap(), pid.try_into().unwrap());
    }
    (pids.len() == INSTANCES as usize).then_some(pids)
}

/// Starts fifty instances on two hosts, lets `disaster` happen, and sees whether anybody noticed.
#[track_caller]
fn survives(disaster: impl FnOnce(&mut Cluster)) {
    let mut cluster = Cluster::with_agents(&["worker"]);
    let witness = cluster.witness();
    let (status, answer) = cluster.post("/jobs", &jobs_of(&[steady(&witness)]));
    assert_eq!(status, 201, "{answer}");
    cluster.reaches(JOB, "RUNNING", INSTANCES.into());
    let before = eventually("every instance has started", || {
        let started = started(&witness);
        (started.len() == INSTANCES as usize).then_some(started)
    });
    let known_before = known(&cluster);

    disaster(&mut cluster);

    cluster.reaches(JOB, "RUNNING", INSTANCES.into());
    let hosts_up = || {
        let hosts = cluster.get("/hosts");
        let up = hosts["items"].as_array()?.iter().filter(|it| it["state"] == "up").count();
        (up == 2).then_some(())
    };
    eventually("both hosts are back", hosts_up);
    let shown = eventually("every pid is shown again", || pids_shown(&cluster));
    let after = started(&witness);
    assert_eq!(after, before, "an instance was started again");
    for (instance, pids) in &after {
        assert_eq!(pids.len(), 1, "instance {instance} ran twice");
        assert!(lives(pids[0]), "instance {instance} has died");
        assert_eq!(shown[instance], pids[0], "instance {instance} has another pid");
    }
    assert_eq!(known(&cluster), known_before, "the history is another");
    let expected: BTreeSet<u64> = (0..INSTANCES.into()).collect();
    assert_eq!(known_before.keys().copied().collect::<BTreeSet<_>>(), expected);

    // What came back is a cluster, not a picture of one.
    cluster.succeeds(&["job", "killall", &format!("devcluster/{JOB}"), "--no-batching"]);
    eventually("every process has ended", || {
        after.values().flatten().all(|&pid| !lives(pid)).then_some(())
    });
}

#[test]
fn nobody_notices_that_the_scheduler_was_killed() {
    survives(|cluster| {
        cluster.kill_9("scheduler");
        cluster.restart("scheduler");
    });
}

#[test]
fn nobody_notices_that_an_agent_was_killed() {
    survives(|cluster| {
        cluster.kill_9("worker");
        cluster.restart("worker");
    });
}

#[test]
fn nobody_notices_that_the_scheduler_was_killed_and_then_the_agent() {
    survives(|cluster| {
        cluster.kill_9("scheduler");
        cluster.kill_9("worker");
        cluster.restart("scheduler");
        cluster.restart("worker");
    });
}

#[test]
fn nobody_notices_that_the_agent_was_killed_and_then_the_scheduler() {
    survives(|cluster| {
        cluster.kill_9("worker");
        cluster.kill_9("scheduler");
        cluster.restart("worker");
        cluster.restart("scheduler");
    });
}

#[test]
fn nobody_notices_that_both_were_killed_again_and_again() {
    survives(|cluster| {
        for _ in 0..3 {
            cluster.kill_9("scheduler");
            cluster.restart("scheduler");
            cluster.kill_9("worker");
            cluster.restart("worker");
        }
    });
}

#[test]
fn instances_that_are_being_started_are_started_once_whoever_is_killed() {
    let mut cluster = Cluster::with_agents(&["worker"]);
    let witness = cluster.witness();
    let (status, _) = cluster.post("/jobs", &jobs_of(&[steady(&witness)]));
    assert_eq!(status, 201);
    // In the middle of it: some have started, and some have not.
    eventually("the first instance has started", || (!started(&witness).is_empty()).then_some(()));
    for node in ["scheduler", "worker"] {
        cluster.kill_9(node);
        cluster.restart(node);
    }
    cluster.reaches(JOB, "RUNNING", INSTANCES.into());
    let started = eventually("every instance has started", || {
        let started = started(&witness);
        (started.len() == INSTANCES as usize).then_some(started)
    });
    for (instance, pids) in started {
        assert_eq!(pids.len(), 1, "instance {instance} ran twice");
        assert!(lives(pids[0]), "instance {instance} has died");
    }
}
