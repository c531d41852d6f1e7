//! Who comes in: what the mesh's listener asks before it lets anybody, answered from the view.

use std::sync::Arc;

use airglow_kit::{
    identity::{Authority, Role},
    link::{Doorkeeper, Peer, Reason, Stranger},
    now,
};
use airglow_model::{
    ids::HostId,
    joining::{self, Applicant, Purpose, Refusal, Shown},
};
use airglow_store::ReadModel;

use crate::Stats;

pub(crate) struct Door {
    view: ReadModel,
    authority: Arc<Authority>,
    stats: Stats,
}

impl Door {
    pub(crate) fn new(view: &ReadModel, authority: &Arc<Authority>, stats: &Stats) -> Self {
        Self { view: view.clone(), authority: Arc::clone(authority), stats: stats.clone() }
    }
}

impl Doorkeeper for Door {
    fn admit(&self, stranger: &Stranger<'_>) -> Result<Purpose, Refusal> {
        let at = now();
        self.view.read(|view| {
            let recognize = |tokens| self.authority.recognize(stranger.secret, tokens);
            let shown = view.tokens.as_ref().map_or(Shown::Unknown, recognize);
            let (name, machine) = (stranger.name.clone(), stranger.machine.clone());
            joining::admit(view, at, &Applicant { name, machine, shown })
        })
    }

    fn let_in(&self, peer: &Peer) -> Result<(), Refusal> {
        let name = HostId::from(peer.name.as_str());
        self.view.read(|view| match peer.role {
            Role::Agent => joining::may_be(view, &name, peer.machine.as_ref()),
            // Its name is one among schedulers; there may be a host of that name, on it or not.
            Role::Scheduler => joining::may_return(view, &peer.machine()),
        })
    }

    fn turned_away(&self, reason: Reason) {
        self.stats.refused(reason);
    }
}
