//! What an operator asks of hosts.

use airglow_kit::To;
use airglow_model::{
    host::{DrainRequest, Event},
    ids::HostId,
};

use super::{Scheduler, not_now};
use crate::{
    Refusal,
    messages::{Receipt, Registered, Settled},
};

impl Scheduler {
    /// Prefers other hosts to it from now on, whatever was wanted of it before.
    pub async fn maintain(&self, host: &HostId) -> Result<(), Refusal> {
        self.tell_host(host, Event::MaintenanceAsked).await
    }

    /// Moves everything away from it, and puts nothing new there.
    pub async fn drain(&self, host: &HostId, request: DrainRequest) -> Result<(), Refusal> {
        self.tell_host(host, Event::DrainAsked(request)).await
    }

    /// It is like any other from now on.
    pub async fn activate(&self, host: &HostId) -> Result<(), Refusal> {
        self.tell_host(host, Event::ActivateAsked).await
    }

    pub(super) async fn tell_host(&self, host: &HostId, event: Event) -> Result<(), Refusal> {
        let entities = self.inner.lines.entities().ok_or_else(not_now)?;
        if !self.view().read(|view| view.hosts.contains_key(host)) {
            return Err(Refusal::NoSuchHost(host.clone()));
        }
        let (receipt, settled) = Receipt::awaited();
        entities.hosts.do_send(To(host.clone(), Registered { event, receipt }));
        match settled.await {
            Settled::Committed => Ok(()),
            Settled::Rejected(_) => Err(Refusal::NoSuchHost(host.clone())),
            Settled::Lost => Err(Refusal::unknown()),
        }
    }
}
