//! Who belongs to those that share their records, and how that is changed.

use std::time::Duration;

use openraft::{
    ChangeMembers,
    error::{ClientWriteError, RaftError},
};
use tokio::time::{Instant, timeout_at};

use super::{Progress, Replica, types::Member};

/// How many entries a newcomer may lack when it is given a vote.
const NEARLY_THERE: u64 = 200;

/// How long it may take to bring it that far, before whoever asked has to ask again.
const CATCHES_UP_WITHIN: Duration = Duration::from_secs(600);

/// How long the others may take to agree.
const AGREED_WITHIN: Duration = Duration::from_secs(10);

/// A member, as another one knows it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Lag {
    pub id: u64,
    pub member: Member,
    /// Its word counts.
    pub votes: bool,
    pub leads: bool,
    /// How many entries of the log it is known not to have yet; only a leader knows.
    pub entries: Option<u64>,
}

/// Nothing was changed among the members, or it is not known.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Unchanged {
    #[error("this scheduler does not lead any more: ask again")]
    NotLeading,
    #[error("the members are being changed already: ask again in a moment")]
    Busy,
    #[error("most of the other schedulers do not answer: see to them first, then look again")]
    NoQuorum,
    #[error("{0} does not catch up with the others: see whether it can be reached, and ask again")]
    TooFarBehind(String),
    #[error("there is no member {0}")]
    Unknown(String),
    #[error("{0} is the only member that is left: stop it instead")]
    Last(String),
    #[error("there is a member called {0} already: remove it first, or give this one another name")]
    Named(String),
    #[error(
        "{0} has been removed from the cluster: to have it join again, move its scheduler's data folder away"
    )]
    Removed(String),
}

impl Replica {
    /// All members, in the order of their names.
    pub fn members(&self) -> Vec<Lag> {
        let metrics = self.metrics();
        let metrics = metrics.borrow();
        let last = metrics.last_log_index.unwrap_or(0);
        let behind = |known: &Progress, id: u64| {
            let matched = known.get(&id)?.map_or(0, |it| it.index);
            Some(last.saturating_sub(matched))
        };
        let membership = metrics.membership_config.membership();
        let voters: Vec<_> = membership.voter_ids().collect();
        let lag = |(&id, member): (&u64, &Member)| Lag {
            id,
            member: member.clone(),
            votes: voters.contains(&id),
            leads: metrics.current_leader == Some(id),
            entries: metrics.replication.as_ref().and_then(|it| behind(it, id)),
        };
        let mut members: Vec<_> = membership.nodes().map(lag).collect();
        members.sort_by(|a, b| (&a.member.name, a.id).cmp(&(&b.member.name, b.id)));
        members
    }

    /// How far the log is, how far what it says has become true, and the term.
    pub fn progress(&self) -> (u64, u64, u64) {
        let metrics = self.metrics();
        let metrics = metrics.borrow();
        let applied = metrics.last_applied.map_or(0, |it| it.index);
        (metrics.last_log_index.unwrap_or(0), applied, metrics.current_term)
    }

    /// Makes it a member, once it has nearly all that the others have; or corrects where it is to
    /// be found. `was_one`: it knows itself as one.
    pub async fn admit(&self, id: u64, member: Member, was_one: bool) -> Result<(), Unchanged> {
        let known = self.members();
        match known.iter().find(|it| it.id == id) {
            None if was_one => return Err(Unchanged::Removed(member.name)),
            None if known.iter().any(|it| it.member.name == member.name) => {
                return Err(Unchanged::Named(member.name));
            }
            None => {
                self.change(ChangeMembers::AddNodes([(id, member.clone())].into())).await?;
            }
            Some(found) if found.member != member => {
                self.change(ChangeMembers::SetNodes([(id, member.clone())].into())).await?;
            }
            Some(_) => {}
        }
        let has_a_vote = known.iter().any(|it| it.id == id && it.votes);
        if has_a_vote {
            return self.finish_change().await;
        }
        self.catches_up(id, &member.name).await?;
        self.change(ChangeMembers::AddVoterIds([id].into())).await
    }

    /// A change takes two steps, and whoever began it may have ended in between: then the members of
    /// before have to agree to everything, too.
    pub(super) async fn finish_change(&self) -> Result<(), Unchanged> {
        let is_halfway = {
            let metrics = self.metrics();
            let membership = metrics.borrow().membership_config.clone();
            membership.membership().get_joint_config().len() > 1
        };
        if is_halfway { self.change(ChangeMembers::AddVoterIds([].into())).await } else { Ok(()) }
    }

    /// Its word counts no more, and it is told nothing any more.
    pub async fn dismiss(&self, name: &str) -> Result<(), Unchanged> {
        let known = self.members();
        let Some(found) = known.iter().find(|it| it.member.name == name) else {
            return Err(Unchanged::Unknown(name.to_owned()));
        };
        let ids = [found.id].into();
        if !found.votes {
            return self.change(ChangeMembers::RemoveNodes(ids)).await;
        }
        if known.iter().filter(|it| it.votes).count() == 1 {
            return Err(Unchanged::Last(name.to_owned()));
        }
        self.change(ChangeMembers::RemoveVoters(ids)).await
    }

    async fn catches_up(&self, id: u64, name: &str) -> Result<(), Unchanged> {
        let give_up_at = Instant::now() + CATCHES_UP_WITHIN;
        loop {
            if !self.standing().leads {
                return Err(Unchanged::NotLeading);
            }
            let members = self.members();
            let lag = members.iter().find(|it| it.id == id);
            let Some(lag) = lag else { return Err(Unchanged::Removed(name.to_owned())) };
            let metrics = self.metrics();
            let has_begun = metrics
                .borrow()
                .replication
                .as_ref()
                .is_some_and(|it| it.get(&id).is_some_and(Option::is_some));
            if has_begun && lag.entries.is_some_and(|it| it <= NEARLY_THERE) {
                return Ok(());
            }
            if give_up_at <= Instant::now() {
                return Err(Unchanged::TooFarBehind(name.to_owned()));
            }
            self.news().await;
        }
    }

    /// Once the last change is over.
    async fn change(&self, change: ChangeMembers<u64, Member>) -> Result<(), Unchanged> {
        let give_up_at = Instant::now() + AGREED_WITHIN;
        loop {
            let asked = self.here.raft.change_membership(change.clone(), false);
            let Ok(changed) = timeout_at(give_up_at, asked).await else {
                return Err(Unchanged::NoQuorum);
            };
            match changed {
                Ok(_) => return Ok(()),
                Err(RaftError::APIError(ClientWriteError::ChangeMembershipError(error))) => {
                    tracing::debug!(%error, "the members stay as they are");
                    if give_up_at <= Instant::now() {
                        return Err(Unchanged::Busy);
                    }
                    self.news().await;
                }
                Err(
                    RaftError::APIError(ClientWriteError::ForwardToLeader(_)) | RaftError::Fatal(_),
                ) => return Err(Unchanged::NotLeading),
            }
        }
    }
}
