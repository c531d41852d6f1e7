//! The database, without a thread in sight.
//!
//! Records are JSON under their keys' texts, so that a person with any redb tool can read them and
//! an older record lacks a field instead of being misread. Ended runs have a table of their own,
//! ordered by when they ended, because they are many, are asked for newest first, and are of no
//! interest to a scheduler that starts. So have notices and the audit trail, which only those few
//! read who want them.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    ops::Bound,
    path::Path,
    sync::Arc,
};

use airglow_model::{
    ids::{ConfigId, JobKey, TaskId, TaskKey},
    machine::Timestamp,
    record::{Change, Record, RecordKey, SCHEMA},
    task::Run,
};
use redb::{
    AccessGuard, Database, ReadTransaction, ReadableDatabase, ReadableTable, StorageError, Table,
    TableDefinition, WriteTransaction,
};
use serde::de::DeserializeOwned;

use crate::{
    OpenError,
    books::{self, Books},
    open,
    replica::picture,
};

/// The name of the database's file in a data folder.
pub const FILE: &str = "airglow.redb";

pub(crate) const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
pub(crate) const META_SCHEMA: &str = "schema";
pub(crate) const META_SEQ: &str = "seq";

pub(crate) const RECORDS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("records");

/// Job, when it ended, instance, task id.
pub(crate) type Ended<'a> = (&'a str, u64, u32, &'a str);
pub(crate) const HISTORY: TableDefinition<'_, Ended<'_>, &[u8]> = TableDefinition::new("history");
/// The rest of its key in the history, by task id.
pub(crate) const ENDED: TableDefinition<'_, &str, (&str, u64, u32)> = TableDefinition::new("ended");

/// One database. Clones are the same one; it is closed, and its lock released, with the last.
#[derive(Clone, Debug)]
pub struct Store {
    pub(crate) database: Arc<Database>,
}

/// Where an ended run is kept.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Kept {
    pub ended_at: Timestamp,
    pub task: TaskKey,
    pub id: TaskId,
}

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error(
        "there is no more room for the database: make some and start again, what was acknowledged \
         is safe"
    )]
    Full(#[source] Box<redb::Error>),
    #[error(
        "the database cannot be read or written: what was acknowledged is safe as far as the disk is"
    )]
    Database(#[source] Box<redb::Error>),
    #[error("the database holds something unintelligible under {key}")]
    Unintelligible {
        key: String,
        #[source]
        source: Option<serde_json::Error>,
    },
    #[error("the store has crashed; this is a bug, and what was acknowledged is safe")]
    Panicked,
}

impl Store {
    /// Created if absent, but not its folder.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        open::open(path).map(Self::on)
    }

    pub(crate) fn on(database: Database) -> Self {
        Self { database: Arc::new(database) }
    }

    #[cfg(test)]
    pub(crate) fn handles(&self) -> usize {
        Arc::strong_count(&self.database)
    }

    /// The newest transaction's number.
    pub fn seq(&self) -> Result<u64, StoreError> {
        let meta = self.database.begin_read()?.open_table(META)?;
        Ok(meta.get(META_SEQ)?.map_or(0, |seq| seq.value()))
    }

    /// All but the history, in the order of [`RecordKey`]: what others refer to comes first.
    pub fn records(&self) -> Result<Vec<(RecordKey, Record)>, StoreError> {
        let table = self.database.begin_read()?.open_table(RECORDS)?;
        let mut records = Vec::new();
        for entry in table.iter()? {
            let (key, value) = entry?;
            let text = key.value();
            let unintelligible =
                || StoreError::Unintelligible { key: text.to_owned(), source: None };
            let key: RecordKey = text.parse().map_err(|_| unintelligible())?;
            let record = read(text, value.value())?;
            if !key.is_for(&record) {
                return Err(unintelligible());
            }
            records.push((key, record));
        }
        records.sort_by(|(a, _): &(RecordKey, _), (b, _)| a.cmp(b));
        Ok(records)
    }

    /// The newest `limit` ended runs of a job, or of one instance of it, newest first.
    pub fn history(
        &self,
        job: &JobKey,
        instance: Option<u32>,
        limit: usize,
    ) -> Result<Vec<(TaskKey, Run)>, StoreError> {
        let table = self.database.begin_read()?.open_table(HISTORY)?;
        let name = job.to_string();
        let mut runs = Vec::new();
        let of_job = (name.as_str(), 0, 0, "")..(name.as_str(), u64::MAX, 0, "");
        for entry in table.range(of_job)?.rev() {
            if runs.len() == limit {
                break;
            }
            let (key, value) = entry?;
            let (_, _, of, id) = key.value();
            if instance.is_none_or(|wanted| wanted == of) {
                runs.push((job.task(of), read(id, value.value())?));
            }
        }
        Ok(runs)
    }

    /// An ended run, and whose it was.
    pub fn run(&self, id: &TaskId) -> Result<Option<(TaskKey, Run)>, StoreError> {
        let tx = self.database.begin_read()?;
        let Some(found) = tx.open_table(ENDED)?.get(&*id.0)? else { return Ok(None) };
        let (job, at, instance) = found.value();
        let Some(value) = tx.open_table(HISTORY)?.get((job, at, instance, &*id.0))? else {
            return Ok(None);
        };
        let unintelligible = |_| StoreError::Unintelligible { key: id.to_string(), source: None };
        let job: JobKey = job.parse().map_err(unintelligible)?;
        Ok(Some((job.task(instance), read(&id.0, value.value())?)))
    }

    /// The oldest `limit` ended runs of a job after this one, oldest first, without reading them.
    pub fn oldest(
        &self,
        job: &JobKey,
        after: Option<&Kept>,
        limit: usize,
    ) -> Result<Vec<Kept>, StoreError> {
        let table = self.database.begin_read()?.open_table(HISTORY)?;
        let name = job.to_string();
        let first = (name.as_str(), 0, 0, "");
        let from = after.map_or(Bound::Included(first), |it| {
            Bound::Excluded((name.as_str(), it.ended_at.0, it.task.instance, it.id.0.as_ref()))
        });
        let of_job = (from, Bound::Excluded((name.as_str(), u64::MAX, 0, "")));
        let kept = |entry: Result<(AccessGuard<'_, Ended<'_>>, _), StorageError>| {
            let (key, _): (_, AccessGuard<'_, &[u8]>) = entry?;
            let (_, at, instance, id) = key.value();
            let (ended_at, id) = (Timestamp(at), TaskId(id.into()));
            Ok(Kept { ended_at, task: job.task(instance), id })
        };
        table.range::<Ended<'_>>(of_job)?.take(limit).map(kept).collect()
    }

    /// Which configurations the ended runs of a job had. Reads all of them.
    pub fn configs_of_ended(&self, job: &JobKey) -> Result<BTreeSet<ConfigId>, StoreError> {
        /// What matters here of a [`Run`].
        #[derive(serde::Deserialize)]
        struct Configured {
            config: ConfigId,
        }
        let table = self.database.begin_read()?.open_table(HISTORY)?;
        let name = job.to_string();
        let of_job = (name.as_str(), 0, 0, "")..(name.as_str(), u64::MAX, 0, "");
        let mut configs = BTreeSet::new();
        for entry in table.range(of_job)? {
            let (key, value) = entry?;
            let (.., id) = key.value();
            configs.insert(read::<Configured>(id, value.value())?.config);
        }
        Ok(configs)
    }

    /// Whether this ended run is kept.
    pub fn has_run(&self, id: &TaskId) -> Result<bool, StoreError> {
        let table = self.database.begin_read()?.open_table(ENDED)?;
        Ok(table.get(&*id.0)?.is_some())
    }

    /// How many ended runs each job has.
    pub fn ended_runs(&self) -> Result<BTreeMap<JobKey, u32>, StoreError> {
        let table = self.database.begin_read()?.open_table(HISTORY)?;
        let mut counts = BTreeMap::<String, u32>::new();
        for entry in table.iter()? {
            let (key, _) = entry?;
            let (job, ..) = key.value();
            match counts.get_mut(job) {
                Some(count) => *count += 1,
                None => drop(counts.insert(job.to_owned(), 1)),
            }
        }
        let parse = |(job, count): (String, u32)| {
            let key = job.parse();
            let key = key.map_err(|_| StoreError::Unintelligible { key: job, source: None })?;
            Ok((key, count))
        };
        counts.into_iter().map(parse).collect()
    }

    /// One transaction and one fsync, however many commits: they get the numbers after `seq`.
    pub(crate) fn write<'a>(
        &self,
        seq: u64,
        commits: impl Iterator<Item = &'a [Change]>,
    ) -> Result<(), StoreError> {
        let mut commits = commits.peekable();
        if commits.peek().is_none() {
            return Ok(());
        }
        let tx = self.durable()?;
        write_into(&tx, seq, commits)?;
        Ok(tx.commit()?)
    }
}

/// The newest transaction's number after these.
pub(crate) fn write_into<'a>(
    tx: &WriteTransaction,
    mut seq: u64,
    commits: impl Iterator<Item = &'a [Change]>,
) -> Result<u64, StoreError> {
    let mut tables = Tables::open(tx)?;
    for changes in commits {
        seq += 1;
        changes.iter().try_for_each(|change| tables.apply(change))?;
    }
    drop(tables);
    tx.open_table(META)?.insert(META_SEQ, seq)?;
    Ok(seq)
}

/// All records, in the place of those that were there.
pub(crate) fn copy_tables(from: &ReadTransaction, to: &WriteTransaction) -> Result<(), StoreError> {
    picture::copy(from, to, RECORDS)?;
    picture::copy(from, to, HISTORY)?;
    picture::copy(from, to, ENDED)?;
    books::copy(from, to)
}

/// An empty database.
pub(crate) fn lay_out(database: &Database) -> Result<(), redb::Error> {
    let tx = database.begin_write()?;
    Tables::open(&tx)?;
    let mut meta = tx.open_table(META)?;
    meta.insert(META_SCHEMA, u64::from(SCHEMA))?;
    meta.insert(META_SEQ, 0)?;
    drop(meta);
    Ok(tx.commit()?)
}

struct Tables<'tx> {
    records: Table<'tx, &'static str, &'static [u8]>,
    history: Table<'tx, Ended<'static>, &'static [u8]>,
    ended: Table<'tx, &'static str, (&'static str, u64, u32)>,
    books: Books<'tx>,
}

impl<'tx> Tables<'tx> {
    fn open(tx: &'tx WriteTransaction) -> Result<Self, redb::Error> {
        Ok(Self {
            records: tx.open_table(RECORDS)?,
            history: tx.open_table(HISTORY)?,
            ended: tx.open_table(ENDED)?,
            books: Books::open(tx)?,
        })
    }

    fn apply(&mut self, Change { key, record }: &Change) -> Result<(), redb::Error> {
        match (key, record) {
            (RecordKey::History(task, id), Some(Record::History(run))) => {
                self.forget_run(id)?;
                self.remember_run(task, id, run)?;
            }
            (RecordKey::History(_, id), None) => self.forget_run(id)?,
            (RecordKey::History(..), Some(_)) => unreachable!("history is made of ended runs"),
            (RecordKey::Notice(id), record) => self.books.note(*id, record.as_ref())?,
            (RecordKey::Audit(number), record) => self.books.audit(*number, record.as_ref())?,
            (key, Some(record)) => {
                self.records.insert(key.to_string().as_str(), write(record).as_slice())?;
            }
            (key, None) => {
                self.records.remove(key.to_string().as_str())?;
            }
        }
        Ok(())
    }

    fn remember_run(&mut self, task: &TaskKey, id: &TaskId, run: &Run) -> Result<(), redb::Error> {
        let job = task.job.to_string();
        let at = run.events.last().map_or(0, |end| end.at.0);
        self.ended.insert(&*id.0, (job.as_str(), at, task.instance))?;
        let key = (job.as_str(), at, task.instance, &*id.0);
        self.history.insert(key, write(run).as_slice())?;
        Ok(())
    }

    fn forget_run(&mut self, id: &TaskId) -> Result<(), redb::Error> {
        if let Some(found) = self.ended.remove(&*id.0)? {
            let (job, at, instance) = found.value();
            self.history.remove((job, at, instance, &*id.0))?;
        }
        Ok(())
    }
}

pub(crate) fn write(value: &impl serde::Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("every record can be written as JSON")
}

pub(crate) fn read<T: DeserializeOwned>(key: &str, value: &[u8]) -> Result<T, StoreError> {
    serde_json::from_slice(value)
        .map_err(|it| StoreError::Unintelligible { key: key.to_owned(), source: Some(it) })
}

impl<E: Into<redb::Error>> From<E> for StoreError {
    fn from(error: E) -> Self {
        let error = Box::new(error.into());
        let no_room = matches!(&*error, redb::Error::Io(error) if is_full(error));
        if no_room { Self::Full(error) } else { Self::Database(error) }
    }
}

/// Of the disk, of the user's share of it, or of what one file may be.
fn is_full(error: &io::Error) -> bool {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    [StorageFull, QuotaExceeded, FileTooLarge].contains(&error.kind())
}
