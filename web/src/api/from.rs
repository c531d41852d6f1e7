//! From the model's types to what was promised.

use airglow_model::{
    config::TaskConfig,
    ids::ConfigId,
    instances::InstanceSet,
    spec::Complaint,
    wire::{ProcessView, RunView},
};

use super::{Config, FieldError, Process, Resources, Run, TaskEvent};

impl Config {
    pub fn new(ConfigId(number): ConfigId, instances: InstanceSet, config: &TaskConfig) -> Self {
        Self {
            number,
            instances,
            kind: config.kind,
            resources: config.resources.into(),
            ports: config.ports.iter().cloned().collect(),
            tier: config.tier.clone(),
            priority: config.priority,
            job: config.spec.clone(),
        }
    }
}

impl From<airglow_model::resources::Resources> for Resources {
    fn from(it: airglow_model::resources::Resources) -> Self {
        // Exact: nobody has 2^53 thousandths of a core.
        let cpu = it.cpu_milli as f64 / 1000.0;
        Self { cpu, ram_mb: it.ram_mb, disk_mb: it.disk_mb, gpus: it.gpus }
    }
}

impl From<&airglow_model::task::TaskEvent> for TaskEvent {
    fn from(it: &airglow_model::task::TaskEvent) -> Self {
        Self { at: it.at, status: it.status, message: it.message.clone() }
    }
}

impl From<&ProcessView> for Process {
    fn from(it: &ProcessView) -> Self {
        Self {
            name: it.name.clone(),
            state: it.state,
            is_final: it.is_final,
            daemon: it.daemon,
            ephemeral: it.ephemeral,
            failures: it.failures,
            runs: it.runs.iter().map(Run::from).collect(),
        }
    }
}

impl From<&RunView> for Run {
    fn from(it: &RunView) -> Self {
        Self {
            run: it.run,
            state: it.state,
            pid: it.pid,
            started_at: it.started_at,
            ended_at: it.ended_at,
            exit_code: it.exit_code,
            message: it.message.clone(),
        }
    }
}

impl From<Complaint> for FieldError {
    fn from(Complaint { pointer, detail }: Complaint) -> Self {
        Self { pointer, detail }
    }
}
