//! Files on hosts, fetched piece by piece over the mesh and passed on byte for byte.

use actix_web::web;
use airglow_model::{
    ids::HostId,
    wire::{Answer, Bytes, Entry, Question},
};
use base64::{Engine, prelude::BASE64_STANDARD};

use crate::{Site, api::Problem};

/// How much is asked of a host at once. A frame has room for 16 MiB.
pub(crate) const PIECE: u32 = 1024 * 1024;

/// What a path on a host turned out to be.
pub(crate) enum Content {
    Piece(Piece),
    Folder(Vec<Entry>),
}

/// A stretch of a file whose size was `size` at that moment.
pub(crate) struct Piece {
    pub(crate) offset: u64,
    pub(crate) size: u64,
    pub(crate) data: web::Bytes,
}

impl Piece {
    /// Where the piece after this one begins.
    pub(crate) fn end(&self) -> u64 {
        self.offset + self.data.len() as u64
    }
}

pub(crate) async fn ask(
    site: &Site,
    host: &HostId,
    question: Question,
) -> Result<Content, Problem> {
    match site.scheduler.ask(host, question).await? {
        Answer::Piece { offset, size, data } => {
            Ok(Content::Piece(Piece { offset, size, data: decode(host, data)? }))
        }
        Answer::Folder { entries } => Ok(Content::Folder(entries)),
        Answer::NotFound { what } => Err(Problem::not_found(what)),
        Answer::Failed { why } => Err(confused(host, &why)),
        Answer::Task(_) | Answer::Metrics { .. } => {
            Err(confused(host, "it answered something else"))
        }
    }
}

fn decode(host: &HostId, data: Bytes) -> Result<web::Bytes, Problem> {
    match data {
        Bytes::Text(text) => Ok(text.into()),
        Bytes::Base64(text) => BASE64_STANDARD
            .decode(text)
            .map(web::Bytes::from)
            .map_err(|_| confused(host, "its bytes are not base64")),
    }
}

/// The host answered, and not with what was asked for.
pub(crate) fn confused(host: &HostId, why: &str) -> Problem {
    Problem::new(actix_web::http::StatusCode::BAD_GATEWAY, format!("host {host}: {why}"))
}
