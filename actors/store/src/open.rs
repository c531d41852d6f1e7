//! Finding the database, or beginning one.
//!
//! A file that cannot be used is left as it is, to the byte: it may be the only copy of a cluster.
//! So everything that can be known is known before the first write: who else uses it, whose it is,
//! which version wrote it, and, by opening a [`Rehearsal`] of it, whether each page of it is sound.
//! A new database gets its name only when it is complete, so half of one is never found.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io,
    os::unix::fs::{FileExt, OpenOptionsExt},
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
};

use airglow_model::record::SCHEMA;
use redb::{Builder, Database, ReadableDatabase, TableError};

use crate::{
    disk::{Disk, Rehearsal},
    store::{self, META, META_SCHEMA},
};

/// Why there is no using this database, and what to do about it. It has not been changed.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("cannot {step} {}", path.display())]
    File {
        step: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error(
        "{} is in use by another process: stop that one, or choose another data folder",
        path.display()
    )]
    Locked { path: PathBuf },
    #[error(
        "{} is not an Airglow database: move it out of the way, or choose another data folder",
        path.display()
    )]
    Foreign { path: PathBuf },
    #[error(
        "{} was written by a newer Airglow (its records have version {found}, this program knows \
         version {SCHEMA}): use that one",
        path.display()
    )]
    Newer { path: PathBuf, found: u64 },
    #[error(
        "{} is damaged ({what}) and was left as it is: put a copy from before the damage in its \
         place, or move it out of the way and begin anew",
        path.display()
    )]
    Damaged { path: PathBuf, what: String },
}

/// The start of every redb file.
const MAGIC: &[u8] = b"redb\x1A\x0A\xA9\x0D\x0A";

/// A scheduler reads its store once, at the start, and the history now and then.
const CACHE_BYTES: usize = 64 << 20;

pub(crate) fn open(path: &Path) -> Result<Database, OpenError> {
    let this = Opening { path };
    if !path.exists() {
        this.begin()?;
    }
    let file = OpenOptions::new().read(true).write(true).open(path).map_err(this.io("open"))?;
    this.lock(&file)?;
    this.recognise(&file)?;
    drop(this.rehearse(file.try_clone().map_err(this.io("open"))?)?);
    builder().create_with_backend(Disk(file)).map_err(this.redb("open"))
}

/// A rehearsal of what is there, which may go on for ever. Others may look at the same time, but
/// nobody may write.
pub(crate) fn look(path: &Path) -> Result<Database, OpenError> {
    let this = Opening { path };
    let file = File::open(path).map_err(this.io("open"))?;
    this.locked(file.try_lock_shared())?;
    this.recognise(&file)?;
    this.rehearse(file)
}

pub(crate) fn builder() -> Builder {
    let mut builder = Builder::new();
    builder.set_cache_size(CACHE_BYTES);
    builder
}

/// What every step needs for its errors.
#[derive(Clone, Copy)]
struct Opening<'a> {
    path: &'a Path,
}

impl Opening<'_> {
    /// Locks the folder meanwhile: of two processes that find nothing there, one begins.
    fn begin(self) -> Result<(), OpenError> {
        let folder = self.path.parent().filter(|it| !it.as_os_str().is_empty());
        let folder = File::open(folder.unwrap_or(Path::new("."))).map_err(self.io("create"))?;
        self.lock(&folder)?;
        if self.path.exists() {
            return Ok(());
        }
        let draft = self.path.with_extension("new");
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&draft)
            .map_err(self.io("create"))?;
        let database = builder().create_with_backend(Disk(file)).map_err(self.redb("create"))?;
        store::lay_out(&database).map_err(self.redb("create"))?;
        drop(database);
        fs::rename(&draft, self.path).map_err(self.io("create"))?;
        folder.sync_all().map_err(self.io("create"))
    }

    fn lock(self, file: &File) -> Result<(), OpenError> {
        self.locked(file.try_lock())
    }

    fn locked(self, locked: Result<(), TryLockError>) -> Result<(), OpenError> {
        locked.map_err(|error| match error {
            TryLockError::WouldBlock => OpenError::Locked { path: self.path.to_owned() },
            TryLockError::Error(source) => self.io("lock")(source),
        })
    }

    fn recognise(self, file: &File) -> Result<(), OpenError> {
        let mut start = [0; MAGIC.len()];
        match file.read_exact_at(&mut start, 0) {
            Ok(()) if start == MAGIC => Ok(()),
            Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => {
                Err(self.io("read")(error))
            }
            Ok(()) | Err(_) => Err(self.foreign()),
        }
    }

    fn rehearse(self, file: File) -> Result<Database, OpenError> {
        let rehearsal = Rehearsal::of(file).map_err(self.io("read"))?;
        // redb trusts the pages that it reads, so nonsense in them may make it panic.
        catch_unwind(AssertUnwindSafe(move || {
            let mut database =
                builder().create_with_backend(rehearsal).map_err(self.redb("read"))?;
            database.check_integrity().map_err(self.redb("read"))?;
            self.check_version(&database)?;
            Ok(database)
        }))
        .unwrap_or_else(|_| Err(self.damaged("its pages make no sense")))
    }

    fn check_version(self, database: &Database) -> Result<(), OpenError> {
        let tx = database.begin_read().map_err(self.redb("read"))?;
        let meta = match tx.open_table(META) {
            Ok(meta) => meta,
            Err(TableError::Storage(error)) => return Err(self.redb("read")(error)),
            Err(_) => return Err(self.foreign()),
        };
        match meta.get(META_SCHEMA).map_err(self.redb("read"))?.map(|it| it.value()) {
            None => Err(self.foreign()),
            Some(found) if u64::from(SCHEMA) < found => {
                Err(OpenError::Newer { path: self.path.to_owned(), found })
            }
            Some(_) => Ok(()),
        }
    }

    fn io(self, step: &'static str) -> impl Fn(io::Error) -> OpenError {
        move |source| OpenError::File { step, path: self.path.to_owned(), source }
    }

    fn redb<E: Into<redb::Error>>(self, step: &'static str) -> impl Fn(E) -> OpenError {
        use io::ErrorKind::{InvalidData, UnexpectedEof};
        #[expect(
            clippy::wildcard_enum_match_arm,
            reason = "only an I/O error is not the file's fault"
        )]
        move |error| match error.into() {
            redb::Error::Io(source) if ![InvalidData, UnexpectedEof].contains(&source.kind()) => {
                self.io(step)(source)
            }
            error => self.damaged(error.to_string()),
        }
    }

    fn foreign(self) -> OpenError {
        OpenError::Foreign { path: self.path.to_owned() }
    }

    fn damaged(self, what: impl Into<String>) -> OpenError {
        OpenError::Damaged { path: self.path.to_owned(), what: what.into() }
    }
}
