//! What cannot be said without `unsafe`: becoming somebody else's child.
#![expect(unsafe_code, reason = "fork, and closing what others opened, have no safe form")]

use nix::{
    libc,
    sys::signal::{SigHandler, Signal, signal},
    unistd::{ForkResult, fork},
};

pub(super) enum Side {
    Parent,
    Child,
}

/// Two processes, the child with nothing of what whoever started us had open.
pub(super) fn detach() -> nix::Result<Side> {
    // SAFETY: nothing of ours is open yet, and this is the only thread.
    unsafe { libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, 0) };
    // SAFETY: no handler is installed. Were the signal ignored, children would be gone unseen.
    unsafe { signal(Signal::SIGCHLD, SigHandler::SigDfl) }?;
    // SAFETY: this is the only thread, so the child finds no lock held by one that it has not.
    match unsafe { fork() }? {
        ForkResult::Parent { .. } => Ok(Side::Parent),
        ForkResult::Child => Ok(Side::Child),
    }
}
