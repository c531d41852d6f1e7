//! What the disk says of tasks, for whoever is not their runner.

use std::{io, path::Path};

use airglow_model::{
    ids::TaskId,
    run::Run,
    wire::{Answer, Launch, Question, RunState},
};

use crate::{
    folder::{TaskFolder, Tasks, log_within_sandbox},
    inventory::Inventory,
    journal, reading,
};

/// How many tasks whose end is settled are kept to be looked at.
const SETTLED_MAX: usize = 200;

/// What was here when the agent ended.
pub(crate) fn take_stock(tasks: &Tasks) -> io::Result<Inventory> {
    let mut inventory = Inventory::default();
    for folder in tasks.all()?.iter().filter(|it| it.settled_at().is_none()) {
        match folder.launch() {
            Ok(Some(launch)) => {
                let state = read_back(folder, &launch).map_or(RunState::Lost, |it| it.state());
                inventory.add(&launch, state);
            }
            // Nothing was ever done with it.
            Ok(None) => folder.remove()?,
            Err(error) => tracing::error!(?folder, %error, "cannot be read"),
        }
    }
    Ok(inventory)
}

fn read_back(folder: &TaskFolder, launch: &Launch) -> io::Result<Run> {
    let run = Run::new(&launch.config.spec.task).map_err(io::Error::other)?;
    journal::read(&folder.journal(), run)
}

pub(crate) fn answer(tasks: &Tasks, question: &Question) -> Answer {
    let (Question::Processes { task_id }
    | Question::Log { task_id, .. }
    | Question::File { task_id, .. }) = question;
    let Some((folder, launch)) = tasks.launched(task_id).ok().flatten() else {
        return Answer::NotFound { what: task_id.to_string() };
    };
    match question {
        Question::Processes { .. } => match read_back(&folder, &launch) {
            Ok(run) => Answer::Processes { processes: run.views() },
            Err(error) => Answer::Failed { why: error.to_string() },
        },
        Question::Log { process, run, stream, offset, length, .. } => {
            let path = log_within_sandbox(process, *run, *stream);
            reading::piece(&folder.sandbox(), &path, *offset, *length)
        }
        Question::File { path, offset, length, .. } => {
            reading::file(&folder.sandbox(), Path::new(path), *offset, *length)
        }
    }
}

/// Marks what is over, and makes room for it by forgetting what has been over for longest.
pub(crate) fn settle(tasks: &Tasks, over: &[TaskId]) -> io::Result<()> {
    for folder in over.iter().filter_map(|id| tasks.task(id)) {
        folder.settle()?;
    }
    let mut settled: Vec<_> =
        tasks.all()?.into_iter().filter_map(|it| Some((it.settled_at()?, it))).collect();
    settled.sort_by_key(|(at, _)| *at);
    settled.truncate(settled.len().saturating_sub(SETTLED_MAX));
    settled.iter().try_for_each(|(_, folder)| folder.remove())
}
