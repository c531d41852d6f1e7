//! The other schedulers: who they are, how they are asked, and what they are answered.
//!
//! A line to another scheduler is a link of its own, dialled by whoever asks, with one question on
//! its way at a time. Whoever loses patience asks something else, and the answer to what was asked
//! before is passed over. Entries of the log that are on their way already are not sent a second
//! time because their answer is late: a slow network would never get rid of them.

mod gate;
mod house;
mod introduction;
mod line;

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use airglow_kit::{
    identity::{Authority, Role},
    link::{self, Link, LinkError},
};
use airglow_store::{Answer, Member, PeerLine, Peers, Question};
use serde::{Deserialize, Serialize};

pub(crate) use gate::Gate;
pub(crate) use house::House;
pub(crate) use introduction::introduce;

/// What others have to know of a scheduler, and whom it is to join.
#[derive(Clone, Debug, Default)]
pub struct Peering {
    /// Of the machine; the cluster's, if it is empty.
    pub name: String,
    /// At which address others find this machine, if it listens on every one that it has.
    pub ip: Option<IpAddr>,
    /// Where the API is, as a browser has it: `http://10.0.0.1:8081`.
    pub api: String,
    /// Where schedulers may be found whose records this one is to share.
    pub join: Vec<SocketAddr>,
}

impl Peering {
    pub(crate) fn member(&self, cluster: &str, mut mesh: SocketAddr) -> Member {
        if mesh.ip().is_unspecified()
            && let Some(ip) = self.ip
        {
            mesh.set_ip(ip);
        }
        let name = if self.name.is_empty() { cluster } else { &self.name };
        Member { name: name.to_owned(), mesh, api: self.api.clone() }
    }
}

/// The first word on a link between schedulers, and every other one of whoever dialled.
#[derive(Debug, Serialize, Deserialize)]
struct Ask {
    /// Its answer has the same.
    number: u64,
    what: Asked,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Asked {
    Raft(Question),
    /// To be one of those who share their records, or still to be found where it says.
    Join {
        id: u64,
        member: Member,
        /// As it calls it.
        cluster: String,
        /// It knows itself as one of them.
        was_one: bool,
    },
}

#[derive(Debug, Serialize, Deserialize)]
struct Told {
    number: u64,
    what: Said,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Said {
    Raft(Answer),
    /// It is one of them.
    Joined,
    /// It will be, or somebody will be able to say so: ask again.
    Wait,
    /// Ask there: it leads.
    Elsewhere(SocketAddr),
    Refused(String),
    /// There is nobody to answer that yet.
    Nobody,
}

/// How this scheduler reaches the others.
#[derive(Clone)]
pub(crate) struct Ways {
    pub(crate) authority: Arc<Authority>,
    pub(crate) name: String,
}

impl Ways {
    async fn dial(&self, to: SocketAddr) -> Result<Link, LinkError> {
        // A new one each time: it never expires, and costs less than the rest of it.
        let identity = self.authority.issue(Role::Scheduler, &self.name)?;
        link::dial(to, &identity).await
    }
}

impl Peers for Ways {
    fn line(&self, to: &Member) -> Box<dyn PeerLine> {
        Box::new(line::Line::to(to.mesh, self.clone()))
    }
}
