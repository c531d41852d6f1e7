//! What a task's host says of it, asked for while somebody waits for an answer.
//!
//! A host that does not answer soon is no reason to show nothing: what it last said by itself, about
//! its processes, is in the view, and that it is old is said with it.

use std::time::Duration;

use actix_web::http::StatusCode;
use airglow_model::wire::{Answer, ProcessView, Question, TaskView};
use tokio::time::timeout;

use crate::{
    Site,
    api::{OnHost, Problem, Process},
    pieces,
    tasks::Found,
};

/// Whoever opens a page waits no longer than this for a host.
const PATIENCE: Duration = Duration::from_secs(2);

/// How a task is, as far as it is known.
#[derive(Default)]
pub(crate) struct Hearsay {
    pub(crate) on_host: OnHost,
    pub(crate) processes: Vec<Process>,
}

/// Nothing of a task that has no place yet: there is nobody to ask.
pub(crate) async fn of(site: &Site, found: &Found) -> Hearsay {
    if found.run.state.placement().is_none() {
        return Hearsay::default();
    }
    match view(site, found).await {
        Ok(view) => Hearsay {
            on_host: OnHost::heard(&view),
            processes: view.processes.iter().map(Process::from).collect(),
        },
        Err(problem) => {
            let known: &[ProcessView] = found.processes.as_deref().map_or(&[], |it| it);
            Hearsay {
                on_host: OnHost { unheard: Some(problem.to_string()), ..OnHost::default() },
                processes: known.iter().map(Process::from).collect(),
            }
        }
    }
}

/// How the host says that the task is.
pub(crate) async fn view(site: &Site, found: &Found) -> Result<TaskView, Problem> {
    let host = found.host()?;
    let question = Question::Task { task_id: found.run.id.clone() };
    let Ok(answer) = timeout(PATIENCE, site.scheduler.ask(host, question)).await else {
        let detail = format!("host {host} has not answered: try again shortly");
        return Err(Problem::new(StatusCode::GATEWAY_TIMEOUT, detail));
    };
    match answer? {
        Answer::Task(view) => Ok(*view),
        Answer::NotFound { .. } if found.run.state.status().is_active() => {
            let detail = format!("host {host} does not know the task yet: try again shortly");
            Err(Problem::not_found(detail))
        }
        Answer::NotFound { .. } => {
            Err(Problem::not_found(format!("host {host} does not know the task any more")))
        }
        Answer::Failed { why } => Err(pieces::confused(host, &why)),
        Answer::Piece { .. } | Answer::Folder { .. } | Answer::Metrics { .. } => {
            Err(pieces::confused(host, "it answered something else"))
        }
    }
}
