//! What it costs to look for somebody who has to give way, in a cluster of 10,000 hosts without
//! any room: a tenth of it is taken by siblings of those who wait, the rest by what could be
//! preempted. That many groups wait, of an instance each.

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot go on says where")]

use std::{collections::BTreeMap, time::Duration};

use airglow_model::{
    config::TaskConfig,
    host::{Contact, Host},
    ids::{Attempt, ConfigId, JobKey},
    machine::{Machine, Timestamp},
    matching::{Matchmaker, Scheduling},
    preemption::Preemption,
    record::{Change, Committed, Record, RecordKey},
    resources::{Constraint, Resources},
    spec::{JobSpec, Limits},
    task::{Event, Placement, Policy, Task},
    tier::Tier,
    view::View,
    wire::Capacity,
};
use divan::{Bencher, counter::ItemsCount};
use serde_json::json;

fn main() {
    divan::main();
}

const HOSTS: u32 = 10_000;
const WAITING: [u32; 4] = [1, 10, 100, 1000];
const START: Timestamp = Timestamp(0);

fn later() -> Timestamp {
    START + Duration::from_secs(600)
}

/// 6 cores, 8 GB, 128 GB: a host has room for one.
fn config(name: &str, tier: Tier) -> TaskConfig {
    let spec: JobSpec = serde_json::from_value(json!({
        "cluster": "c", "role": "www", "environment": "prod", "name": name,
        "task": {
            "name": name,
            "processes": [{"name": "p", "cmdline": "true"}],
            "resources": {"cpu": 6.0, "ram": 8_u64 << 30, "disk": 128_u64 << 30},
        },
    }))
    .unwrap();
    TaskConfig { class: tier, ..spec.check(&Limits::usual("c")).unwrap().config }
}

fn firm(name: &str) -> TaskConfig {
    config(name, Tier::default())
}

struct Cluster {
    view: View,
    matchmaker: Matchmaker,
}

impl Cluster {
    fn full() -> Self {
        let mut cluster =
            Self { view: View::default(), matchmaker: Matchmaker::new(Scheduling::default()) };
        let (sibling, victim) =
            (firm("sibling"), config("victim", Tier { preemptible: true, revocable: false }));
        cluster.know(&sibling);
        cluster.know(&victim);
        for number in 0..HOSTS {
            let mut host = Host::unknown(format!("host-{number}").as_str().into());
            host.contact = Contact::Up { since: START };
            let resources =
                Resources { cpu_milli: 8000, ram_mb: 16 << 10, disk_mb: 256 << 10, gpus: 0 };
            host.capacity =
                Capacity { resources, ports: vec![(31_000, 32_000)], ..Capacity::default() };
            cluster.commit(host.changes(None));
            let config = if number % 10 == 0 { &sibling } else { &victim };
            let placed = Event::Placed {
                attempt: Attempt(1),
                at: Placement { host: host.id.clone(), ports: BTreeMap::new() },
            };
            let task = wanted(config.job.task(number)).step(START, &placed).unwrap();
            cluster.commit(task.changes(None));
        }
        cluster
    }

    fn commit(&mut self, changes: Vec<Change>) {
        self.view.apply(&Committed { seq: self.view.seq + 1, changes });
    }

    fn know(&mut self, config: &TaskConfig) {
        let key = RecordKey::Config(config.job.clone(), ConfigId(1));
        self.commit(vec![Change { key, record: Some(Record::Config(config.clone().into())) }]);
    }

    /// That many groups of one instance each have looked for a place in vain.
    fn with_waiting(mut self, groups: u32, config: &TaskConfig) -> Self {
        self.matchmaker.catch_up(&self.view);
        for number in 0..groups {
            let job = JobKey::new("www", "prod", format!("waits-{number}"));
            let config = TaskConfig { job: job.clone(), ..config.clone() };
            self.know(&config);
            let task = wanted(job.task(0));
            self.commit(task.changes(None));
            self.matchmaker.seek(START, task.key, task.attempt, ConfigId(1), &self.view);
        }
        self.matchmaker.catch_up(&self.view);
        assert_eq!(self.matchmaker.round(START), []);
        self
    }

    /// One search for all who wait.
    fn search(&mut self) -> usize {
        self.matchmaker.preempt(later(), &self.view, &Preemption::default()).len()
    }
}

fn wanted(key: airglow_model::ids::TaskKey) -> Task {
    let wanted = Event::Wanted {
        config: ConfigId(1),
        generation: 1,
        policy: Policy::default(),
        message: String::new(),
    };
    Task::unborn(key).step(START, &wanted).unwrap()
}

fn in_vain(bencher: Bencher<'_, '_>, groups: u32, config: &TaskConfig) {
    let mut cluster = Cluster::full().with_waiting(groups, config);
    assert_eq!(cluster.search(), 0);
    bencher.counter(ItemsCount::new(groups)).bench_local(|| cluster.search());
}

/// They demand a host that there is none of.
#[divan::bench(args = WAITING)]
fn none_meets_the_constraint(bencher: Bencher<'_, '_>, groups: u32) {
    let constraints = vec![Constraint::parse("host", "denied").unwrap()];
    in_vain(bencher, groups, &TaskConfig { constraints, ..firm("web") });
}

/// They need twice as much as any host has.
#[divan::bench(args = WAITING)]
fn none_is_large_enough(bencher: Bencher<'_, '_>, groups: u32) {
    let web = firm("web");
    let resources = Resources { cpu_milli: 16_000, ..web.resources };
    in_vain(bencher, groups, &TaskConfig { resources, ..web });
}

/// They need a little more than any host has, so that each has to be looked at.
#[divan::bench(args = WAITING)]
fn each_is_a_little_too_small(bencher: Bencher<'_, '_>, groups: u32) {
    let web = firm("web");
    let resources = Resources { cpu_milli: 8001, ram_mb: (16 << 10) + 1, ..web.resources };
    in_vain(bencher, groups, &TaskConfig { resources, ..web });
}

/// Each finds somebody who gives way.
#[divan::bench(args = [1, 10, 100])]
fn each_finds_a_place(bencher: Bencher<'_, '_>, groups: u32) {
    let cluster = Cluster::full().with_waiting(groups, &firm("web"));
    let (view, rules) = (&cluster.view, Preemption::default());
    bencher
        .counter(ItemsCount::new(groups))
        .with_inputs(|| cluster.matchmaker.clone())
        .bench_local_values(|mut matchmaker| {
            let victims = matchmaker.preempt(later(), view, &rules);
            assert_eq!(victims.len(), usize::try_from(groups).unwrap());
            matchmaker
        });
}
