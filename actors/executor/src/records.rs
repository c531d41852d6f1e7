//! What the disk says of tasks, for whoever is not their runner.

use std::{fs, io, os::unix::fs::MetadataExt, path::Path};

use airglow_kit::now;
use airglow_model::{
    machine::Timestamp,
    retention::{self, Kept, Retention},
    run::Run,
    wire::{Answer, Launch, Question, RunState, TaskView},
};

use crate::{
    folder::{TaskFolder, Tasks, log_within_sandbox},
    forced,
    inventory::Inventory,
    journal,
    known::Known,
    meter,
    outline::Outline,
    reading,
};

/// What was here when the agent ended. A task that cannot be read does not keep the others waiting.
/// One that nobody can look after is ended.
pub(crate) fn take_stock(tasks: &Tasks, end: impl Fn(&TaskFolder)) -> io::Result<Inventory> {
    let mut inventory = Inventory::default();
    for folder in tasks.all()?.iter().filter(|it| it.settled_at().is_none()) {
        match folder.launch() {
            Ok(Some(launch)) => {
                let state = read_back(folder, &launch).map_or(RunState::Lost, |(_, it)| it.state());
                inventory.add(&launch, state);
            }
            // Nothing was ever done with it.
            Ok(None) => discard(folder),
            Err(error) => {
                tracing::error!(?folder, %error, "cannot be read, so it is ended");
                end(folder);
            }
        }
    }
    Ok(inventory)
}

/// For when there is nobody left to end them properly.
pub(crate) fn end_by_force(known: &Known) {
    match known.tasks.all() {
        Ok(all) => {
            for folder in all.iter().filter(|it| it.settled_at().is_none()) {
                end(known, folder);
            }
        }
        Err(error) => tracing::error!(%error, "cannot find the tasks, so they are not ended"),
    }
}

pub(crate) fn end(known: &Known, folder: &TaskFolder) {
    let group = known.cgroups.as_ref().ok().zip(folder.id()).map(|(it, id)| it.of(&id));
    forced::end(folder, group.as_ref());
}

fn read_back(folder: &TaskFolder, launch: &Launch) -> io::Result<(Outline, Run)> {
    let outline = Outline::of(launch);
    let run = journal::read(&folder.journal(), outline.run(launch)?)?;
    Ok((outline, run))
}

pub(crate) fn answer(known: &Known, question: &Question) -> Answer {
    let task_id = match question {
        Question::Task { task_id }
        | Question::Log { task_id, .. }
        | Question::File { task_id, .. } => task_id,
        Question::Metrics => return Answer::Metrics { text: known.metrics.text() },
        Question::Unknown => {
            let why = "this agent is too old to be asked that: upgrade it".to_owned();
            return Answer::Failed { why };
        }
    };
    let Some((folder, launch)) = known.tasks.launched(task_id).ok().flatten() else {
        return Answer::NotFound { what: task_id.to_string() };
    };
    match question {
        Question::Metrics | Question::Unknown => unreachable!("they are about no task"),
        Question::Task { .. } => match view(known, &folder, &launch) {
            Ok(view) => Answer::Task(Box::new(view)),
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

/// Of a task that nobody runs any more.
fn view(known: &Known, folder: &TaskFolder, launch: &Launch) -> io::Result<TaskView> {
    let (outline, run) = read_back(folder, launch)?;
    let owner = known.owners.of(&launch.config.spec.role);
    let user = owner.map(|it| it.name.clone()).unwrap_or_default();
    Ok(TaskView { user, isolation: known.notes(), ..outline.view(&run) })
}

/// Forgets those of the tasks that are over that nobody will want to look at any more, and removes
/// whatever is forgotten.
pub(crate) fn tidy(tasks: &Tasks, retention: &Retention) -> io::Result<()> {
    let settled = |it: TaskFolder| Some((it.settled_at()?, it));
    let settled: Vec<_> = tasks.all()?.into_iter().filter_map(settled).collect();
    let disk = meter::space(tasks.path())?;
    let is_short = retention.free_min * disk.size as f64 > disk.free as f64;
    let kept = |(settled_at, folder): &(Timestamp, TaskFolder)| {
        // To find that out takes long, so it is not done in vain.
        let bytes = if is_short { bytes_below(folder.path()) } else { 0 };
        Kept { settled_at: *settled_at, bytes }
    };
    let kept: Vec<_> = settled.iter().map(kept).collect();
    for place in retention::discard(&kept, now(), disk, retention) {
        discard(&settled[place].1);
    }
    tasks.sweep()
}

/// As allocated on the disk; what cannot be seen is not counted.
fn bytes_below(folder: &Path) -> u64 {
    let mut folders = vec![folder.to_owned()];
    let mut bytes = 0;
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let Ok(metadata) = entry.metadata() else { continue };
            bytes += metadata.blocks() * 512;
            if metadata.is_dir() {
                folders.push(entry.path());
            }
        }
    }
    bytes
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
    fn what_is_over_is_kept_as_long_as_it_may_be_and_what_is_not_is_kept() {
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
        let everything = Retention { age_max: Duration::MAX, count_max: 9, free_min: 0.0 };
        let are_there = || ["a", "b", "c", "d"].map(|name| path(name).exists());
        tidy(&tasks, &everything).unwrap();
        assert_eq!(are_there(), [true; 4]);
        tidy(&tasks, &Retention { count_max: 2, ..everything }).unwrap();
        assert_eq!(are_there(), [true, false, true, true]);
        tidy(&tasks, &Retention { age_max: Duration::ZERO, ..everything }).unwrap();
        assert_eq!(are_there(), [false, false, false, true]);
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
        assert_eq!(take_stock(&tasks, |_| {}).unwrap().all().count(), 0);
        assert_eq!(["empty", "stuck", "torn"].map(|it| path(it).exists()), [false, true, true]);
        tidy(&tasks, &Retention::default()).unwrap();
        assert!(!path(".empty").exists());
    }
}
