//! All updates that go on, and those that ended and are remembered.

use std::{borrow::Borrow, collections::BTreeMap};

use actix_web::{
    HttpResponse,
    web::{Data, Query},
};
use airglow_model::{update::Status, view::View};
use askama::Template;
use serde::Deserialize;

use super::{
    Section, Shell, Sorry, format,
    progress::{self, Moving},
    render,
};
use crate::Site;

/// Rows on one page.
const ROWS: usize = 50;

#[derive(Deserialize)]
pub(crate) struct Choice {
    /// A status, or `active`.
    #[serde(default)]
    status: String,
    #[serde(default)]
    role: String,
    page: Option<usize>,
}

#[derive(Template)]
#[template(path = "updates.html")]
struct UpdatesPage {
    shell: Shell,
    rows: Vec<Moving>,
    /// Of the role that was chosen.
    all: usize,
    active: usize,
    counts: BTreeMap<Status, usize>,
    roles: Vec<String>,
    status: String,
    role: String,
    page: usize,
    pages: usize,
}

pub(crate) async fn updates(
    site: Data<Site>,
    choice: Query<Choice>,
) -> Result<HttpResponse, Sorry> {
    let shell = Shell::new(&site, "Updates", Section::Updates).live("");
    render(&site.scheduler.view().read(|view| page(view, shell, &choice)))
}

fn page(view: &View, shell: Shell, choice: &Choice) -> UpdatesPage {
    let mut roles: Vec<_> = view.updates.keys().map(|it| it.job.role.clone()).collect();
    roles.dedup();
    let mut counts = BTreeMap::new();
    let of_role = view
        .updates
        .iter()
        .filter(|(key, _)| choice.role.is_empty() || choice.role == key.job.role);
    let mut found = Vec::new();
    for (_, it) in of_role {
        let status = it.update.status;
        *counts.entry(status).or_default() += 1;
        if choice.takes(status) {
            found.push(it);
        }
    }
    found.sort_by_key(|it| {
        std::cmp::Reverse((it.update.status.is_active(), it.update.modified_at()))
    });
    let pages = found.len().div_ceil(ROWS).max(1);
    let page = choice.page.unwrap_or(1).clamp(1, pages);
    let shown = found.into_iter().skip((page - 1) * ROWS).take(ROWS);
    UpdatesPage {
        shell,
        rows: shown.map(Moving::new).collect(),
        all: counts.values().sum(),
        active: counts.iter().filter(|(it, _)| it.is_active()).map(|(_, count)| count).sum(),
        counts,
        roles,
        status: choice.status.clone(),
        role: choice.role.clone(),
        page,
        pages,
    }
}

impl Choice {
    fn takes(&self, status: Status) -> bool {
        match self.status.as_str() {
            "" => true,
            "active" => status.is_active(),
            name => name.eq_ignore_ascii_case(status.name()),
        }
    }
}

impl UpdatesPage {
    /// A link to this list, otherwise filtered or turned.
    fn link(&self, status: &str, page: impl Borrow<usize>) -> String {
        let page = *page.borrow();
        let mut link = format!("?status={}", format::segment(status));
        if !self.role.is_empty() {
            link.push_str(&format!("&role={}", format::segment(&self.role)));
        }
        if page > 1 {
            link.push_str(&format!("&page={page}"));
        }
        link
    }
}
