//! One process of a task: what was written about it, and how its runs went.

use actix_web::web::{Data, Json, Path};
use airglow_model::{
    config::TaskConfig,
    ids::TaskId,
    spec::{ProcessSpec, TaskSpec},
    wire::ProcessState,
};

use crate::{
    Site,
    api::{OnHost, Problem, Process, ProcessDetail},
    hearsay::{self, Hearsay},
    show,
    tasks::{self, Found},
};

/// Show a process of a task: its command, its flags, its runs and what it uses.
#[utoipa::path(get, path = "/api/v1/tasks/{task_id}/processes/{process}", tag = "tasks", params(
    ("task_id" = String, Path), ("process" = String, Path),
), responses(
    (status = 200, body = ProcessDetail),
    (status = 404, body = Problem, content_type = "application/problem+json"),
))]
pub(crate) async fn get(
    site: Data<Site>,
    path: Path<(String, String)>,
) -> Result<Json<ProcessDetail>, Problem> {
    let (id, name) = path.into_inner();
    let found = tasks::find(&site, &TaskId(id.into())).await?;
    let (detail, _) = detail(&site, &found, &name).await?;
    Ok(Json(detail))
}

/// The process, and what its host says of the whole task.
pub(crate) async fn detail(
    site: &Site,
    found: &Found,
    name: &str,
) -> Result<(ProcessDetail, OnHost), Problem> {
    let nothing =
        || Problem::not_found(format!("nothing has happened to task {} yet", found.run.id));
    let task = show::task_of(&found.key, &found.run).ok_or_else(nothing)?;
    let Hearsay { on_host, processes } = hearsay::of(site, found).await;
    let spec = found.config.as_deref().and_then(|config| written(config, name));
    let process = processes.into_iter().find(|it| it.name == name);
    let process = process.or_else(|| spec.as_ref().map(waiting)).ok_or_else(|| {
        let why = on_host.unheard.as_ref().map(|why| format!(" ({why})")).unwrap_or_default();
        Problem::not_found(format!("task {} has no process {name}{why}", found.run.id))
    })?;
    let after = found.config.as_ref().map(|it| before(&it.spec.task, name)).unwrap_or_default();
    let unheard = on_host.unheard.clone();
    Ok((ProcessDetail { task, process, spec, after, unheard }, on_host))
}

fn written(config: &TaskConfig, name: &str) -> Option<ProcessSpec> {
    config.spec.task.processes.iter().find(|it| it.name == name).cloned()
}

/// As it is while nothing has been heard of it.
fn waiting(spec: &ProcessSpec) -> Process {
    Process {
        name: spec.name.clone(),
        state: ProcessState::Waiting,
        is_final: spec.is_final,
        daemon: spec.daemon,
        ephemeral: spec.ephemeral,
        failures: 0,
        runs: vec![],
        usage: None,
    }
}

/// Who has to end before `name` may start: its neighbours in every order, each once.
fn before(task: &TaskSpec, name: &str) -> Vec<String> {
    let orders = task.constraints.iter().map(|it| it.order.as_slice());
    let pairs = orders.flat_map(|order| order.windows(2)).filter(|pair| pair[1] == name);
    let mut all: Vec<_> = pairs.map(|pair| pair[0].clone()).collect();
    all.sort();
    all.dedup();
    all
}
