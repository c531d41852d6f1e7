//! Pages for people. Made on the server, so that they can be read without a script; the script then
//! fetches the same page again whenever something on it has changed, and changes what differs.

pub(crate) mod files;
mod format;
pub(crate) mod hosts;
pub(crate) mod job;
pub(crate) mod login;
pub(crate) mod logs;
pub(crate) mod process;
mod progress;
pub(crate) mod roles;
mod share;
pub(crate) mod task;
pub(crate) mod update;
pub(crate) mod updates;
mod viewer;

use std::fmt;

use actix_web::{
    HttpRequest, HttpResponse, ResponseError,
    http::{StatusCode, header::ContentType},
};
use airglow_model::{
    ids::{JobKey, JobName},
    machine::Timestamp,
};
use askama::Template;

use crate::{
    Site, access,
    api::{Problem, Quarantined},
    show,
};

/// What surrounds every page.
pub(crate) struct Shell {
    pub(crate) title: String,
    pub(crate) cluster: String,
    pub(crate) section: Section,
    /// Which events make it look again: a query for `/api/v1/events`. `None`: it never changes.
    pub(crate) events: Option<String>,
    /// Whether it shows what no event tells of, and so looks again by itself now and then.
    pub(crate) measures: bool,
    pub(crate) quarantined: Vec<Quarantined>,
    /// Why there is no newer backup, if one could not be made.
    pub(crate) unsaved: Option<String>,
    /// Who looks at it, where somebody is known.
    pub(crate) reader: Option<String>,
    pub(crate) now: Timestamp,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Section {
    Jobs,
    Updates,
    Hosts,
    Nothing,
}

impl Shell {
    pub(crate) fn new(site: &Site, title: impl Into<String>, section: Section) -> Self {
        Self {
            title: title.into(),
            cluster: site.scheduler.limits().cluster.clone(),
            section,
            events: None,
            measures: false,
            quarantined: site.scheduler.view().read(|view| show::quarantined(view, |_| true)),
            unsaved: site.scheduler.backup_stats().failure().map(|it| it.why),
            reader: access::reader(),
            now: airglow_scheduler::now(),
        }
    }

    pub(crate) fn live(mut self, events: impl Into<String>) -> Self {
        self.events = Some(events.into());
        self
    }

    pub(crate) fn measuring(mut self, measures: bool) -> Self {
        self.measures = measures;
        self
    }

    fn is_jobs(&self) -> bool {
        self.section == Section::Jobs
    }

    fn is_updates(&self) -> bool {
        self.section == Section::Updates
    }

    fn is_hosts(&self) -> bool {
        self.section == Section::Hosts
    }
}

/// The events of one job.
pub(crate) fn events_of(job: &JobKey) -> String {
    let JobName { role, environment, name } = &**job;
    format!("role={role}&environment={environment}&name={name}")
}

pub(crate) fn render(page: &impl Template) -> Result<HttpResponse, Sorry> {
    let html = page.render().map_err(|error| {
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, format!("the page cannot be made: {error}"))
    })?;
    Ok(HttpResponse::Ok().content_type(ContentType::html()).body(html))
}

/// A problem, told to a person.
#[derive(Debug)]
pub(crate) struct Sorry(Problem);

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage {
    shell: Shell,
    problem: Problem,
}

impl<T: Into<Problem>> From<T> for Sorry {
    fn from(problem: T) -> Self {
        Self(problem.into())
    }
}

impl fmt::Display for Sorry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl ResponseError for Sorry {
    fn status_code(&self) -> StatusCode {
        self.0.status_code()
    }

    fn error_response(&self) -> HttpResponse {
        let shell = Shell {
            title: self.0.title.clone(),
            cluster: String::new(),
            section: Section::Nothing,
            events: None,
            measures: false,
            quarantined: vec![],
            unsaved: None,
            reader: access::reader(),
            now: airglow_scheduler::now(),
        };
        let page = ErrorPage { shell, problem: self.0.clone() };
        match page.render() {
            Ok(html) => {
                HttpResponse::build(self.status_code()).content_type(ContentType::html()).body(html)
            }
            Err(_) => self.0.error_response(),
        }
    }
}

/// Whatever has no page and no endpoint.
pub(crate) async fn not_found(request: HttpRequest) -> HttpResponse {
    let problem = Problem::not_found(format!("there is nothing at {}", request.path()));
    let program = request.path().starts_with("/api/");
    if program { problem.error_response() } else { Sorry(problem).error_response() }
}
