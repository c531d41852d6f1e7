//! Schedulers tell the local network that they are there (mDNS-SD, `_airglow._tcp`), and whoever
//! looks for one listens.
//!
//! What is announced is public, and proves nothing: where the mesh listens, the cluster's name, and
//! the fingerprint of its authority. Who answers there proves the rest (see [`crate::link`]).
//!
//! The library has a thread of its own for each daemon, so there is one as long as somebody is
//! announced or looked for, and none otherwise.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
};

use airglow_model::discovery::{Sighting, Sought};
use mdns_sd::{IfKind, ResolvedService, ServiceDaemon, ServiceEvent, ServiceInfo};
use tokio::{sync::Notify, task::AbortHandle};

const SERVICE: &str = "_airglow._tcp.local.";

/// Names of what is announced besides the address.
const CLUSTER: &str = "cluster";
const AUTHORITY: &str = "authority";
const ROLE: &str = "role";

/// So long may a part of a name be.
const LABEL_MAX: usize = 63;

/// However many announcements there are, no more are remembered.
const SEEN_MAX: usize = 256;

#[derive(Debug, thiserror::Error)]
#[error("cannot speak with the local network (multicast DNS)")]
pub struct DiscoveryError(#[from] mdns_sd::Error);

/// A scheduler's. It is taken back when this is dropped.
pub struct Announcement {
    daemon: ServiceDaemon,
}

impl Announcement {
    /// Of a scheduler on `host` whose mesh listens on `mesh`, on those networks that it listens on.
    /// `None` if that is none: nobody else can reach loopback.
    pub fn start(
        host: &str,
        mesh: SocketAddr,
        cluster: &str,
        authority: &str,
    ) -> Result<Option<Self>, DiscoveryError> {
        if mesh.ip().is_loopback() {
            return Ok(None);
        }
        let daemon = ServiceDaemon::new()?;
        let this = Self { daemon };
        this.daemon.disable_interface(vec![IfKind::LoopbackV4, IfKind::LoopbackV6])?;
        let name = label(&format!("{host}-{}", mesh.port()));
        let server = format!("{name}.local.");
        let text = [(CLUSTER, cluster), (AUTHORITY, authority), (ROLE, "scheduler")];
        let service =
            |ip: &str| ServiceInfo::new(SERVICE, &name, &server, ip, mesh.port(), &text[..]);
        let service = match mesh.ip() {
            ip if ip.is_unspecified() => {
                if ip.is_ipv4() {
                    this.daemon.disable_interface(IfKind::IPv6)?;
                }
                service("")?.enable_addr_auto()
            }
            ip => {
                this.daemon.disable_interface(IfKind::All)?;
                this.daemon.enable_interface(IfKind::Addr(ip))?;
                service(&ip.to_string())?
            }
        };
        this.daemon.register(service)?;
        Ok(Some(this))
    }
}

impl Drop for Announcement {
    fn drop(&mut self) {
        shut_down(&self.daemon);
    }
}

/// Says farewell to everybody, if there is somebody left to say it.
fn shut_down(daemon: &ServiceDaemon) {
    if let Err(error) = daemon.shutdown() {
        tracing::debug!(%error, "multicast DNS has ended before");
    }
}

/// Looks for schedulers until it is dropped.
pub struct Search {
    daemon: ServiceDaemon,
    seen: Arc<Seen>,
    listening: AbortHandle,
}

#[derive(Debug, Default)]
struct Seen {
    /// By the names under which they are announced.
    sightings: Mutex<BTreeMap<String, Sighting>>,
    changed: Notify,
}

impl Search {
    /// Must be called within a tokio runtime, which then does the listening.
    pub fn start() -> Result<Self, DiscoveryError> {
        let daemon = ServiceDaemon::new()?;
        let events = daemon.browse(SERVICE)?;
        let seen = Arc::new(Seen::default());
        let told = seen.clone();
        let listening = tokio::spawn(async move {
            while let Ok(event) = events.recv_async().await {
                told.hear(event);
            }
        });
        Ok(Self { daemon, seen, listening: listening.abort_handle() })
    }

    /// Everybody who is announced now.
    pub fn seen(&self) -> Vec<Sighting> {
        self.seen.lock().values().cloned().collect()
    }

    /// Waits until some of those that are sought are there: where.
    pub async fn find(&self, sought: &Sought) -> Vec<SocketAddr> {
        loop {
            let changed = self.seen.changed.notified();
            let addrs = sought.addrs(&self.seen());
            if !addrs.is_empty() {
                return addrs;
            }
            changed.await;
        }
    }
}

impl Drop for Search {
    fn drop(&mut self) {
        self.listening.abort();
        shut_down(&self.daemon);
    }
}

impl Seen {
    #[expect(clippy::wildcard_enum_match_arm, reason = "the library may add to its events")]
    fn hear(&self, event: ServiceEvent) {
        match event {
            // Several times, as more of its addresses are heard.
            ServiceEvent::ServiceResolved(service) => {
                let Some(sighting) = sighting(&service) else { return };
                let mut sightings = self.lock();
                if sightings.len() < SEEN_MAX || sightings.contains_key(&service.fullname) {
                    sightings.insert(service.fullname.clone(), sighting);
                }
            }
            ServiceEvent::ServiceRemoved(_, name) => drop(self.lock().remove(&name)),
            _ => return,
        }
        self.changed.notify_waiters();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Sighting>> {
        self.sightings.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `None` of something else that has taken our name.
fn sighting(service: &ResolvedService) -> Option<Sighting> {
    let property = |name| service.txt_properties.get_property_val_str(name).map(str::to_owned);
    let (cluster, authority) = (property(CLUSTER)?, property(AUTHORITY)?);
    let ips = service.addresses.iter().map(mdns_sd::ScopedIp::to_ip_addr);
    let mut addrs: Vec<_> =
        ips.filter(is_reachable).map(|ip| SocketAddr::new(ip, service.port)).collect();
    addrs.sort();
    (!addrs.is_empty()).then_some(Sighting { cluster, authority, addrs })
}

/// By its address alone; those of a link need to be told which.
fn is_reachable(ip: &IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => !ip.is_loopback() && !ip.is_unspecified(),
        IpAddr::V6(ip) => !ip.is_loopback() && !ip.is_unspecified() && !ip.is_unicast_link_local(),
    }
}

/// A name as one part of a domain's.
fn label(name: &str) -> String {
    let plain = name.chars().map(|it| if it.is_ascii_alphanumeric() { it } else { '-' });
    let plain: String = plain.collect();
    // The end tells more than the beginning.
    let skipped = plain.len().saturating_sub(LABEL_MAX);
    plain[skipped..].trim_matches('-').to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_made_fit() {
        assert_eq!(label("rack-1.example.org-8082"), "rack-1-example-org-8082");
        assert_eq!(label("_Über_-8082"), "ber--8082");
        let long = label(&format!("{}-8082", "x".repeat(300)));
        assert!(long.len() == LABEL_MAX && long.ends_with("x-8082"), "{long}");
    }

    #[test]
    fn loopback_is_not_announced() {
        let mesh = SocketAddr::from(([127, 0, 0, 1], 8082));
        assert!(Announcement::start("h", mesh, "c", "a").unwrap().is_none());
    }

    #[test]
    fn only_addresses_that_others_can_use_are_remembered() {
        for (ip, is_useful) in [
            ("10.0.0.1", true),
            ("169.254.1.1", true),
            ("127.0.0.1", false),
            ("fd00::1", true),
            ("fe80::1", false),
            ("::1", false),
        ] {
            assert_eq!(is_reachable(&ip.parse().unwrap()), is_useful, "{ip}");
        }
    }
}
