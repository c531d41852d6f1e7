//! What operators may ask of the scheduler itself.

use actix_web::{
    HttpResponse,
    web::{Data, Json},
};
use airglow_model::{ids::HostId, pruning::Selection, spec::Complaint};

use crate::{
    Site,
    api::{Problem, Prune, Pruned, Reconcile, Reconciling},
};

/// Forget ended runs at once, however young they are; the oldest of a job first.
#[utoipa::path(post, path = "/api/v1/admin/prune", tag = "cluster", request_body = Prune, responses(
    (status = 200, body = Pruned),
    (status = 422, body = Problem, content_type = "application/problem+json"),
))]
pub(crate) async fn prune(
    site: Data<Site>,
    Json(what): Json<Prune>,
) -> Result<Json<Pruned>, Problem> {
    let pruned = site.scheduler.prune(read(what)?).await?;
    Ok(Json(Pruned { pruned }))
}

/// Ask hosts what they have, and correct what differs: the one that is named, or all.
#[utoipa::path(post, path = "/api/v1/admin/reconcile", tag = "cluster", request_body = Reconcile, responses(
    (status = 202, body = Reconciling),
    (status = 404, body = Problem, content_type = "application/problem+json"),
))]
pub(crate) async fn reconcile(
    site: Data<Site>,
    Json(Reconcile { host }): Json<Reconcile>,
) -> Result<HttpResponse, Problem> {
    let named = host.as_deref().map(HostId::from);
    let asked = site.scheduler.reconcile(named).await?;
    if let (0, Some(host)) = (asked, host) {
        return Err(Problem::not_found(format!("host {host} is not connected")));
    }
    Ok(HttpResponse::Accepted().json(Reconciling { asked }))
}

fn read(what: Prune) -> Result<Selection, Problem> {
    let Prune { role, environment, name, statuses, limit } = what;
    let active = statuses.iter().enumerate().filter(|(_, it)| it.is_active());
    let complaints: Vec<_> = active
        .map(|(i, status)| Complaint {
            pointer: format!("/statuses/{i}"),
            detail: format!("a run that is {status} has not ended"),
        })
        .collect();
    if !complaints.is_empty() {
        return Err(Problem::invalid_request(complaints));
    }
    let statuses = statuses.into_iter().collect();
    Ok(Selection { role, environment, name, statuses, limit })
}
