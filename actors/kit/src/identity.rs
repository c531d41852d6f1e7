//! Who is who on the mesh: certificates of the cluster's own authority, and nothing else.
//!
//! The first scheduler makes the authority. Every link is mutual TLS 1.3 with certificates of it,
//! which say a name, a [`Role`] and a machine; addresses prove nothing and are not looked at. A
//! host gets its certificate by showing a [`JoinToken`], once; the token also says which authority
//! to believe, so neither side has to trust the network on the first day. Whoever shows the
//! schedulers' token gets the authority's key too, and is as good as the first.
//!
//! Certificates are good for a month, and renewed over a living link when two thirds of that have
//! passed. An agent's cannot pass for a scheduler's: it is not good for answering calls. That a
//! machine was removed before its certificate has run out is not in here; the
//! [`Doorkeeper`](crate::link::Doorkeeper) knows.

mod authority;
mod files;
mod request;
mod tls;
mod token;

use std::{
    fmt, io,
    path::{Path, PathBuf},
    time::Duration,
};

use airglow_model::{
    ids::{MachineId, is_identifier},
    machine::Timestamp,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

pub use authority::{Authority, AuthorityKeys, LIFE};
pub use request::Request;
pub(crate) use tls::{joining, server_name};
pub use token::{JoinToken, NotAToken};

/// What a certificate lets its holder be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Role {
    Scheduler,
    Agent,
}

/// Whose a certificate is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Bearer {
    pub name: String,
    pub role: Role,
    /// Certificates from before machines had ids name none.
    pub machine: Option<MachineId>,
}

/// A name on the mesh, and the key that proves it.
pub struct Identity {
    bearer: Bearer,
    validity: Validity,
    certificate: CertificateDer<'static>,
    authority: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
    /// All of the above, as it is kept: key, certificate, authority.
    pem: String,
}

/// When a certificate was issued, and when it ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Validity {
    since: Timestamp,
    until: Timestamp,
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
    #[error("{} is another cluster's: this machine needs another data folder to join this one", path.display())]
    OtherAuthority { path: PathBuf },
    #[error("this is not a certificate of a cluster, with its key")]
    NotAnIdentity,
    #[error("this is not a request for a certificate")]
    NotARequest,
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
const MACHINE_FILE: &str = "machine-id";

/// Certificates are good from a day before they are made: clocks differ.
const BACKDATED: Duration = Duration::from_secs(24 * 60 * 60);

/// Which machine `folder` is on; made up when it is asked for first. It is kept apart from the
/// certificate, so that a machine that has lost that can join again under its name.
pub fn machine(folder: &Path) -> Result<MachineId, IdentityError> {
    let path = folder.join(MACHINE_FILE);
    if let Some(text) = files::read(&path)? {
        let id = Some(text.trim()).filter(|it| is_identifier(it));
        return id.map(MachineId::from).ok_or(IdentityError::Unintelligible { path });
    }
    let machine = MachineId::random(tls::random()?);
    files::write(folder, MACHINE_FILE, &format!("{machine}\n"))?;
    Ok(machine)
}

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
        &self.bearer.name
    }

    pub fn role(&self) -> Role {
        self.bearer.role
    }

    pub fn bearer(&self) -> &Bearer {
        &self.bearer
    }

    pub fn has_expired(&self, now: Timestamp) -> bool {
        self.validity.until <= now
    }

    /// When two thirds of its life have passed; at once if it is from before machines had ids.
    pub fn renew_at(&self) -> Timestamp {
        let Validity { since, until } = self.validity;
        match self.bearer.machine {
            Some(_) => Timestamp(until.0 - (until.0 - since.0) / 3),
            None => Timestamp(0),
        }
    }

    /// Which authority it is of: its certificate's fingerprint, in hexadecimal digits.
    pub fn pin(&self) -> String {
        token::pin(&self.authority)
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
        let (bearer, validity) = read(&certificate).ok_or(IdentityError::NotAnIdentity)?;
        Ok(Self { bearer, validity, certificate, authority, key, pem })
    }
}

impl Clone for Identity {
    fn clone(&self) -> Self {
        Self {
            bearer: self.bearer.clone(),
            validity: self.validity,
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
        write!(f, "Identity({})", self.bearer.address())
    }
}

impl Bearer {
    /// How a certificate says whose it is.
    fn address(&self) -> String {
        match self.role {
            Role::Scheduler => format!("airglow://scheduler/{}", self.name),
            Role::Agent => format!("airglow://agent/{}", self.name),
        }
    }
}

/// Whose certificate this is. That it is genuine is for TLS to say.
pub(crate) fn bearer(certificate: &CertificateDer<'_>) -> Option<Bearer> {
    read(certificate).map(|(bearer, _)| bearer)
}

fn read(certificate: &CertificateDer<'_>) -> Option<(Bearer, Validity)> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    let names = &certificate.subject_alternative_name().ok()??.value.general_names;
    let (mut holder, mut machine) = (None, None);
    for name in names {
        let GeneralName::URI(address) = name else { continue };
        let (kind, name) = address.strip_prefix("airglow://")?.split_once('/')?;
        let name = Some(name).filter(|it| is_identifier(it))?;
        match kind {
            "scheduler" => holder = Some((Role::Scheduler, name)),
            "agent" => holder = Some((Role::Agent, name)),
            "machine" => machine = Some(MachineId::from(name)),
            _ => return None,
        }
    }
    let (role, name) = holder?;
    let validity = certificate.validity();
    let at = |seconds: i64| Timestamp(u64::try_from(seconds).unwrap_or(0).saturating_mul(1000));
    let (since, until) = (at(validity.not_before.timestamp()), at(validity.not_after.timestamp()));
    let since = (since + BACKDATED).min(until);
    Some((Bearer { name: name.to_owned(), role, machine }, Validity { since, until }))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::now;

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
        assert_eq!(mode(&folder.path().join("authority.pem")), 0o600);
    }

    #[test]
    fn half_an_identity_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(FILE), "-----BEGIN PRIVATE KEY-----\n").unwrap();
        let error = Identity::load(folder.path()).unwrap_err();
        assert!(matches!(error, IdentityError::Unintelligible { .. }), "{error:?}");
    }

    #[test]
    fn a_machine_stays_the_same_and_is_in_its_certificates() {
        let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let this = machine(folder.path()).unwrap();
        assert_eq!(machine(folder.path()).unwrap(), this);
        assert_ne!(machine(other.path()).unwrap(), this);
        std::fs::write(other.path().join(MACHINE_FILE), "no/thing").unwrap();
        assert!(matches!(machine(other.path()), Err(IdentityError::Unintelligible { .. })));

        let authority = Authority::open_or_create(folder.path(), "test").unwrap();
        let bearer = Bearer { name: "h1".into(), role: Role::Agent, machine: Some(this) };
        assert_eq!(*authority.issue_to(&bearer).unwrap().bearer(), bearer);
    }

    #[test]
    fn a_certificate_is_renewed_after_two_thirds_of_its_life() {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::open_or_create(folder.path(), "test").unwrap();
        let month = authority.issue_to(&of_a_machine("h1")).unwrap();
        let begin = now();
        let after = |days: u64| Timestamp(begin.0 + days * 24 * 3_600_000);
        assert!(after(19) < month.renew_at() && month.renew_at() < after(21));
        assert!(!month.has_expired(after(29)) && month.has_expired(after(31)));
        assert!(!month.has_expired(Timestamp(begin.0 - 1)), "whatever their clocks say");

        let moment = authority.living(Duration::ZERO).issue_to(&of_a_machine("h1")).unwrap();
        assert!(moment.has_expired(now()));
    }

    #[test]
    fn one_from_before_machines_had_ids_is_renewed_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::open_or_create(folder.path(), "test").unwrap();
        let older = authority.issue(Role::Agent, "h1").unwrap();
        assert_eq!((older.bearer().machine.as_ref(), older.renew_at()), (None, Timestamp(0)));
    }

    fn of_a_machine(name: &str) -> Bearer {
        Bearer { name: name.into(), role: Role::Agent, machine: Some("m1".into()) }
    }
}
