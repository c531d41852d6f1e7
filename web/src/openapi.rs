//! The API's own description, put together from the endpoints, their types, and the configuration
//! language's table of fields.

use actix_web::HttpResponse;
use serde_json::Value;
use utoipa::OpenApi;

use crate::{
    admin, api, audit, cluster, cron, events, files, hosts, jobs, logs, metrics, processes, quotas,
    sla, tasks, updates,
};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Airglow",
        description = "Runs jobs on a mesh of machines, keeps them running, and updates them without stopping. Points in time are milliseconds since the Unix epoch.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    paths(
        jobs::create, jobs::list, jobs::get, jobs::history, jobs::kill, jobs::restart, jobs::add,
        cron::list, cron::get, cron::schedule, cron::deschedule, cron::start,
        sla::list,
        updates::start, updates::list, updates::get, updates::pause, updates::resume,
        updates::abort, updates::rollback, updates::pulse,
        tasks::list, tasks::get, processes::get, logs::get, files::get,
        hosts::list, hosts::get, hosts::metrics, hosts::maintain, hosts::drain, hosts::activate,
        hosts::offers, hosts::pending, cluster::tiers, cluster::quarantine,
        quotas::list, quotas::get, quotas::set, audit::list, admin::prune, admin::reconcile,
        events::get, cluster::health, cluster::leader_health, metrics::get, get,
    ),
    components(schemas(api::Problem, api::Changed, api::UpdateForecast)),
    tags(
        (name = "jobs", description = "What should run"),
        (name = "cron", description = "What should run, and when"),
        (name = "tasks", description = "What runs, ran or waits"),
        (name = "updates", description = "How jobs come to be otherwise"),
        (name = "hosts", description = "Where it runs"),
        (name = "quotas", description = "Who may have how much"),
        (name = "audit", description = "Who did what"),
        (name = "events", description = "What has changed"),
        (name = "cluster", description = "The scheduler itself"),
    ),
)]
struct Document;

/// This document.
#[utoipa::path(get, path = "/api/v1/openapi.json", tag = "cluster", responses((status = 200, body = Object)))]
pub(crate) async fn get() -> HttpResponse {
    HttpResponse::Ok().json(document())
}

pub(crate) fn document() -> Value {
    let mut document =
        serde_json::to_value(Document::openapi()).expect("the document is made of plain data");
    let schemas = &mut document["components"]["schemas"];
    if let (Some(ours), Value::Object(language)) =
        (schemas.as_object_mut(), airglow_model::schema::json_schema())
    {
        let clash = language.keys().find(|&it| ours.contains_key(it));
        assert_eq!(clash, None, "the language has a schema of that name already");
        ours.extend(language);
    }
    document
}
