//! The scheduler itself: whether it is well, and what it allows.

use actix_web::{
    Responder,
    web::{Data, Json},
};

use crate::{
    Site,
    api::{Page, Quarantined, Tier},
    show,
};

/// Whether this process answers.
#[utoipa::path(get, path = "/health", tag = "cluster", responses((status = 200, body = String)))]
pub(crate) async fn health() -> impl Responder {
    "OK"
}

/// The tiers that jobs can ask for.
#[utoipa::path(get, path = "/api/v1/tiers", tag = "cluster", responses(
    (status = 200, body = Page<Tier>),
))]
pub(crate) async fn tiers(site: Data<Site>) -> impl Responder {
    let all = &site.scheduler.limits().tiers;
    let tier = |(name, it): (&String, &airglow_model::tier::Tier)| Tier {
        name: name.clone(),
        default: *name == all.default,
        preemptible: it.preemptible,
        revocable: it.revocable,
    };
    Json(Page::<Tier> { items: all.tiers.iter().map(tier).collect(), next: None })
}

/// What kept crashing inside the scheduler and was left alone.
#[utoipa::path(get, path = "/api/v1/quarantine", tag = "cluster", responses(
    (status = 200, body = Page<Quarantined>),
))]
pub(crate) async fn quarantine(site: Data<Site>) -> impl Responder {
    let items = site.scheduler.view().read(|view| show::quarantined(view, |_| true));
    Json(Page::<Quarantined> { items, next: None })
}
