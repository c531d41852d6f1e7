//! Updates: beginning, showing, pausing, turning back, ending them.

use actix_web::{
    HttpRequest, HttpResponse, Responder,
    web::{Bytes, Data, Json, Path, Query},
};
use airglow_model::{
    ids::{JobKey, UpdateId, UpdateKey},
    spec::{Complaint, JobSpec},
    update::{Asked, Event},
};
use airglow_scheduler as scheduler;
use airglow_scheduler::Refusal;
use serde::Deserialize;
use serde_json::Value;

use crate::{
    Site, access,
    api::{
        Page, Problem, Pulsed, StartUpdate, UpdateCommand, UpdateDetail, UpdateForecast,
        UpdateStarted, UpdateSummary,
    },
    audit::{self, Deed, audited},
};

mod show;

pub(crate) use show::{batches, detail, outline, summary};

#[derive(Deserialize)]
pub(crate) struct StartQuery {
    dry_run: Option<bool>,
}

#[derive(Deserialize)]
pub(crate) struct Which {
    role: Option<String>,
    environment: Option<String>,
    name: Option<String>,
    /// `role/environment/name`.
    job: Option<String>,
    /// Of any of these, with commas between them.
    status: Option<String>,
    user: Option<String>,
}

pub(crate) type UpdatePath = Path<(String, String, String, String)>;

/// What is answered when nothing has to be done.
const UNCHANGED: &str = "Job is unchanged by proposed update.";

/// Begin to update a job. Or only say what that would come to.
#[utoipa::path(post, path = "/api/v1/updates", tag = "updates", params(
    ("dry_run" = Option<bool>, Query, description = "Change nothing, and answer with a forecast"),
), request_body = StartUpdate, responses(
    (status = 200, body = UpdateStarted, description = "There is nothing to do. After a dry run: \
     an UpdateForecast"),
    (status = 201, body = UpdateStarted),
    (status = 409, body = Problem, content_type = "application/problem+json"),
    (status = 422, body = Problem, content_type = "application/problem+json"),
))]
pub(crate) async fn start(
    site: Data<Site>,
    request: HttpRequest,
    query: Query<StartQuery>,
    body: Bytes,
) -> Result<HttpResponse, Problem> {
    let start = read(&body, &site, &request)?;
    if query.dry_run.unwrap_or(false) {
        let role = start.job.key.role.clone();
        let forecast = UpdateForecast::new(&role, site.scheduler.forecast_update(start).await?);
        return Ok(HttpResponse::Ok().json(forecast));
    }
    let deed = Deed::to_job("update", &start.job.key)
        .details(&audit::instances(start.only.as_ref()))
        .message(Some(&start.asked.message));
    let started = audited(&site, &request, deed, move |site| async move {
        Ok(site.scheduler.start_update(start).await?)
    });
    let Some(key) = started.await? else {
        let message = UNCHANGED.to_owned();
        return Ok(HttpResponse::Ok().json(UpdateStarted { update: None, url: None, message }));
    };
    let update = site.scheduler.view().read(|view| view.updates.get(&key).map(summary));
    let url = {
        let connection = request.connection_info();
        format!("{}://{}/update/{key}", connection.scheme(), connection.host())
    };
    let message = format!("Job update {} has started", key.id);
    Ok(HttpResponse::Created().json(UpdateStarted { update, url: Some(url), message }))
}

/// What is wanted, or everything that is wrong with it.
fn read(
    body: &[u8],
    site: &Site,
    request: &HttpRequest,
) -> Result<scheduler::StartUpdate, Problem> {
    let mut body: Value = serde_json::from_slice(body)
        .map_err(|error| Problem::bad_request(format!("the body is not JSON: {error}")))?;
    let complain = |pointer: &str, detail: &str| Complaint {
        pointer: pointer.to_owned(),
        detail: detail.to_owned(),
    };
    let Some(object) = body.as_object_mut() else {
        let detail = "expected an object: {\"job\": {…}}";
        return Err(Problem::invalid(vec![complain("", detail)]));
    };
    let job = object.remove("job").unwrap_or_default();
    let job = JobSpec::read_and_check(&job, site.scheduler.limits()).map_err(|wrong| {
        let inside = |it: Complaint| Complaint { pointer: format!("/job{}", it.pointer), ..it };
        Problem::invalid(wrong.into_iter().map(inside).collect())
    })?;
    // The rest is read without the job, which has just been read better.
    object.insert("job".to_owned(), serde_json::json!(job.config.spec));
    let start: StartUpdate = serde_json::from_value(body)
        .map_err(|error| Problem::invalid(vec![complain("", &error.to_string())]))?;
    Ok(scheduler::StartUpdate {
        job,
        only: start.instances,
        asked: asked(request, start.message),
        metadata: start.metadata,
    })
}

fn asked(request: &HttpRequest, message: Option<String>) -> Asked {
    Asked { by: access::user(request), message: message.unwrap_or_default() }
}

/// List updates, newest first: those that go on, and those that ended and are remembered.
#[utoipa::path(get, path = "/api/v1/updates", tag = "updates", params(
    ("role" = Option<String>, Query), ("environment" = Option<String>, Query),
    ("name" = Option<String>, Query),
    ("job" = Option<String>, Query, description = "role/environment/name"),
    ("status" = Option<String>, Query, description = "any of these, with commas between them"),
    ("user" = Option<String>, Query),
), responses((status = 200, body = Page<UpdateSummary>)))]
pub(crate) async fn list(site: Data<Site>, which: Query<Which>) -> impl Responder {
    let is = |asked: &Option<String>, it: &str| asked.as_ref().is_none_or(|asked| asked == it);
    let mut items: Vec<_> = site.scheduler.view().read(|view| {
        let updates = view.updates.iter().filter(|(key, it)| {
            let status = it.update.status.name();
            is(&which.role, &key.job.role)
                && is(&which.environment, &key.job.environment)
                && is(&which.name, &key.job.name)
                && is(&which.user, &it.update.by)
                && which.job.as_ref().is_none_or(|job| *job == key.job.to_string())
                && which.status.as_ref().is_none_or(|all| all.split(',').any(|it| it == status))
        });
        updates.map(|(_, it)| summary(it)).collect()
    });
    items.sort_by_key(|it| std::cmp::Reverse((it.active, it.modified_at)));
    Json(Page::<UpdateSummary> { items, next: None })
}

/// Show an update: how far it has come, and what happened.
#[utoipa::path(get, path = "/api/v1/updates/{role}/{environment}/{name}/{id}", tag = "updates",
    params(
        ("role" = String, Path), ("environment" = String, Path), ("name" = String, Path),
        ("id" = String, Path),
    ),
    responses(
        (status = 200, body = UpdateDetail),
        (status = 404, body = Problem, content_type = "application/problem+json"),
    ))]
pub(crate) async fn get(site: Data<Site>, path: UpdatePath) -> Result<Json<UpdateDetail>, Problem> {
    let key = key(path);
    Ok(Json(of(&site, &key)?))
}

fn of(site: &Site, key: &UpdateKey) -> Result<UpdateDetail, Refusal> {
    let found = site.scheduler.view().read(|view| Some(detail(view, view.updates.get(key)?)));
    found.ok_or_else(|| Refusal::NoSuchUpdate { job: key.job.clone(), id: Some(key.id.clone()) })
}

/// Begin nothing more until it is resumed.
#[utoipa::path(post, path = "/api/v1/updates/{role}/{environment}/{name}/{id}/pause",
    tag = "updates", params(
        ("role" = String, Path), ("environment" = String, Path), ("name" = String, Path),
        ("id" = String, Path),
    ), request_body = UpdateCommand, responses(
        (status = 200, body = UpdateSummary),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 409, body = Problem, content_type = "application/problem+json"),
    ))]
pub(crate) async fn pause(
    site: Data<Site>,
    request: HttpRequest,
    path: UpdatePath,
    Json(UpdateCommand { message }): Json<UpdateCommand>,
) -> Result<Json<UpdateSummary>, Problem> {
    let order = ("pause update", path);
    command(&site, &request, order, asked(&request, message), Event::PauseAsked).await
}

/// Go on with one that is paused.
#[utoipa::path(post, path = "/api/v1/updates/{role}/{environment}/{name}/{id}/resume",
    tag = "updates", params(
        ("role" = String, Path), ("environment" = String, Path), ("name" = String, Path),
        ("id" = String, Path),
    ), request_body = UpdateCommand, responses(
        (status = 200, body = UpdateSummary),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 409, body = Problem, content_type = "application/problem+json"),
    ))]
pub(crate) async fn resume(
    site: Data<Site>,
    request: HttpRequest,
    path: UpdatePath,
    Json(UpdateCommand { message }): Json<UpdateCommand>,
) -> Result<Json<UpdateSummary>, Problem> {
    let order = ("resume update", path);
    command(&site, &request, order, asked(&request, message), Event::ResumeAsked).await
}

/// End it where it is: instances keep what they have.
#[utoipa::path(post, path = "/api/v1/updates/{role}/{environment}/{name}/{id}/abort",
    tag = "updates", params(
        ("role" = String, Path), ("environment" = String, Path), ("name" = String, Path),
        ("id" = String, Path),
    ), request_body = UpdateCommand, responses(
        (status = 200, body = UpdateSummary),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 409, body = Problem, content_type = "application/problem+json"),
    ))]
pub(crate) async fn abort(
    site: Data<Site>,
    request: HttpRequest,
    path: UpdatePath,
    Json(UpdateCommand { message }): Json<UpdateCommand>,
) -> Result<Json<UpdateSummary>, Problem> {
    let order = ("abort update", path);
    command(&site, &request, order, asked(&request, message), Event::AbortAsked).await
}

/// Undo what it has done.
#[utoipa::path(post, path = "/api/v1/updates/{role}/{environment}/{name}/{id}/rollback",
    tag = "updates", params(
        ("role" = String, Path), ("environment" = String, Path), ("name" = String, Path),
        ("id" = String, Path),
    ), request_body = UpdateCommand, responses(
        (status = 200, body = UpdateSummary),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 409, body = Problem, content_type = "application/problem+json"),
    ))]
pub(crate) async fn rollback(
    site: Data<Site>,
    request: HttpRequest,
    path: UpdatePath,
    Json(UpdateCommand { message }): Json<UpdateCommand>,
) -> Result<Json<UpdateSummary>, Problem> {
    let order = ("roll back update", path);
    command(&site, &request, order, asked(&request, message), Event::RollbackAsked).await
}

/// Say to a coordinated update that all is well. Not an error where there is nothing to say it to.
/// It comes every few seconds, so it leaves no entry in the audit trail.
#[utoipa::path(post, path = "/api/v1/updates/{role}/{environment}/{name}/{id}/pulse",
    tag = "updates", params(
        ("role" = String, Path), ("environment" = String, Path), ("name" = String, Path),
        ("id" = String, Path),
    ), responses((status = 200, body = Pulsed)))]
pub(crate) async fn pulse(site: Data<Site>, path: UpdatePath) -> Result<Json<Pulsed>, Problem> {
    let status = match site.scheduler.command_update(&key(path), Event::Pulsed).await {
        Ok(()) => "OK",
        Err(Refusal::NoSuchUpdate { .. } | Refusal::NotLikeThat { .. }) => "FINISHED",
        Err(refusal) => return Err(refusal.into()),
    };
    Ok(Json(Pulsed { status: status.to_owned() }))
}

/// What somebody asks of an update that there is.
async fn command(
    site: &Data<Site>,
    request: &HttpRequest,
    (verb, path): (&'static str, UpdatePath),
    asked: Asked,
    event: impl FnOnce(Asked) -> Event,
) -> Result<Json<UpdateSummary>, Problem> {
    let key = key(path);
    let deed = Deed::to_job(verb, &key.job)
        .details(&format!("Update {}", key.id))
        .message(Some(&asked.message));
    let (update, event) = (key.clone(), event(asked));
    audited(site, request, deed, move |site| async move {
        Ok(site.scheduler.command_update(&update, event).await?)
    })
    .await?;
    let found = site.scheduler.view().read(|view| view.updates.get(&key).map(summary));
    let gone = || Refusal::NoSuchUpdate { job: key.job.clone(), id: Some(key.id.clone()) };
    Ok(Json(found.ok_or_else(gone)?))
}

pub(crate) fn key(path: UpdatePath) -> UpdateKey {
    let (role, environment, name, id) = path.into_inner();
    UpdateKey { job: JobKey::new(role, environment, name), id: UpdateId(id.into()) }
}
