//! Processes of the machine, told apart for good.
//!
//! A number is given to another process some time after its owner has ended. Nothing is signalled
//! here by its number alone: a process is its number *and* when it started.

use nix::sys::signal::Signal;
use procfs::process::{Process, Stat};
use rustix::process::{Pid, PidfdFlags, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub(crate) struct Identity {
    pub(crate) pid: i32,
    /// Ticks since the machine was started.
    pub(crate) start_time: u64,
}

impl Identity {
    /// Nobody: what claims a run that is not to be started any more.
    pub(crate) const NOBODY: Self = Self { pid: 0, start_time: 0 };

    pub(crate) fn of(pid: i32) -> Option<Self> {
        stat(pid).map(|it| Self { pid, start_time: it.starttime })
    }

    pub(crate) fn is_alive(&self) -> bool {
        stat(self.pid).is_some_and(|it| it.starttime == self.start_time && !is_over(&it))
    }

    /// Whether it was there to be told.
    pub(crate) fn signal(&self, signal: Signal) -> bool {
        let Some(pid) = Pid::from_raw(self.pid).filter(|_| self.pid > 0) else { return false };
        // The handle is of whoever has the number now, and stays theirs: look who that is.
        let Ok(handle) = pidfd_open(pid, PidfdFlags::empty()) else { return false };
        let Some(raw) = rustix::process::Signal::from_named_raw(signal as i32) else {
            return false;
        };
        self.is_alive() && pidfd_send_signal(handle, raw).is_ok()
    }
}

/// The children of a process, whoever forked them.
pub(crate) fn children(pid: i32) -> Vec<i32> {
    let listed = |it: procfs::process::Task| it.children().ok();
    let tasks = Process::new(pid).and_then(|it| it.tasks());
    let listed: Option<Vec<_>> =
        tasks.into_iter().flatten().map(|it| it.ok().and_then(listed)).collect();
    let number = |it: u32| i32::try_from(it).ok();
    match listed {
        Some(listed) => listed.into_iter().flatten().filter_map(number).collect(),
        // Kernels may be built without those lists.
        None => all().filter(|it| it.ppid == pid).map(|it| it.pid).collect(),
    }
}

/// Ends a process and all its descendants, for which its shepherd is not, or is no longer, there.
pub(crate) fn kill_tree(root: Identity) {
    let mut doomed = vec![root];
    let mut known = 0;
    while let Some(parent) = doomed.get(known) {
        doomed.extend(children(parent.pid).into_iter().filter_map(Identity::of));
        known += 1;
    }
    for process in doomed {
        process.signal(Signal::SIGKILL);
    }
}

/// What a dead shepherd has left: it led a session, so whoever is in that session was in its care.
pub(crate) fn kill_session_of(shepherd: Identity) {
    if Identity::of(shepherd.pid).is_some_and(|it| it != shepherd) {
        // Its number is somebody else's, which it would not be if anybody were left in its session.
        return;
    }
    for orphan in all().filter(|it| it.session == shepherd.pid) {
        kill_tree(Identity { pid: orphan.pid, start_time: orphan.starttime });
    }
}

fn stat(pid: i32) -> Option<Stat> {
    Process::new(pid).ok()?.stat().ok()
}

fn all() -> impl Iterator<Item = Stat> {
    let processes = procfs::process::all_processes().into_iter().flatten();
    processes.filter_map(|it| it.ok()?.stat().ok()).filter(|it| !is_over(it))
}

/// It has ended, and only its parent has not heard of it.
fn is_over(stat: &Stat) -> bool {
    matches!(stat.state, 'Z' | 'X' | 'x')
}
