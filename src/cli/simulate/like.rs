//! A copy of a cluster, by what its API tells: hosts with what they have, jobs with their newest
//! configurations and where their instances are, and quotas.

use std::{collections::BTreeMap, sync::Arc};

use airglow_model::{
    host::Mode,
    machine::Timestamp,
    quota::Quota,
    resources::Resources,
    simulation::{Snapshot, SnapshotHost, SnapshotJob},
    spec::Limits,
    task::{Placement, Status},
    tier::{Tier, Tiers},
    wire::Capacity,
};
use airglow_web::api::{self, Amount, HostDetail, JobDetail, TaskSummary};

use super::{Code, Failure};
use crate::{cli::Session, units};

pub(super) fn snapshot(session: &Session) -> Result<Snapshot, Failure> {
    let client = &session.client;
    let mut snapshot = Snapshot::default();
    for host in client.hosts()? {
        snapshot.hosts.extend(client.host(&host.host)?.map(computer).transpose()?);
    }
    let tiers = tiers(client.tiers()?);
    for job in client.jobs(&[])? {
        let Some(detail) = client.job(&job.key())? else { continue };
        snapshot.jobs.extend(running(&detail, &tiers)?);
    }
    for api::Quota { role, quota, .. } in client.quotas()? {
        let limit = quota.as_ref().map(limit).transpose()?;
        let set_by = "simulation".to_owned();
        snapshot
            .quotas
            .extend(limit.map(|limit| (role, Quota { limit, set_at: Timestamp(0), set_by })));
    }
    Ok(snapshot)
}

fn computer(HostDetail { host, port_ranges, .. }: HostDetail) -> Result<SnapshotHost, Failure> {
    let api::Resources { cpu, ram_mb, disk_mb, gpus } = host.capacity;
    let resources = Resources { cpu_milli: cores(cpu)?, ram_mb, disk_mb, gpus };
    let values = |(name, values): (String, Vec<String>)| (name, values.into_iter().collect());
    Ok(SnapshotHost {
        id: host.host.as_str().into(),
        attributes: host.attributes.into_iter().map(values).collect(),
        capacity: Capacity { resources, ports: port_ranges, ..Capacity::default() },
        mode: Mode::None,
    })
}

/// With what its newest configuration says, whichever its instances have.
fn running(job: &JobDetail, tiers: &Tiers) -> Result<Option<SnapshotJob>, Failure> {
    let active: Vec<&TaskSummary> = job.instances.iter().filter(|it| it.active).collect();
    let Some(newest) = job.configs.first().filter(|_| !active.is_empty()) else { return Ok(None) };
    let limits = Limits {
        tasks_per_job_max: u32::MAX,
        tiers: tiers.clone(),
        gpus_allowed: true,
        ..Limits::usual(&newest.job.cluster)
    };
    let checked = newest.job.clone().check(&limits).map_err(|wrong| {
        let wrong = wrong.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
        strange(&format!("{} has a configuration that makes no sense: {wrong}", job.summary.key()))
    })?;
    let placed = active.iter().filter(|it| it.status == Status::Running);
    Ok(Some(SnapshotJob {
        config: Arc::new(checked.config),
        instances: active.iter().map(|it| it.instance).collect(),
        placed: placed.filter_map(|it| Some((it.instance, place(it)?))).collect(),
    }))
}

fn place(task: &TaskSummary) -> Option<Placement> {
    let host = task.host.as_deref()?.into();
    Some(Placement { host, ports: task.ports.clone() })
}

fn tiers(all: Vec<api::Tier>) -> Tiers {
    let default = all.iter().find(|it| it.default).map(|it| it.name.clone());
    let tiers: BTreeMap<String, Tier> = all
        .into_iter()
        .map(|api::Tier { name, preemptible, revocable, .. }| {
            (name, Tier { preemptible, revocable })
        })
        .collect();
    Tiers { default: default.unwrap_or_default(), tiers }
}

fn limit(&Amount { cpu, ram_mb, disk_mb }: &Amount) -> Result<Resources, Failure> {
    Ok(Resources { cpu_milli: cores(cpu)?, ram_mb, disk_mb, gpus: 0 })
}

fn cores(cpu: f64) -> Result<u64, Failure> {
    units::cores(cpu).map_err(|why| strange(&why.to_string()))
}

fn strange(why: &str) -> Failure {
    Failure::new(Code::Unknown, format!("The cluster cannot be copied: {why}"))
}
