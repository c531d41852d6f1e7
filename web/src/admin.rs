//! What operators may ask of the scheduler itself.

use actix_web::{
    HttpRequest, HttpResponse,
    web::{Data, Json},
};
use airglow_model::{
    audit::Target,
    ids::{HostId, JobKey},
    pruning::Selection,
    spec::Complaint,
};

use crate::{
    Site,
    api::{Problem, Prune, Pruned, Reconcile, Reconciling},
    audit::{Deed, audited},
};

/// Forget ended runs at once, however young they are; the oldest of a job first.
#[utoipa::path(post, path = "/api/v1/admin/prune", tag = "cluster", request_body = Prune, responses(
    (status = 200, body = Pruned),
    (status = 422, body = Problem, content_type = "application/problem+json"),
))]
pub(crate) async fn prune(
    site: Data<Site>,
    request: HttpRequest,
    Json(what): Json<Prune>,
) -> Result<Json<Pruned>, Problem> {
    let what = read(what)?;
    let deed = Deed::new("prune", target(&what)).details(&in_words(&what));
    audited(&site, &request, deed, move |site| async move {
        let pruned = site.scheduler.prune(what).await?;
        Ok(Json(Pruned { pruned }))
    })
    .await
}

/// Ask hosts what they have, and correct what differs: the one that is named, or all.
#[utoipa::path(post, path = "/api/v1/admin/reconcile", tag = "cluster", request_body = Reconcile, responses(
    (status = 202, body = Reconciling),
    (status = 404, body = Problem, content_type = "application/problem+json"),
))]
pub(crate) async fn reconcile(
    site: Data<Site>,
    request: HttpRequest,
    Json(Reconcile { host }): Json<Reconcile>,
) -> Result<HttpResponse, Problem> {
    let named = host.as_deref().map(HostId::from);
    let deed = Deed::new("reconcile", named.clone().map_or(Target::Cluster, Target::Host));
    audited(&site, &request, deed, move |site| async move {
        let asked = site.scheduler.reconcile(named).await?;
        if let (0, Some(host)) = (asked, host) {
            return Err(Problem::not_found(format!("host {host} is not connected")));
        }
        Ok(HttpResponse::Accepted().json(Reconciling { asked }))
    })
    .await
}

/// The narrowest that it is about.
fn target(Selection { role, environment, name, .. }: &Selection) -> Target {
    match (role, environment, name) {
        (Some(role), Some(environment), Some(name)) => {
            Target::Job(JobKey::new(role, environment, name))
        }
        (Some(role), _, _) => Target::Role(role.clone()),
        (None, _, _) => Target::Cluster,
    }
}

/// In a sentence.
fn in_words(Selection { role, environment, name, statuses, limit }: &Selection) -> String {
    let any = |part: &Option<String>| part.clone().unwrap_or_else(|| "*".into());
    let most = limit.map_or_else(String::new, |it| format!("at most {it} "));
    let names: Vec<_> = statuses.iter().map(|it| it.name()).collect();
    let which =
        if names.is_empty() { String::new() } else { format!(" that are {}", names.join(", ")) };
    format!("{most}ended runs of {}/{}/{}{which}", any(role), any(environment), any(name))
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
