//! Hosts, what they have free, and what waits for them.

use actix_web::{
    HttpRequest, HttpResponse, Responder,
    web::{Bytes, Data, Json, Path, Query},
};
use airglow_model::{
    audit::Target,
    ids::{HostId, MachineId},
    wire::{Answer, Question},
};

use serde::Deserialize;

use crate::{
    Site, access,
    api::{Drain, HostDetail, HostSummary, Offer, Page, PendingTask, Problem, RemovedMachine},
    audit::{Deed, audited},
    metrics::OPEN_METRICS,
    pieces, show,
};

mod request;

/// List hosts.
#[utoipa::path(get, path = "/api/v1/hosts", tag = "hosts", responses(
    (status = 200, body = Page<HostSummary>),
))]
pub(crate) async fn list(site: Data<Site>) -> impl Responder {
    let items = site.scheduler.view().read(show::hosts);
    Json(Page::<HostSummary> { items, next: None })
}

/// Show a host and what runs on it.
#[utoipa::path(get, path = "/api/v1/hosts/{host}", tag = "hosts", params(
    ("host" = String, Path),
), responses(
    (status = 200, body = HostDetail),
    (status = 404, body = Problem, content_type = "application/problem+json"),
))]
pub(crate) async fn get(site: Data<Site>, host: Path<String>) -> Result<Json<HostDetail>, Problem> {
    let host = HostId(host.into_inner().into());
    let detail = site
        .scheduler
        .view()
        .read(|view| view.hosts.get(&host).map(|it| show::host_detail(view, it)));
    detail.map(Json).ok_or_else(|| no_such_host(&host))
}

/// Prefer other hosts: maintenance is coming.
#[utoipa::path(post, path = "/api/v1/hosts/{host}/maintenance", tag = "hosts", params(
    ("host" = String, Path),
), responses(
    (status = 200, body = HostSummary),
    (status = 404, body = Problem, content_type = "application/problem+json"),
))]
pub(crate) async fn maintain(
    site: Data<Site>,
    request: HttpRequest,
    host: Path<String>,
) -> Result<Json<HostSummary>, Problem> {
    let host = HostId(host.into_inner().into());
    audited(&site, &request, Deed::to_host("maintenance", &host), move |site| async move {
        site.scheduler.maintain(&host).await?;
        summary(&site, &host)
    })
    .await
}

/// Move everything away from a host: at once, or as the jobs' own SLA policies and, for jobs
/// without one, this request allow, until its time is up.
#[utoipa::path(post, path = "/api/v1/hosts/{host}/drain", tag = "hosts", params(
    ("host" = String, Path),
), request_body = Option<Drain>, responses(
    (status = 200, body = HostSummary),
    (status = 404, body = Problem, content_type = "application/problem+json"),
    (status = 422, body = Problem, content_type = "application/problem+json"),
))]
pub(crate) async fn drain(
    site: Data<Site>,
    request: HttpRequest,
    host: Path<String>,
    body: Bytes,
) -> Result<Json<HostSummary>, Problem> {
    let host = HostId(host.into_inner().into());
    let wanted = request::read(&body, &access::user(&request))?;
    let deed = Deed::to_host("drain", &host).details(&request::in_words(&wanted));
    audited(&site, &request, deed, move |site| async move {
        site.scheduler.drain(&host, wanted).await?;
        summary(&site, &host)
    })
    .await
}

/// Let a host be like any other again.
#[utoipa::path(post, path = "/api/v1/hosts/{host}/activate", tag = "hosts", params(
    ("host" = String, Path),
), responses(
    (status = 200, body = HostSummary),
    (status = 404, body = Problem, content_type = "application/problem+json"),
))]
pub(crate) async fn activate(
    site: Data<Site>,
    request: HttpRequest,
    host: Path<String>,
) -> Result<Json<HostSummary>, Problem> {
    let host = HostId(host.into_inner().into());
    audited(&site, &request, Deed::to_host("activate", &host), move |site| async move {
        site.scheduler.activate(&host).await?;
        summary(&site, &host)
    })
    .await
}

#[derive(Deserialize)]
pub(crate) struct Removal {
    #[serde(default)]
    force: bool,
}

/// Make a host no part of the cluster any more: its machine may not come back.
#[utoipa::path(delete, path = "/api/v1/hosts/{host}", tag = "hosts", params(
    ("host" = String, Path),
    ("force" = Option<bool>, Query, description = "even if tasks are there, which are then LOST"),
), responses(
    (status = 204),
    (status = 404, body = Problem, content_type = "application/problem+json"),
    (status = 409, body = Problem, content_type = "application/problem+json"),
))]
pub(crate) async fn remove(
    site: Data<Site>,
    request: HttpRequest,
    host: Path<String>,
    Query(Removal { force }): Query<Removal>,
) -> Result<HttpResponse, Problem> {
    let host = HostId(host.into_inner().into());
    let deed = Deed::to_host("remove", &host).details(if force { "By force" } else { "" });
    audited(&site, &request, deed, move |site| async move {
        site.scheduler.remove_host(&host, force).await?;
        Ok(HttpResponse::NoContent().finish())
    })
    .await
}

/// List the machines that were removed.
#[utoipa::path(get, path = "/api/v1/removals", tag = "hosts", responses(
    (status = 200, body = Page<RemovedMachine>),
))]
pub(crate) async fn removals(site: Data<Site>) -> impl Responder {
    let removals = site.scheduler.removals().into_iter();
    let items = removals.map(|(machine, it)| RemovedMachine {
        machine: machine.to_string(),
        host: it.host.to_string(),
        at: it.at,
    });
    Json(Page::<RemovedMachine> { items: items.collect(), next: None })
}

/// Let a machine that was removed come back.
#[utoipa::path(delete, path = "/api/v1/removals/{machine}", tag = "hosts", params(
    ("machine" = String, Path),
), responses(
    (status = 204),
    (status = 404, body = Problem, content_type = "application/problem+json"),
))]
pub(crate) async fn readmit(
    site: Data<Site>,
    request: HttpRequest,
    machine: Path<String>,
) -> Result<HttpResponse, Problem> {
    let machine = MachineId::from(machine.as_str());
    let host = site.scheduler.removals().remove(&machine).map(|it| it.host);
    let deed = Deed::new("readmit", host.map_or(Target::Cluster, Target::Host));
    let deed = deed.details(&format!("Machine {machine}"));
    audited(&site, &request, deed, move |site| async move {
        site.scheduler.readmit(&machine).await?;
        Ok(HttpResponse::NoContent().finish())
    })
    .await
}

fn summary(site: &Site, host: &HostId) -> Result<Json<HostSummary>, Problem> {
    let found = site.scheduler.view().read(|view| view.hosts.get(host).map(show::host_summary));
    found.map(Json).ok_or_else(|| no_such_host(host))
}

/// What a host measures of itself and of its tasks, in the OpenMetrics text format.
#[utoipa::path(get, path = "/api/v1/hosts/{host}/metrics", tag = "hosts", params(
    ("host" = String, Path),
), responses(
    (status = 200, body = String, content_type = "application/openmetrics-text"),
    (status = 404, body = Problem, content_type = "application/problem+json"),
    (status = 502, body = Problem, content_type = "application/problem+json"),
))]
pub(crate) async fn metrics(site: Data<Site>, host: Path<String>) -> Result<HttpResponse, Problem> {
    let host = HostId(host.into_inner().into());
    if !site.scheduler.view().read(|view| view.hosts.contains_key(&host)) {
        return Err(no_such_host(&host));
    }
    match site.scheduler.ask(&host, Question::Metrics).await? {
        Answer::Metrics { text } => Ok(HttpResponse::Ok().content_type(OPEN_METRICS).body(text)),
        Answer::NotFound { what } => Err(Problem::not_found(what)),
        Answer::Failed { why } => Err(pieces::confused(&host, &why)),
        Answer::Task(_) | Answer::Piece { .. } | Answer::Folder { .. } => {
            Err(pieces::confused(&host, "it answered something else"))
        }
    }
}

pub(crate) fn no_such_host(host: &HostId) -> Problem {
    Problem::not_found(format!("there is no host {host}"))
}

/// What each connected host has free.
#[utoipa::path(get, path = "/api/v1/offers", tag = "hosts", responses(
    (status = 200, body = Page<Offer>),
))]
pub(crate) async fn offers(site: Data<Site>) -> impl Responder {
    let items =
        site.scheduler.view().read(|view| view.hosts.values().filter_map(show::offer).collect());
    Json(Page::<Offer> { items, next: None })
}

/// Instances without a place, and why they have none.
#[utoipa::path(get, path = "/api/v1/pending", tag = "tasks", responses(
    (status = 200, body = Page<PendingTask>),
))]
pub(crate) async fn pending(site: Data<Site>) -> impl Responder {
    let items = site.scheduler.view().read(|view| {
        let jobs = view.jobs.values();
        jobs.flat_map(|job| job.pending.keys().filter_map(|&it| show::pending_task(job, it)))
            .collect()
    });
    Json(Page::<PendingTask> { items, next: None })
}
