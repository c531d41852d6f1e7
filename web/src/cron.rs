//! Jobs that run by the clock: scheduling, showing, starting and descheduling them.

use actix_web::{
    HttpRequest, HttpResponse, Responder,
    http::header,
    web::{Bytes, Data, Json, Path, Query},
};
use airglow_model::{
    config::Job,
    ids::JobKey,
    spec::{Complaint, JobSpec, Limits},
};
use airglow_scheduler::now;
use serde_json::Value;

use crate::{
    Site, access,
    api::{CronDetail, CronSummary, Page, Problem},
    audit::{Deed, audited},
    jobs::{Which, key},
    show,
};

/// List the jobs that run by the clock, each with the next time at which it is due.
#[utoipa::path(get, path = "/api/v1/cron", tag = "cron", params(
    ("role" = Option<String>, Query), ("environment" = Option<String>, Query),
    ("name" = Option<String>, Query),
), responses((status = 200, body = Page<CronSummary>)))]
pub(crate) async fn list(site: Data<Site>, which: Query<Which>) -> impl Responder {
    let items = site.scheduler.view().read(|view| {
        let jobs = view.jobs.iter().filter(|(key, _)| which.takes(key));
        jobs.filter_map(|(_, job)| show::cron_summary(job, now())).collect()
    });
    Json(Page::<CronSummary> { items, next: None })
}

/// Show when a job runs: its schedule, the next ten times, and what became of the last ones.
#[utoipa::path(get, path = "/api/v1/cron/{role}/{environment}/{name}", tag = "cron", params(
    ("role" = String, Path), ("environment" = String, Path), ("name" = String, Path),
), responses(
    (status = 200, body = CronDetail),
    (status = 404, body = Problem, content_type = "application/problem+json"),
))]
pub(crate) async fn get(
    site: Data<Site>,
    path: Path<(String, String, String)>,
) -> Result<Json<CronDetail>, Problem> {
    detail(&site, &key(path)).map(Json)
}

/// Have a job run by the clock, or by another schedule or with another template than before. Runs
/// that exist are left as they are.
#[utoipa::path(put, path = "/api/v1/cron/{role}/{environment}/{name}", tag = "cron", params(
    ("role" = String, Path), ("environment" = String, Path), ("name" = String, Path),
), request_body(content = ref("#/components/schemas/Job"), content_type = "application/json"), responses(
    (status = 200, body = CronDetail, description = "It was scheduled already"),
    (status = 201, body = CronDetail),
    (status = 409, body = Problem, content_type = "application/problem+json"),
    (status = 422, body = Problem, content_type = "application/problem+json"),
))]
pub(crate) async fn schedule(
    site: Data<Site>,
    request: HttpRequest,
    path: Path<(String, String, String)>,
    body: Bytes,
) -> Result<HttpResponse, Problem> {
    let key = key(path);
    let job = read_job(&body, &key, site.scheduler.limits())?;
    let schedule = job.cron.as_ref().map_or("", |it| it.schedule.text());
    let deed = Deed::to_job("schedule", &key).details(&format!("By {schedule}"));
    let (whose, by) = (key.clone(), access::user(&request));
    let (is_new, detail) = audited(&site, &request, deed, move |site| async move {
        let is_new = site.scheduler.schedule(job, &by).await?;
        Ok((is_new, detail(&site, &whose)?))
    })
    .await?;
    Ok(match is_new {
        true => HttpResponse::Created()
            .insert_header((header::LOCATION, format!("/api/v1/cron/{key}")))
            .json(detail),
        false => HttpResponse::Ok().json(detail),
    })
}

/// Have a job not run by the clock any more. What runs of it runs on; what waits to start does not.
#[utoipa::path(delete, path = "/api/v1/cron/{role}/{environment}/{name}", tag = "cron", params(
    ("role" = String, Path), ("environment" = String, Path), ("name" = String, Path),
), responses(
    (status = 204),
    (status = 404, body = Problem, content_type = "application/problem+json"),
))]
pub(crate) async fn deschedule(
    site: Data<Site>,
    request: HttpRequest,
    path: Path<(String, String, String)>,
) -> Result<HttpResponse, Problem> {
    let key = key(path);
    audited(&site, &request, Deed::to_job("deschedule", &key), move |site| async move {
        Ok(site.scheduler.deschedule(&key).await?)
    })
    .await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Start a run now, as if it was due. What came of that is in the answer: it is on its way
/// (`coming`), or its outcome is among the `firings`.
#[utoipa::path(post, path = "/api/v1/cron/{role}/{environment}/{name}/start", tag = "cron", params(
    ("role" = String, Path), ("environment" = String, Path), ("name" = String, Path),
), responses(
    (status = 200, body = CronDetail),
    (status = 404, body = Problem, content_type = "application/problem+json"),
    (status = 409, body = Problem, content_type = "application/problem+json"),
))]
pub(crate) async fn start(
    site: Data<Site>,
    request: HttpRequest,
    path: Path<(String, String, String)>,
) -> Result<Json<CronDetail>, Problem> {
    let (key, by) = (key(path), access::user(&request));
    audited(&site, &request, Deed::to_job("start", &key), move |site| async move {
        site.scheduler.start_cron(&key, &by).await?;
        detail(&site, &key).map(Json)
    })
    .await
}

pub(crate) fn detail(site: &Site, key: &JobKey) -> Result<CronDetail, Problem> {
    let found = site.scheduler.view().read(|view| show::cron_detail(view.jobs.get(key)?, now()));
    found.ok_or_else(|| Problem::not_found(format!("there is no cron job {key}")))
}

/// The body's job, which is the one of the path, or everything that is wrong with it.
fn read_job(body: &[u8], key: &JobKey, limits: &Limits) -> Result<Job, Problem> {
    let body: Value = serde_json::from_slice(body)
        .map_err(|error| Problem::bad_request(format!("the body is not JSON: {error}")))?;
    let job = JobSpec::read_and_check(&body, limits).map_err(Problem::invalid)?;
    let mut complaints = Vec::new();
    let mut complain = |pointer: &str, detail: String| {
        complaints.push(Complaint { pointer: pointer.into(), detail });
    };
    if job.cron.is_none() {
        let detail = "a job without a schedule is created, not scheduled";
        complain("/cron_schedule", detail.into());
    }
    for (pointer, here, there) in [
        ("/role", &job.key.role, &key.role),
        ("/environment", &job.key.environment, &key.environment),
        ("/name", &job.key.name, &key.name),
    ] {
        if here != there {
            complain(pointer, format!("the path says {there}, and the job {here}"));
        }
    }
    if complaints.is_empty() { Ok(job) } else { Err(Problem::invalid(complaints)) }
}
