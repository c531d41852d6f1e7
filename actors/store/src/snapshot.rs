//! A copy of the whole database as it is at one moment, made while others go on writing.
//!
//! It is read in one transaction, so it holds what some commit made true and nothing of the next. It
//! is a database like any other, written beside the place where it is to be, and gets its name when
//! all of it is on the disk: whoever finds a copy finds a whole one. Something may be attached to it
//! that a store has no use for; a copy of the copy is without it.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
    fs::{self, File, OpenOptions, TryLockError},
    io,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use airglow_model::record::{Change, RecordKey};
use redb::{
    Key, ReadTransaction, ReadableDatabase, ReadableTable, ReadableTableMetadata, TableDefinition,
    TableError, TableHandle, Value, WriteTransaction,
};

use crate::{
    OpenError, Store, StoreError,
    books::{AUDIT, AUDITED, NOTICES},
    disk::Disk,
    open,
    replica::ledger::{LOG, STATE},
    store::{ENDED, HISTORY, META, META_SCHEMA, META_SEQ, RECORDS},
};

/// What goes with a copy, by name. No store that is written to has it.
const ATTACHED: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("attached");

/// Why there is no copy. What was there under its name before is there still.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    #[error("cannot read the database")]
    Read(#[source] StoreError),
    #[error("cannot write {}", path.display())]
    Write {
        path: PathBuf,
        #[source]
        source: Box<redb::Error>,
    },
    #[error("cannot {step} {}", path.display())]
    File {
        step: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{} is being written by another process: wait for that one", path.display())]
    Busy { path: PathBuf },
}

/// What a database holds.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Summary {
    pub schema: u64,
    /// The newest transaction's number.
    pub seq: u64,
    pub jobs: u64,
    /// Instances, whatever they do.
    pub tasks: u64,
    pub hosts: u64,
    /// Runs that are history.
    pub ended_runs: u64,
}

impl Store {
    /// Makes a database at `path` of what is true now; later commits are not in it. The number of
    /// the newest transaction in it. What was there before is replaced.
    pub fn copy_to(&self, path: &Path) -> Result<u64, CopyError> {
        self.copy_with(path, &[])
    }

    /// The same with something attached, by name.
    pub fn copy_with(&self, path: &Path, attached: &[(&str, &[u8])]) -> Result<u64, CopyError> {
        let from = self.database.begin_read().map_err(|it| CopyError::Read(it.into()))?;
        let draft = draft_of(path);
        let copying = Copying { from, draft: &draft };
        let copied = copying.write(attached).and_then(|seq| {
            let named = |source| CopyError::File { step: "name", path: path.to_owned(), source };
            fs::rename(&draft, path).map_err(named)?;
            sync_folder_of(path).map_err(named)?;
            Ok(seq)
        });
        if !matches!(copied, Ok(_) | Err(CopyError::Busy { .. })) {
            // It may never have been made.
            fs::remove_file(&draft).ok();
        }
        copied
    }

    /// A database as it is, without changing its file: what is written to it is forgotten. Every
    /// page of it is looked at first.
    pub fn look(path: &Path) -> Result<Self, OpenError> {
        open::look(path).map(Self::on)
    }

    /// Whether the file is a whole database that this program understands, and what it holds.
    pub fn check(path: &Path) -> Result<Summary, CheckError> {
        Ok(Self::look(path)?.summary()?)
    }

    /// Reads every record, so that none that is unintelligible goes unnoticed.
    pub fn summary(&self) -> Result<Summary, StoreError> {
        let meta = self.database.begin_read()?.open_table(META)?;
        let number = |name| Ok::<_, StoreError>(meta.get(name)?.map_or(0, |it| it.value()));
        let mut summary = Summary {
            schema: number(META_SCHEMA)?,
            seq: number(META_SEQ)?,
            ended_runs: self.database.begin_read()?.open_table(ENDED)?.len()?,
            ..Summary::default()
        };
        #[expect(clippy::wildcard_enum_match_arm, reason = "the others are not counted")]
        for (key, _) in self.records()? {
            match key {
                RecordKey::Job(_) => summary.jobs += 1,
                RecordKey::Task(_) => summary.tasks += 1,
                RecordKey::Host(_) => summary.hosts += 1,
                _ => {}
            }
        }
        Ok(summary)
    }

    /// One commit, for whoever has the database to itself. Its number.
    pub fn amend(&self, changes: &[Change]) -> Result<u64, StoreError> {
        let seq = self.seq()?;
        self.write(seq, std::iter::once(changes))?;
        Ok(seq + 1)
    }

    /// What was attached to this copy.
    pub fn attached(&self) -> Result<BTreeMap<String, Vec<u8>>, StoreError> {
        let table = match self.database.begin_read()?.open_table(ATTACHED) {
            Ok(table) => table,
            Err(TableError::TableDoesNotExist(_)) => return Ok(BTreeMap::new()),
            Err(error) => return Err(error.into()),
        };
        let mut attached = BTreeMap::new();
        for entry in table.iter()? {
            let (name, bytes) = entry?;
            attached.insert(name.value().to_owned(), bytes.value().to_owned());
        }
        Ok(attached)
    }
}

/// Why a file is no database to be relied on.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Read(#[from] StoreError),
}

/// Where a copy is written before it has its name.
fn draft_of(path: &Path) -> PathBuf {
    let mut name = path.file_name().map_or_else(OsString::new, OsString::from);
    name.push(DRAFT);
    path.with_file_name(name)
}

/// A draft that nobody has locked is left over, and is written over.
const DRAFT: &str = ".part";

struct Copying<'a> {
    from: ReadTransaction,
    draft: &'a Path,
}

impl Copying<'_> {
    fn write(&self, attached: &[(&str, &[u8])]) -> Result<u64, CopyError> {
        let database = open::builder()
            .create_with_backend(Disk(self.begin()?))
            .map_err(|it| self.unwritten(it))?;
        let mut to = database.begin_write().map_err(|it| self.unwritten(it))?;
        to.set_quick_repair(true);
        self.copy_tables(&to)?;
        if !attached.is_empty() {
            let mut table = to.open_table(ATTACHED).map_err(|it| self.unwritten(it))?;
            for (name, bytes) in attached {
                table.insert(*name, *bytes).map_err(|it| self.unwritten(it))?;
            }
        }
        to.commit().map_err(|it| self.unwritten(it))?;
        let meta = self.from.open_table(META).map_err(unread)?;
        let seq = meta.get(META_SEQ).map_err(unread)?;
        Ok(seq.map_or(0, |it| it.value()))
    }

    /// Every table that a store has. A test compares this with what there is.
    fn copy_tables(&self, to: &WriteTransaction) -> Result<(), CopyError> {
        // Who shares these records with whom is no part of them.
        let kept = [ATTACHED.name(), LOG.name(), STATE.name()];
        let mut copied: BTreeSet<_> = kept.map(str::to_owned).into();
        self.copy(to, META, &mut copied)?;
        self.copy(to, RECORDS, &mut copied)?;
        self.copy(to, HISTORY, &mut copied)?;
        self.copy(to, ENDED, &mut copied)?;
        self.copy(to, NOTICES, &mut copied)?;
        self.copy(to, AUDIT, &mut copied)?;
        self.copy(to, AUDITED, &mut copied)?;
        for table in self.from.list_tables().map_err(unread)? {
            if !copied.contains(table.name()) {
                // A newer Airglow was here before. This one makes nothing of it, and neither
                // would it of the copy.
                tracing::warn!(table = table.name(), "not copied: unknown to this version");
            }
        }
        Ok(())
    }

    fn copy<K: Key + 'static, V: Value + 'static>(
        &self,
        to: &WriteTransaction,
        table: TableDefinition<'_, K, V>,
        copied: &mut BTreeSet<String>,
    ) -> Result<(), CopyError> {
        copied.insert(table.name().to_owned());
        let source = match self.from.open_table(table) {
            Ok(source) => source,
            // One that an older Airglow made and nothing was written into since.
            Err(TableError::TableDoesNotExist(_)) => return Ok(()),
            Err(error) => return Err(unread(error)),
        };
        let mut target = to.open_table(table).map_err(|it| self.unwritten(it))?;
        for entry in source.iter().map_err(unread)? {
            let (key, value) = entry.map_err(unread)?;
            target.insert(key.value(), value.value()).map_err(|it| self.unwritten(it))?;
        }
        Ok(())
    }

    /// An empty file that nobody else writes to.
    fn begin(&self) -> Result<File, CopyError> {
        let path = || self.draft.to_owned();
        let unmade = |source| CopyError::File { step: "create", path: path(), source };
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(self.draft)
            .map_err(unmade)?;
        file.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => CopyError::Busy { path: path() },
            TryLockError::Error(source) => unmade(source),
        })?;
        // What somebody left who was killed.
        file.set_len(0).map_err(unmade)?;
        Ok(file)
    }

    fn unwritten(&self, error: impl Into<redb::Error>) -> CopyError {
        CopyError::Write { path: self.draft.to_owned(), source: Box::new(error.into()) }
    }
}

fn unread(error: impl Into<redb::Error>) -> CopyError {
    CopyError::Read(StoreError::from(error))
}

fn sync_folder_of(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|it| !it.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, thread};

    use airglow_model::{
        audit::{Entry, Outcome, Target},
        host::Host,
        machine::Timestamp,
        record::Record,
    };
    use redb::{Database, backends::InMemoryBackend};

    use super::*;
    use crate::store;

    fn store() -> Store {
        let database = Database::builder().create_with_backend(InMemoryBackend::new()).unwrap();
        store::lay_out(&database).unwrap();
        Store::on(database)
    }

    fn host(name: &str, version: &str) -> Change {
        let host = Host { version: version.to_owned(), ..Host::unknown(name.into()) };
        Change { key: RecordKey::Host(name.into()), record: Some(Record::Host(host)) }
    }

    fn entry(number: u64) -> Change {
        let entry = Entry {
            at: Timestamp(1),
            user: "ada".into(),
            peer: String::new(),
            verb: "kill".into(),
            target: Target::Cluster,
            details: String::new(),
            message: None,
            outcome: Outcome::UnderWay,
        };
        Change { key: RecordKey::Audit(number), record: Some(Record::Audit(entry)) }
    }

    fn write(store: &Store, seq: u64, changes: &[Change]) {
        store.write(seq, [changes].into_iter()).unwrap();
    }

    /// How much is in each table.
    fn tables(store: &Store) -> BTreeMap<String, u64> {
        let tx = store.database.begin_read().unwrap();
        let tables: Vec<_> = tx.list_tables().unwrap().collect();
        let table = |it: redb::UntypedTableHandle| {
            let name = it.name().to_owned();
            (name, tx.open_untyped_table(it).unwrap().len().unwrap())
        };
        tables.into_iter().map(table).collect()
    }

    #[test]
    fn no_table_is_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let copy = folder.path().join("copy");
        let store = store();
        write(&store, 0, &[host("a", "1"), entry(1), entry(2)]);
        assert_eq!(store.copy_to(&copy).unwrap(), 1);
        assert_eq!(tables(&Store::open(&copy).unwrap()), tables(&store));
        assert_eq!(tables(&store)["audited"], 2);
    }

    #[test]
    fn a_copy_is_of_one_moment_whatever_is_written_meanwhile() {
        let folder = tempfile::tempdir().unwrap();
        let store = store();
        for seq in 0..50 {
            write(&store, seq, &[host(&format!("padding-{seq}"), &"x".repeat(2000))]);
        }
        let writer = {
            let store = store.clone();
            thread::spawn(move || {
                for seq in 50..150 {
                    let version = (seq + 1).to_string();
                    write(&store, seq, &["a", "b", "c"].map(|it| host(it, &version)));
                }
            })
        };
        let mut seen = BTreeSet::new();
        while seen.last().is_none_or(|&seq| seq < 150) {
            let copy = folder.path().join("copy");
            let seq = store.copy_to(&copy).unwrap();
            let found = Store::look(&copy).unwrap();
            assert_eq!(found.seq().unwrap(), seq);
            let version = |(_, record)| {
                let Record::Host(host) = record else { return None };
                (!host.version.starts_with('x')).then_some(host.version)
            };
            let versions: Vec<_> =
                found.records().unwrap().into_iter().filter_map(version).collect();
            let expected = if seq == 50 { vec![] } else { vec![seq.to_string(); 3] };
            assert_eq!(versions, expected, "half a commit, or another one");
            seen.insert(seq);
        }
        writer.join().unwrap();
        let names: Vec<_> =
            fs::read_dir(folder.path()).unwrap().map(|it| it.unwrap().file_name()).collect();
        assert_eq!(names, ["copy"], "no draft is left");
    }

    #[test]
    fn what_is_attached_goes_with_one_copy_only() {
        let folder = tempfile::tempdir().unwrap();
        let (first, second) = (folder.path().join("first"), folder.path().join("second"));
        let store = store();
        store.copy_with(&first, &[("key", b"secret"), ("note", b"x")]).unwrap();
        let copy = Store::look(&first).unwrap();
        let names: Vec<_> = copy.attached().unwrap().into_keys().collect();
        assert_eq!(names, ["key", "note"]);
        assert_eq!(copy.attached().unwrap()["key"], b"secret");
        copy.copy_to(&second).unwrap();
        assert_eq!(Store::look(&second).unwrap().attached().unwrap(), BTreeMap::new());
        assert!(!fs::read(&second).unwrap().windows(6).any(|it| it == b"secret"));
    }

    #[test]
    fn looking_at_a_file_changes_nothing_of_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("copy");
        let store = store();
        write(&store, 0, &[host("a", "1"), host("b", "1")]);
        store.copy_to(&path).unwrap();
        let before = fs::read(&path).unwrap();
        let summary = Store::check(&path).unwrap();
        assert_eq!((summary.seq, summary.hosts, summary.jobs, summary.ended_runs), (1, 2, 0, 0));
        let look = Store::look(&path).unwrap();
        write(&look, 1, &[host("c", "1")]);
        assert_eq!(look.records().unwrap().len(), 3);
        assert!(Store::check(&path).is_ok(), "several may look at once");
        drop(look);
        assert!(fs::read(&path).unwrap() == before, "it was touched");
        assert_eq!(Store::check(&path).unwrap(), summary);

        let mut damaged = before;
        let at = damaged.windows(7).position(|it| it == b"host/a\"" || it == b"host/ah").unwrap();
        damaged[at] ^= 1;
        fs::write(&path, &damaged).unwrap();
        assert!(matches!(Store::check(&path), Err(CheckError::Open(OpenError::Damaged { .. }))));
    }

    #[test]
    fn two_do_not_write_the_same_copy() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("copy");
        let other = OpenOptions::new().create_new(true).write(true).open(draft_of(&path)).unwrap();
        other.lock().unwrap();
        assert!(matches!(store().copy_to(&path), Err(CopyError::Busy { .. })));
        drop(other);
        // What is left of somebody who was killed is in nobody's way.
        store().copy_to(&path).unwrap();
        assert!(!draft_of(&path).exists());
    }
}
