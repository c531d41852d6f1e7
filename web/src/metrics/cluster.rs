//! What the view comes to in numbers. Amounts are in base units: cores, bytes, seconds.

use std::{collections::BTreeMap, fmt, time::Duration};

use airglow_model::{
    config::DEDICATED, host::Mode, machine::Timestamp, quota, resources::Resources, view::View,
};
use airglow_scheduler::{ReadModel, Surveys, now};
use prometheus_client::{collector::Collector, encoding::DescriptorEncoder, metrics::MetricType};

#[derive(Debug)]
pub(super) struct Cluster {
    view: ReadModel,
    surveys: Surveys,
    started_at: Timestamp,
}

impl Cluster {
    pub(super) fn new(view: ReadModel, surveys: Surveys) -> Self {
        Self { view, surveys, started_at: now() }
    }
}

impl Collector for Cluster {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let mut numbers = Numbers::default();
        let version = vec![("version", env!("CARGO_PKG_VERSION").to_owned())];
        numbers.add("build_info", "What runs here", version, 1.0);
        let help = "When the scheduler was started, in seconds since 1970";
        numbers.add("start_time_seconds", help, vec![], seconds(self.started_at));
        self.view.read(|view| numbers.read(view));
        if let Some(survey) = self.surveys.newest() {
            numbers.sla(&survey);
        }
        numbers.encode(&mut encoder)
    }
}

pub(super) type Labels = Vec<(&'static str, String)>;

/// By name, with its help.
#[derive(Default)]
pub(super) struct Numbers(BTreeMap<&'static str, (&'static str, BTreeMap<Labels, f64>)>);

/// What fits how often into what is free: a task of so many cores, megabytes and megabytes of disk.
const SLOTS: [(&str, u64, u64, u64); 4] =
    [("small", 1, 1, 4), ("medium", 4, 8, 16), ("large", 8, 16, 32), ("xlarge", 16, 32, 64)];

impl Numbers {
    pub(super) fn add(
        &mut self,
        name: &'static str,
        help: &'static str,
        labels: Labels,
        amount: f64,
    ) {
        let (_, series) = self.0.entry(name).or_insert_with(|| (help, BTreeMap::new()));
        *series.entry(labels).or_default() += amount;
    }

    fn read(&mut self, view: &View) {
        self.add("commit_seq", "The newest transaction", vec![], count(view.seq));
        let quarantined = view.quarantined.len() as u64;
        let help = "Entities left alone after crashing again and again";
        self.add("quarantined", help, vec![], count(quarantined));
        self.jobs(view);
        self.hosts(view);
        self.roles(view);
    }

    fn jobs(&mut self, view: &View) {
        self.add("jobs", "Jobs that are known", vec![], count(view.jobs.len() as u64));
        let crons = view.jobs.values().filter(|it| it.cron.is_some()).count() as u64;
        self.add("cron_jobs", "Jobs that run by the clock", vec![], count(crons));
        let mut tasks = BTreeMap::<_, u64>::new();
        let (mut pending, mut ended) = (0, 0);
        for job in view.jobs.values() {
            pending += job.pending.len() as u64;
            ended += u64::from(job.history);
            for (status, count) in &job.counts {
                *tasks.entry(*status).or_default() += u64::from(*count);
            }
        }
        self.add("pending_tasks", "Instances that no host fits", vec![], count(pending));
        self.add("history_runs", "Ended runs that are kept in the history", vec![], count(ended));
        let labels = |status| vec![("status", status)];
        self.0.insert("tasks", ("Newest runs of instances", BTreeMap::new()));
        for (status, tasks) in tasks {
            let status = status.name().to_owned();
            self.add("tasks", "", labels(status), count(tasks));
        }
    }

    fn hosts(&mut self, view: &View) {
        for (names, help) in [(CAPACITY, "What all hosts have"), (USED, "What tasks take")] {
            self.amounts(names, help, &vec![], Resources::default());
        }
        for (id, host) in &view.hosts {
            let contact = vec![("state", host.host.contact.name().to_owned())];
            self.add("hosts", "Hosts that are known", contact, 1.0);
            let mode = vec![("mode", host.host.mode.name().to_owned())];
            self.add("hosts_by_mode", "What operators want of hosts", mode, 1.0);
            if let Mode::Draining { since, request } = &host.host.mode {
                let until = *since + Duration::from_secs(request.timeout_secs);
                let help = "When a host is emptied by force, in seconds since 1970";
                let host = vec![("host", id.to_string())];
                self.add("drain_deadline_seconds", help, host, seconds(until));
            }
            self.amounts(CAPACITY, "", &vec![], host.host.capacity.resources);
            self.amounts(USED, "", &vec![], host.used);
            let dedicated = host.host.attributes.contains_key(DEDICATED);
            let free = host.free();
            for (size, cores, ram_gb, disk_gb) in SLOTS {
                let labels = vec![("dedicated", dedicated.to_string()), ("size", size.to_owned())];
                let fits = (free.cpu_milli / (cores * 1000))
                    .min(free.ram_mb / (ram_gb << 10))
                    .min(free.disk_mb / (disk_gb << 10));
                self.add("empty_slots", "How many tasks of a size would fit", labels, count(fits));
            }
        }
    }

    fn roles(&mut self, view: &View) {
        for (role, quota) in &view.quotas {
            let help = "What a role may have of what is limited";
            self.amounts(QUOTA, help, &vec![("role", role.clone())], quota.limit);
        }
        let mut last = "";
        for key in
            view.jobs.keys().filter(|it| !std::mem::replace(&mut last, &it.role).eq(&it.role))
        {
            let used = quota::used(view, &key.role);
            for (bucket, amount) in [
                ("prod_shared", used.prod_shared),
                ("nonprod_shared", used.nonprod_shared),
                ("prod_dedicated", used.prod_dedicated),
                ("nonprod_dedicated", used.nonprod_dedicated),
            ] {
                let labels = vec![("bucket", bucket.to_owned()), ("role", key.role.clone())];
                self.amounts(ROLE_USED, "What a role has", &labels, amount);
            }
        }
    }

    fn amounts(
        &mut self,
        names: [&'static str; 4],
        help: &'static str,
        labels: &Labels,
        it: Resources,
    ) {
        let [cpu, ram, disk, gpus] = names;
        self.add(cpu, help, labels.clone(), count(it.cpu_milli) / 1000.0);
        self.add(ram, help, labels.clone(), count(it.ram_mb << 20));
        self.add(disk, help, labels.clone(), count(it.disk_mb << 20));
        self.add(gpus, help, labels.clone(), count(it.gpus));
    }

    pub(super) fn encode(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        for (name, (help, series)) in &self.0 {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            for (labels, amount) in series {
                if labels.is_empty() {
                    family.encode_gauge(amount)?;
                } else {
                    family.encode_family(labels)?.encode_gauge(amount)?;
                }
            }
        }
        Ok(())
    }
}

const CAPACITY: [&str; 4] =
    ["capacity_cpu_cores", "capacity_ram_bytes", "capacity_disk_bytes", "capacity_gpus"];
const USED: [&str; 4] = ["used_cpu_cores", "used_ram_bytes", "used_disk_bytes", "used_gpus"];
const QUOTA: [&str; 4] = ["quota_cpu_cores", "quota_ram_bytes", "quota_disk_bytes", "quota_gpus"];
const ROLE_USED: [&str; 4] =
    ["role_used_cpu_cores", "role_used_ram_bytes", "role_used_disk_bytes", "role_used_gpus"];

#[expect(
    clippy::cast_precision_loss,
    reason = "nobody counts that far, and Prometheus has no more"
)]
pub(super) fn count(it: u64) -> f64 {
    it as f64
}

pub(super) fn seconds(at: Timestamp) -> f64 {
    count(at.0) / 1000.0
}
