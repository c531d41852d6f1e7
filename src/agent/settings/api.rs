//! Where the API is served, and how it is protected: `api = "ADDRESS"`, or a table with more.

use std::{net::SocketAddr, path::PathBuf};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

/// As it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(try_from = "toml::Value")]
pub(super) struct Written(ApiTable);

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct ApiTable {
    /// `127.0.0.1:8081`.
    listen: Option<SocketAddr>,
    /// Whether anybody who can connect may do anything, unencrypted.
    insecure: bool,
    /// A chain in PEM, and its key. Both are read again when they change.
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
    /// By which else this machine is called, besides its own name and addresses.
    names: Vec<String>,
    metrics: Option<MetricsFor>,
}

#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "snake_case")]
enum MetricsFor {
    Open,
    Authenticated,
}

/// How what is served is protected.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Protection {
    pub(crate) encryption: Encryption,
    /// As long as nobody is known, only this machine may ask.
    pub(crate) locked: bool,
    pub(crate) metrics_guarded: bool,
    pub(crate) names: Vec<String>,
}

#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) enum Encryption {
    #[default]
    None,
    /// With a certificate of the cluster's own authority.
    OwnAuthority,
    Files {
        certificate: PathBuf,
        key: PathBuf,
    },
}

impl TryFrom<toml::Value> for Written {
    type Error = String;

    fn try_from(value: toml::Value) -> Result<Self, String> {
        if let toml::Value::String(text) = value {
            let wrong = |_| format!("api: {text:?} is no address with a port, as 127.0.0.1:8081");
            let listen = Some(text.parse().map_err(wrong)?);
            return Ok(Self(ApiTable { listen, ..ApiTable::default() }));
        }
        ApiTable::deserialize(value).map(Self).map_err(|it| format!("api: {it}"))
    }
}

impl Written {
    pub(super) fn read(self, usually: SocketAddr) -> Result<(SocketAddr, Protection)> {
        let Self(ApiTable { listen, insecure, certificate, key, names, metrics }) = self;
        let listen = listen.unwrap_or(usually);
        let elsewhere = !listen.ip().is_loopback();
        let encryption = match (certificate, key) {
            (Some(certificate), Some(key)) => Encryption::Files { certificate, key },
            (None, None) if elsewhere && !insecure => Encryption::OwnAuthority,
            (None, None) => Encryption::None,
            (Some(_), None) => {
                bail!("api.certificate needs api.key: the file with its private key")
            }
            (None, Some(_)) => bail!("api.key needs api.certificate: the file with what it is for"),
        };
        if let Some(bad) = names.iter().find(|it| !is_name(it)) {
            bail!("api.names: {bad:?} is neither a host's name nor an address");
        }
        let metrics_guarded = match metrics {
            Some(MetricsFor::Open) => false,
            Some(MetricsFor::Authenticated) => true,
            None => elsewhere && !insecure,
        };
        let locked = elsewhere && !insecure;
        Ok((listen, Protection { encryption, locked, metrics_guarded, names }))
    }
}

fn is_name(text: &str) -> bool {
    let known = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
    !text.is_empty() && text.chars().all(known)
}

impl Encryption {
    /// The chain and the key, if they are in files.
    pub(crate) fn read_files(&self) -> Result<Option<(String, String)>> {
        let Self::Files { certificate, key } = self else { return Ok(None) };
        let read = |name: &str, path: &PathBuf| {
            let cannot = || format!("api.{name}: cannot read {}", path.display());
            std::fs::read_to_string(path).with_context(cannot)
        };
        Ok(Some((read("certificate", certificate)?, read("key", key)?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(toml: &str) -> Result<(SocketAddr, Protection)> {
        #[derive(Deserialize)]
        struct File {
            api: Option<Written>,
        }
        let file: File = toml::from_str(toml)?;
        file.api.unwrap_or_default().read("127.0.0.1:8081".parse().unwrap())
    }

    #[test]
    fn on_loopback_nothing_is_needed_and_elsewhere_everything() {
        assert_eq!(read("").unwrap().1, Protection::default());
        for (toml, encrypted, locked, guarded) in [
            ("api = '127.0.0.1:1'", false, false, false),
            ("api = '[::1]:1'", false, false, false),
            ("api = '0.0.0.0:1'", true, true, true),
            ("[api]\nlisten = '10.0.0.1:1'", true, true, true),
            ("[api]\nlisten = '10.0.0.1:1'\ninsecure = true", false, false, false),
            ("[api]\nlisten = '10.0.0.1:1'\nmetrics = 'open'", true, true, false),
            ("[api]\nmetrics = 'authenticated'", false, false, true),
            ("[api]\ncertificate = 'c'\nkey = 'k'", true, false, false),
            (
                "[api]\nlisten = '0.0.0.0:1'\ninsecure = true\ncertificate = 'c'\nkey = 'k'",
                true,
                false,
                false,
            ),
        ] {
            let it = read(toml).unwrap().1;
            let is = (it.encryption != Encryption::None, it.locked, it.metrics_guarded);
            assert_eq!(is, (encrypted, locked, guarded), "{toml}");
        }
        assert_eq!(read("api = '0.0.0.0:7'").unwrap().0.port(), 7);
    }

    #[test]
    fn what_is_wrong_is_told_with_the_settings_name() {
        for (toml, told) in [
            ("api = 'localhost:8081'", "is no address"),
            ("[api]\nlisten = 'x'", "api"),
            ("[api]\nlisne = 'x'", "unknown field `lisne`"),
            ("[api]\ncertificate = 'c'", "api.certificate needs api.key"),
            ("[api]\nkey = 'c'", "api.key needs api.certificate"),
            ("[api]\nnames = ['a b']", "api.names"),
            ("[api]\nmetrics = 'all'", "metrics"),
        ] {
            let error = format!("{:#}", read(toml).unwrap_err());
            assert!(error.contains(told), "{toml}: {error}");
        }
    }
}
