//! Which hierarchies there are, and which of them does what for us.

use std::{
    fs,
    path::{Path, PathBuf},
};

use procfs::{
    Current, Meminfo,
    process::{MountInfo, MountInfos},
};

use super::{OURS, group::Part, make_folder, v1, v2};

/// What the kernel can do with a group, as far as it concerns us.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Controller {
    Memory,
    Pids,
    Cpu,
    /// Counts processor time. Version 2 does that for every group.
    Cpuacct,
}

pub(super) const CONTROLLERS: [Controller; 4] =
    [Controller::Memory, Controller::Pids, Controller::Cpu, Controller::Cpuacct];

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Version {
    One,
    Two,
}

/// A tree of groups, and what it is to do for us.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Hierarchy {
    pub(super) version: Version,
    /// First where it is mounted; once it is prepared, what the tasks' groups are in.
    pub(super) root: PathBuf,
    pub(super) controllers: Vec<Controller>,
}

/// One that is mounted, with those of the controllers in it that its mount tells of.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Mounted {
    version: Version,
    root: PathBuf,
    controllers: Vec<Controller>,
    is_writable: bool,
}

impl Controller {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Pids => "pids",
            Self::Cpu => "cpu",
            Self::Cpuacct => "cpuacct",
        }
    }

    /// What is not limited without it.
    fn limits(self) -> Option<&'static str> {
        match self {
            Self::Memory => Some("memory"),
            Self::Pids => Some("the number of processes"),
            Self::Cpu => Some("processor time"),
            Self::Cpuacct => None,
        }
    }
}

impl Hierarchy {
    /// Makes the groups above those of tasks, and has version 2 let its controllers down into them.
    pub(super) fn prepare(self, name: &str, troubles: &mut Vec<String>) -> Result<Self, String> {
        let Self { version, root, controllers } = self;
        let folders = [root.join(OURS), root.join(OURS).join(name)];
        if version == Version::Two {
            v2::pass_on(&root, &controllers, troubles);
        }
        for folder in &folders {
            make_folder(folder).map_err(|it| format!("cannot make {}: {it}", folder.display()))?;
            if version == Version::Two {
                v2::pass_on(folder, &controllers, troubles);
            }
        }
        let [_, root] = folders;
        let controllers = match version {
            Version::One => controllers,
            Version::Two => v2::passed_on(&root, &controllers),
        };
        let prepared = Self { version, root, controllers };
        prepared.favour();
        Ok(prepared)
    }

    /// One that was prepared, and is gone.
    pub(super) fn restore(&self) -> Result<(), String> {
        let name = self.root.file_name().and_then(|it| it.to_str()).unwrap_or_default();
        let Some(mount) = self.root.ancestors().nth(2) else { return Ok(()) };
        let as_found = Self { root: mount.to_owned(), ..self.clone() };
        as_found.prepare(name, &mut Vec::new()).map(drop)
    }

    /// The kernel removes only those in which there is nothing.
    pub(super) fn sweep_others(&self) {
        let siblings = self.root.parent().and_then(|it| fs::read_dir(it).ok());
        for sibling in siblings.into_iter().flatten().filter_map(Result::ok) {
            if sibling.path() != self.root {
                // Files cannot be removed this way either.
                fs::remove_dir(sibling.path()).ok();
            }
        }
    }

    /// All tasks together would else get as much as one process that is in no group.
    fn favour(&self) {
        if !self.controllers.contains(&Controller::Cpu) {
            return;
        }
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let setting = match self.version {
            Version::One => v1::share(cores as f64),
            Version::Two => v2::weight(cores as f64),
        };
        for folder in [Some(self.root.as_path()), self.root.parent()].into_iter().flatten() {
            if let Err(error) = setting.write(folder) {
                tracing::debug!(?folder, %error, "tasks get no larger share");
            }
        }
    }

    pub(super) fn part(&self) -> Part {
        Part {
            version: self.version,
            folder: self.root.clone(),
            controllers: self.controllers.clone(),
        }
    }

    fn has(&self, controller: Controller) -> bool {
        self.controllers.contains(&controller)
    }
}

pub(super) fn mounted(mounts: &MountInfos) -> Vec<Mounted> {
    mounts.iter().filter_map(Mounted::of).collect()
}

impl Mounted {
    fn of(mount: &MountInfo) -> Option<Self> {
        let version = match mount.fs_type.as_str() {
            "cgroup" => Version::One,
            "cgroup2" => Version::Two,
            _ => return None,
        };
        let is_told = |it: &Controller| mount.super_options.contains_key(it.name());
        Some(Self {
            version,
            root: mount.mount_point.clone(),
            controllers: CONTROLLERS.into_iter().filter(is_told).collect(),
            is_writable: mount.mount_options.contains_key("rw"),
        })
    }
}

/// Each controller is in one hierarchy, but that may be mounted more than once. Version 2 is told
/// by nothing but its files what it has to offer, and not used where it has nothing to add.
pub(super) fn hierarchies(
    mounted: &[Mounted],
    offered: impl Fn(&Path) -> Vec<Controller>,
) -> Vec<Hierarchy> {
    let mut found: Vec<Hierarchy> = Vec::new();
    let mut mounted: Vec<_> = mounted.iter().collect();
    mounted.sort_by_key(|it| !it.is_writable);
    let (ones, twos): (Vec<&Mounted>, Vec<_>) =
        mounted.into_iter().partition(|it| it.version == Version::One);
    for Mounted { root, controllers, .. } in ones {
        let controllers = missing(&found, controllers);
        if !controllers.is_empty() {
            found.push(Hierarchy { version: Version::One, root: root.clone(), controllers });
        }
    }
    let Some(two) = twos.first() else { return found };
    let mut controllers = missing(&found, &offered(&two.root));
    let is_alone = found.is_empty();
    if is_alone || !controllers.is_empty() {
        controllers.extend(missing(&found, &[Controller::Cpuacct]));
        let root = two.root.clone();
        found.push(Hierarchy { version: Version::Two, root, controllers });
    }
    found
}

fn missing(found: &[Hierarchy], controllers: &[Controller]) -> Vec<Controller> {
    let is_missing = |it: &Controller| !found.iter().any(|found| found.has(*it));
    controllers.iter().copied().filter(is_missing).collect()
}

/// In words, for people.
pub(super) fn unenforced(usable: &[Hierarchy], troubles: &[String]) -> Vec<String> {
    let why = |it: Controller| match troubles {
        [] => format!("no {} controller", it.name()),
        troubles => troubles.join("; "),
    };
    let unlimited = missing(usable, &CONTROLLERS).into_iter();
    let unlimited = unlimited
        .filter_map(|it| it.limits().map(|what| format!("{what} is not limited: {}", why(it))));
    unlimited.chain(open_swap(usable)).collect()
}

/// A task that may not have more memory can still have swap, unless that is counted.
fn open_swap(usable: &[Hierarchy]) -> Option<String> {
    let hierarchy = usable.iter().find(|it| it.has(Controller::Memory))?;
    let file = match hierarchy.version {
        Version::One => v1::SWAP,
        Version::Two => v2::SWAP,
    };
    let is_swapping = Meminfo::current().is_ok_and(|it| it.swap_total > 0);
    let is_open = is_swapping && !hierarchy.root.join(file).exists();
    is_open.then(|| "swap is not limited: the kernel does not count it".to_owned())
}
