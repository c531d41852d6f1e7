//! A thousand instances come to another configuration, and back, while their scheduler is killed.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::cluster::{Cluster, eventually, jobs_of, spec};

const INSTANCES: u32 = 1000;
const JOB: &str = "www-data/test/many";

fn version(number: u32) -> Value {
    let mut job = spec("many", &format!("exec sleep {}", 10_000 + number), INSTANCES, true);
    job["update_config"] = json!({
        "batch_size": 100,
        "wait_for_batch_completion": true,
        "watch_secs": 1,
    });
    job
}

/// Begins to update to this version. The update's place in the API.
fn begin(cluster: &Cluster, number: u32) -> String {
    let (status, answer) = cluster.post("/updates", &json!({ "job": version(number) }).to_string());
    assert_eq!(status, 201, "{answer}");
    format!("/updates/{JOB}/{}", answer["update"]["id"].as_str().unwrap())
}

/// How many instances are done in the direction that it goes, by now.
fn done(cluster: &Cluster, update: &str) -> u64 {
    cluster.get(update)["summary"]["progress"]["done"].as_u64().unwrap_or_default()
}

/// Which actions each instance has seen, in their order.
fn actions(detail: &Value) -> BTreeMap<u64, Vec<String>> {
    let mut actions: BTreeMap<u64, Vec<String>> = BTreeMap::new();
    for event in detail["instance_events"].as_array().unwrap() {
        let action = event["action"].as_str().unwrap().to_owned();
        actions.entry(event["instance"].as_u64().unwrap()).or_default().push(action);
    }
    actions
}

/// How many instances run each configuration.
fn configs(cluster: &Cluster) -> BTreeMap<u64, usize> {
    let mut configs = BTreeMap::new();
    for task in cluster.instances(JOB).iter().filter(|it| it["status"] == "RUNNING") {
        *configs.entry(task["config"].as_u64().unwrap()).or_default() += 1;
    }
    configs
}

fn kill_at(cluster: &mut Cluster, update: &str, milestones: &[u64]) {
    for milestone in milestones {
        eventually("the update has come so far", || {
            (*milestone <= done(cluster, update)).then_some(())
        });
        cluster.kill_9("scheduler");
        cluster.restart("scheduler");
    }
}

fn ends(cluster: &Cluster, update: &str, status: &str) -> Value {
    eventually("the update has ended", || {
        let detail = cluster.get(update);
        let is = detail["summary"]["status"].as_str()?;
        let active = detail["summary"]["active"].as_bool()?;
        assert!(active || is == status, "{}", detail["events"]);
        (is == status).then_some(detail)
    })
}

#[test]
fn each_instance_is_updated_exactly_once_though_the_scheduler_is_killed_thrice() {
    let mut cluster = Cluster::with_agents(&["worker"]);
    let (status, answer) = cluster.post("/jobs", &jobs_of(&[version(1)]));
    assert_eq!(status, 201, "{answer}");
    cluster.reaches(JOB, "RUNNING", INSTANCES.into());

    let update = begin(&cluster, 2);
    kill_at(&mut cluster, &update, &[100, 400, 700]);
    let detail = ends(&cluster, &update, "ROLLED_FORWARD");
    let actions = actions(&detail);
    assert_eq!(actions.len(), INSTANCES as usize);
    for (instance, seen) in &actions {
        let told = detail["instance_events"].as_array().unwrap().iter();
        let told: Vec<_> = told.filter(|it| it["instance"] == *instance).collect();
        assert_eq!(seen, &["UPDATING", "UPDATED"], "instance {instance}: {told:?}");
    }
    assert_eq!(configs(&cluster), [(2, INSTANCES as usize)].into());

    let update = begin(&cluster, 3);
    kill_at(&mut cluster, &update, &[200]);
    eventually("the update has come so far", || (300 <= done(&cluster, &update)).then_some(()));
    let (status, answer) = cluster.post(&format!("{update}/rollback"), "{}");
    assert_eq!(status, 200, "{answer}");
    kill_at(&mut cluster, &update, &[100, 200]);
    ends(&cluster, &update, "ROLLED_BACK");
    eventually("every instance runs what it ran before", || {
        (configs(&cluster) == [(2, INSTANCES as usize)].into()).then_some(())
    });
}
