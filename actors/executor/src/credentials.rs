//! Who this host is on the mesh, and how it stays that.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use airglow_kit::{
    identity::{Identity, IdentityError, JoinToken, Request},
    link::{self, LinkError},
};
use airglow_model::{ids::MachineId, machine::Timestamp};

/// A certificate, and what is needed to have another one in time.
#[derive(Clone, Debug)]
pub struct Credentials {
    pub identity: Identity,
    pub machine: MachineId,
    /// Where the certificate is kept; whoever is certified at every start keeps none.
    pub kept: Option<PathBuf>,
    /// For a host that was away for so long that its certificate has expired.
    pub token: Option<JoinToken>,
}

/// The same, as it changes.
pub(crate) struct Certificate {
    current: Mutex<Credentials>,
}

impl Certificate {
    pub(crate) fn new(credentials: Credentials) -> Self {
        Self { current: Mutex::new(credentials) }
    }

    /// Nothing is left half done under this lock.
    fn current(&self) -> MutexGuard<'_, Credentials> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn identity(&self) -> Identity {
        self.current().identity.clone()
    }

    pub(crate) fn machine(&self) -> MachineId {
        self.current().machine.clone()
    }

    pub(crate) fn renew_at(&self) -> Timestamp {
        self.current().identity.renew_at()
    }

    /// A scheduler has granted it: it is kept first, and used from then on.
    pub(crate) fn renewed(&self, request: Request, chain: &str) -> Result<(), IdentityError> {
        let renewed = request.renewed(chain, &self.identity())?;
        self.keep(renewed)
    }

    fn keep(&self, identity: Identity) -> Result<(), IdentityError> {
        let kept = self.current().kept.clone();
        if let Some(folder) = kept {
            identity.save(&folder)?;
        }
        self.current().identity = identity;
        Ok(())
    }

    /// By the token that this host has still, if it has one.
    pub(crate) async fn join_again(
        self: &Arc<Self>,
        addr: std::net::SocketAddr,
    ) -> Result<(), LinkError> {
        let Credentials { identity, machine, token, .. } = self.current().clone();
        let token = token.ok_or(LinkError::Expired { addr })?;
        let joined = link::join(addr, &token, identity.name(), &machine).await?;
        let this = Arc::clone(self);
        let kept = tokio::task::spawn_blocking(move || this.keep(joined.identity)).await;
        kept.unwrap_or(Ok(())).map_err(LinkError::Identity)
    }
}
