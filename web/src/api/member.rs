use airglow_scheduler::Lag;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A scheduler of the cluster.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Scheduler {
    /// Of its machine.
    pub name: String,
    /// Where agents and other schedulers connect.
    pub mesh: String,
    /// Where its API is.
    pub api: String,
    pub leads: bool,
    /// Whether its word counts. One that joins is brought up to date first.
    pub votes: bool,
    /// How many entries of the log it has not confirmed yet; only the leader says that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub behind: Option<u64>,
}

impl Scheduler {
    /// What it is to the others, in a word.
    pub fn part(&self) -> &'static str {
        match (self.leads, self.votes) {
            (true, _) => "leader",
            (false, true) => "follower",
            (false, false) => "joining",
        }
    }
}

impl From<Lag> for Scheduler {
    fn from(Lag { member, votes, leads, entries, .. }: Lag) -> Self {
        let airglow_scheduler::Member { name, mesh, api } = member;
        Self { name, mesh: mesh.to_string(), api, leads, votes, behind: entries }
    }
}
