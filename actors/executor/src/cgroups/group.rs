//! The groups of one task.

use std::{
    fs,
    io::{self, Write},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::Duration,
};

use airglow_kit::now;
use rustix::{
    fd::OwnedFd,
    process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal},
};

use super::{
    Limits,
    layout::{Controller, Version},
    pause, v1, v2,
};

/// Wherever its controllers are.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    parts: Vec<Part>,
}

/// Its group in one hierarchy.
#[derive(Clone, Debug)]
pub(super) struct Part {
    pub(super) version: Version,
    pub(super) folder: PathBuf,
    pub(super) controllers: Vec<Controller>,
}

/// What can be known, and is there to be read.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct GroupUsage {
    /// Seconds of a core, of all who were ever in it.
    pub(crate) cpu_seconds: Option<f64>,
    /// Bytes that no file could give back: what processes have allocated, and what they share.
    pub(crate) ram: Option<u64>,
    /// The most that it ever had, file caches included.
    pub(crate) ram_peak: Option<u64>,
    /// Processes and threads, its shepherd included.
    pub(crate) pids: Option<u64>,
    /// How many of its processes the kernel has ended for want of memory.
    pub(crate) oom_kills: u64,
}

/// A number for a file of the kernel's.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Setting {
    pub(super) file: &'static str,
    pub(super) value: String,
    /// Not every kernel has it.
    pub(super) is_optional: bool,
}

/// One that the kernel does not let go is not waited for.
const DEATH_PATIENCE: Duration = Duration::from_secs(1);

/// A process that was seen to end may be counted for another moment.
const EMPTY_PATIENCE: Duration = Duration::from_millis(100);

impl Group {
    pub(super) fn new(parts: Vec<Part>) -> Self {
        Self { parts }
    }

    pub(super) fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// Where a process writes its number in order to be in it.
    pub(crate) fn procs_files(&self) -> Vec<PathBuf> {
        self.parts.iter().map(|it| it.folder.join(PROCS)).collect()
    }

    /// Where the kernel counts those of its processes that it ended for want of memory: the number
    /// after `oom_kill `.
    pub(crate) fn memory_events(&self) -> Option<PathBuf> {
        let part = self.parts.iter().find(|it| it.has(Controller::Memory))?;
        let file = match part.version {
            Version::One => v1::MEMORY_EVENTS,
            Version::Two => v2::MEMORY_EVENTS,
        };
        Some(part.folder.join(file))
    }

    pub(crate) fn usage(&self) -> GroupUsage {
        let mut usage = GroupUsage::default();
        for part in &self.parts {
            match part.version {
                Version::One => v1::read(part, &mut usage),
                Version::Two => v2::read(part, &mut usage),
            }
        }
        usage
    }

    /// Ends everything in it, its shepherd included; returns when nothing is left, or after a second.
    /// Nothing can be started in it any more, until it is made again.
    pub(crate) fn kill(&self) {
        let give_up_at = now() + DEATH_PATIENCE;
        while self.parts.iter().any(Part::kill) {
            if give_up_at <= now() {
                return tracing::warn!(group = ?self.procs_files(), "does not end");
            }
            pause();
        }
    }

    /// # Errors
    /// Somebody is in it, or it is not ours to remove.
    pub(crate) fn remove(&self) -> io::Result<()> {
        self.remove_within(EMPTY_PATIENCE)
    }

    /// The same without waiting for anybody.
    ///
    /// # Errors
    /// As above.
    pub(super) fn remove_at_once(&self) -> io::Result<()> {
        self.remove_within(Duration::ZERO)
    }

    fn remove_within(&self, patience: Duration) -> io::Result<()> {
        let give_up_at = now() + patience;
        for part in &self.parts {
            loop {
                match remove(&part.folder) {
                    Err(error) if is_busy(&error) && now() < give_up_at => pause(),
                    Err(error) => return Err(error),
                    Ok(()) => break,
                }
            }
        }
        Ok(())
    }
}

const PROCS: &str = "cgroup.procs";

impl Part {
    pub(super) fn has(&self, controller: Controller) -> bool {
        self.controllers.contains(&controller)
    }

    pub(super) fn limit(&self, limits: &Limits) -> io::Result<()> {
        let settings = match self.version {
            Version::One => v1::settings(&self.controllers, limits),
            Version::Two => v2::settings(&self.controllers, limits),
        };
        settings.iter().try_for_each(|it| it.write(&self.folder))
    }

    /// Whether there was anybody to be ended.
    fn kill(&self) -> bool {
        // Whoever forks faster than we look is stopped by this; where there is no such file, or it
        // cannot be written, by our patience.
        write(&self.folder.join("pids.max"), "0").ok();
        if self.version == Version::Two && write(&self.folder.join("cgroup.kill"), "1").is_ok() {
            return !v2::is_empty(&self.folder);
        }
        let mut found = false;
        for folder in descendants(&self.folder) {
            found |= kill_members(&folder);
        }
        found
    }
}

/// Whether there are any. A handle is of whoever has the number when it is opened, and of nobody
/// after; so who is still a member by then is whom we hold, or is not held by anybody.
fn kill_members(folder: &Path) -> bool {
    let hold = |pid: i32| -> Option<(i32, OwnedFd)> {
        Some((pid, pidfd_open(Pid::from_raw(pid)?, PidfdFlags::empty()).ok()?))
    };
    let held: Vec<_> = members(folder).into_iter().filter_map(hold).collect();
    let members = members(folder);
    for (_, handle) in held.iter().filter(|(pid, _)| members.contains(pid)) {
        // Gone is as good.
        pidfd_send_signal(handle, Signal::KILL).ok();
    }
    !members.is_empty()
}

/// The numbers that the kernel shows of them: 0 is somebody of a namespace that we do not see.
fn members(folder: &Path) -> Vec<i32> {
    let text = fs::read_to_string(folder.join(PROCS)).unwrap_or_default();
    text.lines().filter_map(|it| it.parse().ok()).collect()
}

/// Innermost first. A task that is root's may have made groups of its own in ours.
fn descendants(folder: &Path) -> Vec<PathBuf> {
    let mut found = vec![folder.to_owned()];
    let mut seen = 0;
    while let Some(parent) = found.get(seen) {
        seen += 1;
        if has_no_folders(parent) {
            continue;
        }
        let entries = fs::read_dir(parent).into_iter().flatten().filter_map(Result::ok);
        let folders = entries.filter(|it| it.file_type().is_ok_and(|it| it.is_dir()));
        let folders: Vec<_> = folders.map(|it| it.path()).collect();
        found.extend(folders);
    }
    found.reverse();
    found
}

/// Each has a link back; looking through the kernel's files would take ten times as long.
fn has_no_folders(folder: &Path) -> bool {
    folder.metadata().is_ok_and(|it| it.nlink() == 2)
}

fn remove(folder: &Path) -> io::Result<()> {
    match fs::remove_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) if is_busy(&error) => {
            descendants(folder).iter().try_for_each(|it| match fs::remove_dir(it) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
                removed => removed,
            })
        }
        removed => removed,
    }
}

fn is_busy(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::ResourceBusy
}

impl Setting {
    pub(super) fn new(file: &'static str, value: impl ToString) -> Self {
        Self { file, value: value.to_string(), is_optional: false }
    }

    pub(super) fn optional(file: &'static str, value: impl ToString) -> Self {
        Self { is_optional: true, ..Self::new(file, value) }
    }

    pub(super) fn write(&self, folder: &Path) -> io::Result<()> {
        match write(&folder.join(self.file), &self.value) {
            Err(error) if self.is_optional && error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(io::Error::new(error.kind(), format!("{}: {error}", self.file))),
            Ok(()) => Ok(()),
        }
    }
}

/// The kernel's files are there or not; they are never made.
pub(super) fn write(file: &Path, value: &str) -> io::Result<()> {
    fs::OpenOptions::new().write(true).open(file)?.write_all(value.as_bytes())
}

pub(super) fn number(file: &Path) -> Option<u64> {
    fs::read_to_string(file).ok()?.trim().parse().ok()
}

/// The numbers after these words, each at the beginning of a line; nothing counts as nothing.
pub(super) fn numbers<const N: usize>(file: &Path, words: [&str; N]) -> Option<[u64; N]> {
    let text = fs::read_to_string(file).ok()?;
    let lines = || text.lines().filter_map(|it| it.split_once(' '));
    let number = |word| lines().find(|it| it.0 == word).and_then(|it| it.1.parse().ok());
    Some(words.map(|word| number(word).unwrap_or(0)))
}
