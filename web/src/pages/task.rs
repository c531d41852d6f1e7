//! One run of one instance, and the runs before it.

use std::collections::BTreeMap;

use actix_web::{
    HttpResponse,
    web::{Data, Path},
};
use airglow_model::{
    ids::{JobKey, TaskId, TaskKey},
    task::Status,
};
use askama::Template;

use super::{
    Section, Shell, Sorry, events_of, format,
    job::Shown,
    render,
    share::{self, Share},
};
use crate::{
    Site,
    api::{Health, Problem, Run, Stage, TaskDetail, TaskSummary},
    jobs, tasks,
};

/// More processes than this fill a screen.
const MANY: usize = 12;
/// Ended runs that are shown on an instance's page.
const EARLIER: usize = 50;

#[derive(Template)]
#[template(path = "task.html")]
struct TaskPage {
    shell: Shell,
    task: TaskSummary,
    detail: TaskDetail,
    config: Option<Shown>,
    /// Whether this is the instance's own page, which shows whatever run is its newest.
    is_instance: bool,
    earlier: Vec<TaskSummary>,
}

impl TaskPage {
    fn job(&self) -> String {
        self.task.job().to_string()
    }

    fn ended_at(&self, run: &Run) -> airglow_model::machine::Timestamp {
        run.ended_at.unwrap_or(self.shell.now)
    }

    fn has_many_processes(&self) -> bool {
        self.detail.processes.len() > MANY
    }

    /// Bars need to know how much there is; once the job has forgotten that, numbers have to do.
    fn shares(&self) -> Vec<Share> {
        let given = self.config.as_ref().map(|it| it.config.resources).unwrap_or_default();
        self.detail.on_host.usage.as_ref().map(|it| share::usage(it, &given)).unwrap_or_default()
    }

    /// While a task goes on as it should there is no more to say than that.
    fn stage_to_tell(&self) -> Option<&Stage> {
        let stage = self.detail.on_host.stage.as_ref()?;
        let usual = matches!(stage.name.as_str(), "active" | "over") && stage.detail.is_empty();
        Some(stage).filter(|_| self.task.active && !usual)
    }

    /// By all their names, if its host has told them.
    fn ports(&self) -> &BTreeMap<String, u16> {
        let told = &self.detail.on_host.ports;
        if told.is_empty() { &self.task.ports } else { told }
    }

    /// Whether a sandbox may exist.
    fn has_sandbox(&self) -> bool {
        let early =
            matches!(self.task.status, Status::Throttled | Status::Pending | Status::Assigned);
        self.task.host.is_some() && !early
    }
}

/// How long a check took on average.
fn latency_ms(it: &Health) -> u64 {
    it.total_latency_ms.checked_div(it.checks).unwrap_or(0)
}

pub(crate) async fn task(site: Data<Site>, id: Path<String>) -> Result<HttpResponse, Sorry> {
    let found = tasks::find(&site, &TaskId(id.into_inner().into())).await?;
    let key = found.key.clone();
    let detail = tasks::detail(&site, found).await?;
    page(&site, &key, detail, false).await
}

pub(crate) async fn instance(
    site: Data<Site>,
    path: Path<(String, String, String, u32)>,
) -> Result<HttpResponse, Sorry> {
    let (role, environment, name, instance) = path.into_inner();
    let key = JobKey::new(role, environment, name).task(instance);
    let newest = site.scheduler.view().read(|view| {
        let task = view.jobs.get(&key.job)?.tasks.get(&key.instance)?;
        Some(task.run.as_ref()?.id.clone())
    });
    let newest = match newest {
        Some(newest) => newest,
        None => last_ended(&site, &key).await?,
    };
    let detail = tasks::detail(&site, tasks::find(&site, &newest).await?).await?;
    page(&site, &key, detail, true).await
}

async fn last_ended(site: &Site, key: &TaskKey) -> Result<TaskId, Problem> {
    let ended = jobs::ended(site, key.job.clone(), Some(key.instance), 1).await?;
    let newest = ended.into_iter().next();
    newest.map(|it| TaskId(it.task_id.into())).ok_or_else(|| {
        Problem::not_found(format!("job {} has no instance {}", key.job, key.instance))
    })
}

async fn page(
    site: &Site,
    key: &TaskKey,
    mut detail: TaskDetail,
    is_instance: bool,
) -> Result<HttpResponse, Sorry> {
    let earlier = jobs::ended(site, key.job.clone(), Some(key.instance), EARLIER).await?;
    let title = format!("{}/{}", key.job.name, key.instance);
    let events = format!("{}&instance={}", events_of(&key.job), key.instance);
    let task = detail.task.clone();
    render(&TaskPage {
        shell: Shell::new(site, title, Section::Jobs).live(events).measuring(task.active),
        config: detail.config.take().map(Shown::new),
        earlier: earlier.into_iter().filter(|it| it.task_id != task.task_id).collect(),
        task,
        detail,
        is_instance,
    })
}
