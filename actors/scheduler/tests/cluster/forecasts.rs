//! What was forecast is what happens.

use std::collections::BTreeMap;

use airglow_model::{
    config::{Job, Ports},
    forecast::Forecast,
    host::Contact,
    ids::{HostId, JobKey},
    instances::InstanceSet,
    resources::{Attributes, Resources},
    tier::Tier,
    view::HostView,
    view::Pending,
};
use airglow_scheduler::Refusal;
use serde_json::{Value, json};

use crate::{
    Cluster,
    fake::{FakeHost, capacity},
    limits, until,
};

/// Where everybody is who has a place, by instance, and who has none.
type Outcome = (BTreeMap<u32, (HostId, Ports)>, InstanceSet);

/// Hosts that differ in everything: shape, rack, ports, and whom they are for.
async fn mixed(cluster: &Cluster) -> Vec<FakeHost> {
    let hosts: Vec<_> = (0..14_u16)
        .map(|number| {
            let it = u64::from(number);
            let mut attributes: Attributes = Attributes::new();
            attributes.insert("rack".into(), [format!("r{}", number % 5)].into());
            if number % 6 == 5 {
                attributes.insert("dedicated".into(), ["www/db".to_owned()].into());
            }
            let (cpu_milli, ram_mb) = (1000 + it % 4 * 1500, 512 + it % 3 * 300);
            let mut capacity = capacity(1);
            capacity.resources = Resources { cpu_milli, ram_mb, disk_mb: 4096, gpus: 0 };
            capacity.ports = vec![(31_000, 31_003 + number)];
            cluster.host_with(&format!("h{number:02}"), capacity, attributes)
        })
        .collect();
    // One is known a moment before it counts as up.
    let is_up = |it: &HostView| matches!(it.host.contact, Contact::Up { .. });
    let up =
        || cluster.scheduler.view().read(|it| it.hosts.values().filter(|it| is_up(it)).count());
    until(|| up() == hosts.len(), || format!("{} hosts", up())).await;
    hosts
}

fn job(name: &str, instances: u32, how: Value) -> Job {
    let mut spec = json!({
        "cluster": "test", "role": "www", "environment": "prod", "name": name,
        "service": true, "instances": instances,
        "task": {
            "name": name,
            "processes": [{"name": name, "cmdline": "run"}],
            "resources": {"cpu": 0.5, "ram": 64 << 20, "disk": 16 << 20},
        },
    });
    for (pointer, value) in how.as_object().unwrap() {
        match pointer.split_once('.') {
            Some((outer, inner)) => spec["task"][outer][inner] = value.clone(),
            None if pointer == "cmdline" => spec["task"]["processes"][0]["cmdline"] = value.clone(),
            None => spec[pointer] = value.clone(),
        }
    }
    let spec: airglow_model::spec::JobSpec = serde_json::from_value(spec).unwrap();
    spec.check(&limits()).unwrap()
}

impl Cluster {
    async fn forecast(&self, job: &Job) -> Forecast {
        self.scheduler.forecast(vec![job.clone()]).await.unwrap().remove(0)
    }

    fn outcome(&self, key: &JobKey) -> Outcome {
        self.scheduler.view().read(|view| {
            let Some(job) = view.jobs.get(key) else { return Outcome::default() };
            let active = job.tasks.values().filter(|it| it.is_active());
            let placed = active.filter_map(|it| {
                let at = it.placement()?;
                Some((it.key.instance, (at.host.clone(), at.ports.clone())))
            });
            (placed.collect(), job.pending.keys().copied().collect())
        })
    }

    /// Creates the job and waits until it is as forecast.
    async fn comes_true(&self, job: &Job, forecast: &Forecast) {
        let expected = outcome(forecast);
        self.scheduler.create(job.clone(), "somebody").await.unwrap();
        let (placed, pending) = (expected.0.len(), expected.1.len());
        let counts = || {
            let (placed, pending) = self.outcome(&job.key);
            (placed.len(), pending.len())
        };
        until(|| counts() == (placed, pending), || format!("{} {:?}", job.key, counts())).await;
        assert_eq!(self.outcome(&job.key), expected, "{}", job.key);
        let told = self.scheduler.view().read(|view| {
            let pending = &view.jobs[&job.key].pending;
            pending.iter().map(|(it, why)| (*it, reasons(why))).collect::<Vec<_>>()
        });
        let foretold = forecast.pending.iter();
        let foretold = foretold.flat_map(|(who, why)| who.iter().map(|it| (it, reasons(why))));
        assert_eq!(told, foretold.collect::<Vec<_>>(), "{}", job.key);
    }
}

fn outcome(forecast: &Forecast) -> Outcome {
    let shares = forecast.placements.iter();
    let placed = shares.flat_map(|(host, share)| {
        let ports = |it| share.ports.get(&it).cloned().unwrap_or_default();
        share.instances.iter().map(move |it| (it, (host.clone(), ports(it))))
    });
    let pending = forecast.pending.iter();
    (placed.collect(), pending.fold(InstanceSet::default(), |all, (who, _)| all.union(who)))
}

/// Without since when.
fn reasons(why: &Pending) -> Pending {
    Pending { since: Default::default(), ..why.clone() }
}

#[tokio::test]
async fn what_was_forecast_is_what_happens() {
    let cluster = Cluster::start();
    let hosts = mixed(&cluster).await;
    let ports = "serve {{thermos.ports[http]}} {{thermos.ports[admin]}}";
    let jobs = [
        // Plenty of room; two ports each.
        (job("web", 30, json!({"cmdline": ports})), 30),
        // At most two in a rack, of which there are five.
        (job("few", 12, json!({"constraints": {"rack": "limit:2"}, "cmdline": ports})), 10),
        (job("there", 6, json!({"constraints": {"rack": "r1,r3", "host": "limit:3"}})), 6),
        (job("not_there", 5, json!({"constraints": {"rack": "!r1,r2"}})), 5),
        (job("db", 9, json!({"constraints": {"dedicated": "www/db"}, "resources.cpu": 1.0})), 7),
        (job("big", 2, json!({"resources.cpu": 3.5})), 1),
        // More than there is room for anywhere.
        (job("rest", 300, json!({"resources.cpu": 0.1, "resources.ram": 16 << 20})), 38),
        (job("late", 3, json!({})), 0),
    ];
    for (job, placed) in &jobs {
        let forecast = cluster.forecast(job).await;
        assert_eq!(forecast.refusal, None);
        assert_eq!(outcome(&forecast).0.len(), *placed, "{} {:?}", job.key, forecast.pending);

        cluster.comes_true(job, &forecast).await;
    }

    // What was there before gets new numbers and new ports.
    let (web, _) = &jobs[0];
    let again = cluster.forecast(web).await;
    assert_eq!(again.refusal, Some(Refusal::JobExists(web.key.clone())));
    assert_eq!((again.placements.len(), again.pending.len()), (0, 0));
    // Then nobody waits for what becomes free.
    let (_, with_seekers) = jobs.split_at(4);
    for (job, _) in with_seekers.iter().chain(&jobs[..2]) {
        cluster.scheduler.kill(&job.key, None, "").await.unwrap();
        let is_active = || cluster.scheduler.view().read(|view| view.jobs[&job.key].is_active());
        until(|| !is_active(), || format!("the end of {}", job.key)).await;
    }
    let other = job("web", 5, json!({"cmdline": format!("{ports} again"), "priority": 3}));
    let forecast = cluster.forecast(&other).await;
    let changed: Vec<_> =
        forecast.diff.configs[0].differences.iter().map(|it| it.pointer.as_str()).collect();
    assert_eq!(changed, ["/priority", "/task/processes/0/cmdline"]);
    cluster.comes_true(&other, &forecast).await;
    drop(hosts);
}

#[tokio::test]
async fn a_quota_that_refuses_does_so_in_the_forecast() {
    let cluster = Cluster::start();
    let hosts = mixed(&cluster).await;
    let limit = Resources { cpu_milli: 2000, ram_mb: 4096, disk_mb: 4096, gpus: 0 };
    cluster.scheduler.set_quota("www", limit, "ada").await.unwrap();
    let production = |name, instances| {
        let mut job = job(name, instances, json!({}));
        job.config.class = Tier::default();
        job
    };
    let jobs = vec![production("a", 3), production("b", 2), production("c", 1)];
    let forecasts = cluster.scheduler.forecast(jobs.clone()).await.unwrap();
    let used = |it: &Forecast| {
        (it.quota.before.prod_shared.cpu_milli, it.quota.after.prod_shared.cpu_milli)
    };
    assert_eq!(
        forecasts.iter().map(used).collect::<Vec<_>>(),
        [(0, 1500), (1500, 2500), (1500, 2000)]
    );
    let placed: Vec<_> = forecasts.iter().map(|it| outcome(it).0.len()).collect();
    assert_eq!(placed, [3, 0, 1]);
    cluster.comes_true(&jobs[0], &forecasts[0]).await;
    let refused = cluster.scheduler.create(jobs[1].clone(), "somebody").await;
    assert_eq!(refused.err(), forecasts[1].refusal);
    cluster.comes_true(&jobs[2], &forecasts[2]).await;
    drop(hosts);
}
