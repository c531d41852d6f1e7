//! The API's own description, put together from the endpoints, their types, and the configuration
//! language's table of fields.

use actix_web::HttpResponse;
use serde_json::{Value, json};
use utoipa::OpenApi;

use crate::{
    Verb,
    access::{self, Need},
    admin, api, audit, cluster, cron, events, files, hosts, jobs, leading, logs, metrics,
    processes, quotas, sla, snapshots, tasks, tokens, updates, users,
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
        hosts::remove, hosts::removals, hosts::readmit, tokens::list, tokens::rotate,
        hosts::offers, hosts::pending, cluster::tiers, cluster::quarantine,
        quotas::list, quotas::get, quotas::set, audit::list, admin::prune, admin::reconcile,
        snapshots::list, snapshots::make,
        users::log_in, users::log_out, users::whoami, users::list, users::add, users::remove,
        users::grant, users::set_password, users::tokens, users::create_token, users::revoke_token,
        events::get, cluster::health, leading::health, leading::members, leading::dismiss, metrics::get, get,
    ),
    components(schemas(api::Problem, api::Changed, api::UpdateForecast)),
    tags(
        (name = "jobs", description = "What should run"),
        (name = "cron", description = "What should run, and when"),
        (name = "tasks", description = "What runs, ran or waits"),
        (name = "updates", description = "How jobs come to be otherwise"),
        (name = "hosts", description = "Where it runs"),
        (name = "quotas", description = "Who may have how much"),
        (name = "access", description = "Who may do what"),
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
    protect(&mut document);
    document
}

/// What every endpoint may answer to whoever is not known, or may not.
fn protect(document: &mut Value) {
    document["components"]["securitySchemes"] = json!({
        "token": {"type": "http", "scheme": "bearer", "description": "From /api/v1/login, or made for a program"},
        "session": {"type": "apiKey", "in": "cookie", "name": "airglow-session", "description": "A browser that has logged in; __Host-airglow-session under TLS"},
    });
    document["security"] = json!([{"token": []}, {"session": []}]);
    let paths = document["paths"].as_object_mut().into_iter().flatten();
    for (path, method, endpoint) in paths.flat_map(|(path, methods)| {
        let methods = methods.as_object_mut().into_iter().flatten();
        methods.map(move |(method, endpoint)| (path, method, endpoint))
    }) {
        let method = Verb::named(method).expect("only such endpoints are served");
        if access::need(method, path) == Need::Nothing {
            endpoint["security"] = json!([]);
            continue;
        }
        for (status, description) in [("401", "Say who you are"), ("403", "You may not do that")] {
            let schema = json!({"schema": {"$ref": "#/components/schemas/Problem"}});
            let content = json!({"application/problem+json": schema});
            let answer = json!({"description": description, "content": content});
            let answers = endpoint["responses"].as_object_mut();
            answers.map(|it| it.entry(status).or_insert(answer));
        }
    }
}
