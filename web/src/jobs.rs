//! Jobs: creating, showing, killing, restarting, growing them.

use std::collections::BTreeSet;

use actix_web::{
    HttpRequest, HttpResponse, Responder,
    http::header,
    web::{Bytes, Data, Json, Path, Query},
};
use airglow_model::{
    audit::Target,
    config::{Job, Kind},
    ids::JobKey,
    instances::InstanceSet,
    spec::{Complaint, JobSpec, Limits},
};
use serde::Deserialize;
use serde_json::Value;

use crate::{
    Site, access,
    api::{
        AddInstances, Affected, CreateJobs, Created, CreatedJob, Forecast, JobDetail, JobSummary,
        Page, Problem, Selection, TaskSummary,
    },
    audit::{self, Deed, audited},
    show,
};

/// How many runs of the history are shown if nobody says how many.
const HISTORY_SHOWN: usize = 100;
const HISTORY_SHOWN_MAX: usize = 1000;

#[derive(Deserialize)]
pub(crate) struct CreateQuery {
    dry_run: Option<bool>,
}

#[derive(Deserialize)]
pub(crate) struct Which {
    role: Option<String>,
    environment: Option<String>,
    name: Option<String>,
}

#[derive(Deserialize)]
pub(crate) struct HistoryQuery {
    instance: Option<u32>,
    limit: Option<usize>,
}

impl Which {
    pub(crate) fn takes(&self, key: &JobKey) -> bool {
        let wanted = |asked: &Option<String>, is: &str| asked.as_ref().is_none_or(|it| it == is);
        wanted(&self.role, &key.role)
            && wanted(&self.environment, &key.environment)
            && wanted(&self.name, &key.name)
    }
}

/// Create jobs: all of them or, if anything is wrong with any, none. Or only say what that would
/// come to.
#[utoipa::path(post, path = "/api/v1/jobs", tag = "jobs", params(
    ("dry_run" = Option<bool>, Query, description = "Change nothing, and answer with a forecast"),
), request_body = CreateJobs, responses(
    (status = 200, body = Forecast, description = "It was a dry run"),
    (status = 201, body = Created),
    (status = 409, body = Problem, content_type = "application/problem+json"),
    (status = 422, body = Problem, content_type = "application/problem+json"),
))]
pub(crate) async fn create(
    site: Data<Site>,
    request: HttpRequest,
    query: Query<CreateQuery>,
    body: Bytes,
) -> Result<HttpResponse, Problem> {
    let jobs = read_jobs(&body, site.scheduler.limits())?;
    if query.dry_run.unwrap_or(false) {
        let forecasts = site.scheduler.forecast(jobs).await?;
        return Ok(HttpResponse::Ok().json(Forecast::from(forecasts)));
    }
    let at = {
        let connection = request.connection_info();
        format!("{}://{}", connection.scheme(), connection.host())
    };
    let created: Vec<_> = jobs.iter().map(|job| created(job, &at)).collect();
    let deed = Deed::to_each("create", jobs.iter().map(wanted));
    let by = access::user(&request);
    audited(&site, &request, deed, move |site| async move { create_all(&site, &jobs, &by).await })
        .await?;
    let location = created.first().map(|job| job.url.clone()).unwrap_or_default();
    Ok(HttpResponse::Created()
        .insert_header((header::LOCATION, location))
        .json(Created { jobs: created }))
}

/// All of them, or none.
async fn create_all(site: &Site, jobs: &[Job], by: &str) -> Result<(), Problem> {
    site.scheduler.admits(jobs)?;
    for (done, job) in jobs.iter().enumerate() {
        if let Err(refusal) = site.scheduler.create(job.clone(), by).await {
            take_back(site, &jobs[..done]).await;
            let refusal = if done > 0 { refusal.halfway() } else { refusal };
            return Err(refusal.into());
        }
    }
    Ok(())
}

/// A job that is to be, and how much of it.
fn wanted(job: &Job) -> (Target, String) {
    let details = match job.instances {
        1 => "1 instance".into(),
        many => format!("{many} instances"),
    };
    (Target::Job(job.key.clone()), details)
}

/// Somebody else was quicker with one of the jobs, or with the role's quota; those before it must not stay.
async fn take_back(site: &Site, jobs: &[Job]) {
    for job in jobs {
        let message = "Another job of the same request could not be created";
        if let Err(refusal) = site.scheduler.kill(&job.key, None, message).await {
            tracing::warn!(job = %job.key, %refusal, "cannot take a job back");
        }
    }
}

/// The body's jobs, or everything that is wrong with all of them.
fn read_jobs(body: &[u8], limits: &Limits) -> Result<Vec<Job>, Problem> {
    let body: Value = serde_json::from_slice(body)
        .map_err(|error| Problem::bad_request(format!("the body is not JSON: {error}")))?;
    let Some(object) = body.as_object() else {
        return Err(Problem::invalid(complain("", "expected an object: {\"jobs\": […]}")));
    };
    let unknown = object.keys().filter(|&field| field != "jobs");
    let mut complaints: Vec<_> = unknown
        .map(|field| field.replace('~', "~0").replace('/', "~1"))
        .flat_map(|field| complain(&format!("/{field}"), "unknown field"))
        .collect();
    let specs = object.get("jobs").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    if specs.is_empty() {
        complaints.extend(complain("/jobs", "expected a list of at least one job"));
    }
    let (mut jobs, mut seen) = (Vec::new(), BTreeSet::new());
    for (i, spec) in specs.iter().enumerate() {
        match read_job(spec, limits, &mut seen) {
            Ok(job) => jobs.push(job),
            Err(wrong) => complaints.extend(
                wrong
                    .into_iter()
                    .map(|it| Complaint { pointer: format!("/jobs/{i}{}", it.pointer), ..it }),
            ),
        }
    }
    if complaints.is_empty() { Ok(jobs) } else { Err(Problem::invalid(complaints)) }
}

fn read_job(
    spec: &Value,
    limits: &Limits,
    seen: &mut BTreeSet<JobKey>,
) -> Result<Job, Vec<Complaint>> {
    let job = JobSpec::read_and_check(spec, limits)?;
    if job.config.kind == Kind::Cron {
        return Err(complain("/cron_schedule", "a job with a schedule is scheduled, not created"));
    }
    if !seen.insert(job.key.clone()) {
        let detail = "another job of this request has the same role, environment and name";
        return Err(complain("", detail));
    }
    Ok(job)
}

fn complain(pointer: &str, detail: &str) -> Vec<Complaint> {
    vec![Complaint { pointer: pointer.into(), detail: detail.into() }]
}

fn created(job: &Job, at: &str) -> CreatedJob {
    CreatedJob {
        role: job.key.role.clone(),
        environment: job.key.environment.clone(),
        name: job.key.name.clone(),
        instances: InstanceSet::first(job.instances),
        url: format!("{at}/scheduler/{}", job.key),
    }
}

/// List jobs.
#[utoipa::path(get, path = "/api/v1/jobs", tag = "jobs", params(
    ("role" = Option<String>, Query), ("environment" = Option<String>, Query),
    ("name" = Option<String>, Query),
), responses((status = 200, body = Page<JobSummary>)))]
pub(crate) async fn list(site: Data<Site>, which: Query<Which>) -> impl Responder {
    let items = site.scheduler.view().read(|view| {
        let jobs = view.jobs.iter().filter(|(key, _)| which.takes(key));
        jobs.map(|(_, job)| show::job_summary(job)).collect()
    });
    Json(Page::<JobSummary> { items, next: None })
}

/// Show a job: its configurations, instances, and why some are pending.
#[utoipa::path(get, path = "/api/v1/jobs/{role}/{environment}/{name}", tag = "jobs", params(
    ("role" = String, Path), ("environment" = String, Path), ("name" = String, Path),
), responses(
    (status = 200, body = JobDetail),
    (status = 404, body = Problem, content_type = "application/problem+json"),
))]
pub(crate) async fn get(
    site: Data<Site>,
    path: Path<(String, String, String)>,
) -> Result<Json<JobDetail>, Problem> {
    let key = key(path);
    let detail =
        site.scheduler.view().read(|view| view.jobs.get(&key).map(|it| show::job_detail(view, it)));
    detail.map(Json).ok_or_else(|| no_such_job(&key))
}

/// The runs of a job that have ended, newest first.
#[utoipa::path(get, path = "/api/v1/jobs/{role}/{environment}/{name}/history", tag = "jobs", params(
    ("role" = String, Path), ("environment" = String, Path), ("name" = String, Path),
    ("instance" = Option<u32>, Query), ("limit" = Option<usize>, Query, minimum = 1, maximum = 1000),
), responses((status = 200, body = Page<TaskSummary>)))]
pub(crate) async fn history(
    site: Data<Site>,
    path: Path<(String, String, String)>,
    query: Query<HistoryQuery>,
) -> Result<Json<Page<TaskSummary>>, Problem> {
    let limit = query.limit.unwrap_or(HISTORY_SHOWN).clamp(1, HISTORY_SHOWN_MAX);
    let items = ended(&site, key(path), query.instance, limit).await?;
    Ok(Json(Page { items, next: None }))
}

/// Ended runs, from the store.
pub(crate) async fn ended(
    site: &Site,
    job: JobKey,
    instance: Option<u32>,
    limit: usize,
) -> Result<Vec<TaskSummary>, Problem> {
    let scheduler = site.scheduler.clone();
    let runs = actix_web::web::block(move || scheduler.history(&job, instance, limit)).await??;
    Ok(runs.iter().filter_map(|(key, run)| show::task_of(key, run)).collect())
}

/// End instances of a job, or all of them.
#[utoipa::path(post, path = "/api/v1/jobs/{role}/{environment}/{name}/kill", tag = "jobs", params(
    ("role" = String, Path), ("environment" = String, Path), ("name" = String, Path),
), request_body = Selection, responses(
    (status = 200, body = Affected),
    (status = 404, body = Problem, content_type = "application/problem+json"),
))]
pub(crate) async fn kill(
    site: Data<Site>,
    request: HttpRequest,
    path: Path<(String, String, String)>,
    Json(selection): Json<Selection>,
) -> Result<Json<Affected>, Problem> {
    let (key, said) = (key(path), selection.message.clone());
    let (instances, message) = read_selection(selection, "Killed", &request)?;
    let deed = Deed::to_job("kill", &key)
        .details(&audit::instances(instances.as_ref()))
        .message(said.as_deref());
    audited(&site, &request, deed, move |site| async move {
        let instances = site.scheduler.kill(&key, instances, &message).await?;
        Ok(Json(Affected { instances }))
    })
    .await
}

/// Replace the runs of a job's instances, or of all of them, by new ones.
#[utoipa::path(post, path = "/api/v1/jobs/{role}/{environment}/{name}/restart", tag = "jobs", params(
    ("role" = String, Path), ("environment" = String, Path), ("name" = String, Path),
), request_body = Selection, responses(
    (status = 200, body = Affected),
    (status = 404, body = Problem, content_type = "application/problem+json"),
))]
pub(crate) async fn restart(
    site: Data<Site>,
    request: HttpRequest,
    path: Path<(String, String, String)>,
    Json(selection): Json<Selection>,
) -> Result<Json<Affected>, Problem> {
    let (key, said) = (key(path), selection.message.clone());
    let (instances, message) = read_selection(selection, "Restarted", &request)?;
    let deed = Deed::to_job("restart", &key)
        .details(&audit::instances(instances.as_ref()))
        .message(said.as_deref());
    audited(&site, &request, deed, move |site| async move {
        let instances = site.scheduler.restart(&key, instances, &message).await?;
        Ok(Json(Affected { instances }))
    })
    .await
}

/// Add instances to a job.
#[utoipa::path(post, path = "/api/v1/jobs/{role}/{environment}/{name}/instances", tag = "jobs", params(
    ("role" = String, Path), ("environment" = String, Path), ("name" = String, Path),
), request_body = AddInstances, responses(
    (status = 200, body = Affected),
    (status = 404, body = Problem, content_type = "application/problem+json"),
    (status = 422, body = Problem, content_type = "application/problem+json"),
))]
pub(crate) async fn add(
    site: Data<Site>,
    request: HttpRequest,
    path: Path<(String, String, String)>,
    Json(AddInstances { count }): Json<AddInstances>,
) -> Result<Json<Affected>, Problem> {
    if count == 0 {
        let detail = "at least one instance has to be added";
        return Err(Problem::invalid(complain("/count", detail)));
    }
    let key = key(path);
    let deed = Deed::to_job("add", &key).details(&format!("{count} more"));
    audited(&site, &request, deed, move |site| async move {
        let instances = site.scheduler.add(&key, count).await?;
        Ok(Json(Affected { instances }))
    })
    .await
}

fn read_selection(
    Selection { instances, message }: Selection,
    verb: &str,
    request: &HttpRequest,
) -> Result<(Option<InstanceSet>, String), Problem> {
    if instances.as_ref().is_some_and(Vec::is_empty) {
        let detail = "an empty list names no instance; leave it out to mean all";
        return Err(Problem::invalid(complain("/instances", detail)));
    }
    let said = message.filter(|it| !it.trim().is_empty());
    let message = said.unwrap_or_else(|| format!("{verb} by {}", access::user(request)));
    Ok((instances.map(|it| it.into_iter().collect()), message))
}

pub(crate) fn key(path: Path<(String, String, String)>) -> JobKey {
    let (role, environment, name) = path.into_inner();
    JobKey::new(role, environment, name)
}

pub(crate) fn no_such_job(key: &JobKey) -> Problem {
    Problem::not_found(format!("there is no job {key}"))
}
