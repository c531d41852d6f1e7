//! Style, script and pictures, inside the binary: a page needs nobody but the scheduler.

use actix_web::{HttpRequest, HttpResponse, http::header, web::Path};
use rust_embed::{EmbeddedFile, RustEmbed};

use crate::api::Problem;

#[derive(RustEmbed)]
#[folder = "assets/"]
struct Assets;

pub(crate) async fn get(request: HttpRequest, path: Path<String>) -> Result<HttpResponse, Problem> {
    let path = path.into_inner();
    let file = Assets::get(&path).ok_or_else(|| Problem::not_found(format!("no file {path}")))?;
    let tag = tag(&file);
    let known = request.headers().get(header::IF_NONE_MATCH).is_some_and(|it| *it == tag.as_str());
    let mut response = if known { HttpResponse::NotModified() } else { HttpResponse::Ok() };
    response
        .insert_header((header::ETAG, tag))
        // Asked for again each time, answered with a few bytes: a new version is seen at once.
        .insert_header((header::CACHE_CONTROL, "no-cache"))
        .content_type(file.metadata.mimetype());
    Ok(if known { response.finish() } else { response.body(file.data.into_owned()) })
}

fn tag(file: &EmbeddedFile) -> String {
    let hash = file.metadata.sha256_hash();
    format!("\"{}\"", hash[..8].iter().map(|it| format!("{it:02x}")).collect::<String>())
}
