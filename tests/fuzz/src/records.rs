use std::{cell::LazyCell, path::PathBuf};

use airglow_model::record::{Record, RecordKey};
use airglow_store::{FILE, ReadModel, Store};
use redb::{Database, Durability, TableDefinition};
use tempfile::TempDir;

const RECORDS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("records");

thread_local! {
    /// A database with nothing in it.
    static EMPTY: LazyCell<(TempDir, PathBuf)> = LazyCell::new(|| {
        let folder = tempfile::tempdir().expect("there is a place for a file");
        let path = folder.path().join(FILE);
        drop(Store::open(&path).expect("an empty database"));
        (folder, path)
    });
}

/// Lines of keys and values, by turns, as they may be found in a database; what the first byte says
/// is whether they are really put into one.
pub fn records(input: &[u8]) {
    let Some((how, lines)) = input.split_first() else { return };
    let mut lines = lines.split(|it| *it == b'\n');
    let mut pairs = Vec::new();
    while let (Some(key), Some(value)) = (lines.next(), lines.next()) {
        let Ok(key) = std::str::from_utf8(key) else { continue };
        look_at_key(key);
        look_at_value(value);
        pairs.push((key, value));
    }
    if how % 2 == 1 {
        start_with(&pairs);
    }
}

fn look_at_key(text: &str) {
    if let Ok(key) = text.parse::<RecordKey>() {
        assert_eq!(key.to_string().parse(), Ok(key), "{text}");
    }
}

fn look_at_value(value: &[u8]) {
    if let Ok(record) = serde_json::from_slice::<Record>(value) {
        let again = serde_json::to_vec(&record).expect("every record can be written");
        let read: Record = serde_json::from_slice(&again).expect("and read");
        assert_eq!(read, record);
    }
}

/// As a scheduler does: the view is folded from what there is, or it is said what cannot be understood.
fn start_with(pairs: &[(&str, &[u8])]) {
    EMPTY.with(|empty| {
        let path = &empty.1;
        put(path, pairs).expect("a disk with room");
        let store = Store::look(path).expect("what redb has written is whole");
        // Either answer will do, as long as there is one.
        ReadModel::load(&store).ok();
        store.summary().ok();
    });
}

fn put(path: &PathBuf, pairs: &[(&str, &[u8])]) -> Result<(), redb::Error> {
    let database = Database::open(path)?;
    let mut tx = database.begin_write()?;
    tx.set_durability(Durability::None)?;
    let mut table = tx.open_table(RECORDS)?;
    table.retain(|_, _| false)?;
    for (key, value) in pairs {
        table.insert(*key, *value)?;
    }
    drop(table);
    Ok(tx.commit()?)
}
