//! What the processes of a task write, read from their logs as they grow.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File, OpenOptions},
    io::{self, Read},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use airglow_model::wire::ProcessView;
use anstyle::{AnsiColor, Style};
use nix::fcntl::OFlag;

use super::super::screen;

/// One of the two streams of a run.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Source {
    pub(super) process: String,
    pub(super) run: u32,
    pub(super) is_stderr: bool,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Line {
    pub(super) source: Source,
    pub(super) text: String,
}

/// The logs of a task.
pub(super) struct Output {
    folder: PathBuf,
    open: BTreeMap<Source, Tail>,
    /// There will be nothing more in these.
    done: BTreeSet<Source>,
}

/// A log that grows, and may be set aside for a new one.
#[derive(Default)]
struct Tail {
    file: Option<File>,
    /// A line that has no end yet.
    begun: Vec<u8>,
}

/// How much of a log is read at once, so that a chatty process keeps nobody from looking at others.
const AT_ONCE: u64 = 1 << 20;
/// Beyond this it is not worth being called one line.
const LINE_MAX: usize = 64 << 10;

impl Output {
    pub(super) fn of(sandbox: &Path) -> Self {
        Self { folder: sandbox.join(".logs"), open: BTreeMap::new(), done: BTreeSet::new() }
    }

    /// What was written since the last time.
    pub(super) fn read(&mut self, processes: &[ProcessView]) -> Vec<Line> {
        let mut lines = Vec::new();
        for process in processes {
            for run in process.runs.iter().filter(|it| it.started_at.is_some()) {
                for is_stderr in [false, true] {
                    let process = process.name.clone();
                    let source = Source { process, run: run.run, is_stderr };
                    self.read_one(source, run.state.is_terminal(), &mut lines);
                }
            }
        }
        lines
    }

    fn read_one(&mut self, source: Source, is_over: bool, lines: &mut Vec<Line>) {
        if self.done.contains(&source) {
            return;
        }
        let name = if source.is_stderr { "stderr" } else { "stdout" };
        let path = self.folder.join(&source.process).join(source.run.to_string()).join(name);
        let tail = self.open.entry(source.clone()).or_default();
        // A log that cannot be read is shown by nobody, and harms nobody.
        let fresh = tail.read(&path).unwrap_or_default();
        let is_done = is_over && fresh.is_empty();
        let texts = tail.lines(&fresh, is_done);
        lines.extend(texts.into_iter().map(|text| Line { source: source.clone(), text }));
        if is_done {
            self.open.remove(&source);
            self.done.insert(source);
        }
    }
}

impl Tail {
    /// Some of what is new.
    fn read(&mut self, path: &Path) -> io::Result<Vec<u8>> {
        let mut fresh = Vec::new();
        if self.file.is_none() {
            self.file = Some(open(path)?);
        }
        let Some(file) = &mut self.file else { return Ok(fresh) };
        // Looked at before it is read: what is written to it until it is set aside is still read.
        let is_aside = match fs::metadata(path) {
            Ok(it) => it.ino() != file.metadata()?.ino(),
            Err(_) => false,
        };
        file.take(AT_ONCE).read_to_end(&mut fresh)?;
        if is_aside && fresh.is_empty() {
            self.file = Some(open(path)?);
            return self.read(path);
        }
        Ok(fresh)
    }

    /// The lines that are complete with this; and the one that is not, at the end.
    fn lines(&mut self, fresh: &[u8], is_end: bool) -> Vec<String> {
        let mut lines = Vec::new();
        for piece in fresh.split_inclusive(|&it| it == b'\n') {
            self.begun.extend_from_slice(piece);
            if piece.ends_with(b"\n") || LINE_MAX < self.begun.len() {
                lines.push(self.take());
            }
        }
        if is_end && !self.begun.is_empty() {
            lines.push(self.take());
        }
        lines
    }

    fn take(&mut self) -> String {
        let line = std::mem::take(&mut self.begun);
        String::from_utf8_lossy(line.strip_suffix(b"\n").unwrap_or(&line)).into_owned()
    }
}

/// The folder belongs to the task: what is there instead of a log is neither followed nor waited for.
fn open(path: &Path) -> io::Result<File> {
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
    let file = OpenOptions::new().read(true).custom_flags(flags.bits()).open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::ErrorKind::Unsupported.into()) }
}

impl Line {
    /// For a terminal, which nothing in it shall move about in.
    pub(super) fn painted(&self, several: bool) -> String {
        let text = screen::plain(&self.text);
        let style =
            if self.source.is_stderr { AnsiColor::Yellow.on_default() } else { Style::new() };
        let name = if several { format!("{} │ ", self.source.process) } else { String::new() };
        format!("{}{}", screen::faint(&name), screen::paint(&text, style))
    }

    /// For files and other programs.
    pub(super) fn labelled(&self, several: bool) -> String {
        if several { format!("{} | {}", self.source.process, self.text) } else { self.text.clone() }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use airglow_model::{
        machine::Timestamp,
        wire::{ProcessState, RunView},
    };

    use super::*;

    fn process(state: ProcessState) -> [ProcessView; 1] {
        let run = RunView {
            run: 0,
            state,
            pid: None,
            started_at: Some(Timestamp(1)),
            ended_at: None,
            exit_code: None,
            message: None,
        };
        [ProcessView {
            name: "p".into(),
            state,
            is_final: false,
            daemon: false,
            ephemeral: false,
            failures: 0,
            runs: vec![run],
            usage: None,
        }]
    }

    #[test]
    fn a_log_is_followed_over_its_rotation_to_its_end() {
        let sandbox = tempfile::tempdir().unwrap();
        let folder = sandbox.path().join(".logs/p/0");
        let mut output = Output::of(sandbox.path());
        let mut read = |state| {
            let lines = output.read(&process(state));
            lines.into_iter().map(|it| it.labelled(true)).collect::<Vec<_>>()
        };
        use ProcessState::{Running, Success};
        assert_eq!(read(Running), [""; 0]);
        fs::create_dir_all(&folder).unwrap();
        let mut log = File::create(folder.join("stdout")).unwrap();
        log.write_all(b"one\ntw").unwrap();
        assert_eq!(read(Running), ["p | one"]);
        log.write_all(b"o\nthr").unwrap();
        fs::rename(folder.join("stdout"), folder.join("stdout.1")).unwrap();
        fs::write(folder.join("stdout"), "ee\nfour").unwrap();
        fs::write(folder.join("stderr"), "oops").unwrap();
        assert_eq!(read(Running), ["p | two"]);
        assert_eq!(read(Success), ["p | three", "p | oops"]);
        assert_eq!(read(Success), ["p | four"]);
        assert_eq!(read(Success), [""; 0]);
    }

    #[test]
    fn what_is_no_log_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink("/etc/passwd", &link).unwrap();
        assert!(open(&link).is_err());
        assert!(open(folder.path()).is_err());
        assert!(open(Path::new("/dev/null")).is_err());
    }
}
