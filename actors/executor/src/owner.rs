//! Whose a task's processes are, and whether they can reach the folder that they are to run in.

use std::{
    collections::BTreeMap,
    ffi::CString,
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use airglow_kit::now;
use airglow_model::machine::Timestamp;
use nix::unistd::{Uid, User, getgrouplist};

use crate::{RunAs, order::Credentials};

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Owner {
    pub(crate) name: String,
    /// None are needed to be who we are.
    pub(crate) credentials: Option<Credentials>,
    /// Why it is not whom the task's role names.
    pub(crate) note: Option<String>,
}

/// Remembers for a while who somebody is, because to find that out may take long.
pub(crate) struct Owners {
    run_as: RunAs,
    /// Where all sandboxes are.
    tasks: PathBuf,
    own_name: String,
    known: Mutex<BTreeMap<String, (Timestamp, Arc<Owner>)>>,
}

/// Whoever may create jobs would be the machine's master, wherever its agent runs as root.
const ROOT: &str = "no task runs as root here; give its job another role, or the agent \
                    `run_as = \"oneself\"`";

const KNOWN_FOR: Duration = Duration::from_secs(60);

impl Owners {
    pub(crate) fn new(run_as: RunAs, tasks: &Path) -> Self {
        let (tasks, own_name) = (tasks.to_owned(), own_name());
        Self { run_as, tasks, own_name, known: Mutex::default() }
    }

    /// # Errors
    /// Why a task of this role cannot run, as users are told it.
    pub(crate) fn of(&self, role: &str) -> Result<Arc<Owner>, String> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((since, owner)) = known.get(role)
            && now().since(*since) < KNOWN_FOR
        {
            return Ok(owner.clone());
        }
        let owner = Arc::new(self.look_up(role)?);
        known.insert(role.to_owned(), (now(), owner.clone()));
        Ok(owner)
    }

    fn look_up(&self, role: &str) -> Result<Owner, String> {
        match self.run_as {
            RunAs::Oneself => Ok(self.oneself(role, "")),
            RunAs::Role => self.of_role(role),
            RunAs::RoleOrOneself => {
                Ok(self.of_role(role).unwrap_or_else(|why| self.oneself(role, &why)))
            }
        }
    }

    fn oneself(&self, role: &str, why: &str) -> Owner {
        let name = self.own_name.clone();
        let because = if why.is_empty() { String::new() } else { format!(": {why}") };
        let note = (name != role).then(|| format!("runs as {name}, not as {role}{because}"));
        Owner { name, credentials: None, note }
    }

    fn of_role(&self, role: &str) -> Result<Owner, String> {
        let user = User::from_name(role)
            .map_err(|error| format!("Could not create sandbox: who is {role}? {error}"))?;
        let Some(user) = user else {
            let why = "Could not create sandbox because user does not exist";
            return Err(format!("{why}: {role}"));
        };
        let own = Uid::effective();
        if user.uid.is_root() && self.run_as == RunAs::Role {
            return Err(format!("Could not create sandbox: {ROOT}"));
        }
        if user.uid == own {
            return Ok(Owner { name: user.name, credentials: None, note: None });
        }
        if !own.is_root() {
            let name = &self.own_name;
            return Err(format!("Could not create sandbox: {name} may not act for {role}"));
        }
        let credentials = credentials(&user).map_err(|error| {
            format!("Could not create sandbox: cannot find the groups of {role}: {error}")
        })?;
        match closed_to(&credentials, &self.tasks) {
            Some(closed) => {
                let closed = closed.display();
                Err(format!(
                    "Could not create sandbox: {role} may not pass through {closed}; allow it with \
                     `chmod o+x {closed}`, or give the agent another data folder"
                ))
            }
            None => Ok(Owner { name: user.name, credentials: Some(credentials), note: None }),
        }
    }
}

fn credentials(user: &User) -> nix::Result<Credentials> {
    let name = CString::new(user.name.as_str()).map_err(|_| nix::Error::EINVAL)?;
    let groups = getgrouplist(&name, user.gid)?;
    Ok(Credentials {
        uid: user.uid.as_raw(),
        gid: user.gid.as_raw(),
        groups: groups.into_iter().map(nix::unistd::Gid::as_raw).collect(),
    })
}

/// The outermost folder on the way that this user may not pass through.
fn closed_to(user: &Credentials, path: &Path) -> Option<PathBuf> {
    let is_closed = |folder: &&Path| {
        fs::metadata(folder).is_ok_and(|it| {
            let shift = if it.uid() == user.uid {
                6
            } else if it.gid() == user.gid || user.groups.contains(&it.gid()) {
                3
            } else {
                0
            };
            it.mode() >> shift & 1 == 0
        })
    };
    let closed: Vec<_> = path.ancestors().filter(is_closed).collect();
    closed.last().map(|it| (*it).to_owned())
}

fn own_name() -> String {
    let uid = Uid::effective();
    User::from_uid(uid).ok().flatten().map_or_else(|| uid.to_string(), |it| it.name)
}

#[cfg(test)]
mod tests {
    use std::{fs::Permissions, os::unix::fs::PermissionsExt};

    use super::*;

    #[test]
    fn e14_who_does_not_exist_runs_nothing_unless_we_may_do_it_instead() {
        let of = |run_as| Owners::new(run_as, Path::new("/")).of("no such user");
        let why = of(RunAs::Role).unwrap_err();
        assert_eq!(why, "Could not create sandbox because user does not exist: no such user");
        for run_as in [RunAs::Oneself, RunAs::RoleOrOneself] {
            let owner = of(run_as).unwrap();
            assert_eq!((&owner.name, &owner.credentials), (&own_name(), &None));
            let note = owner.note.as_ref().unwrap();
            assert!(note.starts_with(&format!("runs as {}, not as no such user", owner.name)));
        }
        let oneself = Owners::new(RunAs::RoleOrOneself, Path::new("/")).of(&own_name()).unwrap();
        assert_eq!((&oneself.credentials, &oneself.note), (&None, &None));
    }

    #[test]
    fn root_is_nobodys_role() {
        let why = Owners::new(RunAs::Role, Path::new("/")).of("root").unwrap_err();
        assert!(why.starts_with("Could not create sandbox: no task runs as root here"), "{why}");
    }

    #[test]
    fn a_folder_that_is_in_the_way_is_named() {
        let outer = tempfile::tempdir().unwrap();
        let inner = outer.path().join("inner");
        fs::create_dir(&inner).unwrap();
        let set = |path: &Path, mode| fs::set_permissions(path, Permissions::from_mode(mode));
        let own = outer.path().metadata().unwrap();
        let somebody = Credentials { uid: own.uid() + 1, gid: own.gid() + 1, groups: vec![] };
        let owner = Credentials { uid: own.uid(), ..somebody.clone() };
        let friend = Credentials { groups: vec![own.gid()], ..somebody };
        set(&inner, 0o700).unwrap();
        set(outer.path(), 0o755).unwrap();
        assert_eq!(closed_to(&somebody, &inner), Some(inner.clone()));
        assert_eq!(closed_to(&owner, &inner), None);
        set(outer.path(), 0o700).unwrap();
        assert_eq!(closed_to(&somebody, &inner), Some(outer.path().to_owned()));
        set(&inner, 0o710).unwrap();
        set(outer.path(), 0o711).unwrap();
        assert_eq!(closed_to(&somebody, &inner), Some(inner.clone()));
        assert_eq!(closed_to(&friend, &inner), None);
        set(&inner, 0o701).unwrap();
        assert_eq!(closed_to(&somebody, &inner), None);
        // A member of the group is not anybody.
        assert_eq!(closed_to(&friend, &inner), Some(inner));
    }
}
