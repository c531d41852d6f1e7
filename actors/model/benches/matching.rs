//! What it costs to decide where instances go, and that it costs the same however many there are.
//!
//! `cargo bench -p airglow-model --bench matching`. The first table is of one long run: a million
//! instances of a thousand jobs on five thousand hosts, decisions alone.

#![allow(clippy::unwrap_used, reason = "a benchmark that cannot go on has failed")]
#![allow(clippy::print_stdout, reason = "a benchmark prints what it measured")]
#![allow(clippy::disallowed_methods, reason = "a benchmark looks at the clock")]

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::Instant,
};

use airglow_model::{
    config::{Kind, TaskConfig},
    host::{Contact, Host},
    ids::{Attempt, ConfigId, JobKey},
    machine::Timestamp,
    matching::{Matchmaker, Placed, Scheduling},
    record::{Change, Committed, Record, RecordKey},
    resources::{Constraint, Resources},
    tier::Tier,
    view::{Missed, Move, Stay, View},
    wire::Capacity,
};
use divan::Bencher;
use serde_json::json;

fn main() {
    a_million();
    divan::main();
}

const FIRST: ConfigId = ConfigId(1);
const JOBS: u32 = 1000;

/// A cluster, and who decides for it. Placements are taken at once.
struct Bench {
    view: View,
    matchmaker: Matchmaker,
    version: u64,
    configs: BTreeMap<JobKey, Arc<TaskConfig>>,
}

impl Bench {
    fn new(hosts: usize, cores: u64) -> Self {
        let mut view = View::default();
        let changes = (0..hosts).map(|it| host(it, cores)).collect();
        view.apply(&Committed { seq: 1, changes });
        let mut matchmaker = Matchmaker::new(Scheduling::default());
        matchmaker.catch_up(&view);
        let version = matchmaker.missed(&view).version;
        Self { view, matchmaker, version, configs: BTreeMap::new() }
    }

    fn job(&mut self, number: u32, cpu_milli: u64, constraint: Option<Constraint>) -> JobKey {
        let config = Arc::new(config(number, cpu_milli, constraint));
        let job = config.job.clone();
        let key = RecordKey::Config(job.clone(), FIRST);
        let change = Change { key, record: Some(Record::Config(config.clone())) };
        self.view.apply(&Committed { seq: 2, changes: vec![change] });
        self.configs.insert(job.clone(), config);
        job
    }

    fn seek(&mut self, job: &JobKey, instance: u32) {
        let task = job.task(instance);
        self.matchmaker.seek(Timestamp(1), task, Attempt(1), FIRST, &self.view);
    }

    fn round(&mut self) -> usize {
        let placed = self.matchmaker.round(Timestamp(1));
        placed.iter().for_each(|it| self.matchmaker.answered(&it.task, it.attempt));
        let count = placed.len();
        let taken = |Placed { task, attempt, at }: Placed| {
            let config = self.configs[&task.job].clone();
            Move::Taken(Stay { task, attempt, config, at })
        };
        let moves = placed.into_iter().map(taken).collect();
        self.matchmaker.learn(Missed { all: false, moves, version: self.version });
        count
    }

    fn fill(&mut self) {
        while 0 < self.round() {}
    }
}

fn host(number: usize, cores: u64) -> Change {
    let mut host = Host::unknown(format!("host-{number:06}").as_str().into());
    let attribute = |name: &str, value: String| (name.to_owned(), BTreeSet::from([value]));
    host.attributes = [
        attribute("host", host.id.to_string()),
        attribute("rack", format!("r{}", number % 100)),
        attribute("zone", format!("z{}", number % 4)),
    ]
    .into();
    let resources =
        Resources { cpu_milli: cores * 1000, ram_mb: cores * 4096, disk_mb: 1 << 24, gpus: 0 };
    host.capacity = Capacity { resources, ..Capacity::default() };
    host.contact = Contact::Up { since: Timestamp(1) };
    Change { key: RecordKey::Host(host.id.clone()), record: Some(Record::Host(host)) }
}

fn config(number: u32, cpu_milli: u64, constraint: Option<Constraint>) -> TaskConfig {
    let (role, name) = (format!("role{}", number % 10), format!("job{number}"));
    let resources = json!({ "cpu": 1.0, "ram": 1 << 20, "disk": 1 << 20 });
    let process = json!({ "name": "p", "cmdline": "true" });
    let task = json!({ "name": "t", "processes": [process], "resources": resources });
    let spec = json!({ "cluster": "c", "role": role, "name": name, "task": task });
    TaskConfig {
        job: JobKey::new(role, "prod", name),
        kind: Kind::Service,
        resources: Resources { cpu_milli, ram_mb: 128, disk_mb: 1, gpus: 0 },
        ports: BTreeSet::new(),
        constraints: constraint.into_iter().collect(),
        tier: "preemptible".into(),
        class: Tier { preemptible: true, revocable: false },
        priority: 0,
        max_task_failures: 1,
        spec: serde_json::from_value(spec).unwrap(),
    }
}

/// One in three each: only some zones, not some racks, so many on a rack.
fn constraint(number: u32) -> Constraint {
    let (name, demand) = match number % 3 {
        0 => ("zone", format!("z{}", number % 4)),
        1 => ("rack", format!("!r{}", number % 100)),
        _ => ("rack", "limit:12".to_owned()),
    };
    Constraint::parse(name, &demand).unwrap()
}

fn a_million() {
    let mut bench = Bench::new(5000, 32);
    let jobs: Vec<_> = (0..JOBS).map(|it| bench.job(it, 125, Some(constraint(it)))).collect();
    for instance in 0..1000 {
        jobs.iter().for_each(|job| bench.seek(job, instance));
    }
    println!("1,000,000 instances of 1,000 jobs with a constraint each, on 5,000 hosts:");
    let (begun, mut since, mut placed, mut told) = (Instant::now(), Instant::now(), 0, 0);
    loop {
        let more = bench.round();
        placed += more;
        if placed / 100_000 != told / 100_000 {
            let rate =
                f64::from(u32::try_from(placed - told).unwrap()) / since.elapsed().as_secs_f64();
            println!("{placed:>9} placed, {rate:>9.0} a second");
            (since, told) = (Instant::now(), placed);
        }
        if more == 0 {
            break;
        }
    }
    println!("all in {:.2} s\n", begun.elapsed().as_secs_f64());
}

/// Ten thousand hosts, each of which has 400 thousandths of a core left.
fn full() -> Bench {
    let mut bench = Bench::new(10_000, 8);
    let job = bench.job(0, 950, None);
    (0..80_000).for_each(|it| bench.seek(&job, it));
    bench.fill();
    bench
}

/// Every host lacks so little that it has to be looked at.
#[divan::bench]
fn full_cluster_of_10_000_hosts_first_look(bencher: Bencher<'_, '_>) {
    let bench = Mutex::new((full(), 1));
    let stranger = || {
        let (bench, number) = &mut *bench.lock().unwrap();
        *number += 1;
        bench.job(*number, 450, None)
    };
    bencher.with_inputs(stranger).bench_values(|job| {
        let bench = &mut bench.lock().unwrap().0;
        bench.seek(&job, 0);
        assert_eq!(bench.round(), 0);
    });
}

/// Nothing has changed since it looked in vain.
#[divan::bench]
fn full_cluster_of_10_000_hosts_another_look(bencher: Bencher<'_, '_>) {
    let mut bench = full();
    let job = bench.job(1, 1000, None);
    bench.seek(&job, 0);
    assert_eq!(bench.round(), 0);
    bencher.bench_local(|| {
        bench.seek(&job, 0);
        assert_eq!(bench.round(), 0);
    });
}

#[divan::bench]
fn one_more_on_200_000_hosts(bencher: Bencher<'_, '_>) {
    let mut bench = Bench::new(200_000, 8);
    let job = bench.job(0, 1000, None);
    (0..2000).for_each(|it| bench.seek(&job, it));
    bench.fill();
    let bench = Mutex::new((bench, 0));
    let stranger = || {
        let (bench, number) = &mut *bench.lock().unwrap();
        *number += 1;
        bench.job(*number, 1000, Some(constraint(*number)))
    };
    bencher.with_inputs(stranger).bench_values(|job| {
        let bench = &mut bench.lock().unwrap().0;
        bench.seek(&job, 0);
        assert_eq!(bench.round(), 1);
    });
}
