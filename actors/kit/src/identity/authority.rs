//! The cluster's own certificate authority.

use std::path::Path;

use airglow_model::ids::is_identifier;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, PublicKeyData, SanType,
};
use rustls::pki_types::{CertificateDer, pem::PemObject};

use super::{Identity, IdentityError, JoinToken, Role, address, files, tls};

/// Says who is who, and who may join.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate_pem: String,
    token: JoinToken,
}

/// Why a host may not join.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Refusal {
    #[error("the join token is wrong")]
    Token,
    #[error("the name is not one that a host can have")]
    Name,
    #[error("the request for a certificate is not one")]
    Request,
}

/// Key and certificate.
const FILE: &str = "authority.pem";
const TOKEN_FILE: &str = "join-token";

impl Authority {
    /// What `folder` holds, else a new one, which calls itself after `cluster`.
    pub fn open_or_create(folder: &Path, cluster: &str) -> Result<Self, IdentityError> {
        let path = folder.join(FILE);
        let pem = match files::read(&path)? {
            Some(pem) => pem,
            None => {
                let pem = new_authority(cluster)?;
                files::write(folder, FILE, &pem)?;
                pem
            }
        };
        let unintelligible = |_| IdentityError::Unintelligible { path: path.clone() };
        let certificate =
            CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|_| unintelligible(()))?;
        let key = KeyPair::from_pem(&pem).map_err(|_| unintelligible(()))?;
        let issuer = Issuer::from_ca_cert_der(&certificate, key).map_err(|_| unintelligible(()))?;
        let certificate_pem = pem[pem.rfind("-----BEGIN").unwrap_or_default()..].to_owned();
        let token = token(folder, &certificate)?;
        Ok(Self { issuer, certificate_pem, token })
    }

    /// What a host has to show to join. It is also in the file `join-token` of the folder.
    pub fn token(&self) -> &JoinToken {
        &self.token
    }

    /// A new key, and a certificate that it is `name`'s.
    pub fn issue(&self, role: Role, name: &str) -> Result<Identity, IdentityError> {
        if !is_identifier(name) {
            return Err(IdentityError::Name { name: name.to_owned() });
        }
        let key = KeyPair::generate()?;
        let certificate = self.certify(role, name, &key)?;
        Identity::from_pem(key.serialize_pem() + &certificate + &self.certificate_pem)
    }

    /// A certificate for whoever made `request`, and the authority's, if `secret` is the token's.
    /// Nothing but the public key is taken from the request: who asks does not say what the
    /// certificate is good for.
    pub(crate) fn admit(&self, secret: &str, name: &str, request: &str) -> Result<String, Refusal> {
        if !self.token.has_secret(secret) {
            return Err(Refusal::Token);
        }
        if !is_identifier(name) {
            return Err(Refusal::Name);
        }
        // Reading it verifies that whoever asks has the private key.
        let request = CertificateSigningRequestParams::from_pem(request);
        let request = request.map_err(|_| Refusal::Request)?;
        let certificate = self.certify(Role::Agent, name, &request.public_key);
        Ok(certificate.map_err(|_| Refusal::Request)? + &self.certificate_pem)
    }

    fn certify(
        &self,
        role: Role,
        name: &str,
        key: &impl PublicKeyData,
    ) -> Result<String, rcgen::Error> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.subject_alt_names = vec![SanType::URI(address(role, name).try_into()?)];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        match role {
            Role::Scheduler => {
                params.subject_alt_names.push(SanType::DnsName(tls::SCHEDULER.try_into()?));
                params.extended_key_usages.push(ExtendedKeyUsagePurpose::ServerAuth);
            }
            Role::Agent => {}
        }
        Ok(params.signed_by(key, &self.issuer)?.pem())
    }
}

fn new_authority(cluster: &str) -> Result<String, IdentityError> {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, format!("Airglow cluster {cluster}"));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let key = KeyPair::generate()?;
    Ok(key.serialize_pem() + &params.self_signed(&key)?.pem())
}

fn token(folder: &Path, certificate: &CertificateDer<'_>) -> Result<JoinToken, IdentityError> {
    let path = folder.join(TOKEN_FILE);
    if let Some(text) = files::read(&path)? {
        let token = text.parse::<JoinToken>().ok().filter(|token| token.is_for(certificate));
        return token.ok_or(IdentityError::Unintelligible { path });
    }
    let secret = tls::random()?;
    let token = JoinToken::new(certificate, secret);
    files::write(folder, TOKEN_FILE, &format!("{token}\n"))?;
    Ok(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_authority_is_made_once() {
        let folder = tempfile::tempdir().unwrap();
        let open = || Authority::open_or_create(folder.path(), "test").unwrap();
        let (first, second) = (open(), open());
        assert_eq!(first.token().to_string(), second.token().to_string());
        assert_eq!(first.certificate_pem, second.certificate_pem);
    }

    #[test]
    fn a_token_of_another_authority_is_noticed() {
        let (ours, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        for folder in [&ours, &other] {
            Authority::open_or_create(folder.path(), "test").unwrap();
        }
        let token = |folder: &tempfile::TempDir| folder.path().join(TOKEN_FILE);
        std::fs::copy(token(&other), token(&ours)).unwrap();
        let error = Authority::open_or_create(ours.path(), "test").err().unwrap();
        assert!(matches!(error, IdentityError::Unintelligible { .. }), "{error:?}");
    }

    #[test]
    fn who_asks_does_not_say_what_the_certificate_is_good_for() {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::open_or_create(folder.path(), "test").unwrap();
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new([tls::SCHEDULER.to_owned()]).unwrap();
        params.subject_alt_names.push(SanType::URI("airglow://scheduler/me".try_into().unwrap()));
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let request = params.serialize_request(&key).unwrap().pem().unwrap();

        let secret = authority.token().secret();
        let admit = |secret: &str, name: &str, request: &str| {
            authority.admit(secret, name, request).map(|pem| {
                let certificate = CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
                super::super::bearer(&certificate).unwrap()
            })
        };
        assert_eq!(admit(&secret, "h1", &request), Ok((Role::Agent, "h1".to_owned())));
        assert_eq!(admit(&"00".repeat(32), "h1", &request), Err(Refusal::Token));
        assert_eq!(admit(&secret, "../h1", &request), Err(Refusal::Name));
        assert_eq!(admit(&secret, "h1", "please"), Err(Refusal::Request));
    }
}
