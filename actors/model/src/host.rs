//! What the cluster knows of one host, and whether it is still heard from.
//!
//! ```text
//!   joined ──► up ──silent──► away ──silent for long──► unreachable
//!               ▲ ◄──────────────┴───────── heard ───────────┘
//! ```
//! `away` touches nothing: an agent that restarts is back in a second and its tasks never notice.
//! Only `unreachable` makes tasks PARTITIONED, which their own policies then deal with.
//!
//! What its operator wants of it is another matter, and outlives every connection:
//!
//! ```text
//!   NONE ──► SCHEDULED ──► DRAINING ──nothing is left there──► DRAINED
//!    ▲ ◄─────────┴─────────────┴──────────activated──────────────┘
//! ```
//! Whatever the mode, an operator may ask for any other; the last word counts.

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
    MaintenanceAsked,
    DrainAsked(DrainRequest),
    ActivateAsked,
    /// Nothing is left there of what was to move away since `since`.
    Emptied {
        since: Timestamp,
    },
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
    /// When it was asked for.
    pub fn since(&self) -> Option<Timestamp> {
        match self {
            Self::None => None,
            Self::Scheduled { since } | Self::Draining { since, .. } | Self::Drained { since } => {
                Some(*since)
            }
        }
    }

    /// Nothing should run there.
    pub fn is_to_be_empty(&self) -> bool {
        match self {
            Self::Draining { .. } | Self::Drained { .. } => true,
            Self::None | Self::Scheduled { .. } => false,
        }
    }

    /// When nobody's policy counts any more, if it is being drained.
    pub fn deadline(&self) -> Option<Timestamp> {
        match self {
            Self::Draining { since, request } => {
                Some(*since + Duration::from_secs(request.timeout_secs))
            }
            Self::None | Self::Scheduled { .. } | Self::Drained { .. } => None,
        }
    }

    pub fn name(&self) -> &'static str {
        match self {
            Self::None => "NONE",
            Self::Scheduled { .. } => "SCHEDULED",
            Self::Draining { .. } => "DRAINING",
            Self::Drained { .. } => "DRAINED",
        }
    }
}

impl Mode {
    fn step(&self, now: Timestamp, event: &Event) -> Result<Self, Rejected> {
        match (self, event) {
            (_, Event::MaintenanceAsked) => Ok(Self::Scheduled { since: now }),
            (_, Event::DrainAsked(request)) => {
                Ok(Self::Draining { since: now, request: request.clone() })
            }
            (_, Event::ActivateAsked) => Ok(Self::None),
            // Another drain may have begun since.
            (Self::Draining { since, .. }, Event::Emptied { since: begun }) if since == begun => {
                Ok(Self::Drained { since: now })
            }
            (mode, event) => Err(Rejected { state: mode.name(), event: event.name() }),
        }
    }
}

impl Event {
    fn name(&self) -> &'static str {
        match self {
            Self::Connected(_) => "connected",
            Self::Disconnected => "disconnected",
            Self::SilentForLong => "silent for long",
            Self::MaintenanceAsked => "maintenance asked",
            Self::DrainAsked(_) => "drain asked",
            Self::ActivateAsked => "activation asked",
            Self::Emptied { .. } => "emptied",
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
            (
                Contact::Up { .. } | Contact::Away { .. } | Contact::Unreachable { .. },
                event @ (Event::MaintenanceAsked
                | Event::DrainAsked(_)
                | Event::ActivateAsked
                | Event::Emptied { .. }),
            ) => Self { mode: self.mode.step(now, event)?, ..self.clone() },
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

    const THEN: Timestamp = Timestamp(1);

    fn request() -> DrainRequest {
        let policy = SlaPolicy::Percentage { percentage: 95.0, duration_secs: 1800 };
        DrainRequest { policy, timeout_secs: 60, by: "somebody".into() }
    }

    /// What each of `events` makes of each of `states`, by `name`.
    fn table(states: &[Host], events: &[Event], name: impl Fn(&Host) -> &'static str) -> String {
        let row = |state: &Host| {
            let cell = |event| state.step(THEN, event).map_or("-", |next| name(&next));
            let cells: Vec<_> = events.iter().map(cell).collect();
            format!("{:12}{}\n", name(state), cells.join(" "))
        };
        states.iter().map(row).collect()
    }

    fn host(contact: Contact, mode: Mode) -> Host {
        Host { contact, mode, ..Host::unknown("h".into()) }
    }

    fn contacts() -> [Contact; 4] {
        let since = Timestamp(0);
        [
            Contact::Unknown,
            Contact::Up { since },
            Contact::Away { since },
            Contact::Unreachable { since },
        ]
    }

    fn modes() -> [Mode; 4] {
        let since = Timestamp(0);
        [
            Mode::None,
            Mode::Scheduled { since },
            Mode::Draining { since, request: request() },
            Mode::Drained { since },
        ]
    }

    /// What operators ask for, and that it is done; the last of them is about an older drain.
    fn asked() -> [Event; 5] {
        [
            Event::MaintenanceAsked,
            Event::DrainAsked(request()),
            Event::ActivateAsked,
            Event::Emptied { since: Timestamp(0) },
            Event::Emptied { since: Timestamp(9) },
        ]
    }

    #[test]
    fn the_whole_table() {
        let states = contacts().map(|it| host(it, Mode::None));
        let events = [hello(), Event::Disconnected, Event::SilentForLong];
        assert_eq!(
            table(&states, &events, |it| it.contact.name()),
            "\
unknown     up - -
up          up away -
away        up - unreachable
unreachable up - -
"
        );
    }

    #[test]
    fn the_whole_table_of_modes() {
        let states = modes().map(|it| host(Contact::Up { since: Timestamp(0) }, it));
        assert_eq!(
            table(&states, &asked(), |it| it.mode.name()),
            "\
NONE        SCHEDULED DRAINING NONE - -
SCHEDULED   SCHEDULED DRAINING NONE - -
DRAINING    SCHEDULED DRAINING NONE DRAINED -
DRAINED     SCHEDULED DRAINING NONE - -
"
        );
    }

    #[test]
    fn mode_and_contact_leave_each_other_alone() {
        for (contact, mode) in contacts().into_iter().flat_map(|it| modes().map(|mode| (it, mode)))
        {
            let state = host(contact, mode.clone());
            for event in [hello(), Event::Disconnected, Event::SilentForLong] {
                assert!(state.step(THEN, &event).map_or(true, |it| it.mode == mode));
            }
            for event in asked() {
                let next = state.step(THEN, &event);
                assert!(next.as_ref().map_or(true, |it| it.contact == contact), "{next:?}");
                assert!(contact != Contact::Unknown || next.is_err(), "nobody knows it");
            }
        }
    }

    #[test]
    fn a_drain_has_a_deadline_from_its_beginning_on() {
        let draining = host(Contact::Up { since: THEN }, Mode::None)
            .step(Timestamp(5000), &Event::DrainAsked(request()))
            .unwrap();
        assert_eq!(draining.mode.deadline(), Some(Timestamp(65_000)));
        assert_eq!(Mode::None.deadline(), None);
    }
}
