//! Logs and files of a task, for people to look at: never anything outside its sandbox.
//!
//! A sandbox belongs to its task, which may put links in it that lead anywhere. The kernel is told
//! not to leave the sandbox on any way (`RESOLVE_BENEATH`), so there is no moment between looking
//! where a path leads and going there. What is mounted in it is not its task's either, and the
//! sandbox itself may have been replaced by a link.
//!
//! A log that is rotated is one log nevertheless. Its files `LOG.2`, `LOG.1`, `LOG` each say how
//! much of it came before them, so what has been written at an offset is found there as long as it
//! is kept, whatever its file is called by then. Nobody is asked to hold still meanwhile: files only
//! ever move on to higher numbers, which is also the way in which they are sought, so the worst that
//! a rotation in between can do is to show us one that we hold already.

mod entries;

use std::{
    collections::VecDeque,
    ffi::OsString,
    fs::{File, Metadata},
    io,
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::fs::{FileExt, MetadataExt},
    },
    path::{Path, PathBuf},
};

use airglow_model::wire::{Answer, Bytes};
use base64::{Engine, prelude::BASE64_STANDARD};
use rustix::{
    fs::{Mode, OFlags, ResolveFlags, fgetxattr, open, openat2},
    io::Errno,
};

use self::entries::entries;

/// The most that is read at once, whatever was asked for.
const PIECE_MAX: u32 = 1024 * 1024;

/// The extended attribute of a log's file that says, in decimal digits, how many bytes of the log
/// came before it. Without it nothing is known to.
pub(crate) const LOG_BASE: &str = "user.airglow.base";

/// The most files of one log that are held open at once, and that are looked for at all.
const HELD_MAX: usize = 64;
const FILES_MAX: u32 = 10_000;

/// How often files may move on while the base of one is worked out.
const TRIES: usize = 100;

/// A piece of a log below `sandbox`, rotated or not. A negative offset counts from the end; one that
/// is not kept any more is taken for the oldest that is.
pub(crate) fn piece(sandbox: &Path, path: &Path, offset: i64, length: u32) -> Answer {
    answer(path, Below::new(sandbox).and_then(|below| below.log_piece(path, offset, length)))
}

/// A folder's entries, or a piece of a file.
pub(crate) fn file(sandbox: &Path, path: &Path, offset: u64, length: u32) -> Answer {
    let found =
        Below::new(sandbox).and_then(|below| below.open(path)).and_then(
            |(file, about)| match about.is_dir() {
                true => Ok(Answer::Folder { entries: entries(&file)? }),
                false => file_piece(&file, about.len(), offset, length),
            },
        );
    answer(path, found)
}

fn answer(path: &Path, found: io::Result<Answer>) -> Answer {
    let what = path.display();
    match found {
        Ok(answer) => answer,
        Err(error) if is_absence(&error) => Answer::NotFound { what: what.to_string() },
        Err(error) => Answer::Failed { why: format!("{what}: {error}") },
    }
}

/// What leads out of the sandbox is not there, as far as we are concerned.
fn is_absence(error: &io::Error) -> bool {
    let absent = [Errno::NOENT, Errno::NOTDIR, Errno::XDEV, Errno::LOOP, Errno::NAMETOOLONG];
    absent.iter().any(|it| error.raw_os_error() == Some(it.raw_os_error()))
}

/// A sandbox that is held open, so that all that is read at once is read from the same one.
struct Below(OwnedFd);

impl Below {
    fn new(sandbox: &Path) -> io::Result<Self> {
        let itself = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::PATH;
        Ok(Self(open(sandbox, itself, Mode::empty())?))
    }

    /// A file or a folder. Nothing else is opened, not even for a moment: whoever waits at the other
    /// end of a FIFO would notice, and so would a device.
    fn open(&self, path: &Path) -> io::Result<(File, Metadata)> {
        let path = path.strip_prefix("/").unwrap_or(path);
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        let within = ResolveFlags::BENEATH | ResolveFlags::NO_XDEV | ResolveFlags::NO_MAGICLINKS;
        let place = OFlags::PATH | OFlags::CLOEXEC;
        let look = || match openat2(&self.0, path, place, Mode::empty(), within) {
            // Something was renamed somewhere, and the kernel is not sure any more what is within.
            Err(Errno::AGAIN) => None,
            looked => Some(looked),
        };
        let place = (0..TRIES).find_map(|_| look()).unwrap_or(Err(Errno::AGAIN))?;
        let place = File::from(place);
        let kind = place.metadata()?.file_type();
        if !kind.is_file() && !kind.is_dir() {
            return Err(io::Error::other("it is neither a file nor a folder"));
        }
        let file = File::open(format!("/proc/self/fd/{}", place.as_raw_fd()))?;
        let about = file.metadata()?;
        Ok((file, about))
    }

    fn log_piece(&self, path: &Path, offset: i64, length: u32) -> io::Result<Answer> {
        let log = Log { below: self, path };
        let newest = log.newest()?;
        let size = newest.end();
        let asked = match u64::try_from(offset) {
            Ok(offset) => offset.min(size),
            Err(_) => size.saturating_sub(offset.unsigned_abs()),
        };
        let parts = log.parts(newest, asked)?;
        let start = parts.front().map_or(asked, |oldest| oldest.base.max(asked));
        let wanted = u64::from(length.min(PIECE_MAX)).min(size - start);
        let bytes = read_across(&parts, start, wanted)?;
        // Who said where to begin gets exactly what is there, so that pieces can be put together.
        let is_roughly = offset < 0 || start != asked;
        Ok(as_piece(bytes, start, size, is_roughly))
    }
}

/// One log, in however many files.
struct Log<'a> {
    below: &'a Below,
    path: &'a Path,
}

/// A file of a log: its bytes from `base` on.
struct Part {
    /// The higher the older; what it was called when it was opened.
    number: u32,
    base: u64,
    len: u64,
    inode: u64,
    file: File,
}

impl Part {
    fn end(&self) -> u64 {
        self.base + self.len
    }
}

impl Log<'_> {
    /// The one that is written to; or, while it is replaced, the one that was.
    fn newest(&self) -> io::Result<Part> {
        match self.part(0) {
            Err(error) if is_absence(&error) => match self.part(1) {
                Err(older) if is_absence(&older) => Err(error),
                part => part,
            },
            part => part,
        }
    }

    /// From the one that holds `offset`, or the oldest there is, towards the newest.
    fn parts(&self, newest: Part, offset: u64) -> io::Result<VecDeque<Part>> {
        let mut oldest = (newest.number, newest.base);
        let mut parts = VecDeque::from([newest]);
        let mut was_missing = false;
        while offset < oldest.1 && oldest.0 < FILES_MAX {
            oldest.0 += 1;
            let part = match self.part(oldest.0) {
                Ok(part) => part,
                // One number is free while files move on; two are where they end.
                Err(error) if is_absence(&error) && !was_missing => {
                    was_missing = true;
                    continue;
                }
                Err(_) => break,
            };
            was_missing = false;
            if oldest.1 <= part.base {
                continue; // It has moved on since we saw it under a lower number.
            }
            if part.end() != oldest.1 {
                break; // Somebody has removed or changed what was between.
            }
            oldest.1 = part.base;
            parts.push_front(part);
            parts.truncate(HELD_MAX);
        }
        Ok(parts)
    }

    fn part(&self, number: u32) -> io::Result<Part> {
        let mut part = self.open(number)?;
        for _ in 0..TRIES {
            if said_base(&part.file).is_some() {
                break;
            }
            let base = self.base_after(&part);
            let now = self.open(number)?;
            if now.inode == part.inode {
                part.base = base;
                break;
            }
            // They have moved on while we looked, so what we saw was not all older.
            part = now;
        }
        part.base = said_base(&part.file).unwrap_or(part.base);
        // Offsets are signed for those who ask; nobody has written that much.
        if i64::try_from(part.base.saturating_add(part.len)).is_err() {
            part.base = 0;
        }
        Ok(part)
    }

    /// Of a file that does not say it, because it is the first, or not yet, or because this file
    /// system has no room for it: all of what is older, as far as it is there.
    fn base_after(&self, part: &Part) -> u64 {
        let mut base = 0_u64;
        let mut last = part.inode;
        let mut was_missing = false;
        for number in part.number + 1..FILES_MAX {
            let Ok(older) = self.open(number) else {
                if was_missing {
                    break;
                }
                was_missing = true;
                continue;
            };
            was_missing = false;
            if older.inode == last {
                continue;
            }
            last = older.inode;
            base = base.saturating_add(older.len);
            if let Some(said) = said_base(&older.file) {
                return base.saturating_add(said);
            }
        }
        base
    }

    /// Its base is not known by then.
    fn open(&self, number: u32) -> io::Result<Part> {
        let path = match number {
            0 => self.path.to_owned(),
            older => {
                let mut name = OsString::from(self.path);
                name.push(format!(".{older}"));
                PathBuf::from(name)
            }
        };
        let (file, about) = self.below.open(&path)?;
        if about.is_dir() {
            return Err(io::Error::other("it is a folder, not a log"));
        }
        Ok(Part { number, base: 0, len: about.len(), inode: about.ino(), file })
    }
}

fn said_base(file: &File) -> Option<u64> {
    let mut text = [0; 20];
    let length = fgetxattr(file, LOG_BASE, &mut text).ok()?;
    std::str::from_utf8(text.get(..length)?).ok()?.parse().ok()
}

/// `wanted` bytes from `start` on, which the first of the parts has; fewer if a part is shorter than
/// it was a moment ago.
fn read_across(parts: &VecDeque<Part>, start: u64, wanted: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    for part in parts {
        let at = start + bytes.len() as u64;
        let length = (wanted - bytes.len() as u64).min(part.end() - at);
        let read = read(&part.file, at - part.base, length)?;
        let is_short = (read.len() as u64) < length;
        bytes.extend(read);
        if is_short || bytes.len() as u64 == wanted {
            break;
        }
    }
    Ok(bytes)
}

fn file_piece(file: &File, size: u64, offset: u64, length: u32) -> io::Result<Answer> {
    let offset = offset.min(size);
    let bytes = read(file, offset, u64::from(length.min(PIECE_MAX)).min(size - offset))?;
    Ok(as_piece(bytes, offset, size, false))
}

/// Fewer, if the file ends before that.
fn read(file: &File, offset: u64, length: u64) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; usize::try_from(length).expect("a piece is small")];
    let mut filled = 0;
    while filled < bytes.len() {
        match file.read_at(&mut bytes[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(more) => filled += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}

/// Text stays text where its last character has been cut: that one is left to the next piece, unless
/// there is nothing else. If it begins only roughly where it was asked to, the same goes for its
/// first, and nobody misses it.
fn as_piece(bytes: Vec<u8>, offset: u64, size: u64, begins_roughly: bool) -> Answer {
    let is_rest = |byte: &&u8| **byte & 0b1100_0000 == 0b1000_0000;
    let skipped = match begins_roughly {
        true => bytes.iter().take(3).take_while(is_rest).count(),
        false => 0,
    };
    let whole = match std::str::from_utf8(&bytes[skipped..]) {
        Ok(text) => Some(text),
        Err(cut) if cut.error_len().is_none() && 0 < cut.valid_up_to() => {
            std::str::from_utf8(&bytes[skipped..skipped + cut.valid_up_to()]).ok()
        }
        Err(_) => None,
    };
    // A zero would be six letters in a message, and no text has any.
    match whole.filter(|it| !it.contains('\0')) {
        Some(text) => {
            let data = Bytes::Text(text.to_owned());
            Answer::Piece { offset: offset + skipped as u64, size, data }
        }
        None => Answer::Piece { offset, size, data: Bytes::Base64(BASE64_STANDARD.encode(bytes)) },
    }
}

#[cfg(test)]
mod tests;
