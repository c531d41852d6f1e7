//! The certificate of the API: from the operator's files, which are read again when they change, or
//! from the cluster's own authority, which makes another long before one ends.

use std::{
    fs,
    net::{IpAddr, SocketAddr},
    path::Path,
    sync::Arc,
    time::{Duration, SystemTime},
};

use airglow_kit::now;
use airglow_scheduler::Scheduler;
use airglow_web::{Certificate, Config};
use anyhow::{Context, Result};

use super::settings::{Encryption, Settings};

const LASTS: Duration = Duration::from_secs(90 * 24 * 60 * 60);
const ANOTHER_AFTER: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// How often it is looked whether something has to be renewed.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// In the data folder: what clients need.
const FOR_CLIENTS: &str = "api-authority.pem";

/// How the API is served, with a certificate that is kept fresh as long as this runtime lives.
pub(super) fn put_on(settings: &Settings, scheduler: &Scheduler, at: SocketAddr) -> Result<Config> {
    let mut names = settings.protection.names.clone();
    names.push(settings.host.to_string());
    let certificate = match &settings.protection.encryption {
        Encryption::None => None,
        Encryption::OwnAuthority => {
            let names = all_names(names.clone(), at);
            tell_clients(settings, scheduler, &names)?;
            Some(own(scheduler.clone(), names)?)
        }
        files @ Encryption::Files { certificate, key } => {
            Some(from_files(files.clone(), [certificate, key])?)
        }
    };
    warn(settings, scheduler, at);
    let (locked, metrics_guarded) =
        (settings.protection.locked, settings.protection.metrics_guarded);
    Ok(Config { names, certificate, locked, metrics_guarded })
}

/// What an operator should know who lets others in.
fn warn(settings: &Settings, scheduler: &Scheduler, at: SocketAddr) {
    let nobody = scheduler.accounts(airglow_model::access::Accounts::are_none);
    if !at.ip().is_loopback() && !settings.protection.locked {
        tracing::warn!("[api] insecure: whoever can connect to {at} can do anything");
    } else if settings.protection.locked && nobody {
        tracing::warn!(
            "nobody is known who may use the API at {at}, so only this machine may: \
             `airglow admin user add NAME --admin`, typed here, makes the first user"
        );
    }
}

/// By which somebody may have called it.
fn all_names(mut names: Vec<String>, at: SocketAddr) -> Vec<String> {
    names.push("localhost".into());
    let local = if_addrs::get_if_addrs().unwrap_or_default().into_iter().map(|it| it.ip());
    let usual = [IpAddr::from([127, 0, 0, 1]), IpAddr::from(1_u128.to_be_bytes())];
    let mut addresses: Vec<_> = local.chain(usual).collect();
    if !at.ip().is_unspecified() {
        addresses.push(at.ip());
    }
    addresses.sort();
    addresses.dedup();
    names.extend(addresses.iter().map(ToString::to_string));
    let mut known = std::collections::BTreeSet::new();
    names.retain(|it| known.insert(it.clone()));
    names
}

fn tell_clients(settings: &Settings, scheduler: &Scheduler, names: &[String]) -> Result<()> {
    let path = settings.data.join(FOR_CLIENTS);
    fs::write(&path, scheduler.authority().certificate_pem())
        .with_context(|| format!("cannot write {}", path.display()))?;
    tracing::info!(
        names = names.join(" "),
        "the API has a certificate of the cluster's own authority: clients believe it that have {} \
         as --cacert, in AIRGLOW_CACERT, or as cacert in clusters.json",
        path.display()
    );
    Ok(())
}

fn own(scheduler: Scheduler, names: Vec<String>) -> Result<Arc<Certificate>> {
    let issue = move || scheduler.authority().issue_face(names.clone(), now(), LASTS);
    let pem = issue().context("cannot make a certificate for the API")?;
    let certificate = Arc::new(Certificate::new(&pem, &pem)?);
    let (fresh, mut made_at) = (certificate.clone(), now());
    keep_fresh(move || {
        if now() < made_at + ANOTHER_AFTER {
            return Ok(false);
        }
        let pem = issue()?;
        fresh.replace(&pem, &pem)?;
        made_at = now();
        Ok(true)
    });
    Ok(certificate)
}

fn from_files<P: AsRef<Path>>(files: Encryption, paths: [P; 2]) -> Result<Arc<Certificate>> {
    let read = move || files.read_files().map(Option::unwrap_or_default);
    let (chain, key) = read()?;
    let [certificate, _] = &paths;
    let unusable = format!("api.certificate: {} cannot be used", certificate.as_ref().display());
    let certificate = Arc::new(Certificate::new(&chain, &key).context(unusable)?);
    let fresh = certificate.clone();
    let paths = paths.map(|it| it.as_ref().to_owned());
    let mut seen = paths.clone().map(changed_at);
    keep_fresh(move || {
        let newest = paths.clone().map(changed_at);
        if newest == seen {
            return Ok(false);
        }
        let (chain, key) = read()?;
        fresh.replace(&chain, &key)?;
        seen = newest;
        Ok(true)
    });
    Ok(certificate)
}

fn changed_at(path: impl AsRef<Path>) -> Option<SystemTime> {
    fs::metadata(path).and_then(|it| it.modified()).ok()
}

/// One that cannot be had is asked for again, and until then the old one is served.
fn keep_fresh(mut renew: impl FnMut() -> Result<bool> + 'static) {
    actix_rt::spawn(async move {
        let mut told = None;
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            match renew() {
                Ok(false) => {}
                Ok(true) => {
                    told = None;
                    tracing::info!("the API has a new certificate");
                }
                Err(error) => {
                    let error = format!("{error:#}");
                    if told.as_ref() != Some(&error) {
                        tracing::error!(error, "the API goes on with its old certificate");
                        told = Some(error);
                    }
                }
            }
        }
    });
}
