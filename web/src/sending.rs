//! Bytes on their way from a host to somebody: piece by piece, so that a file of any size never is
//! in memory, and as slowly as they are taken.

use std::{io, time::Duration};

use actix_web::{
    HttpRequest, HttpResponse, HttpResponseBuilder,
    http::{
        StatusCode,
        header::{self, ContentDisposition, ContentEncoding, DispositionParam, DispositionType},
    },
    web::{Bytes, Data},
};
use futures_util::stream;
use serde::Deserialize;
use tokio::time::sleep;

use crate::{
    Site,
    api::{Problem, Stretch},
    files::Place,
    logs::Log,
    pieces::Piece,
    tasks,
};

/// How long to wait for more of what has been quiet: at first, and at most.
const LULL: Duration = Duration::from_millis(100);
const LULL_MAX: Duration = Duration::from_secs(1);

/// Which part is wanted, and how.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Range {
    /// Negative counts from the end.
    #[serde(default)]
    pub(crate) offset: i64,
    pub(crate) length: Option<u64>,
    #[serde(default)]
    pub(crate) follow: Follow,
    #[serde(default)]
    pub(crate) download: Switch,
    /// A header asked for it.
    #[serde(skip)]
    pub(crate) part: bool,
}

/// Whether to wait for more at the end, and how long.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Deserialize)]
pub(crate) enum Follow {
    #[default]
    #[serde(rename = "0", alias = "false")]
    No,
    /// Until the run has ended whose log it is.
    #[serde(rename = "run")]
    Run,
    /// Until the task has ended.
    #[serde(rename = "1", alias = "true", alias = "")]
    Task,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Deserialize)]
pub(crate) enum Switch {
    #[default]
    #[serde(rename = "0", alias = "false")]
    Off,
    #[serde(rename = "1", alias = "true", alias = "")]
    On,
}

impl Range {
    pub(crate) fn length(&self) -> u64 {
        self.length.unwrap_or(u64::MAX)
    }

    /// Whether the answer is as long as it can be told to be. What is written from then on is not
    /// part of it.
    fn is_measured(&self) -> bool {
        let is_kept = self.download == Switch::On || self.part;
        is_kept && self.follow == Follow::No
    }

    pub(crate) fn is_whole(&self) -> bool {
        self.offset == 0 && self.length.is_none() && self.follow == Follow::No
    }
}

/// Where the bytes come from.
#[derive(Clone)]
pub(crate) enum Source {
    Log(Box<Log>),
    File(Place),
}

impl Source {
    async fn piece(&self, site: &Site, offset: u64, length: u64) -> Result<Piece, Problem> {
        let offset = i64::try_from(offset).unwrap_or(i64::MAX);
        match self {
            Self::Log(log) => log.piece(site, offset, length).await,
            Self::File(place) => place.piece(site, offset, length).await,
        }
    }

    fn task(&self) -> &airglow_model::ids::TaskId {
        match self {
            Self::Log(log) => &log.task.run.id,
            Self::File(place) => &place.task,
        }
    }
}

pub(crate) fn wants_json(request: &HttpRequest) -> bool {
    let accept = request.headers().get(header::ACCEPT).and_then(|it| it.to_str().ok());
    accept.is_some_and(|it| it.split(',').any(|it| it.trim().starts_with("application/json")))
}

/// An answer with everything from `first` on that was asked for. `response` says already what it is.
pub(crate) fn send(
    site: Data<Site>,
    mut response: HttpResponseBuilder,
    source: Source,
    first: Piece,
    range: &Range,
) -> HttpResponse {
    response
        .insert_header(("airglow-log-offset", first.offset.to_string()))
        .insert_header(("airglow-log-size", first.size.to_string()));
    let mut left = range.length();
    if range.follow != Follow::No {
        // A compressor would wait for more.
        response.insert_header(ContentEncoding::Identity);
    } else if range.is_measured() {
        left = left.min(first.size - first.offset);
        response.insert_header(ContentEncoding::Identity).no_chunking(left);
    }
    let sending = Sending {
        site,
        source,
        at: first.offset,
        left,
        follow: range.follow,
        next: Some(first),
        lull: LULL,
    };
    response.streaming(stream::unfold(Some(sending), |sending| async {
        let mut sending = sending?;
        match sending.next().await {
            Ok(None) => None,
            Ok(Some(data)) => Some((Ok(data), Some(sending))),
            // Cut off, so that nobody takes it for the whole.
            Err(problem) => Some((Err(io::Error::other(problem.to_string())), None)),
        }
    }))
}

struct Sending {
    site: Data<Site>,
    source: Source,
    /// Up to where it was passed on.
    at: u64,
    /// How many bytes are still wanted.
    left: u64,
    follow: Follow,
    /// Fetched, not yet passed on.
    next: Option<Piece>,
    lull: Duration,
}

impl Sending {
    async fn next(&mut self) -> Result<Option<Bytes>, Problem> {
        let Some(mut piece) = self.next.take() else { return Ok(None) };
        while piece.data.is_empty() {
            if self.follow == Follow::No || self.left == 0 {
                return Ok(None);
            }
            let Some(more) = self.more(piece.end()).await else { return Ok(None) };
            piece = more;
        }
        // A program that reads a log as it grows can do without what it was too slow for. Whoever
        // counts bytes has to be told.
        if piece.offset > self.at && self.follow != Follow::Task {
            return Err(Problem::new(StatusCode::GONE, "what came next has been rotated away"));
        }
        self.at = piece.end();
        self.lull = LULL;
        piece.data.truncate(usize::try_from(self.left).unwrap_or(usize::MAX));
        self.left -= piece.data.len() as u64;
        if self.left > 0 && (self.follow != Follow::No || piece.end() < piece.size) {
            self.next = Some(self.after(piece.end()).await?);
        }
        Ok(Some(piece.data))
    }

    async fn after(&self, end: u64) -> Result<Piece, Problem> {
        match self.source.piece(&self.site, end, self.left).await {
            // Its host may be away for a moment, and whoever follows has the patience.
            Err(_) if self.follow != Follow::No => Ok(nothing_at(end)),
            fetched => fetched,
        }
    }

    /// Whatever is after `end`: of this run, or of the one that followed it. Maybe nothing yet.
    async fn more(&mut self, end: u64) -> Option<Piece> {
        // Looked at before the bytes are read, or the last words before an end would be lost.
        let after = self.what_comes_after().await;
        match (self.source.piece(&self.site, end, self.left).await, after) {
            // A file that has become shorter was begun anew.
            (Ok(piece), _) if piece.size < end => None,
            (Ok(piece), _) if !piece.data.is_empty() => Some(piece),
            (Ok(_), After::NextRun) => {
                if let Source::Log(log) = &mut self.source {
                    log.run += 1;
                }
                Some(nothing_at(0))
            }
            (Ok(_) | Err(_), After::Nothing) => None,
            // Its host may be away for a moment.
            (Ok(_) | Err(_), After::More | After::NextRun) => {
                sleep(self.lull).await;
                self.lull = (self.lull * 2).min(LULL_MAX);
                Some(nothing_at(end))
            }
        }
    }

    async fn what_comes_after(&self) -> After {
        let found = tasks::find(&self.site, self.source.task()).await;
        let task_ended = found.map_or(true, |it| !it.run.state.status().is_active());
        if let Source::Log(log) = &self.source {
            let about = log.about(&self.site).await;
            match self.follow {
                Follow::Run if about.is_over(log.run) => return After::Nothing,
                Follow::Task if about.is_followed(log.run) => return After::NextRun,
                Follow::Run | Follow::Task | Follow::No => {}
            }
        }
        if task_ended { After::Nothing } else { After::More }
    }
}

/// What there may be once all that was written so far has been read.
enum After {
    More,
    NextRun,
    Nothing,
}

fn nothing_at(offset: u64) -> Piece {
    Piece { offset, size: offset, data: Bytes::new() }
}

/// The part that a request asks for with `Range: bytes=…`, of something that has `size` bytes: from
/// where, and how many. `None`: it asks for none, or in a way that may be ignored.
pub(crate) fn part(request: &HttpRequest, size: u64) -> Option<Result<(u64, u64), Problem>> {
    let asked = request.headers().get(header::RANGE)?.to_str().ok()?;
    let (first, last) = asked.strip_prefix("bytes=")?.split_once('-')?;
    let (first, last) = match (first.trim(), last.trim()) {
        ("", last) => (size.saturating_sub(last.parse().ok()?), size),
        (first, "") => (first.parse().ok()?, size),
        (first, last) => (first.parse().ok()?, last.parse::<u64>().ok()?.checked_add(1)?),
    };
    let last = last.min(size);
    if first < last {
        return Some(Ok((first, last - first)));
    }
    let detail = format!("it has {size} bytes, and none of those that are asked for");
    Some(Err(Problem::new(StatusCode::RANGE_NOT_SATISFIABLE, detail)))
}

/// Whatever it is, a browser keeps it as a file.
pub(crate) fn attach(response: &mut HttpResponseBuilder, name: String) {
    response.content_type("application/octet-stream").insert_header(ContentDisposition {
        disposition: DispositionType::Attachment,
        parameters: vec![DispositionParam::Filename(name)],
    });
}

impl From<Piece> for Stretch {
    fn from(it: Piece) -> Self {
        Self {
            offset: it.offset,
            length: it.data.len() as u64,
            size: it.size,
            data: String::from_utf8_lossy(&it.data).into_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn a_part_is_what_a_browser_asks_for_to_go_on_with_a_download() {
        let part = |range: &str| {
            let request = TestRequest::get().insert_header(("range", range)).to_http_request();
            part(&request, 100).map(|it| it.map_err(|problem| problem.status))
        };
        assert_eq!(part("bytes=0-9"), Some(Ok((0, 10))));
        assert_eq!(part("bytes=90-"), Some(Ok((90, 10))));
        assert_eq!(part("bytes=90-500"), Some(Ok((90, 10))));
        assert_eq!(part("bytes=-30"), Some(Ok((70, 30))));
        assert_eq!(part("bytes=-300"), Some(Ok((0, 100))));
        assert_eq!(part("bytes=100-"), Some(Err(416)));
        assert_eq!(part("bytes=0-1,5-9"), None, "several parts may be answered by the whole");
        assert_eq!(part("lines=1-2"), None);
    }

    #[test]
    fn whether_to_follow_is_said_in_one_of_a_few_ways() {
        let read = |query: &str| {
            actix_web::web::Query::<Range>::from_query(query).map(|it| it.follow).ok()
        };
        assert_eq!(read(""), Some(Follow::No));
        assert_eq!(read("follow=0"), Some(Follow::No));
        assert_eq!(read("follow=run"), Some(Follow::Run));
        for on in ["follow", "follow=", "follow=1", "follow=true"] {
            assert_eq!(read(on), Some(Follow::Task), "{on}");
        }
        assert_eq!(read("follow=maybe"), None);
        assert_eq!(read("folow=1"), None);
    }
}
