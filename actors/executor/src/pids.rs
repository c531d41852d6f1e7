//! Processes of the machine, told apart for good.
//!
//! A number is given to another process some time after its owner has ended. Nothing is signalled
//! here by its number alone: a process is its number *and* when it started, and both mean something
//! only as long as the machine is up.

use std::{sync::LazyLock, time::Duration};

use airglow_kit::now;
use nix::sys::signal::Signal;
use procfs::process::{Process, Stat};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::{Pid, PidfdFlags, pidfd_open, pidfd_send_signal},
};
use serde::{Deserialize, Serialize};

/// Who it is, as long as the numbers of the machine mean what they meant.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub(crate) struct Identity {
    pub(crate) pid: i32,
    /// Ticks since the machine was started.
    pub(crate) start_time: u64,
    /// Among which processes that is its number: see [`world`].
    world: u64,
}

impl Identity {
    pub(crate) fn of(pid: i32) -> Option<Self> {
        stat(pid).map(|it| Self::from(&it))
    }

    /// The same process, by the number that it has outside of our namespace.
    pub(crate) fn known_outside_as(self, pid: i32) -> Self {
        Self { pid, ..self }
    }

    pub(crate) fn is_alive(&self) -> bool {
        self.is_of_this_world()
            && stat(self.pid).is_some_and(|it| it.starttime == self.start_time && !is_over(&it))
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

    fn await_end(&self, patience: Duration) {
        let Some(pid) = Pid::from_raw(self.pid) else { return };
        let Ok(handle) = pidfd_open(pid, PidfdFlags::empty()) else { return };
        // As above: whose handle it is has to be looked up after it was opened.
        if let (true, Ok(patience)) = (self.is_alive(), Timespec::try_from(patience)) {
            let mut end = [PollFd::new(&handle, PollFlags::IN)];
            poll(&mut end, Some(&patience)).ok();
        }
    }

    /// Numbers of another boot, or of a container that is gone, are strangers' numbers here.
    fn is_of_this_world(&self) -> bool {
        self.pid > 0 && self.world == world()
    }

    /// Its children, none of whom is anybody else's.
    fn children(&self) -> Vec<Self> {
        let is_mine = |it: &Stat| it.ppid == self.pid;
        let found = children(self.pid).into_iter().filter_map(stat).filter(is_mine);
        let found = found.map(|it| Self::from(&it)).collect();
        // If it still has its number, it has had it all the time that we were looking.
        if self.is_alive() { found } else { Vec::new() }
    }
}

impl From<&Stat> for Identity {
    fn from(stat: &Stat) -> Self {
        Self { pid: stat.pid, start_time: stat.starttime, world: world() }
    }
}

/// Differs between any two lives of the machine, and between those of a container on it: the
/// kernel's random number of this boot, and when the first of all processes that we see started.
/// Where neither can be read all lives look the same, as they would without it.
fn world() -> u64 {
    static WORLD: LazyLock<u64> = LazyLock::new(|| {
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let digits: String = boot.chars().filter(char::is_ascii_hexdigit).take(16).collect();
        let first = stat(1).map_or(0, |it| it.starttime);
        u64::from_str_radix(&digits, 16).unwrap_or(0) ^ first
    });
    *WORLD
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
        doomed.extend(parent.children());
        known += 1;
    }
    for process in &doomed {
        process.signal(Signal::SIGKILL);
    }
    let give_up_at = now() + DEATH_PATIENCE;
    for process in &doomed {
        process.await_end(give_up_at.since(now()));
    }
}

/// A process that is killed holds its ports for another moment. One that the kernel does not let go
/// is not waited for.
const DEATH_PATIENCE: Duration = Duration::from_secs(1);

/// What a dead shepherd has left: it led a session, so whoever is in that session was in its care.
pub(crate) fn kill_session_of(shepherd: Identity) {
    let successor = Identity::of(shepherd.pid).filter(|it| *it != shepherd);
    if !shepherd.is_of_this_world() || successor.is_some() {
        // Its number is somebody else's, which it would not be if anybody were left in its session.
        return;
    }
    for orphan in all().filter(|it| it.session == shepherd.pid) {
        kill_tree(Identity::from(&orphan));
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

#[cfg(test)]
mod tests {
    use std::{
        os::unix::process::CommandExt,
        process::{Child, Command},
    };

    use super::*;

    /// It leads a group of its own, and is gone when this is.
    struct Stranger(Child);

    impl Stranger {
        fn new() -> Self {
            let script = "sleep 1000 & echo; wait";
            let mut shell = Command::new("/bin/bash");
            let shell = shell.args(["-c", script]).process_group(0);
            let mut child = shell.stdout(std::process::Stdio::piped()).spawn().unwrap();
            let mut byte = [0];
            std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut byte).unwrap();
            Self(child)
        }

        fn identity(&self) -> Identity {
            Identity::of(self.0.id().cast_signed()).unwrap()
        }
    }

    impl Drop for Stranger {
        fn drop(&mut self) {
            kill_tree(self.identity());
            self.0.wait().unwrap();
        }
    }

    #[test]
    fn a_process_of_another_life_of_the_machine_is_nobody_here() {
        let stranger = Stranger::new();
        let now = stranger.identity();
        let then = Identity { world: now.world ^ 1, ..now };
        assert!(now.is_alive() && !then.is_alive());
        assert!(!then.signal(Signal::SIGKILL));
        kill_tree(then);
        let session = Identity { pid: stat(now.pid).unwrap().session, ..then };
        kill_session_of(session);
        assert!(now.is_alive());
    }

    #[test]
    fn children_of_who_has_the_number_now_are_left_alone() {
        let stranger = Stranger::new();
        let now = stranger.identity();
        let before = Identity { start_time: now.start_time - 1, ..now };
        let [child] = now.children()[..] else { panic!("it has one child") };
        assert_eq!(before.children(), []);
        kill_tree(before);
        assert!(now.is_alive() && child.is_alive());
        kill_tree(now);
        assert!(!now.is_alive() && !child.is_alive());
    }

    #[test]
    fn whoever_has_no_number_has_no_session() {
        for pid in [0, -1] {
            let nobody = Identity { pid, start_time: 0, world: world() };
            assert!(!nobody.is_of_this_world());
            // Would end the kernel's own, and this.
            kill_session_of(nobody);
        }
    }
}
