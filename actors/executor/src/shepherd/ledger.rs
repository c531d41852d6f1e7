//! The file of what a shepherd has done, of which no line is torn and none is lost.
//!
//! What cannot be written now, for want of room on the disk, is owed; the rest of a line that was
//! written in part comes next. So whoever reads it sees whole lines, in the order in which things
//! happened, and perhaps half a line last.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt},
    path::Path,
    time::Duration,
};

use crate::order::Record;

pub(super) struct Ledger {
    file: File,
    owed: Vec<u8>,
    /// Something is written that is to outlive the machine's next crash as well.
    is_unsafe: bool,
}

impl Ledger {
    pub(super) fn open(folder: &Path) -> io::Result<Self> {
        let path = folder.join("record.jsonl");
        let mut options = OpenOptions::new();
        let file = options.read(true).append(true).create(true).mode(0o600).open(path)?;
        Ok(Self { file, owed: Vec::new(), is_unsafe: false })
    }

    /// Whether we are the first, and the only one ever, to begin it with this. Waits as long as the
    /// disk is full.
    ///
    /// # Errors
    /// It cannot be said, and nobody could read it.
    pub(super) fn claim(&mut self, record: &Record) -> io::Result<bool> {
        self.add(record);
        let mut first = vec![0; self.owed.len()];
        let mine = self.owed.clone();
        while let Err(error) = self.settle() {
            if !self.is_wanted() {
                return Err(error);
            }
            pause();
        }
        self.file.read_exact_at(&mut first, 0)?;
        Ok(first == mine)
    }

    pub(super) fn add(&mut self, record: &Record) {
        serde_json::to_writer(&mut self.owed, record).expect("a record can be written as JSON");
        self.owed.push(b'\n');
        self.is_unsafe |= is_precious(record);
    }

    /// Whether there was something to be written, all of which now is.
    ///
    /// # Errors
    /// Not all of it is there. It has to be tried again.
    pub(super) fn settle(&mut self) -> io::Result<bool> {
        let is_news = self.is_owing();
        while !self.owed.is_empty() {
            self.write()?;
        }
        if self.is_unsafe {
            self.file.sync_data()?;
            self.is_unsafe = false;
        }
        Ok(is_news)
    }

    pub(super) fn is_owing(&self) -> bool {
        !self.owed.is_empty() || self.is_unsafe
    }

    /// Whether anybody can read it: not when its folder was removed.
    pub(super) fn is_wanted(&self) -> bool {
        self.file.metadata().is_ok_and(|it| it.nlink() > 0)
    }

    fn write(&mut self) -> io::Result<()> {
        match (&self.file).write(&self.owed) {
            Ok(written) => drop(self.owed.drain(..written)),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

/// What the scheduler will be told, and will not ask again.
fn is_precious(record: &Record) -> bool {
    match record {
        Record::Ended { .. } | Record::OutOfMemory { .. } => true,
        Record::Shepherd { .. } | Record::Started { .. } | Record::Gone => false,
    }
}

#[expect(clippy::disallowed_methods, reason = "there is no arbiter in this program to be blocked")]
fn pause() {
    std::thread::sleep(Duration::from_secs(1));
}
