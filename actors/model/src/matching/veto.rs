//! Why not there? A refusal is data: it can be counted over all hosts, and the host with the least
//! of it is the nearest miss.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{
    memory::{Memory, Unmet, is_kept_from, unmet},
    pool::Seat,
};
use crate::{
    config::TaskConfig,
    host::{Contact, Mode},
};

/// Why a host does not suit a group.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Veto<'a> {
    /// The host is kept for those who ask for it.
    Dedicated,
    Down,
    /// It is being emptied, or has been.
    Maintenance {
        drained: bool,
    },
    /// The host does not have what is demanded of this attribute.
    Constraint(&'a str),
    /// There are as many of the job as may be where this attribute is the same.
    Limit(&'a str),
    /// It is kept for somebody for a while.
    Reserved,
    Insufficient {
        what: What,
        short: u64,
    },
}

/// What there can be too little of, in the units of [`crate::resources::Resources`].
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum What {
    Cpu,
    RevocableCpu,
    Ram,
    RevocableRam,
    Disk,
    Ports,
    Gpu,
}

/// What a veto is about.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    Dedicated,
    Down,
    Maintenance,
    Reserved,
    Constraint,
    Limit,
    Cpu,
    Ram,
    Disk,
    Ports,
    Gpu,
}

/// How many hosts something rules out, and what would help, in a sentence each.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct VetoCount {
    pub kind: Kind,
    /// Such as `Insufficient: CPU`.
    pub reason: String,
    pub hosts: usize,
    pub help: String,
}

impl Veto<'_> {
    /// Without how much it is, so that it can be counted.
    pub(super) fn in_kind(self) -> Self {
        match self {
            Self::Insufficient { what, .. } => Self::Insufficient { what, short: 0 },
            Self::Dedicated
            | Self::Down
            | Self::Maintenance { .. }
            | Self::Constraint(_)
            | Self::Limit(_)
            | Self::Reserved => self,
        }
    }

    pub(super) fn kind(self) -> Kind {
        match self {
            Self::Dedicated => Kind::Dedicated,
            Self::Down => Kind::Down,
            Self::Maintenance { .. } => Kind::Maintenance,
            Self::Reserved => Kind::Reserved,
            Self::Constraint(_) => Kind::Constraint,
            Self::Limit(_) => Kind::Limit,
            Self::Insufficient { what, .. } => match what {
                What::Cpu | What::RevocableCpu => Kind::Cpu,
                What::Ram | What::RevocableRam => Kind::Ram,
                What::Disk => Kind::Disk,
                What::Ports => Kind::Ports,
                What::Gpu => Kind::Gpu,
            },
        }
    }

    /// How much is missing; what is no amount misses none.
    pub(super) fn short(self) -> u64 {
        match self {
            Self::Insufficient { short, .. } => short,
            Self::Dedicated
            | Self::Down
            | Self::Maintenance { .. }
            | Self::Reserved
            | Self::Constraint(_)
            | Self::Limit(_) => 0,
        }
    }

    /// How far it is from being lifted: what passes by itself is nearer than what somebody would
    /// have to change. A lack counts in thousandths of a big machine, up to one; so lacks of
    /// everything weigh less than any other reason.
    pub(super) fn score(self) -> u64 {
        match self {
            Self::Dedicated => 1_000_000,
            Self::Down | Self::Maintenance { .. } => 100_000,
            Self::Constraint(_) | Self::Limit(_) | Self::Reserved => 10_000,
            Self::Insufficient { what, short } => {
                let big = match what {
                    What::Cpu | What::RevocableCpu => 16_000,
                    What::Ram | What::RevocableRam => 24 * 1024,
                    What::Disk => 450 * 1024,
                    What::Ports => 1000,
                    What::Gpu => 4,
                };
                (short.saturating_mul(1000) / big).clamp(1, 1000)
            }
        }
    }
}

/// The reason as it is counted: the same for every host that has it.
impl fmt::Display for Veto<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dedicated => f.write_str("Host is dedicated"),
            Self::Down => f.write_str("Host is down"),
            Self::Maintenance { drained: false } => f.write_str("Host is draining for maintenance"),
            Self::Maintenance { drained: true } => f.write_str("Host is drained for maintenance"),
            Self::Constraint(name) => write!(f, "Constraint not satisfied: {name}"),
            Self::Limit(name) => write!(f, "Limit not satisfied: {name}"),
            Self::Reserved => f.write_str("Host is reserved"),
            Self::Insufficient { what, .. } => write!(f, "Insufficient: {what}"),
        }
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cpu => "CPU",
            Self::RevocableCpu => "revocable CPU",
            Self::Ram => "RAM",
            Self::RevocableRam => "revocable RAM",
            Self::Disk => "disk",
            Self::Ports => "ports",
            Self::Gpu => "GPU",
        })
    }
}

impl Kind {
    /// As it is called in metrics and in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Dedicated => "dedicated",
            Self::Down => "down",
            Self::Maintenance => "maintenance",
            Self::Reserved => "reserved",
            Self::Constraint => "constraint",
            Self::Limit => "limit",
            Self::Cpu => "cpu",
            Self::Ram => "ram",
            Self::Disk => "disk",
            Self::Ports => "ports",
            Self::Gpu => "gpu",
        }
    }
}

/// What speaks against the host now: the first kind of reason that does, since who changes the one
/// will look at the next; but of resources, all that are short.
pub(super) fn vetoes<'a>(config: &'a TaskConfig, memory: &Memory, seat: &Seat) -> Vec<Veto<'a>> {
    let host = &*seat.host;
    if is_kept_from(config, &host.attributes) {
        return vec![Veto::Dedicated];
    }
    if !matches!(host.contact, Contact::Up { .. }) {
        return vec![Veto::Down];
    }
    match &host.mode {
        Mode::None | Mode::Scheduled { .. } => {}
        Mode::Draining { .. } => return vec![Veto::Maintenance { drained: false }],
        Mode::Drained { .. } => return vec![Veto::Maintenance { drained: true }],
    }
    match unmet(config, &host.attributes, memory) {
        Some(Unmet::Constraint(name)) => return vec![Veto::Constraint(name)],
        Some(Unmet::Limit(name)) => return vec![Veto::Limit(name)],
        None => {}
    }
    shortages(memory, seat)
}

fn shortages<'a>(memory: &Memory, seat: &Seat) -> Vec<Veto<'a>> {
    amounts(memory, seat)
        .into_iter()
        .filter(|it| it.free < it.needed)
        .map(|it| Veto::Insufficient { what: it.what, short: it.needed - it.free })
        .collect()
}

/// What there is of something, and what is wanted of it.
pub(super) struct Amount {
    pub(super) what: What,
    pub(super) needed: u64,
    pub(super) free: u64,
    /// When nothing runs there.
    pub(super) in_all: u64,
}

pub(super) fn amounts(memory: &Memory, seat: &Seat) -> [Amount; 7] {
    let (needs, free, spare) = (memory.needs(), &seat.free, &seat.spare);
    let capacity = &seat.host.capacity;
    let (all, more) = (&capacity.resources, &capacity.revocable);
    let ports = (seat.ports.free().into(), seat.ports.offered().into());
    let of = |what, needed, free, in_all| Amount { what, needed, free, in_all };
    [
        of(What::Cpu, needs.firm.cpu_milli, free.cpu_milli, all.cpu_milli),
        of(What::RevocableCpu, needs.spare.cpu_milli, spare.cpu_milli, more.cpu_milli),
        of(What::Ram, needs.firm.ram_mb, free.ram_mb, all.ram_mb),
        of(What::RevocableRam, needs.spare.ram_mb, spare.ram_mb, more.ram_mb),
        of(What::Disk, needs.firm.disk_mb, free.disk_mb, all.disk_mb),
        of(What::Ports, needs.ports.into(), ports.0, ports.1),
        of(What::Gpu, needs.firm.gpus, free.gpus, all.gpus),
    ]
}

#[cfg(test)]
pub(super) fn score_of_cores(short: u64) -> u64 {
    Veto::Insufficient { what: What::Cpu, short }.score()
}
