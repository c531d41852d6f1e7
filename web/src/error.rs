//! Every way a request can fail, and the one place where that becomes a status code.

use std::fmt;

use actix_web::{
    HttpResponse, ResponseError,
    http::{StatusCode, header::ContentType},
};
use airglow_model::spec::Complaint;
use airglow_scheduler::{Refusal, StoreError, Unanswered};

use crate::api::{FieldError, Problem};

/// The media type of [`Problem`].
pub(crate) const PROBLEM_JSON: &str = "application/problem+json";

impl Problem {
    /// Nothing is known but the status.
    pub(crate) fn bare(status: StatusCode) -> Self {
        let title = status.canonical_reason().unwrap_or("Error");
        let kind = format!("/problems/{}", title.to_ascii_lowercase().replace([' ', '\''], "-"));
        Self { kind, title: title.to_owned(), status: status.as_u16(), ..Self::default() }
    }

    pub(crate) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self { detail: detail.into(), ..Self::bare(status) }
    }

    pub(crate) fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, detail)
    }

    pub(crate) fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    pub(crate) fn starting() -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "the scheduler is starting: try again")
    }

    /// There is nobody to decide anything.
    pub(crate) fn leaderless(detail: &str) -> Self {
        let status = StatusCode::SERVICE_UNAVAILABLE;
        Self::named("no-leader", "No leader", status, detail.to_owned())
    }

    /// Nobody knows how far it has come.
    pub(crate) fn crashed() -> Self {
        let detail =
            "the request crashed; this is a bug, and whether it was done is to be looked up";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, detail)
    }

    /// Something in the body is wrong; nothing was changed.
    pub(crate) fn invalid(complaints: Vec<Complaint>) -> Self {
        Self::complain("invalid-job", "Invalid job", complaints)
    }

    pub(crate) fn invalid_quota(complaints: Vec<Complaint>) -> Self {
        Self::complain("invalid-quota", "Invalid quota", complaints)
    }

    pub(crate) fn invalid_request(complaints: Vec<Complaint>) -> Self {
        Self::complain("invalid-request", "Invalid request", complaints)
    }

    fn complain(name: &str, title: &str, complaints: Vec<Complaint>) -> Self {
        let detail = match complaints.as_slice() {
            [only] => only.detail.clone(),
            all => format!("{} things are wrong", all.len()),
        };
        Self {
            kind: format!("/problems/{name}"),
            title: title.into(),
            errors: complaints.into_iter().map(FieldError::from).collect(),
            ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, detail)
        }
    }

    fn named(name: &str, title: &str, status: StatusCode, detail: String) -> Self {
        let kind = format!("/problems/{name}");
        Self { kind, title: title.into(), status: status.as_u16(), detail, errors: vec![] }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let (name, title, status) = match &refusal {
            Refusal::JobExists(_) => ("job-exists", "Job exists", StatusCode::CONFLICT),
            Refusal::NoSuchJob(_) => ("no-such-job", "No such job", StatusCode::NOT_FOUND),
            Refusal::NoSuchHost(_) => ("no-such-host", "No such host", StatusCode::NOT_FOUND),
            Refusal::HostInUse { .. } => ("host-in-use", "Host in use", StatusCode::CONFLICT),
            Refusal::NotRemoved(_) => ("not-removed", "Not removed", StatusCode::NOT_FOUND),
            Refusal::IsCron(_) => ("is-cron", "Is a cron job", StatusCode::CONFLICT),
            Refusal::NotCron(_) => ("no-such-cron", "No such cron job", StatusCode::NOT_FOUND),
            Refusal::OneWaits(_) => ("one-waits", "A run waits already", StatusCode::CONFLICT),
            Refusal::NoInstances { .. } => {
                ("no-instances", "No such instances", StatusCode::NOT_FOUND)
            }
            Refusal::TooMany { .. } => {
                ("too-many-instances", "Too many instances", StatusCode::UNPROCESSABLE_ENTITY)
            }
            Refusal::OverQuota { .. } => ("over-quota", "Over quota", StatusCode::CONFLICT),
            Refusal::QuotaBelowUse { .. } => {
                ("quota-below-use", "Quota below use", StatusCode::CONFLICT)
            }
            Refusal::Updating(_) => ("job-updating", "Job is being updated", StatusCode::CONFLICT),
            Refusal::NoSuchUpdate { .. } => {
                ("no-such-update", "No such update", StatusCode::NOT_FOUND)
            }
            Refusal::NotUpdatable(_) => {
                ("not-updatable", "Not updatable", StatusCode::UNPROCESSABLE_ENTITY)
            }
            Refusal::UnheardOf { .. } => {
                ("no-such-instances", "No such instances", StatusCode::UNPROCESSABLE_ENTITY)
            }
            Refusal::NotLikeThat { .. } => {
                ("update-status", "Not in this status", StatusCode::CONFLICT)
            }
            Refusal::TooManyFailures { .. } => {
                ("too-many-failures", "Too many failures", StatusCode::UNPROCESSABLE_ENTITY)
            }
            Refusal::NoSuchMember(_) => {
                ("no-such-member", "No such scheduler", StatusCode::NOT_FOUND)
            }
            Refusal::LastMember(_) => ("last-member", "Only scheduler", StatusCode::CONFLICT),
            Refusal::NotNow(_) => ("not-now", "Try again", StatusCode::SERVICE_UNAVAILABLE),
            // No status that has clients try again by themselves.
            Refusal::Unknown(_) => {
                ("unknown-outcome", "Unknown outcome", StatusCode::INTERNAL_SERVER_ERROR)
            }
        };
        Self::named(name, title, status, refusal.to_string())
    }
}

impl From<Unanswered> for Problem {
    fn from(unanswered: Unanswered) -> Self {
        let status = match unanswered {
            Unanswered::TimedOut(_) => StatusCode::GATEWAY_TIMEOUT,
            Unanswered::NotConnected(_) | Unanswered::Ended(_) => StatusCode::BAD_GATEWAY,
        };
        Self::named("host-silent", "Host does not answer", status, unanswered.to_string())
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        tracing::error!(error = &error as &dyn std::error::Error, "cannot read the history");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string())
    }
}

impl From<actix_web::error::BlockingError> for Problem {
    fn from(_: actix_web::error::BlockingError) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "the server is stopping")
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.detail.is_empty() { &self.title } else { &self.detail })
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn error_response(&self) -> HttpResponse {
        let body = serde_json::to_vec(self).expect("a problem has no map with odd keys");
        HttpResponse::build(self.status_code())
            .insert_header(ContentType(PROBLEM_JSON.parse().expect("a media type")))
            .body(body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_names_its_kind_and_says_what_happened() {
        let problem = Problem::not_found("there is no task x");
        assert_eq!(problem.kind, "/problems/not-found");
        assert_eq!(problem.to_string(), "there is no task x");
        assert_eq!(Problem::bare(StatusCode::METHOD_NOT_ALLOWED).to_string(), "Method Not Allowed");
    }

    #[test]
    fn every_complaint_about_a_job_is_told() {
        let complaint = |pointer: &str| Complaint { pointer: pointer.into(), detail: "no".into() };
        let problem = Problem::invalid(vec![complaint("/jobs/0/name"), complaint("/jobs/1")]);
        assert_eq!(problem.status, 422);
        assert_eq!(problem.detail, "2 things are wrong");
        assert_eq!(problem.errors.len(), 2);
    }
}
