//! Backups in a folder, each one file: a copy of the database with what else a cluster needs to be
//! the same one again. Whoever can read one can pretend to be the cluster, so nobody else may.
//!
//! A backup gets its name when every page and record of it has been read back, so whatever has such
//! a name was good when it was made. The oldest are removed after that and at no other time: a folder
//! in which nothing new arrives keeps what it has.

use std::{
    collections::BTreeSet,
    fs::{self, DirBuilder, File},
    io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use airglow_model::backup::{Manifest, Name, Plan};

use crate::{
    CheckError, CopyError, OpenError, Store, StoreError,
    store::{read, write},
};

/// What of the cluster goes with a backup besides its database, and under which names.
const MANIFEST: &str = "manifest";
const AUTHORITY: &str = "authority";

#[derive(Clone, Debug)]
pub struct Shelf {
    pub folder: PathBuf,
    /// The file that is copied, by whose size it is known how much room a copy may take.
    pub database: PathBuf,
}

/// One that is there.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Backup {
    pub name: Name,
    pub path: PathBuf,
    pub bytes: u64,
}

/// A backup that was opened to be looked at.
#[derive(Debug)]
pub struct Opened {
    /// Whatever is written to it is forgotten.
    pub store: Store,
    pub manifest: Manifest,
    /// Key and certificate.
    pub authority: String,
}

/// Why there is no new backup. Those that were there are there still.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    #[error("cannot {step} {}", path.display())]
    File {
        step: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error(
        "there may be too little room in {}: {free} bytes are free, and {needed} are asked for so \
         that nobody else runs out of them; make room, or choose another folder", folder.display()
    )]
    Room { folder: PathBuf, free: u64, needed: u64 },
    #[error(transparent)]
    Copy(#[from] CopyError),
    #[error("the copy that was made cannot be read back")]
    Check(#[from] CheckError),
}

/// Why a file is of no use as a backup.
#[derive(Debug, thiserror::Error)]
pub enum NotABackup {
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error("{} has something in it that cannot be understood", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: StoreError,
    },
    #[error(
        "{} is a database without a cluster's authority, and so no backup: those are made by \
         `airglow admin snapshot`", path.display()
    )]
    Bare { path: PathBuf },
}

impl Shelf {
    /// What is there, oldest first, of whatever cluster.
    pub fn list(&self) -> Result<Vec<Backup>, BackupError> {
        backups_in(&self.folder)
    }

    /// A new one, that has been read back.
    pub fn make(
        &self,
        store: &Store,
        manifest: &Manifest,
        authority: &str,
    ) -> Result<Backup, BackupError> {
        let folder = &self.folder;
        let unmade = |source| BackupError::File { step: "make", path: folder.clone(), source };
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(unmade)?;
        self.look_for_room()?;
        // Whoever is killed leaves this, and the next one writes over it.
        let unchecked = folder.join(format!("{}.unchecked", manifest.cluster));
        let about = write(manifest);
        let attached = [(MANIFEST, &*about), (AUTHORITY, authority.as_bytes())];
        let seq = store.copy_with(&unchecked, &attached)?;
        let name = Name::new(&manifest.cluster, manifest.at, seq);
        let path = folder.join(name.to_string());
        let named = Store::check(&unchecked).map_err(BackupError::from).and_then(|_| {
            let unnamed = |source| BackupError::File { step: "name", path: path.clone(), source };
            fs::rename(&unchecked, &path).map_err(unnamed)?;
            File::open(folder).and_then(|it| it.sync_all()).map_err(unnamed)
        });
        if named.is_err() {
            fs::remove_file(&unchecked).ok();
        }
        named?;
        let bytes = path.metadata().map_or(0, |it| it.len());
        Ok(Backup { name, path, bytes })
    }

    /// Removes what need not be kept now that there is `newest`. How many those were.
    pub fn prune(&self, plan: &Plan, newest: &Name) -> Result<usize, BackupError> {
        let all: BTreeSet<Name> = self.list()?.into_iter().map(|it| it.name).collect();
        let surplus = plan.surplus(&all, newest);
        for name in &surplus {
            let path = self.folder.join(name.to_string());
            fs::remove_file(&path).map_err(|source| BackupError::File {
                step: "remove",
                path,
                source,
            })?;
        }
        Ok(surplus.len())
    }

    /// A disk that is full stops the scheduler if the database is on it, and a backup is not worth
    /// that. So there has to be as much room as two of them would take.
    fn look_for_room(&self) -> Result<(), BackupError> {
        let needed = 2 * self.database.metadata().map_or(0, |it| it.len());
        // A file system that does not tell is tried.
        let Ok(disk) = rustix::fs::statvfs(&self.folder) else { return Ok(()) };
        let free = disk.f_bavail.saturating_mul(disk.f_frsize);
        if free < needed {
            return Err(BackupError::Room { folder: self.folder.clone(), free, needed });
        }
        Ok(())
    }
}

/// What there is in a folder, oldest first, of whatever cluster. Nothing, if there is no folder yet.
pub fn backups_in(folder: &Path) -> Result<Vec<Backup>, BackupError> {
    let unread = |source| BackupError::File { step: "read", path: folder.to_owned(), source };
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(vec![]),
        Err(error) => return Err(unread(error)),
    };
    let mut backups = Vec::new();
    for entry in entries {
        let path = entry.map_err(unread)?.path();
        let name = path.file_name().and_then(|it| it.to_str()).and_then(|it| it.parse().ok());
        // One that is removed just now is no longer there.
        if let (Some(name), Ok(about)) = (name, path.metadata()) {
            backups.push(Backup { name, path, bytes: about.len() });
        }
    }
    backups.sort_by_key(|it: &Backup| (it.name.at, it.name.seq));
    Ok(backups)
}

/// Looks at every page and record of a backup.
pub fn open_backup(path: &Path) -> Result<Opened, NotABackup> {
    let store = Store::look(path)?;
    let unread = |source| NotABackup::Read { path: path.to_owned(), source };
    store.summary().map_err(unread)?;
    let mut attached = store.attached().map_err(unread)?;
    let bare = || NotABackup::Bare { path: path.to_owned() };
    let manifest = attached.remove(MANIFEST).ok_or_else(bare)?;
    let manifest = read(MANIFEST, &manifest).map_err(unread)?;
    let authority = attached.remove(AUTHORITY).ok_or_else(bare)?;
    let authority = String::from_utf8(authority).map_err(|_| bare())?;
    Ok(Opened { store, manifest, authority })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use airglow_model::machine::Timestamp;

    use super::*;
    use crate::FILE;

    struct Office {
        folder: tempfile::TempDir,
        store: Store,
        shelf: Shelf,
    }

    impl Office {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let database = folder.path().join(FILE);
            let store = Store::open(&database).unwrap();
            let shelf = Shelf { folder: folder.path().join("a/backups"), database };
            Self { folder, store, shelf }
        }

        fn make(&self, secs: u64) -> Result<Backup, BackupError> {
            let at = Timestamp(secs * 1000);
            let manifest = Manifest { cluster: "west".into(), at, version: "1".into() };
            self.shelf.make(&self.store, &manifest, "the key")
        }

        fn names(&self) -> Vec<String> {
            let entries = fs::read_dir(&self.shelf.folder).unwrap();
            let mut names: Vec<_> =
                entries.map(|it| it.unwrap().file_name().into_string().unwrap()).collect();
            names.sort();
            names
        }
    }

    #[test]
    fn a_backup_is_all_that_a_cluster_is_and_nobody_elses() {
        let office = Office::new();
        assert_eq!(office.shelf.list().unwrap(), []);
        let made = office.make(1_796_084_100).unwrap();
        assert_eq!(office.names(), ["west-20261201T001500Z-0.airglow"]);
        assert_eq!(office.shelf.list().unwrap(), std::slice::from_ref(&made));
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&made.path), mode(&office.shelf.folder)), (0o600, 0o700));
        let Opened { store, manifest, authority } = open_backup(&made.path).unwrap();
        assert_eq!((store.seq().unwrap(), &*manifest.cluster, &*authority), (0, "west", "the key"));
    }

    #[test]
    fn the_oldest_go_when_there_is_a_new_one() {
        let office = Office::new();
        for hour in 0..5 {
            office.make(1_796_083_200 + hour * 3600).unwrap();
        }
        let other = office.shelf.folder.join("notes.txt");
        fs::write(&other, "mine").unwrap();
        let plan = Plan { keep: 2, ..Plan::default() };
        let newest = office.make(1_796_083_200 + 5 * 3600).unwrap();
        assert_eq!(office.shelf.prune(&plan, &newest.name).unwrap(), 4);
        let left =
            ["notes.txt", "west-20261201T040000Z-0.airglow", "west-20261201T050000Z-0.airglow"];
        assert_eq!(office.names(), left);
    }

    #[test]
    fn no_room_means_no_backup_and_nothing_left_over() {
        let mut office = Office::new();
        let huge = office.folder.path().join("huge");
        File::create(&huge).unwrap().set_len(1 << 43).unwrap();
        office.shelf.database = huge;
        assert!(matches!(office.make(0), Err(BackupError::Room { .. })));
        assert_eq!(office.names(), [""; 0]);
    }

    #[test]
    fn what_is_no_backup_is_told_apart() {
        let office = Office::new();
        let bare = office.folder.path().join("bare");
        office.store.copy_to(&bare).unwrap();
        assert!(matches!(open_backup(&bare), Err(NotABackup::Bare { .. })));
        let text = office.folder.path().join("text");
        fs::write(&text, "no such thing").unwrap();
        let error = open_backup(&text).unwrap_err();
        assert!(matches!(error, NotABackup::Open(OpenError::Foreign { .. })), "{error}");
    }
}
