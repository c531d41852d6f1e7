//! The certificate under which a scheduler shows itself to people and their programs, where nobody
//! gives it another. Whoever knows the authority believes it; on the mesh it is nobody's, because it
//! says no name there.

use std::time::Duration;

use airglow_model::machine::Timestamp;
use rcgen::{
    CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose, date_time_ymd,
};

use super::{Authority, IdentityError};

/// Clocks differ, and a certificate that is not valid yet helps nobody.
const BEFORE: Duration = Duration::from_secs(24 * 60 * 60);

impl Authority {
    /// A new key and a certificate for a server of these names and addresses, in PEM.
    pub fn issue_face(
        &self,
        names: Vec<String>,
        now: Timestamp,
        lasts: Duration,
    ) -> Result<String, IdentityError> {
        let call = names.first().cloned().unwrap_or_default();
        let mut params = CertificateParams::new(names)?;
        params.distinguished_name.push(DnType::CommonName, call);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let now = date_time_ymd(1970, 1, 1) + Duration::from_millis(now.0);
        (params.not_before, params.not_after) = (now - BEFORE, now + lasts);
        let key = KeyPair::generate()?;
        Ok(key.serialize_pem() + &params.signed_by(&key, &self.issuer)?.pem())
    }

    /// What clients need to believe it. It is no secret.
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }
}

#[cfg(test)]
mod tests {
    use rustls::pki_types::{CertificateDer, pem::PemObject};
    use x509_parser::prelude::{FromDer, X509Certificate};

    use super::*;
    use crate::identity::bearer;

    #[test]
    fn it_is_for_a_while_and_nobodys_on_the_mesh() {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::open_or_create(folder.path(), "test").unwrap();
        let names = vec!["a1.example".to_owned(), "10.0.0.7".to_owned()];
        let now = Timestamp(1_800_000_000_000);
        let pem = authority.issue_face(names, now, Duration::from_secs(3600)).unwrap();
        let der = CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
        assert!(bearer(&der).is_none());
        let (_, certificate) = X509Certificate::from_der(&der).unwrap();
        let validity = certificate.validity();
        assert_eq!(validity.not_after.timestamp(), 1_800_000_000 + 3600);
        assert_eq!(validity.not_before.timestamp(), 1_800_000_000 - 86_400);
        let ca = CertificateDer::from_pem_slice(authority.certificate_pem().as_bytes()).unwrap();
        let (_, ca) = X509Certificate::from_der(&ca).unwrap();
        assert!(certificate.verify_signature(Some(ca.public_key())).is_ok());
        assert!(!authority.certificate_pem().contains("PRIVATE"));
    }
}
