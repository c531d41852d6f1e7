//! What is in a folder, as `ls -l` would tell it.

use std::{collections::BTreeMap, ffi::CStr, fs::File, io};

use airglow_model::{machine::Timestamp, wire::Entry};
use rustix::fs::{AtFlags, Dir, FileType, Stat, readlinkat, statat};

/// The most entries of a folder that are listed: an answer has to fit into a message.
pub(super) const ENTRIES_MAX: usize = 10_000;

pub(super) fn entries(folder: &File) -> io::Result<Vec<Entry>> {
    let (mut entries, mut owners) = (Vec::new(), BTreeMap::new());
    for entry in Dir::read_from(folder)? {
        if entries.len() == ENTRIES_MAX {
            break;
        }
        let name = entry?.file_name().to_owned();
        if name.as_bytes() == b"." || name.as_bytes() == b".." {
            continue;
        }
        // The link itself, not what it leads to; gone in the meantime is no mistake.
        let Ok(it) = statat(folder, &name, AtFlags::SYMLINK_NOFOLLOW) else { continue };
        let owner = owners.entry(it.st_uid).or_insert_with(|| owner(it.st_uid)).clone();
        entries.push(describe(folder, &name, &it, owner));
    }
    entries.sort_by(|a, b| (!a.is_folder, &a.name).cmp(&(!b.is_folder, &b.name)));
    Ok(entries)
}

fn describe(folder: &File, name: &CStr, it: &Stat, owner: String) -> Entry {
    let kind = FileType::from_raw_mode(it.st_mode);
    let link = if kind.is_symlink() { readlinkat(folder, name, vec![]).ok() } else { None };
    let seconds = u64::try_from(it.st_mtime).unwrap_or(0);
    Entry {
        name: name.to_string_lossy().into_owned(),
        is_folder: kind.is_dir(),
        size: u64::try_from(it.st_size).unwrap_or(0),
        modified_at: Timestamp(seconds * 1000),
        mode: it.st_mode,
        owner,
        link: link.map(|it| it.to_string_lossy().into_owned()),
    }
}

/// Nobody may have the number: a file can be older than its owner's leaving.
fn owner(uid: u32) -> String {
    let user = nix::unistd::User::from_uid(uid.into()).ok().flatten();
    user.map_or_else(|| uid.to_string(), |it| it.name)
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        os::unix::fs::{PermissionsExt, symlink},
    };

    use super::*;

    #[test]
    fn an_entry_says_what_it_is_whose_and_where_it_leads() {
        let folder = tempfile::tempdir().unwrap();
        let script = folder.path().join("script");
        fs::write(&script, "").unwrap();
        fs::set_permissions(&script, fs::Permissions::from_mode(0o750)).unwrap();
        symlink("../elsewhere", folder.path().join("way")).unwrap();
        let found = entries(&File::open(folder.path()).unwrap()).unwrap();
        let [script, way] = &found[..] else { panic!("{found:?}") };
        let me = owner(nix::unistd::geteuid().as_raw());
        assert_eq!((script.mode & 0o7777, &script.owner, &script.link), (0o750, &me, &None));
        assert_eq!(way.link.as_deref(), Some("../elsewhere"));
    }
}
