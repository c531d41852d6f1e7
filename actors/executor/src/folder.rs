//! Where things are on this host's disk, and how they are written so that nobody reads half a file.
//!
//! ```text
//! DATA/lock                                  held by the agent whose folder it is
//! DATA/outbox.jsonl                          what the scheduler has not acknowledged
//! DATA/tasks/.TASK_ID/                       what is left of one that nobody needs
//! DATA/tasks/TASK_ID/launch.json             what was asked for
//!                    journal.jsonl           what happened
//!                    settled                 the scheduler knows how it ended
//!                    sandbox/                the task's own
//!                    shepherds/PROCESS.RUN/  order.json  bell  shepherd.json  started.json  exit.json
//! ```
//! None of it is forced to disk but `exit.json`: the rest only has to outlive the agent, not the
//! machine. When the machine goes down its processes go with it, and are lost whatever is written.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, Permissions},
    io::{self, Write},
    os::{
        fd::AsRawFd,
        unix::{
            ffi::OsStrExt,
            fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
        },
    },
    path::{Path, PathBuf},
};

use airglow_model::{
    ids::TaskId,
    machine::Timestamp,
    process::Exit,
    run::RunId,
    wire::{Launch, Stream},
};
use nix::fcntl::OFlag;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::pids::{self, Identity};

/// All tasks that this host has, or had not long ago.
#[derive(Clone, Debug)]
pub(crate) struct Tasks(PathBuf);

#[derive(Clone, Debug)]
pub(crate) struct TaskFolder(PathBuf);

/// What a shepherd and the agent tell each other of one run of a process.
#[derive(Clone, Debug)]
pub(crate) struct RunFolder(PathBuf);

/// Whose a run is: that of the first who says so, for good.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Claim {
    /// It is not to be started any more.
    Nobody,
    Shepherd(Identity),
}

/// What a shepherd is to run.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Order {
    pub(crate) cmdline: String,
    pub(crate) sandbox: PathBuf,
    /// All of it: nothing is inherited.
    pub(crate) environment: Vec<(String, String)>,
    pub(crate) open_files: u64,
    pub(crate) stdout: PathBuf,
    pub(crate) stderr: PathBuf,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Started {
    #[serde(flatten)]
    pub(crate) main: Identity,
    pub(crate) at: Timestamp,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Ended {
    pub(crate) at: Timestamp,
    pub(crate) exit: Exit,
    /// Descendants that made themselves independent still run, and their shepherd with them.
    pub(crate) leftover: bool,
}

impl Tasks {
    pub(crate) fn below(data: &Path) -> io::Result<Self> {
        let root = fs::canonicalize(data)?.join("tasks");
        make_folder(&root)?;
        Ok(Self(root))
    }

    /// `None` if this could not be the name of one of our folders.
    pub(crate) fn task(&self, TaskId(id): &TaskId) -> Option<TaskFolder> {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let is_name = !id.is_empty() && !id.starts_with('.') && id.chars().all(plain);
        is_name.then(|| TaskFolder(self.0.join(id)))
    }

    /// A task that is here, and what was asked for.
    pub(crate) fn launched(&self, id: &TaskId) -> io::Result<Option<(TaskFolder, Launch)>> {
        let Some(folder) = self.task(id) else { return Ok(None) };
        Ok(folder.launch()?.map(|launch| (folder, launch)))
    }

    pub(crate) fn all(&self) -> io::Result<Vec<TaskFolder>> {
        Ok(self.folders()?.into_iter().filter(|it| !is_discarded(it)).map(TaskFolder).collect())
    }

    /// Removes what was discarded, by whomever.
    pub(crate) fn sweep(&self) -> io::Result<()> {
        for folder in self.folders()?.iter().filter(|it| is_discarded(it)) {
            if let Err(error) = remove(folder) {
                tracing::error!(?folder, %error, "cannot be removed");
            }
        }
        Ok(())
    }

    fn folders(&self) -> io::Result<Vec<PathBuf>> {
        fs::read_dir(&self.0)?.map(|it| Ok(it?.path())).collect()
    }
}

impl TaskFolder {
    pub(crate) fn make(&self, launch: &Launch) -> io::Result<()> {
        make_folder(&self.0)?;
        write_json(&self.0.join("launch.json"), launch)
    }

    pub(crate) fn launch(&self) -> io::Result<Option<Launch>> {
        read_json(&self.0.join("launch.json"))
    }

    pub(crate) fn journal(&self) -> PathBuf {
        self.0.join("journal.jsonl")
    }

    pub(crate) fn sandbox(&self) -> PathBuf {
        self.0.join("sandbox")
    }

    pub(crate) fn run(&self, id: &RunId) -> RunFolder {
        RunFolder(self.shepherds().join(format!("{}.{}", id.process, id.run)))
    }

    fn shepherds(&self) -> PathBuf {
        self.0.join("shepherds")
    }

    /// Whatever of it still runs.
    pub(crate) fn end_by_force(&self) {
        let runs = fs::read_dir(self.shepherds()).into_iter().flatten();
        for run in runs.filter_map(Result::ok) {
            RunFolder(run.path()).end_by_force();
        }
    }

    pub(crate) fn settle(&self) -> io::Result<()> {
        File::create(self.0.join("settled")).map(drop)
    }

    /// When its end was acknowledged, as the file system's clock has it.
    pub(crate) fn settled_at(&self) -> Option<std::time::SystemTime> {
        self.0.join("settled").metadata().and_then(|it| it.modified()).ok()
    }

    /// It is no task any more from when this returns, and its parts go with [`Tasks::sweep`]. Were
    /// they removed where they are, half of a task could be taken for one that is to be run.
    pub(crate) fn discard(&self) -> io::Result<()> {
        let name = self.0.file_name().unwrap_or_default().to_string_lossy();
        let discarded = self.0.with_file_name(format!(".{name}"));
        if discarded.exists() {
            remove(&discarded)?;
        }
        fs::rename(&self.0, discarded)
    }
}

/// No task's name begins with a dot.
fn is_discarded(folder: &Path) -> bool {
    folder.file_name().is_some_and(|it| it.as_bytes().starts_with(b"."))
}

/// Where a run's output is, within the sandbox.
pub(crate) fn log_within_sandbox(process: &str, run: u32, stream: Stream) -> PathBuf {
    let name = match stream {
        Stream::Stdout => "stdout",
        Stream::Stderr => "stderr",
    };
    [".logs", process, &run.to_string(), name].iter().collect()
}

impl RunFolder {
    pub(crate) fn at(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// A FIFO that the shepherd keeps open as long as it lives, and into which it writes a byte
    /// whenever it has written a file: whoever reads it needs neither to poll nor to be its parent.
    pub(crate) fn bell(&self) -> PathBuf {
        self.0.join("bell")
    }

    pub(crate) fn make(&self, order: &Order) -> io::Result<()> {
        make_folder(&self.0)?;
        match nix::unistd::mkfifo(&self.bell(), nix::sys::stat::Mode::S_IRWXU) {
            Ok(()) | Err(nix::Error::EEXIST) => {}
            Err(error) => return Err(error.into()),
        }
        write_json(&self.0.join("order.json"), order)
    }

    pub(crate) fn order(&self) -> io::Result<Order> {
        read_json(&self.0.join("order.json"))?
            .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "there is no order"))
    }

    /// True for the first who asks, and for nobody else ever: a run has one shepherd.
    pub(crate) fn claim(&self, claim: &Claim) -> io::Result<bool> {
        let mine = self.0.join(format!("shepherd.{}", std::process::id()));
        fs::write(&mine, serde_json::to_vec(claim)?)?;
        let claimed = match fs::hard_link(&mine, self.0.join("shepherd.json")) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(error),
        };
        fs::remove_file(&mine)?;
        claimed
    }

    pub(crate) fn claimed(&self) -> io::Result<Option<Claim>> {
        read_json(&self.0.join("shepherd.json"))
    }

    pub(crate) fn started(&self) -> io::Result<Option<Started>> {
        read_json(&self.0.join("started.json"))
    }

    pub(crate) fn write_started(&self, started: &Started) -> io::Result<()> {
        write_json(&self.0.join("started.json"), started)
    }

    pub(crate) fn ended(&self) -> io::Result<Option<Ended>> {
        read_json(&self.0.join("exit.json"))
    }

    /// Without its shepherd's help, and whether or not there still is one.
    pub(crate) fn end_by_force(&self) {
        if let Ok(Some(started)) = self.started() {
            pids::kill_tree(started.main);
        }
        if let Ok(Some(Claim::Shepherd(shepherd))) = self.claimed() {
            pids::kill_tree(shepherd);
            pids::kill_session_of(shepherd);
        }
    }

    pub(crate) fn write_ended(&self, ended: &Ended) -> io::Result<()> {
        write_synced(&self.0.join("exit.json"), &serde_json::to_vec(ended)?)
    }
}

/// A task may have left folders that nobody may write to, its owner included.
fn remove(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            open_up(folder)?;
            fs::remove_dir_all(folder)
        }
        removed => removed,
    }
}

/// Lets us write to a folder and to those below it, and to nothing that a link leads to: what is
/// changed is what is held, whatever has its name by then.
fn open_up(folder: &Path) -> io::Result<()> {
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let itself = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW;
        let held = OpenOptions::new().read(true).custom_flags(itself.bits()).open(&folder)?;
        let inside = format!("/proc/self/fd/{}", held.as_raw_fd());
        fs::set_permissions(&inside, Permissions::from_mode(0o700))?;
        for entry in fs::read_dir(&inside)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                folders.push(folder.join(entry.file_name()));
            }
        }
    }
    Ok(())
}

/// For our own eyes only.
pub(crate) fn make_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

fn write_json<T: Serialize>(path: &Path, value: &T) -> io::Result<()> {
    let unfinished = path.with_extension("unfinished");
    fs::write(&unfinished, serde_json::to_vec(value)?)?;
    fs::rename(unfinished, path)
}

fn write_synced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let unfinished = path.with_extension("unfinished");
    let mut file = File::create(&unfinished)?;
    file.write_all(bytes)?;
    file.sync_data()?;
    fs::rename(unfinished, path)
}

fn read_json<T: DeserializeOwned>(path: &Path) -> io::Result<Option<T>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes)?)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn what_is_discarded_is_no_task_and_goes_whatever_may_be_done_with_it() {
        let data = tempfile::tempdir().unwrap();
        let tasks = Tasks::below(data.path()).unwrap();
        let outside = data.path().join("outside");
        let folder = tasks.task(&TaskId("t".into())).unwrap();
        for _ in 0..2 {
            let locked = folder.sandbox().join("locked");
            fs::create_dir_all(locked.join("below")).unwrap();
            fs::create_dir_all(&outside).unwrap();
            symlink(&outside, locked.join("link")).unwrap();
            for closed in [&locked.join("below"), &locked, &outside] {
                fs::set_permissions(closed, Permissions::from_mode(0o0)).unwrap();
            }
            assert_eq!(tasks.all().unwrap().len(), 1);
            folder.discard().unwrap();
            assert!(tasks.all().unwrap().is_empty());
        }
        let discarded = data.path().join("tasks/.t");
        // As for an owner whom nothing but this allows it; who tests may be root.
        open_up(&discarded).unwrap();
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&discarded.join("sandbox/locked/below")), 0o700);
        assert_eq!(mode(&outside), 0);
        tasks.sweep().unwrap();
        assert!(!discarded.exists() && outside.exists());
    }
}
