//! Leave to join a cluster, as text that can be pasted.

use std::{fmt, str::FromStr};

use rustls::pki_types::CertificateDer;
use sha2::{Digest, Sha256};

/// `airglow-1-<SHA-256 of the authority's certificate>-<secret>`: which cluster, and leave to join
/// it. Whoever has it can become a new agent of the cluster, or one of its schedulers, so it is
/// shown when asked for, and never logged.
#[derive(Clone)]
pub struct JoinToken {
    fingerprint: [u8; 32],
    secret: [u8; 32],
}

/// The text is not a join token.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("this is not a join token: those begin with airglow-1- and are 139 characters long")]
pub struct NotAToken;

const PREFIX: &str = "airglow-1-";

impl JoinToken {
    pub(super) fn new(authority: &CertificateDer<'_>, secret: [u8; 32]) -> Self {
        Self { fingerprint: fingerprint(authority), secret }
    }

    /// Which authority it is of: its certificate's fingerprint, in hexadecimal digits. No secret.
    pub fn pin(&self) -> String {
        hex(&self.fingerprint)
    }

    /// Whether this token is for the cluster of that authority.
    pub(crate) fn is_for(&self, authority: &CertificateDer<'_>) -> bool {
        self.fingerprint == fingerprint(authority)
    }

    /// What to show to a scheduler, once it has proved to be of that cluster.
    pub(crate) fn secret(&self) -> String {
        hex(&self.secret)
    }

    pub(super) fn has_secret(&self, secret: &[u8; 32]) -> bool {
        is_same(&self.secret, secret)
    }

    /// By which the secret is recognized, and from which nobody can make it.
    pub(super) fn digest(&self) -> String {
        digest(&self.secret)
    }
}

/// Takes as long for a secret that is nearly right as for one that is not.
pub(super) fn is_same(ours: &[u8; 32], shown: &[u8; 32]) -> bool {
    let differences = ours.iter().zip(shown).fold(0, |all, (&ours, theirs)| all | (ours ^ theirs));
    std::hint::black_box(differences) == 0
}

pub(super) fn digest(secret: &[u8; 32]) -> String {
    hex(&Sha256::digest(secret).into())
}

/// With its secret: this is how it is handed out.
impl fmt::Display for JoinToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}-{}", hex(&self.fingerprint), hex(&self.secret))
    }
}

/// Without its secret.
impl fmt::Debug for JoinToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}-…", hex(&self.fingerprint))
    }
}

impl FromStr for JoinToken {
    type Err = NotAToken;

    fn from_str(text: &str) -> Result<Self, NotAToken> {
        let rest = text.trim().strip_prefix(PREFIX).ok_or(NotAToken)?;
        let (fingerprint, secret) = rest.split_once('-').ok_or(NotAToken)?;
        let parse = |text| unhex(text).ok_or(NotAToken);
        Ok(Self { fingerprint: parse(fingerprint)?, secret: parse(secret)? })
    }
}

/// How an authority is told from others.
pub(super) fn pin(authority: &CertificateDer<'_>) -> String {
    hex(&fingerprint(authority))
}

fn fingerprint(certificate: &CertificateDer<'_>) -> [u8; 32] {
    Sha256::digest(certificate).into()
}

fn hex(bytes: &[u8; 32]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(super) fn unhex(text: &str) -> Option<[u8; 32]> {
    let digits = text.as_bytes();
    if digits.len() != 64 || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks(2)) {
        *byte = u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token() -> JoinToken {
        JoinToken { fingerprint: [0xab; 32], secret: [0x01; 32] }
    }

    #[test]
    fn a_token_survives_being_pasted() {
        let text = token().to_string();
        assert_eq!(text.len(), 139);
        let read: JoinToken = format!(" {text}\n").parse().unwrap();
        assert_eq!(read.to_string(), text);
        for bad in ["", "airglow-1-", &text[..138], &text.replace('b', "g"), &text[1..]] {
            assert_eq!(bad.parse::<JoinToken>().unwrap_err(), NotAToken, "{bad}");
        }
    }

    #[test]
    fn a_token_keeps_its_secret_in_logs() {
        assert!(!format!("{:?}", token()).contains("0101"));
    }

    #[test]
    fn only_the_secret_itself_will_do() {
        assert_eq!(unhex(&"01".repeat(32)), Some([1; 32]));
        assert!(token().has_secret(&[1; 32]) && !token().has_secret(&[2; 32]));
        for wrong in ["", &"01".repeat(31), &"é1".repeat(32)] {
            assert_eq!(unhex(wrong), None, "{wrong}");
        }
        assert!(!token().digest().contains("0101"));
    }
}
