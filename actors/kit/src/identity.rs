//! Who is who on the mesh: certificates of the cluster's own authority, and nothing else.
//!
//! The first scheduler makes the authority. Every link is mutual TLS 1.3 with certificates of it,
//! which say a name and a [`Role`]; addresses prove nothing and are not looked at. A host gets its
//! certificate by showing the [`JoinToken`], once; the token also says which authority to believe,
//! so neither side has to trust the network on the first day.
//!
//! Certificates do not expire, because nothing renews them yet, and a cluster that stops on a day
//! that nobody remembers is worse. Nor is there a list of revoked ones: whoever holds the token or
//! an agent's key is trusted until the authority is replaced. An agent's certificate cannot pass
//! for a scheduler's: it is not good for answering calls.

mod authority;
mod files;
mod tls;
mod token;

use std::{
    fmt, io,
    path::{Path, PathBuf},
};

use airglow_model::ids::is_identifier;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

pub use authority::{Authority, Refusal};
pub(crate) use tls::{Request, joining, server_name};
pub use token::{JoinToken, NotAToken};

/// What a certificate lets its holder be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Role {
    Scheduler,
    Agent,
}

/// A name on the mesh, and the key that proves it.
pub struct Identity {
    name: String,
    role: Role,
    certificate: CertificateDer<'static>,
    authority: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
    /// All of the above, as it is kept: key, certificate, authority.
    pem: String,
}

#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    #[error("cannot {step} {}", path.display())]
    File {
        step: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{} is not what was saved there: restore it, or remove it and join again", path.display())]
    Unintelligible { path: PathBuf },
    #[error("this is not a certificate of a cluster, with its key")]
    NotAnIdentity,
    #[error("{name:?} cannot be a name: letters, digits, '.', '_' and '-' can, 255 of them")]
    Name { name: String },
    #[error("cannot make a certificate")]
    Certify(#[from] rcgen::Error),
    #[error("the certificate and its key cannot be used")]
    Unusable(#[from] rustls::Error),
    #[error("the system gives no random numbers")]
    Random,
}

/// Bytes that nobody can guess.
///
/// # Panics
/// The system has none, and then nothing works.
pub fn random<const N: usize>() -> [u8; N] {
    tls::random().expect("the system gives random numbers")
}

/// In the folder that it is given.
const FILE: &str = "identity.pem";

impl Identity {
    /// What was saved in `folder`; `None` if nothing was.
    pub fn load(folder: &Path) -> Result<Option<Self>, IdentityError> {
        let path = folder.join(FILE);
        let Some(pem) = files::read(&path)? else { return Ok(None) };
        Self::from_pem(pem).map(Some).map_err(|_| IdentityError::Unintelligible { path })
    }

    /// Whole or not at all, and for this user only. The folder is made if need be.
    pub fn save(&self, folder: &Path) -> Result<(), IdentityError> {
        files::write(folder, FILE, &self.pem)
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn role(&self) -> Role {
        self.role
    }

    #[cfg(test)]
    pub(crate) fn of_another_authority(mut self, other: &Self) -> Self {
        self.authority = other.authority.clone();
        self
    }

    fn from_pem(pem: String) -> Result<Self, IdentityError> {
        let key = PrivateKeyDer::from_pem_slice(pem.as_bytes())
            .map_err(|_| IdentityError::NotAnIdentity)?;
        let mut certificates = CertificateDer::pem_slice_iter(pem.as_bytes()).map_while(Result::ok);
        let (Some(certificate), Some(authority)) = (certificates.next(), certificates.next())
        else {
            return Err(IdentityError::NotAnIdentity);
        };
        let (role, name) = bearer(&certificate).ok_or(IdentityError::NotAnIdentity)?;
        Ok(Self { name, role, certificate, authority, key, pem })
    }
}

impl Clone for Identity {
    fn clone(&self) -> Self {
        Self {
            name: self.name.clone(),
            role: self.role,
            certificate: self.certificate.clone(),
            authority: self.authority.clone(),
            key: self.key.clone_key(),
            pem: self.pem.clone(),
        }
    }
}

/// Without its key.
impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({})", address(self.role, &self.name))
    }
}

/// How a certificate says whose it is.
fn address(role: Role, name: &str) -> String {
    match role {
        Role::Scheduler => format!("airglow://scheduler/{name}"),
        Role::Agent => format!("airglow://agent/{name}"),
    }
}

/// Whose certificate this is. That it is genuine is for TLS to say.
pub(crate) fn bearer(certificate: &CertificateDer<'_>) -> Option<(Role, String)> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    let names = &certificate.subject_alternative_name().ok()??.value.general_names;
    names.iter().find_map(|name| {
        let GeneralName::URI(address) = name else { return None };
        let (role, name) = address.strip_prefix("airglow://")?.split_once('/')?;
        let role = match role {
            "scheduler" => Role::Scheduler,
            "agent" => Role::Agent,
            _ => return None,
        };
        is_identifier(name).then(|| (role, name.to_owned()))
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn an_identity_is_kept_for_this_user_only_and_found_again() {
        let folder = tempfile::tempdir().unwrap();
        let kept = folder.path().join("a/b");
        assert!(Identity::load(&kept).unwrap().is_none());
        let authority = Authority::open_or_create(folder.path(), "test").unwrap();
        authority.issue(Role::Agent, "rack-1.example").unwrap().save(&kept).unwrap();

        let found = Identity::load(&kept).unwrap().unwrap();
        assert_eq!((found.name(), found.role()), ("rack-1.example", Role::Agent));
        assert_eq!(format!("{found:?}"), "Identity(airglow://agent/rack-1.example)");
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&kept), 0o700);
        assert_eq!(mode(&kept.join(FILE)), 0o600);
        for name in ["authority.pem", "join-token"] {
            assert_eq!(mode(&folder.path().join(name)), 0o600, "{name}");
        }
    }

    #[test]
    fn half_an_identity_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(FILE), "-----BEGIN PRIVATE KEY-----\n").unwrap();
        let error = Identity::load(folder.path()).unwrap_err();
        assert!(matches!(error, IdentityError::Unintelligible { .. }), "{error:?}");
    }
}
