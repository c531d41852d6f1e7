//! What updates cost.
//!
//! ```text
//! cargo bench -p airglow-scheduler --bench updates -- [INSTANCES] [JOBS] [HOSTS]
//! ```
//! First one job of so many instances is updated; then as many jobs of ten instances as was said,
//! all at the same time. The scheduler is the real one: each instance that is replaced is committed
//! when it is to end, when it has, when it has a place again and when it runs, all on disk, and every
//! word to its host goes through mutual TLS. The hosts are those of the benchmark `million`.

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot go on says where")]
#![expect(clippy::print_stdout, reason = "it is for people to read")]
#![expect(clippy::disallowed_methods, reason = "it measures real time, and no actor is held up")]

#[path = "../million/cluster.rs"]
mod cluster;
#[path = "../million/hosts.rs"]
mod hosts;
#[path = "../million/meter.rs"]
#[expect(dead_code, reason = "the other benchmark measures memory too")]
mod meter;

use std::time::Duration;

use airglow_model::{
    config::Job,
    spec::{JobSpec, Limits},
};
use serde_json::json;

use cluster::Cluster;
use meter::Meter;

const INSTANCES: u32 = 10_000;
const JOBS: u32 = 1_000;
const HOSTS: u32 = 100;
const OF_EACH: u32 = 10;
const RACKS: usize = 50;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if hosts::are_meant(&arguments) {
        return;
    }
    // Whoever only wants to know whether it works does not want all of it.
    let small = !arguments.iter().any(|it| it == "--bench");
    let mut numbers = arguments.iter().filter_map(|it| it.replace('_', "").parse::<u32>().ok());
    let mut next = |usual, few| numbers.next().unwrap_or(if small { few } else { usual });
    let (instances, jobs, hosts) = (next(INSTANCES, 100), next(JOBS, 10), next(HOSTS, 5));
    one(instances, hosts as usize);
    many(jobs, hosts as usize);
}

/// A big one, by batches of a twentieth.
fn one(instances: u32, hosts: usize) {
    let cluster = Cluster::start(hosts, true);
    let batch = (instances / 20).max(1);
    cluster.create_one(job("web", 1, instances, batch));
    cluster.wait_for_running(instances.into());
    println!("{instances} instances of one job, {batch} at a time, {hosts} hosts");
    let meter = Meter::start(cluster.hosts_pid());
    cluster.update(vec![job("web", 2, instances, batch)]);
    cluster.wait(|| cluster.rolled_forward() == 1);
    println!("  updated: {}", Meter::start(cluster.hosts_pid()).since(&meter, instances));
    cluster.stop();
}

/// Many small ones at the same time.
fn many(jobs: u32, hosts: usize) {
    let cluster = Cluster::start(hosts, true);
    let all = |version| (0..jobs).map(move |it| job(&format!("web{it}"), version, OF_EACH, 2));
    cluster.create(all(1).collect()).join().unwrap();
    cluster.wait_for_running((jobs * OF_EACH).into());
    println!("{jobs} jobs of {OF_EACH} instances, all at the same time, 2 of each at a time");
    let meter = Meter::start(cluster.hosts_pid());
    cluster.update(all(2).collect());
    cluster.wait(|| cluster.rolled_forward() == jobs as usize);
    let took = Meter::start(cluster.hosts_pid()).since(&meter, jobs * OF_EACH);
    println!("  updated: {took}");
    cluster.stop();
}

fn limits() -> Limits {
    Limits { tasks_per_job_max: 1_000_000, ..Limits::usual("bench") }
}

fn job(name: &str, version: u32, instances: u32, batch: u32) -> Job {
    let spec: JobSpec = serde_json::from_value(json!({
        "cluster": "bench", "role": "www", "environment": "prod", "name": name,
        "service": true, "instances": instances,
        "update_config": { "batch_size": batch, "watch_secs": 0 },
        "task": {
            "name": "hello",
            "processes": [{"name": "hello", "cmdline": format!("sleep {}", 1000 + version)}],
            "resources": {"cpu": 0.01, "ram": 1 << 20, "disk": 1 << 20},
        },
    }))
    .unwrap();
    spec.check(&limits()).unwrap()
}

/// How often to look whether something has come true.
const GLANCE: Duration = Duration::from_millis(5);
