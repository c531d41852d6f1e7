//! The log of a member, its vote, and how far it has come: tables beside the records.
//!
//! Only what is appended is waited for. That records follow is written without an fsync, because
//! the next append makes it durable too: a database has one order of transactions, and a crash loses
//! its end, never its middle. So what is on disk is always some state of the records, how far they
//! have come, and a log that reaches at least as far.

use std::{
    collections::BTreeMap,
    fmt::Debug,
    net::SocketAddr,
    ops::RangeBounds,
    sync::{Arc, Mutex, PoisonError},
};

use openraft::{
    LogId, LogState, RaftLogReader, StorageIOError, StoredMembership, Vote,
    storage::{LogFlushed, RaftLogStorage},
};
use redb::{
    Durability, ReadTransaction, ReadableDatabase, ReadableTable, TableDefinition, TableError,
    WriteTransaction,
};
use serde::{Serialize, de::DeserializeOwned};
use tokio::task::spawn_blocking;

use super::types::{Applied, Entry, Failure, Member, Types};
use crate::{
    Store, StoreError,
    store::{read, write},
};

pub(crate) const LOG: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("raft_log");
pub(crate) const STATE: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("raft_state");

const ID: &str = "id";
const VOTE: &str = "vote";
const PURGED: &str = "purged";
const APPLIED: &str = "applied";
/// Whether it ever was one of the members.
const BELONGED: &str = "belonged";

/// Of the first entry of a log whose beginning is a database that was one scheduler's own.
const FIRST: u64 = 1;

/// How much of the end of the log is kept in memory, in bytes, since it is read at once: to be told
/// to the others, and to become true.
const RECENT_MAX: usize = 8 << 20;

/// How much is told at once.
const TOLD_AT_ONCE: usize = 2 << 20;

impl Store {
    /// Its number among the schedulers that share their records; `None`: it has its own.
    pub fn membership(&self) -> Result<Option<u64>, StoreError> {
        get(&self.database.begin_read()?, ID)
    }

    /// Says that what comes into this store will come from others.
    pub fn enlist(&self, id: u64) -> Result<(), StoreError> {
        let tx = self.durable()?;
        put(&tx, ID, &id)?;
        Ok(tx.commit()?)
    }

    /// Whether it ever was one of those who share their records, as far as it has heard.
    pub(crate) fn has_belonged(&self) -> Result<bool, StoreError> {
        Ok(get(&self.database.begin_read()?, BELONGED)?.unwrap_or(false))
    }

    /// Where the others are, as far as it has heard.
    pub fn others(&self) -> Result<Vec<SocketAddr>, StoreError> {
        let own = self.membership()?;
        let applied = self.applied()?;
        let members = applied.membership.membership().nodes();
        Ok(members.filter(|(id, _)| Some(**id) != own).map(|(_, it)| it.mesh).collect())
    }

    /// Whether anything has come from the others yet, and with it who they are.
    pub fn has_heard(&self) -> Result<bool, StoreError> {
        let tx = self.database.begin_read()?;
        if get::<Applied>(&tx, APPLIED)?.is_some() {
            return Ok(true);
        }
        match tx.open_table(LOG) {
            Ok(log) => Ok(log.first()?.is_some()),
            Err(TableError::TableDoesNotExist(_)) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Makes what is in here the beginning of what is shared, by one member so far.
    pub fn found(&self, id: u64, member: Member) -> Result<(), StoreError> {
        let beginning = LogId::new(openraft::CommittedLeaderId::new(1, id), FIRST);
        let membership = openraft::Membership::new(
            vec![[id].into()],
            [(id, member)].into_iter().collect::<BTreeMap<_, _>>(),
        );
        let membership = StoredMembership::new(Some(beginning), membership);
        let tx = self.durable()?;
        put(&tx, ID, &id)?;
        put(&tx, VOTE, &Vote::new(1, id))?;
        put(&tx, PURGED, &beginning)?;
        apply_to(&tx, &Applied { last: Some(beginning), membership })?;
        Ok(tx.commit()?)
    }

    pub(crate) fn applied(&self) -> Result<Applied, StoreError> {
        applied(&self.database.begin_read()?)
    }

    pub(crate) fn durable(&self) -> Result<WriteTransaction, StoreError> {
        let mut tx = self.database.begin_write()?;
        // Otherwise opening it after a crash takes seconds for each gigabyte.
        tx.set_quick_repair(true);
        Ok(tx)
    }

    /// Durable with whatever is next.
    pub(crate) fn following(&self) -> Result<WriteTransaction, StoreError> {
        let mut tx = self.database.begin_write()?;
        tx.set_durability(Durability::None)
            .expect("a transaction without savepoints need not be durable");
        Ok(tx)
    }
}

pub(crate) fn applied(tx: &ReadTransaction) -> Result<Applied, StoreError> {
    Ok(get(tx, APPLIED)?.unwrap_or_default())
}

pub(crate) fn apply_to(tx: &WriteTransaction, applied: &Applied) -> Result<(), StoreError> {
    put(tx, APPLIED, applied)?;
    let mut table = tx.open_table(STATE)?;
    let id: Option<u64> = table.get(ID)?.map(|it| read(ID, it.value())).transpose()?;
    let belongs = id.is_some_and(|it| applied.membership.membership().get_node(&it).is_some());
    if belongs && table.get(BELONGED)?.is_none() {
        table.insert(BELONGED, write(&true).as_slice())?;
    }
    Ok(())
}

fn get<T: DeserializeOwned>(tx: &ReadTransaction, key: &str) -> Result<Option<T>, StoreError> {
    let table = match tx.open_table(STATE) {
        Ok(table) => table,
        Err(TableError::TableDoesNotExist(_)) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    table.get(key)?.map(|it| read(key, it.value())).transpose()
}

fn put(tx: &WriteTransaction, key: &str, value: &impl Serialize) -> Result<(), StoreError> {
    tx.open_table(STATE)?.insert(key, write(value).as_slice())?;
    Ok(())
}

/// The first thing that went wrong with the database, for whoever has to say why it is over.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trouble(Arc<Mutex<Option<StoreError>>>);

impl Trouble {
    pub(crate) fn take(&self) -> Option<StoreError> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// As the protocol's library wants to hear it. It stops at once.
    #[expect(clippy::result_large_err, reason = "the library's error is as large as it is")]
    pub(crate) fn tell<T>(&self, done: Result<T, StoreError>) -> Result<T, Failure> {
        done.map_err(|error| {
            let told = StorageIOError::write(openraft::AnyError::new(&error));
            self.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
            told.into()
        })
    }
}

/// Clones are the same log.
#[derive(Clone, Debug)]
pub(crate) struct Ledger {
    store: Store,
    recent: Arc<Mutex<Recent>>,
    trouble: Trouble,
}

/// The end of the log.
#[derive(Debug, Default)]
struct Recent {
    entries: BTreeMap<u64, (usize, Entry)>,
    bytes: usize,
}

impl Recent {
    fn push(&mut self, length: usize, entry: Entry) {
        self.bytes += length;
        if let Some((before, _)) = self.entries.insert(entry.log_id.index, (length, entry)) {
            self.bytes -= before;
        }
        while RECENT_MAX < self.bytes
            && let Some((_, (length, _))) = self.entries.pop_first()
        {
            self.bytes -= length;
        }
    }

    fn forget_from(&mut self, index: u64) {
        let forgotten = self.entries.split_off(&index);
        self.bytes -= forgotten.values().map(|(length, _)| length).sum::<usize>();
    }

    fn forget_to(&mut self, index: u64) {
        let kept = self.entries.split_off(&(index + 1));
        self.bytes -= self.entries.values().map(|(length, _)| length).sum::<usize>();
        self.entries = kept;
    }

    /// All of them, or nothing.
    fn range(&self, from: u64, to: u64) -> Option<Vec<(usize, Entry)>> {
        let found: Vec<_> = self.entries.range(from..to).map(|(_, it)| it.clone()).collect();
        (found.len() as u64 == to.saturating_sub(from)).then_some(found)
    }
}

impl Ledger {
    pub(crate) fn new(store: Store, trouble: Trouble) -> Self {
        Self { store, recent: Arc::default(), trouble }
    }

    fn recent(&self) -> std::sync::MutexGuard<'_, Recent> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Off the runtime's threads, which have heartbeats to send.
    async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Store) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, Failure> {
        let store = self.store.clone();
        let done = spawn_blocking(move || work(&store)).await;
        self.trouble.tell(done.unwrap_or(Err(StoreError::Panicked)))
    }

    fn range(&self, range: impl RangeBounds<u64>) -> Result<Vec<(usize, Entry)>, StoreError> {
        let table = match self.store.database.begin_read()?.open_table(LOG) {
            Ok(table) => table,
            Err(TableError::TableDoesNotExist(_)) => return Ok(vec![]),
            Err(error) => return Err(error.into()),
        };
        let entry =
            |found: Result<(redb::AccessGuard<'_, u64>, redb::AccessGuard<'_, &[u8]>), _>| {
                let (index, value) = found?;
                let entry = read(&format!("log {}", index.value()), value.value())?;
                Ok((value.value().len(), entry))
            };
        table.range(range)?.map(entry).collect()
    }

    /// The first of them, as many as can be told at once; one at least.
    fn beginning(&self, from: u64, to: u64) -> Result<Vec<Entry>, StoreError> {
        let mut bytes = 0;
        let mut fits = |length: usize| {
            let is_first = bytes == 0;
            bytes += length;
            is_first || bytes <= TOLD_AT_ONCE
        };
        let recent = self.recent().range(from, to);
        if let Some(recent) = recent {
            let some = recent.into_iter().take_while(|(length, _)| fits(*length));
            return Ok(some.map(|(_, entry)| entry).collect());
        }
        let mut some = Vec::new();
        for index in from..to {
            let Some((length, entry)) = self.range(index..=index)?.pop() else { break };
            if !fits(length) {
                break;
            }
            some.push(entry);
        }
        Ok(some)
    }
}

impl RaftLogReader<Types> for Ledger {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + Send>(
        &mut self,
        range: RB,
    ) -> Result<Vec<Entry>, Failure> {
        use std::ops::Bound::{Excluded, Included, Unbounded};
        let from = match range.start_bound() {
            Included(from) => *from,
            Excluded(before) => before + 1,
            Unbounded => 0,
        };
        let to = match range.end_bound() {
            Included(last) => Some(last + 1),
            Excluded(to) => Some(*to),
            Unbounded => None,
        };
        let recent = to.and_then(|to| self.recent().range(from, to));
        let found = match recent {
            Some(found) => found,
            None => self
                .trouble
                .tell(self.range((range.start_bound().cloned(), range.end_bound().cloned())))?,
        };
        Ok(found.into_iter().map(|(_, entry)| entry).collect())
    }

    async fn limited_get_log_entries(&mut self, from: u64, to: u64) -> Result<Vec<Entry>, Failure> {
        self.trouble.tell(self.beginning(from, to))
    }
}

impl RaftLogStorage<Types> for Ledger {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Result<LogState<Types>, Failure> {
        let last = |store: &Store| -> Result<_, StoreError> {
            let tx = store.database.begin_read()?;
            let purged = get::<LogId<u64>>(&tx, PURGED)?;
            let last = match tx.open_table(LOG) {
                Ok(table) => match table.last()? {
                    Some((_, value)) => Some(read::<Entry>("the log's end", value.value())?.log_id),
                    None => None,
                },
                Err(TableError::TableDoesNotExist(_)) => None,
                Err(error) => return Err(error.into()),
            };
            Ok(LogState { last_purged_log_id: purged, last_log_id: last.or(purged) })
        };
        self.trouble.tell(last(&self.store))
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote<u64>) -> Result<(), Failure> {
        let vote = *vote;
        self.work(move |store| {
            let tx = store.durable()?;
            put(&tx, VOTE, &vote)?;
            Ok(tx.commit()?)
        })
        .await
    }

    async fn read_vote(&mut self) -> Result<Option<Vote<u64>>, Failure> {
        let read = |store: &Store| get(&store.database.begin_read()?, VOTE);
        self.trouble.tell(read(&self.store))
    }

    async fn append<I>(&mut self, entries: I, flushed: LogFlushed<Types>) -> Result<(), Failure>
    where
        I: IntoIterator<Item = Entry> + Send,
        I::IntoIter: Send,
    {
        let entries: Vec<_> = entries.into_iter().map(|it| (write(&it), it)).collect();
        let appended = self
            .work(move |store| {
                let tx = store.durable()?;
                let mut log = tx.open_table(LOG)?;
                for (bytes, entry) in &entries {
                    log.insert(entry.log_id.index, bytes.as_slice())?;
                }
                drop(log);
                tx.commit()?;
                Ok(entries)
            })
            .await?;
        let mut recent = self.recent();
        for (bytes, entry) in appended {
            recent.push(bytes.len(), entry);
        }
        drop(recent);
        flushed.log_io_completed(Ok(()));
        Ok(())
    }

    async fn truncate(&mut self, from: LogId<u64>) -> Result<(), Failure> {
        self.recent().forget_from(from.index);
        self.work(move |store| {
            let tx = store.durable()?;
            tx.open_table(LOG)?.retain_in(from.index.., |_, _| false)?;
            Ok(tx.commit()?)
        })
        .await
    }

    /// What it makes durable as well is how far the records have come: so they never need what is
    /// gone.
    async fn purge(&mut self, to: LogId<u64>) -> Result<(), Failure> {
        self.recent().forget_to(to.index);
        self.work(move |store| {
            let tx = store.durable()?;
            put(&tx, PURGED, &to)?;
            tx.open_table(LOG)?.retain_in(..=to.index, |_, _| false)?;
            Ok(tx.commit()?)
        })
        .await
    }
}
