//! What is written down for others, and read by nobody who decides: notices for webhooks and the
//! audit trail, each in the order in which it came to be.
//!
//! A database that an older Airglow made has no such tables until the next transaction, and one
//! that goes back to it ignores them.

use std::ops::Bound;

use airglow_model::{
    audit::{Entry, Filter, Keep},
    machine::Timestamp,
    record::Record,
    webhook::{Notice, NoticeId},
};
use redb::{
    Key, ReadOnlyTable, ReadTransaction, ReadableDatabase, ReadableTable, ReadableTableMetadata,
    Table, TableDefinition, TableError, Value, WriteTransaction,
};

use crate::{
    Store, StoreError,
    replica::picture,
    store::{read, write},
};

/// By the transaction that they are about, and their numbers in it.
pub(crate) const NOTICES: TableDefinition<'_, (u64, u32), &[u8]> = TableDefinition::new("notices");

pub(crate) const AUDIT: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("audit");
/// The numbers of a target's entries.
pub(crate) const AUDITED: TableDefinition<'_, (&str, u64), ()> = TableDefinition::new("audited");

pub(crate) struct Books<'tx> {
    notices: Table<'tx, (u64, u32), &'static [u8]>,
    audit: Table<'tx, u64, &'static [u8]>,
    audited: Table<'tx, (&'static str, u64), ()>,
}

impl<'tx> Books<'tx> {
    pub(crate) fn open(tx: &'tx WriteTransaction) -> Result<Self, redb::Error> {
        Ok(Self {
            notices: tx.open_table(NOTICES)?,
            audit: tx.open_table(AUDIT)?,
            audited: tx.open_table(AUDITED)?,
        })
    }

    pub(crate) fn note(
        &mut self,
        NoticeId { seq, index }: NoticeId,
        record: Option<&Record>,
    ) -> Result<(), redb::Error> {
        match record {
            Some(Record::Notice(it)) => _ = self.notices.insert((seq, index), &*write(it))?,
            Some(_) => unreachable!("notices are nothing else"),
            None => _ = self.notices.remove((seq, index))?,
        }
        Ok(())
    }

    pub(crate) fn audit(
        &mut self,
        number: u64,
        record: Option<&Record>,
    ) -> Result<(), redb::Error> {
        match record {
            Some(Record::Audit(entry)) => {
                self.audit.insert(number, &*write(entry))?;
                self.audited.insert((entry.target.to_string().as_str(), number), ())?;
            }
            Some(_) => unreachable!("the audit trail is made of entries"),
            None => {
                let Some(value) = self.audit.remove(number)? else { return Ok(()) };
                // What cannot be understood is not found by its target either.
                if let Ok(Entry { target, .. }) = serde_json::from_slice(value.value()) {
                    self.audited.remove((target.to_string().as_str(), number))?;
                }
            }
        }
        Ok(())
    }
}

/// The books, in the place of those that were there.
pub(crate) fn copy(from: &ReadTransaction, to: &WriteTransaction) -> Result<(), StoreError> {
    picture::copy(from, to, NOTICES)?;
    picture::copy(from, to, AUDIT)?;
    picture::copy(from, to, AUDITED)
}

impl Store {
    /// The oldest notices after this one, at most `limit`.
    pub fn notices(
        &self,
        after: Option<NoticeId>,
        limit: usize,
    ) -> Result<Vec<(NoticeId, Notice)>, StoreError> {
        let Some(table) = self.book(NOTICES)? else { return Ok(vec![]) };
        let from = after.map_or(Bound::Unbounded, |it| Bound::Excluded((it.seq, it.index)));
        let mut notices = Vec::new();
        for entry in table.range::<(u64, u32)>((from, Bound::Unbounded))?.take(limit) {
            let (key, value) = entry?;
            let (seq, index) = key.value();
            let id = NoticeId { seq, index };
            notices.push((id, read(&id.to_string(), value.value())?));
        }
        Ok(notices)
    }

    pub fn notice(&self, id: NoticeId) -> Result<Option<Notice>, StoreError> {
        let Some(table) = self.book(NOTICES)? else { return Ok(None) };
        let value = table.get((id.seq, id.index))?;
        value.map(|it| read(&id.to_string(), it.value())).transpose()
    }

    /// What fits `filter` of what came before the entry of this number, newest first.
    pub fn audit(
        &self,
        filter: &Filter,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<(u64, Entry)>, StoreError> {
        let end = before.unwrap_or(u64::MAX);
        let tx = self.database.begin_read()?;
        let Some(audit) = open(&tx, AUDIT)? else { return Ok(vec![]) };
        let mut entries = Vec::new();
        let mut consider = |number: u64, value: &[u8]| -> Result<bool, StoreError> {
            let entry: Entry = read(&number.to_string(), value)?;
            if filter.takes(&entry) {
                entries.push((number, entry));
            }
            Ok(entries.len() < limit)
        };
        match filter.target().map(|it| it.to_string()) {
            Some(target) => {
                let Some(audited) = open(&tx, AUDITED)? else { return Ok(vec![]) };
                for entry in audited.range((target.as_str(), 0)..(target.as_str(), end))?.rev() {
                    let (key, _) = entry?;
                    let (_, number) = key.value();
                    let Some(value) = audit.get(number)? else { continue };
                    if !consider(number, value.value())? {
                        break;
                    }
                }
            }
            None => {
                for entry in audit.range(..end)?.rev() {
                    let (number, value) = entry?;
                    if !consider(number.value(), value.value())? {
                        break;
                    }
                }
            }
        }
        Ok(entries)
    }

    /// The number of the newest entry of the audit trail; 0 if there is none.
    pub fn last_audit(&self) -> Result<u64, StoreError> {
        let Some(table) = self.book(AUDIT)? else { return Ok(0) };
        Ok(table.last()?.map_or(0, |(number, _)| number.value()))
    }

    /// Those of the oldest `limit` entries that need not be kept.
    pub fn old_audit(
        &self,
        keep: &Keep,
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<u64>, StoreError> {
        let Some(table) = self.book(AUDIT)? else { return Ok(vec![]) };
        let (count, mut old) = (table.len()?, Vec::new());
        for (older, entry) in (0..).zip(table.iter()?.take(limit)) {
            let (number, value) = entry?;
            let entry: Entry = read(&number.value().to_string(), value.value())?;
            if !keep.may_go(now, entry.at, older, count) {
                break;
            }
            old.push(number.value());
        }
        Ok(old)
    }

    fn book<K: Key + 'static, V: Value + 'static>(
        &self,
        book: TableDefinition<'_, K, V>,
    ) -> Result<Option<ReadOnlyTable<K, V>>, StoreError> {
        open(&self.database.begin_read()?, book)
    }
}

/// `None`: nothing was ever written into it.
fn open<K: Key + 'static, V: Value + 'static>(
    tx: &ReadTransaction,
    book: TableDefinition<'_, K, V>,
) -> Result<Option<ReadOnlyTable<K, V>>, StoreError> {
    match tx.open_table(book) {
        Ok(table) => Ok(Some(table)),
        Err(TableError::TableDoesNotExist(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use redb::{Database, backends::InMemoryBackend};

    use super::*;

    #[test]
    fn a_database_that_has_no_books_yet_has_empty_ones() {
        let database = Database::builder().create_with_backend(InMemoryBackend::new()).unwrap();
        let store = Store::on(database);
        let id = NoticeId { seq: 1, index: 0 };
        assert_eq!(store.notices(None, 9).unwrap(), []);
        assert_eq!(store.notice(id).unwrap(), None);
        assert_eq!(store.audit(&Filter::default(), None, 9).unwrap(), []);
        assert_eq!(store.audit(&Filter::of_host(&"h".into()), None, 9).unwrap(), []);
        assert_eq!(store.last_audit().unwrap(), 0);
        assert_eq!(store.old_audit(&Keep::default(), Timestamp(0), 9).unwrap(), [0; 0]);
    }
}
