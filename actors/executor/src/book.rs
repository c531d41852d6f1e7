//! Whom this host obeys, on disk, so that it survives the agent.
//!
//! It is a matter of the authority that has certified the host: with another one it begins anew.

use std::{
    fs::{self, File},
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use airglow_model::{
    allegiance::{Allegiance, Unfit},
    wire::Welcome,
};
use serde::{Deserialize, Serialize};

use crate::folder::write_private;

pub(crate) struct Book {
    path: PathBuf,
    page: Page,
    /// What is on disk, as far as we know.
    written: Option<Page>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Page {
    /// The authority's fingerprint.
    authority: String,
    #[serde(flatten)]
    allegiance: Allegiance,
}

/// In the folder that it is given.
const FILE: &str = "allegiance.json";

impl Book {
    /// `cluster` is what the operator calls it, if anything: then that counts.
    pub(crate) fn open(folder: &Path, authority: &str, cluster: Option<&str>) -> Self {
        let path = folder.join(FILE);
        let written = read(&path);
        let mut allegiance = match &written {
            Some(page) if page.authority == authority => page.allegiance.clone(),
            Some(_) | None => Allegiance::default(),
        };
        if let Some(cluster) = cluster {
            allegiance.cluster = Some(cluster.to_owned());
        }
        Self { path, page: Page { authority: authority.to_owned(), allegiance }, written }
    }

    pub(crate) fn allegiance(&self) -> &Allegiance {
        &self.page.allegiance
    }

    /// The scheduler at `from` may be obeyed from when this returns.
    pub(crate) fn welcomed(&mut self, from: SocketAddr, welcome: &Welcome) -> Result<(), Unfit> {
        self.page.allegiance = self.page.allegiance.welcomed(from, welcome)?;
        self.save();
        Ok(())
    }

    pub(crate) fn directed(&mut self, leader: Option<SocketAddr>, schedulers: &[SocketAddr]) {
        self.page.allegiance = self.page.allegiance.directed(leader, schedulers);
        self.save();
    }

    /// If there is no room for it, it is remembered as long as this agent lives, and whoever leads
    /// is obeyed: a host with a full disk that heard nobody would lose its tasks for certain, while
    /// a scheduler that has been replaced can decide nothing new.
    fn save(&mut self) {
        if self.written.as_ref() == Some(&self.page) {
            return;
        }
        match write(&self.path, &self.page) {
            Ok(()) => self.written = Some(self.page.clone()),
            Err(error) => {
                let path = self.path.display();
                tracing::error!(%error, %path, "cannot write down whom this host obeys");
            }
        }
    }
}

/// Nothing, if there is nothing or it makes no sense: whoever leads will say it again.
fn read(path: &Path) -> Option<Page> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        Err(error) => {
            tracing::error!(%error, path = %path.display(), "cannot read whom this host obeys");
            return None;
        }
    };
    serde_json::from_slice(&bytes)
        .inspect_err(|error| {
            tracing::error!(%error, path = %path.display(), "whom this host obeys makes no sense");
        })
        .ok()
}

/// Whole or not at all, and there when the power fails.
fn write(path: &Path, page: &Page) -> io::Result<()> {
    let draft = path.with_extension("unfinished");
    write_private(&draft, &serde_json::to_vec(page)?)?;
    File::open(&draft)?.sync_all()?;
    fs::rename(&draft, path)?;
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn welcome(term: u64) -> Welcome {
        let schedulers = vec![SocketAddr::from(([10, 0, 0, 2], 8082))];
        Welcome { cluster: "c".into(), protocol: 2, term, schedulers }
    }

    fn from() -> SocketAddr {
        SocketAddr::from(([10, 0, 0, 1], 8082))
    }

    #[test]
    fn whom_it_obeys_is_known_to_the_next_agent() {
        let folder = tempfile::tempdir().unwrap();
        let mut book = Book::open(folder.path(), "a", None);
        assert_eq!(*book.allegiance(), Allegiance::default());
        book.welcomed(from(), &welcome(7)).unwrap();
        let mut next = Book::open(folder.path(), "a", None);
        assert_eq!(next.allegiance(), book.allegiance());
        assert!(next.welcomed(from(), &welcome(6)).is_err());
        next.directed(Some(SocketAddr::from(([10, 0, 0, 3], 1))), &[]);
        let third = Book::open(folder.path(), "a", Some("d"));
        assert_eq!((third.allegiance().term, third.allegiance().leader.unwrap().port()), (7, 1));
        assert_eq!(
            third.allegiance().cluster.as_deref(),
            Some("d"),
            "whoever runs it knows better"
        );
    }

    #[test]
    fn another_authority_begins_anew() {
        let folder = tempfile::tempdir().unwrap();
        Book::open(folder.path(), "a", None).welcomed(from(), &welcome(7)).unwrap();
        let mut other = Book::open(folder.path(), "b", None);
        assert_eq!(*other.allegiance(), Allegiance::default());
        other.welcomed(from(), &welcome(1)).unwrap();
        assert_eq!(Book::open(folder.path(), "b", None).allegiance().term, 1);
    }

    #[test]
    fn what_cannot_be_written_or_read_keeps_nobody_from_going_on() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        fs::create_dir(path.with_extension("unfinished")).unwrap();
        let mut book = Book::open(folder.path(), "a", None);
        book.welcomed(from(), &welcome(7)).unwrap();
        assert!(book.welcomed(from(), &welcome(6)).is_err(), "it remembers");
        fs::remove_dir(path.with_extension("unfinished")).unwrap();
        book.welcomed(from(), &welcome(7)).unwrap();
        assert_eq!(
            Book::open(folder.path(), "a", None).allegiance().term,
            7,
            "the next time it is"
        );
        fs::write(&path, "{").unwrap();
        assert_eq!(Book::open(folder.path(), "a", None).allegiance().term, 0);
    }
}
