//! Who may join the cluster, who may come back, and who may not any more.
//!
//! Two things let a machine join: a token, whose secret follows from the authority's key and a
//! [`Generation`] and is kept nowhere, and a name that no other machine has. From then on its
//! certificate says who it is. What is not in a certificate is looked up here: whether the machine
//! that it names was removed, and whether another one has taken its name meanwhile.

use std::{collections::BTreeMap, fmt, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{
    ids::{HostId, MachineId, is_identifier},
    machine::Timestamp,
    view::View,
};

#[cfg(test)]
mod tests;

/// What a token lets its bearer become.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    Agent,
    Scheduler,
}

/// Which tokens are good.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tokens {
    pub agents: Generation,
    pub schedulers: Generation,
}

/// A token, without its secret. Each rotation makes the next generation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Generation {
    pub number: u32,
    pub since: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// The SHA-256 of the secret of a token from before there were generations, in hexadecimal. It
    /// is as good as this generation's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub former: Option<String>,
}

/// What a secret that somebody has shown turned out to be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Shown {
    /// Today's.
    Current(Purpose),
    /// One that was replaced.
    Replaced,
    Unknown,
}

/// Somebody without a certificate, at the door.
#[derive(Clone, Debug)]
pub struct Applicant {
    pub name: HostId,
    pub machine: MachineId,
    pub shown: Shown,
}

/// A machine that may not come back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Removal {
    /// Its name when it was removed.
    pub host: HostId,
    pub at: Timestamp,
}

/// Those that were removed.
pub type Removals = BTreeMap<MachineId, Removal>;

/// Why somebody stays outside, in words that say what to do about it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Refusal {
    WrongToken,
    ReplacedToken,
    ExpiredToken,
    BadName,
    NameTaken(HostId),
    Removed {
        host: HostId,
        machine: MachineId,
    },
    /// The scheduler has not read its records yet.
    NotYet,
}

impl Purpose {
    pub const ALL: [Self; 2] = [Self::Agent, Self::Scheduler];

    pub fn name(self) -> &'static str {
        match self {
            Self::Agent => "agent",
            Self::Scheduler => "scheduler",
        }
    }
}

impl Tokens {
    /// Of a new cluster, or of one from before there were generations: then with the SHA-256 of the
    /// secret that its agents' token had.
    pub fn first(now: Timestamp, former: Option<String>) -> Self {
        let first = |former| Generation { number: 1, since: now, expires_at: None, former };
        Self { agents: first(former), schedulers: first(None) }
    }

    pub fn of(&self, purpose: Purpose) -> &Generation {
        match purpose {
            Purpose::Agent => &self.agents,
            Purpose::Scheduler => &self.schedulers,
        }
    }

    /// Older tokens of this purpose are good for nothing any more.
    #[must_use]
    pub fn rotated(&self, purpose: Purpose, now: Timestamp, lasts: Option<Duration>) -> Self {
        let next = Generation {
            number: self.of(purpose).number + 1,
            since: now,
            expires_at: lasts.map(|it| now + it),
            former: None,
        };
        match purpose {
            Purpose::Agent => Self { agents: next, ..self.clone() },
            Purpose::Scheduler => Self { schedulers: next, ..self.clone() },
        }
    }
}

impl Generation {
    fn has_expired(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|at| at <= now)
    }
}

/// What `applicant` may become.
///
/// # Errors
/// Why it may become nothing.
pub fn admit(view: &View, now: Timestamp, applicant: &Applicant) -> Result<Purpose, Refusal> {
    let tokens = view.tokens.as_ref().ok_or(Refusal::NotYet)?;
    let purpose = match applicant.shown {
        Shown::Current(purpose) => purpose,
        Shown::Replaced => return Err(Refusal::ReplacedToken),
        Shown::Unknown => return Err(Refusal::WrongToken),
    };
    if tokens.of(purpose).has_expired(now) {
        return Err(Refusal::ExpiredToken);
    }
    if !is_identifier(&applicant.name.0) || !is_identifier(&applicant.machine.0) {
        return Err(Refusal::BadName);
    }
    may_be(view, &applicant.name, Some(&applicant.machine))?;
    Ok(purpose)
}

/// Whether that machine may be part of the cluster.
///
/// # Errors
/// It was removed.
pub fn may_return(view: &View, machine: &MachineId) -> Result<(), Refusal> {
    let removal = view.removals.get(machine);
    removal.map_or(Ok(()), |removal| {
        let (host, machine) = (removal.host.clone(), machine.clone());
        Err(Refusal::Removed { host, machine })
    })
}

/// Whether that machine may go by that name, as a host. Certificates from before machines had ids name none.
///
/// # Errors
/// It was removed, or another machine is called that.
pub fn may_be(view: &View, name: &HostId, machine: Option<&MachineId>) -> Result<(), Refusal> {
    let unnamed = MachineId::unnamed(name);
    let machine = machine.unwrap_or(&unnamed);
    may_return(view, machine)?;
    let others = view.hosts.get(name).and_then(|it| it.host.machine.as_ref());
    match others {
        // It may have been given its id just now.
        Some(other) if other != machine && *other != unnamed => {
            Err(Refusal::NameTaken(name.clone()))
        }
        Some(_) | None => Ok(()),
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WrongToken => f.write_str("the join token is wrong"),
            Self::ReplacedToken => f.write_str(
                "the join token was replaced by a newer one: `airglow admin token show` prints it",
            ),
            Self::ExpiredToken => f.write_str(
                "the join token has expired: `airglow admin token rotate` makes another",
            ),
            Self::BadName => f.write_str("the name is not one that a host can have"),
            Self::NameTaken(host) => write!(
                f,
                "another machine is called {host}: give this one another name (`host` in its \
                 settings), or say `airglow host remove {host}` if that one is gone"
            ),
            Self::Removed { host, machine } => write!(
                f,
                "this machine ({machine}) was removed from the cluster when it was called {host}; \
                 `airglow host readmit {machine}` lets it come back"
            ),
            Self::NotYet => f.write_str("the scheduler is starting: try again"),
        }
    }
}
