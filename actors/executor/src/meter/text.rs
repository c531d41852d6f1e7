//! What was measured, as Prometheus reads it.
//!
//! Read from [`Usages`] when it is asked for, so a task that is gone is gone from here too. The
//! numbers of the tasks carry their ids, since the account of a run begins with 0.

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use airglow_model::{
    ids::TaskId,
    wire::{ProcessUsage, TaskUsage},
};
use procfs::{Current, LoadAverage, Meminfo};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, NoLabelSet, text},
    metrics::{MetricType, counter::Counter, family::Family, histogram::Histogram},
    registry::{Registry, Unit},
};

use super::{Measured, Usages, space};

/// What is told of this host, and what is counted nowhere else.
#[derive(Clone, Debug)]
pub(crate) struct Metrics(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    registry: Registry,
    checks: Family<Checked, Counter>,
    check_seconds: Histogram,
}

#[derive(Clone, Debug, Eq, Hash, PartialEq, EncodeLabelSet)]
struct Checked {
    result: &'static str,
}

#[derive(Debug)]
struct Host {
    usages: Usages,
    data: PathBuf,
}

impl Metrics {
    pub(crate) fn new(usages: Usages, data: &Path) -> Self {
        let mut registry = Registry::with_prefix("airglow");
        let checks = Family::<Checked, Counter>::default();
        let buckets = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0];
        let check_seconds = Histogram::new(buckets);
        registry.register("health_checks", "Health checks of tasks", checks.clone());
        let help = "How long health checks took";
        registry.register_with_unit("health_check", help, Unit::Seconds, check_seconds.clone());
        registry.register_collector(Box::new(Host { usages, data: data.to_owned() }));
        Self(Arc::new(Inner { registry, checks, check_seconds }))
    }

    /// A task's health was checked, and that took so long.
    pub(crate) fn checked(&self, is_success: bool, latency: Duration) {
        let result = if is_success { "success" } else { "failure" };
        self.0.checks.get_or_create(&Checked { result }).inc();
        self.0.check_seconds.observe(latency.as_secs_f64());
    }

    /// In the OpenMetrics text format. Takes some milliseconds where there are a thousand tasks.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        text::encode(&mut text, &self.0.registry)
            .expect("a string takes whatever is written to it");
        text
    }
}

impl Collector for Host {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        // A copy, because whoever measures is not to wait for whoever writes.
        let measured = self.usages.lock().clone();
        let mut writer = Writer { encoder: &mut encoder, measured };
        writer.tasks()?;
        writer.processes()?;
        writer.sums()?;
        writer.host(&self.data)
    }
}

struct Writer<'a, 'e> {
    encoder: &'a mut DescriptorEncoder<'e>,
    measured: BTreeMap<TaskId, Measured>,
}

/// What the numbers of a name have in common.
struct Meaning {
    name: &'static str,
    help: &'static str,
    unit: Option<Unit>,
    kind: MetricType,
}

fn gauge(name: &'static str, help: &'static str) -> Meaning {
    Meaning { name, help, unit: None, kind: MetricType::Gauge }
}

fn bytes(name: &'static str, help: &'static str) -> Meaning {
    Meaning { unit: Some(Unit::Bytes), ..gauge(name, help) }
}

fn seconds(name: &'static str, help: &'static str) -> Meaning {
    Meaning { unit: Some(Unit::Seconds), kind: MetricType::Counter, ..gauge(name, help) }
}

impl Writer<'_, '_> {
    fn tasks(&mut self) -> Result<(), fmt::Error> {
        let it = seconds("task_cpu", "Processor time of a task since its beginning");
        self.each_task(&it, |it| it.usage.as_ref().map(|it| it.cpu_seconds))?;
        let it = bytes("task_memory", "Memory of a task, file caches not counted");
        self.each_task(&it, |it| it.usage.as_ref().map(|it| it.ram as f64))?;
        let it = bytes("task_disk", "What a task's sandbox takes");
        self.each_task(&it, |it| it.usage.as_ref().map(|it| it.disk as f64))?;
        let it = gauge("task_pids", "Processes and threads of a task");
        self.each_task(&it, |it| it.usage.as_ref().map(|it| it.pids as f64))?;
        let it = gauge("task_cpu_reserved_cores", "Cores that a task asked for");
        self.each_task(&it, |it| Some(it.limits.cpu))?;
        let it = bytes("task_memory_reserved", "Memory that a task asked for");
        self.each_task(&it, |it| Some(it.limits.ram as f64))?;
        let it = bytes("task_disk_reserved", "Disk that a task asked for");
        self.each_task(&it, |it| Some(it.disk_reserved as f64))
    }

    fn processes(&mut self) -> Result<(), fmt::Error> {
        let it = seconds("process_cpu", "Processor time of a process's current run");
        self.each_process(&it, |it| it.cpu_seconds)?;
        let it = bytes("process_memory", "Resident memory of a process and its descendants");
        self.each_process(&it, |it| it.ram as f64)?;
        let it = gauge("process_threads", "Threads of a process and its descendants");
        self.each_process(&it, |it| it.threads as f64)
    }

    fn sums(&mut self) -> Result<(), fmt::Error> {
        let tasks = self.measured.len() as f64;
        self.one(&gauge("host_tasks", "Tasks of which something runs here"), tasks)?;
        let cpu = self.sum(|it| it.cpu);
        self.one(&gauge("host_tasks_cpu_cores", "Cores that tasks use"), cpu)?;
        let ram = self.sum(|it| it.ram as f64);
        self.one(&bytes("host_tasks_memory", "Memory of all tasks"), ram)?;
        let disk = self.sum(|it| it.disk as f64);
        self.one(&bytes("host_tasks_disk", "What all sandboxes in use take"), disk)
    }

    /// What cannot be read is not there.
    fn host(&mut self, data: &Path) -> Result<(), fmt::Error> {
        if let Ok(load) = LoadAverage::current() {
            let spans = [("1m", load.one), ("5m", load.five), ("15m", load.fifteen)];
            let values = spans.iter().map(|(span, load)| ([("span", *span)], f64::from(*load)));
            let it = gauge("host_load", "Processes that run or want to, on average");
            family(self.encoder, &it, values)?;
        }
        if let Ok(memory) = Meminfo::current() {
            self.one(&bytes("host_memory", "Memory of this host"), memory.mem_total as f64)?;
            let free = memory.mem_available.unwrap_or(memory.mem_free);
            self.one(&bytes("host_memory_free", "Memory that could be had"), free as f64)?;
        }
        if let Ok(disk) = space(data) {
            self.one(&bytes("host_disk", "The disk that sandboxes are on"), disk.size as f64)?;
            self.one(&bytes("host_disk_free", "What is left of that"), disk.free as f64)?;
        }
        Ok(())
    }

    fn sum(&self, number: impl Fn(&TaskUsage) -> f64) -> f64 {
        self.measured.values().filter_map(|it| it.usage.as_ref()).map(number).sum()
    }

    fn one(&mut self, meaning: &Meaning, value: f64) -> Result<(), fmt::Error> {
        let Meaning { name, help, unit, kind } = meaning;
        self.encoder.encode_descriptor(name, help, unit.as_ref(), *kind)?.encode_gauge(&value)
    }

    fn each_task(
        &mut self,
        meaning: &Meaning,
        number: impl Fn(&Measured) -> Option<f64>,
    ) -> Result<(), fmt::Error> {
        let value = |(id, it): (_, &Measured)| number(it).map(|number| (labels(id, it), number));
        let labels_and_values: Vec<_> = self.measured.iter().filter_map(value).collect();
        family(self.encoder, meaning, labels_and_values.into_iter())
    }

    fn each_process(
        &mut self,
        meaning: &Meaning,
        number: impl Fn(&ProcessUsage) -> f64,
    ) -> Result<(), fmt::Error> {
        let mut values = Vec::new();
        for (id, it) in &self.measured {
            for (name, usage) in &it.processes {
                let mut labels = labels(id, it);
                labels.push(("process", name.clone()));
                values.push((labels, number(usage)));
            }
        }
        family(self.encoder, meaning, values.into_iter())
    }
}

type Labels = Vec<(&'static str, String)>;

fn labels(id: &TaskId, measured: &Measured) -> Labels {
    let task = &measured.task;
    vec![
        ("role", task.job.role.clone()),
        ("environment", task.job.environment.clone()),
        ("job", task.job.name.clone()),
        ("instance", task.instance.to_string()),
        ("task_id", id.to_string()),
    ]
}

fn family<L: EncodeLabelSet>(
    encoder: &mut DescriptorEncoder<'_>,
    Meaning { name, help, unit, kind }: &Meaning,
    values: impl Iterator<Item = (L, f64)>,
) -> Result<(), fmt::Error> {
    let mut family = encoder.encode_descriptor(name, help, unit.as_ref(), *kind)?;
    for (labels, value) in values {
        let mut one = family.encode_family(&labels)?;
        match kind {
            MetricType::Counter => one.encode_counter::<NoLabelSet, _, f64>(&value, None)?,
            MetricType::Gauge | MetricType::Histogram | MetricType::Info | MetricType::Unknown => {
                one.encode_gauge(&value)?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use airglow_model::ids::JobKey;

    use super::*;
    use crate::cgroups::Limits;

    fn measured(usage: Option<TaskUsage>) -> Measured {
        let web = ProcessUsage { cpu_seconds: 1.5, ram: 2048, threads: 3, ..Default::default() };
        Measured {
            task: JobKey::new("www", "prod", "hello").task(7),
            limits: Limits { cpu: 0.5, ram: 1024, pids_max: 10, is_revocable: false },
            disk_reserved: 4096,
            processes: usage.iter().map(|_| ("web".to_owned(), web.clone())).collect(),
            usage,
        }
    }

    #[test]
    fn prometheus_reads_what_was_measured() {
        let usages = Usages::default();
        let usage = TaskUsage {
            cpu: 0.25,
            cpu_seconds: 2.5,
            ram: 512,
            disk: 64,
            pids: 4,
            ..Default::default()
        };
        usages.lock().insert(TaskId("t".into()), measured(Some(usage)));
        usages.lock().insert(TaskId("new".into()), measured(None));
        let metrics = Metrics::new(usages, Path::new("/"));
        metrics.checked(true, Duration::from_millis(2));
        metrics.checked(false, Duration::from_secs(1));
        let text = metrics.text();
        let labels = r#"role="www",environment="prod",job="hello",instance="7",task_id="t""#;
        let lines = [
            format!("airglow_task_cpu_seconds_total{{{labels}}} 2.5"),
            format!("airglow_task_memory_bytes{{{labels}}} 512.0"),
            format!("airglow_task_disk_bytes{{{labels}}} 64.0"),
            format!("airglow_task_pids{{{labels}}} 4.0"),
            format!("airglow_task_disk_reserved_bytes{{{labels}}} 4096.0"),
            format!("airglow_process_cpu_seconds_total{{{labels},process=\"web\"}} 1.5"),
            format!("airglow_process_memory_bytes{{{labels},process=\"web\"}} 2048.0"),
            "airglow_host_tasks 2.0".to_owned(),
            "airglow_host_tasks_cpu_cores 0.25".to_owned(),
            r#"airglow_health_checks_total{result="failure"} 1"#.to_owned(),
            "airglow_health_check_seconds_count 2".to_owned(),
            "# EOF".to_owned(),
        ];
        for line in lines {
            assert!(text.lines().any(|it| it == line), "{line} is not in\n{text}");
        }
        let of_new = text.lines().filter(|it| it.contains(r#"task_id="new""#)).count();
        assert_eq!(of_new, 3, "what it asked for is known");
        assert!(text.contains("airglow_host_load{span=\"1m\"} "), "{text}");
    }
}
