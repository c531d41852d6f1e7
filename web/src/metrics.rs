//! Numbers for Prometheus. The cluster's are read from the view when they are asked for, and what no
//! record says is counted by the scheduler; only how requests went is counted here.

use std::fmt;

use actix_web::{
    Error, HttpResponse,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    http::Method,
    middleware::Next,
    web::Data,
};
use airglow_scheduler::Scheduler;
use prometheus_client::{
    encoding::{EncodeLabelSet, text},
    metrics::{counter::Counter, family::Family, histogram::Histogram},
    registry::{Registry, Unit},
};
use tokio::time::Instant;

use self::{cluster::Cluster, members::Members};
use crate::{Site, api::Problem};

mod cluster;
mod members;
mod sla;

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
    pub(crate) fn new(scheduler: &Scheduler) -> Self {
        let mut registry = Registry::with_prefix("airglow");
        let requests = Family::<Request, Counter>::default();
        let buckets = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 1.0, 5.0];
        let seconds = Histogram::new(buckets);
        registry.register("http_requests", "Requests answered", requests.clone());
        let help = "Time until the answer to a request began";
        registry.register_with_unit("http_request", help, Unit::Seconds, seconds.clone());
        scheduler.stats().register(&mut registry);
        let cluster = Cluster::new(scheduler.view().clone(), scheduler.surveys().clone());
        registry.register_collector(Box::new(cluster));
        registry.register_collector(Box::new(Members(scheduler.clone())));
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
