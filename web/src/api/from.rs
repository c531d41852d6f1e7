//! From the model's types to what was promised.

use airglow_model::{
    config::TaskConfig,
    ids::ConfigId,
    instances::InstanceSet,
    spec::Complaint,
    wire::{self, ProcessView, RunView, StageView, TaskView},
};

use super::{
    Amount, Check, Config, FieldError, Health, OnHost, Process, ProcessUsage, Resources, Run,
    Stage, TaskEvent, TaskUsage,
};

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

impl From<airglow_model::resources::Resources> for Amount {
    fn from(it: airglow_model::resources::Resources) -> Self {
        let Resources { cpu, ram_mb, disk_mb, .. } = it.into();
        Self { cpu, ram_mb, disk_mb }
    }
}

impl From<Amount> for Resources {
    fn from(Amount { cpu, ram_mb, disk_mb }: Amount) -> Self {
        Self { cpu, ram_mb, disk_mb, gpus: 0 }
    }
}

impl From<&airglow_model::task::TaskEvent> for TaskEvent {
    fn from(it: &airglow_model::task::TaskEvent) -> Self {
        Self { at: it.at, status: it.status, message: it.message.clone() }
    }
}

impl OnHost {
    pub(crate) fn heard(it: &TaskView) -> Self {
        Self {
            stage: Some(&it.stage).filter(|it| !it.name.is_empty()).map(Stage::from),
            health: it.health.as_ref().map(Health::from),
            usage: it.usage.as_ref().map(TaskUsage::from),
            isolation: it.isolation.clone(),
            ports: it.ports.clone(),
            user: it.user.clone(),
            unheard: None,
        }
    }
}

impl From<&StageView> for Stage {
    fn from(it: &StageView) -> Self {
        Self { name: it.name.clone(), detail: it.detail.clone(), until: it.until }
    }
}

impl From<&wire::HealthView> for Health {
    fn from(it: &wire::HealthView) -> Self {
        Self {
            check: it.check.clone(),
            is_healthy: it.is_healthy,
            consecutive_successes: it.consecutive_successes,
            consecutive_failures: it.consecutive_failures,
            is_snoozed: it.is_snoozed,
            checks: it.checks,
            total_latency_ms: it.total_latency_ms,
            last: it.last.iter().map(Check::from).collect(),
        }
    }
}

impl From<&wire::CheckView> for Check {
    fn from(it: &wire::CheckView) -> Self {
        Self {
            at: it.at,
            is_success: it.is_success,
            latency_ms: it.latency_ms,
            message: it.message.clone(),
        }
    }
}

impl From<&wire::TaskUsage> for TaskUsage {
    fn from(it: &wire::TaskUsage) -> Self {
        Self {
            at: it.at,
            cpu: it.cpu,
            cpu_seconds: it.cpu_seconds,
            ram: it.ram,
            disk: it.disk,
            pids: it.pids,
        }
    }
}

impl From<&wire::ProcessUsage> for ProcessUsage {
    fn from(it: &wire::ProcessUsage) -> Self {
        Self {
            cpu: it.cpu,
            cpu_seconds: it.cpu_seconds,
            ram: it.ram,
            processes: it.processes,
            threads: it.threads,
        }
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
            usage: it.usage.as_ref().map(ProcessUsage::from),
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
