//! The cluster's own certificate authority.

mod face;

use std::{
    fmt,
    path::{Path, PathBuf},
    time::Duration,
};

use airglow_model::{
    ids::is_identifier,
    joining::{Purpose, Shown, Tokens},
    machine::Timestamp,
};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, PublicKeyData, SanType,
};
use ring::hmac;
use rustls::pki_types::{CertificateDer, pem::PemObject};
use time::OffsetDateTime;

use super::{BACKDATED, Bearer, Identity, IdentityError, JoinToken, Role, files, tls, token};
use crate::now;

/// Says who is who, and knows every token that lets somebody join.
pub struct Authority {
    folder: PathBuf,
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
    certificate_pem: String,
    keys: AuthorityKeys,
    secrets: hmac::Key,
    /// How long a certificate is good for.
    life: Duration,
}

/// All that an authority is, for another scheduler: its key and its certificate.
#[derive(Clone)]
pub struct AuthorityKeys(String);

/// How long a certificate is good for, if nothing else is said.
pub const LIFE: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// The authority's own certificate.
const LIFE_OF_AUTHORITY: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

/// Key and certificate.
const FILE: &str = "authority.pem";
/// The agents' token, for whoever may read this folder.
const TOKEN_FILE: &str = "join-token";

/// Of how many older tokens it is known that they were replaced; older ones are just wrong.
const REMEMBERED: u32 = 100;

impl Authority {
    /// What `folder` holds, else a new one, which calls itself after `cluster`.
    pub fn open_or_create(folder: &Path, cluster: &str) -> Result<Self, IdentityError> {
        if let Some(kept) = Self::open(folder)? {
            return Ok(kept);
        }
        let pem = new_authority(cluster)?;
        files::write(folder, FILE, &pem)?;
        Self::intelligible(folder, pem)
    }

    /// What `folder` holds, if anything.
    pub fn open(folder: &Path) -> Result<Option<Self>, IdentityError> {
        files::read(&folder.join(FILE))?.map(|pem| Self::intelligible(folder, pem)).transpose()
    }

    fn intelligible(folder: &Path, pem: String) -> Result<Self, IdentityError> {
        let path = folder.join(FILE);
        Self::from_pem(folder, pem).ok_or(IdentityError::Unintelligible { path })
    }

    fn from_pem(folder: &Path, pem: String) -> Option<Self> {
        let certificate = CertificateDer::from_pem_slice(pem.as_bytes()).ok()?;
        let key = KeyPair::from_pem(&pem).ok()?;
        let secrets = hmac::Key::new(hmac::HMAC_SHA256, &key.serialize_der());
        let issuer = Issuer::from_ca_cert_der(&certificate, key).ok()?;
        let certificate_pem = pem[pem.rfind("-----BEGIN").unwrap_or_default()..].to_owned();
        Some(Self {
            folder: folder.to_owned(),
            issuer,
            certificate,
            certificate_pem,
            keys: AuthorityKeys(pem),
            secrets,
            life: LIFE,
        })
    }

    /// The same, but its certificates are good for so long.
    #[must_use]
    pub fn living(self, life: Duration) -> Self {
        Self { life, ..self }
    }

    /// The key and certificate that `folder` holds, for a backup. Whoever has them is the cluster.
    pub fn export(folder: &Path) -> Result<Option<String>, IdentityError> {
        files::read(&folder.join(FILE))
    }

    /// Makes that of a backup the authority of `folder`, where there is none yet.
    pub fn import(folder: &Path, pem: &str) -> Result<(), IdentityError> {
        let is_certificate = CertificateDer::from_pem_slice(pem.as_bytes()).is_ok();
        if !is_certificate || KeyPair::from_pem(pem).is_err() {
            return Err(IdentityError::NotAnIdentity);
        }
        files::write(folder, FILE, pem)
    }

    /// For a scheduler that joins, and nobody else.
    pub fn keys(&self) -> &AuthorityKeys {
        &self.keys
    }

    /// Its certificate's fingerprint, in hexadecimal digits.
    pub fn pin(&self) -> String {
        token::pin(&self.certificate)
    }

    /// The token of that generation. Its secret is made from the authority's key when it is needed
    /// and kept nowhere, so every scheduler of the cluster knows it.
    pub fn token(&self, purpose: Purpose, generation: u32) -> JoinToken {
        JoinToken::new(&self.certificate, self.secret(purpose, generation))
    }

    fn secret(&self, purpose: Purpose, generation: u32) -> [u8; 32] {
        let message = format!("airglow join token {} {generation}", purpose.name());
        let tag = hmac::sign(&self.secrets, message.as_bytes());
        tag.as_ref().try_into().expect("a SHA-256 has 32 bytes")
    }

    /// What a secret is that somebody shows.
    pub fn recognize(&self, shown: &str, tokens: &Tokens) -> Shown {
        let Some(shown) = token::unhex(shown) else { return Shown::Unknown };
        for purpose in Purpose::ALL {
            let today = tokens.of(purpose);
            let former = today.former.as_deref();
            if token::is_same(&self.secret(purpose, today.number), &shown)
                || former.is_some_and(|it| it == token::digest(&shown))
            {
                return Shown::Current(purpose);
            }
        }
        let was = |purpose| {
            let today = tokens.of(purpose).number;
            let mut older = (today.saturating_sub(REMEMBERED).max(1)..today).rev();
            older.any(|it| token::is_same(&self.secret(purpose, it), &shown))
        };
        if Purpose::ALL.into_iter().any(was) { Shown::Replaced } else { Shown::Unknown }
    }

    /// The digest of the secret in the folder's token file, if that is not of any generation: then
    /// it is from before there were any, and machines may have been told it.
    pub fn former(&self) -> Result<Option<String>, IdentityError> {
        let path = self.folder.join(TOKEN_FILE);
        let Some(text) = files::read(&path)? else { return Ok(None) };
        let token = text.parse::<JoinToken>().ok().filter(|it| it.is_for(&self.certificate));
        let token = token.ok_or(IdentityError::Unintelligible { path })?;
        let first = self.secret(Purpose::Agent, 1);
        Ok((!token.has_secret(&first)).then(|| token.digest()))
    }

    /// Leaves the agents' token in the file `join-token` of the folder, for this user only.
    pub fn publish(&self, tokens: &Tokens) -> Result<(), IdentityError> {
        let token = self.token(Purpose::Agent, tokens.agents.number).to_string();
        let kept = files::read(&self.folder.join(TOKEN_FILE))?;
        if kept.is_some_and(|it| it.trim() == token) {
            return Ok(());
        }
        files::write(&self.folder, TOKEN_FILE, &format!("{token}\n"))
    }

    /// A new key, and a certificate that it is `name`'s, whatever machine that is.
    pub fn issue(&self, role: Role, name: &str) -> Result<Identity, IdentityError> {
        self.issue_to(&Bearer { name: name.to_owned(), role, machine: None })
    }

    /// A new key, and a certificate that it is `bearer`'s.
    pub fn issue_to(&self, bearer: &Bearer) -> Result<Identity, IdentityError> {
        let key = KeyPair::generate()?;
        let certificate = self.certify(bearer, &key)?;
        Identity::from_pem(key.serialize_pem() + &certificate + &self.certificate_pem)
    }

    /// A certificate for whoever made `request`, and the authority's. Nothing but the public key is
    /// taken from the request: who asks does not say what the certificate is good for.
    pub fn grant(&self, bearer: &Bearer, request: &str) -> Result<String, IdentityError> {
        // Reading it verifies that whoever asks has the private key.
        let request = CertificateSigningRequestParams::from_pem(request);
        let request = request.map_err(|_| IdentityError::NotARequest)?;
        Ok(self.certify(bearer, &request.public_key)? + &self.certificate_pem)
    }

    fn certify(&self, bearer: &Bearer, key: &impl PublicKeyData) -> Result<String, IdentityError> {
        let names = [Some(bearer.name.as_str()), bearer.machine.as_ref().map(|it| &*it.0)];
        if let Some(bad) = names.into_iter().flatten().find(|it| !is_identifier(it)) {
            return Err(IdentityError::Name { name: bad.to_owned() });
        }
        let mut params = lasting(self.life);
        params.distinguished_name.push(DnType::CommonName, bearer.name.as_str());
        params.subject_alt_names = vec![SanType::URI(bearer.address().try_into()?)];
        if let Some(machine) = &bearer.machine {
            let address = format!("airglow://machine/{machine}");
            params.subject_alt_names.push(SanType::URI(address.try_into()?));
        }
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        match bearer.role {
            Role::Scheduler => {
                params.subject_alt_names.push(SanType::DnsName(tls::SCHEDULER.try_into()?));
                params.extended_key_usages.push(ExtendedKeyUsagePurpose::ServerAuth);
            }
            Role::Agent => {}
        }
        Ok(params.signed_by(key, &self.issuer)?.pem())
    }
}

impl AuthorityKeys {
    pub(crate) fn pem(&self) -> &str {
        &self.0
    }

    /// If that is what it is, and `token` is of it.
    pub(crate) fn read(pem: String, token: &JoinToken) -> Result<Self, IdentityError> {
        let authority = Authority::from_pem(Path::new(""), pem);
        let authority = authority.filter(|it| token.is_for(&it.certificate));
        authority.map(|it| it.keys).ok_or(IdentityError::NotAnIdentity)
    }

    /// For [`Authority::open_or_create`] to find in `folder`, whole or not at all, and for this user
    /// only.
    ///
    /// # Errors
    /// It has another one already, and whatever that one's scheduler knows would be nobody's.
    pub fn save(&self, folder: &Path) -> Result<(), IdentityError> {
        let path = folder.join(FILE);
        match files::read(&path)? {
            Some(kept) if kept == self.0 => Ok(()),
            Some(_) => Err(IdentityError::OtherAuthority { path }),
            None => files::write(folder, FILE, &self.0),
        }
    }
}

/// Without the key.
impl fmt::Debug for AuthorityKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AuthorityKeys")
    }
}

fn lasting(life: Duration) -> CertificateParams {
    let now = now();
    let mut params = CertificateParams::default();
    params.not_before = date(Timestamp(now.0.saturating_sub(millis(BACKDATED))));
    params.not_after = date(Timestamp(now.0.saturating_add(millis(life))));
    params
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// As far as a certificate can say it, which is the year 9999.
fn date(at: Timestamp) -> OffsetDateTime {
    const LAST: i64 = 253_402_300_799;
    let seconds = i64::try_from(at.0 / 1000).unwrap_or(LAST).min(LAST);
    OffsetDateTime::from_unix_timestamp(seconds).expect("that is a year of four digits")
}

fn new_authority(cluster: &str) -> Result<String, IdentityError> {
    let mut params = lasting(LIFE_OF_AUTHORITY);
    params.distinguished_name.push(DnType::CommonName, format!("Airglow cluster {cluster}"));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let key = KeyPair::generate()?;
    Ok(key.serialize_pem() + &params.self_signed(&key)?.pem())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_000_000);

    fn open(folder: &tempfile::TempDir) -> Authority {
        Authority::open_or_create(folder.path(), "test").unwrap()
    }

    #[test]
    fn an_authority_is_made_once_and_so_are_its_tokens() {
        let folder = tempfile::tempdir().unwrap();
        let (first, second) = (open(&folder), open(&folder));
        let token = |it: &Authority, purpose| it.token(purpose, 1).to_string();
        for purpose in Purpose::ALL {
            assert_eq!(token(&first, purpose), token(&second, purpose));
        }
        assert_ne!(token(&first, Purpose::Agent), token(&first, Purpose::Scheduler));
        assert_eq!(first.certificate_pem, second.certificate_pem);
    }

    #[test]
    fn another_scheduler_knows_the_same_tokens() {
        let (ours, theirs) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let authority = open(&ours);
        let token = authority.token(Purpose::Scheduler, 3);
        let keys = AuthorityKeys::read(authority.keys().pem().to_owned(), &token).unwrap();
        keys.save(theirs.path()).unwrap();
        keys.save(theirs.path()).unwrap();
        assert_eq!(open(&theirs).token(Purpose::Scheduler, 3).to_string(), token.to_string());
        assert_eq!(format!("{keys:?}"), "AuthorityKeys");

        let other = tempfile::tempdir().unwrap();
        open(&other);
        let refused = keys.save(other.path()).unwrap_err();
        assert!(matches!(refused, IdentityError::OtherAuthority { .. }), "{refused:?}");
        let foreign = AuthorityKeys::read(open(&other).keys().pem().to_owned(), &token);
        assert!(matches!(foreign, Err(IdentityError::NotAnIdentity)), "{foreign:?}");
    }

    #[test]
    fn a_secret_is_recognized_by_what_it_is_for_and_whether_it_is_todays() {
        let folder = tempfile::tempdir().unwrap();
        let authority = open(&folder);
        let first = Tokens::first(NOW, None);
        let second = first.rotated(Purpose::Agent, NOW, None);
        let secret = |purpose, number| authority.token(purpose, number).secret();
        let (old, new) = (secret(Purpose::Agent, 1), secret(Purpose::Agent, 2));
        let scheduler = secret(Purpose::Scheduler, 1);
        for (tokens, shown, is) in [
            (&first, &old, Shown::Current(Purpose::Agent)),
            (&first, &new, Shown::Unknown),
            (&second, &new, Shown::Current(Purpose::Agent)),
            (&second, &old, Shown::Replaced),
            (&second, &scheduler, Shown::Current(Purpose::Scheduler)),
            (&second, &"00".repeat(32), Shown::Unknown),
            (&second, &"no hexadecimal".to_owned(), Shown::Unknown),
        ] {
            assert_eq!(authority.recognize(shown, tokens), is);
        }
    }

    #[test]
    fn a_token_from_before_there_were_generations_stays_good_until_it_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let authority = open(&folder);
        assert_eq!(authority.former().unwrap(), None, "there is no such file");
        let older = JoinToken::new(&authority.certificate, [7; 32]);
        files::write(folder.path(), TOKEN_FILE, &format!("{older}\n")).unwrap();

        let tokens = Tokens::first(NOW, authority.former().unwrap());
        assert!(tokens.agents.former.as_ref().is_some_and(|it| !it.contains("0707")));
        let is = |tokens: &Tokens| authority.recognize(&older.secret(), tokens);
        assert_eq!(is(&tokens), Shown::Current(Purpose::Agent));
        assert_eq!(is(&tokens.rotated(Purpose::Agent, NOW, None)), Shown::Unknown);

        authority.publish(&tokens).unwrap();
        let kept = std::fs::read_to_string(folder.path().join(TOKEN_FILE)).unwrap();
        assert_eq!(kept.trim(), authority.token(Purpose::Agent, 1).to_string());
        assert_eq!(authority.former().unwrap(), None);
    }

    #[test]
    fn an_authority_that_was_moved_is_the_same() {
        let (ours, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        assert_eq!(Authority::export(ours.path()).unwrap(), None);
        let first = Authority::open_or_create(ours.path(), "test").unwrap();
        let pem = Authority::export(ours.path()).unwrap().unwrap();
        let moved = other.path().join("authority");
        Authority::import(&moved, &pem).unwrap();
        let second = Authority::open_or_create(&moved, "another").unwrap();
        assert_eq!(first.certificate_pem, second.certificate_pem);
        let half = pem.split_inclusive("-----END PRIVATE KEY-----\n").next().unwrap();
        let error = Authority::import(other.path(), half).unwrap_err();
        assert!(matches!(error, IdentityError::NotAnIdentity), "{error:?}");
    }

    #[test]
    fn a_token_of_another_authority_is_noticed() {
        let (ours, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        open(&other).publish(&Tokens::first(NOW, None)).unwrap();
        let authority = open(&ours);
        std::fs::copy(other.path().join(TOKEN_FILE), ours.path().join(TOKEN_FILE)).unwrap();
        let error = authority.former().unwrap_err();
        assert!(matches!(error, IdentityError::Unintelligible { .. }), "{error:?}");
    }

    #[test]
    fn who_asks_does_not_say_what_the_certificate_is_good_for() {
        let folder = tempfile::tempdir().unwrap();
        let authority = open(&folder);
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new([tls::SCHEDULER.to_owned()]).unwrap();
        params.subject_alt_names.push(SanType::URI("airglow://scheduler/me".try_into().unwrap()));
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let request = params.serialize_request(&key).unwrap().pem().unwrap();

        let bearer = Bearer { name: "h1".into(), role: Role::Agent, machine: Some("m1".into()) };
        let chain = authority.grant(&bearer, &request).unwrap();
        let certificate = CertificateDer::from_pem_slice(chain.as_bytes()).unwrap();
        assert_eq!(super::super::bearer(&certificate), Some(bearer.clone()));
        let refused = authority.grant(&bearer, "please").unwrap_err();
        assert!(matches!(refused, IdentityError::NotARequest), "{refused:?}");
    }
}
