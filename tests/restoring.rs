use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use airglow_kit::now;
use serde_json::Value;

use crate::cluster::{Cluster, eventually, jobs_of, spec};

const STEADY: &str = "www-data/test/steady";
const INSTANCES: u32 = 6;

/// Every instance writes down when its process began.
fn job(name: &str, witness: &Path, instances: u32) -> Value {
    let began = "read -ra stat < /proc/$$/stat; echo {{mesos.instance}} ${stat[21]}";
    let cmdline = format!("{began} >> {}; exec sleep 10000", witness.display());
    spec(name, &cmdline, instances, true)
}

/// How often each instance was started.
fn starts(witness: &Path) -> BTreeMap<u32, u32> {
    let mut starts = BTreeMap::new();
    for line in fs::read_to_string(witness).unwrap_or_default().lines() {
        let (instance, _) = line.split_once(' ').unwrap();
        *starts.entry(instance.parse().unwrap()).or_default() += 1;
    }
    starts
}

/// The run and the pid of each instance, as the scheduler shows them.
fn shown(cluster: &Cluster, job: &str, instances: u32) -> BTreeMap<u64, (String, i64)> {
    eventually("every pid is shown", || {
        let mut shown = BTreeMap::new();
        for task in cluster.instances(job) {
            let id = task["task_id"].as_str()?.to_owned();
            let detail = cluster.get(&format!("/tasks/{id}"));
            let pid = detail["processes"][0]["runs"][0]["pid"].as_i64()?;
            shown.insert(task["instance"].as_u64()?, (id, pid));
        }
        (shown.len() == instances as usize).then_some(shown)
    })
}

fn lives(pid: i64) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

/// Everything that the scheduler of the harness has, which is not all of its agent's folder.
fn memory(cluster: &Cluster) -> PathBuf {
    cluster.data("scheduler").join("scheduler")
}

#[test]
fn a_cluster_whose_scheduler_lost_everything_goes_on_from_a_backup() {
    let mut cluster = Cluster::with_agents(&["worker"]);
    let (witness, later) = (cluster.witness(), cluster.root().join("later"));
    let created = cluster.post("/jobs", &jobs_of(&[job("steady", &witness, INSTANCES)]));
    assert_eq!(created.0, 201, "{}", created.1);
    cluster.reaches(STEADY, "RUNNING", INSTANCES.into());
    // So that there is some history.
    assert_eq!(cluster.post(&format!("/jobs/{STEADY}/restart"), "{\"instances\": [0]}").0, 200);
    let history = eventually("a run is history", || {
        let history = cluster.get(&format!("/jobs/{STEADY}/history"));
        (history["items"].as_array()?.len() == 1).then_some(history)
    });
    cluster.reaches(STEADY, "RUNNING", INSTANCES.into());
    let before = shown(&cluster, STEADY, INSTANCES);

    let backup = cluster.root().join("backup").display().to_string();
    let said = cluster.airglow(&["admin", "snapshot", "--output", &backup]).code(0);
    assert_eq!(said.stdout.trim(), backup);
    // What comes after it is not in it.
    let created = cluster.post("/jobs", &jobs_of(&[job("later", &later, 2)]));
    assert_eq!(created.0, 201, "{}", created.1);
    cluster.reaches("www-data/test/later", "RUNNING", 2);
    let unknown = shown(&cluster, "www-data/test/later", 2);

    cluster.kill_9("scheduler");
    fs::remove_dir_all(memory(&cluster)).unwrap();
    let data = cluster.data("scheduler").display().to_string();
    let restore = |args: &[&str]| {
        cluster.succeeds(&[&["admin", "restore"], args, &["--data", &data]].concat())
    };
    let told = restore(&["stage", &backup]);
    assert!(told.contains("Backup of devcluster") && told.contains("6 RUNNING"), "{told}");
    assert!(told.contains("KILLED when its host"), "{told}");
    assert!(!told.contains("later"), "{told}");
    restore(&["commit"]);
    cluster.restart("scheduler");

    cluster.reaches(STEADY, "RUNNING", INSTANCES.into());
    assert_eq!(shown(&cluster, STEADY, INSTANCES), before, "a run was not taken over");
    let mut expected: BTreeMap<u32, u32> = (0..INSTANCES).map(|it| (it, 1)).collect();
    expected.insert(0, 2);
    assert_eq!(starts(&witness), expected, "an instance was started again");
    assert!(before.values().all(|(_, pid)| lives(*pid)));
    assert_eq!(cluster.get(&format!("/jobs/{STEADY}/history")), history);
    eventually("what nobody knows of has ended", || {
        unknown.values().all(|(_, pid)| !lives(*pid)).then_some(())
    });
    assert_eq!(cluster.get("/jobs/www-data/test/later"), Value::Null);

    // It is a cluster, not a picture of one.
    cluster.succeeds(&["job", "killall", &format!("devcluster/{STEADY}"), "--no-batching"]);
    eventually("every process has ended", || {
        before.values().all(|(_, pid)| !lives(*pid)).then_some(())
    });
}

#[test]
fn what_was_there_is_moved_aside_and_a_job_can_be_left_out() {
    let mut cluster = Cluster::start();
    let witness = cluster.witness();
    let jobs = [job("steady", &witness, 2), job("unwanted", &cluster.root().join("other"), 1)];
    assert_eq!(cluster.post("/jobs", &jobs_of(&jobs)).0, 201);
    cluster.reaches(STEADY, "RUNNING", 2);
    cluster.reaches("www-data/test/unwanted", "RUNNING", 1);
    let before = shown(&cluster, STEADY, 2);
    let unwanted = shown(&cluster, "www-data/test/unwanted", 1)[&0].1;
    // It stays where the scheduler has put it.
    let backup = cluster.succeeds(&["admin", "snapshot"]).trim().to_owned();
    let list = cluster.succeeds(&["admin", "snapshot", "--list"]);
    assert!(list.contains(&backup), "{list}");

    let data = cluster.data("scheduler").display().to_string();
    let stage = ["admin", "restore", "stage", &backup, "--data", &data];
    cluster.airglow(&stage).code(1).says("is running: stop it first");
    cluster.kill_9("scheduler");
    cluster.airglow(&stage).code(1).says("--force");
    cluster.succeeds(&[&stage[..], &["--force"]].concat());
    let restore = |args: &[&str]| {
        cluster.airglow(&[&["admin", "restore"], args, &["--data", &data]].concat())
    };
    restore(&["drop", "www-data/test/none"]).code(1).says("no job www-data/test/none");
    restore(&["drop", "www-data/test/unwanted"]).code(0);
    let told = restore(&["show"]).code(0).stdout;
    assert!(told.contains("steady") && !told.contains("unwanted"), "{told}");
    // Somebody pulls the plug at the worst moment.
    fs::rename(Path::new(&data).join("restore"), Path::new(&data).join("restore.decided")).unwrap();
    restore(&["abort"]).code(1).says("was interrupted");
    cluster.restart("scheduler");

    cluster.reaches(STEADY, "RUNNING", 2);
    assert_eq!(shown(&cluster, STEADY, 2), before);
    eventually("what was left out has ended", || (!lives(unwanted)).then_some(()));
    assert!(Path::new(&data).join("scheduler.before-restore-1").is_dir());
}

#[test]
fn backups_are_made_without_being_asked_for_and_the_oldest_go() {
    let mut cluster = Cluster::prepared();
    let config = "[backup]\nevery = \"1 second\"\nkeep = 2\n";
    cluster.start_scheduler_with(config);
    let names = || {
        let listed = cluster.get("/snapshots");
        let names = listed["items"].as_array()?.iter();
        Some(names.map(|it| it["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>())
    };
    let first = eventually("there is a backup", || names().filter(|it| !it.is_empty()));
    let until = now() + std::time::Duration::from_secs(120);
    let mut number = 0;
    loop {
        // Something new for each.
        number += 1;
        let quota = format!("{{\"cpu\": {number}, \"ram_mb\": 1, \"disk_mb\": 1}}");
        assert_eq!(cluster.put("/quotas/www-data", &quota), 200);
        let now_there = names().unwrap();
        assert!(now_there.len() <= 3, "more than two and the one being pruned: {now_there:?}");
        if now_there.len() == 2 && !now_there.contains(&first[0]) {
            break;
        }
        assert!(now() < until, "the first is still there: {now_there:?}");
    }
}
