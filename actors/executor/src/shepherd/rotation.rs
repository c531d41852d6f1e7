//! A log that does not grow without end: when a file is full it becomes `FILE.1`, what was that
//! becomes `FILE.2`, and the last is dropped.
//!
//! Files end where a line ends, if lines do. Each carries, as an attribute, how many bytes of the
//! log came before it, so that whoever reads on does not lose their place. At any moment one can
//! open `FILE`.

use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use nix::fcntl::OFlag;
use rustix::fs::{XattrFlags, fsetxattr};

use crate::{order::Rotate, reading::LOG_BASE};

pub(super) struct Rotating {
    path: PathBuf,
    rotate: Rotate,
    file: File,
    size: u64,
    /// How much came before this file.
    base: u64,
}

impl Rotating {
    /// A new log.
    pub(super) fn open(path: &Path, rotate: Rotate) -> io::Result<Self> {
        Ok(Self { path: path.to_owned(), rotate, file: empty(path, 0)?, size: 0, base: 0 })
    }

    /// How many of the bytes were written: at least one.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.roll_if_full();
        let piece = &bytes[..self.end_of_file(bytes)];
        let written = self.file.write(piece)?;
        self.size += written as u64;
        self.roll_if_full();
        Ok(written)
    }

    /// How many of the bytes belong into this file.
    fn end_of_file(&self, bytes: &[u8]) -> usize {
        let room = self.rotate.size.saturating_sub(self.size);
        let Some(last) = usize::try_from(room).ok().and_then(|it| it.checked_sub(1)) else {
            return bytes.len();
        };
        let beyond = bytes.get(last..).unwrap_or_default();
        let line = beyond.iter().position(|it| *it == b'\n');
        line.map_or(bytes.len(), |it| last + it + 1)
    }

    /// If it does not go, because the disk is full or somebody has moved the folder away, the log
    /// goes on where it is: too big a file is better than a lost line.
    fn roll_if_full(&mut self) {
        if self.size >= self.rotate.size {
            self.roll().ok();
        }
    }

    fn roll(&mut self) -> io::Result<()> {
        let base = self.base + self.size;
        let next = self.sibling("new");
        let file = empty(&next, base)?;
        for older in (1..self.rotate.backups).rev() {
            let (from, to) = (self.sibling(&older.to_string()), (older + 1).to_string());
            fs::rename(from, self.sibling(&to)).ok();
        }
        let newest = self.sibling("1");
        fs::remove_file(&newest).ok();
        // By two names for a moment rather than by none.
        fs::hard_link(&self.path, &newest).or_else(|_| fs::rename(&self.path, &newest)).ok();
        fs::rename(next, &self.path)?;
        (self.file, self.size, self.base) = (file, 0, base);
        Ok(())
    }

    fn sibling(&self, suffix: &str) -> PathBuf {
        let mut name = OsString::from(&self.path);
        name.push(".");
        name.push(suffix);
        name.into()
    }
}

/// Without attributes readers take its base for zero.
fn empty(path: &Path, base: u64) -> io::Result<File> {
    let flags = OFlag::O_TRUNC | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    let mut options = OpenOptions::new();
    let file =
        options.append(true).create(true).mode(0o644).custom_flags(flags.bits()).open(path)?;
    if base > 0 {
        fsetxattr(&file, LOG_BASE, base.to_string().as_bytes(), XattrFlags::empty()).ok();
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(rotate: Rotate, pieces: &[&[u8]]) -> Vec<Option<String>> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let mut log = Rotating::open(&path, rotate).unwrap();
        for piece in pieces {
            let mut rest = *piece;
            while !rest.is_empty() {
                let written = log.write(rest).unwrap();
                rest = &rest[written..];
            }
        }
        let names = [String::new(), ".1".into(), ".2".into(), ".3".into()];
        let path = path.display().to_string();
        names.iter().map(|it| fs::read_to_string(format!("{path}{it}")).ok()).collect()
    }

    #[test]
    fn r20_files_end_with_the_line_that_fills_them_however_it_comes() {
        let rotate = Rotate { size: 70, backups: 2 };
        let lines: Vec<_> = (0..31).map(|it| format!("line{it:02}\n")).collect();
        let text = lines.concat();
        let bytes: Vec<_> = text.as_bytes().chunks(1).collect();
        let expected = [
            Some(lines[30..].concat()),
            Some(lines[20..30].concat()),
            Some(lines[10..20].concat()),
            None,
        ];
        assert_eq!(written(rotate, &bytes), expected);
        assert_eq!(written(rotate, &[text.as_bytes()]), expected);
    }

    #[test]
    fn a_line_longer_than_a_file_stays_whole_and_without_lines_a_file_ends_anywhere() {
        let kept = written(Rotate { size: 3, backups: 1 }, &[b"a\nbcdef\ng"]);
        assert_eq!(kept[..3], [Some("g".into()), Some("a\nbcdef\n".into()), None]);
        let kept = written(Rotate { size: 3, backups: 3 }, &[b"ab", b"cd", b"efg", b"h"]);
        assert_eq!(kept[..3], [Some("h".into()), Some("efg".into()), Some("abcd".into())]);
    }

    #[test]
    fn it_goes_on_where_it_is_as_long_as_there_can_be_no_new_file() {
        let folder = tempfile::tempdir().unwrap();
        let (here, away) = (folder.path().join("here"), folder.path().join("away"));
        fs::create_dir(&here).unwrap();
        let mut log = Rotating::open(&here.join("log"), Rotate { size: 2, backups: 1 }).unwrap();
        fs::rename(&here, &away).unwrap();
        log.write(b"1\n").unwrap();
        log.write(b"2\n").unwrap();
        assert_eq!(fs::read_to_string(away.join("log")).unwrap(), "1\n2\n");
        fs::rename(&away, &here).unwrap();
        log.write(b"3\n").unwrap();
        assert_eq!(fs::read_to_string(here.join("log.1")).unwrap(), "3\n");
    }
}
