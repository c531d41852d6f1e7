//! How a process begins: `/bin/bash -c`, in a process group of its own, with nothing inherited but
//! what its order says.

use std::{
    ffi::CString,
    io,
    os::fd::{AsRawFd, BorrowedFd},
};

use nix::{
    spawn::{PosixSpawnAttr, PosixSpawnFileActions, PosixSpawnFlags, posix_spawn},
    sys::{
        resource::{Resource, getrlimit, setrlimit},
        signal::SigSet,
    },
};
use rustix::process::Pid;

use crate::order::Start;

/// Where its words go; nowhere, if nothing is said.
pub(super) struct Mouths<'a> {
    pub(super) stdout: Option<BorrowedFd<'a>>,
    pub(super) stderr: Option<BorrowedFd<'a>>,
}

/// Its standard input is our own, which is nothing, and so are those that are not said.
pub(super) fn spawn(start: &Start, mouths: &Mouths<'_>, open_files: u64) -> io::Result<Pid> {
    let mut files = PosixSpawnFileActions::init()?;
    for (number, mouth) in [(1, mouths.stdout), (2, mouths.stderr)] {
        if let Some(mouth) = mouth {
            files.add_dup2(mouth.as_raw_fd(), number)?;
        }
    }
    let mut attributes = PosixSpawnAttr::init()?;
    attributes.set_flags(
        PosixSpawnFlags::POSIX_SPAWN_SETPGROUP
            | PosixSpawnFlags::POSIX_SPAWN_SETSIGMASK
            | PosixSpawnFlags::POSIX_SPAWN_SETSIGDEF,
    )?;
    attributes.set_pgroup(nix::unistd::Pid::from_raw(0))?;
    attributes.set_sigmask(&SigSet::empty())?;
    attributes.set_sigdefault(&SigSet::all())?;
    let arguments = [c"/bin/bash".to_owned(), c"-c".to_owned(), text(start.cmdline.clone())?];
    let environment: Vec<_> = start
        .environment
        .iter()
        .map(|(name, value)| text(format!("{name}={value}")))
        .collect::<io::Result<_>>()?;
    let main = with_open_files(open_files, || {
        posix_spawn(c"/bin/bash", &files, &attributes, &arguments, &environment)
    })?;
    Ok(Pid::from_raw(main.as_raw()).expect("a process that was started has a number"))
}

/// A limit is inherited, and we may have more open than they may.
fn with_open_files<T>(limit: u64, act: impl FnOnce() -> nix::Result<T>) -> nix::Result<T> {
    let (own, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, limit.min(most), most)?;
    let acted = act();
    setrlimit(Resource::RLIMIT_NOFILE, own, most)?;
    acted
}

fn text(it: String) -> io::Result<CString> {
    CString::new(it).map_err(io::Error::from)
}
