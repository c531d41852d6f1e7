//! Who else is a scheduler of this cluster, and who of them decides.

use airglow_store::{Lag, Unchanged};

use super::{Scheduler, Standing};
use crate::Refusal;

/// How far the log is that schedulers share, here.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Progress {
    /// How often there was an election.
    pub term: u64,
    /// Of the newest entry that is on this disk.
    pub log: u64,
    /// Of the newest that has become true here.
    pub applied: u64,
}

impl Scheduler {
    /// Whether this one decides, and who does if not.
    pub fn standing(&self) -> Standing {
        self.inner.life.standing()
    }

    /// Waits until this one does not decide.
    pub async fn leads_no_more(&self) {
        self.inner.life.leads_no_more().await;
    }

    /// All schedulers of the cluster, as this one knows them.
    pub fn members(&self) -> Vec<Lag> {
        match self.inner.house.replica() {
            Some(replica) => replica.members(),
            None => {
                let member = self.inner.house.me.clone();
                vec![Lag { id: 0, member, votes: true, leads: true, entries: Some(0) }]
            }
        }
    }

    /// `None`: it shares its records with nobody.
    pub fn progress(&self) -> Option<Progress> {
        let (log, applied, term) = self.inner.house.replica()?.progress();
        Some(Progress { term, log, applied })
    }

    /// This scheduler's word counts no more. It stops when it hears of that.
    pub async fn dismiss(&self, name: &str) -> Result<(), Refusal> {
        let alone = || Unchanged::Last(name.to_owned());
        let unknown = || Unchanged::Unknown(name.to_owned());
        let done = match self.inner.house.replica() {
            Some(replica) => replica.dismiss(name).await,
            None if self.inner.house.me.name == name => Err(alone()),
            None => Err(unknown()),
        };
        done.map_err(|why| match why {
            Unchanged::Unknown(name) => Refusal::NoSuchMember(name),
            Unchanged::Last(name) => Refusal::LastMember(name),
            again @ (Unchanged::NotLeading
            | Unchanged::Busy
            | Unchanged::NoQuorum
            | Unchanged::TooFarBehind(_)
            | Unchanged::Named(_)
            | Unchanged::Removed(_)) => Refusal::NotNow(again.to_string()),
        })
    }
}
