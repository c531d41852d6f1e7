//! A sandbox, to look around in.

use actix_web::{
    HttpResponse, Responder,
    web::{Data, Path, Query, Redirect},
};
use airglow_model::ids::TaskId;
use askama::Template;

use super::{
    Section, Shell, Sorry, format, logs, render,
    viewer::{SHOWN, Viewer},
};
use crate::{
    Site,
    api::{FileEntry, Problem, TaskSummary},
    files::{self, Place},
    pieces::{Content, Piece},
    show, tasks,
};

/// A file that is not longer than this is shown from its beginning, a longer one from its end.
const SHORT: u64 = 256 * 1024;

enum Body {
    Folder(Vec<FileEntry>),
    Text(Box<Viewer>),
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

impl FilesPage {
    /// Where the API has one of the folder's entries.
    fn download_of(&self, name: &str) -> String {
        let here = self.here.replacen("/task/", "/api/v1/tasks/", 1);
        format!("{here}/{}?download=1", format::segment(name))
    }
}

/// Links within a folder need the slash at its end.
pub(crate) async fn root(id: Path<String>) -> impl Responder {
    Redirect::to(format!("/task/{id}/files/")).permanent()
}

pub(crate) async fn browse(
    site: Data<Site>,
    path: Path<(String, String)>,
    from: Query<logs::From>,
) -> Result<HttpResponse, Sorry> {
    let (id, path) = path.into_inner();
    let found = tasks::find(&site, &TaskId(id.as_str().into())).await?;
    let unborn = || Problem::not_found("nothing has happened to the task yet");
    let task = show::task_of(&found.key, &found.run).ok_or_else(unborn)?;
    let place = files::place(&site, TaskId(id.into()), path).await?;
    let steps = steps(&task.task_id, &place.path);
    let (here, download) = match steps.last() {
        Some((_, link)) => (link.clone(), link.replacen("/task/", "/api/v1/tasks/", 1)),
        None => (format!("/task/{}/files", task.task_id), String::new()),
    };
    let body = match place.look(&site, from.offset.unwrap_or(0), SHORT).await? {
        Content::Folder(entries) => Body::Folder(sorted(entries)),
        Content::Piece(piece) if !files::is_text(&piece.data) => Body::Binary { size: piece.size },
        Content::Piece(piece) => {
            let mut it = Viewer {
                label: place.path.clone(),
                source: download.clone(),
                follow: "1",
                active: task.active,
                ..Viewer::default()
            };
            fill(&site, &place, piece, from.offset.is_some(), &mut it).await?;
            Body::Text(Box::new(it))
        }
    };
    let title = steps.last().map_or("Sandbox", |(name, _)| name.as_str());
    let shell = Shell::new(&site, title, Section::Jobs);
    render(&FilesPage { shell, task, steps, here, download, body })
}

/// With what was asked for, or else all of a short file and the end of a long one.
async fn fill(
    site: &Site,
    place: &Place,
    piece: Piece,
    is_asked: bool,
    it: &mut Viewer,
) -> Result<(), Problem> {
    if is_asked || piece.end() >= piece.size {
        it.fill(&piece, false);
        return Ok(());
    }
    it.at_end = true;
    let tail = place.piece(site, -SHOWN.cast_signed(), SHOWN).await?;
    it.fill(&tail, true);
    Ok(())
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
