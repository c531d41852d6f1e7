//! For load balancers and monitoring.

use actix_web::{Responder, web::Data};

use crate::Site;

/// Whether this process answers.
#[utoipa::path(get, path = "/health", tag = "cluster", responses((status = 200, body = String)))]
pub(crate) async fn health() -> impl Responder {
    "OK"
}

/// Whether this scheduler is the one that decides. A single one always is.
#[utoipa::path(get, path = "/leader-health", tag = "cluster", responses((status = 200, body = String)))]
pub(crate) async fn leader_health(site: Data<Site>) -> impl Responder {
    site.scheduler.view().read(|view| format!("OK: leader, at commit {}", view.seq))
}
