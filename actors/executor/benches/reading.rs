//! How soon a person sees the end, or the middle, of a log that has grown to a gigabyte.

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot go on says where")]

use std::{
    fs::File,
    io::{BufWriter, Write},
    path::Path,
    sync::LazyLock,
};

use airglow_model::wire::Answer;
use tempfile::TempDir;

#[path = "../src"]
mod executor {
    #[expect(dead_code, unused_imports, reason = "folders are not logs, nor are tests")]
    pub(crate) mod reading;
}

const LOG_SIZE: u64 = 1 << 30;
/// What a page asks for at once, and the most that anybody gets.
const LENGTHS: [u32; 2] = [64 * 1024, 1024 * 1024];
/// As many backups as a log with ten-megabyte files has that is kept for a gigabyte.
const BACKUPS: u64 = 100;

fn main() {
    divan::main();
}

static LOGS: LazyLock<TempDir> = LazyLock::new(|| {
    let sandbox = tempfile::tempdir().unwrap();
    let mut lines = (0_u64..).map(|it| format!("{it:012} – a line as some service may write it\n"));
    let mut write = |name: &str, base: u64, size: u64| {
        let file = File::create(sandbox.path().join(name)).unwrap();
        rustix::fs::fsetxattr(
            &file,
            "user.airglow.base",
            base.to_string().as_bytes(),
            rustix::fs::XattrFlags::empty(),
        )
        .unwrap();
        let mut file = BufWriter::with_capacity(1 << 20, file);
        let mut written = 0;
        while written < size {
            let line = lines.next().unwrap();
            file.write_all(line.as_bytes()).unwrap();
            written += line.len() as u64;
        }
        base + written
    };
    write("whole", 0, LOG_SIZE);
    let mut base = 0;
    for number in (0..=BACKUPS).rev() {
        let name = if number == 0 { "rotated".into() } else { format!("rotated.{number}") };
        base = write(&name, base, LOG_SIZE / BACKUPS);
    }
    sandbox
});

fn read(name: &str, offset: i64, length: u32) -> Answer {
    let answer = executor::reading::piece(LOGS.path(), Path::new(name), offset, length);
    assert!(matches!(answer, Answer::Piece { .. }), "{answer:?}");
    answer
}

#[divan::bench(args = LENGTHS)]
fn tail_of_1_gb(bencher: divan::Bencher<'_, '_>, length: u32) {
    LazyLock::force(&LOGS);
    bencher.bench(|| read("whole", -i64::from(length), length));
}

#[divan::bench(args = LENGTHS)]
fn middle_of_1_gb(bencher: divan::Bencher<'_, '_>, length: u32) {
    LazyLock::force(&LOGS);
    bencher.bench(|| read("whole", 1 << 29, length));
}

#[divan::bench(args = LENGTHS)]
fn tail_of_1_gb_in_100_files(bencher: divan::Bencher<'_, '_>, length: u32) {
    LazyLock::force(&LOGS);
    bencher.bench(|| read("rotated", -i64::from(length), length));
}

/// The farthest there is to go.
#[divan::bench(args = LENGTHS)]
fn beginning_of_1_gb_in_100_files(bencher: divan::Bencher<'_, '_>, length: u32) {
    LazyLock::force(&LOGS);
    bencher.bench(|| read("rotated", 0, length));
}

/// The same with what remains to be done: it is sent as JSON.
#[divan::bench(args = LENGTHS)]
fn tail_of_1_gb_as_a_message(bencher: divan::Bencher<'_, '_>, length: u32) {
    LazyLock::force(&LOGS);
    bencher.bench(|| serde_json::to_vec(&read("whole", -i64::from(length), length)).unwrap());
}
