//! One process of a task: what it is, and every run of it.

use actix_web::{
    HttpResponse,
    web::{Data, Path},
};
use airglow_model::{
    ids::TaskId,
    spec::{LoggerSpec, ProcessSpec, RotatePolicy},
};
use askama::Template;

use super::{Section, Shell, Sorry, events_of, format, render};
use crate::{
    Site,
    api::{OnHost, ProcessDetail, Run, TaskSummary},
    processes, tasks,
};

#[derive(Template)]
#[template(path = "process.html")]
struct ProcessPage {
    shell: Shell,
    task: TaskSummary,
    detail: ProcessDetail,
    on_host: OnHost,
}

impl ProcessPage {
    fn ended_at(&self, run: &Run) -> airglow_model::machine::Timestamp {
        run.ended_at.unwrap_or(self.shell.now)
    }
}

pub(crate) async fn process(
    site: Data<Site>,
    path: Path<(String, String)>,
) -> Result<HttpResponse, Sorry> {
    let (id, name) = path.into_inner();
    let found = tasks::find(&site, &TaskId(id.into())).await?;
    let (detail, on_host) = processes::detail(&site, &found, &name).await?;
    let events = format!("{}&instance={}", events_of(&found.key.job), found.key.instance);
    let task = detail.task.clone();
    let shell = Shell::new(&site, name, Section::Jobs).live(events).measuring(task.active);
    render(&ProcessPage { shell, task, detail, on_host })
}

/// `given up after 3 failures`.
fn failures(it: &ProcessSpec) -> String {
    match it.max_failures {
        0 => "tried again for ever".into(),
        1 => "given up at its first failure".into(),
        most => format!("given up after {most} failures"),
    }
}

/// `to files of at most 100 MB, 5 old ones kept`.
fn logger(it: Option<&LoggerSpec>) -> String {
    let Some(it) = it else { return "to a file".into() };
    let to = match it.destination.as_str() {
        "console" => "to the agent's own output",
        "both" => "to a file and the agent's own output",
        "none" => return "nowhere".into(),
        _ => "to a file",
    };
    if it.mode != "rotate" {
        return to.into();
    }
    match &it.rotate {
        Some(RotatePolicy { log_size, backups }) => {
            let size = format::bytes(&log_size.unsigned_abs());
            format!("{to}, a new one after {size}, {backups} old ones kept")
        }
        None => format!("{to}, a new one whenever it is long"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_output_goes_is_told_in_words() {
        let mut it = LoggerSpec::default();
        assert_eq!(logger(None), "to a file");
        it.mode = "rotate".into();
        it.rotate = Some(RotatePolicy { log_size: 10 << 20, backups: 3 });
        assert_eq!(logger(Some(&it)), "to a file, a new one after 10 MB, 3 old ones kept");
        it.destination = "none".into();
        assert_eq!(logger(Some(&it)), "nowhere");
    }
}
