//! A log as it is being written.

use std::borrow::Borrow;

use actix_web::{
    HttpResponse,
    web::{Data, Path, Query},
};
use airglow_model::ids::TaskId;
use askama::Template;
use futures_util::future::join;
use serde::Deserialize;

use super::{
    Section, Shell, Sorry, format, render,
    viewer::{SHOWN, Viewer},
};
use crate::{
    Site,
    api::{Problem, Run, TaskSummary},
    logs, show,
};

#[derive(Deserialize)]
pub(crate) struct From {
    pub(super) offset: Option<i64>,
}

#[derive(Template)]
#[template(path = "log.html")]
struct LogPage {
    shell: Shell,
    task: TaskSummary,
    process: String,
    run: u32,
    stream: String,
    /// How the run went, if its host says.
    about: Option<Run>,
    newest: Option<u32>,
    it: Viewer,
}

impl LogPage {
    /// The same for another run or stream.
    fn link(&self, run: impl Borrow<u32>, stream: &str) -> String {
        let run = run.borrow();
        let process = format::segment(&self.process);
        format!("/task/{}/logs/{process}/{run}/{stream}", self.task.task_id)
    }

    fn ended_at(&self, run: &Run) -> airglow_model::machine::Timestamp {
        run.ended_at.unwrap_or(self.shell.now)
    }

    fn has_next(&self) -> bool {
        self.newest.is_some_and(|newest| newest > self.run)
    }
}

pub(crate) async fn log(
    site: Data<Site>,
    path: Path<(String, String, String, String)>,
    from: Query<From>,
) -> Result<HttpResponse, Sorry> {
    let (id, process, run, stream) = path.into_inner();
    let log = logs::open(&site, TaskId(id.into()), process.clone(), &run, &stream).await?;
    let offset = from.offset.unwrap_or(-SHOWN.cast_signed());
    let (piece, about) = join(log.piece(&site, offset, SHOWN), log.about(&site)).await;
    let piece = piece?;
    let unborn = || Problem::not_found("nothing has happened to the task yet");
    let task = show::task_of(&log.task.key, &log.task.run).ok_or_else(unborn)?;
    let shell = Shell::new(&site, format!("{process} {stream}"), Section::Jobs);
    let name = format::segment(&process);
    let mut it = Viewer {
        label: format!("{stream} of {process}"),
        source: format!("/api/v1/tasks/{}/logs/{name}/{}/{stream}", task.task_id, log.run),
        follow: "run",
        active: task.active && !about.is_over(log.run),
        at_end: from.offset.is_none(),
        ..Viewer::default()
    };
    // An offset that was asked for is kept to the byte; where the tail begins is nobody's matter.
    it.fill(&piece, from.offset.is_none() && piece.offset > 0);
    let (newest, about) = (about.newest, about.run.as_ref().map(Run::from));
    render(&LogPage { shell, task, process, run: log.run, stream, about, newest, it })
}
