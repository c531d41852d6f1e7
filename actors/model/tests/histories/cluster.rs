//! Which cluster, which jobs, and what goes wrong: all from one seed.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use airglow_model::{
    config::TaskConfig,
    host::DrainRequest,
    ids::{HostId, JobKey},
    instances::InstanceSet,
    machine::Timestamp,
    resources::{Attributes, Resources},
    simulation::{Action, Conduct, Dice, Doomed},
    spec::{JobSpec, Limits, SlaPolicy},
    wire::Capacity,
};
use serde_json::{Value, json};

/// Everything that is done to a cluster; what follows from it is the cluster's.
#[derive(Clone, Debug)]
pub(crate) struct History {
    pub(crate) seed: u64,
    pub(crate) actions: Vec<(Timestamp, Action)>,
    /// When nothing has gone wrong for half an hour.
    pub(crate) end: Timestamp,
}

const BEGIN: u64 = 1_000_000;
const MINUTE: u64 = 60_000;

pub(crate) fn history(seed: u64) -> History {
    let mut dice = Dice::new(seed.wrapping_mul(0x5851_f42d_4c95_7f2d));
    let hosts: Vec<HostId> =
        (0..dice.between((2, 6))).map(|it| HostId::from(format!("h{it}").as_str())).collect();
    let jobs: Vec<JobKey> = (0..dice.between((1, 4)))
        .map(|it| JobKey::new(["www", "ads"][usize::from(it % 2 == 1)], "prod", format!("j{it}")))
        .collect();
    let lasts = dice.between((10, 40)) * MINUTE;
    let mut actions = Vec::new();
    for (index, host) in hosts.iter().enumerate() {
        actions.push((Timestamp(BEGIN + dice.below(2000)), add(&mut dice, host, index)));
    }
    for job in &jobs {
        let at = BEGIN + if dice.chance(70) { 3000 } else { dice.below(lasts) };
        actions.push((Timestamp(at), create(&mut dice, job)));
    }
    let calm = BEGIN + 5000 + lasts;
    let mut last = BEGIN + 5000;
    let mut focus = (dice.pick(&hosts).cloned(), dice.pick(&jobs).cloned());
    for _ in 0..dice.between((2, 30)) {
        // What goes wrong goes wrong together: the gaps between messages are where bugs live.
        last = match dice.below(4) {
            0 => BEGIN + 5000 + dice.below(lasts),
            1 => last + dice.below(20 * 1000),
            2 => last + dice.below(1000),
            _ => last + dice.below(60),
        };
        let at = Timestamp(last.min(calm));
        if dice.chance(30) {
            focus = (dice.pick(&hosts).cloned(), dice.pick(&jobs).cloned());
        }
        if let Some(action) = focus
            .0
            .clone()
            .zip(focus.1.clone())
            .and_then(|(host, job)| anything(&mut dice, host, job))
        {
            actions.push((at, action));
        }
    }
    actions.sort_by_key(|&(at, _)| at);
    History { seed, actions, end: Timestamp(calm) + Duration::from_secs(30 * 60) }
}

fn add(dice: &mut Dice, id: &HostId, index: usize) -> Action {
    let mut attributes = Attributes::new();
    let mut set = |name: &str, value: String| {
        attributes.insert(name.to_owned(), BTreeSet::from([value]));
    };
    set("host", id.to_string());
    set("rack", format!("r{}", index % 2));
    if dice.chance(15) {
        set("dedicated", "www/db".into());
    }
    let cpu_milli = dice.between((2, 8)) * 500;
    let resources = Resources { cpu_milli, ram_mb: 4096, disk_mb: 4096, gpus: 0 };
    let last = 31_000 + u16::try_from(dice.below(6)).expect("less than 6");
    Action::AddHost {
        id: id.clone(),
        attributes,
        capacity: Capacity { resources, ports: vec![(31_000, last)], ..Capacity::default() },
    }
}

fn create(dice: &mut Dice, job: &JobKey) -> Action {
    let is_service = dice.chance(60);
    let conduct = Conduct {
        starts_ms: (200, 20_000),
        lasts_ms: match (is_service, dice.below(3)) {
            (true, 0 | 1) => None,
            _ => Some((1000, 20 * MINUTE)),
        },
        fails_percent: *dice.pick(&[0, 0, 30, 100]).expect("there are four"),
        stops_ms: (50, 40_000),
    };
    let config = Arc::new(config(dice, job, is_service));
    let instances = u32::try_from(dice.between((1, 5))).expect("at most five");
    Action::Create { job: job.clone(), config, instances, conduct }
}

fn config(dice: &mut Dice, job: &JobKey, is_service: bool) -> TaskConfig {
    let mut constraints = serde_json::Map::new();
    let mut demand = |name: &str, value: Value| _ = constraints.insert(name.to_owned(), value);
    match dice.below(8) {
        0 => demand("host", "limit:1".into()),
        1 => demand("host", "limit:2".into()),
        2 => demand("rack", "limit:2".into()),
        3 => demand("rack", "r1".into()),
        4 if job.role == "www" => demand("dedicated", "www/db".into()),
        _ => {}
    }
    let partition = match dice.below(4) {
        0 => json!({ "reschedule": true, "delay_secs": dice.below(300) }),
        1 => json!({ "reschedule": false, "delay_secs": 0 }),
        _ => Value::Null,
    };
    let cmdline = if dice.chance(40) { "{{thermos.ports[http]}}" } else { "true" };
    let cpu = [0.5, 1.0, 2.0][usize::try_from(dice.below(3)).expect("less than 3")];
    let spec: JobSpec = serde_json::from_value(json!({
        "cluster": "c", "role": job.role, "environment": job.environment, "name": job.name,
        "service": is_service,
        "max_task_failures": dice.pick(&[1, 2, -1]),
        "constraints": constraints,
        "partition_policy": partition,
        "tier": dice.pick(&["preferred", "preemptible", "preemptible"]),
        "priority": dice.below(3),
        "task": {
            "name": job.name,
            "processes": [{ "name": "p", "cmdline": cmdline }],
            "resources": { "cpu": cpu, "ram": 256 << 20, "disk": 64 << 20 },
        },
    }))
    .unwrap();
    let limits = Limits { tasks_per_job_max: 20, ..Limits::usual("c") };
    let mut config = spec.check(&limits).unwrap().config;
    // Only large jobs may ask for this, and what is large is a number.
    if dice.chance(30) {
        config.spec.sla_policy = Some(sla(dice));
    }
    config
}

fn drain(dice: &mut Dice) -> DrainRequest {
    let timeout_secs = *dice.pick(&[0, 60, 600, 1200]).expect("there are four");
    DrainRequest { policy: sla(dice), timeout_secs, by: "somebody".into() }
}

fn sla(dice: &mut Dice) -> SlaPolicy {
    let duration_secs = *dice.pick(&[0, 10, 120]).expect("there are three");
    match dice.below(5) {
        0 => SlaPolicy::Percentage { percentage: 0.0, duration_secs },
        1 | 2 => {
            let percentage = *dice.pick(&[30.0, 50.0, 80.0, 95.0]).expect("there are four");
            SlaPolicy::Percentage { percentage, duration_secs }
        }
        3 => {
            let count = i64::try_from(dice.below(5)).expect("less than 5");
            SlaPolicy::Count { count, duration_secs }
        }
        _ => SlaPolicy::Coordinator {
            coordinator_url: format!("http://c{}", dice.below(2)),
            status_key: "drain".into(),
        },
    }
}

/// Something that goes wrong, or that somebody wants.
fn anything(dice: &mut Dice, host: HostId, job: JobKey) -> Option<Action> {
    let instance = u32::try_from(dice.below(5)).expect("less than 5");
    let one = Some(InstanceSet::range(instance, instance)).filter(|_| dice.chance(60));
    let down = Duration::from_millis(*dice.pick(&[50, 1000, 20_000, 90_000, 400_000])?);
    Some(match dice.below(20) {
        0 | 1 => Action::BreakLink { host },
        2..=4 => Action::CutOff { host, how_long: down },
        5 | 6 => Action::CrashScheduler { down: down.min(Duration::from_secs(120)) },
        7 => Action::Crash(Doomed::Task(job.task(instance))),
        8 if dice.chance(50) => Action::Crash(Doomed::Job(job)),
        8 => Action::Crash(Doomed::Host(host)),
        9 => Action::StopAgent { host, down },
        10 => Action::PowerOff { host, down: Some(down).filter(|_| dice.chance(80)) },
        11 => Action::LoseDisk { host, down },
        12 => Action::Restart { job, instances: one },
        13 => Action::Kill { job, instances: one },
        14 => Action::AddInstances { job, count: 1 + instance % 2 },
        15 => {
            let cpu_milli = dice.between((0, 6)) * 500;
            let limit = Resources { cpu_milli, ram_mb: 4096, disk_mb: 4096, gpus: 0 };
            Action::SetQuota { role: job.role.clone(), limit }
        }
        16 | 17 => Action::Drain { host, request: drain(dice) },
        18 if dice.chance(70) => Action::Activate { host },
        18 => Action::Maintain { host },
        _ => create(dice, &job),
    })
}
