//! How a fork of the zygote becomes what its summons say: whose it is, what it can see, where it is.

use std::{
    fs::{self, File},
    io,
    os::fd::AsRawFd,
    path::Path,
};

use nix::{
    sched::{CloneFlags, unshare},
    sys::{
        prctl,
        resource::{Resource, getrlimit, setrlimit},
        signal::SigSet,
        stat::{Mode, umask},
    },
    unistd::{Gid, Uid, dup2_stderr, dup2_stdin, dup2_stdout, setgid, setgroups, setsid, setuid},
};
use rustix::{
    fs::{OFlags, openat},
    mount::{MountFlags, MountPropagationFlags, mount, mount_change},
    process::{Pid, PidfdFlags, pidfd_open},
    thread::{CapabilitySet, CapabilitySets, set_capabilities, set_keep_capabilities},
};

use super::raw;
use crate::{
    order::{Credentials, Summons},
    pids::Identity,
};

/// By which numbers processes are known to those outside.
pub(super) enum Numbers {
    Ours,
    /// The folder of what we have open, as they see it: it says of a handle whose it is.
    Theirs(File),
}

/// Nothing of the zygote's is left, and no signal ends it.
pub(super) fn leave_home() -> io::Result<()> {
    raw::heed_children()?;
    setsid()?;
    prctl::set_name(c"airglow-herd")?;
    SigSet::all().thread_block()?;
    umask(Mode::from_bits_truncate(0o022));
    let nothing = File::options().read(true).write(true).open("/dev/null")?;
    dup2_stdin(&nothing)?;
    dup2_stdout(&nothing)?;
    dup2_stderr(&nothing)?;
    Ok(())
}

/// Who we are to those outside. To be asked as long as `/proc` is theirs.
pub(super) fn identity() -> Option<Identity> {
    let number = fs::read_link("/proc/self").ok()?;
    Identity::of(number.to_str()?.parse().ok()?)
}

/// # Errors
/// What is in the way of running anything as the summons want it, for a person to read.
pub(super) fn follow(summons: &Summons) -> Result<(), String> {
    for group in &summons.groups {
        fs::write(group, "0").map_err(said("its processes cannot be put under limits", group))?;
    }
    give_up_protection();
    raise_own_limit();
    let sandbox = &summons.sandbox;
    rustix::process::chdir(sandbox)
        .map_err(|error| said("its sandbox cannot be entered", sandbox)(error.into()))?;
    if let Some(user) = &summons.user {
        become_user(user)
            .map_err(|error| format!("its processes cannot be user {}'s: {error}", user.uid))?;
    }
    // Nothing of ours is its processes' business, even if they are the same user's.
    prctl::set_dumpable(false).map_err(|error| format!("it cannot be kept apart: {error}"))
}

fn said(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> String {
    move |error| format!("{what}: {}: {error}", path.display())
}

/// Its own view of what is mounted, of which nobody outside hears, with its own processes in
/// `/proc`.
pub(super) fn separate_mounts() -> io::Result<()> {
    unshare(CloneFlags::CLONE_NEWNS)?;
    mount_change("/", MountPropagationFlags::REC | MountPropagationFlags::DOWNSTREAM)?;
    let plain = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    mount(c"proc", c"/proc", c"proc", plain, None)?;
    Ok(())
}

/// The kernel may have been told to spare the agent when memory runs out, which whoever it starts
/// inherits; a user's process has no claim to that. If it cannot be changed, it was not protected.
fn give_up_protection() {
    const SCORE: &str = "/proc/self/oom_score_adj";
    let score = fs::read_to_string(SCORE).ok().and_then(|it| it.trim().parse::<i32>().ok());
    if score.is_some_and(i32::is_negative) {
        fs::write(SCORE, "0").ok();
    }
}

/// What processes may have open is theirs alone to exhaust.
fn raise_own_limit() {
    if let Ok((_, most)) = getrlimit(Resource::RLIMIT_NOFILE) {
        setrlimit(Resource::RLIMIT_NOFILE, most, most).ok();
    }
}

/// For good, but for one thing: a process may become another user's by what it runs (`sudo`), and
/// has to be ended all the same.
fn become_user(user: &Credentials) -> io::Result<()> {
    let groups: Vec<_> = user.groups.iter().copied().map(Gid::from_raw).collect();
    set_keep_capabilities(true)?;
    setgroups(&groups)?;
    setgid(Gid::from_raw(user.gid))?;
    setuid(Uid::from_raw(user.uid))?;
    set_keep_capabilities(false)?;
    if user.uid != 0 {
        let kill = CapabilitySet::KILL;
        let none = CapabilitySet::empty();
        let mine = CapabilitySets { effective: kill, permitted: kill, inheritable: none };
        set_capabilities(None, mine)?;
    }
    Ok(())
}

impl Numbers {
    /// # Errors
    /// Only the outer `/proc` can tell, and cannot be kept.
    pub(super) fn of_outside() -> io::Result<Self> {
        File::open("/proc/self/fdinfo").map(Self::Theirs)
    }

    /// A child of ours that was not reaped.
    pub(super) fn identity(&self, child: Pid) -> io::Result<Identity> {
        let known = Identity::of(child.as_raw_nonzero().get());
        let known =
            known.ok_or_else(|| io::Error::other("a process that was started is not in /proc"))?;
        match self {
            Self::Ours => Ok(known),
            Self::Theirs(folder) => Ok(known.known_outside_as(number_outside(folder, child)?)),
        }
    }
}

fn number_outside(folder: &File, child: Pid) -> io::Result<i32> {
    let handle = pidfd_open(child, PidfdFlags::empty())?;
    let name = handle.as_raw_fd().to_string();
    let facts = openat(folder, name, OFlags::RDONLY | OFlags::CLOEXEC, rustix::fs::Mode::empty())?;
    let facts = io::read_to_string(File::from(facts))?;
    let number = facts.lines().find_map(|it| it.strip_prefix("Pid:")?.trim().parse().ok());
    number.ok_or_else(|| io::Error::other("the kernel does not tell the number of a process"))
}
