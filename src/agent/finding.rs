//! Finding the cluster's schedulers in the local network, and telling whoever waits for it how it
//! goes.

use std::{net::SocketAddr, time::Duration};

use airglow_kit::discovery::{Announcement, Search};
use airglow_model::discovery::Sought;
use anyhow::Result;

use super::Settings;

/// How long it takes until somebody might wonder; and how often they are told again.
const WONDER_AFTER: Duration = Duration::from_secs(5);
const REMIND_EVERY: Duration = Duration::from_secs(30);

/// Waits until one is found, however long that takes.
pub(crate) async fn find(sought: &Sought) -> Result<Vec<SocketAddr>> {
    tracing::info!("looks for schedulers of {sought} in the local network");
    let search = Search::start()?;
    let mut patience = WONDER_AFTER;
    loop {
        match tokio::time::timeout(patience, search.find(sought)).await {
            Ok(addrs) => {
                tracing::info!(?addrs, "found schedulers of {sought}");
                return Ok(addrs);
            }
            Err(_) => tracing::warn!("{}", sought.in_vain(&search.seen())),
        }
        patience = REMIND_EVERY;
    }
}

/// That a scheduler is here. It works without, for those who know its address.
pub(crate) fn announce(
    settings: &Settings,
    mesh: SocketAddr,
    authority: &str,
) -> Option<Announcement> {
    if !settings.discovery {
        return None;
    }
    match Announcement::start(&settings.host.0, mesh, &settings.cluster, authority) {
        Ok(None) => {
            tracing::info!(%mesh, "others cannot join: the mesh listens on loopback only");
            None
        }
        Ok(announcement) => announcement,
        Err(error) => {
            let error = anyhow::Error::from(error);
            tracing::warn!("agents will not find this scheduler by themselves: {error:#}");
            None
        }
    }
}
