//! What members say to each other and write into their logs.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
};

use openraft::{
    LogId, SnapshotMeta, StoredMembership, Vote,
    raft::{AppendEntriesRequest, AppendEntriesResponse, VoteRequest, VoteResponse},
};
use serde::{Deserialize, Serialize};

use super::picture::Picture;

openraft::declare_raft_types!(
    pub(crate) Types:
        D = Batch,
        R = Outcome,
        NodeId = u64,
        Node = Member,
        Entry = openraft::Entry<Types>,
        SnapshotData = Picture,
);

pub(crate) type Raft = openraft::Raft<Types>;
pub(crate) type Entry = openraft::Entry<Types>;
pub(crate) type Metrics = openraft::RaftMetrics<u64, Member>;
pub(crate) type Failure = openraft::StorageError<u64>;

/// A scheduler that has the cluster's records, as others find it.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Member {
    /// Of the machine.
    pub name: String,
    /// Where agents and other schedulers connect.
    pub mesh: SocketAddr,
    /// Where the API is, as a browser has it: `http://10.0.0.1:8081`.
    pub api: String,
}

/// Nobody. The protocol's library wants one, and shows it to nobody.
impl Default for Member {
    fn default() -> Self {
        let mesh = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
        Self { name: String::new(), mesh, api: String::new() }
    }
}

/// Some commits that become true together, in their order.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub(crate) struct Batch {
    /// Whose it is, and which of its: there the askers wait.
    pub(crate) by: u64,
    pub(crate) number: u64,
    /// The newest commit that it builds on. If there is another when its turn comes, it was decided
    /// without knowing that, and is nothing to anybody. `None` says only that its turn has come.
    pub(crate) after: Option<u64>,
    /// The changes of each, as JSON: written once, and only read by those who were not there.
    pub(crate) commits: Arc<str>,
}

/// What became of an entry of the log.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub(crate) enum Outcome {
    /// The newest commit after it.
    Done(u64),
    /// There was a commit that it did not know.
    Overtaken,
}

/// How far the records have come.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub(crate) struct Applied {
    pub(crate) last: Option<LogId<u64>>,
    pub(crate) membership: StoredMembership<u64, Member>,
}

/// From one member to another. Plain data for whoever carries it.
#[derive(Debug, Serialize, Deserialize)]
pub struct Question(pub(crate) Asked);

/// What it says to that.
#[derive(Debug, Serialize, Deserialize)]
pub struct Answer(pub(crate) Said);

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Asked {
    Append(AppendEntriesRequest<Types>),
    Vote(VoteRequest<u64>),
    Piece(Box<Piece>),
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Said {
    Append(AppendEntriesResponse<u64>),
    Vote(VoteResponse<u64>),
    /// The newest vote that it knows.
    Piece(Vote<u64>),
    /// Whoever asks has been removed, and has not heard it.
    Removed,
    Failed(String),
}

/// A piece of a copy of all records.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Piece {
    pub(crate) vote: Vote<u64>,
    pub(crate) meta: SnapshotMeta<u64, Member>,
    pub(crate) offset: u64,
    /// In base64.
    pub(crate) data: String,
    pub(crate) is_last: bool,
}

impl Question {
    /// The same for all questions that bring the same entries: whoever carries them need not carry
    /// them again while there is no answer yet.
    pub fn burden(&self) -> Option<String> {
        match &self.0 {
            Asked::Append(it) => {
                let (first, last) = (it.entries.first()?, it.entries.last()?);
                Some(format!("{} {}-{}", it.vote, first.log_id, last.log_id))
            }
            Asked::Vote(_) | Asked::Piece(_) => None,
        }
    }
}
