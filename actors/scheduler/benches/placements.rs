//! How many instances a second find a place, each with two durable commits (it exists, it has a
//! place), and how long a single one takes from the request to its host. The hosts only pretend,
//! but their links are real: every launch is encrypted, sent and read.

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot go on says where")]

use std::{sync::LazyLock, time::Duration};

use airglow_kit::identity::Role;
use airglow_model::{
    config::Job,
    policy::Policy,
    spec::{JobSpec, Limits},
};
use airglow_scheduler::{Config, Scheduler};
use divan::{Bencher, counter::ItemsCount};
use serde_json::json;
use tempfile::TempDir;
use tokio::runtime::Runtime;

#[path = "../tests/cluster/fake.rs"]
#[expect(dead_code, reason = "tests do more with it")]
mod fake;

use fake::{FakeHost, capacity};

fn main() {
    divan::main();
}

static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap());

const HOSTS: u64 = 100;

struct Cluster {
    scheduler: Scheduler,
    hosts: Vec<FakeHost>,
    config: Config,
    _data: TempDir,
}

impl Cluster {
    fn start() -> Self {
        let data = tempfile::tempdir().unwrap();
        let config = Config {
            data: data.path().to_owned(),
            cluster: "bench".into(),
            mesh: "127.0.0.1:0".parse().unwrap(),
            limits: limits(),
            policy: Policy::default(),
        };
        let scheduler = Scheduler::start(config.clone()).unwrap();
        let _in_runtime = RUNTIME.enter();
        let host = |it| {
            let identity = scheduler.authority().issue(Role::Agent, &format!("h{it}")).unwrap();
            let host = FakeHost::start(scheduler.mesh_addr(), identity, capacity(10_000));
            host.desk.known().silent = true;
            host
        };
        let hosts: Vec<_> = (0..HOSTS).map(host).collect();
        let cluster = Self { scheduler, hosts, config, _data: data };
        cluster.wait(|| cluster.scheduler.view().read(|it| it.hosts.len() == hosts_len()));
        cluster
    }

    fn wait(&self, is_so: impl Fn() -> bool) {
        RUNTIME.block_on(async {
            while !is_so() {
                tokio::time::sleep(Duration::from_micros(200)).await;
            }
        });
    }

    fn place(&self, instances: u32) {
        let job = job("hello", instances);
        let key = job.key.clone();
        RUNTIME.block_on(self.scheduler.create(job, "bench")).unwrap();
        let placed = || self.scheduler.view().read(|it| it.jobs[&key].placed.values().sum::<u32>());
        self.wait(|| placed() == instances);
    }

    /// How many are at their host.
    fn launched(&self) -> usize {
        self.hosts.iter().map(|it| it.desk.known().launches.len()).sum()
    }
}

fn hosts_len() -> usize {
    usize::try_from(HOSTS).unwrap()
}

fn limits() -> Limits {
    Limits { tasks_per_job_max: 1_000_000, ..Limits::usual("bench") }
}

fn job(name: &str, instances: u32) -> Job {
    let spec: JobSpec = serde_json::from_value(json!({
        "cluster": "bench", "role": "www", "environment": "prod", "name": name,
        "service": true, "instances": instances,
        "task": {
            "name": "hello",
            "processes": [{"name": "hello", "cmdline": "sleep 1000"}],
            "resources": {"cpu": 0.001, "ram": 1 << 20, "disk": 1 << 20},
        },
    }))
    .unwrap();
    spec.check(&limits()).unwrap()
}

/// From the request until the last instance's place is on disk.
#[divan::bench(args = [1_000, 10_000, 100_000], sample_count = 3, sample_size = 1)]
fn placed(bencher: Bencher<'_, '_>, instances: u32) {
    let bencher = bencher.counter(ItemsCount::new(instances)).with_inputs(Cluster::start);
    bencher.bench_values(|cluster| {
        cluster.place(instances);
        cluster
    });
}

/// From the start of a scheduler that knows so many instances until it takes the next request.
#[divan::bench(args = [10_000, 100_000], sample_count = 3, sample_size = 1)]
fn restarted(bencher: Bencher<'_, '_>, instances: u32) {
    let cluster = Cluster::start();
    cluster.place(instances);
    cluster.scheduler.stop();
    let mut number = 0;
    let next = || {
        number += 1;
        job(&format!("next{number}"), 1)
    };
    bencher.with_inputs(next).bench_local_values(|job| {
        let scheduler = Scheduler::start(cluster.config.clone()).unwrap();
        RUNTIME.block_on(scheduler.create(job, "bench")).unwrap();
        scheduler
    });
}

/// From the request until the host has the order, on a cluster that does nothing else.
#[divan::bench(sample_count = 200, sample_size = 1)]
fn submitted_to_launched(bencher: Bencher<'_, '_>) {
    let cluster = Cluster::start();
    let mut number = 0;
    let next = || {
        number += 1;
        (job(&format!("hello{number}"), 1), cluster.launched())
    };
    bencher.with_inputs(next).bench_local_values(|(job, before)| {
        RUNTIME.block_on(cluster.scheduler.create(job, "bench")).unwrap();
        cluster.wait(|| cluster.launched() > before);
    });
}
