//! A database for tests, on a disk that does what a test wants.

use std::{
    io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
};

use redb::{Database, StorageBackend};

use crate::{Store, disk::Disk, store};

/// A disk whose fsyncs are counted and can be held up, and which can be full.
#[derive(Debug)]
struct Bench {
    disk: Disk,
    levers: Arc<Levers>,
}

#[derive(Debug, Default)]
pub(crate) struct Levers {
    pub(crate) fsyncs: AtomicU64,
    pub(crate) hold: Mutex<()>,
    pub(crate) full: AtomicBool,
}

impl StorageBackend for Bench {
    fn len(&self) -> io::Result<u64> {
        self.disk.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.disk.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.disk.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        drop(self.levers.hold.lock());
        self.levers.fsyncs.fetch_add(1, Relaxed);
        self.disk.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        if self.levers.full.load(Relaxed) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.disk.write(offset, data)
    }
}

/// An empty store, and what moves its disk.
pub(crate) fn store() -> (Store, Arc<Levers>) {
    let levers = Arc::new(Levers::default());
    let disk = Disk(tempfile::tempfile().unwrap());
    let bench = Bench { disk, levers: Arc::clone(&levers) };
    let database = Database::builder().create_with_backend(bench).unwrap();
    store::lay_out(&database).unwrap();
    (Store::on(database), levers)
}
