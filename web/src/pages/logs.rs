//! A log as it is being written.

use std::borrow::Borrow;

use actix_web::{
    HttpResponse,
    web::{Data, Path, Query},
};
use airglow_model::ids::TaskId;
use askama::Template;
use serde::Deserialize;

use super::{Section, Shell, Sorry, format, render};
use crate::{
    Site,
    api::{Problem, TaskSummary},
    logs, show,
};

/// How much of a log's end a page shows at first.
const TAIL: i64 = 64 * 1024;

#[derive(Deserialize)]
pub(crate) struct From {
    offset: Option<i64>,
}

#[derive(Template)]
#[template(path = "log.html")]
struct LogPage {
    shell: Shell,
    task: TaskSummary,
    process: String,
    run: u32,
    stream: String,
    /// Where the API has it.
    source: String,
    offset: u64,
    end: u64,
    size: u64,
    text: String,
}

impl LogPage {
    /// The same for another run or stream.
    fn link(&self, run: impl Borrow<u32>, stream: &str) -> String {
        let run = run.borrow();
        let process = format::segment(&self.process);
        format!("/task/{}/logs/{process}/{run}/{stream}", self.task.task_id)
    }
}

pub(crate) async fn log(
    site: Data<Site>,
    path: Path<(String, String, String, String)>,
    from: Query<From>,
) -> Result<HttpResponse, Sorry> {
    let (id, process, run, stream) = path.into_inner();
    let log = logs::open(&site, TaskId(id), process.clone(), &run, &stream).await?;
    let piece = log.piece(&site, from.offset.unwrap_or(-TAIL), TAIL.unsigned_abs()).await?;
    let unborn = || Problem::not_found("nothing has happened to the task yet");
    let task = show::task_of(&log.task.key, &log.task.run).ok_or_else(unborn)?;
    let shell = Shell::new(&site, format!("{process} {stream}"), Section::Jobs);
    let name = format::segment(&process);
    render(&LogPage {
        shell,
        source: format!("/api/v1/tasks/{}/logs/{name}/{}/{stream}", task.task_id, log.run),
        task,
        process,
        run: log.run,
        stream,
        offset: piece.offset,
        end: piece.end(),
        size: piece.size,
        text: String::from_utf8_lossy(&piece.data).into_owned(),
    })
}
