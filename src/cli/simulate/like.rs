//! A copy of a cluster, by what its API tells: hosts with what they have, jobs with their newest
//! configurations and where their instances are, and quotas.

use std::{collections::BTreeMap, sync::Arc};

use airglow_model::{
    host::{DrainRequest, Mode},
    machine::Timestamp,
    quota::Quota,
    resources::Resources,
    simulation::{Snapshot, SnapshotHost, SnapshotJob},
    spec::{Limits, SlaPolicy},
    task::{Placement, Status},
    tier::{Tier, Tiers},
    wire::Capacity,
};
use airglow_web::api::{
    self, Amount, DrainProgress, HostDetail, HostSummary, JobDetail, TaskSummary,
};

use super::{Code, Failure};
use crate::{cli::Session, units};

pub(super) fn snapshot(session: &Session) -> Result<Snapshot, Failure> {
    let client = &session.client;
    let mut snapshot = Snapshot { taken_at: airglow_kit::now(), ..Snapshot::default() };
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
    let wanted = mode(&host)?;
    let api::Resources { cpu, ram_mb, disk_mb, gpus } = host.capacity;
    let resources = Resources { cpu_milli: cores(cpu)?, ram_mb, disk_mb, gpus };
    let values = |(name, values): (String, Vec<String>)| (name, values.into_iter().collect());
    Ok(SnapshotHost {
        id: host.host.as_str().into(),
        attributes: host.attributes.into_iter().map(values).collect(),
        capacity: Capacity { resources, ports: port_ranges, ..Capacity::default() },
        mode: wanted,
    })
}

/// What its operator wants of it, be that done or not.
fn mode(HostSummary { host, mode, mode_since, drain, .. }: &HostSummary) -> Result<Mode, Failure> {
    let since = mode_since.unwrap_or_default();
    match (mode.as_str(), drain) {
        ("NONE" | "", _) => Ok(Mode::None),
        ("SCHEDULED", _) => Ok(Mode::Scheduled { since }),
        ("DRAINED", _) => Ok(Mode::Drained { since }),
        ("DRAINING", Some(drain)) => Ok(Mode::Draining { since, request: request(drain) }),
        (mode, _) => Err(strange(&format!("{host} is in state {mode}, which is not known here"))),
    }
}

fn request(DrainProgress { request, by, .. }: &DrainProgress) -> DrainRequest {
    let amount = |it: Option<u64>| i64::try_from(it.unwrap_or(0)).unwrap_or(i64::MAX);
    let duration_secs = amount(request.duration_secs);
    let policy = match request.count {
        Some(_) => SlaPolicy::Count { count: amount(request.count), duration_secs },
        None => {
            let percentage = request.percentage.unwrap_or(0.0);
            SlaPolicy::Percentage { percentage, duration_secs }
        }
    };
    DrainRequest { policy, timeout_secs: request.timeout_secs.unwrap_or(0), by: by.clone() }
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

#[cfg(test)]
mod tests {
    use airglow_web::api::Drain;
    use serde_json::json;

    use super::*;

    fn host(mode: &str, request: Option<Drain>) -> HostSummary {
        let amounts = json!({ "cpu": 1.0, "ram_mb": 1, "disk_mb": 1, "gpus": 0 });
        let drain = request.map(|request| {
            json!({
                "since": 5, "deadline": 9, "by": "somebody", "request": request, "left": 1,
                "waits": [],
            })
        });
        serde_json::from_value(json!({
            "host": "h", "state": "up", "joined_at": 0, "heard_at": 0, "version": "1",
            "attributes": {}, "capacity": amounts, "used": amounts, "tasks": 0, "mode": mode,
            "mode_since": 5, "drain": drain,
        }))
        .unwrap()
    }

    #[test]
    fn a_host_is_copied_with_what_its_operator_wants_of_it() {
        let since = Timestamp(5);
        for (shown, expected) in [
            ("NONE", Mode::None),
            ("SCHEDULED", Mode::Scheduled { since }),
            ("DRAINED", Mode::Drained { since }),
        ] {
            assert_eq!(mode(&host(shown, None)).unwrap(), expected);
        }
        let drain = Drain { timeout_secs: Some(60), duration_secs: Some(7), ..Drain::default() };
        for (request, policy) in [
            (
                Drain { percentage: Some(95.0), ..drain.clone() },
                SlaPolicy::Percentage { percentage: 95.0, duration_secs: 7 },
            ),
            (Drain { count: Some(3), ..drain }, SlaPolicy::Count { count: 3, duration_secs: 7 }),
        ] {
            let request = host("DRAINING", Some(request));
            let by = "somebody".to_owned();
            let expected =
                Mode::Draining { since, request: DrainRequest { policy, timeout_secs: 60, by } };
            assert_eq!(mode(&request).unwrap(), expected);
        }
        assert!(mode(&host("MELTED", None)).is_err());
    }
}
