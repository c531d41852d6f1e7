//! What the cluster knows of one host, and whether it is still heard from.
//!
//! ```text
//!   joined ──► up ──silent──► away ──silent for long──► unreachable
//!               ▲ ◄──────────────┴───────── heard ───────────┘
//! ```
//! `away` touches nothing: an agent that restarts is back in a second and its tasks never notice.
//! Only `unreachable` makes tasks PARTITIONED, which their own policies then deal with. Whoever is
//! removed has no record any more, and its machine is on the list of those that stay away.
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
    ids::{HostId, MachineId},
    joining::Removal,
    machine::{Machine, Rejected, Timestamp},
    record::{Change, Record, RecordKey},
    resources::Attributes,
    spec::SlaPolicy,
    wire::{Capacity, Hello},
};

/// How long an agent may be away before its tasks count as partitioned, if the operator says
/// nothing else.
pub const UNREACHABLE_AFTER: Duration = Duration::from_secs(75);

/// What an operator can decide about hosts that are silent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rules {
    pub unreachable_after: Duration,
}

impl Default for Rules {
    fn default() -> Self {
        Self { unreachable_after: UNREACHABLE_AFTER }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Host {
    pub id: HostId,
    pub joined_at: Timestamp,
    pub version: String,
    /// The newest version of the protocol that it speaks; 0 if nobody has asked yet.
    #[serde(default)]
    pub protocol: u32,
    /// How long it lets its tasks run when it hears from no scheduler; absent: for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub isolated_max_secs: Option<u64>,
    pub attributes: Attributes,
    pub capacity: Capacity,
    pub contact: Contact,
    #[serde(default)]
    pub mode: Mode,
    /// Whose name it is; `None` if it was heard last before machines had ids.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine: Option<MachineId>,
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
        /// From then on its tasks are partitioned.
        #[serde(default)]
        until: Option<Timestamp>,
    },
    Unreachable {
        since: Timestamp,
    },
    /// It is no part of the cluster any more. Of this there is no record.
    Removed {
        since: Timestamp,
    },
}

#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// Its certificate says which machine it is. That comes before it is connected.
    Identified(MachineId),
    Connected(Hello),
    /// It may stay away for so long.
    Disconnected {
        patience: Duration,
    },
    SilentForLong,
    MaintenanceAsked,
    DrainAsked(DrainRequest),
    ActivateAsked,
    /// It is to be no part of the cluster any more.
    RemoveAsked,
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
    /// Its tasks are LOST.
    Abandon,
}

impl Host {
    pub fn unknown(id: HostId) -> Self {
        Self {
            id,
            joined_at: Timestamp(0),
            version: String::new(),
            protocol: 0,
            isolated_max_secs: None,
            attributes: Attributes::new(),
            capacity: Capacity::default(),
            contact: Contact::Unknown,
            mode: Mode::None,
            machine: None,
        }
    }
}

/// A clock that shows something else than it should, by more than a network can make of it: in
/// words.
pub fn in_words_if_wrong(skew_ms: i64) -> Option<String> {
    let secs = skew_ms.unsigned_abs() / 1000;
    let which = if skew_ms < 0 { "behind" } else { "ahead" };
    let amount = match secs {
        0..=4 => return None,
        5..120 => format!("{secs} s"),
        120..7200 => format!("{} min", secs / 60),
        7200.. => format!("{} h", secs / 3600),
    };
    Some(format!("clock {amount} {which}"))
}

impl Contact {
    pub fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Up { .. } => "up",
            Self::Away { .. } => "away",
            Self::Unreachable { .. } => "unreachable",
            Self::Removed { .. } => "removed",
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
            Self::Identified(_) => "identified",
            Self::Connected(_) => "connected",
            Self::Disconnected { .. } => "disconnected",
            Self::SilentForLong => "silent for long",
            Self::MaintenanceAsked => "maintenance asked",
            Self::DrainAsked(_) => "drain asked",
            Self::ActivateAsked => "activation asked",
            Self::RemoveAsked => "removal asked",
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
                joined_at: match contact {
                    Contact::Unknown | Contact::Removed { .. } => now,
                    Contact::Up { .. } | Contact::Away { .. } | Contact::Unreachable { .. } => {
                        self.joined_at
                    }
                },
                version: hello.version.clone(),
                protocol: hello.protocol,
                isolated_max_secs: hello.isolated_max_secs,
                attributes: hello.attributes.clone(),
                capacity: hello.capacity.clone(),
                contact: Contact::Up { since: now },
                mode: self.mode.clone(),
                machine: self.machine.clone(),
            },
            // Nothing of whoever had the name before is this one's.
            (Contact::Removed { .. }, Event::Identified(machine)) => {
                Self { machine: Some(machine.clone()), ..Self::unknown(self.id.clone()) }
            }
            (_, Event::Identified(machine)) if self.machine.as_ref() != Some(machine) => {
                Self { machine: Some(machine.clone()), ..self.clone() }
            }
            (
                Contact::Up { .. } | Contact::Away { .. } | Contact::Unreachable { .. },
                Event::RemoveAsked,
            ) => Self { contact: Contact::Removed { since: now }, ..self.clone() },
            (Contact::Up { .. }, Event::Disconnected { patience }) => Self {
                contact: Contact::Away { since: now, until: Some(now + *patience) },
                ..self.clone()
            },
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
            Contact::Removed { .. } => vec![Effect::Rescind, Effect::Abandon],
        }
    }

    fn deadline(&self) -> Option<(Timestamp, Event)> {
        match self.contact {
            Contact::Away { since, until } => {
                Some((until.unwrap_or(since + UNREACHABLE_AFTER), Event::SilentForLong))
            }
            Contact::Unknown
            | Contact::Up { .. }
            | Contact::Unreachable { .. }
            | Contact::Removed { .. } => None,
        }
    }

    fn changes(&self, _: Option<&Self>) -> Vec<Change> {
        let key = RecordKey::Host(self.id.clone());
        let Contact::Removed { since } = self.contact else {
            return vec![Change { key, record: Some(Record::Host(self.clone())) }];
        };
        let machine = self.machine.clone().unwrap_or_else(|| MachineId::unnamed(&self.id));
        let removal = Record::Removal(Removal { host: self.id.clone(), at: since });
        vec![
            Change { key, record: None },
            Change { key: RecordKey::Removal(machine), record: Some(removal) },
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hello() -> Event {
        Event::Connected(Hello::of("h", "1"))
    }

    fn identified() -> Event {
        Event::Identified("m1".into())
    }

    fn disconnected() -> Event {
        Event::Disconnected { patience: Duration::from_secs(5) }
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

    fn contacts() -> [Contact; 5] {
        let since = Timestamp(0);
        [
            Contact::Unknown,
            Contact::Up { since },
            Contact::Away { since, until: None },
            Contact::Unreachable { since },
            Contact::Removed { since },
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
        let events =
            [hello(), disconnected(), Event::SilentForLong, Event::RemoveAsked, identified()];
        assert_eq!(
            table(&states, &events, |it| it.contact.name()),
            "\
unknown     up - - - unknown
up          up away - removed up
away        up - unreachable removed away
unreachable up - - removed unreachable
removed     up - - - unknown
"
        );
    }

    #[test]
    fn who_is_away_is_unreachable_when_the_operators_patience_ends() {
        let up = host(Contact::Up { since: Timestamp(0) }, Mode::None);
        let away = up.step(Timestamp(1000), &disconnected()).unwrap();
        assert_eq!(away.deadline(), Some((Timestamp(6000), Event::SilentForLong)));
        // As it was written before there was a choice.
        let before: Contact = serde_json::from_str(r#"{"state": "away", "since": 1000}"#).unwrap();
        let deadline = host(before, Mode::None).deadline();
        assert_eq!(deadline, Some((Timestamp(76_000), Event::SilentForLong)));
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
            for event in [hello(), disconnected(), Event::SilentForLong] {
                assert!(state.step(THEN, &event).map_or(true, |it| it.mode == mode));
            }
            for event in asked() {
                let next = state.step(THEN, &event);
                assert!(next.as_ref().map_or(true, |it| it.contact == contact), "{next:?}");
                let is_known = !matches!(contact, Contact::Unknown | Contact::Removed { .. });
                assert!(is_known || next.is_err(), "nobody knows it");
            }
        }
    }

    #[test]
    fn clocks_that_are_wrong_are_told_of() {
        let told = |secs: i64| in_words_if_wrong(secs * 1000).unwrap_or_default();
        assert_eq!([0, 4, -4].map(told), ["", "", ""]);
        assert_eq!(
            [5, -90, 600].map(told),
            ["clock 5 s ahead", "clock 90 s behind", "clock 10 min ahead"]
        );
        assert_eq!(told(-86_400), "clock 24 h behind");
        assert!(in_words_if_wrong(i64::MIN).is_some());
    }

    #[test]
    fn a_host_that_is_removed_leaves_a_word_about_its_machine_and_nothing_else() {
        let up = host(Contact::Up { since: THEN }, Mode::None);
        let known = up.step(THEN, &identified()).unwrap();
        assert!(known.step(THEN, &identified()).is_err(), "it is no news");
        for (host, machine) in [(up, "unnamed-h"), (known, "m1")] {
            let removed = host.step(THEN, &Event::RemoveAsked).unwrap();
            assert_eq!(removed.effects(), [Effect::Rescind, Effect::Abandon]);
            let changes = removed.changes(Some(&host));
            let removal = Record::Removal(Removal { host: "h".into(), at: THEN });
            assert_eq!(
                changes,
                [
                    Change { key: RecordKey::Host("h".into()), record: None },
                    Change { key: RecordKey::Removal(machine.into()), record: Some(removal) },
                ]
            );
            let other = removed.step(THEN, &Event::Identified("m2".into())).unwrap();
            assert_eq!(other.machine, Some("m2".into()));
            assert_eq!(other.contact, Contact::Unknown);
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
