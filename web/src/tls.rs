//! The certificate under which the API is served. It can be replaced while connections are open:
//! those that begin later get the new one.

use std::{
    fmt,
    sync::{Arc, PoisonError, RwLock},
};

use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};

/// A chain of certificates, the site's own first, and its key.
pub struct Certificate(RwLock<Arc<CertifiedKey>>);

#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    #[error("there is no certificate in PEM")]
    NoCertificate,
    #[error("there is no private key in PEM")]
    NoKey,
    #[error("the certificate and its key cannot be used together")]
    Unusable(#[source] rustls::Error),
}

impl Certificate {
    /// From PEM; both may be in the same text.
    pub fn new(chain: &str, key: &str) -> Result<Self, CertificateError> {
        Ok(Self(RwLock::new(Arc::new(read(chain, key)?))))
    }

    /// What is wrong changes nothing.
    pub fn replace(&self, chain: &str, key: &str) -> Result<(), CertificateError> {
        let new = Arc::new(read(chain, key)?);
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = new;
        Ok(())
    }

    pub(crate) fn server(self: Arc<Self>) -> Result<ServerConfig, rustls::Error> {
        let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let builder = builder.with_safe_default_protocol_versions()?;
        Ok(builder.with_no_client_auth().with_cert_resolver(self))
    }
}

fn read(chain: &str, key: &str) -> Result<CertifiedKey, CertificateError> {
    let chain = CertificateDer::pem_slice_iter(chain.as_bytes()).collect::<Result<Vec<_>, _>>();
    let chain = chain.ok().filter(|it| !it.is_empty()).ok_or(CertificateError::NoCertificate)?;
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes());
    let key = key.map_err(|_| CertificateError::NoKey)?;
    CertifiedKey::from_der(chain, key, &ring::default_provider())
        .map_err(CertificateError::Unusable)
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.read().unwrap_or_else(PoisonError::into_inner).clone())
    }
}

/// Without its key.
impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate").finish_non_exhaustive()
    }
}
