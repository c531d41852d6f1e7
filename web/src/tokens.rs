//! The tokens that let machines join.
//!
//! Whoever has one can become part of the cluster, so they are told only to those who are on the
//! scheduler's own machine, and that is written down.

use std::time::Duration;

use actix_web::{
    HttpRequest,
    web::{Data, Json, Path},
};
use airglow_model::{
    audit::Target,
    joining::{Purpose, Tokens},
    spec::Complaint,
};

use crate::{
    Site,
    access::is_from_here,
    api::{Page, Problem, Rotate, Token},
    audit::{Deed, audited},
};

/// Nobody waits longer, and sums of it are still points in time.
const SECS_MAX: u64 = 366 * 24 * 60 * 60;

/// Show the tokens that let machines join; their text only on the scheduler's own machine.
#[utoipa::path(get, path = "/api/v1/tokens", tag = "hosts", responses(
    (status = 200, body = Page<Token>),
    (status = 503, body = Problem, content_type = "application/problem+json"),
))]
pub(crate) async fn list(
    site: Data<Site>,
    request: HttpRequest,
) -> Result<Json<Page<Token>>, Problem> {
    if !is_from_here(&request) {
        return shown(&site, false).map(Json);
    }
    audited(&site, &request, Deed::new("show tokens", Target::Cluster), |site| async move {
        shown(&site, true).map(Json)
    })
    .await
}

/// Make another token: those of before are good for nothing from then on.
#[utoipa::path(post, path = "/api/v1/tokens/{purpose}/rotate", tag = "hosts", params(
    ("purpose" = String, Path, description = "`agent` or `scheduler`"),
), request_body = Rotate, responses(
    (status = 200, body = Token),
    (status = 404, body = Problem, content_type = "application/problem+json"),
    (status = 422, body = Problem, content_type = "application/problem+json"),
))]
pub(crate) async fn rotate(
    site: Data<Site>,
    request: HttpRequest,
    purpose: Path<String>,
    Json(Rotate { expires_secs }): Json<Rotate>,
) -> Result<Json<Token>, Problem> {
    let purpose = Purpose::ALL.into_iter().find(|it| it.name() == *purpose);
    let purpose = purpose.ok_or_else(|| {
        Problem::not_found("there are tokens for each `agent` and each `scheduler`, and no others")
    })?;
    let lasts = expires_secs.map(read).transpose()?;
    let may_see = is_from_here(&request);
    let until = expires_secs.map_or_else(String::new, |it| format!(", good for {it} s"));
    let details = format!("Of each {}{until}", purpose.name());
    let deed = Deed::new("rotate token", Target::Cluster).details(&details);
    audited(&site, &request, deed, move |site| async move {
        let tokens = site.scheduler.rotate(purpose, lasts).await?;
        Ok(Json(of(&site, &tokens, purpose, may_see)))
    })
    .await
}

fn read(secs: u64) -> Result<Duration, Problem> {
    if (1..=SECS_MAX).contains(&secs) {
        return Ok(Duration::from_secs(secs));
    }
    let detail = "expected a whole number of seconds, at least one and at most a year".into();
    Err(Problem::invalid_request(vec![Complaint { pointer: "/expires_secs".into(), detail }]))
}

fn shown(site: &Site, may_see: bool) -> Result<Page<Token>, Problem> {
    let tokens = site.scheduler.tokens().ok_or_else(Problem::starting)?;
    let items = Purpose::ALL.map(|purpose| of(site, &tokens, purpose, may_see)).into();
    Ok(Page { items, next: None })
}

fn of(site: &Site, tokens: &Tokens, purpose: Purpose, may_see: bool) -> Token {
    let generation = tokens.of(purpose);
    let text = || site.scheduler.authority().token(purpose, generation.number).to_string();
    Token {
        purpose: purpose.name().to_owned(),
        generation: generation.number,
        since: generation.since,
        expires_at: generation.expires_at,
        token: may_see.then(text),
    }
}
