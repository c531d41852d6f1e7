//! Control groups: what the kernel gives to a task at most, what it has used, and who belongs to it.
//!
//! ```text
//! ROOT/airglow/HASH_OF_DATA_FOLDER/TASK_ID
//! ```
//! Below the root of every hierarchy that can do something for us, be it one of version 1, of which
//! there is one for each controller or for some of them together, or the one of version 2. Where both
//! are mounted, a controller is in exactly one of them, so a task may have groups in both.
//!
//! A group is made by the agent, and joined by the task's shepherd, which writes its number into all
//! [`Group::procs_files`] before it becomes anybody else; so nothing of a task was ever outside of it.
//! Groups are not remembered anywhere: [`Cgroups::of`] says where a task's are, whether or not they
//! exist, and all that is done with them may be done again.
//!
//! Everything here blocks, if only for fractions of a millisecond, and [`Group::kill`] for up to a
//! second: it is for workers, not for actors.

use std::{collections::BTreeSet, fs, io, path::Path, sync::Arc, time::Duration};

use airglow_model::ids::TaskId;
use sha2::{Digest, Sha256};

mod group;
mod layout;
#[cfg(test)]
pub(crate) mod tests;
mod v1;
mod v2;

pub(crate) use group::Group;
use group::Part;
use layout::Hierarchy;

/// Where this agent's groups are, and what they can do.
#[derive(Clone, Debug)]
pub(crate) struct Cgroups(Arc<Found>);

#[derive(Debug)]
struct Found {
    hierarchies: Vec<Hierarchy>,
    unenforced: Vec<String>,
}

/// What a task may have. The kernel is told a little more, because its shepherd is in there too.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Limits {
    /// Cores; with 0 nothing was asked for, and nothing is limited.
    pub(crate) cpu: f64,
    /// Bytes, or 0.
    pub(crate) ram: u64,
    /// Processes and threads, its shepherd not counted.
    pub(crate) pids_max: u64,
    /// Its cores are what others leave of theirs.
    pub(crate) is_revocable: bool,
}

impl Limits {
    /// Bytes that it really has.
    pub(crate) fn memory(&self) -> u64 {
        self.ram.max(RAM_MIN)
    }

    fn pids(&self) -> u64 {
        self.pids_max.saturating_add(1)
    }

    /// How many cores it counts for when there is not enough for all: next to nothing if it is
    /// there for what others leave, and `None` if the kernel's usual is right.
    fn weight(&self) -> Option<f64> {
        if self.is_revocable { Some(0.0) } else { Some(self.cpu).filter(|it| 0.0 < *it) }
    }

    /// Of each [`PERIOD_US`], if it is limited. With less than a tenth a task would take seconds to start.
    fn quota_us(&self) -> Option<u64> {
        if self.cpu <= 0.0 {
            return None;
        }
        let quota = (self.cpu * PERIOD_US as f64).round();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped")]
        let quota = quota.clamp(QUOTA_MIN_US, 1e12) as u64;
        Some(quota)
    }
}

/// What the kernel has by itself.
const PERIOD_US: u64 = 100_000;
const QUOTA_MIN_US: f64 = 10_000.0;

/// With less than that not even a shell starts reliably.
const RAM_MIN: u64 = 32 * 1024 * 1024;

const OURS: &str = "airglow";

impl Cgroups {
    /// Looks at what is mounted, and makes the groups that our tasks' groups are in. The data folder
    /// exists.
    ///
    /// # Errors
    /// Why there is nothing that could be used.
    pub(crate) fn find(data: &Path) -> Result<Self, String> {
        let mounts = procfs::process::Process::myself().and_then(|it| it.mountinfo());
        let mounts = mounts.map_err(|error| format!("cannot see what is mounted: {error}"))?;
        let offered = |root: &Path| v2::listed(&root.join("cgroup.controllers"));
        let found = layout::hierarchies(&layout::mounted(&mounts), offered);
        Self::prepare(found, &name_of(data).map_err(|error| error.to_string())?)
    }

    fn prepare(found: Vec<Hierarchy>, name: &str) -> Result<Self, String> {
        if found.is_empty() {
            return Err("no control groups are mounted".to_owned());
        }
        let mut troubles = Vec::new();
        let mut usable = Vec::new();
        for hierarchy in found {
            match hierarchy.prepare(name, &mut troubles) {
                Ok(hierarchy) => usable.push(hierarchy),
                Err(error) => troubles.push(error),
            }
        }
        if usable.is_empty() {
            return Err(troubles.join("; "));
        }
        let unenforced = layout::unenforced(&usable, &troubles);
        Ok(Self(Arc::new(Found { hierarchies: usable, unenforced })))
    }

    /// What tasks are not kept from, and why: `memory is not limited: no memory controller`.
    pub(crate) fn unenforced(&self) -> Vec<String> {
        self.0.unenforced.clone()
    }

    /// # Errors
    /// A group cannot be made, or refuses a limit. Nobody should be put into it then.
    pub(crate) fn make(&self, task: &TaskId, limits: &Limits) -> io::Result<Group> {
        let group = self.of(task);
        if group.parts().is_empty() {
            let why = format!("`{task}` cannot name a control group");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        }
        for (hierarchy, part) in self.0.hierarchies.iter().zip(group.parts()) {
            make_below(hierarchy, &part.folder)?;
            part.limit(limits)?;
        }
        Ok(group)
    }

    /// Of a task that has none, or none any more, it is a group without members.
    pub(crate) fn of(&self, TaskId(id): &TaskId) -> Group {
        let part = |it: &Hierarchy| Part { folder: it.root.join(&**id), ..it.part() };
        let parts =
            if is_name(id) { self.0.hierarchies.iter().map(part).collect() } else { vec![] };
        Group::new(parts)
    }

    /// Ends and removes what earlier lives of this agent left of tasks that nobody knows any more, and
    /// removes what other agents left that have no tasks. If they are only idle, they make it again.
    pub(crate) fn sweep(&self, alive: &BTreeSet<TaskId>) {
        for task in self.tasks().difference(alive) {
            let group = self.of(task);
            group.kill();
            if let Err(error) = group.remove() {
                tracing::warn!(%task, %error, "its control groups cannot be removed");
            }
        }
        self.0.hierarchies.iter().for_each(Hierarchy::sweep_others);
    }

    /// Removes what could not be removed when its task ended, as far as nobody is in it. Who is alive
    /// is asked after it was seen: a task is known before it has groups.
    pub(crate) fn tidy(&self, is_alive: impl Fn(&TaskId) -> bool) {
        for task in self.tasks().iter().filter(|it| !is_alive(it)) {
            if let Err(error) = self.of(task).remove_at_once() {
                tracing::debug!(%task, %error, "its control groups still stay");
            }
        }
    }

    /// Whose groups there are.
    fn tasks(&self) -> BTreeSet<TaskId> {
        let folders = self.0.hierarchies.iter().filter_map(|it| fs::read_dir(&it.root).ok());
        let entries = folders.flatten().filter_map(Result::ok);
        let groups = entries.filter(|it| it.file_type().is_ok_and(|it| it.is_dir()));
        groups
            .filter_map(|it| it.file_name().into_string().ok())
            .map(|it| TaskId(it.into()))
            .collect()
    }
}

/// An agent that goes leaves nothing behind, unless there are tasks in it, which keep it.
impl Drop for Found {
    fn drop(&mut self) {
        for hierarchy in &self.hierarchies {
            fs::remove_dir(&hierarchy.root).ok();
        }
    }
}

/// Agents of one machine have different data folders, and one agent has the same in all its lives.
fn name_of(data: &Path) -> io::Result<String> {
    let data = fs::canonicalize(data)?;
    let hash = Sha256::digest(data.as_os_str().as_encoded_bytes());
    Ok(hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect())
}

/// Nothing that leads elsewhere, and none of the kernel's own, which have dots in them.
fn is_name(id: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let is_kernels = ["cgroup.", "memory.", "pids.", "cpu.", "cpuacct."];
    !id.is_empty()
        && id.len() <= 255
        && !id.starts_with('.')
        && id.chars().all(plain)
        && !is_kernels.iter().any(|it| id.starts_with(it))
}

/// Others may tidy up what we have not put anything into yet, however often.
fn make_below(hierarchy: &Hierarchy, folder: &Path) -> io::Result<()> {
    for _ in 0..ATTEMPTS {
        match make_folder(folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            made => return made,
        }
        if let Err(why) = hierarchy.restore() {
            tracing::debug!(why, "tries again to make its control groups");
        }
    }
    make_folder(folder)
}

/// As many agents as that do not start at the same moment.
const ATTEMPTS: usize = 20;

fn make_folder(path: &Path) -> io::Result<()> {
    match fs::create_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made,
    }
}

/// Gives the kernel a moment.
#[expect(clippy::disallowed_methods, reason = "for workers only, who have nothing else to do")]
fn pause() {
    std::thread::sleep(Duration::from_millis(1));
}
