//! What other schedulers have to know of this one, and how this one becomes one of them.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    time::Duration,
};

use airglow_kit::{
    identity::{self, Authority},
    link::LinkError,
};
use airglow_scheduler::{AUTHORITY, Past, Peering, SCHEDULER, recruit};
use anyhow::{Result, bail};

use super::{Settings, finding, join_any, settings::Encryption, sought};

/// How long to wait before the others are asked again.
const AGAIN_AFTER: Duration = Duration::from_secs(2);

/// Where schedulers are whose records this one is to share. It is certified by their cluster when
/// this returns; which may take until one of them is found.
pub(super) async fn join(settings: &Settings) -> Result<Vec<SocketAddr>> {
    let given: Vec<_> = settings.join.into_iter().collect();
    if given.is_empty() && settings.token.is_none() {
        return Ok(given);
    }
    let data = settings.data.join(SCHEDULER);
    match recruit(&data)? {
        Past::Member(known) => Ok([given, known].concat()),
        Past::Newcomer => join_others(settings, given).await,
        // The token is of when it was to join, or for others.
        Past::Own if given.is_empty() => Ok(given),
        Past::Own => bail!(
            "{} holds records of a cluster of its own: move it away to join another one, or do \
             without --join",
            data.display()
        ),
    }
}

async fn join_others(settings: &Settings, mut others: Vec<SocketAddr>) -> Result<Vec<SocketAddr>> {
    if settings.mesh.ip().is_loopback() && !others.iter().all(|it| it.ip().is_loopback()) {
        bail!(
            "the other schedulers cannot reach this one on {}: say mesh = \"0.0.0.0:8082\" in the \
             configuration",
            settings.mesh
        );
    }
    let folder = settings.data.join(SCHEDULER).join(AUTHORITY);
    let authority = Authority::open(&folder)?;
    let pin = match (&authority, &settings.token) {
        (Some(own), Some(token)) if own.pin() != token.pin() => bail!(
            "{} holds the authority of another cluster than the token's: move it away",
            folder.display()
        ),
        (Some(authority), _) => authority.pin(),
        (None, Some(token)) => token.pin(),
        (None, None) => bail!(
            "this machine is no scheduler of that cluster yet: put the schedulers' token, which \
             `airglow admin token show --for schedulers` prints where one of them is, into \
             AIRGLOW_TOKEN, or into a file that token_file names in the settings"
        ),
    };
    if others.is_empty() {
        if !settings.discovery {
            bail!("no scheduler to join: say --join HOST:PORT, or mesh.discovery = true");
        }
        others = finding::find(&sought(settings, pin)).await?;
    }
    if let (None, Some(token)) = (authority, &settings.token) {
        let machine = identity::machine(&settings.data)?;
        let joined = loop {
            match join_any(&others, token, &settings.host, &machine).await {
                Err(error) if may_pass(&error) => {
                    tracing::warn!("cannot join yet, and goes on trying: {error:#}");
                    tokio::time::sleep(AGAIN_AFTER).await;
                }
                joined => break joined?,
            }
        };
        let Some(keys) = joined.authority else {
            bail!(
                "this token is for agents: take the schedulers' (`airglow admin token show`), or \
                 do without --scheduler"
            );
        };
        keys.save(&folder)?;
        tracing::info!("this scheduler may share the records of the others");
    }
    Ok(others)
}

/// They may be starting, or busy.
fn may_pass(error: &anyhow::Error) -> bool {
    let error = error.downcast_ref();
    matches!(error, Some(LinkError::Connect { .. } | LinkError::Slow { .. } | LinkError::Broken(_)))
}

/// `api` is where the API is served, `join` where other schedulers are.
pub(super) fn peering(settings: &Settings, api: SocketAddr, join: Vec<SocketAddr>) -> Peering {
    let ip = own_ip(join.first().copied());
    let api = found_at(settings, api, ip).unwrap_or_default();
    Peering { name: settings.host.to_string(), ip, api, join }
}

/// As a browser has it; `None`: only from this machine.
fn found_at(settings: &Settings, mut at: SocketAddr, ip: Option<IpAddr>) -> Option<String> {
    if at.ip().is_loopback() && !settings.mesh.ip().is_loopback() {
        return None;
    }
    if let Some(ip) = ip.filter(|_| at.ip().is_unspecified()) {
        at.set_ip(ip);
    }
    let (port, protection) = (at.port(), &settings.protection);
    let named = protection.names.first();
    Some(match (&protection.encryption, named) {
        (Encryption::None, _) => format!("http://{at}"),
        // Others' certificates are rarely for addresses.
        (Encryption::Files { .. }, Some(name)) => format!("https://{name}:{port}"),
        (Encryption::Files { .. }, None) => format!("https://{}:{port}", settings.host),
        (Encryption::OwnAuthority, _) => format!("https://{at}"),
    })
}

/// The address that this machine has towards the other one, or towards the rest of the world, or any
/// if there is no way there.
fn own_ip(towards: Option<SocketAddr>) -> Option<IpAddr> {
    let anywhere = SocketAddr::from((Ipv4Addr::new(192, 0, 2, 1), 9));
    on_the_way(towards.unwrap_or(anywhere)).or_else(|| {
        let own = if_addrs::get_if_addrs().ok()?.into_iter().map(|it| it.ip());
        own.filter(|it| !it.is_loopback()).max_by_key(IpAddr::is_ipv4)
    })
}

/// Nothing is sent: the system only looks which way that would be.
fn on_the_way(to: SocketAddr) -> Option<IpAddr> {
    let any: IpAddr = match to {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0)).ok()?;
    socket.connect(to).ok()?;
    socket.local_addr().ok().map(|it| it.ip())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn towards_this_machine_it_is_found_on_loopback() {
        let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, 8082));
        assert_eq!(own_ip(Some(loopback)), Some(Ipv4Addr::LOCALHOST.into()));
    }
}
