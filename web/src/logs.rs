//! What processes wrote: a stretch of it, or everything as it comes.
//!
//! The bytes are the process's own, nothing added and nothing left out. Following a log goes on
//! with the process's next run where one ends, and ends with the task; or, for whoever shows one
//! run only, with the run.

use actix_web::{
    HttpRequest, HttpResponse,
    web::{Data, Path, Query},
};
use airglow_model::{
    ids::TaskId,
    wire::{ProcessView, Question, RunView, Stream},
};

use crate::{
    Site,
    api::{Problem, Stretch},
    hearsay,
    pieces::{self, Content, PIECE, Piece},
    sending::{Range, Source, Switch, attach, send, wants_json},
    tasks::{self, Found},
};

/// One log: a run's, of a process of a task.
#[derive(Clone)]
pub(crate) struct Log {
    pub(crate) task: Found,
    pub(crate) process: String,
    pub(crate) run: u32,
    pub(crate) stream: Stream,
}

/// What a run of a process wrote, however often its file was rotated meanwhile. With `follow=1` the
/// answer goes on as the process does, and with its next run where one ends, until the task has
/// ended. Who accepts `application/json` gets a stretch of at most 1 MiB.
#[utoipa::path(get, path = "/api/v1/tasks/{task_id}/logs/{process}/{run}/{stream}", tag = "tasks", params(
    ("task_id" = String, Path), ("process" = String, Path),
    ("run" = String, Path, description = "from 0, or `last`"),
    ("stream" = String, Path, description = "`stdout` or `stderr`"),
    ("offset" = Option<i64>, Query, description = "bytes; negative counts from the end"),
    ("length" = Option<u64>, Query, description = "bytes; absent: to the end"),
    ("follow" = Option<String>, Query, description = "`1`: go on as the process writes; `run`: until this run has ended"),
    ("download" = Option<String>, Query, description = "`1`: as an attachment"),
), responses(
    (status = 200, headers(
        ("airglow-log-offset" = u64, description = "where the answer begins"),
        ("airglow-log-size" = u64, description = "how long the log was"),
        ("airglow-log-run" = u32, description = "the run whose log it is"),
    ), content((String = "text/plain"), (Stretch = "application/json"))),
    (status = 404, body = Problem, content_type = "application/problem+json"),
    (status = 502, body = Problem, content_type = "application/problem+json"),
))]
pub(crate) async fn get(
    site: Data<Site>,
    request: HttpRequest,
    path: Path<(String, String, String, String)>,
    range: Query<Range>,
) -> Result<HttpResponse, Problem> {
    let (id, process, run, stream) = path.into_inner();
    let log = open(&site, TaskId(id.into()), process, &run, &stream).await?;
    // The first piece is fetched before the answer begins, so that what is wrong can still be said.
    let first = log.piece(&site, range.offset, range.length()).await?;
    if wants_json(&request) {
        return Ok(HttpResponse::Ok().json(Stretch::from(first)));
    }
    let mut response = HttpResponse::Ok();
    response
        .content_type("text/plain; charset=utf-8")
        .insert_header(("airglow-log-run", log.run.to_string()));
    if range.download == Switch::On {
        let name = format!("{}.{}.{stream}", log.process, log.run);
        attach(&mut response, name);
    }
    Ok(send(site, response, Source::Log(Box::new(log)), first, &range))
}

pub(crate) async fn open(
    site: &Site,
    id: TaskId,
    process: String,
    run: &str,
    stream: &str,
) -> Result<Log, Problem> {
    let task = tasks::find(site, &id).await?;
    let stream = match stream {
        "stdout" => Stream::Stdout,
        "stderr" => Stream::Stderr,
        other => {
            return Err(Problem::not_found(format!("a run has stdout and stderr, no {other}")));
        }
    };
    let run = match run {
        "last" => last_run(site, &task, &process).await?,
        number => number.parse().map_err(|_| {
            Problem::not_found(format!("a run is a number or `last`, not {number}"))
        })?,
    };
    Ok(Log { task, process, run, stream })
}

async fn last_run(site: &Site, task: &Found, process: &str) -> Result<u32, Problem> {
    let view = hearsay::view(site, task).await?;
    let process = view.processes.iter().find(|it| it.name == process);
    let run = process.and_then(|it| it.runs.last()).map(|it| it.run);
    run.ok_or_else(|| Problem::not_found("the process has not run yet"))
}

impl Log {
    pub(crate) async fn piece(
        &self,
        site: &Site,
        offset: i64,
        length: u64,
    ) -> Result<Piece, Problem> {
        let question = Question::Log {
            task_id: self.task.run.id.clone(),
            process: self.process.clone(),
            run: self.run,
            stream: self.stream,
            offset,
            length: u32::try_from(length).unwrap_or(PIECE).min(PIECE),
        };
        match pieces::ask(site, self.task.host()?, question).await? {
            Content::Piece(piece) => Ok(piece),
            Content::Folder(_) => Err(Problem::not_found("the log is a folder")),
        }
    }

    /// What there is to say of its run, if its host says anything of it.
    pub(crate) async fn about(&self, site: &Site) -> About {
        let Ok(view) = hearsay::view(site, &self.task).await else { return About::default() };
        let process = view.processes.into_iter().find(|it| it.name == self.process);
        let Some(ProcessView { runs, .. }) = process else { return About::default() };
        About {
            newest: runs.last().map(|it| it.run),
            run: runs.into_iter().find(|it| it.run == self.run),
        }
    }
}

/// A run and its successors, as their host tells of them.
#[derive(Default)]
pub(crate) struct About {
    pub(crate) run: Option<RunView>,
    pub(crate) newest: Option<u32>,
}

impl About {
    /// It has ended, or another has begun since: nothing more will be written.
    pub(crate) fn is_over(&self, run: u32) -> bool {
        self.is_followed(run) || self.run.as_ref().is_some_and(|it| it.state.is_terminal())
    }

    pub(crate) fn is_followed(&self, run: u32) -> bool {
        self.newest.is_some_and(|newest| newest > run)
    }
}
