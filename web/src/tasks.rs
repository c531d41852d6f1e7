//! Task instances' runs: the newest of each, and any other by its id.

use std::sync::Arc;

use actix_web::web::{Data, Json, Path, Query};
use airglow_model::{
    config::TaskConfig,
    ids::{HostId, TaskId, TaskKey},
    instances::InstanceSet,
    task::{Run, Status},
    view::View,
    wire::ProcessView,
};
use serde::Deserialize;

use crate::{
    Site,
    api::{Config, Page, PendingTask, Problem, TaskDetail, TaskEvent, TaskSummary},
    hearsay::{self, Hearsay},
    show,
};

const PAGE: usize = 500;
const PAGE_MAX: usize = 5000;

#[derive(Deserialize)]
pub(crate) struct Filter {
    role: Option<String>,
    environment: Option<String>,
    name: Option<String>,
    instance: Option<u32>,
    /// Several are separated by commas.
    status: Option<String>,
    host: Option<String>,
    limit: Option<usize>,
    cursor: Option<String>,
}

/// List the newest runs of instances.
#[utoipa::path(get, path = "/api/v1/tasks", tag = "tasks", params(
    ("role" = Option<String>, Query), ("environment" = Option<String>, Query),
    ("name" = Option<String>, Query), ("instance" = Option<u32>, Query),
    ("status" = Option<String>, Query, description = "one or several, separated by commas"),
    ("host" = Option<String>, Query),
    ("limit" = Option<usize>, Query, minimum = 1, maximum = 5000),
    ("cursor" = Option<String>, Query, description = "`next` of the page before"),
), responses(
    (status = 200, body = Page<TaskSummary>),
    (status = 400, body = Problem, content_type = "application/problem+json"),
))]
pub(crate) async fn list(
    site: Data<Site>,
    filter: Query<Filter>,
) -> Result<Json<Page<TaskSummary>>, Problem> {
    let after = match &filter.cursor {
        None => None,
        Some(cursor) => {
            let wrong = |_| Problem::bad_request("the cursor is not one that was given out");
            Some(cursor.parse::<TaskKey>().map_err(wrong)?)
        }
    };
    let statuses = filter.status.as_deref().map(read_statuses).transpose()?;
    let limit = filter.limit.unwrap_or(PAGE).clamp(1, PAGE_MAX);
    let mut items: Vec<_> = site.scheduler.view().read(|view| {
        let tasks = show::tasks(view, after.as_ref());
        tasks.filter(|it| filter.takes(it, statuses.as_deref())).take(limit + 1).collect()
    });
    let more = items.len() > limit;
    items.truncate(limit);
    let last = items.last().filter(|_| more);
    let next = last.map(|it| it.job().task(it.instance).to_string());
    Ok(Json(Page { items, next }))
}

impl Filter {
    fn takes(&self, it: &TaskSummary, statuses: Option<&[Status]>) -> bool {
        let is = |asked: &Option<String>, value: &str| asked.as_ref().is_none_or(|it| it == value);
        is(&self.role, &it.role)
            && is(&self.environment, &it.environment)
            && is(&self.name, &it.name)
            && self.instance.is_none_or(|instance| instance == it.instance)
            && statuses.is_none_or(|all| all.contains(&it.status))
            && self.host.as_ref().is_none_or(|host| Some(host) == it.host.as_ref())
    }
}

pub(crate) fn read_statuses(text: &str) -> Result<Vec<Status>, Problem> {
    let read = |name: &str| {
        let name = name.trim().to_ascii_uppercase();
        let quoted = serde_json::Value::String(name.clone());
        serde_json::from_value(quoted)
            .map_err(|_| Problem::bad_request(format!("there is no task status {name}")))
    };
    text.split(',').filter(|it| !it.trim().is_empty()).map(read).collect()
}

/// A run, wherever it was found.
#[derive(Clone)]
pub(crate) struct Found {
    pub(crate) key: TaskKey,
    pub(crate) run: Run,
    pub(crate) config: Option<Arc<TaskConfig>>,
    pub(crate) pending: Option<PendingTask>,
    /// As its host last said by itself.
    pub(crate) processes: Option<Arc<Vec<ProcessView>>>,
}

impl Found {
    pub(crate) fn host(&self) -> Result<&HostId, Problem> {
        let placement = self.run.state.placement().map(|it| &it.host);
        placement.ok_or_else(|| Problem::not_found(format!("task {} has no host", self.run.id)))
    }
}

/// In the view if it is its instance's newest, else in the history.
pub(crate) async fn find(site: &Site, id: &TaskId) -> Result<Found, Problem> {
    if let Some(found) = site.scheduler.view().read(|view| current(view, id)) {
        return Ok(found);
    }
    let (scheduler, wanted) = (site.scheduler.clone(), id.clone());
    let ended = actix_web::web::block(move || scheduler.run(&wanted)).await??;
    let (key, run) = ended.ok_or_else(|| Problem::not_found(format!("there is no task {id}")))?;
    let (config, processes) = site.scheduler.view().read(|view| {
        let job = view.jobs.get(&key.job);
        let config = job.and_then(|job| job.configs.get(&run.config).cloned());
        (config, job.and_then(|job| job.processes.get(id).cloned()))
    });
    Ok(Found { key, run, config, pending: None, processes })
}

fn current(view: &View, id: &TaskId) -> Option<Found> {
    let key = view.slots.get(id)?;
    let job = view.jobs.get(&key.job)?;
    let run = job.tasks.get(&key.instance)?.run.as_ref().filter(|run| run.id == *id)?;
    Some(Found {
        key: key.clone(),
        run: run.clone(),
        config: job.configs.get(&run.config).cloned(),
        pending: show::pending_task(job, key.instance),
        processes: job.processes.get(id).cloned(),
    })
}

/// Show a task: its configuration, what happened to it, how it is on its host, and its processes with
/// their runs.
#[utoipa::path(get, path = "/api/v1/tasks/{task_id}", tag = "tasks", params(
    ("task_id" = String, Path),
), responses(
    (status = 200, body = TaskDetail),
    (status = 404, body = Problem, content_type = "application/problem+json"),
))]
pub(crate) async fn get(site: Data<Site>, id: Path<String>) -> Result<Json<TaskDetail>, Problem> {
    let found = find(&site, &TaskId(id.into_inner().into())).await?;
    detail(&site, found).await.map(Json)
}

pub(crate) async fn detail(site: &Site, found: Found) -> Result<TaskDetail, Problem> {
    let Hearsay { on_host, processes } = hearsay::of(site, &found).await;
    let Found { key, run, config, pending, .. } = found;
    let nothing = || Problem::not_found(format!("nothing has happened to task {} yet", run.id));
    let task = show::task_of(&key, &run).ok_or_else(nothing)?;
    let instances: InstanceSet = [key.instance].into_iter().collect();
    Ok(TaskDetail {
        task,
        config: config.map(|config| Config::new(run.config, instances, &config)),
        processes_unknown: on_host.unheard.clone().filter(|_| processes.is_empty()),
        on_host,
        events: run.events.iter().map(TaskEvent::from).collect(),
        ancestor: run.ancestor.map(|id| id.to_string()),
        penalty_ms: run.penalty_ms,
        pending,
        processes,
    })
}
