//! All records as they were at one moment, for a member that is too far behind to be told what it
//! has missed.
//!
//! The database is a copy of itself at any time, so nothing is prepared in advance: a picture is a
//! read transaction, which costs nothing, and becomes a file only when it has to travel. Neither is
//! anything kept: whoever received one has it in its own database.

use std::{
    fmt,
    fs::File,
    io::{self, Read},
    path::Path,
};

use redb::{
    Database, Key, ReadTransaction, ReadableDatabase, ReadableTable, TableDefinition, TableError,
    Value, WriteTransaction,
};

use super::types::Applied;
use crate::{
    StoreError,
    disk::Disk,
    replica::ledger,
    store::{self, META},
};

/// Empty until something is put into it.
#[derive(Default)]
pub(crate) struct Picture {
    seen: Option<ReadTransaction>,
    /// Of a picture that came in a file.
    _file: Option<Database>,
}

impl fmt::Debug for Picture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Picture({})", if self.seen.is_some() { "taken" } else { "empty" })
    }
}

impl Picture {
    pub(crate) fn taken(seen: ReadTransaction) -> Self {
        Self { seen: Some(seen), _file: None }
    }

    /// What [`Picture::develop`] made elsewhere.
    pub(crate) fn received(file: File) -> Result<Self, StoreError> {
        let database = Database::builder().create_with_backend(Disk(file))?;
        Ok(Self { seen: Some(database.begin_read()?), _file: Some(database) })
    }

    /// A file without a name in `folder`, which is gone when it is closed.
    pub(crate) fn develop(&self, folder: &Path) -> Result<File, StoreError> {
        let file = tempfile::tempfile_in(folder).map_err(redb::Error::Io)?;
        let disk = Disk(file.try_clone().map_err(redb::Error::Io)?);
        let database = Database::builder().create_with_backend(disk)?;
        let tx = database.begin_write()?;
        self.copy_into(&tx)?;
        tx.commit()?;
        drop(database);
        Ok(file)
    }

    /// Everything in `tx` makes way for this.
    pub(crate) fn replace(
        &self,
        tx: &WriteTransaction,
        applied: &Applied,
    ) -> Result<(), StoreError> {
        self.copy_into(tx)?;
        ledger::apply_to(tx, applied)
    }

    fn copy_into(&self, tx: &WriteTransaction) -> Result<(), StoreError> {
        let Some(seen) = &self.seen else { return Ok(()) };
        copy(seen, tx, META)?;
        store::copy_tables(seen, tx)
    }
}

/// The whole table, in the place of what was there.
pub(crate) fn copy<K: Key + 'static, V: Value + 'static>(
    from: &ReadTransaction,
    to: &WriteTransaction,
    table: TableDefinition<'static, K, V>,
) -> Result<(), StoreError> {
    to.delete_table(table)?;
    let mut copy = to.open_table(table)?;
    let original = match from.open_table(table) {
        Ok(original) => original,
        Err(TableError::TableDoesNotExist(_)) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    for entry in original.iter()? {
        let (key, value) = entry?;
        copy.insert(key.value(), value.value())?;
    }
    Ok(())
}

/// At most `length` bytes; fewer at the end.
pub(crate) fn read_piece(mut file: &File, length: usize) -> io::Result<Vec<u8>> {
    let mut piece = Vec::with_capacity(length);
    file.by_ref().take(length as u64).read_to_end(&mut piece)?;
    Ok(piece)
}
