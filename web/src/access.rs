//! Who asks, and whether they may: decided here for every request, and nowhere else.
//!
//! [`identify`] sees every request, and finds out whose it is. [`permit`] stands before each
//! endpoint, knows by [`needs`] what that asks for, and by the user's grants and the pass's own
//! limits whether to let the request through. Where nobody is known to the cluster nobody has to say
//! who they are, as long as they ask from where that is safe.

use std::{
    net::SocketAddr,
    rc::Rc,
    sync::{Mutex, MutexGuard, PoisonError},
};

use actix_web::{
    Error, HttpMessage, HttpRequest, HttpResponse, ResponseError,
    body::BoxBody,
    dev::{Payload, ServiceRequest, ServiceResponse},
    http::{
        Method, StatusCode,
        header::{self, HeaderValue},
    },
    middleware::Next,
    web::{Bytes, Data},
};
use airglow_model::{
    access::{Accounts, Purpose, Wish},
    ids::JobKey,
    machine::Timestamp,
    permission::{Grants, On, Verb},
    spec::JobSpec,
};
use airglow_scheduler::now;
use futures_util::stream;
use serde_json::Value;
use tokio::sync::Semaphore;

use crate::{Config, Site, api::Problem, connections::Line, security};

mod failures;
mod login;
mod needs;
pub(crate) mod secrets;

pub(crate) use failures::network;
use failures::{Failures, Whose};
pub(crate) use login::{Denied, PASSWORD_MAX, cookie, here, log_in, new_cookie, no_cookie, turn};
pub(crate) use needs::{Need, need};

/// Whom the history names where there are no accounts.
pub(crate) const ANYONE: &str = "anonymous";

/// How many passwords are looked at at a time: each takes a processor and 19 MiB.
const HASHING_MAX: usize = 2;

/// How this site decides whom to believe.
pub(crate) struct Access {
    /// Only this machine may ask as long as there are no users.
    locked: bool,
    metrics_guarded: bool,
    /// Whether everything is encrypted, so that a cookie may be kept to that.
    pub(crate) encrypted: bool,
    failures: Mutex<Failures>,
    pub(crate) hashing: Semaphore,
}

/// Whose request it is.
#[derive(Clone, Debug)]
pub(crate) enum Caller {
    /// Nobody has to say who they are.
    Anyone,
    /// They would have to, and have not.
    Stranger,
    Known(Rc<Known>),
}

#[derive(Clone, Debug)]
pub(crate) struct Known {
    pub(crate) user: String,
    pub(crate) grants: Grants,
    /// What the pass is limited to.
    pub(crate) scope: Option<Grants>,
    /// The id of what was shown.
    pub(crate) pass: String,
    pub(crate) purpose: Purpose,
    pub(crate) expires_at: Timestamp,
}

tokio::task_local! {
    /// Who looks at the page that is being made, for whoever makes it.
    static READER: Option<String>;
}

impl Access {
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            locked: config.locked,
            metrics_guarded: config.metrics_guarded,
            encrypted: config.certificate.is_some(),
            failures: Mutex::default(),
            hashing: Semaphore::new(HASHING_MAX),
        }
    }

    pub(crate) fn failures(&self) -> MutexGuard<'_, Failures> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn may(&self, verb: Verb, on: On<'_>) -> bool {
        self.grants.allow(verb, on) && self.scope.as_ref().is_none_or(|it| it.allow(verb, on))
    }
}

impl Caller {
    /// How the history names them.
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Anyone | Self::Stranger => ANYONE,
            Self::Known(known) => &known.user,
        }
    }

    pub(crate) fn known(&self) -> Option<&Known> {
        match self {
            Self::Anyone | Self::Stranger => None,
            Self::Known(known) => Some(known),
        }
    }
}

/// Who looks at the page that is being made.
pub(crate) fn reader() -> Option<String> {
    READER.try_with(Clone::clone).ok().flatten()
}

/// Whose request this is, once [`identify`] has seen it.
pub(crate) fn caller(request: &HttpRequest) -> Caller {
    request.extensions().get::<Caller>().cloned().unwrap_or(Caller::Stranger)
}

/// The user's name, for the history.
pub(crate) fn user(request: &HttpRequest) -> String {
    caller(request).name().to_owned()
}

/// Finds out whose the request is, from the pass that it shows, and remembers that with it.
pub(crate) fn identify(site: &Data<Site>, request: &HttpRequest) -> Result<(), Refused> {
    let caller = recognize(site, request)?;
    request.extensions_mut().insert(caller);
    Ok(())
}

fn recognize(site: &Data<Site>, request: &HttpRequest) -> Result<Caller, Refused> {
    if site.scheduler.accounts(Accounts::are_none) {
        let open = !site.access.locked || is_from_here(request);
        return Ok(if open { Caller::Anyone } else { Caller::Stranger });
    }
    let bearer = bearer(request);
    let shown = bearer.clone().or_else(|| cookie(request));
    let Some(shown) = shown else { return Ok(Caller::Stranger) };
    let now = now();
    let found = site.scheduler.accounts(|it| verify(it, &shown, now));
    if let Some((known, is_used_anew)) = found {
        if is_used_anew {
            note_use(site.clone(), known.pass.clone());
        }
        return Ok(Caller::Known(Rc::new(known)));
    }
    // A browser keeps the cookie of a session that has ended, and that is nobody's attempt.
    if bearer.is_none() {
        return Ok(Caller::Stranger);
    }
    let whose = [Whose::token(peer(request))];
    let mut failures = site.access.failures();
    let wait = failures.wait(now, &whose);
    failures.failed(now, &whose);
    let detail =
        "this token is not known here: it has expired, was revoked, or is another cluster's";
    Err(match wait {
        Some(wait) => Refused::too_often(wait),
        None => Refused::unknown(detail),
    })
}

fn verify(accounts: &Accounts, shown: &str, now: Timestamp) -> Option<(Known, bool)> {
    let id = secrets::id_of(shown)?;
    let pass = accounts.passes.get(id);
    let genuine = secrets::is_of(shown, pass.map(|it| &it.hash));
    let pass = pass.filter(|it| genuine && it.is_valid(now))?;
    let user = accounts.users.get(&pass.user)?;
    let known = Known {
        user: user.name.clone(),
        grants: user.grants.clone(),
        scope: pass.scope.clone(),
        pass: pass.id.clone(),
        purpose: pass.purpose,
        expires_at: pass.expires_at,
    };
    Some((known, pass.is_used_anew(now)))
}

/// Nobody waits for it.
fn note_use(site: Data<Site>, id: String) {
    actix_web::rt::spawn(async move {
        if let Err(error) = site.scheduler.change_access(Wish::Used { id }).await {
            tracing::debug!(%error, "the use of a token is not noted");
        }
    });
}

fn bearer(request: &HttpRequest) -> Option<String> {
    let text = request.headers().get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, pass) = text.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| pass.trim().to_owned())
}

/// Who has to wait after failing.
pub(crate) fn address(request: &HttpRequest) -> Whose {
    Whose::address(peer(request))
}

fn peer(request: &HttpRequest) -> std::net::IpAddr {
    let nowhere = std::net::IpAddr::from([0, 0, 0, 0]);
    request.peer_addr().map_or(nowhere, |it| it.ip())
}

/// Nobody else can send from an address that is this machine's own.
pub(crate) fn is_from_here(request: &HttpRequest) -> bool {
    let peer = request.peer_addr().map(|it| it.ip().to_canonical());
    let local = request.conn_data::<Line>().and_then(|it| it.local);
    let local = local.map(|it: SocketAddr| it.ip().to_canonical());
    peer.is_some_and(|it| it.is_loopback() || local == Some(it))
}

/// Stands before an endpoint.
pub(crate) async fn permit(
    need: Need,
    mut request: ServiceRequest,
    next: Next<BoxBody>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let caller = caller(request.request());
    let site = request.app_data::<Data<Site>>().cloned().expect("every request has the site");
    let may = match need {
        Need::JobsInBody(verb) => jobs_in_body(&caller, &site, verb, &mut request).await?,
        Need::Nothing
        | Need::Metrics
        | Need::Read
        | Need::Job(_)
        | Need::Role(_)
        | Need::Cluster(_)
        | Need::Oneself => may(need, &caller, &site, request.request()),
    };
    if let Err(refused) = may {
        let response = refused.respond(request.request());
        return Ok(request.into_response(response));
    }
    let reader = caller.known().map(|it| it.user.clone());
    let answer = READER.scope(reader, next.call(request)).await?;
    Ok(answer.map_into_boxed_body())
}

fn may(need: Need, caller: &Caller, site: &Site, request: &HttpRequest) -> Result<(), Refused> {
    let part = |name| request.match_info().get(name).unwrap_or_default();
    let verb = |verb, on| allowed(caller, verb, on);
    match need {
        Need::Nothing => Ok(()),
        Need::Metrics if !site.access.metrics_guarded => Ok(()),
        Need::Metrics | Need::Read => verb(Verb::Read, On::Cluster),
        Need::Job(it) => {
            let key = JobKey::new(part("role"), part("environment"), part("name"));
            verb(it, On::Job(&key))
        }
        // Which jobs is not known here: those who may do it to all.
        Need::JobsInBody(it) | Need::Cluster(it) => verb(it, On::Cluster),
        Need::Role(it) => verb(it, On::Role(part("role"))),
        Need::Oneself => {
            let own = |it: &Known| it.user == part("user") && it.purpose == Purpose::Session;
            match caller.known() {
                Some(known) if own(known) => Ok(()),
                Some(_) | None => verb(Verb::Admin, On::Cluster),
            }
        }
    }
}

fn allowed(caller: &Caller, verb: Verb, on: On<'_>) -> Result<(), Refused> {
    match caller {
        Caller::Anyone => Ok(()),
        Caller::Stranger => Err(Refused::unknown("say who you are: log in, or send a token")),
        Caller::Known(known) if known.may(verb, on) => Ok(()),
        Caller::Known(known) => Err(Refused::Forbidden(reason(known, verb, on))),
    }
}

/// Who lacks what, so that they know whom to ask for what.
fn reason(known: &Known, verb: Verb, on: On<'_>) -> String {
    let what = match on {
        On::Job(job) => format!("{}:{job}", verb.name()),
        On::Role(role) => format!("{}:{role}", verb.name()),
        On::Cluster => verb.name().to_owned(),
    };
    let Known { user, grants, scope, .. } = known;
    match scope {
        Some(scope) if grants.allow(verb, on) => {
            format!("this token of {user} may only do {scope}, and that takes {what}")
        }
        Some(_) | None => {
            format!("{user} may not do that: it takes {what}, and what is granted is {grants}")
        }
    }
}

/// The jobs of the body, as the endpoint will read them. What it will not understand is let through
/// to it: it says what is wrong, and does nothing.
async fn jobs_in_body(
    caller: &Caller,
    site: &Site,
    verb: Verb,
    request: &mut ServiceRequest,
) -> Result<Result<(), Refused>, Error> {
    let everywhere = allowed(caller, verb, On::Cluster);
    if everywhere.is_ok() || caller.known().is_none() {
        return Ok(everywhere);
    }
    let body = request.extract::<Bytes>().await?;
    let keys = serde_json::from_slice(&body).map(|it| keys(&it, site)).unwrap_or_default();
    let all = keys.iter().try_for_each(|key| allowed(caller, verb, On::Job(key)));
    // It has been unpacked.
    request.headers_mut().remove(header::CONTENT_ENCODING);
    let payload = Box::pin(stream::once(async { Ok(body) }));
    request.set_payload(Payload::Stream { payload });
    Ok(all)
}

fn keys(body: &Value, site: &Site) -> Vec<JobKey> {
    let many = body.get("jobs").and_then(Value::as_array).into_iter().flatten();
    let read = |it| JobSpec::read_and_check(it, site.scheduler.limits()).ok();
    many.chain(body.get("job")).filter_map(read).map(|it| it.key).collect()
}

/// Why a request is not carried out.
#[derive(Debug)]
pub(crate) enum Refused {
    /// Nobody knows who that is.
    Unknown(String),
    Forbidden(String),
    TooOften {
        secs: u64,
    },
}

impl Refused {
    pub(crate) fn unknown(detail: impl Into<String>) -> Self {
        Self::Unknown(detail.into())
    }

    pub(crate) fn too_often(wait: std::time::Duration) -> Self {
        Self::TooOften { secs: wait.as_secs() + 1 }
    }

    pub(crate) fn problem(&self) -> Problem {
        match self {
            Self::Unknown(detail) => Problem::new(StatusCode::UNAUTHORIZED, detail),
            Self::Forbidden(detail) => Problem::new(StatusCode::FORBIDDEN, detail),
            Self::TooOften { secs } => {
                let detail = format!("that failed too often; try again in {secs} s");
                Problem::new(StatusCode::TOO_MANY_REQUESTS, detail)
            }
        }
    }

    /// For a program with what it is to do next; somebody who wants a page is led to where they can
    /// log in.
    pub(crate) fn respond(&self, request: &HttpRequest) -> HttpResponse {
        let for_people = security::for_people(request);
        if matches!(self, Self::Unknown(_)) && for_people && request.method() == Method::GET {
            let there = login::address_for(request.uri().path_and_query().map(|it| it.as_str()));
            return HttpResponse::SeeOther().insert_header((header::LOCATION, there)).finish();
        }
        let mut response = self.problem().error_response();
        let headers = response.headers_mut();
        match self {
            Self::Unknown(_) => {
                let how = HeaderValue::from_static("Bearer realm=\"airglow\"");
                headers.insert(header::WWW_AUTHENTICATE, how);
            }
            Self::Forbidden(_) => {}
            Self::TooOften { secs } => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from(*secs));
            }
        }
        response
    }
}
