//! How much of the disk a sandbox takes: what is allocated for its files, as `du` counts it.
//!
//! A sandbox belongs to its task, which changes it while we look, may have put a million files into
//! it, and may wish us ill. So a walk can be interrupted at any file and taken up again later; it
//! holds folders by handles, follows no link, and stays on the file system where it began. What
//! cannot be seen is not counted: files that were removed and are still open, what was mounted in the
//! task's own namespace, and folders that are nested more deeply than anybody needs.

use std::{collections::BTreeSet, ffi::CStr, io, path::Path, time::Duration};

use rustix::{
    fd::{AsFd, OwnedFd},
    fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, Statx, StatxFlags, openat, statx},
};
use tokio::time::Instant;

/// Resumable.
pub(super) struct Walk {
    /// From the sandbox to where we are. Each is open.
    folders: Vec<Dir>,
    place: Place,
    used: u64,
    /// With more than this there is no need to know how much more.
    enough: u64,
    entries: u64,
    /// Those that have other names too.
    linked: BTreeSet<u64>,
    took: Duration,
}

/// Where something is that is counted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Place {
    device: (u32, u32),
    /// Absent where the kernel does not tell.
    mount: Option<u64>,
}

/// How a walk ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Walked {
    /// Bytes.
    pub(super) used: u64,
    /// Processor time, about.
    pub(super) took: Duration,
}

const DEPTH_MAX: usize = 256;
const ENTRIES_MAX: u64 = 10_000_000;
/// More files than that with several names are counted by as much as is each name's share.
const LINKED_MAX: usize = 100_000;
/// How many entries are looked at between two looks at the clock.
const STEPS: u64 = 64;

const WANTED: StatxFlags = StatxFlags::TYPE
    .union(StatxFlags::NLINK)
    .union(StatxFlags::INO)
    .union(StatxFlags::BLOCKS)
    .union(StatxFlags::MNT_ID);

impl Walk {
    /// # Errors
    /// There is no such folder.
    pub(super) fn begin(sandbox: &Path, enough: u64) -> io::Result<Self> {
        let root = openat(CWD, sandbox, FOLDER, Mode::empty())?;
        let stat = statx(&root, "", AtFlags::EMPTY_PATH, WANTED)?;
        Ok(Self {
            folders: vec![Dir::new(root)?],
            place: Place::of(&stat),
            used: allocated(&stat),
            enough,
            entries: 0,
            linked: BTreeSet::new(),
            took: Duration::ZERO,
        })
    }

    /// Goes on for so long, roughly. `None` if there is more to see.
    pub(super) fn go_on(&mut self, patience: Duration) -> Option<Walked> {
        let began = Instant::now();
        let is_done = loop {
            if !self.step() {
                break true;
            }
            if self.entries.is_multiple_of(STEPS) && patience <= began.elapsed() {
                break false;
            }
        };
        self.took += began.elapsed();
        is_done.then_some(Walked { used: self.used, took: self.took })
    }

    /// Whether there was anything left to look at.
    fn step(&mut self) -> bool {
        if self.enough < self.used || ENTRIES_MAX < self.entries {
            return false;
        }
        let Some(folder) = self.folders.last_mut() else { return false };
        self.entries += 1;
        let Some(Ok(entry)) = folder.read() else {
            self.folders.pop();
            return true;
        };
        let name = entry.file_name();
        if name != c"." && name != c".." {
            // It may be gone by now.
            self.look_at(name).ok();
        }
        true
    }

    fn look_at(&mut self, name: &CStr) -> io::Result<()> {
        let depth = self.folders.len();
        let Some(parent) = self.folders.last() else { return Ok(()) };
        let parent = parent.fd()?;
        let itself = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT;
        let stat = statx(parent, name, itself, WANTED)?;
        if Place::of(&stat) != self.place {
            return Ok(());
        }
        if FileType::from_raw_mode(stat.stx_mode.into()) != FileType::Directory {
            let share = self.share(&stat);
            self.used += share;
            return Ok(());
        }
        self.used += allocated(&stat);
        if depth < DEPTH_MAX {
            let folder: OwnedFd = openat(parent.as_fd(), name, FOLDER, Mode::empty())?;
            self.folders.push(Dir::new(folder)?);
        }
        Ok(())
    }

    /// What a name of a file adds: the first one all of it.
    fn share(&mut self, stat: &Statx) -> u64 {
        if stat.stx_nlink < 2 {
            return allocated(stat);
        }
        if LINKED_MAX <= self.linked.len() && !self.linked.contains(&stat.stx_ino) {
            return allocated(stat) / u64::from(stat.stx_nlink);
        }
        if self.linked.insert(stat.stx_ino) { allocated(stat) } else { 0 }
    }
}

const FOLDER: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

impl Place {
    fn of(stat: &Statx) -> Self {
        let is_told = StatxFlags::from_bits_retain(stat.stx_mask).contains(StatxFlags::MNT_ID);
        Self {
            device: (stat.stx_dev_major, stat.stx_dev_minor),
            mount: is_told.then_some(stat.stx_mnt_id),
        }
    }
}

/// Whatever the file system's own unit is, this is counted in sectors.
fn allocated(stat: &Statx) -> u64 {
    stat.stx_blocks * 512
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        os::unix::fs::{MetadataExt, symlink},
        path::PathBuf,
    };

    use super::*;

    fn used(sandbox: &Path) -> u64 {
        Walk::begin(sandbox, u64::MAX).unwrap().go_on(Duration::MAX).unwrap().used
    }

    fn blocks(path: &Path) -> u64 {
        fs::symlink_metadata(path).unwrap().blocks() * 512
    }

    fn sandbox() -> (tempfile::TempDir, PathBuf) {
        let data = tempfile::tempdir().unwrap();
        let sandbox = data.path().join("sandbox");
        fs::create_dir(&sandbox).unwrap();
        (data, sandbox)
    }

    #[test]
    fn what_is_in_a_sandbox_is_counted_once_and_what_it_leads_to_is_not() {
        let (data, sandbox) = sandbox();
        let empty = used(&sandbox);
        assert_eq!(empty, blocks(&sandbox));
        let file = sandbox.join("file");
        fs::write(&file, vec![1; 100_000]).unwrap();
        let one = used(&sandbox);
        assert!(100_000 <= one - empty && one - empty < 120_000, "{empty} {one}");

        fs::create_dir(sandbox.join("below")).unwrap();
        let below = blocks(&sandbox.join("below"));
        fs::hard_link(&file, sandbox.join("below/again")).unwrap();
        fs::hard_link(&file, sandbox.join("again")).unwrap();
        assert_eq!(used(&sandbox), one + below);

        let outside = data.path().join("outside");
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("large"), vec![1; 1_000_000]).unwrap();
        symlink(&outside, sandbox.join("folder")).unwrap();
        symlink(outside.join("large"), sandbox.join("large")).unwrap();
        symlink("/dev/zero", sandbox.join("zero")).unwrap();
        symlink(".", sandbox.join("loop")).unwrap();
        assert_eq!(used(&sandbox), one + below);
        // As is a file that is all holes.
        fs::File::create(sandbox.join("holes")).unwrap().set_len(1 << 40).unwrap();
        assert_eq!(used(&sandbox), one + below);
    }

    #[test]
    fn a_walk_can_be_interrupted_and_taken_up_while_the_sandbox_changes() {
        let (_data, sandbox) = sandbox();
        for folder in 0..50 {
            let folder = sandbox.join(folder.to_string());
            fs::create_dir(&folder).unwrap();
            (0..20).for_each(|it| fs::write(folder.join(it.to_string()), "x").unwrap());
        }
        let at_once = used(&sandbox);
        let mut walk = Walk::begin(&sandbox, u64::MAX).unwrap();
        let mut strides = 1;
        let walked = loop {
            match walk.go_on(Duration::ZERO) {
                Some(walked) => break walked,
                None => strides += 1,
            }
        };
        assert!(10 < strides, "{strides}");
        assert_eq!(walked.used, at_once);

        let mut walk = Walk::begin(&sandbox, u64::MAX).unwrap();
        assert_eq!(walk.go_on(Duration::ZERO), None);
        fs::remove_dir_all(&sandbox).unwrap();
        assert!(walk.go_on(Duration::MAX).unwrap().used <= at_once);
        assert!(Walk::begin(&sandbox, u64::MAX).is_err());
    }

    #[test]
    fn it_is_not_walked_further_than_needed() {
        let (_data, sandbox) = sandbox();
        let enough = blocks(&sandbox);
        (0..100).for_each(|it| fs::write(sandbox.join(it.to_string()), "x").unwrap());
        let mut walk = Walk::begin(&sandbox, enough).unwrap();
        let walked = walk.go_on(Duration::MAX).unwrap();
        assert!(enough < walked.used && walk.entries < 20, "{}", walk.entries);
    }

    #[test]
    fn folders_nested_for_ever_end_somewhere() {
        let (_data, sandbox) = sandbox();
        let mut folder = openat(CWD, &sandbox, FOLDER, Mode::empty()).unwrap();
        for _ in 0..2 * DEPTH_MAX {
            rustix::fs::mkdirat(&folder, "d", Mode::RWXU).unwrap();
            folder = openat(&folder, "d", FOLDER, Mode::empty()).unwrap();
        }
        assert!(used(&sandbox) < u64::MAX);
    }
}
