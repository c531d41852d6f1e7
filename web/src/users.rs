//! Who may use the API: users, their passwords and tokens, and logging in and out.

use std::time::Duration;

use actix_web::{
    HttpRequest, HttpResponse,
    http::{StatusCode, header},
    web::{Data, Json, Path, block},
};
use airglow_model::{
    access::{Hash, Pass, Purpose, User, Wish},
    audit::Target,
    machine::Timestamp,
    permission::{Grant, Grants},
    spec::Complaint,
};
use airglow_scheduler::{AccessError, now};

use crate::{
    Site,
    access::{self, Caller, Denied, secrets},
    api::{
        AddUser, CreateToken, Credentials, Issued, Page, Problem, Secret, SetGrants, SetPassword,
        TokenSummary, UserSummary, WhoAmI,
    },
    audit::{Deed, audited},
};

const PASSWORD_MIN: usize = 8;
const NOTE_MAX: usize = 200;

const TOKEN_SECS: u64 = 90 * 24 * 60 * 60;
const TOKEN_SECS_MAX: u64 = 10 * 366 * 24 * 60 * 60;

/// Log in with a password, and get a token.
#[utoipa::path(post, path = "/api/v1/login", tag = "access", request_body = Credentials, responses(
    (status = 200, body = Issued),
    (status = 401, body = Problem, content_type = "application/problem+json"),
    (status = 429, body = Problem, content_type = "application/problem+json"),
))]
pub(crate) async fn log_in(
    site: Data<Site>,
    request: HttpRequest,
    Json(credentials): Json<Credentials>,
) -> Result<HttpResponse, Problem> {
    match access::log_in(&site, &request, credentials).await {
        Ok(issued) => Ok(HttpResponse::Ok().json(issued)),
        Err(Denied::Refused(refused)) => Ok(refused.respond(&request)),
        Err(Denied::Problem(problem)) => Err(problem),
    }
}

/// Give up the token that this request shows: it is worth nothing any more.
#[utoipa::path(post, path = "/api/v1/logout", tag = "access", responses((status = 204)))]
pub(crate) async fn log_out(
    site: Data<Site>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    give_up(&site, &request).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Whoever shows none gives up none.
pub(crate) async fn give_up(site: &Data<Site>, request: &HttpRequest) -> Result<(), Problem> {
    let caller = access::caller(request);
    let shown = caller.known().map(|it| (it.user.clone(), it.pass.clone()));
    audited(site, request, Deed::new("log out", Target::Cluster), move |site| async move {
        match shown {
            Some((user, id)) => change(&site, Wish::Revoke { user, id }).await,
            None => Ok(()),
        }
    })
    .await
}

/// Who this request is from, and what they may do.
#[utoipa::path(get, path = "/api/v1/whoami", tag = "access", responses((status = 200, body = WhoAmI)))]
pub(crate) async fn whoami(request: HttpRequest) -> Json<WhoAmI> {
    let caller = access::caller(&request);
    let user = caller.name().to_owned();
    Json(match caller {
        Caller::Anyone | Caller::Stranger => {
            WhoAmI { user, grants: texts(&Grants::admin()), scope: None, expires_at: None }
        }
        Caller::Known(known) => WhoAmI {
            user,
            grants: texts(&known.grants),
            scope: known.scope.as_ref().map(texts),
            expires_at: Some(known.expires_at),
        },
    })
}

/// List users.
#[utoipa::path(get, path = "/api/v1/users", tag = "access", responses(
    (status = 200, body = Page<UserSummary>),
))]
pub(crate) async fn list(site: Data<Site>) -> Json<Page<UserSummary>> {
    let now = now();
    let items = site.scheduler.accounts(|all| {
        let count = |user: &User, purpose| {
            let passes = all.passes.values().filter(|it| it.user == user.name);
            let like = passes.filter(|it| it.purpose == purpose && it.is_valid(now)).count();
            u32::try_from(like).unwrap_or(u32::MAX)
        };
        let summary = |user: &User| UserSummary {
            name: user.name.clone(),
            grants: texts(&user.grants),
            has_password: user.password.is_some(),
            tokens: count(user, Purpose::Token),
            sessions: count(user, Purpose::Session),
            created_at: user.created_at,
            created_by: user.created_by.clone(),
        };
        all.users.values().map(summary).collect()
    });
    Json(Page { items, next: None })
}

/// Make somebody known. The first has to be an admin; from then on everybody has to say who they are.
#[utoipa::path(post, path = "/api/v1/users", tag = "access", request_body = AddUser, responses(
    (status = 201, body = UserSummary),
    (status = 409, body = Problem, content_type = "application/problem+json"),
    (status = 422, body = Problem, content_type = "application/problem+json"),
))]
pub(crate) async fn add(
    site: Data<Site>,
    request: HttpRequest,
    Json(AddUser { name, password, grants }): Json<AddUser>,
) -> Result<HttpResponse, Problem> {
    let grants = read_grants(&grants)?;
    let password = match password {
        Some(password) => Some(hashed(&site, password).await?),
        None => None,
    };
    let details = format!("{name}: {grants}");
    let user = User {
        name: name.clone(),
        password,
        grants,
        created_at: now(),
        created_by: access::user(&request),
    };
    let deed = Deed::new("add user", Target::Cluster).details(&details);
    audited(
        &site,
        &request,
        deed,
        move |site| async move { change(&site, Wish::AddUser(user)).await },
    )
    .await?;
    let Json(Page { items, .. }) = list(site).await;
    let made = items.into_iter().find(|it| it.name == name);
    Ok(HttpResponse::Created().json(made))
}

/// Forget a user, with all tokens and logins.
#[utoipa::path(delete, path = "/api/v1/users/{user}", tag = "access", params(
    ("user" = String, Path),
), responses(
    (status = 204),
    (status = 404, body = Problem, content_type = "application/problem+json"),
    (status = 409, body = Problem, content_type = "application/problem+json"),
))]
pub(crate) async fn remove(
    site: Data<Site>,
    request: HttpRequest,
    user: Path<String>,
) -> Result<HttpResponse, Problem> {
    let name = user.into_inner();
    let deed = Deed::new("remove user", Target::Cluster).details(&name);
    done(&site, &request, deed, Wish::RemoveUser { name }).await
}

/// Say what a user may do, instead of what was said before.
#[utoipa::path(put, path = "/api/v1/users/{user}/grants", tag = "access", params(
    ("user" = String, Path),
), request_body = SetGrants, responses(
    (status = 204),
    (status = 404, body = Problem, content_type = "application/problem+json"),
    (status = 409, body = Problem, content_type = "application/problem+json"),
    (status = 422, body = Problem, content_type = "application/problem+json"),
))]
pub(crate) async fn grant(
    site: Data<Site>,
    request: HttpRequest,
    user: Path<String>,
    Json(SetGrants { grants }): Json<SetGrants>,
) -> Result<HttpResponse, Problem> {
    let (name, grants) = (user.into_inner(), read_grants(&grants)?);
    let deed = Deed::new("grant", Target::Cluster).details(&format!("{name}: {grants}"));
    done(&site, &request, deed, Wish::SetGrants { name, grants }).await
}

/// Set a user's password. Whoever had logged in with the old one has to do so again.
#[utoipa::path(put, path = "/api/v1/users/{user}/password", tag = "access", params(
    ("user" = String, Path),
), request_body = SetPassword, responses(
    (status = 204),
    (status = 404, body = Problem, content_type = "application/problem+json"),
    (status = 422, body = Problem, content_type = "application/problem+json"),
))]
pub(crate) async fn set_password(
    site: Data<Site>,
    request: HttpRequest,
    user: Path<String>,
    Json(SetPassword { password }): Json<SetPassword>,
) -> Result<HttpResponse, Problem> {
    let (name, password) = (user.into_inner(), hashed(&site, password).await?);
    let deed = Deed::new("set password", Target::Cluster).details(&name);
    done(&site, &request, deed, Wish::SetPassword { name, password }).await
}

/// List a user's tokens and logins, newest first.
#[utoipa::path(get, path = "/api/v1/users/{user}/tokens", tag = "access", params(
    ("user" = String, Path),
), responses(
    (status = 200, body = Page<TokenSummary>),
    (status = 404, body = Problem, content_type = "application/problem+json"),
))]
pub(crate) async fn tokens(
    site: Data<Site>,
    user: Path<String>,
) -> Result<Json<Page<TokenSummary>>, Problem> {
    let now = now();
    let found = site.scheduler.accounts(|all| {
        all.users.get(&*user)?;
        let passes = all.passes.values().filter(|it| it.user == *user && it.is_valid(now));
        Some(passes.map(summary).collect::<Vec<_>>())
    });
    let none = || Problem::not_found(format!("there is no user {user}"));
    let mut items = found.ok_or_else(none)?;
    items.sort_by_key(|it| std::cmp::Reverse(it.created_at));
    Ok(Json(Page { items, next: None }))
}

/// Make a token for a program. It is shown in the answer to this, and never again.
#[utoipa::path(post, path = "/api/v1/users/{user}/tokens", tag = "access", params(
    ("user" = String, Path),
), request_body = CreateToken, responses(
    (status = 201, body = Issued),
    (status = 404, body = Problem, content_type = "application/problem+json"),
    (status = 409, body = Problem, content_type = "application/problem+json"),
    (status = 422, body = Problem, content_type = "application/problem+json"),
))]
pub(crate) async fn create_token(
    site: Data<Site>,
    request: HttpRequest,
    user: Path<String>,
    Json(wanted): Json<CreateToken>,
) -> Result<HttpResponse, Problem> {
    let (id, token, hash) = secrets::new_pass();
    let pass = read_token(wanted, (&id, hash), &user, &access::user(&request))?;
    let (user, expires_at) = (user.into_inner(), pass.expires_at);
    let details = format!("{id} for {user}");
    let deed = Deed::new("create token", Target::Cluster).details(&details);
    audited(
        &site,
        &request,
        deed,
        move |site| async move { change(&site, Wish::Issue(pass)).await },
    )
    .await?;
    Ok(HttpResponse::Created()
        .insert_header((header::LOCATION, format!("/api/v1/users/{user}/tokens")))
        .json(Issued { id, user, token, expires_at }))
}

fn read_token(
    CreateToken { grants, expires_in_secs, note }: CreateToken,
    (id, hash): (&str, Hash),
    user: &str,
    by: &str,
) -> Result<Pass, Problem> {
    let scope = grants.map(|it| read_grants(&it)).transpose()?;
    let secs = expires_in_secs.unwrap_or(TOKEN_SECS);
    if !(1..=TOKEN_SECS_MAX).contains(&secs) {
        return Err(wrong(
            "/expires_in_secs",
            "expected a number of seconds, of ten years at most",
        ));
    }
    if note.chars().count() > NOTE_MAX {
        return Err(wrong("/note", "expected 200 characters at most"));
    }
    let (now, purpose) = (now(), Purpose::Token);
    let expires_at: Timestamp = now + Duration::from_secs(secs);
    Ok(Pass {
        id: id.to_owned(),
        user: user.to_owned(),
        purpose,
        hash,
        scope,
        note,
        created_at: now,
        created_by: by.to_owned(),
        expires_at,
        used_at: None,
    })
}

/// Make a token or a login worth nothing, at once.
#[utoipa::path(delete, path = "/api/v1/users/{user}/tokens/{id}", tag = "access", params(
    ("user" = String, Path), ("id" = String, Path),
), responses(
    (status = 204),
    (status = 404, body = Problem, content_type = "application/problem+json"),
))]
pub(crate) async fn revoke_token(
    site: Data<Site>,
    request: HttpRequest,
    path: Path<(String, String)>,
) -> Result<HttpResponse, Problem> {
    let (user, id) = path.into_inner();
    let deed = Deed::new("revoke token", Target::Cluster).details(&format!("{id} of {user}"));
    done(&site, &request, deed, Wish::Revoke { user, id }).await
}

/// Makes a change that says nothing more than that it is made.
async fn done(
    site: &Data<Site>,
    request: &HttpRequest,
    deed: Deed,
    wish: Wish,
) -> Result<HttpResponse, Problem> {
    audited(site, request, deed, move |site| async move { change(&site, wish).await }).await?;
    Ok(HttpResponse::NoContent().finish())
}

async fn change(site: &Site, wish: Wish) -> Result<(), Problem> {
    Ok(site.scheduler.change_access(wish).await?)
}

/// On a thread that nobody else needs.
async fn hashed(site: &Site, password: Secret) -> Result<Hash, Problem> {
    if password.0.chars().count() < PASSWORD_MIN {
        return Err(wrong("/password", "expected at least 8 characters"));
    }
    if password.0.len() > access::PASSWORD_MAX {
        return Err(wrong("/password", "expected no more than 1024 bytes"));
    }
    let _turn = access::turn(site).await?;
    let hash = block(move || secrets::hash_password(&password)).await?;
    hash.map_err(|error| {
        let detail = format!("the password cannot be hashed: {error}");
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, detail)
    })
}

/// All of them, or what is wrong with each.
fn read_grants(texts: &[String]) -> Result<Grants, Problem> {
    let (mut grants, mut complaints) = (vec![], vec![]);
    for (i, text) in texts.iter().enumerate() {
        match text.parse::<Grant>() {
            Ok(grant) => grants.push(grant),
            Err(why) => {
                let (pointer, detail) = (format!("/grants/{i}"), why.to_string());
                complaints.push(Complaint { pointer, detail });
            }
        }
    }
    if complaints.is_empty() && grants.is_empty() {
        let detail = "whoever is granted nothing could not even read: grant read-only";
        return Err(wrong("/grants", detail));
    }
    if complaints.is_empty() {
        Ok(Grants(grants))
    } else {
        Err(Problem::invalid_request(complaints))
    }
}

fn wrong(pointer: &str, detail: &str) -> Problem {
    let complaint = Complaint { pointer: pointer.into(), detail: detail.into() };
    Problem::invalid_request(vec![complaint])
}

fn texts(grants: &Grants) -> Vec<String> {
    grants.0.iter().map(Grant::to_string).collect()
}

fn summary(pass: &Pass) -> TokenSummary {
    let purpose = match pass.purpose {
        Purpose::Session => "session",
        Purpose::Token => "token",
    };
    TokenSummary {
        id: pass.id.clone(),
        user: pass.user.clone(),
        purpose: purpose.to_owned(),
        grants: pass.scope.as_ref().map(texts),
        note: pass.note.clone(),
        created_at: pass.created_at,
        created_by: pass.created_by.clone(),
        expires_at: pass.expires_at,
        used_at: pass.used_at,
    }
}

impl From<AccessError> for Problem {
    fn from(error: AccessError) -> Self {
        use airglow_model::access::Refusal;
        let refused = match error {
            AccessError::Refused(refused) => refused,
            AccessError::NotNow(refusal) => return refusal.into(),
        };
        let status = match &refused {
            Refusal::NoSuchUser(_) | Refusal::NoSuchPass { .. } => StatusCode::NOT_FOUND,
            Refusal::BadName(_) | Refusal::GrantsNothing => StatusCode::UNPROCESSABLE_ENTITY,
            Refusal::UserExists(_)
            | Refusal::FirstIsNoAdmin
            | Refusal::LastAdmin(_)
            | Refusal::TooManyPasses { .. } => StatusCode::CONFLICT,
        };
        Self::new(status, refused.to_string())
    }
}
