//! What the cluster knows of one host, and whether it is still heard from.
//!
//! ```text
//!   joined ──► up ──silent──► away ──silent for long──► unreachable
//!               ▲ ◄──────────────┴───────── heard ───────────┘
//! ```
//! `away` touches nothing: an agent that restarts is back in a second and its tasks never notice.
//! Only `unreachable` makes tasks PARTITIONED, which their own policies then deal with.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{
    ids::HostId,
    machine::{Machine, Rejected, Timestamp},
    record::{Change, Record, RecordKey},
    resources::Attributes,
    spec::SlaPolicy,
    wire::{Capacity, Hello},
};

/// How long an agent may be away before its tasks count as partitioned.
pub const UNREACHABLE_AFTER: Duration = Duration::from_secs(75);

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Host {
    pub id: HostId,
    pub joined_at: Timestamp,
    pub version: String,
    pub attributes: Attributes,
    pub capacity: Capacity,
    pub contact: Contact,
    #[serde(default)]
    pub mode: Mode,
}

/// What its operator wants of it, whether or not it is connected.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "mode", rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Mode {
    #[default]
    None,
    /// Maintenance is coming: others are preferred.
    Scheduled { since: Timestamp },
    /// Nothing new goes there, and what runs there moves away.
    Draining { since: Timestamp, request: DrainRequest },
    /// Nothing runs there any more, and nothing will.
    Drained { since: Timestamp },
}

/// How a host is to be drained.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DrainRequest {
    /// For jobs that have no policy of their own.
    pub policy: SlaPolicy,
    /// After this, nobody's policy counts.
    pub timeout_secs: u64,
    pub by: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Contact {
    /// Nobody has heard of it yet.
    Unknown,
    Up {
        since: Timestamp,
    },
    Away {
        since: Timestamp,
    },
    Unreachable {
        since: Timestamp,
    },
}

#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    Connected(Hello),
    Disconnected,
    SilentForLong,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// What it has is to be had.
    Offer,
    /// Nothing new goes there for now.
    Rescind,
    /// Its tasks are PARTITIONED.
    Partition,
}

impl Host {
    pub fn unknown(id: HostId) -> Self {
        Self {
            id,
            joined_at: Timestamp(0),
            version: String::new(),
            attributes: Attributes::new(),
            capacity: Capacity::default(),
            contact: Contact::Unknown,
            mode: Mode::None,
        }
    }
}

impl Contact {
    pub fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Up { .. } => "up",
            Self::Away { .. } => "away",
            Self::Unreachable { .. } => "unreachable",
        }
    }
}

impl Mode {
    pub fn name(&self) -> &'static str {
        match self {
            Self::None => "NONE",
            Self::Scheduled { .. } => "SCHEDULED",
            Self::Draining { .. } => "DRAINING",
            Self::Drained { .. } => "DRAINED",
        }
    }
}

impl Event {
    fn name(&self) -> &'static str {
        match self {
            Self::Connected(_) => "connected",
            Self::Disconnected => "disconnected",
            Self::SilentForLong => "silent for long",
        }
    }
}

impl Machine for Host {
    type Event = Event;
    type Effect = Effect;

    fn step(&self, now: Timestamp, event: &Event) -> Result<Self, Rejected> {
        let next = match (self.contact, event) {
            (contact, Event::Connected(hello)) => Self {
                id: self.id.clone(),
                joined_at: if contact == Contact::Unknown { now } else { self.joined_at },
                version: hello.version.clone(),
                attributes: hello.attributes.clone(),
                capacity: hello.capacity.clone(),
                contact: Contact::Up { since: now },
                mode: self.mode.clone(),
            },
            (Contact::Up { .. }, Event::Disconnected) => {
                Self { contact: Contact::Away { since: now }, ..self.clone() }
            }
            (Contact::Away { .. }, Event::SilentForLong) => {
                Self { contact: Contact::Unreachable { since: now }, ..self.clone() }
            }
            (contact, event) => {
                return Err(Rejected { state: contact.name(), event: event.name() });
            }
        };
        Ok(next)
    }

    fn effects(&self) -> Vec<Effect> {
        match self.contact {
            Contact::Unknown => vec![],
            Contact::Up { .. } => vec![Effect::Offer],
            Contact::Away { .. } => vec![Effect::Rescind],
            Contact::Unreachable { .. } => vec![Effect::Rescind, Effect::Partition],
        }
    }

    fn deadline(&self) -> Option<(Timestamp, Event)> {
        match self.contact {
            Contact::Away { since } => Some((since + UNREACHABLE_AFTER, Event::SilentForLong)),
            Contact::Unknown | Contact::Up { .. } | Contact::Unreachable { .. } => None,
        }
    }

    fn changes(&self, _: Option<&Self>) -> Vec<Change> {
        vec![Change {
            key: RecordKey::Host(self.id.clone()),
            record: Some(Record::Host(self.clone())),
        }]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hello() -> Event {
        Event::Connected(Hello {
            host: "h".into(),
            version: "1".into(),
            protocol: 1,
            attributes: Attributes::new(),
            capacity: Capacity::default(),
        })
    }

    #[test]
    fn the_whole_table() {
        let at = |contact| Host { contact, ..Host::unknown("h".into()) };
        let since = Timestamp(0);
        let states = [
            Contact::Unknown,
            Contact::Up { since },
            Contact::Away { since },
            Contact::Unreachable { since },
        ];
        let table: String = states
            .iter()
            .map(|&state| {
                let row: Vec<_> = [hello(), Event::Disconnected, Event::SilentForLong]
                    .iter()
                    .map(|event| {
                        at(state).step(since, event).map_or("-", |next| next.contact.name())
                    })
                    .collect();
                format!("{:12}{}\n", state.name(), row.join(" "))
            })
            .collect();
        assert_eq!(
            table,
            "\
unknown     up - -
up          up away -
away        up - unreachable
unreachable up - -
"
        );
    }
}
