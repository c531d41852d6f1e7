//! Numbers for Prometheus. The cluster's are read from the view when they are asked for; only what
//! nobody else remembers, how requests went, is counted here.

use std::{collections::BTreeMap, fmt};

use actix_web::{
    Error, HttpResponse,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    http::Method,
    middleware::Next,
    web::Data,
};
use airglow_model::{resources::Resources, view::View};
use airglow_scheduler::ReadModel;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, text},
    metrics::{MetricType, counter::Counter, family::Family, histogram::Histogram},
    registry::{Registry, Unit},
};
use tokio::time::Instant;

use crate::{Site, api::Problem};

pub(crate) const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

#[derive(Clone, Debug, Eq, PartialEq, Hash, EncodeLabelSet)]
struct Request {
    method: &'static str,
    /// The endpoint as it is documented, so that there are not more series than endpoints.
    endpoint: String,
    status: u16,
}

/// How requests went.
pub(crate) struct Metrics {
    registry: Registry,
    requests: Family<Request, Counter>,
    seconds: Histogram,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Metrics {
    pub(crate) fn new(view: ReadModel) -> Self {
        let mut registry = Registry::with_prefix("airglow");
        let requests = Family::<Request, Counter>::default();
        let buckets = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 1.0, 5.0];
        let seconds = Histogram::new(buckets);
        registry.register("http_requests", "Requests answered", requests.clone());
        let help = "Time until the answer to a request began";
        registry.register_with_unit("http_request", help, Unit::Seconds, seconds.clone());
        registry.register_collector(Box::new(Cluster(view)));
        Self { registry, requests, seconds }
    }
}

/// Counts every request.
pub(crate) async fn count<B: MessageBody>(
    site: Data<Site>,
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, Error> {
    let began = Instant::now();
    let method = known(request.method());
    let response = next.call(request).await?;
    let endpoint = response.request().match_pattern().unwrap_or_else(|| "none".into());
    let status = response.status().as_u16();
    site.metrics.requests.get_or_create(&Request { method, endpoint, status }).inc();
    site.metrics.seconds.observe(began.elapsed().as_secs_f64());
    Ok(response)
}

/// Anybody may make up methods, and each would be counted for ever.
fn known(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        _ => "other",
    }
}

/// Metrics in the OpenMetrics text format.
#[utoipa::path(get, path = "/metrics", tag = "cluster", responses(
    (status = 200, body = String, content_type = "application/openmetrics-text"),
))]
pub(crate) async fn get(site: Data<Site>) -> Result<HttpResponse, Problem> {
    let mut text = String::new();
    text::encode(&mut text, &site.metrics.registry)
        .expect("a string takes whatever is written to it");
    Ok(HttpResponse::Ok().content_type(OPEN_METRICS).body(text))
}

#[derive(Debug)]
struct Cluster(ReadModel);

impl Collector for Cluster {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let numbers = self.0.read(Numbers::of);
        numbers.encode(encoder)
    }
}

/// What the view comes to in numbers.
#[derive(Default)]
struct Numbers {
    seq: u64,
    jobs: u64,
    tasks: BTreeMap<String, u64>,
    pending: u64,
    quarantined: u64,
    hosts: BTreeMap<&'static str, u64>,
    capacity: Resources,
    used: Resources,
}

impl Numbers {
    fn of(view: &View) -> Self {
        let mut it = Self {
            seq: view.seq,
            jobs: view.jobs.len() as u64,
            quarantined: view.quarantined.len() as u64,
            ..Self::default()
        };
        for job in view.jobs.values() {
            it.pending += job.pending.len() as u64;
            for (status, count) in &job.counts {
                *it.tasks.entry(status.name().to_owned()).or_default() += u64::from(*count);
            }
        }
        for host in view.hosts.values() {
            *it.hosts.entry(host.host.contact.name()).or_default() += 1;
            it.capacity = it.capacity.plus(host.host.capacity.resources);
            it.used = it.used.plus(host.used);
        }
        it
    }

    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let mut gauge = |name: &str, help: &str, value: u64| {
            encoder
                .encode_descriptor(name, help, None, MetricType::Gauge)?
                .encode_gauge(&i64::try_from(value).unwrap_or(i64::MAX))
        };
        gauge("commit_seq", "The newest transaction", self.seq)?;
        gauge("jobs", "Jobs that are known", self.jobs)?;
        gauge("pending_tasks", "Instances that no host fits", self.pending)?;
        gauge(
            "quarantined",
            "Entities left alone after crashing again and again",
            self.quarantined,
        )?;
        gauge("capacity_cpu_milli", "Thousandths of cores of all hosts", self.capacity.cpu_milli)?;
        gauge("capacity_ram_mb", "Memory of all hosts", self.capacity.ram_mb)?;
        gauge("capacity_disk_mb", "Disk of all hosts", self.capacity.disk_mb)?;
        gauge("used_cpu_milli", "Thousandths of cores that tasks take", self.used.cpu_milli)?;
        gauge("used_ram_mb", "Memory that tasks take", self.used.ram_mb)?;
        gauge("used_disk_mb", "Disk that tasks take", self.used.disk_mb)?;
        let tasks = self.tasks.iter().map(|(status, count)| (status.as_str(), *count));
        family(&mut encoder, "tasks", "Newest runs of instances", "status", tasks)?;
        let hosts = self.hosts.iter().map(|(state, count)| (*state, *count));
        family(&mut encoder, "hosts", "Hosts that are known", "state", hosts)
    }
}

fn family<'a>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    label: &str,
    values: impl Iterator<Item = (&'a str, u64)>,
) -> Result<(), fmt::Error> {
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    for (value, count) in values {
        let labels = [(label, value)];
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        family.encode_family(&labels)?.encode_gauge(&count)?;
    }
    Ok(())
}
