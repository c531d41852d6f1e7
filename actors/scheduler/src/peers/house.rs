//! What other schedulers find here.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use airglow_kit::link::{Link, LinkError};
use airglow_store::{Member, Replica, Unchanged};
use tokio::sync::Notify;

use super::{Ask, Asked, Said, Told};

/// What this scheduler is to others.
pub(crate) struct House {
    pub(crate) me: Member,
    pub(super) cluster: String,
    current: Mutex<Current>,
    /// Somebody wants to share records that are still this scheduler's own.
    wanted: Notify,
}

struct Current {
    records: Records,
    /// Those who are being made members as they said, or what came of it.
    admissions: BTreeMap<u64, (Member, Option<Result<(), Unchanged>>)>,
}

/// Whose they are.
#[derive(Clone)]
enum Records {
    Own,
    /// Everybody's; there is no replica while it starts or ends.
    Shared(Option<Replica>),
}

impl House {
    pub(crate) fn new(me: Member, cluster: String, shares: bool) -> Self {
        let records = if shares { Records::Shared(None) } else { Records::Own };
        let current = Mutex::new(Current { records, admissions: BTreeMap::new() });
        Self { me, cluster, current, wanted: Notify::new() }
    }

    pub(crate) fn replica(&self) -> Option<Replica> {
        match &self.current().records {
            Records::Own => None,
            Records::Shared(replica) => replica.clone(),
        }
    }

    pub(crate) fn have(&self, replica: Replica) {
        self.current().records = Records::Shared(Some(replica));
    }

    /// Nobody is to be found any more.
    pub(crate) fn leave(&self) {
        let mut current = self.current();
        current.admissions.clear();
        if let Records::Shared(replica) = &mut current.records {
            *replica = None;
        }
    }

    /// Waits until somebody wants to share the records.
    pub(crate) async fn is_wanted(&self) {
        self.wanted.notified().await;
    }

    fn current(&self) -> MutexGuard<'_, Current> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers another scheduler for as long as it asks.
    pub(super) async fn serve(self: Arc<Self>, link: Link) -> Result<(), LinkError> {
        let (says, mut hears) = link.split::<Told, Ask>();
        while let Some(Ask { number, what }) = hears.next().await? {
            let what = self.answer(what).await;
            if says.send(&Told { number, what }).is_err() {
                break;
            }
        }
        Ok(())
    }

    async fn answer(self: &Arc<Self>, asked: Asked) -> Said {
        let records = self.current().records.clone();
        match (asked, records) {
            (Asked::Raft(question), Records::Shared(Some(replica))) => {
                Said::Raft(replica.answer(question).await)
            }
            (Asked::Raft(_), Records::Own | Records::Shared(None)) => Said::Nobody,
            // Hosts would not obey it once it leads.
            (Asked::Join { cluster, .. }, _) if cluster != self.cluster => Said::Refused(format!(
                "this cluster is called {}, not {cluster}: say --cluster {}",
                self.cluster, self.cluster
            )),
            (Asked::Join { id, member, was_one, .. }, Records::Shared(Some(replica))) => {
                self.join(replica, id, member, was_one)
            }
            (Asked::Join { .. }, Records::Shared(None)) => Said::Wait,
            (Asked::Join { was_one: true, member, .. }, Records::Own) => Said::Refused(format!(
                "it has a cluster of its own, of which {} is no member: move the scheduler's data \
                     folder of {} away to have it join",
                member.name, member.name
            )),
            (Asked::Join { .. }, Records::Own) => {
                self.wanted.notify_one();
                Said::Wait
            }
        }
    }

    fn join(self: &Arc<Self>, replica: Replica, id: u64, member: Member, was_one: bool) -> Said {
        let standing = replica.standing();
        if !standing.leads {
            let elsewhere = standing.leader.filter(|(leader, _)| *leader != replica.id());
            return elsewhere.map_or(Said::Wait, |(_, it)| Said::Elsewhere(it.mesh));
        }
        {
            let mut current = self.current();
            match current.admissions.get(&id) {
                Some((known, None)) if *known == member => return Said::Wait,
                Some((known, Some(done))) if *known == member => {
                    let said = said(done);
                    current.admissions.remove(&id);
                    return said;
                }
                // It is somewhere else by now.
                Some(_) | None => current.admissions.insert(id, (member.clone(), None)),
            };
        }
        let house = Arc::clone(self);
        tokio::spawn(async move {
            let done = replica.admit(id, member.clone(), was_one).await;
            if done.is_ok() {
                tracing::info!(name = member.name, "a scheduler shares the records");
            }
            let mut current = house.current();
            let asked = current.admissions.get_mut(&id).filter(|(it, _)| *it == member);
            if let Some((_, outcome)) = asked {
                *outcome = Some(done);
            }
        });
        Said::Wait
    }

    /// Where hosts find schedulers, as the others have it; nowhere, while this one is alone.
    pub(crate) fn schedulers(&self) -> Vec<SocketAddr> {
        let members = self.replica().map(|it| it.members()).unwrap_or_default();
        members.into_iter().map(|it| it.member.mesh).collect()
    }

    /// Where others are that may know who leads.
    pub(super) fn acquaintances(&self) -> Vec<SocketAddr> {
        let Some(replica) = self.replica() else { return vec![] };
        let (id, leader) = (replica.id(), replica.standing().leader);
        let leader = leader.into_iter().filter(|(it, _)| *it != id).map(|(_, it)| it.mesh);
        let others = replica.members().into_iter().filter(|it| it.id != id);
        leader.chain(others.map(|it| it.member.mesh)).collect()
    }
}

fn said(done: &Result<(), Unchanged>) -> Said {
    match done {
        Ok(()) => Said::Joined,
        Err(Unchanged::NotLeading | Unchanged::Busy | Unchanged::NoQuorum) => Said::Wait,
        Err(
            refused @ (Unchanged::TooFarBehind(_)
            | Unchanged::Unknown(_)
            | Unchanged::Last(_)
            | Unchanged::Named(_)
            | Unchanged::Removed(_)),
        ) => Said::Refused(refused.to_string()),
    }
}
