//! From a password to a pass, and the cookie in which a browser keeps it.

use std::time::Duration;

use actix_web::{
    HttpMessage, HttpRequest,
    cookie::{Cookie, SameSite, time},
    http::StatusCode,
    web::{Data, block},
};
use airglow_model::{
    access::{Pass, Purpose, User, Wish},
    audit::Target,
};
use airglow_scheduler::now;
use std::rc::Rc;
use tokio::time::timeout;

use super::{Caller, Known, Refused, Whose, address, secrets};
use crate::{
    Site,
    api::{Credentials, Issued, Problem, Secret},
    audit::{Deed, audited},
};

/// Twelve hours: a working day, and the evening after it.
const SESSION: Duration = Duration::from_secs(12 * 60 * 60);
/// Whoever wants more makes a token.
const SESSION_MAX: Duration = Duration::from_secs(90 * 24 * 60 * 60);

/// How long somebody waits for a turn to have a password looked at.
const TURN_WITHIN: Duration = Duration::from_secs(5);

/// Nobody's password is longer, and hashing is no way to keep this process busy.
pub(crate) const PASSWORD_MAX: usize = 1024;

const NAME_MAX: usize = 128;

/// How long a login is good for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lifetime(pub(crate) Duration);

impl Lifetime {
    pub(crate) fn session(secs: Option<u64>) -> Self {
        Self(secs.map_or(SESSION, Duration::from_secs).min(SESSION_MAX))
    }
}

/// A pass for whoever knows the user's password. Who is not known, and who is and has another one,
/// is told the same, and not sooner.
pub(crate) async fn log_in(
    site: &Data<Site>,
    request: &HttpRequest,
    credentials: Credentials,
) -> Result<Issued, Denied> {
    let Credentials { user, password, expires_in_secs } = credentials;
    // No user is called what is longer, and it is not to be remembered.
    let by_name = (user.len() <= NAME_MAX).then(|| Whose::User(user.clone()));
    let whose: Vec<_> = [address(request)].into_iter().chain(by_name.clone()).collect();
    let blocked = || site.access.failures().wait(now(), &whose);
    let refuse = |wait| Err(Refused::too_often(wait).into());
    if let Some(wait) = blocked() {
        return refuse(wait);
    }
    let turn = turn(site).await?;
    // Others who guess at the same time may have had theirs.
    if let Some(wait) = blocked() {
        return refuse(wait);
    }
    let known = site.scheduler.accounts(|it| it.users.get(&user).cloned());
    if !is_theirs(known.as_ref(), password).await? {
        site.access.failures().failed(now(), &whose);
        drop(turn);
        let user: String = user.chars().take(NAME_MAX).collect();
        tracing::warn!(user, peer = ?request.peer_addr(), "somebody failed to log in");
        return Err(Refused::unknown("there is no such user, or that is not the password").into());
    }
    drop(turn);
    let Some(known) = known else { return Err(Problem::crashed().into()) };
    // The address has tried others' names as well, for all that is known.
    site.access.failures().succeeded(by_name.as_slice());
    issue(site, request, known, Lifetime::session(expires_in_secs)).await
}

async fn issue(
    site: &Data<Site>,
    request: &HttpRequest,
    user: User,
    Lifetime(lifetime): Lifetime,
) -> Result<Issued, Denied> {
    let (id, token, hash) = secrets::new_pass();
    let (at, name) = (now(), user.name.clone());
    let expires_at = at + lifetime;
    let pass = Pass {
        id: id.clone(),
        user: name.clone(),
        purpose: Purpose::Session,
        hash,
        scope: None,
        note: String::new(),
        created_at: at,
        created_by: name.clone(),
        expires_at,
        used_at: None,
    };
    // From here on it is the user's request.
    let (purpose, grants) = (Purpose::Session, user.grants);
    let known =
        Known { user: user.name, grants, scope: None, pass: id.clone(), purpose, expires_at };
    request.extensions_mut().insert(Caller::Known(Rc::new(known)));
    audited(site, request, Deed::new("log in", Target::Cluster), move |site| async move {
        Ok(site.scheduler.change_access(Wish::Issue(pass)).await?)
    })
    .await?;
    Ok(Issued { id, user: name, token, expires_at })
}

/// Passwords are looked at by threads that nobody else needs, a few at a time.
async fn is_theirs(user: Option<&User>, password: Secret) -> Result<bool, Problem> {
    if password.0.len() > PASSWORD_MAX {
        return Ok(false);
    }
    let kept = user.and_then(|it| it.password.clone());
    Ok(block(move || secrets::is_password(&password, kept.as_ref())).await?)
}

pub(crate) async fn turn(site: &Site) -> Result<tokio::sync::SemaphorePermit<'_>, Problem> {
    let busy = || {
        let detail = "too many passwords are being looked at; try again in a moment";
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail)
    };
    let turn = timeout(TURN_WITHIN, site.access.hashing.acquire()).await;
    turn.map_err(|_| busy())?.map_err(|_| busy())
}

/// Why somebody did not get in.
#[derive(Debug)]
pub(crate) enum Denied {
    Refused(Refused),
    Problem(Problem),
}

impl From<Refused> for Denied {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused)
    }
}

impl From<Problem> for Denied {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

/// A browser sends what begins like this over TLS only, and to nobody but whom it is from.
const COOKIE: &str = "airglow-session";
const COOKIE_ENCRYPTED: &str = "__Host-airglow-session";

/// What the request's browser has kept.
pub(crate) fn cookie(request: &HttpRequest) -> Option<String> {
    let found = request.cookie(COOKIE_ENCRYPTED).or_else(|| request.cookie(COOKIE));
    found.map(|it| it.value().to_owned())
}

/// What a browser is to keep. No script sees it, and no other site's page can have it sent.
pub(crate) fn new_cookie(issued: &Issued, encrypted: bool) -> Cookie<'static> {
    let left = issued.expires_at.0.saturating_sub(now().0) / 1000;
    let left = i64::try_from(left).unwrap_or(i64::MAX);
    bake(issued.token.0.clone(), time::Duration::seconds(left), encrypted)
}

pub(crate) fn no_cookie(encrypted: bool) -> Cookie<'static> {
    bake(String::new(), time::Duration::ZERO, encrypted)
}

fn bake(value: String, age: time::Duration, encrypted: bool) -> Cookie<'static> {
    let name = if encrypted { COOKIE_ENCRYPTED } else { COOKIE };
    Cookie::build(name, value)
        .path("/")
        .http_only(true)
        .same_site(SameSite::Strict)
        .secure(encrypted)
        .max_age(age)
        .finish()
}

/// Where somebody logs in who wanted to be there.
pub(crate) fn address_for(wanted: Option<&str>) -> String {
    let wanted = here(wanted.unwrap_or("/"));
    if wanted == "/" { "/login".into() } else { format!("/login?next={}", escaped(wanted)) }
}

/// A place on this site: nobody is sent elsewhere by a link to the login.
pub(crate) fn here(place: &str) -> &str {
    let plain = place.bytes().all(|it| it.is_ascii_graphic() && it != b'\\');
    let ours = place.starts_with('/') && !place.starts_with("//");
    if plain && ours { place } else { "/" }
}

fn escaped(text: &str) -> String {
    use std::fmt::Write;
    text.bytes().fold(String::new(), |mut all, byte| {
        if byte.is_ascii_alphanumeric() || b"-_.~/".contains(&byte) {
            all.push(char::from(byte));
        } else {
            write!(all, "%{byte:02X}").expect("a string takes everything");
        }
        all
    })
}

#[cfg(test)]
mod tests {
    use airglow_model::machine::Timestamp;

    use super::*;

    #[test]
    fn nobody_is_sent_elsewhere() {
        for ours in ["/", "/hosts", "/scheduler/www?x=1&y=2"] {
            assert_eq!(here(ours), ours);
        }
        for other in ["//evil.example", "https://evil.example", "/\\evil", "", "/a b", "/\r\nx"] {
            assert_eq!(here(other), "/", "{other:?}");
        }
        assert_eq!(address_for(Some("/")), "/login");
        assert_eq!(address_for(Some("/hosts?a=b&c")), "/login?next=/hosts%3Fa%3Db%26c");
    }

    #[test]
    fn a_cookie_is_kept_from_scripts_and_other_sites() {
        let issued = Issued {
            id: "1".into(),
            user: "ada".into(),
            token: Secret("t".into()),
            expires_at: Timestamp(now().0 + 10_500),
        };
        let text = new_cookie(&issued, true).to_string();
        for part in ["__Host-airglow-session=t", "HttpOnly", "SameSite=Strict", "Secure", "Path=/"]
        {
            assert!(text.contains(part), "{text}");
        }
        assert!(text.contains("Max-Age=10"), "{text}");
        assert!(!new_cookie(&issued, false).to_string().contains("Secure"));
        assert!(no_cookie(false).to_string().contains("Max-Age=0"));
    }
}
