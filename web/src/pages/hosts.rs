//! Hosts: what they have, and who has it.

use actix_web::{
    HttpResponse,
    web::{Data, Path, Query},
};
use airglow_model::{audit::Filter, ids::HostId, machine::Timestamp};
use askama::Template;
use serde::Deserialize;

use super::{Section, Shell, Sorry, format, job::DEEDS, render, share};
use crate::{
    Site,
    api::{Alike, AuditEntry, DrainProgress, HostDetail, HostSummary, Scheduler},
    audit,
    hosts::no_such_host,
    show,
};

/// Rows of the table on one page.
const ROWS: usize = 100;

#[derive(Template)]
#[template(path = "hosts.html")]
struct HostsPage {
    shell: Shell,
    hosts: Vec<HostSummary>,
    /// If there are several.
    schedulers: Vec<Scheduler>,
    mesh: String,
}

#[derive(Template)]
#[template(path = "host.html")]
struct HostPage {
    shell: Shell,
    host: HostSummary,
    detail: HostDetail,
    waits: Vec<Waiting>,
    audit: Vec<AuditEntry>,
    page: usize,
    pages: usize,
}

/// Tasks of a host that is being drained and that wait for the same.
struct Waiting {
    /// The first of them.
    tasks: Vec<String>,
    more: usize,
    reason: String,
    /// When the first of them is looked at again, if time alone can change something.
    until: Option<Timestamp>,
}

/// So many of those who wait for the same are named.
const NAMED: usize = 3;

#[derive(Deserialize)]
pub(crate) struct Choice {
    page: Option<usize>,
}

impl HostsPage {
    /// What to type on another machine.
    fn join(&self) -> String {
        format!("AIRGLOW_TOKEN=… airglow agent --join {}", self.mesh)
    }
}

pub(crate) async fn hosts(site: Data<Site>) -> Result<HttpResponse, Sorry> {
    let shell = Shell::new(&site, "Hosts", Section::Hosts).live("");
    let hosts = site.scheduler.view().read(show::hosts);
    let mut schedulers: Vec<_> =
        site.scheduler.members().into_iter().map(Scheduler::from).collect();
    schedulers.sort_by(|a, b| a.name.cmp(&b.name));
    if schedulers.len() == 1 {
        schedulers.clear();
    }
    render(&HostsPage { shell, hosts, schedulers, mesh: site.scheduler.mesh_addr().to_string() })
}

pub(crate) async fn host(
    site: Data<Site>,
    host: Path<String>,
    choice: Query<Choice>,
) -> Result<HttpResponse, Sorry> {
    let host = HostId(host.into_inner().into());
    let detail = site
        .scheduler
        .view()
        .read(|view| view.hosts.get(&host).map(|it| show::host_detail(view, it)));
    let mut detail = detail.ok_or_else(|| no_such_host(&host))?;
    let pages = detail.tasks.len().div_ceil(ROWS).max(1);
    let page = choice.page.unwrap_or(1).clamp(1, pages);
    detail.tasks = detail.tasks.into_iter().skip((page - 1) * ROWS).take(ROWS).collect();
    let waits = detail.host.drain.as_ref().map(waiting).unwrap_or_default();
    let audit = audit::find(&site, Filter::of_host(&host), None, DEEDS).await?;
    let shell = Shell::new(&site, host.to_string(), Section::Hosts);
    let shell = shell.live(format!("host={}", format::segment(&host.0)));
    let host = detail.host.clone();
    render(&HostPage { shell, host, detail, waits, audit, page, pages })
}

/// One entry for each reason, not for each task.
fn waiting(drain: &DrainProgress) -> Vec<Waiting> {
    let named = |Alike { reason, tasks, until }: Alike<'_>| Waiting {
        more: tasks.len().saturating_sub(NAMED),
        tasks: tasks.into_iter().take(NAMED).map(str::to_owned).collect(),
        reason: reason.to_owned(),
        until,
    };
    drain.alike().into_iter().map(named).collect()
}
