//! Who may join, and who may not come back.

use std::{collections::BTreeMap, time::Duration};

use airglow_kit::identity::JoinToken;
use airglow_model::{
    host::Event,
    ids::{HostId, MachineId},
    joining::{Purpose, Removal, Tokens},
    record::{Change, RecordKey},
};
use tokio::sync::oneshot;

use super::{Scheduler, not_now};
use crate::{
    Refusal,
    gatekeeper::{Rotate, publish},
    hosts::Expel,
};

impl Scheduler {
    /// Which tokens are good; none before this scheduler has decided anything.
    pub fn tokens(&self) -> Option<Tokens> {
        self.view().read(|view| view.tokens.clone())
    }

    /// The text of today's. Whoever has it can join.
    pub fn token(&self, purpose: Purpose) -> Option<JoinToken> {
        let tokens = self.tokens()?;
        Some(self.authority().token(purpose, tokens.of(purpose).number))
    }

    /// Makes another token. Older ones are good for nothing when this answers.
    pub async fn rotate(
        &self,
        purpose: Purpose,
        lasts: Option<Duration>,
    ) -> Result<Tokens, Refusal> {
        let entities = self.inner.lines.entities().ok_or_else(not_now)?;
        let (reply, answer) = oneshot::channel();
        entities.gatekeeper.do_send(Rotate { purpose, lasts, reply });
        let tokens = answer.await.map_err(|_| Refusal::unknown())??;
        publish(&self.inner.authority, tokens.clone()).await;
        Ok(tokens)
    }

    /// This host is no part of the cluster any more, and its machine stays away. What it has is
    /// LOST, if that is accepted.
    pub async fn remove_host(&self, host: &HostId, accepts_losses: bool) -> Result<(), Refusal> {
        let tasks = self.view().read(|view| view.hosts.get(host).map(|it| it.tasks.len()));
        let tasks = tasks.ok_or_else(|| Refusal::NoSuchHost(host.clone()))?;
        if tasks > 0 && !accepts_losses {
            return Err(Refusal::HostInUse { host: host.clone(), tasks });
        }
        self.tell_host(host, Event::RemoveAsked).await?;
        // It will not be let in again, and now it is not in any more either.
        if let Some(entities) = self.inner.lines.entities() {
            entities.switchboard.do_send(Expel(host.clone()));
        }
        Ok(())
    }

    /// The machines that may not come back.
    pub fn removals(&self) -> BTreeMap<MachineId, Removal> {
        self.view().read(|view| view.removals.clone())
    }

    /// That machine may come back, by its certificate or by a token.
    pub async fn readmit(&self, machine: &MachineId) -> Result<(), Refusal> {
        let entities = self.inner.lines.entities().ok_or_else(not_now)?;
        if !self.view().read(|view| view.removals.contains_key(machine)) {
            return Err(Refusal::NotRemoved(machine.clone()));
        }
        let change = Change { key: RecordKey::Removal(machine.clone()), record: None };
        let committed = entities.scribe.commit(vec![change]).await;
        committed.map(drop).map_err(|_| Refusal::unknown())
    }
}
