//! What cannot be said without `unsafe`.
#![expect(
    unsafe_code,
    reason = "fork, signal dispositions and waitid have no safe form that will do"
)]

use std::{io, mem::MaybeUninit};

use airglow_model::process::Exit;
use nix::{
    libc,
    sys::signal::{SigHandler, Signal, signal},
    unistd::{ForkResult, Pid, fork},
};

pub(super) enum Side {
    Parent,
    Child,
}

/// Whatever whoever started us had open, but for the three that everybody has.
pub(super) fn close_inherited() {
    // SAFETY: to be called before anything of ours is open.
    unsafe { libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, 0) };
}

/// To be called by programs of one thread only.
pub(super) fn fork_alone() -> nix::Result<Side> {
    // SAFETY: there is no other thread, so the child finds no lock held by one that it has not.
    match unsafe { fork() }? {
        ForkResult::Parent { .. } => Ok(Side::Parent),
        ForkResult::Child => Ok(Side::Child),
    }
}

/// Children are gone when they end, and nobody hears of it.
pub(super) fn ignore_children() -> nix::Result<()> {
    // SAFETY: no handler is installed, and none replaced.
    unsafe { signal(Signal::SIGCHLD, SigHandler::SigIgn) }.map(drop)
}

pub(super) fn heed_children() -> nix::Result<()> {
    // SAFETY: as above.
    unsafe { signal(Signal::SIGCHLD, SigHandler::SigDfl) }.map(drop)
}

/// A child that has ended, and how. It is left as it is: as long as it is not reaped, its number is
/// nobody else's. Other forms of this call do not know all signals, or do not tell whose end it is.
///
/// # Errors
/// `ECHILD`: there are no children.
pub(super) fn ended_child() -> io::Result<Option<(Pid, Exit)>> {
    let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
    let peek = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
    // SAFETY: the pointer is to a whole siginfo_t, of which all zeroes is a value.
    let (result, info) = unsafe {
        let result = libc::waitid(libc::P_ALL, 0, info.as_mut_ptr(), peek);
        (result, info.assume_init())
    };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: it is of SIGCHLD, or all zeroes.
    let (pid, status) = unsafe { (info.si_pid(), info.si_status()) };
    let exit = if info.si_code == libc::CLD_EXITED { Exit::Code } else { Exit::Signal };
    Ok((pid != 0).then(|| (Pid::from_raw(pid), exit(status))))
}

/// Ends this process, and runs nothing that somebody wanted to be run at its end.
pub(super) fn vanish() -> ! {
    // SAFETY: it does not return.
    unsafe { libc::_exit(0) }
}
