//! Secrets, and what is kept of them.
//!
//! A pass is 256 random bits, so one round of SHA-256 is all that its hash needs. A password is what
//! somebody could remember, so its hash is made to be slow (Argon2id, with the parameters that the
//! crate takes from OWASP), and never on a thread that others wait for.

use std::sync::OnceLock;

use airglow_model::access::Hash;
use airglow_scheduler::random;
use argon2::{
    Argon2, PasswordHash, PasswordHasher, PasswordVerifier,
    password_hash::{self, SaltString},
};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::api::Secret;

/// Programs that look for secrets in places where none should be know it by this.
const PREFIX: &str = "airglow_";

/// A new pass: the part of it that is no secret, all of it, and what is kept.
pub(crate) fn new_pass() -> (String, Secret, Hash) {
    let id = hex(&random::<8>());
    let text = format!("{PREFIX}{id}_{}", hex(&random::<32>()));
    let hash = hash(&text);
    (id, Secret(text), hash)
}

/// The part of it that is no secret, if it looks like a pass at all.
pub(crate) fn id_of(pass: &str) -> Option<&str> {
    let (id, secret) = pass.strip_prefix(PREFIX)?.split_once('_')?;
    let is_hex = |it: &str| it.bytes().all(|it| it.is_ascii_hexdigit());
    (id.len() == 16 && secret.len() == 64 && is_hex(id) && is_hex(secret)).then_some(id)
}

pub(crate) fn hash(pass: &str) -> Hash {
    Hash(hex(&Sha256::digest(pass)))
}

/// Takes as long whatever the difference. Nobody is compared with nothing in particular.
pub(crate) fn is_of(pass: &str, kept: Option<&Hash>) -> bool {
    let nothing = Hash(String::new());
    let (shown, kept) = (hash(pass), kept.unwrap_or(&nothing));
    shown.0.as_bytes().ct_eq(kept.0.as_bytes()).into()
}

/// Slow: not for an actor's thread.
pub(crate) fn hash_password(password: &Secret) -> Result<Hash, password_hash::Error> {
    let salt = SaltString::encode_b64(&random::<16>())?;
    let hash = Argon2::default().hash_password(password.0.as_bytes(), &salt)?;
    Ok(Hash(hash.to_string()))
}

/// Slow, and as slow for a user that there is not.
pub(crate) fn is_password(password: &Secret, kept: Option<&Hash>) -> bool {
    static NOBODYS: OnceLock<Option<Hash>> = OnceLock::new();
    let nobodys = || {
        let secret = Secret(hex(&random::<32>()));
        NOBODYS.get_or_init(|| hash_password(&secret).ok()).as_ref()
    };
    let Some(hash) = kept.or_else(nobodys) else { return false };
    let Ok(hash) = PasswordHash::new(&hash.0) else { return false };
    let matches = Argon2::default().verify_password(password.0.as_bytes(), &hash).is_ok();
    matches && kept.is_some()
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a string takes everything");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pass_is_known_by_its_hash_only() {
        let (id, pass, hash) = new_pass();
        assert_eq!(id_of(&pass.0), Some(id.as_str()));
        assert!(is_of(&pass.0, Some(&hash)) && !is_of(&pass.0, None));
        assert!(!hash.0.contains(&pass.0[25..]) && !format!("{pass:?}{hash:?}").contains(&id));
        let (_, other, _) = new_pass();
        assert!(!is_of(&other.0, Some(&hash)));
        for bad in ["", "airglow_", "airglow_12_34", &pass.0[1..], &format!("{}0", pass.0)] {
            assert_eq!(id_of(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_password_is_verified_and_never_for_nobody() {
        let secret = |it: &str| Secret(it.into());
        let kept = hash_password(&secret("correct horse")).unwrap();
        assert!(kept.0.starts_with("$argon2id$"), "{}", kept.0);
        assert_ne!(kept, hash_password(&secret("correct horse")).unwrap(), "salted");
        assert!(is_password(&secret("correct horse"), Some(&kept)));
        assert!(!is_password(&secret("correct hors"), Some(&kept)));
        assert!(!is_password(&secret("correct horse"), None));
        assert!(!is_password(&secret(""), Some(&Hash("nonsense".into()))));
    }
}
