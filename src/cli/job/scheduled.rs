//! A run in the form in which `status --write-json` has always told it, so that scripts that look
//! for `assignedTask.instanceId` find it.

use airglow_web::api::{Config, TaskDetail, TaskEvent};
use serde_json::{Value, json};

use super::screen;

pub(super) fn scheduled(detail: &TaskDetail) -> Value {
    let task = &detail.task;
    json!({
        "assignedTask": {
            "taskId": task.task_id,
            "slaveId": task.host,
            "slaveHost": task.host,
            "instanceId": task.instance,
            "assignedPorts": task.ports,
            "task": detail.config.as_ref().map(configured),
        },
        "status": screen::name(task.status),
        "failureCount": task.failures,
        "ancestorId": detail.ancestor,
        "taskEvents": detail.events.iter().map(happened).collect::<Vec<_>>(),
    })
}

fn happened(event: &TaskEvent) -> Value {
    let message = (!event.message.is_empty()).then_some(&event.message);
    json!({ "timestamp": event.at, "status": screen::name(event.status), "message": message })
}

fn configured(Config { job, kind, resources, ports, tier, priority, .. }: &Config) -> Value {
    json!({
        "job": { "role": job.role, "environment": job.environment, "name": job.name },
        "isService": *kind == airglow_model::config::Kind::Service,
        "numCpus": resources.cpu,
        "ramMb": resources.ram_mb,
        "diskMb": resources.disk_mb,
        "requestedPorts": ports,
        "priority": priority,
        "maxTaskFailures": job.max_task_failures,
        "production": job.production,
        "tier": tier,
        "contactEmail": job.contact,
        "metadata": job.metadata,
        "constraints": job.constraints,
    })
}
