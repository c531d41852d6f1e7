//! Who is who on the mesh.

use std::{fmt, io, path::{Path, PathBuf}, str::FromStr};

/// What a certificate lets its holder be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Role {
    Scheduler,
    Agent,
}

/// The cluster's certificate authority, and the secret that lets hosts join.
pub struct Authority {
    token: JoinToken,
}

/// A name on the mesh, and the key that proves it.
#[derive(Clone)]
pub struct Identity {
    name: String,
    role: Role,
}

/// `airglow-1-<sha256 of the authority's certificate>-<secret>`: which cluster, and leave to join it.
#[derive(Clone, Eq, PartialEq)]
pub struct JoinToken {
    authority: [u8; 32],
    secret: [u8; 32],
}

#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    #[error("cannot read or write {path}")]
    File { path: PathBuf, #[source] source: io::Error },
}

/// The text is not a join token.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("this is not a join token: those look like airglow-1-…-…")]
pub struct NotAToken;

impl Authority {
    /// What `dir` holds, else a new one for `cluster`.
    pub fn open_or_create(dir: &Path, cluster: &str) -> Result<Self, IdentityError> {
        let _ = (dir, cluster);
        unimplemented!()
    }

    pub fn issue(&self, role: Role, name: &str) -> Result<Identity, IdentityError> {
        let _ = (role, name);
        unimplemented!()
    }

    pub fn token(&self) -> &JoinToken {
        &self.token
    }
}

impl Identity {
    /// What `dir` holds; `None` if it holds nothing yet.
    pub fn load(dir: &Path) -> Result<Option<Self>, IdentityError> {
        let _ = dir;
        unimplemented!()
    }

    /// Readable by this user only.
    pub fn save(&self, dir: &Path) -> Result<(), IdentityError> {
        let _ = dir;
        unimplemented!()
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn role(&self) -> Role {
        self.role
    }
}

/// With its secret: it goes where the user asked for it, and never into a log.
impl fmt::Display for JoinToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let _ = (self.authority, self.secret);
        f.write_str("")
    }
}

impl fmt::Debug for JoinToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JoinToken(…)")
    }
}

impl FromStr for JoinToken {
    type Err = NotAToken;

    fn from_str(_: &str) -> Result<Self, NotAToken> {
        unimplemented!()
    }
}
