use std::{
    fs,
    io::Write,
    os::unix::fs::{OpenOptionsExt, symlink},
};

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
    for inside in ["", "/", "inner", "inner/f", "/inner/f", "inner/up/inner/f", "inner/../inner/f"]
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
    let Answer::Folder { entries } = file(sandbox.path(), Path::new(""), 0, 0) else { panic!() };
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
    let Answer::Folder { entries } = file(sandbox.path(), Path::new(""), 0, 0) else { panic!() };
    assert_eq!(entries.len(), ENTRIES_MAX);
}

/// A log as a shepherd writes it, in files of `size` bytes.
struct Written {
    sandbox: tempfile::TempDir,
    size: u64,
    backups: u32,
    /// Of all there ever was.
    length: u64,
    file: File,
    says_base: bool,
}

impl Written {
    fn new(size: u64, backups: u32) -> Self {
        let sandbox = tempfile::tempdir().unwrap();
        let file = File::create(sandbox.path().join("log")).unwrap();
        Self { sandbox, size, backups, length: 0, file, says_base: true }
    }

    fn path(&self, number: u32) -> PathBuf {
        let name = if number == 0 { "log".into() } else { format!("log.{number}") };
        self.sandbox.path().join(name)
    }

    fn write(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let filled = self.file.metadata().unwrap().len();
            if filled == self.size {
                self.rotate();
                continue;
            }
            let room = usize::try_from(self.size - filled).unwrap();
            let (now, later) = bytes.split_at(bytes.len().min(room));
            self.file.write_all(now).unwrap();
            self.length += now.len() as u64;
            bytes = later;
        }
    }

    /// Less carefully than a shepherd: a new file does not say its base from the beginning.
    fn rotate(&mut self) {
        for number in (0..self.backups).rev() {
            fs::rename(self.path(number), self.path(number + 1)).ok();
        }
        self.file = File::create(self.path(0)).unwrap();
        if self.says_base {
            let base = self.length.to_string();
            let flags = rustix::fs::XattrFlags::empty();
            rustix::fs::fsetxattr(&self.file, LOG_BASE, base.as_bytes(), flags).unwrap();
        }
    }

    fn read(&self, offset: i64, length: u32) -> (u64, u64, String) {
        read_text(self.sandbox.path(), offset, length)
    }
}

fn read_text(sandbox: &Path, offset: i64, length: u32) -> (u64, u64, String) {
    let found = piece(sandbox, Path::new("log"), offset, length);
    let Answer::Piece { offset, size, data: Bytes::Text(text) } = found else {
        panic!("{found:?}")
    };
    (offset, size, text)
}

fn piece_of(offset: u64, size: u64, text: &str) -> (u64, u64, String) {
    (offset, size, text.to_owned())
}

#[test]
fn a_rotated_log_is_one_log() {
    let mut log = Written::new(4, 3);
    log.write(b"0123456789abcdef");
    assert_eq!(log.read(0, 100), piece_of(0, 16, "0123456789abcdef"));
    assert_eq!(log.read(3, 6), piece_of(3, 16, "345678"));
    assert_eq!(log.read(-5, 100), piece_of(11, 16, "bcdef"));
    assert_eq!(log.read(12, 100), piece_of(12, 16, "cdef"));
    assert_eq!(log.read(16, 100), piece_of(16, 16, ""));
    assert_eq!(log.read(17, 100), piece_of(16, 16, ""));
    log.write(b"ghijkl");
    for gone in [0, 7, -100] {
        assert_eq!(log.read(gone, 6), piece_of(8, 22, "89abcd"), "{gone}");
    }
    assert_eq!(log.read(9, 100), piece_of(9, 22, "9abcdefghijkl"));
}

#[test]
fn a_log_is_read_while_its_files_move_on() {
    let mut log = Written::new(4, 3);
    log.write(b"0123456789");
    fs::rename(log.path(2), log.path(3)).unwrap();
    assert_eq!(log.read(0, 100), piece_of(0, 10, "0123456789"));
    fs::rename(log.path(1), log.path(2)).unwrap();
    assert_eq!(log.read(0, 100), piece_of(0, 10, "0123456789"));
    fs::rename(log.path(0), log.path(1)).unwrap();
    assert_eq!(log.read(0, 100), piece_of(0, 10, "0123456789"));
    File::create(log.path(0)).unwrap();
    assert_eq!(log.read(0, 100), piece_of(0, 10, "0123456789"));
    assert_eq!(log.read(-1, 100), piece_of(9, 10, "9"));
}

#[test]
fn what_is_missing_from_a_log_ends_it() {
    let mut log = Written::new(4, 3);
    log.write(b"0123456789abcdef");
    fs::remove_file(log.path(2)).unwrap();
    assert_eq!(log.read(0, 100), piece_of(8, 16, "89abcdef"));
    fs::remove_file(log.path(1)).unwrap();
    fs::create_dir(log.path(1)).unwrap();
    assert_eq!(log.read(0, 100), piece_of(12, 16, "cdef"));
    fs::remove_file(log.path(0)).unwrap();
    let found = piece(log.sandbox.path(), Path::new("log"), 0, 1);
    assert!(matches!(found, Answer::Failed { .. }), "{found:?}");
    fs::remove_dir(log.path(1)).unwrap();
    let found = piece(log.sandbox.path(), Path::new("log"), 0, 1);
    assert_eq!(found, Answer::NotFound { what: "log".into() });
}

#[test]
fn where_files_cannot_say_what_came_before_them_it_is_what_is_there() {
    let mut log = Written::new(4, 2);
    log.says_base = false;
    log.write(b"0123456789");
    assert_eq!(log.read(3, 100), piece_of(3, 10, "3456789"));
    let lie = |text: &[u8]| {
        let flags = rustix::fs::XattrFlags::empty();
        rustix::fs::fsetxattr(&log.file, LOG_BASE, text, flags).unwrap();
    };
    lie(b"a lot");
    assert_eq!(log.read(0, 100), piece_of(0, 10, "0123456789"));
    lie(b"18446744073709551615");
    assert_eq!(log.read(0, 100), piece_of(0, 2, "89"));
    lie(b"000000000000000000000000000000000000000000001");
    assert_eq!(log.read(0, 100), piece_of(0, 10, "0123456789"));
}

#[test]
fn no_byte_is_missing_or_doubled_for_who_reads_while_others_rotate() {
    const NUMBERS: u32 = 20_000;
    let mut log = Written::new(500, 300);
    let sandbox = log.sandbox.path().to_owned();
    let expected: String = (0..NUMBERS).map(|it| format!("{it}\n")).collect();
    let total = expected.len();
    let writer = std::thread::spawn(move || {
        for number in 0..NUMBERS {
            log.write(format!("{number}\n").as_bytes());
        }
        log
    });
    let mut seen = String::new();
    let mut biggest = 0;
    while seen.len() < total {
        let at = i64::try_from(seen.len()).unwrap();
        let (offset, size, text) = read_text(&sandbox, at, 1200);
        assert_eq!(offset, seen.len() as u64);
        assert!(biggest <= size, "{size} after {biggest}");
        biggest = size;
        seen.push_str(&text);
        let (offset, size, text) = read_text(&sandbox, -700, 100);
        let offset = usize::try_from(offset).unwrap();
        assert_eq!(text, expected[offset..offset + text.len()], "{offset} of {size}");
        // And one that is many files back.
        let (offset, _, text) = read_text(&sandbox, at / 2, 100);
        let offset = usize::try_from(offset).unwrap();
        assert_eq!(text, expected[offset..offset + text.len()]);
    }
    let differs = seen.bytes().zip(expected.bytes()).position(|(a, b)| a != b);
    assert_eq!((differs, seen.len()), (None, total));
    drop(writer.join().unwrap());
}

#[test]
fn text_stays_text_where_a_character_is_cut() {
    let mut log = Written::new(4, 2);
    // Of 2, 3, 1, 4 and 2 bytes; the files end within the second and the fourth.
    log.write("é€x😀é".as_bytes());
    assert_eq!(log.read(0, 100), piece_of(0, 12, "é€x😀é"));
    assert_eq!(log.read(0, 4), piece_of(0, 12, "é"));
    assert_eq!(log.read(2, 8), piece_of(2, 12, "€x😀"));
    assert_eq!(log.read(-3, 100), piece_of(10, 12, "é"));
    assert_eq!(log.read(-8, 7), piece_of(5, 12, "x😀"));
    // Whoever names a byte gets it, and a character is not left to a next piece for ever.
    let exactly = |offset, length, base64: &str| {
        let found = piece(log.sandbox.path(), Path::new("log"), offset, length);
        let data = Bytes::Base64(base64.into());
        let offset = u64::try_from(offset).unwrap();
        assert_eq!(found, Answer::Piece { offset, size: 12, data });
    };
    exactly(1, 1, "qQ==");
    exactly(2, 2, "4oI=");
    let whole = |offset, length| {
        let found = file(log.sandbox.path(), Path::new("log.1"), offset, length);
        let Answer::Piece { offset, size: 4, data } = found else { panic!("{found:?}") };
        (offset, data)
    };
    assert_eq!(whole(0, 5), (0, Bytes::Base64("rHjwnw==".into())));
    assert_eq!(whole(1, 5), (1, Bytes::Text("x".into())));
    assert_eq!(whole(2, 5), (2, Bytes::Base64("8J8=".into())));
}

#[test]
fn a_console_is_a_file_like_any_other() {
    let sandbox = tempfile::tempdir().unwrap();
    fs::create_dir(sandbox.path().join(".console")).unwrap();
    fs::write(sandbox.path().join(".console/stdout"), "hello").unwrap();
    let expected = Answer::Piece { offset: 1, size: 5, data: Bytes::Text("ell".into()) };
    assert_eq!(file(sandbox.path(), Path::new(".console/stdout"), 1, 3), expected);
}

#[test]
fn a_file_may_be_huge_and_empty_inside_or_shrink_while_it_is_read() {
    let sandbox = tempfile::tempdir().unwrap();
    let log = File::create(sandbox.path().join("log")).unwrap();
    log.set_len(1 << 42).unwrap();
    log.write_at(b"end", (1 << 42) - 3).unwrap();
    assert_eq!(read_text(sandbox.path(), -3, 100), piece_of((1 << 42) - 3, 1 << 42, "end"));
    assert_eq!(read_text(sandbox.path(), i64::MAX, 2), piece_of(1 << 42, 1 << 42, ""));
    for (asked, offset) in [(1 << 41, 1 << 41), (i64::MIN, 0)] {
        let zeros = Answer::Piece { offset, size: 1 << 42, data: Bytes::Base64("AAA=".into()) };
        assert_eq!(piece(sandbox.path(), Path::new("log"), asked, 2), zeros);
    }
    let below = Below::new(sandbox.path()).unwrap();
    let newest = Log { below: &below, path: Path::new("log") }.newest().unwrap();
    log.set_len(5).unwrap();
    let parts = VecDeque::from([newest]);
    assert_eq!(read_across(&parts, 3, 100).unwrap(), b"\0\0");
    assert_eq!(read_across(&parts, 10, 100).unwrap(), b"");
}

#[test]
fn nobody_who_waits_at_a_fifo_notices_that_it_was_looked_at() {
    let sandbox = tempfile::tempdir().unwrap();
    let fifo = sandbox.path().join("log");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let mut reader = fs::OpenOptions::new();
    reader.read(true).custom_flags(nix::libc::O_NONBLOCK);
    let mut reader = reader.open(&fifo).unwrap();
    let mut writer = fs::OpenOptions::new().write(true).open(&fifo).unwrap();
    drop(std::mem::replace(&mut reader, File::open("/dev/null").unwrap()));
    for found in [
        file(sandbox.path(), Path::new("log"), 0, 100),
        piece(sandbox.path(), Path::new("log"), 0, 100),
    ] {
        let why = "log: it is neither a file nor a folder".to_owned();
        assert_eq!(found, Answer::Failed { why });
    }
    let error = writer.write(b"x").unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
}
