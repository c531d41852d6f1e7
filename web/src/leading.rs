//! Where several schedulers share their records only one decides, and only that one is asked.
//!
//! Any of them may be addressed: those that follow send whoever asks on to the one that leads, with
//! the request as it is. What they can say of themselves they do say.

use actix_web::{
    Error, HttpRequest, HttpResponse, ResponseError,
    body::{BoxBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    http::{StatusCode, header},
    middleware::Next,
    web::{Data, Json, Path},
};
use airglow_model::audit::Target;
use airglow_scheduler::{Member, Standing};

use crate::{
    Site, access,
    api::{Page, Problem, Scheduler},
    audit::{Deed, audited},
};

/// How long it usually takes until there is a leader again.
const RETRY_AFTER_SECS: u64 = 1;

/// Sends on what only a leader can answer.
pub(crate) async fn send_on<B: MessageBody + 'static>(
    site: Data<Site>,
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    match site.scheduler.standing() {
        Standing::Follows(leader) if !is_own(request.path(), request.method().is_safe()) => {
            let response = elsewhere(request.request(), leader.as_ref(), site.access.encrypted);
            Ok(request.into_response(response))
        }
        Standing::Follows(_) | Standing::Leads => {
            // Those who are sent on are known to whom they are sent.
            if let Err(refused) = access::identify(&site, request.request()) {
                let response = refused.respond(request.request());
                return Ok(request.into_response(response));
            }
            Ok(next.call(request).await?.map_into_boxed_body())
        }
    }
}

/// What each scheduler says of itself, and what is the same everywhere.
fn is_own(path: &str, only_reads: bool) -> bool {
    const OWN: [&str; 5] =
        ["/health", "/leader-health", "/metrics", "/api/v1/members", "/api/v1/openapi.json"];
    only_reads && (OWN.contains(&path) || path.starts_with("/assets/"))
}

/// A scheduler that is asked over TLS sends nobody to where everybody listens, and none to itself.
fn elsewhere(request: &HttpRequest, leader: Option<&Member>, encrypted: bool) -> HttpResponse {
    let host = request.headers().get(header::HOST).and_then(|it| it.to_str().ok());
    let can_be_asked = |it: &&Member| {
        let there = it.api.split_once("://");
        there.is_some_and(|(scheme, at)| Some(at) != host && (scheme == "https" || !encrypted))
    };
    let Some(leader) = leader.filter(can_be_asked) else {
        let problem = match leader {
            None => Problem::leaderless("no scheduler leads at the moment: try again"),
            Some(it) => Problem::leaderless(&format!(
                "{} leads, and does not say where its API can be reached from here: ask there, or see \
                 to `api` in its settings",
                it.name
            )),
        };
        let mut response = problem.error_response();
        response.headers_mut().insert(header::RETRY_AFTER, RETRY_AFTER_SECS.into());
        return response;
    };
    if matches!(request.path(), "/login" | "/logout") && !request.method().is_safe() {
        // No browser sends a form on to another site, and no password should go there.
        return HttpResponse::SeeOther()
            .cookie(access::no_cookie(encrypted))
            .insert_header((header::LOCATION, format!("{}/login", leader.api)))
            .finish();
    }
    let path = request.uri().path_and_query().map_or("/", |it| it.as_str());
    let location = format!("{}{path}", leader.api.trim_end_matches('/'));
    HttpResponse::TemporaryRedirect().insert_header((header::LOCATION, location)).finish()
}

/// Whether this scheduler is the one that decides. A single one always is.
#[utoipa::path(get, path = "/leader-health", tag = "cluster", responses(
    (status = 200, body = String),
    (status = 502, body = Problem, content_type = "application/problem+json", description = "No scheduler leads"),
    (status = 503, body = Problem, content_type = "application/problem+json", description = "Another scheduler leads"),
))]
pub(crate) async fn health(site: Data<Site>) -> Result<String, Problem> {
    match site.scheduler.standing() {
        Standing::Leads => {
            Ok(site.scheduler.view().read(|view| format!("OK: leader, at commit {}", view.seq)))
        }
        Standing::Follows(Some(Member { name, api, .. })) => {
            let detail = format!("the leader is {name}, {api}");
            Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail))
        }
        Standing::Follows(None) => {
            Err(Problem::new(StatusCode::BAD_GATEWAY, "no scheduler leads at the moment"))
        }
    }
}

/// The schedulers that share the cluster's records, as the one that answers knows them.
#[utoipa::path(get, path = "/api/v1/members", tag = "cluster", responses(
    (status = 200, body = Page<Scheduler>),
))]
pub(crate) async fn members(site: Data<Site>) -> Json<Page<Scheduler>> {
    let items = site.scheduler.members().into_iter().map(Scheduler::from).collect();
    Json(Page { items, next: None })
}

/// Let a scheduler share the cluster's records no more: its word counts for nothing from then on.
/// It has to be stopped as well.
#[utoipa::path(delete, path = "/api/v1/members/{member}", tag = "cluster",
    params(("member" = String, Path, description = "Its name")),
    responses(
        (status = 204),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 409, body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn dismiss(
    site: Data<Site>,
    request: HttpRequest,
    name: Path<String>,
) -> Result<HttpResponse, Problem> {
    let name = name.into_inner();
    let deed = Deed::new("dismiss", Target::Cluster).details(&format!("The scheduler {name}"));
    audited(&site, &request, deed, move |site| async move {
        site.scheduler.dismiss(&name).await?;
        Ok(HttpResponse::NoContent().finish())
    })
    .await
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn what_a_leader_has_to_answer_is_sent_on_as_it_is() {
        let request = TestRequest::post().uri("/api/v1/jobs?dry_run=true&x=%2F").to_http_request();
        let mesh = SocketAddr::from(([10, 0, 0, 1], 8082));
        let leader = Member { name: "a".into(), mesh, api: "http://10.0.0.1:8081".into() };
        let response = elsewhere(&request, Some(&leader), false);
        assert_eq!(response.status(), StatusCode::TEMPORARY_REDIRECT);
        let location = response.headers().get(header::LOCATION).unwrap();
        assert_eq!(location, "http://10.0.0.1:8081/api/v1/jobs?dry_run=true&x=%2F");

        let response = elsewhere(&request, None, false);
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(response.headers().get(header::RETRY_AFTER).unwrap(), "1");

        let response =
            elsewhere(&request, Some(&Member { api: String::new(), ..leader.clone() }), false);
        assert_eq!(
            response.status(),
            StatusCode::SERVICE_UNAVAILABLE,
            "it would be sent to itself"
        );
        let response = elsewhere(&request, Some(&leader), true);
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE, "from TLS to anybody");

        let form = TestRequest::post().uri("/login").to_http_request();
        let response = elsewhere(&form, Some(&leader), false);
        assert_eq!(response.status(), StatusCode::SEE_OTHER, "a password is not sent on");
        assert_eq!(response.headers().get(header::LOCATION).unwrap(), "http://10.0.0.1:8081/login");
    }

    #[test]
    fn each_answers_for_itself() {
        assert!(is_own("/health", true) && is_own("/assets/airglow.css", true));
        assert!(!is_own("/", true) && !is_own("/api/v1/jobs", true));
        assert!(!is_own("/api/v1/members", false), "changing something is the leader's business");
    }
}
