//! What each role may have of a cluster's dependable resources, and what it has.

use std::collections::BTreeSet;

use actix_web::{
    HttpRequest, Responder,
    web::{Bytes, Data, Json, Path},
};
use airglow_model::{
    audit::Target, ids::is_identifier, quota::Consumption, resources::Resources, spec::Complaint,
};
use serde_json::Value;

use crate::{
    Site, access,
    api::{Amount, Page, Problem, Quota},
    audit::{Deed, audited},
};

/// Quotas and use of every role that has any of either.
#[utoipa::path(get, path = "/api/v1/quotas", tag = "quotas", responses(
    (status = 200, body = Page<Quota>),
))]
pub(crate) async fn list(site: Data<Site>) -> impl Responder {
    let roles: BTreeSet<String> = site.scheduler.view().read(|view| {
        let of_jobs = view.jobs.keys().map(|it| &it.role);
        of_jobs.chain(view.quotas.keys()).cloned().collect()
    });
    let items = roles.iter().map(|role| of(&site, role)).collect();
    Json(Page::<Quota> { items, next: None })
}

/// A role's quota and use; nothing of either if nobody has heard of it.
#[utoipa::path(get, path = "/api/v1/quotas/{role}", tag = "quotas", params(
    ("role" = String, Path),
), responses((status = 200, body = Quota)))]
pub(crate) async fn get(site: Data<Site>, role: Path<String>) -> impl Responder {
    Json(of(&site, &role))
}

/// Say how much production work on shared hosts a role may have. No less than it has already.
#[utoipa::path(put, path = "/api/v1/quotas/{role}", tag = "quotas", params(
    ("role" = String, Path),
), request_body = Amount, responses(
    (status = 200, body = Quota),
    (status = 409, body = Problem, content_type = "application/problem+json"),
    (status = 422, body = Problem, content_type = "application/problem+json"),
))]
pub(crate) async fn set(
    site: Data<Site>,
    request: HttpRequest,
    role: Path<String>,
    body: Bytes,
) -> Result<Json<Quota>, Problem> {
    if !is_identifier(&role) {
        return Err(Problem::bad_request(format!("'{role}' is no name for a role")));
    }
    let (role, limit) = (role.into_inner(), read_limit(&body)?);
    let Amount { cpu, ram_mb, disk_mb } = limit.into();
    let details = format!("{cpu} cores, {ram_mb} MB of memory, {disk_mb} MB of disk");
    let deed = Deed::new("set quota", Target::Role(role.clone())).details(&details);
    let by = access::user(&request);
    audited(&site, &request, deed, move |site| async move {
        site.scheduler.set_quota(&role, limit, &by).await?;
        Ok(Json(of(&site, &role)))
    })
    .await
}

pub(crate) fn of(site: &Site, role: &str) -> Quota {
    let (limit, used) = site.scheduler.quota(role);
    let Consumption { prod_shared, nonprod_shared, prod_dedicated, nonprod_dedicated } = used;
    Quota {
        role: role.to_owned(),
        quota: limit.map(Into::into),
        prod_shared: prod_shared.into(),
        nonprod_shared: nonprod_shared.into(),
        prod_dedicated: prod_dedicated.into(),
        nonprod_dedicated: nonprod_dedicated.into(),
    }
}

const FIELDS: [&str; 3] = ["cpu", "ram_mb", "disk_mb"];

/// The body's amounts, or everything that is wrong with them.
fn read_limit(body: &[u8]) -> Result<Resources, Problem> {
    let body: Value = serde_json::from_slice(body)
        .map_err(|error| Problem::bad_request(format!("the body is not JSON: {error}")))?;
    let mut complaints = Vec::new();
    let mut complain = |pointer: String, detail: &str| {
        complaints.push(Complaint { pointer, detail: detail.into() });
    };
    let Some(object) = body.as_object() else {
        complain(String::new(), "expected an object with cpu, ram_mb and disk_mb");
        return Err(Problem::invalid_quota(complaints));
    };
    for field in object.keys().filter(|it| !FIELDS.contains(&it.as_str())) {
        let field = field.replace('~', "~0").replace('/', "~1");
        complain(format!("/{field}"), "unknown field");
    }
    let [cpu_milli, ram_mb, disk_mb] = FIELDS.map(|field| {
        let amount = match (field, object.get(field)) {
            (_, None) => Err("is missing"),
            ("cpu", Some(cores)) => cores.as_f64().and_then(milli).ok_or(NO_CORES),
            (_, Some(mb)) => mb.as_u64().ok_or(NO_MB),
        };
        amount.unwrap_or_else(|detail| {
            complain(format!("/{field}"), detail);
            0
        })
    });
    if complaints.is_empty() {
        Ok(Resources { cpu_milli, ram_mb, disk_mb, gpus: 0 })
    } else {
        Err(Problem::invalid_quota(complaints))
    }
}

const NO_CORES: &str = "expected a number of cores, zero or more";
const NO_MB: &str = "expected a whole number of megabytes, zero or more";

fn milli(cores: f64) -> Option<u64> {
    // Nobody has more, and they are all exact.
    const MOST: f64 = 1e12;
    if !(0.0..=MOST).contains(&cores) {
        return None;
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is in between")]
    let milli = (cores * 1000.0).round() as u64;
    Some(milli)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_whole_or_every_mistake_is_told() {
        let pointers = |body: &str| {
            let problem = read_limit(body.as_bytes()).unwrap_err();
            problem.errors.into_iter().map(|it| it.pointer).collect::<Vec<_>>()
        };
        let limit = read_limit(br#"{"cpu": 4.5, "ram_mb": 1024, "disk_mb": 0}"#).unwrap();
        assert_eq!(limit, Resources { cpu_milli: 4500, ram_mb: 1024, disk_mb: 0, gpus: 0 });
        assert_eq!(pointers("[]"), [""]);
        assert_eq!(pointers(r#"{"cpu": 4}"#), ["/ram_mb", "/disk_mb"]);
        // Nobody has less than nothing.
        let negative = r#"{"cpu": -1, "ram_mb": -1, "disk_mb": 0.5, "gpus": 1, "a/b": 2}"#;
        assert_eq!(pointers(negative), ["/a~1b", "/gpus", "/cpu", "/ram_mb", "/disk_mb"]);
        assert_eq!(pointers(r#"{"cpu": 1e300, "ram_mb": 1, "disk_mb": 1}"#), ["/cpu"]);
        assert_eq!(read_limit(b"{").unwrap_err().status, 400);
    }
}
