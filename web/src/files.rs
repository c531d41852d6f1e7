//! Sandboxes, read only. The host refuses whatever would lead out of one.
//!
//! A sandbox holds what strangers' programs wrote, and it is shown from our own origin: nothing in it
//! may run as a page of ours. Text is text, some pictures are pictures, the rest is a download.

use actix_web::{
    HttpRequest, HttpResponse, HttpResponseBuilder,
    http::{
        StatusCode,
        header::{self, ContentDisposition, DispositionParam, DispositionType},
    },
    web::{Data, Path, Query},
};
use airglow_model::{
    ids::{HostId, TaskId},
    wire::{Entry, Question},
};

use crate::{
    Site,
    api::{FileEntry, Folder, Problem, Stretch},
    pieces::{self, Content, PIECE, Piece},
    sending::{self, Range, Source, Switch, attach, send, wants_json},
    tasks,
};

/// One path in one sandbox.
#[derive(Clone)]
pub(crate) struct Place {
    pub(crate) host: HostId,
    pub(crate) task: TaskId,
    pub(crate) path: String,
}

/// A sandbox folder's entries as JSON, or a file's content, which may be asked for in parts
/// (`Range`). With `follow=1` the answer goes on as the file grows, until the task has ended. Who
/// accepts `application/json` gets a stretch of at most 1 MiB.
#[utoipa::path(get, path = "/api/v1/tasks/{task_id}/files/{path}", tag = "tasks", params(
    ("task_id" = String, Path),
    ("path" = String, Path, description = "below the sandbox; may have slashes and be empty"),
    ("offset" = Option<i64>, Query, description = "bytes; negative counts from the end"),
    ("length" = Option<u64>, Query, description = "bytes; absent: to the end"),
    ("follow" = Option<String>, Query, description = "`1`: go on as the file grows"),
    ("download" = Option<String>, Query, description = "`1`: as an attachment"),
), responses(
    (status = 200, headers(
        ("airglow-log-offset" = u64, description = "where the answer begins"),
        ("airglow-log-size" = u64, description = "how long the file was"),
    ), content((Folder = "application/json"), (Stretch = "application/json"), (String = "text/plain"), (Vec<u8> = "application/octet-stream"))),
    (status = 206, description = "the part that was asked for", body = Vec<u8>, content_type = "application/octet-stream"),
    (status = 404, body = Problem, content_type = "application/problem+json"),
    (status = 416, body = Problem, content_type = "application/problem+json"),
    (status = 502, body = Problem, content_type = "application/problem+json"),
))]
pub(crate) async fn get(
    site: Data<Site>,
    request: HttpRequest,
    path: Path<(String, String)>,
    range: Query<Range>,
) -> Result<HttpResponse, Problem> {
    let (id, path) = path.into_inner();
    let place = place(&site, TaskId(id.into()), path).await?;
    match place.look(&site, range.offset, range.length()).await? {
        Content::Folder(entries) => {
            let entries = entries.into_iter().map(FileEntry::from).collect();
            Ok(HttpResponse::Ok().json(Folder { path: place.path, entries }))
        }
        Content::Piece(first) if wants_json(&request) => {
            Ok(HttpResponse::Ok().json(Stretch::from(first)))
        }
        Content::Piece(first) => whole_or_part(site, &request, place, first, range.0).await,
    }
}

/// A part is what a browser wants that goes on with a download.
async fn whole_or_part(
    site: Data<Site>,
    request: &HttpRequest,
    place: Place,
    mut first: Piece,
    mut range: Range,
) -> Result<HttpResponse, Problem> {
    let mut response = HttpResponse::Ok();
    if range.is_whole()
        && let Some(part) = sending::part(request, first.size)
    {
        let (offset, length) = part?;
        let size = first.size;
        (range.length, range.part) = (Some(length), true);
        first = place.piece(&site, i64::try_from(offset).unwrap_or(i64::MAX), length).await?;
        let part = format!("bytes {offset}-{}/{size}", offset + length - 1);
        response.status(StatusCode::PARTIAL_CONTENT);
        response.insert_header((header::CONTENT_RANGE, part));
    }
    dress(&mut response, &place, &first, &range);
    Ok(send(site, response, Source::File(place), first, &range))
}

fn dress(response: &mut HttpResponseBuilder, place: &Place, first: &Piece, range: &Range) {
    response
        .insert_header((header::ACCEPT_RANGES, "bytes"))
        .insert_header(("content-security-policy", "default-src 'none'; sandbox"));
    let name = place.name().to_owned();
    match kind(&name, &first.data) {
        Some(kind) if range.download == Switch::Off => {
            response.content_type(kind).insert_header(ContentDisposition {
                disposition: DispositionType::Inline,
                parameters: vec![DispositionParam::Filename(name)],
            });
        }
        Some(_) | None => attach(response, name),
    }
}

pub(crate) async fn place(site: &Site, id: TaskId, path: String) -> Result<Place, Problem> {
    let found = tasks::find(site, &id).await?;
    let host = found.host()?.clone();
    Ok(Place { host, task: id, path: path.trim_matches('/').to_owned() })
}

impl Place {
    /// A negative offset counts from the end, which a host has to be asked for.
    pub(crate) async fn look(
        &self,
        site: &Site,
        offset: i64,
        length: u64,
    ) -> Result<Content, Problem> {
        let offset = match u64::try_from(offset) {
            Ok(offset) => offset,
            Err(_) => match self.ask(site, 0, 0).await? {
                Content::Piece(it) => it.size.saturating_sub(offset.unsigned_abs()),
                folder @ Content::Folder(_) => return Ok(folder),
            },
        };
        self.ask(site, offset, length).await
    }

    pub(crate) async fn piece(
        &self,
        site: &Site,
        offset: i64,
        length: u64,
    ) -> Result<Piece, Problem> {
        match self.look(site, offset, length).await? {
            Content::Piece(piece) => Ok(piece),
            Content::Folder(_) => Err(Problem::not_found("it has become a folder")),
        }
    }

    async fn ask(&self, site: &Site, offset: u64, length: u64) -> Result<Content, Problem> {
        let Self { host, task, path } = self.clone();
        let length = u32::try_from(length).unwrap_or(PIECE).min(PIECE);
        pieces::ask(site, &host, Question::File { task_id: task, path, offset, length }).await
    }

    fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or_default()
    }
}

/// The media type of what a browser may show.
fn kind(name: &str, begin: &[u8]) -> Option<&'static str> {
    let extension = name.rsplit_once('.').map_or("", |(_, it)| it).to_ascii_lowercase();
    match extension.as_str() {
        "png" => Some("image/png"),
        "jpg" | "jpeg" => Some("image/jpeg"),
        "gif" => Some("image/gif"),
        "webp" => Some("image/webp"),
        _ if is_text(begin) => Some("text/plain; charset=utf-8"),
        _ => None,
    }
}

pub(crate) fn is_text(begin: &[u8]) -> bool {
    let begin = &begin[..begin.len().min(4096)];
    // The last character may have been cut.
    let valid = std::str::from_utf8(begin).map_or_else(|it| it.error_len().is_none(), |_| true);
    valid && !begin.contains(&0)
}

impl From<Entry> for FileEntry {
    fn from(it: Entry) -> Self {
        let Entry { name, is_folder, size, modified_at, mode, owner, link } = it;
        Self { name, is_folder, size, modified_at, mode, owner, link }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_from_a_sandbox_is_ever_a_page() {
        let text = Some("text/plain; charset=utf-8");
        assert_eq!(kind("index.html", b"<script>"), text);
        assert_eq!(kind("logo.svg", b"<svg onload=x>"), text);
        assert_eq!(kind("a.out", b"\x7fELF\0"), None);
        assert_eq!(kind("chart.PNG", b"\x89PNG"), Some("image/png"));
        assert_eq!(kind("cut", "é".as_bytes().split_last().unwrap().1), text);
        assert_eq!(kind("latin1", b"caf\xe9 au lait"), None);
    }
}
