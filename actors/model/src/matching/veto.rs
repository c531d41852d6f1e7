//! Why not there? A refusal is data: it can be counted over all hosts, and the host with the least
//! of it is the nearest miss, which says in words what would have to change.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use super::{
    group::{Group, GroupKey, ports_needed},
    memory::{Unmet, is_kept_from, unmet},
    pool::{Pool, Seat},
};
use crate::{
    config::{DEDICATED, TaskConfig},
    host::{Contact, Mode},
    ids::HostId,
    resources::Demand,
    view::Pending,
};

/// Why a host does not suit a group.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Veto<'a> {
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
    /// Others had to leave it for somebody.
    Reserved,
    Insufficient {
        what: What,
        short: u64,
    },
}

/// What there can be too little of, in the units of [`crate::resources::Resources`].
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum What {
    Cpu,
    Ram,
    Disk,
    Ports,
    Gpu,
}

impl Veto<'_> {
    /// Without how much it is, so that it can be counted.
    fn in_kind(self) -> Self {
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

    /// How far it is from being lifted: what passes by itself is nearer than what somebody would
    /// have to change. A lack counts in thousandths of a big machine; lacks of everything weigh
    /// less than any other reason.
    fn score(self) -> u64 {
        match self {
            Self::Dedicated => 1_000_000,
            Self::Down | Self::Maintenance { .. } => 100_000,
            Self::Constraint(_) | Self::Limit(_) | Self::Reserved => 10_000,
            Self::Insufficient { what, short } => {
                let big = match what {
                    What::Cpu => 16_000,
                    What::Ram => 24 * 1024,
                    What::Disk => 450 * 1024,
                    What::Ports => 1000,
                    What::Gpu => 4,
                };
                (short.saturating_mul(1000) / big).clamp(1, 1999)
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
            Self::Ram => "RAM",
            Self::Disk => "disk",
            Self::Ports => "ports",
            Self::Gpu => "GPU",
        })
    }
}

/// What speaks against the host now: the first kind of reason that does, since who changes the one
/// will look at the next; but of resources, all that are short.
pub(super) fn vetoes<'a>(group: &'a Group, seat: &Seat) -> Vec<Veto<'a>> {
    let (config, host) = (&*group.config, &*seat.host);
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
    match unmet(config, &host.attributes, &group.memory) {
        Some(Unmet::Constraint(name)) => vec![Veto::Constraint(name)],
        Some(Unmet::Limit(name)) => vec![Veto::Limit(name)],
        None => shortages(config, seat),
    }
}

fn shortages<'a>(config: &TaskConfig, seat: &Seat) -> Vec<Veto<'a>> {
    let (needs, free) = (&config.resources, &seat.free);
    [
        (What::Cpu, needs.cpu_milli, free.cpu_milli),
        (What::Ram, needs.ram_mb, free.ram_mb),
        (What::Disk, needs.disk_mb, free.disk_mb),
        (What::Ports, ports_needed(config).into(), seat.ports.free().into()),
        (What::Gpu, needs.gpus, free.gpus),
    ]
    .into_iter()
    .filter(|(_, needed, free)| needed > free)
    .map(|(what, needed, free)| Veto::Insufficient { what, short: needed - free })
    .collect()
}

/// Why what is left of `group` waits, host by host, when everybody has been placed that can be.
pub(super) fn explain(pool: &Pool, key: &GroupKey, group: &Group) -> Pending {
    let mut counts: BTreeMap<Veto<'_>, usize> = BTreeMap::new();
    let mut nearest: Option<(u64, &Seat, Vec<Veto<'_>>)> = None;
    for at in pool.by_name() {
        let seat = pool.seat(at);
        let mut vetoes = vetoes(group, seat);
        let only_short = vetoes.iter().all(|it| matches!(it, Veto::Insufficient { .. }));
        if only_short && pool.is_kept_from(at, key) {
            vetoes = vec![Veto::Reserved];
        }
        for &veto in &vetoes {
            *counts.entry(veto.in_kind()).or_default() += 1;
        }
        let score = vetoes.iter().map(|it| it.score()).sum();
        if nearest.as_ref().is_none_or(|&(best, ..)| score < best) {
            nearest = Some((score, seat, vetoes));
        }
    }
    let mut vetoes: Vec<_> =
        counts.into_iter().map(|(veto, count)| (veto.to_string(), count)).collect();
    vetoes.sort_by_key(|&(_, count)| std::cmp::Reverse(count));
    Pending {
        since: group.since,
        hosts: pool.hosts(),
        vetoes,
        nearest: nearest.map(|(_, seat, vetoes)| in_words(&group.config, seat, &vetoes)),
    }
}

/// What the host lacks, in words that go after its name.
fn in_words(config: &TaskConfig, seat: &Seat, vetoes: &[Veto<'_>]) -> (HostId, String) {
    let has = |name: &str| match seat.host.attributes.get(name) {
        None => format!("has no {name}"),
        Some(values) => format!("has {name} {}", listed(values, ", ")),
    };
    let takes = |name: &str| {
        let constraint = config.constraints.iter().find(|it| it.attribute == name);
        match constraint.map(|it| &it.demand) {
            Some(Demand::Value { negated: false, values }) => {
                format!(", not {}", listed(values, " or "))
            }
            Some(Demand::Value { negated: true, .. }) => ", which is ruled out".to_owned(),
            Some(Demand::Limit(_)) | None => String::new(),
        }
    };
    let words = vetoes.iter().map(|veto| match *veto {
        Veto::Dedicated => format!("{}, and is for those who ask for it", has(DEDICATED)),
        Veto::Down => "has not been heard of".to_owned(),
        Veto::Maintenance { drained: false } => "is being emptied for maintenance".to_owned(),
        Veto::Maintenance { drained: true } => "was emptied for maintenance".to_owned(),
        Veto::Constraint(name) => format!("{}{}", has(name), takes(name)),
        Veto::Limit(name) => {
            format!("{}, where the job has as many instances as it may", has(name))
        }
        Veto::Reserved => "is kept for others, who were waiting for it".to_owned(),
        Veto::Insufficient { what, short } => lack(seat, what, short),
    });
    (seat.host.id.clone(), words.collect::<Vec<_>>().join("; "))
}

fn lack(seat: &Seat, what: What, short: u64) -> String {
    let (free, all) = (seat.free, seat.host.capacity.resources);
    let s = |plural: bool| if plural { "s" } else { "" };
    match what {
        What::Cpu => format!(
            "needs {} more core{}: {} free of {}",
            Cores(short),
            s(short != 1000),
            Cores(free.cpu_milli),
            Cores(all.cpu_milli)
        ),
        What::Ram => {
            format!("needs {short} MB more RAM: {} MB free of {}", free.ram_mb, all.ram_mb)
        }
        What::Disk => {
            format!("needs {short} MB more disk: {} MB free of {}", free.disk_mb, all.disk_mb)
        }
        What::Ports => {
            format!("needs {short} more port{}: {} free", s(short != 1), seat.ports.free())
        }
        What::Gpu => {
            format!("needs {short} more GPU{}: {} free of {}", s(short != 1), free.gpus, all.gpus)
        }
    }
}

fn listed(values: &BTreeSet<String>, between: &str) -> String {
    values.iter().map(String::as_str).collect::<Vec<_>>().join(between)
}

struct Cores(u64);

impl fmt::Display for Cores {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, milli) = (self.0 / 1000, self.0 % 1000);
        let digits = format!("{whole}.{milli:03}");
        f.write_str(digits.trim_end_matches('0').trim_end_matches('.'))
    }
}
