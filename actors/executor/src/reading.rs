//! Logs and files of a task, for people to look at: never anything outside its sandbox.
//!
//! A sandbox belongs to its task, which may put links in it that lead anywhere. The kernel is told
//! not to leave the sandbox on any way (`RESOLVE_BENEATH`), so there is no moment between looking
//! where a path leads and going there. What is mounted in it is not its task's either, and the
//! sandbox itself may have been replaced by a link.

mod entries;

use std::{fs::File, io, os::unix::fs::FileExt, path::Path};

use airglow_model::wire::{Answer, Bytes};
use base64::{Engine, prelude::BASE64_STANDARD};
use rustix::{
    fs::{Mode, OFlags, ResolveFlags, open, openat2},
    io::Errno,
};

use self::entries::entries;

/// The most that is read at once, whatever was asked for.
const PIECE_MAX: u32 = 1024 * 1024;

/// A piece of a file below `sandbox`. A negative offset counts from the end.
pub(crate) fn piece(sandbox: &Path, path: &Path, offset: i64, length: u32) -> Answer {
    answer(path, open_below(sandbox, path).and_then(|file| read_piece(&file, offset, length)))
}

/// A folder's entries, or a piece of a file.
pub(crate) fn file(sandbox: &Path, path: &Path, offset: u64, length: u32) -> Answer {
    let found = open_below(sandbox, path).and_then(|file| {
        if file.metadata()?.is_dir() {
            Ok(Answer::Folder { entries: entries(&file)? })
        } else {
            read_piece(&file, i64::try_from(offset).unwrap_or(i64::MAX), length)
        }
    });
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

fn open_below(sandbox: &Path, path: &Path) -> io::Result<File> {
    let path = path.strip_prefix("/").unwrap_or(path);
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    let itself = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let folder = open(sandbox, itself, Mode::empty())?;
    // A FIFO would keep us waiting for its writer.
    let how = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let within = ResolveFlags::BENEATH | ResolveFlags::NO_XDEV | ResolveFlags::NO_MAGICLINKS;
    let file = File::from(openat2(folder, path, how, Mode::empty(), within)?);
    let kind = file.metadata()?.file_type();
    if kind.is_file() || kind.is_dir() {
        Ok(file)
    } else {
        Err(io::Error::other("it is neither a file nor a folder"))
    }
}

fn read_piece(file: &File, offset: i64, length: u32) -> io::Result<Answer> {
    let size = file.metadata()?.len();
    let offset = match u64::try_from(offset) {
        Ok(offset) => offset.min(size),
        Err(_) => size.saturating_sub(offset.unsigned_abs()),
    };
    let length = u64::from(length.min(PIECE_MAX)).min(size - offset);
    let mut bytes = vec![0; usize::try_from(length).expect("a piece is small")];
    let mut filled = 0;
    while filled < bytes.len() {
        match file.read_at(&mut bytes[filled..], offset + filled as u64)? {
            0 => break,
            more => filled += more,
        }
    }
    bytes.truncate(filled);
    Ok(Answer::Piece { offset, size, data: as_text(bytes) })
}

fn as_text(bytes: Vec<u8>) -> Bytes {
    match String::from_utf8(bytes) {
        Ok(text) => Bytes::Text(text),
        Err(error) => Bytes::Base64(BASE64_STANDARD.encode(error.as_bytes())),
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use super::{entries::ENTRIES_MAX, *};

    #[test]
    fn a_piece_may_be_counted_from_the_end() {
        let sandbox = tempfile::tempdir().unwrap();
        fs::write(sandbox.path().join("f"), "hello world").unwrap();
        fs::write(sandbox.path().join("b"), [0xff, 0xfe]).unwrap();
        let text = |offset, length| {
            let found = piece(sandbox.path(), Path::new("f"), offset, length);
            let Answer::Piece { offset, size: 11, data: Bytes::Text(text) } = found else {
                panic!("{found:?}")
            };
            (offset, text)
        };
        assert_eq!(text(0, 5), (0, "hello".into()));
        assert_eq!(text(6, 100), (6, "world".into()));
        assert_eq!(text(-5, 100), (6, "world".into()));
        assert_eq!(text(-50, 5), (0, "hello".into()));
        assert_eq!(text(50, 5), (11, String::new()));
        let binary = Answer::Piece { offset: 0, size: 2, data: Bytes::Base64("//4=".into()) };
        assert_eq!(piece(sandbox.path(), Path::new("b"), 0, 5), binary);
    }

    #[test]
    fn nothing_outside_the_sandbox_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let sandbox = folder.path().join("sandbox");
        fs::create_dir_all(sandbox.join("inner")).unwrap();
        fs::write(folder.path().join("secret"), "secret").unwrap();
        fs::write(sandbox.join("inner/f"), "mine").unwrap();
        symlink("/etc/passwd", sandbox.join("absolute")).unwrap();
        symlink("../secret", sandbox.join("relative")).unwrap();
        symlink("..", sandbox.join("inner/up")).unwrap();
        symlink("/", sandbox.join("root")).unwrap();
        let replaced = folder.path().join("replaced");
        symlink(folder.path(), &replaced).unwrap();
        let found = file(&replaced, Path::new("secret"), 0, 100);
        assert!(matches!(found, Answer::NotFound { .. }), "{found:?}");
        let is_there = |path: &str| match file(&sandbox, Path::new(path), 0, 100) {
            Answer::NotFound { .. } => false,
            Answer::Piece { .. } | Answer::Folder { .. } => true,
            Answer::Task(_) | Answer::Metrics { .. } | Answer::Failed { .. } => panic!("{path}"),
        };
        for inside in
            ["", "/", "inner", "inner/f", "/inner/f", "inner/up/inner/f", "inner/../inner/f"]
        {
            assert!(is_there(inside), "{inside}");
        }
        for outside in ["..", "../secret", "absolute", "relative", "root", "root/etc/passwd"] {
            assert!(!is_there(outside), "{outside}");
        }
        assert!(!is_there("/etc/passwd"));
        assert!(!is_there("inner/up/../secret"));
    }

    #[test]
    fn folders_are_listed_before_files() {
        let sandbox = tempfile::tempdir().unwrap();
        fs::create_dir(sandbox.path().join("z")).unwrap();
        fs::write(sandbox.path().join("a"), "12").unwrap();
        let Answer::Folder { entries } = file(sandbox.path(), Path::new(""), 0, 0) else {
            panic!()
        };
        let names: Vec<_> = entries.iter().map(|it| (it.name.as_str(), it.is_folder)).collect();
        assert_eq!(names, [("z", true), ("a", false)]);
        assert_eq!(entries[1].size, 2);
    }
    #[test]
    fn a_folder_with_very_much_in_it_is_cut_short() {
        let sandbox = tempfile::tempdir().unwrap();
        for name in 0..=ENTRIES_MAX {
            File::create(sandbox.path().join(name.to_string())).unwrap();
        }
        let Answer::Folder { entries } = file(sandbox.path(), Path::new(""), 0, 0) else {
            panic!()
        };
        assert_eq!(entries.len(), ENTRIES_MAX);
    }
}
