//! What the disk says of tasks, for whoever is not their runner.

use std::{io, path::Path};

use airglow_model::{
    run::Run,
    wire::{Answer, Launch, Question, RunState, TaskView},
};

use crate::{
    folder::{TaskFolder, Tasks, log_within_sandbox},
    inventory::Inventory,
    journal, reading,
};

/// What was here when the agent ended. A task that cannot be read does not keep the others waiting.
pub(crate) fn take_stock(tasks: &Tasks) -> io::Result<Inventory> {
    let mut inventory = Inventory::default();
    for folder in tasks.all()?.iter().filter(|it| it.settled_at().is_none()) {
        match folder.launch() {
            Ok(Some(launch)) => {
                let state = read_back(folder, &launch).map_or(RunState::Lost, |it| it.state());
                inventory.add(&launch, state);
            }
            // Nothing was ever done with it.
            Ok(None) => discard(folder),
            // Nobody will look after it, so it must not go on.
            Err(error) => {
                tracing::error!(?folder, %error, "cannot be read, so it is ended");
                folder.end_by_force();
            }
        }
    }
    Ok(inventory)
}

/// For when there is nobody left to end them properly.
pub(crate) fn end_by_force(tasks: &Tasks) {
    match tasks.all() {
        Ok(all) => {
            for folder in all.iter().filter(|it| it.settled_at().is_none()) {
                folder.end_by_force();
            }
        }
        Err(error) => tracing::error!(%error, "cannot find the tasks, so they are not ended"),
    }
}

fn read_back(folder: &TaskFolder, launch: &Launch) -> io::Result<Run> {
    let run = Run::new(&launch.config.spec.task).map_err(io::Error::other)?;
    journal::read(&folder.journal(), run)
}

pub(crate) fn answer(tasks: &Tasks, question: &Question) -> Answer {
    let (Question::Task { task_id }
    | Question::Log { task_id, .. }
    | Question::File { task_id, .. }) = question
    else {
        return Answer::Failed { why: "nothing is measured".to_owned() };
    };
    let Some((folder, launch)) = tasks.launched(task_id).ok().flatten() else {
        return Answer::NotFound { what: task_id.to_string() };
    };
    match question {
        Question::Metrics => unreachable!("it is about no task"),
        Question::Task { .. } => match read_back(&folder, &launch) {
            Ok(run) => {
                Answer::Task(Box::new(TaskView { processes: run.views(), ..TaskView::default() }))
            }
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

/// Forgets what has been over for longest, but for so many, and removes whatever is forgotten.
pub(crate) fn tidy(tasks: &Tasks, most: usize) -> io::Result<()> {
    let settled = |it: TaskFolder| Some((it.settled_at()?, it));
    let mut settled: Vec<_> = tasks.all()?.into_iter().filter_map(settled).collect();
    settled.sort_by_key(|(at, _)| *at);
    settled.truncate(settled.len().saturating_sub(most));
    settled.iter().for_each(|(_, folder)| discard(folder));
    tasks.sweep()
}

fn discard(folder: &TaskFolder) {
    if let Err(error) = folder.discard() {
        tracing::error!(?folder, %error, "cannot be discarded");
    }
}

#[cfg(test)]
mod tests {
    use std::{
        fs::{self, File},
        time::{Duration, UNIX_EPOCH},
    };

    use airglow_model::ids::TaskId;

    use super::*;

    #[test]
    fn the_newest_of_what_is_over_are_kept_and_all_that_is_not_over() {
        let data = tempfile::tempdir().unwrap();
        let tasks = Tasks::below(data.path()).unwrap();
        let path = |name: &str| data.path().join("tasks").join(name);
        for (name, settled_at) in [("a", Some(3)), ("b", Some(1)), ("c", Some(2)), ("d", None)] {
            fs::create_dir_all(path(name).join("sandbox/some/thing")).unwrap();
            if let Some(at) = settled_at {
                tasks.task(&TaskId(name.into())).unwrap().settle().unwrap();
                let settled = File::open(path(name).join("settled")).unwrap();
                settled.set_modified(UNIX_EPOCH + Duration::from_secs(at)).unwrap();
            }
        }
        tidy(&tasks, 2).unwrap();
        assert_eq!(["a", "b", "c", "d"].map(|name| path(name).exists()), [true, false, true, true]);
    }
    #[test]
    fn a_folder_that_cannot_be_used_is_in_nobodys_way() {
        let data = tempfile::tempdir().unwrap();
        let tasks = Tasks::below(data.path()).unwrap();
        let path = |name: &str| data.path().join("tasks").join(name);
        for name in ["empty", "stuck", "torn"] {
            fs::create_dir(path(name)).unwrap();
        }
        fs::write(path("torn").join("launch.json"), "{").unwrap();
        // No folder, so it can neither be removed nor replaced by one.
        File::create(path(".stuck")).unwrap();
        assert_eq!(take_stock(&tasks).unwrap().all().count(), 0);
        assert_eq!(["empty", "stuck", "torn"].map(|it| path(it).exists()), [false, true, true]);
        tidy(&tasks, 0).unwrap();
        assert!(!path(".empty").exists());
    }
}
