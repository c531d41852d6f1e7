use std::{collections::BTreeMap, sync::Arc, time::Duration};

use serde_json::{Value, json};

use crate::{
    host::{DrainRequest, Mode},
    machine::Timestamp,
    policy::Policy,
    preemption::Preemption,
    resources::Resources,
    simulation::{Scenario, Snapshot, SnapshotHost, SnapshotJob},
    spec::{JobSpec, Limits, SlaPolicy},
    task::Placement,
    wire::Capacity,
};

fn job(name: &str, cpu: f64, instances: u32) -> Value {
    json!({
        "role": "www", "environment": "prod", "name": name, "service": true,
        "instances": instances,
        "task": {
            "name": name,
            "processes": [{ "name": "p", "cmdline": "true" }],
            "resources": { "cpu": cpu, "ram": 1 << 20, "disk": 1 << 20 },
        },
    })
}

fn scenario(fields: Value) -> Result<Scenario, String> {
    serde_json::from_value(fields).map_err(|it| it.to_string())
}

#[test]
fn mistakes_are_said_with_their_place() {
    let host = json!({ "name": "h", "cpu": 1, "ram_mb": 1, "disk_mb": 1 });
    let mut bad = job("web", 1.0, 1);
    bad["task"]["resources"]["cpu"] = json!(-1);
    for (fields, complaint) in [
        (json!({ "hosts": [host, host] }), "hosts[1]: there are two hosts named h"),
        (json!({ "hosts": [{ "name": "h" }] }), "missing field `cpu`"),
        (json!({ "hots": [] }), "unknown field `hots`"),
        (json!({ "duration_secs": -1 }), "duration_secs: -1 is out of range"),
        (json!({ "timeline": [{ "at_secs": 1 }] }), "timeline[0]: besides at_secs"),
        (json!({ "timeline": [{ "kill": { "job": "x" } }] }), "x is not role/environment/name"),
        (json!({ "jobs": [{ "job": bad }] }), "jobs[0].job/task/resources/cpu: "),
        (
            json!({ "jobs": [{ "job": job("web", 1.0, 1), "lasts_secs": [2, 1] }] }),
            "jobs[0].lasts_secs: 2 to 1 is the wrong way round",
        ),
    ] {
        let said = scenario(fields).unwrap_err();
        assert!(said.contains(complaint), "{said}");
    }
}

#[test]
fn what_is_lost_moves_and_what_does_not_fit_waits() {
    let scenario = scenario(json!({
        "seed": 1, "duration_secs": 1200,
        "hosts": [{ "name": "h", "count": 4, "racks": 2, "cpu": 4, "ram_mb": 64, "disk_mb": 64 }],
        "jobs": [{ "job": job("web", 1.0, 8) }, { "job": job("big", 8.0, 1) }],
        "timeline": [
            { "at_secs": 300, "lose_hosts": ["h-1"] },
            { "at_secs": 900, "return_hosts": ["h-*"] },
            { "at_secs": 900, "lose_hosts": ["x"] },
            { "at_secs": 901, "create": { "job": job("web", 1.0, 1) } },
        ],
    }))
    .unwrap();
    let report = scenario.run();
    assert_eq!(report, scenario.run(), "the same seed gives the same history");
    let line = |secs| report.lines.iter().find(|it| it.at_secs == secs).unwrap();
    let seen = |secs| (line(secs).hosts, line(secs).running, line(secs).pending);
    assert_eq!((seen(0), seen(250)), ((4, 0, 0), (4, 8, 1)));
    assert_eq!((seen(600), seen(1200)), ((3, 8, 1), (4, 8, 1)));
    assert_eq!((line(250).cpu_percent, line(600).cpu_percent), (50, 66));
    let web = report.jobs.iter().find(|it| it.job == "www/prod/web").unwrap();
    assert_eq!((web.placed, web.lost, web.running), (10, 2, 8));
    let refused = ["0:15:00  there is no host x", "0:15:01  www/prod/web: "];
    assert!(report.refused.iter().zip(refused).all(|(it, begin)| it.starts_with(begin)));
    let text = report.to_string();
    assert!(text.contains("www/prod/web: 8 of 8 running; placed 10 times"), "{text}");
}

#[test]
fn a_drain_takes_as_long_as_its_policy_says() {
    let run = |drain: Value| {
        let mut web = job("web", 1.0, 20);
        web["tier"] = json!("preferred");
        let scenario = scenario(json!({
            "duration_secs": 3600,
            "hosts": [{ "name": "h", "count": 6, "cpu": 4, "ram_mb": 64, "disk_mb": 64 }],
            "jobs": [{ "job": web, "starts_secs": 1, "stops_secs": 1 }],
            "timeline": [
                { "at_secs": 600, "drain": drain },
                { "at_secs": 3000, "activate": ["h-1"] },
            ],
        }));
        let report = scenario.unwrap().run();
        let [drain] = <[_; 1]>::try_from(report.drains).unwrap();
        assert_eq!((drain.host, drain.at_secs), ("h-1".into(), 600));
        drain.took_secs
    };
    let slowly = json!({ "hosts": ["h-1"], "percentage": 95, "duration_secs": 300 });
    let until = json!({ "hosts": ["h-1"], "count": 19, "duration_secs": 300, "timeout_secs": 400 });
    let [at_once, slowly, until] =
        [json!({ "hosts": ["h-1"] }), slowly, until].map(|it| run(it).unwrap());
    assert!(at_once < 10, "{at_once}");
    assert!((600..1500).contains(&slowly), "three or four, five minutes apart: {slowly}");
    assert!((400..450).contains(&until), "{until}");
}

#[test]
fn a_scheduler_decides_as_its_operator_wants() {
    let mut urgent = job("urgent", 4.0, 1);
    urgent["tier"] = json!("preferred");
    let scenario = scenario(json!({
        "duration_secs": 600,
        "hosts": [{ "name": "h", "cpu": 4, "ram_mb": 64, "disk_mb": 64 }],
        "jobs": [{ "job": job("batch", 1.0, 4) }],
        "timeline": [{ "at_secs": 60, "create": { "job": urgent } }],
    }))
    .unwrap();
    let running = |preemption| {
        let policy = Policy { preemption, ..Policy::default() };
        let report = scenario.clone().deciding_by(policy).run();
        report.jobs.iter().find(|it| it.job == "www/prod/urgent").unwrap().running
    };
    let every = Duration::ZERO;
    assert_eq!(running(Preemption { every, ..Preemption::default() }), 1);
    assert_eq!(running(Preemption { delay: Duration::from_secs(900), ..Preemption::default() }), 0);
    assert_eq!(running(Preemption { enabled: false, ..Preemption::default() }), 0);
}

#[test]
fn a_copy_of_a_cluster_goes_on_with_what_was_asked_of_its_hosts() {
    let (taken_at, since) = (Timestamp(900_000), Timestamp(600_000));
    let policy = SlaPolicy::Percentage { percentage: 100.0, duration_secs: 86_400 };
    // Nobody may go before its time is up, five minutes after the copy was taken.
    let request = DrainRequest { policy, timeout_secs: 600, by: "somebody".into() };
    let host = |name: &str, mode| {
        let resources = Resources { cpu_milli: 30_000, ram_mb: 64, disk_mb: 64, gpus: 0 };
        let capacity = Capacity { resources, ..Capacity::default() };
        SnapshotHost { id: name.into(), attributes: BTreeMap::new(), capacity, mode }
    };
    let mut web = job("web", 1.0, 25);
    web["cluster"] = json!("c");
    web["tier"] = json!("preferred");
    let web = JobSpec::read_and_check(&web, &Limits::usual("c")).unwrap();
    let on = |host: &str| Placement { host: host.into(), ports: BTreeMap::new() };
    let before = Snapshot {
        taken_at,
        hosts: vec![
            host("drained", Mode::Drained { since }),
            host("draining", Mode::Draining { since, request }),
            host("scheduled", Mode::Scheduled { since }),
        ],
        jobs: vec![SnapshotJob {
            config: Arc::new(web.config),
            instances: "0-24".parse().unwrap(),
            placed: (0..25).map(|it| (it, on("draining"))).collect(),
        }],
        quotas: vec![],
    };
    let report = scenario(json!({ "duration_secs": 1200 })).unwrap().starting_with(before).run();
    let [drain] = <[_; 1]>::try_from(report.drains).unwrap();
    assert_eq!(drain.host, "draining".into());
    let web = &report.jobs[0];
    assert_eq!((web.running, web.placed), (25, 25), "all of it is elsewhere by now");
    let took = drain.took_secs.unwrap();
    assert!((300..360).contains(&took), "{took}");
}
