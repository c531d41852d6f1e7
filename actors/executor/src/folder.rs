//! Where things are on this host's disk, and how they are written so that nobody reads half a file.
//!
//! ```text
//! DATA/lock                                  held by the agent whose folder it is
//! DATA/outbox.jsonl                          what the scheduler has not acknowledged
//! DATA/tasks/.TASK_ID/                       what is left of one that nobody needs
//! DATA/tasks/TASK_ID/launch.json             what was asked for
//!                    journal.jsonl           what happened, as the agent understood it
//!                    record.jsonl            what happened, as the task's shepherd saw it
//!                    record.N.jsonl          the same of its N-th shepherd, which is no more
//!                    shepherd.sock           where its shepherd is to be found
//!                    settled                 the scheduler knows how it ended
//!                    health.out              what the last look from within has said
//!                    sandbox/                the task's own
//! ```
//! A task's user may pass through all of these folders, since the sandbox is theirs, and may look
//! into none. None of it is forced to disk but a shepherd's record of how a run ended: the rest only
//! has to outlive the agent, not the machine. When the machine goes down its processes go with it,
//! and are lost whatever is written.

use std::{
    collections::BTreeMap,
    fs::{self, DirBuilder, OpenOptions, Permissions},
    io::{self, Write},
    os::{
        fd::AsRawFd,
        unix::{
            ffi::OsStrExt,
            fs::{DirBuilderExt, FileExt, OpenOptionsExt, PermissionsExt},
            net::{UnixListener, UnixStream},
        },
    },
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::UNIX_EPOCH,
};

use airglow_model::{
    ids::TaskId,
    machine::Timestamp,
    wire::{Launch, Stream},
};
use nix::fcntl::OFlag;
use serde::{Serialize, de::DeserializeOwned};

use crate::order::Record;

/// All tasks that this host has, or had not long ago.
#[derive(Clone, Debug)]
pub(crate) struct Tasks {
    path: PathBuf,
    /// What has been written and not been read yet.
    fresh: Arc<Mutex<BTreeMap<TaskId, Launch>>>,
}

#[derive(Clone, Debug)]
pub(crate) struct TaskFolder(PathBuf);

const SOCKET: &str = "shepherd.sock";

/// Who is to be reached at a task's socket.
pub(crate) enum Found {
    Shepherd(UnixStream),
    /// There was one.
    Nobody,
    /// Nor was there ever one, and only whoever makes a socket now can change that.
    NobodyYet,
}

impl Tasks {
    pub(crate) fn below(data: &Path) -> io::Result<Self> {
        let root = fs::canonicalize(data)?.join("tasks");
        make_folder(&root, PASSAGE)?;
        Ok(Self { path: root, fresh: Arc::default() })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// `None` if this could not be the name of one of our folders.
    pub(crate) fn task(&self, TaskId(id): &TaskId) -> Option<TaskFolder> {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let is_name = !id.is_empty() && !id.starts_with('.') && id.chars().all(plain);
        is_name.then(|| TaskFolder(self.path.join(&**id)))
    }

    /// From when this returns the task is here, whatever happens to us.
    pub(crate) fn launch(&self, folder: &TaskFolder, launch: &Launch) -> io::Result<()> {
        folder.make(launch)?;
        let id = launch.task_id.clone();
        self.fresh.lock().unwrap_or_else(PoisonError::into_inner).insert(id, launch.clone());
        Ok(())
    }

    /// A task that is here, and what was asked for. Whoever asks first after it came is spared the
    /// reading.
    pub(crate) fn launched(&self, id: &TaskId) -> io::Result<Option<(TaskFolder, Launch)>> {
        let Some(folder) = self.task(id) else { return Ok(None) };
        let fresh = self.fresh.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
        if let Some(launch) = fresh {
            return Ok(Some((folder, launch)));
        }
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
        fs::read_dir(&self.path)?.map(|it| Ok(it?.path())).collect()
    }
}

impl TaskFolder {
    fn make(&self, launch: &Launch) -> io::Result<()> {
        make_folder(&self.0, PASSAGE)?;
        write_json(&self.0.join("launch.json"), launch)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Whose it is, unless it is ours.
    pub(crate) fn id(&self) -> Option<TaskId> {
        Some(TaskId(self.0.file_name()?.to_str()?.into()))
    }

    pub(crate) fn launch(&self) -> io::Result<Option<Launch>> {
        read_json(&self.0.join("launch.json"))
    }

    pub(crate) fn journal(&self) -> PathBuf {
        self.0.join("journal.jsonl")
    }

    pub(crate) fn record(&self) -> PathBuf {
        self.0.join("record.jsonl")
    }

    pub(crate) fn sandbox(&self) -> PathBuf {
        self.0.join("sandbox")
    }

    pub(crate) fn health_output(&self) -> PathBuf {
        self.0.join("health.out")
    }

    /// Nobody has ever tried to have a shepherd here.
    pub(crate) fn is_untouched(&self) -> bool {
        !self.0.join(SOCKET).exists() && !self.record().exists()
    }

    /// What earlier shepherds have written, the first one first.
    pub(crate) fn past_records(&self) -> Vec<PathBuf> {
        let path = |number: u32| self.past_record(number);
        (0..).map(path).take_while(|it| it.exists()).collect()
    }

    /// Makes room for another shepherd's record. To be done when this one is known to be gone.
    pub(crate) fn archive_record(&self) -> io::Result<()> {
        let number = u32::try_from(self.past_records().len()).unwrap_or(u32::MAX);
        fs::rename(self.record(), self.past_record(number))
    }

    fn past_record(&self, number: u32) -> PathBuf {
        self.0.join(format!("record.{number}.jsonl"))
    }

    /// Whose task it is says the first line of the record, whoever was the quickest to write one.
    /// Ours makes it nobody's for good, unless it is somebody's by now. Whether it is nobody's.
    pub(crate) fn claim_for_nobody(&self) -> io::Result<bool> {
        let mut ours = serde_json::to_vec(&Record::Gone)?;
        ours.push(b'\n');
        let mut options = OpenOptions::new();
        let record = options.read(true).append(true).create(true).mode(0o600);
        let mut record = record.open(self.record())?;
        if record.metadata()?.len() == 0 {
            record.write_all(&ours)?;
        }
        let mut first = vec![0; ours.len()];
        record.read_exact_at(&mut first, 0)?;
        Ok(first == ours)
    }

    /// A socket takes connections as long as somebody has it, even on the way from us to the one
    /// who is to have it. So whoever finds it closed knows that nobody will ever open it again.
    pub(crate) fn find_shepherd(&self) -> io::Result<Found> {
        match self.at_socket(|path| UnixStream::connect(path)) {
            Ok(stream) => {
                stream.set_nonblocking(true)?;
                Ok(Found::Shepherd(stream))
            }
            Err(error) if is_absence(&error) && self.record().exists() => Ok(Found::Nobody),
            Err(error) if is_absence(&error) => Ok(Found::NobodyYet),
            Err(error) => Err(error),
        }
    }

    /// In the place of one that nobody has any more.
    pub(crate) fn open_socket(&self) -> io::Result<UnixListener> {
        self.at_socket(|path| {
            let listener = match UnixListener::bind(path) {
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                    fs::remove_file(path)?;
                    UnixListener::bind(path)
                }
                bound => bound,
            }?;
            fs::set_permissions(path, Permissions::from_mode(0o600))?;
            Ok(listener)
        })
    }

    /// The path of a socket has to be short, and ours need not be.
    fn at_socket<T>(&self, act: impl FnOnce(&Path) -> io::Result<T>) -> io::Result<T> {
        let itself = OFlag::O_PATH | OFlag::O_DIRECTORY;
        let folder = OpenOptions::new().read(true).custom_flags(itself.bits()).open(&self.0)?;
        act(Path::new(&format!("/proc/self/fd/{}/{SOCKET}", folder.as_raw_fd())))
    }

    pub(crate) fn settle(&self) -> io::Result<()> {
        write_private(&self.0.join("settled"), &[])
    }

    /// When its end was acknowledged, as the file system's clock has it.
    pub(crate) fn settled_at(&self) -> Option<Timestamp> {
        let modified = self.0.join("settled").metadata().and_then(|it| it.modified()).ok()?;
        Some(Timestamp::from(modified.duration_since(UNIX_EPOCH).unwrap_or_default()))
    }

    /// It is there, and its end was not acknowledged.
    pub(crate) fn is_in_use(&self) -> bool {
        self.0.exists() && self.settled_at().is_none()
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

fn is_absence(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused)
}

/// No task's name begins with a dot.
fn is_discarded(folder: &Path) -> bool {
    folder.file_name().is_some_and(|it| it.as_bytes().starts_with(b"."))
}

/// Where a run's output is, within the sandbox.
pub(crate) fn log_within_sandbox(process: &str, run: u32, stream: Stream) -> PathBuf {
    [".logs", process, &run.to_string(), name_of(stream)].iter().collect()
}

/// Where the output of those processes is that share a file, within the sandbox.
pub(crate) fn console_within_sandbox(stream: Stream) -> PathBuf {
    [".console", name_of(stream)].iter().collect()
}

fn name_of(stream: Stream) -> &'static str {
    match stream {
        Stream::Stdout => "stdout",
        Stream::Stderr => "stderr",
    }
}

/// Lets others pass through a folder that may be from a time when nobody had to.
pub(crate) fn open_passage(folder: &Path) -> io::Result<()> {
    let mode = folder.metadata()?.permissions().mode();
    fs::set_permissions(folder, Permissions::from_mode(mode | (PASSAGE & 0o111)))
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

/// Others may pass through, if they know where to.
pub(crate) const PASSAGE: u32 = 0o711;
/// For its owner's eyes only.
pub(crate) const PRIVATE: u32 = 0o700;

pub(crate) fn make_folder(path: &Path, mode: u32) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(mode).create(path)
}

fn write_json<T: Serialize>(path: &Path, value: &T) -> io::Result<()> {
    let unfinished = path.with_extension("unfinished");
    write_private(&unfinished, &serde_json::to_vec(value)?)?;
    fs::rename(unfinished, path)
}

pub(crate) fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(bytes)
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
