//! What processes wrote: a stretch of it, or everything as it comes.
//!
//! The bytes are the process's own, nothing added and nothing left out. Following a log goes on
//! with the process's next run where one ends, and ends with the task.

use std::{convert::Infallible, time::Duration};

use actix_web::{
    HttpResponse,
    http::header::ContentEncoding,
    web::{Bytes, Data, Path, Query},
};
use airglow_model::{
    ids::TaskId,
    wire::{Answer, ProcessView, Question, Stream},
};
use futures_util::stream;
use serde::Deserialize;
use tokio::time::sleep;

use crate::{
    Site,
    api::Problem,
    pieces::{self, Content, PIECE, Piece},
    tasks::{self, Found},
};

/// How long to wait for more of a log that has been quiet: at first, and at most.
const LULL: Duration = Duration::from_millis(100);
const LULL_MAX: Duration = Duration::from_secs(1);

#[derive(Deserialize)]
pub(crate) struct Range {
    /// Negative counts from the end.
    #[serde(default)]
    offset: i64,
    length: Option<u64>,
    #[serde(default)]
    follow: Option<String>,
}

/// One log: a run's, of a process of a task.
#[derive(Clone)]
pub(crate) struct Log {
    pub(crate) task: Found,
    pub(crate) process: String,
    pub(crate) run: u32,
    pub(crate) stream: Stream,
}

/// What a run of a process wrote. With `follow=1` the answer goes on as the process does, and with
/// its next run where one ends, until the task has ended.
#[utoipa::path(get, path = "/api/v1/tasks/{task_id}/logs/{process}/{run}/{stream}", tag = "tasks", params(
    ("task_id" = String, Path), ("process" = String, Path),
    ("run" = String, Path, description = "from 0, or `last`"),
    ("stream" = String, Path, description = "`stdout` or `stderr`"),
    ("offset" = Option<i64>, Query, description = "bytes; negative counts from the end"),
    ("length" = Option<u64>, Query, description = "bytes; absent: to the end"),
    ("follow" = Option<bool>, Query, description = "`1` or `true`: go on as the process writes"),
), responses(
    (status = 200, body = String, content_type = "text/plain", headers(
        ("airglow-log-offset" = u64, description = "where the answer begins"),
        ("airglow-log-size" = u64, description = "how long the log was"),
        ("airglow-log-run" = u32, description = "the run whose log it is"),
    )),
    (status = 404, body = Problem, content_type = "application/problem+json"),
    (status = 502, body = Problem, content_type = "application/problem+json"),
))]
pub(crate) async fn get(
    site: Data<Site>,
    path: Path<(String, String, String, String)>,
    range: Query<Range>,
) -> Result<HttpResponse, Problem> {
    let (id, process, run, stream) = path.into_inner();
    let log = open(&site, TaskId(id), process, &run, &stream).await?;
    let follow = range.follow.as_deref().is_some_and(|it| matches!(it, "" | "1" | "true"));
    // The first piece is fetched before the answer begins, so that what is wrong can still be said.
    let length = range.length.unwrap_or(u64::MAX);
    let first = log.piece(&site, range.offset, length).await?;
    let mut response = HttpResponse::Ok();
    response
        .content_type("text/plain; charset=utf-8")
        .insert_header(("airglow-log-offset", first.offset.to_string()))
        .insert_header(("airglow-log-size", first.size.to_string()))
        .insert_header(("airglow-log-run", log.run.to_string()));
    if follow {
        // A compressor would wait for more.
        response.insert_header(ContentEncoding::Identity);
    }
    let tail = Tail { site, log, left: length, follow, next: Some(first), lull: LULL };
    Ok(response.streaming(stream::unfold(tail, |mut tail| async {
        let data = tail.next().await?;
        Some((Ok::<_, Infallible>(data), tail))
    })))
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
    let processes = processes(site, task).await?;
    let process = processes.iter().find(|it| it.name == process);
    let run = process.and_then(|it| it.runs.last()).map(|it| it.run);
    run.ok_or_else(|| Problem::not_found("the process has not run yet"))
}

async fn processes(site: &Site, task: &Found) -> Result<Vec<ProcessView>, Problem> {
    let question = Question::Task { task_id: task.run.id.clone() };
    let host = task.host()?;
    match site.scheduler.ask(host, question).await? {
        Answer::Task(view) => Ok(view.processes),
        Answer::NotFound { what } => Err(Problem::not_found(what)),
        Answer::Failed { why } => Err(pieces::confused(host, &why)),
        Answer::Piece { .. } | Answer::Folder { .. } | Answer::Metrics { .. } => {
            Err(Problem::not_found("its host does not know its processes"))
        }
    }
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
}

/// A log on its way to somebody.
struct Tail {
    site: Data<Site>,
    log: Log,
    /// How many bytes are still wanted.
    left: u64,
    follow: bool,
    /// Fetched, not yet passed on.
    next: Option<Piece>,
    lull: Duration,
}

impl Tail {
    async fn next(&mut self) -> Option<Bytes> {
        // Any error ends the answer: it has begun, so there is nowhere left to say why.
        let mut piece = self.next.take()?;
        while piece.data.is_empty() {
            if !self.follow || self.left == 0 {
                return None;
            }
            piece = self.more(piece.end()).await?;
        }
        self.lull = LULL;
        self.left = self.left.saturating_sub(piece.data.len() as u64);
        if self.left > 0 && (self.follow || piece.end() < piece.size) {
            self.next = self.after(piece.end()).await;
        }
        Some(piece.data)
    }

    async fn after(&self, end: u64) -> Option<Piece> {
        match self.log.piece(&self.site, i64::try_from(end).ok()?, self.left).await {
            Ok(piece) => Some(piece),
            // Its host may be away for a moment, and whoever follows has the patience.
            Err(_) if self.follow => Some(nothing_at(end)),
            Err(_) => None,
        }
    }

    /// Whatever is after `end`: of this run, or of the one that followed it. Maybe nothing yet.
    async fn more(&mut self, end: u64) -> Option<Piece> {
        // Looked at before the log is read, or the last words before an end would be lost.
        let (task_ended, has_next_run) = (self.task_ended().await, self.has_next_run().await);
        let at = i64::try_from(end).ok()?;
        match self.log.piece(&self.site, at, self.left).await {
            Ok(piece) if !piece.data.is_empty() => Some(piece),
            Ok(_) if has_next_run => {
                self.log.run += 1;
                Some(nothing_at(0))
            }
            Ok(_) | Err(_) if task_ended => None,
            // Its host may be away for a moment.
            Ok(_) | Err(_) => {
                sleep(self.lull).await;
                self.lull = (self.lull * 2).min(LULL_MAX);
                Some(nothing_at(end))
            }
        }
    }

    async fn has_next_run(&self) -> bool {
        let Ok(all) = processes(&self.site, &self.log.task).await else { return false };
        let process = all.iter().find(|it| it.name == self.log.process);
        process.is_some_and(|it| it.runs.iter().any(|it| it.run > self.log.run))
    }

    async fn task_ended(&self) -> bool {
        let found = tasks::find(&self.site, &self.log.task.run.id).await;
        found.map_or(true, |it| !it.run.state.status().is_active())
    }
}

fn nothing_at(offset: u64) -> Piece {
    Piece { offset, size: offset, data: Bytes::new() }
}
