//! Sandboxes, read only. The host refuses whatever would lead out of one.
//!
//! A sandbox holds what strangers' programs wrote, and it is shown from our own origin: nothing in it
//! may run as a page of ours. Text is text, some pictures are pictures, the rest is a download.

use std::convert::Infallible;

use actix_web::{
    HttpResponse,
    http::header::{ContentDisposition, DispositionParam, DispositionType},
    web::{Bytes, Data, Path},
};
use airglow_model::{
    ids::{HostId, TaskId},
    wire::{Entry, Question},
};
use futures_util::stream;

use crate::{
    Site,
    api::{FileEntry, Folder, Problem},
    pieces::{self, Content, PIECE, Piece},
    tasks,
};

/// One path in one sandbox.
#[derive(Clone)]
pub(crate) struct Place {
    pub(crate) host: HostId,
    pub(crate) task: TaskId,
    pub(crate) path: String,
}

/// A sandbox folder's entries as JSON, or a file's content.
#[utoipa::path(get, path = "/api/v1/tasks/{task_id}/files/{path}", tag = "tasks", params(
    ("task_id" = String, Path),
    ("path" = String, Path, description = "below the sandbox; may have slashes and be empty"),
), responses(
    (status = 200, content((Folder = "application/json"), (String = "text/plain"), (Vec<u8> = "application/octet-stream"))),
    (status = 404, body = Problem, content_type = "application/problem+json"),
    (status = 502, body = Problem, content_type = "application/problem+json"),
))]
pub(crate) async fn get(
    site: Data<Site>,
    path: Path<(String, String)>,
) -> Result<HttpResponse, Problem> {
    let (id, path) = path.into_inner();
    let place = place(&site, TaskId(id), path).await?;
    match look(&site, &place, 0, PIECE).await? {
        Content::Folder(entries) => {
            let entries = entries.into_iter().map(FileEntry::from).collect();
            Ok(HttpResponse::Ok().json(Folder { path: place.path, entries }))
        }
        Content::Piece(first) => Ok(send(site, place, first)),
    }
}

pub(crate) async fn place(site: &Site, id: TaskId, path: String) -> Result<Place, Problem> {
    let found = tasks::find(site, &id).await?;
    let host = found.host()?.clone();
    Ok(Place { host, task: id, path: path.trim_matches('/').to_owned() })
}

pub(crate) async fn look(
    site: &Site,
    place: &Place,
    offset: u64,
    length: u32,
) -> Result<Content, Problem> {
    let Place { host, task, path } = place.clone();
    pieces::ask(site, &host, Question::File { task_id: task, path, offset, length }).await
}

fn send(site: Data<Site>, place: Place, first: Piece) -> HttpResponse {
    let name = place.path.rsplit('/').next().unwrap_or_default().to_owned();
    let (kind, inline) = kind(&name, &first.data);
    let disposition = ContentDisposition {
        disposition: if inline { DispositionType::Inline } else { DispositionType::Attachment },
        parameters: vec![DispositionParam::Filename(name)],
    };
    let parts = stream::unfold(Some((site, place, first)), |rest| async {
        let (site, place, piece) = rest?;
        if piece.data.is_empty() {
            return None;
        }
        let next = if piece.end() < piece.size {
            match look(&site, &place, piece.end(), PIECE).await {
                Ok(Content::Piece(next)) => Some((site, place, next)),
                Ok(Content::Folder(_)) | Err(_) => None,
            }
        } else {
            None
        };
        Some((Ok::<Bytes, Infallible>(piece.data), next))
    });
    HttpResponse::Ok()
        .content_type(kind)
        .insert_header(disposition)
        .insert_header(("content-security-policy", "default-src 'none'; sandbox"))
        .streaming(parts)
}

/// The media type to say, and whether a browser may show it.
fn kind(name: &str, begin: &[u8]) -> (&'static str, bool) {
    let extension = name.rsplit_once('.').map_or("", |(_, it)| it).to_ascii_lowercase();
    match extension.as_str() {
        "png" => ("image/png", true),
        "jpg" | "jpeg" => ("image/jpeg", true),
        "gif" => ("image/gif", true),
        "webp" => ("image/webp", true),
        _ if is_text(begin) => ("text/plain; charset=utf-8", true),
        _ => ("application/octet-stream", false),
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
        assert_eq!(kind("index.html", b"<script>"), ("text/plain; charset=utf-8", true));
        assert_eq!(kind("logo.svg", b"<svg onload=x>"), ("text/plain; charset=utf-8", true));
        assert_eq!(kind("a.out", b"\x7fELF\0"), ("application/octet-stream", false));
        assert_eq!(kind("chart.PNG", b"\x89PNG"), ("image/png", true));
        assert_eq!(
            kind("cut", "é".as_bytes().split_last().unwrap().1),
            ("text/plain; charset=utf-8", true)
        );
        assert_eq!(kind("latin1", b"caf\xe9 au lait"), ("application/octet-stream", false));
    }
}
