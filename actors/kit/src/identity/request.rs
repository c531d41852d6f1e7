//! Asking for a certificate.

use rcgen::{CertificateParams, DnType, KeyPair};

use super::{Identity, IdentityError, JoinToken};

/// A key of one's own, and the request that it be certified.
pub struct Request {
    key: KeyPair,
    pem: String,
}

impl Request {
    /// What is certified is for the authority to say; the name is for whoever reads the request.
    pub fn new(name: &str) -> Result<Self, IdentityError> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        let pem = params.serialize_request(&key)?.pem()?;
        Ok(Self { key, pem })
    }

    /// What the authority is to be shown.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// `chain` is the certificate and the authority's, which has to be the token's.
    pub(crate) fn granted(self, chain: &str, token: &JoinToken) -> Result<Identity, IdentityError> {
        let identity = self.certified(chain)?;
        if !token.is_for(&identity.authority) {
            return Err(IdentityError::NotAnIdentity);
        }
        Ok(identity)
    }

    /// What takes the place of `older`: the same one's, by the same authority.
    pub fn renewed(self, chain: &str, older: &Identity) -> Result<Identity, IdentityError> {
        let identity = self.certified(chain)?;
        let is_like = |it: &Identity| {
            (it.name(), it.role(), &it.authority) == (older.name(), older.role(), &older.authority)
        };
        Some(identity).filter(is_like).ok_or(IdentityError::NotAnIdentity)
    }

    fn certified(self, chain: &str) -> Result<Identity, IdentityError> {
        let identity = Identity::from_pem(self.key.serialize_pem() + chain)?;
        // Fails unless the certificate is for this key.
        identity.calling().map(|_| identity)
    }
}
