//! A million instances, from the request to their hosts.
//!
//! ```text
//! cargo bench -p airglow-scheduler --bench million -- [INSTANCES] [HOSTS] [running]
//! ```
//! The scheduler is the real one: every instance is committed when it comes to be and when it has
//! a place, both on disk, and every launch goes through mutual TLS to its host. The hosts are in a
//! process of their own and only pretend to run what they are told to (see [`hosts`]). With the
//! word `running` after the numbers they also report that it runs, which is committed too.
//!
//! What others do on the machine disturbs the clock more than the processors' time, so both are
//! printed.

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot go on says where")]
#![expect(clippy::print_stdout, reason = "it is for people to read")]
#![expect(clippy::disallowed_methods, reason = "it measures real time, and no actor is held up")]

mod cluster;
mod hosts;
mod meter;

use std::time::{Duration, Instant};

use airglow_model::{
    config::Job,
    spec::{JobSpec, Limits},
};
use serde_json::{Value, json};

use cluster::Cluster;
use meter::Meter;

/// As in the program itself.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const INSTANCES: u32 = 1_000_000;
const HOSTS: usize = 5_000;
const JOBS: u32 = 1_000;
const ROLES: u32 = 10;
const RACKS: usize = 50;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if hosts::are_meant(&arguments) {
        return;
    }
    // Whoever only wants to know whether it works does not want all of it.
    let small = !arguments.iter().any(|it| it == "--bench");
    let mut numbers = arguments.iter().filter_map(|it| it.replace('_', "").parse::<u32>().ok());
    let instances = numbers.next().unwrap_or(if small { 1_000 } else { INSTANCES });
    let hosts = numbers.next().map_or(if small { 10 } else { HOSTS }, |it| it as usize);
    place(instances, hosts, arguments.iter().any(|it| it == "running"));
    restart(instances.min(100_000), hosts);
}

/// `instances` in [`JOBS`] jobs with a constraint each; then, on the full cluster, a big job and
/// right after it a small one of another role.
fn place(instances: u32, hosts: usize, running: bool) {
    let cluster = Cluster::start(hosts, running);
    println!("{instances} instances in {JOBS} jobs with a constraint each, {hosts} hosts");
    let racks = RACKS.min(hosts);
    let jobs: Vec<_> = (0..JOBS).map(|it| constrained(it, instances / JOBS, racks)).collect();
    let placed = instances / JOBS * JOBS;
    let last_of_all = |count| {
        if running { cluster.wait_for_running(count) } else { cluster.wait_for_launches(count) }
    };
    let meter = Meter::start(cluster.hosts_pid());
    let created = cluster.create(jobs);
    let steps = 10.min(placed);
    let mut last = Meter::start(cluster.hosts_pid());
    for step in 1..=steps {
        last_of_all(u64::from(placed) * u64::from(step) / u64::from(steps));
        let now = Meter::start(cluster.hosts_pid());
        println!("  {:>3} %: {}", step * 100 / steps, now.since(&last, placed / steps));
        last = now;
    }
    created.join().unwrap();
    println!("  all:   {}", last.since(&meter, placed));
    println!("  memory: {} bytes an instance", last.growth(&meter) / u64::from(placed));

    let (big, small) = (plain("big", "big", instances.min(100_000)), plain("small", "small", 10));
    println!("{} instances, and then 10 of another role", big.instances);
    let began = Instant::now();
    cluster.create_one(big);
    let big_took = began.elapsed();
    let began = Instant::now();
    let key = small.key.clone();
    cluster.create_one(small);
    cluster.wait(|| cluster.placed(&key) == 10);
    println!(
        "  the big one was admitted after {big_took:.1?}, the small one placed after {:.1?}",
        began.elapsed()
    );
}

/// With all of them running: from the start of a scheduler until it takes the next request.
fn restart(instances: u32, hosts: usize) {
    let cluster = Cluster::start(hosts, true);
    cluster.create_one(plain("www", "web", instances));
    cluster.wait_for_running(instances.into());
    cluster.stop();
    let began = Instant::now();
    let cluster = cluster.start_again();
    cluster.create_one(plain("www", "next", 1));
    println!("{instances} instances: a scheduler that starts serves after {:.2?}", began.elapsed());
    cluster.stop();
}

fn limits() -> Limits {
    Limits { tasks_per_job_max: 1_000_000, ..Limits::usual("bench") }
}

/// Every other job has to be on a certain rack, the rest spread out.
fn constrained(number: u32, instances: u32, racks: usize) -> Job {
    let role = format!("role{}", number % ROLES);
    let rack = format!("r{}", number as usize / 2 % racks);
    let constraints = if number.is_multiple_of(2) {
        json!({ "rack": rack })
    } else {
        json!({ "host": "limit:2" })
    };
    job(&role, &format!("job{number}"), instances, constraints)
}

fn plain(role: &str, name: &str, instances: u32) -> Job {
    job(role, name, instances, json!({}))
}

fn job(role: &str, name: &str, instances: u32, constraints: Value) -> Job {
    let spec: JobSpec = serde_json::from_value(json!({
        "cluster": "bench", "role": role, "environment": "prod", "name": name,
        "service": true, "instances": instances, "constraints": constraints,
        "task": {
            "name": "hello",
            "processes": [{"name": "hello", "cmdline": "sleep 1000"}],
            "resources": {"cpu": 0.1, "ram": 128 << 20, "disk": 16 << 20},
        },
    }))
    .unwrap();
    spec.check(&limits()).unwrap()
}

/// How often to look whether something has come true.
const GLANCE: Duration = Duration::from_millis(5);
