//! Where somebody says who they are. It needs no script.

use actix_web::{
    HttpRequest, HttpResponse, ResponseError,
    http::{StatusCode, header},
    web::{Data, Form, Query},
};
use askama::Template;
use serde::Deserialize;

use super::{Section, Shell, Sorry, render};
use crate::{
    Site,
    access::{self, Denied, Refused},
    api::{Credentials, Secret},
    users,
};

#[derive(Template)]
#[template(path = "login.html")]
struct LoginPage {
    shell: Shell,
    next: String,
    user: String,
    why: Option<String>,
    /// How the first user is made, where there is none.
    nobody: bool,
}

#[derive(Deserialize)]
pub(crate) struct Wanted {
    #[serde(default)]
    next: String,
}

#[derive(Deserialize)]
pub(crate) struct Filled {
    user: String,
    password: Secret,
    #[serde(default)]
    next: String,
}

pub(crate) async fn show(site: Data<Site>, wanted: Query<Wanted>) -> Result<HttpResponse, Sorry> {
    render(&page(&site, &wanted.next, "", None))
}

fn page(site: &Site, next: &str, user: &str, why: Option<String>) -> LoginPage {
    let mut shell = Shell::new(site, "Log in", Section::Nothing);
    // How the cluster is doing is told to those who are known.
    shell.quarantined.clear();
    let nobody = site.scheduler.accounts(airglow_model::access::Accounts::are_none);
    LoginPage { shell, next: access::here(next).to_owned(), user: user.to_owned(), why, nobody }
}

pub(crate) async fn log_in(
    site: Data<Site>,
    request: HttpRequest,
    Form(Filled { user, password, next }): Form<Filled>,
) -> Result<HttpResponse, Sorry> {
    let credentials = Credentials { user: user.clone(), password, expires_in_secs: None };
    let refused = match access::log_in(&site, &request, credentials).await {
        Ok(issued) => {
            return Ok(HttpResponse::SeeOther()
                .cookie(access::new_cookie(&issued, site.access.encrypted))
                .insert_header((header::LOCATION, access::here(&next)))
                .finish());
        }
        Err(Denied::Refused(refused)) => refused,
        Err(Denied::Problem(problem)) => return Err(problem.into()),
    };
    let mut response = render(&page(&site, &next, &user, Some(refused.problem().detail)))?;
    *response.status_mut() = refused.problem().status_code();
    if let Refused::TooOften { secs } = refused {
        response.headers_mut().insert(header::RETRY_AFTER, secs.into());
    }
    Ok(response)
}

pub(crate) async fn log_out(site: Data<Site>, request: HttpRequest) -> Result<HttpResponse, Sorry> {
    if access::caller(&request).known().is_some() {
        users::give_up(&site, &request).await?;
    }
    Ok(HttpResponse::build(StatusCode::SEE_OTHER)
        .cookie(access::no_cookie(site.access.encrypted))
        .insert_header((header::LOCATION, "/login"))
        .finish())
}
