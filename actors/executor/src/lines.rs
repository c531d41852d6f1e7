//! A file of lines, of which none is torn and none is missing, however full the disk is.
//!
//! What cannot be written is owed, and comes before whatever comes next. A write that failed may
//! have left its beginning in the file; that is the beginning of what is owed as well, so writing
//! all of it again, at the same place, mends it. Should the agent end before, half a line is last.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::Path,
};

use serde::Serialize;

pub(crate) struct Lines {
    file: File,
    /// Up to where it is written for sure.
    length: u64,
    owed: Vec<u8>,
}

/// The whole lines of a file, each with its end.
pub(crate) fn whole(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split_inclusive(|it| *it == b'\n').filter(|it| it.ends_with(b"\n"))
}

impl Lines {
    /// Goes on after so many bytes, and drops what is behind them.
    pub(crate) fn open(path: &Path, length: u64) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        let file = options.create(true).truncate(false).write(true).mode(0o600).open(path)?;
        if file.metadata()?.len() != length {
            file.set_len(length)?;
        }
        Ok(Self { file, length, owed: Vec::new() })
    }

    /// # Errors
    /// It could not be written now, and will be with the next.
    pub(crate) fn append(&mut self, value: &impl Serialize) -> io::Result<()> {
        self.append_all([value])
    }

    /// In one go.
    ///
    /// # Errors
    /// As above.
    pub(crate) fn append_all<T: Serialize>(
        &mut self,
        values: impl IntoIterator<Item = T>,
    ) -> io::Result<()> {
        for value in values {
            self.owed.extend(serde_json::to_vec(&value)?);
            self.owed.push(b'\n');
        }
        self.file.write_all_at(&self.owed, self.length)?;
        self.length += self.owed.len() as u64;
        self.owed.clear();
        Ok(())
    }
}

#[cfg(test)]
impl Lines {
    /// Acts as if there were room for so many more bytes.
    pub(crate) fn on_a_full_disk<T>(&mut self, room: usize, act: impl FnOnce(&mut Self) -> T) -> T {
        let nowhere = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let file = std::mem::replace(&mut self.file, nowhere);
        let result = act(self);
        let there = self.owed.len().min(room);
        file.write_all_at(&self.owed[..there], self.length).unwrap();
        self.file = file;
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_there_was_no_room_for_is_written_first_when_there_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lines");
        for room in 0..7 {
            let mut lines = Lines::open(&path, 0).unwrap();
            lines.append(&1).unwrap();
            lines.on_a_full_disk(room, |lines| {
                assert!(lines.append(&222).is_err());
                assert!(lines.append(&33).is_err());
            });
            let text = std::fs::read(&path).unwrap();
            let expected: &[_] = if room < 4 { &["1\n"] } else { &["1\n", "222\n"] };
            assert!(whole(&text).eq(expected.iter().map(|it| it.as_bytes())), "{room}");
            lines.append(&4).unwrap();
            assert_eq!(std::fs::read_to_string(&path).unwrap(), "1\n222\n33\n4\n");
        }
    }
}
