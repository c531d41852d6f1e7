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
/// and when its process began, since a process in a namespace of its own does not know what it is
/// called outside. Whoever runs twice is found out.
fn steady(witness: &Path) -> Value {
    let began = "read -ra stat < /proc/$$/stat; echo {{mesos.instance}} ${stat[21]}";
    let cmdline = format!("{began} >> {}; exec sleep 10000", witness.display());
    spec("steady", &cmdline, INSTANCES, true)
}

/// When each instance's processes began.
fn started(witness: &Path) -> BTreeMap<u32, Vec<u64>> {
    let mut started: BTreeMap<u32, Vec<u64>> = BTreeMap::new();
    for line in fs::read_to_string(witness).unwrap_or_default().lines() {
        let (instance, began) = line.split_once(' ').unwrap();
        started.entry(instance.parse().unwrap()).or_default().push(began.parse().unwrap());
    }
    started
}

/// When the process began, if it lives.
fn began(pid: i32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = stat.rsplit_once(") ")?;
    // A zombie is no life.
    let lives = !rest.starts_with('Z');
    lives.then(|| rest.split(' ').nth(19)?.parse().ok())?
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
    for (instance, times) in &after {
        assert_eq!(times.len(), 1, "instance {instance} ran twice");
        let pid = shown[instance];
        assert_eq!(began(pid), Some(times[0]), "instance {instance} is not process {pid}");
    }
    assert_eq!(known(&cluster), known_before, "the history is another");
    let expected: BTreeSet<u64> = (0..INSTANCES.into()).collect();
    assert_eq!(known_before.keys().copied().collect::<BTreeSet<_>>(), expected);

    // What came back is a cluster, not a picture of one.
    cluster.succeeds(&["job", "killall", &format!("devcluster/{JOB}"), "--no-batching"]);
    eventually("every process has ended", || {
        let gone = |(instance, pid)| began(pid) != Some(after[&instance][0]);
        shown.clone().into_iter().all(gone).then_some(())
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
    let shown = eventually("every pid is shown", || pids_shown(&cluster));
    for (instance, times) in started {
        assert_eq!(times.len(), 1, "instance {instance} ran twice");
        assert_eq!(began(shown[&instance]), Some(times[0]), "instance {instance} has died");
    }
}
