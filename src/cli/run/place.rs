//! Where a task that belongs to no agent has its folder, and for how long.

use std::{
    fs::{self, DirBuilder, File},
    io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use airglow_model::{ids::TaskId, machine::Timestamp};

use super::super::{
    exit::{Code, Failure},
    folders,
};

/// How many runs are kept for people to look at, and for how long.
const KEPT: usize = 20;
const KEPT_FOR: Duration = Duration::from_secs(7 * 24 * 3600);

#[derive(Debug)]
pub(super) struct Place {
    /// What an agent would call its data folder.
    pub(super) data: PathBuf,
    pub(super) sandbox: PathBuf,
}

impl Place {
    /// # Errors
    /// There is no such folder and none can be made, or a task of that name has been there.
    pub(super) fn find(asked: Option<PathBuf>, id: &TaskId) -> Result<Self, Failure> {
        let usual = asked.is_none();
        let data = match asked {
            Some(data) => data,
            None => folders::state("--sandbox")?.join("run").join(&*id.0),
        };
        let made = DirBuilder::new().recursive(true).mode(0o711).create(&data);
        let data = made.and_then(|()| fs::canonicalize(&data)).map_err(|error| {
            let message = format!("Cannot keep a task in {}: {error}", data.display());
            Failure::new(Code::Fatal, message).hint("--sandbox DIR names another folder")
        })?;
        let folder = data.join("tasks").join(&*id.0);
        if folder.exists() {
            let message = format!("There has been a task {id} in {}", data.display());
            return Err(Failure::new(Code::InvalidParameter, message)
                .hint("--task-id ID gives this one another name"));
        }
        if let Some(all) = data.parent().filter(|_| usual) {
            tidy(all, airglow_kit::now());
        }
        Ok(Self { sandbox: folder.join("sandbox"), data })
    }
}

/// Removes runs that nobody has looked at for long. What cannot be removed is left.
fn tidy(all: &Path, now: Timestamp) {
    let entries = fs::read_dir(all).into_iter().flatten().flatten();
    let changed_at = |path: &Path| path.metadata().and_then(|it| it.modified()).map(since_epoch);
    let mut runs: Vec<(Timestamp, PathBuf)> =
        entries.filter_map(|it| Some((changed_at(&it.path()).ok()?, it.path()))).collect();
    runs.sort_unstable();
    runs.reverse();
    for (place, (at, run)) in runs.iter().enumerate() {
        if (KEPT < place || KEPT_FOR < now.since(*at))
            && is_over(run)
            && let Err(error) = fs::remove_dir_all(run)
        {
            tracing::debug!(?run, %error, "not removed");
        }
    }
}

fn since_epoch(at: SystemTime) -> Timestamp {
    at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().into()
}

/// Whoever runs there holds it locked.
fn is_over(run: &Path) -> bool {
    match File::open(run.join("lock")) {
        Ok(file) => file.try_lock().is_ok(),
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_has_a_folder_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let find = || Place::find(Some(folder.path().join("a/b")), &TaskId("t".into()));
        let place = find().unwrap();
        assert!(place.sandbox.ends_with("a/b/tasks/t/sandbox"), "{place:?}");
        fs::create_dir_all(&place.sandbox).unwrap();
        let again = find().unwrap_err();
        assert_eq!(again.code(), Some(Code::InvalidParameter));
        fs::write(folder.path().join("file"), "").unwrap();
        let blocked = Place::find(Some(folder.path().join("file/x")), &TaskId("t".into()));
        assert_eq!(blocked.unwrap_err().code(), Some(Code::Fatal));
    }

    #[test]
    fn old_runs_go_unless_they_are_still_running() {
        let all = tempfile::tempdir().unwrap();
        let runs = ["done", "running"].map(|it| all.path().join(it));
        for run in &runs {
            fs::create_dir_all(run.join("tasks")).unwrap();
        }
        let lock = File::create(runs[1].join("lock")).unwrap();
        lock.lock().unwrap();
        let now = since_epoch(runs[1].metadata().unwrap().modified().unwrap());
        tidy(all.path(), now);
        assert!(runs.iter().all(|it| it.exists()));
        tidy(all.path(), now + KEPT_FOR + Duration::from_secs(10));
        assert!(!runs[0].exists() && runs[1].exists());
        drop(lock);
        tidy(all.path(), now + KEPT_FOR + Duration::from_secs(10));
        assert!(!runs[1].exists());
    }
}
