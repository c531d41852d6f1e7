//! A cluster's memory, put back in place of a lost one by whoever has the data folder to himself.
//!
//! ```text
//!   DATA/restore.new ──rename──► DATA/restore ──rename──► DATA/restore.decided ──rename──► DATA/scheduler
//!   being copied                 staged: looked at,       there is no way back: whoever comes
//!                                changed, given up        next, a scheduler too, goes on here
//! ```
//! Everything that takes time happens beside what is there. What was there is moved aside and never
//! removed. Each arrow is one rename, so whenever this is killed, one of these folders says how far
//! it came, and the same command again, or the start of the scheduler, does the rest.
//!
//! Nothing is restored into a running scheduler: entities would have to forget what they are, while
//! hosts talk to them. One that starts has to find out everything anyway.

use std::{
    fs::{self, DirBuilder, File, TryLockError},
    io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use airglow_kit::{
    identity::{Authority, IdentityError},
    now,
};
use airglow_model::{
    backup::{Manifest, TERMS_AHEAD},
    ids::JobKey,
    machine::Timestamp,
    record::{Change, Record, RecordKey},
};
use airglow_store::{
    CopyError, FILE, NotABackup, OpenError, ReadModel, Store, StoreError, open_backup,
};
use serde::{Deserialize, Serialize};

use crate::handle::AUTHORITY;

/// The folder of a scheduler in an agent's data folder.
pub const SCHEDULER: &str = "scheduler";

const DRAFT: &str = "restore.new";
const STAGED: &str = "restore";
const DECIDED: &str = "restore.decided";

/// What is known of a restore, in its folder.
const NOTES: &str = "restore.json";

/// The data folder of an agent, while nobody else works on it.
#[derive(Debug)]
pub struct Restore {
    data: PathBuf,
    /// Locked.
    _folder: File,
}

/// What was staged, and when.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Notes {
    pub backup: PathBuf,
    pub manifest: Manifest,
    pub staged_at: Timestamp,
    /// Whether a scheduler's folder that is there may be moved aside.
    pub replaces: bool,
}

/// What is staged.
#[derive(Debug)]
pub struct Staged {
    pub notes: Notes,
    pub view: ReadModel,
}

/// What was done.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Restored {
    /// Where the scheduler's old folder is now, if there was one.
    pub moved_to: Option<PathBuf>,
}

#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    #[error("cannot {step} {}", path.display())]
    File {
        step: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("another restore works on {}: wait for it", path.display())]
    Busy { path: PathBuf },
    #[error("the scheduler of {} is running: stop it first", path.display())]
    Running { path: PathBuf },
    #[error(
        "{} is a scheduler's already: stage with --force to have it moved aside, or choose another \
         data folder with --data", path.display()
    )]
    Taken { path: PathBuf },
    #[error(
        "a backup is staged already: commit it, or give it up with `airglow admin restore abort`"
    )]
    StagedAlready,
    #[error("no backup is staged: `airglow admin restore stage BACKUP` does that")]
    NothingStaged,
    #[error(
        "a restore has been decided on and was interrupted: `airglow admin restore commit`, or the \
         start of the scheduler, finishes it"
    )]
    Decided,
    #[error(transparent)]
    Backup(#[from] NotABackup),
    #[error("what the backup has as the cluster's authority is none")]
    Authority(#[source] IdentityError),
    #[error("cannot copy the backup")]
    Copy(#[from] CopyError),
    #[error("cannot open what is staged")]
    Open(#[from] OpenError),
    #[error("cannot read or change what is staged")]
    Store(#[from] StoreError),
    #[error("{} cannot be understood: give the restore up and stage it anew", path.display())]
    Unintelligible { path: PathBuf },
    #[error("there is no job {0} in what is staged")]
    NoSuchJob(JobKey),
}

impl Restore {
    /// The folder is made if it is not there.
    pub fn of(data: &Path) -> Result<Self, RestoreError> {
        let unmade = failing("make", data);
        DirBuilder::new().recursive(true).mode(0o755).create(data).map_err(unmade)?;
        let folder = File::open(data).map_err(failing("open", data))?;
        folder.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => RestoreError::Busy { path: data.to_owned() },
            TryLockError::Error(source) => failing("lock", data)(source),
        })?;
        Ok(Self { data: data.to_owned(), _folder: folder })
    }

    /// Copies the backup beside the scheduler's folder, where it can be looked at.
    pub fn stage(&self, backup: &Path, replaces: bool) -> Result<Staged, RestoreError> {
        self.expect_undecided()?;
        if self.path(STAGED).exists() {
            return Err(RestoreError::StagedAlready);
        }
        drop(self.hold_scheduler(replaces)?);
        let opened = open_backup(backup)?;
        let draft = self.path(DRAFT);
        self.remove(&draft)?;
        DirBuilder::new().mode(0o700).create(&draft).map_err(failing("make", &draft))?;
        opened.store.copy_to(&draft.join(FILE))?;
        Authority::import(&draft.join(AUTHORITY), &opened.authority)
            .map_err(RestoreError::Authority)?;
        raise_term(&draft.join(FILE))?;
        let backup = backup.canonicalize().unwrap_or_else(|_| backup.to_owned());
        let notes = Notes { backup, manifest: opened.manifest, staged_at: now(), replaces };
        write_notes(&draft, &notes)?;
        self.rename(&draft, &self.path(STAGED))?;
        self.show()
    }

    /// What is staged.
    pub fn show(&self) -> Result<Staged, RestoreError> {
        self.expect_undecided()?;
        let folder = self.path(STAGED);
        let notes = self.notes(&folder)?;
        let store = Store::look(&folder.join(FILE))?;
        Ok(Staged { notes, view: ReadModel::load(&store)? })
    }

    /// Leaves a job out, with everything that is known of it.
    pub fn drop_job(&self, job: &JobKey) -> Result<(), RestoreError> {
        self.expect_undecided()?;
        let folder = self.path(STAGED);
        self.notes(&folder)?;
        let store = Store::open(&folder.join(FILE))?;
        let mut keys: Vec<_> = store.records()?.into_iter().map(|(key, _)| key).collect();
        keys.retain(|it| job_of(it) == Some(job));
        if keys.is_empty() {
            return Err(RestoreError::NoSuchJob(job.clone()));
        }
        let ended = store.oldest(job, None, usize::MAX)?;
        keys.extend(ended.into_iter().map(|it| RecordKey::History(it.task, it.id)));
        let forget = |key| Change { key, record: None };
        let changes: Vec<_> = keys.into_iter().map(forget).collect();
        store.amend(&changes)?;
        Ok(())
    }

    /// Puts what is staged in the scheduler's place, now or, if that was begun before, to the end.
    pub fn commit(&self) -> Result<Restored, RestoreError> {
        if !self.path(DECIDED).exists() {
            let notes = self.notes(&self.path(STAGED))?;
            // Nobody starts it while it is being moved.
            let _held = self.hold_scheduler(notes.replaces)?;
            self.rename(&self.path(STAGED), &self.path(DECIDED))?;
            return self.finish();
        }
        self.finish()
    }

    /// Gives up what is staged, or half staged.
    pub fn abort(&self) -> Result<(), RestoreError> {
        self.expect_undecided()?;
        let staged = self.path(STAGED);
        if !staged.exists() && !self.path(DRAFT).exists() {
            return Err(RestoreError::NothingStaged);
        }
        let draft = self.path(DRAFT);
        self.remove(&draft)?;
        if staged.exists() {
            // One that is half removed must not look like one that is whole.
            self.rename(&staged, &draft)?;
        }
        self.remove(&draft)
    }

    /// All steps after the decision. Each leaves something that the next one, or the same one again,
    /// finds.
    fn finish(&self) -> Result<Restored, RestoreError> {
        let (decided, scheduler) = (self.path(DECIDED), self.path(SCHEDULER));
        let mut restored = Restored::default();
        if scheduler.exists() {
            let aside = self.aside();
            self.rename(&scheduler, &aside)?;
            restored.moved_to = Some(aside);
        }
        self.rename(&decided, &scheduler)?;
        Ok(restored)
    }

    /// A name that nothing has.
    fn aside(&self) -> PathBuf {
        let named = |number: u32| self.path(&format!("{SCHEDULER}.before-restore-{number}"));
        (1..).map(named).find(|it| !it.exists()).expect("there are not that many")
    }

    /// Keeps the scheduler of this folder from being started, if there is one.
    fn hold_scheduler(&self, replaces: bool) -> Result<Option<File>, RestoreError> {
        let folder = self.path(SCHEDULER);
        let database = folder.join(FILE);
        let file = match File::open(&database) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let is_empty = fs::read_dir(&folder).map_or(true, |mut it| it.next().is_none());
                let is_ours = is_empty || replaces;
                return if is_ours { Ok(None) } else { Err(RestoreError::Taken { path: folder }) };
            }
            Err(source) => return Err(failing("open", &database)(source)),
        };
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => Err(RestoreError::Running { path: self.data.clone() }),
            Err(TryLockError::Error(source)) => Err(failing("lock", &database)(source)),
            Ok(()) if !replaces => Err(RestoreError::Taken { path: folder }),
            Ok(()) => Ok(Some(file)),
        }
    }

    fn expect_undecided(&self) -> Result<(), RestoreError> {
        if self.path(DECIDED).exists() { Err(RestoreError::Decided) } else { Ok(()) }
    }

    fn notes(&self, folder: &Path) -> Result<Notes, RestoreError> {
        let path = folder.join(NOTES);
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(RestoreError::NothingStaged);
            }
            Err(source) => return Err(failing("read", &path)(source)),
        };
        serde_json::from_slice(&text).map_err(|_| RestoreError::Unintelligible { path })
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<(), RestoreError> {
        fs::rename(from, to).map_err(failing("move", from))?;
        sync(&self.data)
    }

    fn remove(&self, folder: &Path) -> Result<(), RestoreError> {
        match fs::remove_dir_all(folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(failing("remove", folder)(error))
            }
            Ok(()) | Err(_) => sync(&self.data),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.data.join(name)
    }
}

/// For a scheduler that starts: what was decided on is done, if something was.
pub fn finish_restore(data: &Path) -> Result<Option<Restored>, RestoreError> {
    if !data.join(DECIDED).exists() {
        return Ok(None);
    }
    Restore::of(data)?.finish().map(Some)
}

/// Whoever obeyed the lost scheduler, in terms that the backup knows nothing of, is to obey this one,
/// and that one no more.
fn raise_term(database: &Path) -> Result<(), RestoreError> {
    let store = Store::open(database)?;
    let term = ReadModel::load(&store)?.read(|view| view.term) + TERMS_AHEAD;
    store.amend(&[Change { key: RecordKey::Term, record: Some(Record::Term(term)) }])?;
    Ok(())
}

/// Whose record it is.
fn job_of(key: &RecordKey) -> Option<&JobKey> {
    #[expect(clippy::wildcard_enum_match_arm, reason = "the others are no job's")]
    match key {
        RecordKey::Job(job)
        | RecordKey::Config(job, _)
        | RecordKey::Cron(job)
        | RecordKey::Template(job) => Some(job),
        RecordKey::Task(task) | RecordKey::History(task, _) => Some(&task.job),
        RecordKey::Update(update) | RecordKey::UpdateEvents(update, _) => Some(&update.job),
        _ => None,
    }
}

fn write_notes(folder: &Path, notes: &Notes) -> Result<(), RestoreError> {
    let path = folder.join(NOTES);
    let text = serde_json::to_vec_pretty(notes).expect("notes are plain data");
    fs::write(&path, text).map_err(failing("write", &path))?;
    File::open(&path).and_then(|it| it.sync_all()).map_err(failing("write", &path))?;
    sync(folder)
}

fn sync(folder: &Path) -> Result<(), RestoreError> {
    File::open(folder).and_then(|it| it.sync_all()).map_err(failing("write", folder))
}

fn failing(step: &'static str, path: &Path) -> impl Fn(io::Error) -> RestoreError {
    let path = path.to_owned();
    move |source| RestoreError::File { step, path: path.clone(), source }
}

#[cfg(test)]
mod tests {
    use airglow_model::{host::Host, job::Job};
    use airglow_store::Shelf;

    use super::*;

    struct Site {
        root: tempfile::TempDir,
        data: PathBuf,
        backup: PathBuf,
    }

    fn web() -> JobKey {
        JobKey::new("www", "prod", "web")
    }

    fn put(key: RecordKey, record: Record) -> Change {
        Change { key, record: Some(record) }
    }

    impl Site {
        /// A backup of a cluster with two jobs.
        fn new() -> Self {
            let root = tempfile::tempdir().unwrap();
            let old = root.path().join("old");
            fs::create_dir(&old).unwrap();
            let store = Store::open(&old.join(FILE)).unwrap();
            let job = |it: JobKey| {
                let mut job = Job::unborn(it.clone());
                job.generation = 1;
                put(RecordKey::Job(it), Record::Job(job))
            };
            let host = put(RecordKey::Host("h".into()), Record::Host(Host::unknown("h".into())));
            let api = JobKey::new("www", "prod", "api");
            let term = put(RecordKey::Term, Record::Term(7));
            store.amend(&[job(web()), job(api), host, term]).unwrap();
            drop(Authority::open_or_create(&old, "west").unwrap());
            let pem = Authority::export(&old).unwrap().unwrap();
            let shelf = Shelf { folder: root.path().join("backups"), database: old.join(FILE) };
            let at = Timestamp(1_796_084_100_000);
            let manifest = Manifest { cluster: "west".into(), at, version: "1".into() };
            let backup = shelf.make(&store, &manifest, &pem).unwrap().path;
            let data = root.path().join("data");
            Self { root, data, backup }
        }

        fn restore(&self) -> Restore {
            Restore::of(&self.data).unwrap()
        }

        fn old_scheduler(&self) {
            let folder = self.data.join(SCHEDULER);
            fs::create_dir_all(&folder).unwrap();
            Store::open(&folder.join(FILE)).unwrap();
        }

        /// The jobs of the scheduler that would be started now.
        fn jobs(&self) -> Vec<String> {
            let store = Store::look(&self.data.join(SCHEDULER).join(FILE)).unwrap();
            let view = ReadModel::load(&store).unwrap();
            view.read(|view| view.jobs.keys().map(ToString::to_string).collect())
        }

        fn names(&self) -> Vec<String> {
            let entries = fs::read_dir(&self.data).unwrap();
            let mut names: Vec<_> =
                entries.map(|it| it.unwrap().file_name().into_string().unwrap()).collect();
            names.sort();
            names
        }
    }

    const BOTH: [&str; 2] = ["www/prod/api", "www/prod/web"];

    #[test]
    fn what_is_staged_is_looked_at_changed_and_committed() {
        let site = Site::new();
        let restore = site.restore();
        let staged = restore.stage(&site.backup, false).unwrap();
        assert_eq!(staged.notes.manifest.cluster, "west");
        assert_eq!(staged.view.read(|it| (it.jobs.len(), it.hosts.len())), (2, 1));
        assert_eq!(staged.view.read(|it| it.term), 7 + TERMS_AHEAD);
        assert!(matches!(restore.stage(&site.backup, false), Err(RestoreError::StagedAlready)));

        restore.drop_job(&web()).unwrap();
        assert!(matches!(restore.drop_job(&web()), Err(RestoreError::NoSuchJob(_))));
        assert_eq!(restore.show().unwrap().view.read(|it| it.jobs.len()), 1);

        assert_eq!(restore.commit().unwrap(), Restored::default());
        assert_eq!((site.names(), site.jobs()), (vec![SCHEDULER.into()], vec![BOTH[0].into()]));
        let before = Authority::export(&site.root.path().join("old")).unwrap();
        let after = Authority::export(&site.data.join(SCHEDULER).join(AUTHORITY)).unwrap();
        assert_eq!(before, after, "hosts would not know it any more");
        let database = fs::read(site.data.join(SCHEDULER).join(FILE)).unwrap();
        assert!(
            !database.windows(11).any(|it| it == b"PRIVATE KEY"),
            "the key is where it belongs"
        );
        for again in [restore.commit().err(), restore.abort().err(), restore.show().err()] {
            assert!(matches!(again, Some(RestoreError::NothingStaged)), "{again:?}");
        }
    }

    #[test]
    fn a_scheduler_that_is_there_is_moved_aside_only_if_that_was_said() {
        let site = Site::new();
        site.old_scheduler();
        let restore = site.restore();
        let refused = restore.stage(&site.backup, false);
        assert!(matches!(refused, Err(RestoreError::Taken { .. })), "{refused:?}");
        restore.stage(&site.backup, true).unwrap();
        let aside = restore.commit().unwrap().moved_to.unwrap();
        assert_eq!(site.names(), [SCHEDULER, "scheduler.before-restore-1"]);
        assert_eq!(Store::check(&aside.join(FILE)).unwrap().jobs, 0);
        assert_eq!(site.jobs(), BOTH);
    }

    #[test]
    fn nothing_is_done_to_a_scheduler_that_runs() {
        let site = Site::new();
        site.old_scheduler();
        let restore = site.restore();
        restore.stage(&site.backup, true).unwrap();
        let _running = Store::open(&site.data.join(SCHEDULER).join(FILE)).unwrap();
        assert!(matches!(restore.commit(), Err(RestoreError::Running { .. })));
        restore.abort().unwrap();
        assert!(matches!(restore.stage(&site.backup, true), Err(RestoreError::Running { .. })));
        assert_eq!(site.names(), [SCHEDULER]);
        let busy = Restore::of(&site.data);
        assert!(matches!(busy, Err(RestoreError::Busy { .. })), "one at a time");
    }

    /// What each kill can leave, and that it is finished, by the scheduler's start or by hand.
    #[test]
    fn wherever_it_is_killed_it_goes_on() {
        // While it is being staged.
        let site = Site::new();
        fs::create_dir_all(site.data.join(DRAFT)).unwrap();
        fs::write(site.data.join(DRAFT).join(FILE), "half of it").unwrap();
        let restore = site.restore();
        assert!(matches!(restore.show(), Err(RestoreError::NothingStaged)));
        restore.stage(&site.backup, false).unwrap();
        drop(restore);
        assert_eq!(finish_restore(&site.data).unwrap(), None, "nothing is decided yet");

        // After the decision, and then after the old one was moved.
        for (has_old, by_hand) in [(true, true), (true, false), (false, true), (false, false)] {
            let site = Site::new();
            if has_old {
                site.old_scheduler();
            }
            site.restore().stage(&site.backup, true).unwrap();
            fs::rename(site.data.join(STAGED), site.data.join(DECIDED)).unwrap();
            let restore = site.restore();
            for refused in [restore.abort().err(), restore.show().err()] {
                assert!(matches!(refused, Some(RestoreError::Decided)), "{refused:?}");
            }
            drop(restore);
            let restored = if by_hand {
                site.restore().commit().unwrap()
            } else {
                finish_restore(&site.data).unwrap().unwrap()
            };
            assert_eq!(restored.moved_to.is_some(), has_old);
            assert_eq!(site.jobs(), BOTH);
            assert_eq!(finish_restore(&site.data).unwrap(), None);
        }
    }

    #[test]
    fn a_damaged_backup_changes_nothing() {
        let site = Site::new();
        let mut bytes = fs::read(&site.backup).unwrap();
        let at = bytes.windows(8).position(|it| it == b"job/www/").unwrap();
        bytes[at] ^= 1;
        fs::write(&site.backup, bytes).unwrap();
        let refused = site.restore().stage(&site.backup, false);
        assert!(matches!(refused, Err(RestoreError::Backup(_))), "{refused:?}");
        assert_eq!(site.names(), [""; 0]);
    }
}
