//! One job: its instances as a grid and as a table, why some wait, its configurations, its past.

use std::{borrow::Borrow, cmp::Reverse, collections::BTreeMap};

use actix_web::{
    HttpResponse,
    web::{Data, Path, Query},
};
use airglow_model::{
    audit::Filter,
    ids::JobKey,
    instances::InstanceSet,
    task::{Status, Task},
    view::{JobView, View},
};
use askama::Template;
use serde::Deserialize;

use super::{Section, Shell, Sorry, events_of, format, progress::Moving, render, roles::kind_name};
use crate::{
    Site,
    api::{
        AuditEntry, Config, CronDetail, JobSla, JobSummary, NearestHost, PlaceMade, TaskSummary,
        VetoCount,
    },
    audit, jobs, show, sla,
};

/// Rows of the table on one page.
const ROWS: usize = 50;
/// Ended runs that are shown.
const HISTORY: usize = 20;
/// Deeds that are shown.
pub(super) const DEEDS: usize = 20;
/// Updates that are shown.
const UPDATES: usize = 5;
/// More cells than this, and one stands for several instances.
const CELLS_MAX: usize = 2000;

#[derive(Deserialize)]
pub(crate) struct Choice {
    #[serde(default)]
    status: String,
    #[serde(default)]
    q: String,
    page: Option<usize>,
}

/// An instance, or several in a row, as one square.
struct Cell {
    instance: u32,
    link: String,
    class: &'static str,
    glyph: &'static str,
    title: String,
}

/// Instances that wait for the same reasons.
pub(super) struct Waiting {
    pub(super) instances: InstanceSet,
    pub(super) hosts: usize,
    pub(super) vetoes: Vec<VetoCount>,
    pub(super) nearest: Option<NearestHost>,
    pub(super) making: Vec<PlaceMade>,
}

#[derive(Template)]
#[template(path = "job.html")]
struct JobPage {
    shell: Shell,
    job: JobSummary,
    kind: &'static str,
    active: bool,
    cells: Vec<Cell>,
    size: &'static str,
    waiting: Vec<Waiting>,
    rows: Vec<TaskSummary>,
    found: usize,
    status: String,
    q: String,
    page: usize,
    pages: usize,
    configs: Vec<Shown>,
    history: Vec<TaskSummary>,
    sla: Option<JobSla>,
    audit: Vec<AuditEntry>,
    /// The one that goes on, and the last few that ended.
    update: Option<Moving>,
    updates: Vec<Moving>,
    /// If it runs by the clock.
    cron: Option<CronDetail>,
}

/// A configuration, and all of it as JSON.
pub(crate) struct Shown {
    pub(crate) config: Config,
    pub(crate) json: String,
}

impl Shown {
    pub(crate) fn new(config: Config) -> Self {
        let json = serde_json::to_string_pretty(&config.job).expect("a job is plain data");
        Self { config, json }
    }
}

impl JobPage {
    fn key(&self) -> String {
        self.job.key().to_string()
    }

    /// A link to this table, otherwise filtered or turned.
    fn link(&self, status: &str, page: impl Borrow<usize>) -> String {
        let page = *page.borrow();
        let mut link = format!("?status={}", format::segment(status));
        if !self.q.is_empty() {
            link.push_str(&format!("&q={}", format::segment(&self.q)));
        }
        if page > 1 {
            link.push_str(&format!("&page={page}"));
        }
        link + "#instances"
    }
}

pub(crate) async fn job(
    site: Data<Site>,
    path: Path<(String, String, String)>,
    choice: Query<Choice>,
) -> Result<HttpResponse, Sorry> {
    let key = jobs::key(path);
    let shell = Shell::new(&site, key.name.clone(), Section::Jobs).live(events_of(&key));
    let page = site.scheduler.view().read(|view| page(view, &key, shell, &choice));
    let mut page = page.ok_or_else(|| jobs::no_such_job(&key))?;
    page.sla = sla::of_job(&site, &key).await?;
    page.audit = audit::find(&site, Filter::of_job(&key), None, DEEDS).await?;
    page.history = match page.job.history {
        0 => vec![],
        _ => jobs::ended(&site, key, None, HISTORY).await?,
    };
    render(&page)
}

fn page(view: &View, key: &JobKey, shell: Shell, choice: &Choice) -> Option<JobPage> {
    let it = view.jobs.get(key)?;
    let (cells, size) = cells(&key.name, &it.tasks);
    let tasks = it.tasks.values().filter_map(|task| show::task_of(&task.key, task.run.as_ref()?));
    let found: Vec<_> = tasks.filter(|task| choice.takes(task)).collect();
    let pages = found.len().div_ceil(ROWS).max(1);
    let page = choice.page.unwrap_or(1).clamp(1, pages);
    let job = show::job_summary(it);
    let (update, updates) = updates(view, key);
    let cron = show::cron_detail(it, shell.now);
    Some(JobPage {
        shell,
        kind: kind_name(job.kind),
        active: it.tasks.values().any(Task::is_active),
        cells,
        size,
        waiting: waiting(it, |_| true),
        found: found.len(),
        rows: found.into_iter().skip((page - 1) * ROWS).take(ROWS).collect(),
        status: choice.status.clone(),
        q: choice.q.clone(),
        page,
        pages,
        configs: show::configs(it).into_iter().map(Shown::new).collect(),
        history: vec![],
        sla: None,
        audit: vec![],
        update,
        updates,
        cron,
        job,
    })
}

/// The one that goes on, and the last few that ended.
fn updates(view: &View, key: &JobKey) -> (Option<Moving>, Vec<Moving>) {
    let mut all: Vec<_> = view.updates_of(key).collect();
    all.sort_by_key(|it| Reverse((it.update.status.is_active(), it.update.modified_at())));
    let (active, ended): (Vec<_>, Vec<_>) =
        all.into_iter().take(UPDATES).map(Moving::new).partition(|it| it.it.active);
    (active.into_iter().next(), ended)
}

impl Choice {
    fn takes(&self, task: &TaskSummary) -> bool {
        let text = self.q.trim();
        let status = self.status.is_empty() || self.status.eq_ignore_ascii_case(task.status.name());
        status
            && (text.is_empty()
                || text.parse::<InstanceSet>().is_ok_and(|it| it.contains(task.instance))
                || task.host.as_ref().is_some_and(|it| it.contains(text))
                || task.message.contains(text)
                || task.task_id.contains(text))
    }
}

/// Small jobs get big cells. In a huge job a cell is several instances, as bad as the worst.
fn cells(job: &str, tasks: &BTreeMap<u32, Task>) -> (Vec<Cell>, &'static str) {
    let known: Vec<_> =
        tasks.iter().filter_map(|(instance, task)| Some((*instance, task.status()?))).collect();
    let share = known.len().div_ceil(CELLS_MAX).max(1);
    let size = match known.len() {
        0..=64 => "large",
        65..=300 => "medium",
        _ => "small",
    };
    (known.chunks(share).filter_map(|chunk| cell(job, chunk)).collect(), size)
}

fn cell(job: &str, instances: &[(u32, Status)]) -> Option<Cell> {
    let &(first, _) = instances.first()?;
    let &(last, _) = instances.last()?;
    let worst = instances.iter().map(|(_, status)| *status).max_by_key(|it| gravity(*it))?;
    let look = format::status(&worst);
    let (title, link) = if first == last {
        // Relative to the job's page: short, because there are many.
        (format!("{first} {}", look.name), format!("{job}/{first}"))
    } else {
        let title = format!("{first}–{last} worst {}", look.name);
        (title, format!("?q={first}-{last}#instances"))
    };
    Some(Cell { instance: first, link, class: look.class, glyph: look.glyph, title })
}

/// How much somebody who looks at many instances wants to see one in this state.
fn gravity(status: Status) -> u32 {
    match status {
        Status::Finished => 0,
        Status::Killed => 1,
        Status::Running => 2,
        Status::Assigned | Status::Starting => 3,
        Status::Killing | Status::Restarting | Status::Preempting | Status::Draining => 4,
        Status::Pending | Status::Throttled => 5,
        Status::Partitioned => 6,
        Status::Lost => 7,
        Status::Failed => 8,
    }
}

/// One entry for each reason, not for each instance.
pub(super) fn waiting(it: &JobView, matters: impl Fn(u32) -> bool) -> Vec<Waiting> {
    let mut groups: Vec<(Waiting, Vec<u32>)> = Vec::new();
    let known = it.pending.keys().copied().filter(|instance| matters(*instance));
    for pending in known.filter_map(|instance| show::pending_task(it, instance)) {
        let same = |it: &&mut (Waiting, Vec<u32>)| {
            it.0.vetoes == pending.vetoes
                && it.0.nearest == pending.nearest
                && it.0.hosts == pending.hosts
                && it.0.making == pending.making
        };
        if let Some((_, instances)) = groups.iter_mut().find(same) {
            instances.push(pending.instance);
            continue;
        }
        let waiting = Waiting {
            instances: InstanceSet::default(),
            hosts: pending.hosts,
            vetoes: pending.vetoes,
            nearest: pending.nearest,
            making: pending.making,
        };
        groups.push((waiting, vec![pending.instance]));
    }
    let named = |(waiting, instances): (Waiting, Vec<u32>)| Waiting {
        instances: instances.into_iter().collect(),
        ..waiting
    };
    groups.into_iter().map(named).collect()
}

impl Waiting {
    /// Hosts where no place is being made.
    pub(super) fn others(&self) -> String {
        let noun = if self.making.is_empty() { "host" } else { "other host" };
        format::count(self.hosts.saturating_sub(self.making.len()), noun)
    }

    pub(super) fn count(&self) -> usize {
        usize::try_from(self.instances.len()).unwrap_or(usize::MAX)
    }
}

/// Whoever asks for a page of a job that is gone gets to hear so.
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_of_many_instances_looks_like_the_worst_of_them() {
        let cell =
            cell("web", &[(10, Status::Running), (11, Status::Failed), (12, Status::Finished)])
                .unwrap();
        assert_eq!((cell.class, cell.title.as_str()), ("failed", "10–12 worst FAILED"));
    }
}
