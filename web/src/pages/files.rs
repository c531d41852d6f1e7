//! A sandbox, to look around in.

use actix_web::{
    HttpResponse, Responder,
    web::{Data, Path, Redirect},
};
use airglow_model::ids::TaskId;
use askama::Template;

use super::{Section, Shell, Sorry, format, render};
use crate::{
    Site,
    api::{FileEntry, Problem, TaskSummary},
    files,
    pieces::Content,
    show, tasks,
};

/// How much of a file is shown. The rest is a download away.
const SHOWN: u32 = 256 * 1024;

enum Body {
    Folder(Vec<FileEntry>),
    Text { text: String, cut: bool, size: u64 },
    Binary { size: u64 },
}

#[derive(Template)]
#[template(path = "files.html")]
struct FilesPage {
    shell: Shell,
    task: TaskSummary,
    /// The way here from the sandbox: names, and links.
    steps: Vec<(String, String)>,
    here: String,
    download: String,
    body: Body,
}

/// Links within a folder need the slash at its end.
pub(crate) async fn root(id: Path<String>) -> impl Responder {
    Redirect::to(format!("/task/{id}/files/")).permanent()
}

pub(crate) async fn browse(
    site: Data<Site>,
    path: Path<(String, String)>,
) -> Result<HttpResponse, Sorry> {
    let (id, path) = path.into_inner();
    let found = tasks::find(&site, &TaskId(id.clone())).await?;
    let unborn = || Problem::not_found("nothing has happened to the task yet");
    let task = show::task_of(&found.key, &found.run).ok_or_else(unborn)?;
    let place = files::place(&site, TaskId(id), path).await?;
    let body = match files::look(&site, &place, 0, SHOWN).await? {
        Content::Folder(entries) => Body::Folder(sorted(entries)),
        Content::Piece(piece) if files::is_text(&piece.data) => Body::Text {
            text: String::from_utf8_lossy(&piece.data).into_owned(),
            cut: piece.end() < piece.size,
            size: piece.size,
        },
        Content::Piece(piece) => Body::Binary { size: piece.size },
    };
    let steps = steps(&task.task_id, &place.path);
    let (here, download) = match steps.last() {
        Some((_, link)) => {
            (link.clone(), format!("/api/v1{}", link.replacen("/task/", "/tasks/", 1)))
        }
        None => (format!("/task/{}/files", task.task_id), String::new()),
    };
    let shell = Shell::new(&site, "Sandbox", Section::Jobs);
    render(&FilesPage { shell, task, steps, here, download, body })
}

/// Folders first, then by name.
fn sorted(entries: Vec<airglow_model::wire::Entry>) -> Vec<FileEntry> {
    let mut entries: Vec<_> = entries.into_iter().map(FileEntry::from).collect();
    entries.sort_by(|a, b| b.is_folder.cmp(&a.is_folder).then_with(|| a.name.cmp(&b.name)));
    entries
}

fn steps(task_id: &str, path: &str) -> Vec<(String, String)> {
    let mut link = format!("/task/{task_id}/files");
    let names = path.split('/').filter(|it| !it.is_empty());
    names
        .map(|name| {
            link.push('/');
            link.push_str(&format::segment(name));
            (name.to_owned(), link.clone())
        })
        .collect()
}
