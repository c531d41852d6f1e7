//! Where a process's words go: straight into a file, or through us if there are two, or if one is
//! not to grow without end.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind, Write},
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::fs::OpenOptionsExt,
    },
    path::Path,
};

use nix::fcntl::OFlag;
use rustix::{
    buffer::spare_capacity,
    event::{PollFd, PollFlags},
    fs::{OFlags, fcntl_setfl},
    io::{Errno, ioctl_fionread, read},
    pipe::{PipeFlags, pipe_with},
};

use super::rotation::Rotating;
use crate::order::Output;

/// As much as a pipe holds, as long as nobody asks for more.
const READ_SIZE: usize = 64 * 1024;

/// The end of a stream that a process gets, and our part in it, if we have one.
#[derive(Default)]
pub(super) struct Channel {
    mouth: Option<OwnedFd>,
    pump: Option<Pump>,
}

/// Passes on what comes out of a pipe. Nothing is dropped when the disk is full: the pipe is left
/// alone until there is room again, and then its writer will have to wait.
pub(super) struct Pump {
    pipe: OwnedFd,
    sinks: Vec<Sink>,
    /// What was read and is not yet everywhere.
    held: Vec<u8>,
    /// How much of what is in the pipe was written before its run ended, when it has.
    due: Option<u64>,
    is_dry: bool,
}

struct Sink {
    to: To,
    /// How much of what is held was written.
    done: usize,
    /// It takes nothing, and waiting would not help.
    is_broken: bool,
}

enum To {
    File(File),
    Rotating(Rotating),
}

impl Channel {
    /// # Errors
    /// For a person to read.
    pub(super) fn open(output: &Output) -> Result<Self, String> {
        match (&output.file, output.rotate, &output.console) {
            (None, _, None) => Ok(Self::default()),
            (Some(only), None, None) | (None, _, Some(only)) => Self::direct(only),
            (Some(_), _, _) => Self::pumped(output),
        }
    }

    fn direct(path: &Path) -> Result<Self, String> {
        let file = open(path)?;
        // As a process expects of what it writes to.
        fcntl_setfl(&file, OFlags::APPEND).map_err(|it| it.to_string())?;
        Ok(Self { mouth: Some(file.into()), pump: None })
    }

    fn pumped(output: &Output) -> Result<Self, String> {
        let file = output.file.iter().map(|path| match output.rotate {
            Some(rotate) => in_its_folder(path, || Rotating::open(path, rotate))
                .map(To::Rotating)
                .map_err(|it| unwritable(path, &it)),
            None => open(path).map(To::File),
        });
        let console = output.console.iter().map(|path| open(path).map(To::File));
        let sink = |to: Result<To, String>| to.map(|to| Sink { to, done: 0, is_broken: false });
        let sinks = file.chain(console).map(sink).collect::<Result<_, _>>()?;
        let (pipe, mouth) = pipe_with(PipeFlags::CLOEXEC).map_err(|it| it.to_string())?;
        fcntl_setfl(&pipe, OFlags::NONBLOCK).map_err(|it| it.to_string())?;
        let pump = Pump { pipe, sinks, held: Vec::new(), due: None, is_dry: false };
        Ok(Self { mouth: Some(mouth), pump: Some(pump) })
    }

    pub(super) fn mouth(&self) -> Option<BorrowedFd<'_>> {
        self.mouth.as_ref().map(AsFd::as_fd)
    }

    /// The process has the other end.
    pub(super) fn into_pump(self) -> Option<Pump> {
        self.pump
    }
}

/// Without waiting for anything, should it be something else than a file.
fn open(path: &Path) -> Result<File, String> {
    let flags = OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    let mut options = OpenOptions::new();
    let options = options.append(true).create(true).mode(0o644).custom_flags(flags.bits());
    in_its_folder(path, || options.open(path)).map_err(|it| unwritable(path, &it))
}

/// Makes the folder that a file is in, if that is what is missing. Whose task it is makes it, lest it
/// be made somewhere else.
fn in_its_folder<T>(path: &Path, act: impl Fn() -> io::Result<T>) -> io::Result<T> {
    match (act(), path.parent()) {
        (Err(error), Some(folder)) if error.kind() == ErrorKind::NotFound => {
            fs::create_dir_all(folder)?;
            act()
        }
        (acted, _) => acted,
    }
}

fn unwritable(path: &Path, error: &io::Error) -> String {
    format!("cannot write to {}: {error}", path.display())
}

impl Pump {
    pub(super) fn wait_for<'a>(&'a self, waits: &mut Vec<PollFd<'a>>) {
        if !self.is_stuck() && !self.is_dry {
            waits.push(PollFd::new(&self.pipe, PollFlags::IN));
        }
    }

    /// Somebody has to make room on a disk.
    pub(super) fn is_stuck(&self) -> bool {
        !self.held.is_empty()
    }

    /// Nothing will ever come out of it again.
    pub(super) fn is_over(&self) -> bool {
        self.is_dry && !self.is_stuck()
    }

    /// Passes on some of what is there, so that it is others' turn as well.
    pub(super) fn flow(&mut self) {
        if self.is_dry || !self.pass_on() {
            return;
        }
        self.held.reserve(READ_SIZE);
        match read(&self.pipe, spare_capacity(&mut self.held)) {
            Ok(0) => self.is_dry = true,
            Ok(length) => {
                self.due = self.due.map(|it| it.saturating_sub(length as u64));
                self.pass_on();
            }
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(_) => self.is_dry = true,
        }
        if self.held.is_empty() {
            self.held = Vec::new();
        }
    }

    /// Who wrote to it has ended. What it has written is in the pipe; what comes after that is
    /// somebody else's, and waits for nobody.
    pub(super) fn finish(&mut self) {
        self.due = Some(ioctl_fionread(&self.pipe).unwrap_or(0));
        while !self.is_finished() && !self.is_stuck() {
            self.flow();
        }
    }

    /// All that was to come from its run is where it belongs.
    pub(super) fn is_finished(&self) -> bool {
        !self.is_stuck() && (self.is_dry || self.due == Some(0))
    }

    /// Whether nothing is held any more.
    fn pass_on(&mut self) -> bool {
        let held = &self.held[..];
        let stuck = self.sinks.iter_mut().filter_map(|it| (!it.take(held)).then_some(())).count();
        if stuck > 0 {
            return false;
        }
        self.held.clear();
        self.sinks.iter_mut().for_each(|it| it.done = 0);
        true
    }
}

impl Sink {
    /// Whether it has all of it, or will never have.
    fn take(&mut self, held: &[u8]) -> bool {
        while self.done < held.len() && !self.is_broken {
            match self.to.write(&held[self.done..]) {
                Ok(written) => self.done += written,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if is_for_now(&error) => return false,
                Err(_) => self.is_broken = true,
            }
        }
        true
    }
}

fn is_for_now(error: &io::Error) -> bool {
    let reasons = [ErrorKind::StorageFull, ErrorKind::QuotaExceeded, ErrorKind::WouldBlock];
    reasons.contains(&error.kind())
}

impl To {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::File(file) => file.write(bytes),
            Self::Rotating(log) => log.write(bytes),
        }
    }
}
