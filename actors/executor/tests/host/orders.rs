//! What a scheduler has an agent launch.

use std::sync::Arc;

use airglow_model::{
    config::{Kind, Ports, TaskConfig},
    ids::{Attempt, JobKey, TaskId},
    wire::Launch,
};
use serde_json::{Value, json};

/// `task` is what the configuration says of it.
pub(crate) fn order(id: &str, instance: u32, attempt: u32, task: Value) -> Launch {
    let launch = order_of(id, json!({ "task": task }));
    let task = launch.config.job.task(instance);
    Launch { task, attempt: Attempt(attempt), ..launch }
}

/// The same of the whole job, as far as it is not as usual.
pub(crate) fn order_of(id: &str, mut job: Value) -> Launch {
    let usual = [("cluster", "c"), ("role", "r"), ("environment", "devel"), ("name", "n")];
    for (name, value) in usual {
        job.as_object_mut().unwrap().entry(name).or_insert(json!(value));
    }
    job["task"]["name"] = json!("t");
    job["task"]["resources"] = json!({ "cpu": 1, "ram": 64 << 20, "disk": 1 << 30 });
    let key = JobKey::new(job["role"].as_str().unwrap(), "devel", "n");
    Launch {
        task: key.task(0),
        attempt: Attempt(1),
        task_id: TaskId(id.into()),
        config: Arc::new(TaskConfig {
            job: key,
            kind: Kind::Adhoc,
            resources: Default::default(),
            ports: Default::default(),
            constraints: vec![],
            tier: "preferred".into(),
            class: Default::default(),
            priority: 0,
            max_task_failures: 1,
            spec: serde_json::from_value(job).unwrap(),
        }),
        ports: Ports::from([("named_port".into(), 8123)]),
    }
}
