//! Why those wait who do, in words: for each reason how many hosts it rules out and what would help,
//! and which host misses by least.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use super::{
    group::{Group, GroupKey},
    pool::{Pool, Seat},
    veto::{Amount, Veto, VetoCount, What, amounts, vetoes},
};
use crate::{
    config::{DEDICATED, TaskConfig},
    resources::Demand,
    view::Pending,
};

/// Hosts that a reason rules out.
#[derive(Default)]
struct RuledOut<'a> {
    seats: Vec<&'a Seat>,
}

/// How many names a sentence lists.
const LISTED: usize = 3;

/// Looks at all hosts.
pub(super) fn explain(pool: &Pool, key: &GroupKey, group: &Group) -> Pending {
    let config = &*group.config;
    let mut ruled_out: BTreeMap<Veto<'_>, RuledOut<'_>> = BTreeMap::new();
    let mut nearest: Option<((u64, u64), &Seat, Vec<Veto<'_>>)> = None;
    let mut making = Vec::new();
    for seat in pool.by_name() {
        let it = pool.seat(seat);
        let mut vetoes = vetoes(config, &group.memory, it);
        if let Some(place) = pool.making(seat, key).filter(|_| vetoes.iter().all(passes)) {
            making.push(place);
            continue;
        }
        let only_short = vetoes.iter().all(|it| matches!(it, Veto::Insufficient { .. }));
        let is_kept = vetoes.is_empty() && pool.sets.reserved.has(seat);
        if is_kept || only_short && pool.is_kept_from(seat, key) {
            vetoes = vec![Veto::Reserved];
        }
        for &veto in &vetoes {
            ruled_out.entry(veto.in_kind()).or_default().seats.push(it);
        }
        let score = vetoes.iter().map(|it| it.score()).sum();
        let short = vetoes.iter().map(|it| it.short()).sum();
        if nearest.as_ref().is_none_or(|it| (score, short) < it.0) {
            nearest = Some(((score, short), it, vetoes));
        }
    }
    let count = |(veto, out): (Veto<'_>, RuledOut<'_>)| VetoCount {
        kind: veto.kind(),
        reason: veto.to_string(),
        hosts: out.seats.len(),
        help: out.help(veto, group),
    };
    let mut vetoes: Vec<_> = ruled_out.into_iter().map(count).collect();
    vetoes.sort_by_key(|it| Reverse(it.hosts));
    let nearest = nearest.map(|(_, seat, vetoes)| {
        let lacks = vetoes.iter().map(|&it| lack(group, seat, it)).collect::<Vec<_>>();
        (seat.host.id.clone(), lacks.join("; "))
    });
    Pending { since: group.since, hosts: pool.hosts(), vetoes, nearest, making }
}

/// Whether it may be over when some have left.
fn passes(veto: &Veto<'_>) -> bool {
    matches!(veto, Veto::Insufficient { .. } | Veto::Limit(_))
}

impl RuledOut<'_> {
    /// What whoever can change something could change.
    fn help(&self, veto: Veto<'_>, group: &Group) -> String {
        let names = || listed(self.seats.iter().map(|it| &it.host.id), ", ");
        match veto {
            Veto::Dedicated => {
                let kept = listed(self.values(DEDICATED), ", ");
                format!("They are kept for jobs with the constraint '{DEDICATED}': {kept}")
            }
            Veto::Down => format!("Nothing is heard of {}: start the agent there", names()),
            Veto::Maintenance { .. } => {
                format!("When maintenance is over, `airglow host activate` gives back {}", names())
            }
            Veto::Reserved => "They are kept for others for some minutes: wait".to_owned(),
            Veto::Constraint(name) => self.of_constraint(name, &group.config),
            Veto::Limit(name) => {
                let most = limit(&group.config, name).unwrap_or(0);
                format!("Raise the limit of {most}, or add hosts with another {name}")
            }
            Veto::Insufficient { what, .. } => self.of_shortage(what, group),
        }
    }

    fn of_constraint(&self, name: &str, config: &TaskConfig) -> String {
        let constraint = config.constraints.iter().find(|it| it.attribute == name);
        match constraint.map(|it| &it.demand) {
            Some(Demand::Value { negated: false, values }) => {
                let wanted = listed(values, " or ");
                if self.values(name).is_empty() {
                    format!("None of them has any {name}: give {name} {wanted} to some")
                } else {
                    let has = listed(self.values(name), ", ");
                    format!("They have {name} {has}: allow that, or add hosts with {wanted}")
                }
            }
            Some(Demand::Value { negated: true, values }) => {
                format!("Allow {name} {}, or add hosts without it", listed(values, " or "))
            }
            Some(Demand::Limit(_)) | None => {
                format!("Without {name} nothing can be limited by it: give them one")
            }
        }
    }

    fn of_shortage(&self, what: What, group: &Group) -> String {
        let amounts: Vec<Amount> = self
            .seats
            .iter()
            .flat_map(|it| amounts(&group.memory, it))
            .filter(|it| it.what == what)
            .collect();
        let capable: Vec<_> = amounts.iter().filter(|it| it.needed <= it.in_all).collect();
        let Some(nearest) = capable.iter().min_by_key(|it| it.needed - it.free) else {
            let largest = amounts.iter().map(|it| it.in_all).max().unwrap_or(0);
            let largest = In(what, largest);
            return format!("The largest of them has {largest} in all: ask for no more than that");
        };
        let more = More(what, nearest.needed - nearest.free);
        let enough = match (capable.len(), amounts.len()) {
            (1, 1) => "It has".to_owned(),
            (1, _) => "One of them has".to_owned(),
            (capable, all) if capable == all => "They have".to_owned(),
            (capable, _) => format!("{capable} of them have"),
        };
        let free = amounts.iter().map(|it| it.free).max().unwrap_or(0);
        let ask = match free {
            0 => String::new(),
            free => format!(", or ask for no more than {}", In(what, free)),
        };
        format!("{enough} enough in all, but it is taken: free {more} there{ask}")
    }

    fn values(&self, name: &str) -> BTreeSet<&String> {
        self.seats.iter().filter_map(|it| it.host.attributes.get(name)).flatten().collect()
    }
}

/// What the host lacks, in words that go after its name.
fn lack(group: &Group, seat: &Seat, veto: Veto<'_>) -> String {
    let config = &*group.config;
    let has = |name: &str| match seat.host.attributes.get(name) {
        None => format!("has no {name}"),
        Some(values) => format!("has {name} {}", listed(values, ", ")),
    };
    match veto {
        Veto::Dedicated => format!("{}, and is for those who ask for it", has(DEDICATED)),
        Veto::Down => "has not been heard of".to_owned(),
        Veto::Maintenance { drained: false } => "is being emptied for maintenance".to_owned(),
        Veto::Maintenance { drained: true } => "was emptied for maintenance".to_owned(),
        Veto::Reserved => "is kept for somebody else for a while".to_owned(),
        Veto::Constraint(name) => format!("{}{}", has(name), taken_for(config, name)),
        Veto::Limit(name) => {
            format!("{}, where the job has as many instances as it may", has(name))
        }
        Veto::Insufficient { what, .. } => {
            let amount = amounts(&group.memory, seat).into_iter().find(|it| it.what == what);
            let Amount { needed, free, in_all, .. } = amount.expect("every kind has its amount");
            let more = More(what, needed - free);
            let unit = match what {
                What::Ram | What::RevocableRam | What::Disk => " MB",
                What::Cpu | What::RevocableCpu | What::Ports | What::Gpu => "",
            };
            format!("needs {more}: {}{unit} free of {}", Bare(what, free), Bare(what, in_all))
        }
    }
}

/// What the constraint makes of the value that a host has.
fn taken_for(config: &TaskConfig, name: &str) -> String {
    let constraint = config.constraints.iter().find(|it| it.attribute == name);
    match constraint.map(|it| &it.demand) {
        Some(Demand::Value { negated: false, values }) => {
            format!(", not {}", listed(values, " or "))
        }
        Some(Demand::Value { negated: true, .. }) => ", which is ruled out".to_owned(),
        Some(Demand::Limit(_)) | None => String::new(),
    }
}

fn limit(config: &TaskConfig, name: &str) -> Option<u32> {
    config.constraints.iter().find_map(|it| match it.demand {
        Demand::Limit(most) if it.attribute == name => Some(most),
        Demand::Limit(_) | Demand::Value { .. } => None,
    })
}

/// The first few of them.
fn listed<T: fmt::Display>(all: impl IntoIterator<Item = T>, between: &str) -> String {
    let all: Vec<String> = all.into_iter().map(|it| it.to_string()).collect();
    let text = all.iter().take(LISTED).map(String::as_str).collect::<Vec<_>>().join(between);
    match all.len().saturating_sub(LISTED) {
        0 => text,
        more => format!("{text} and {more} more"),
    }
}

/// An amount with its unit.
struct In(What, u64);

/// The same, as it goes after `needs`.
struct More(What, u64);

/// The same, without what its unit is of.
struct Bare(What, u64);

impl fmt::Display for In {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(what, amount) = *self;
        let s = |one: u64| if amount == one { "" } else { "s" };
        let bare = Bare(what, amount);
        match what {
            What::Ram | What::RevocableRam | What::Disk => write!(f, "{bare} MB"),
            What::Cpu | What::RevocableCpu => write!(f, "{bare} core{}", s(1000)),
            What::Ports => write!(f, "{bare} port{}", s(1)),
            What::Gpu => write!(f, "{bare} GPU{}", s(1)),
        }
    }
}

impl fmt::Display for More {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(what, amount) = *self;
        let s = |one: u64| if amount == one { "" } else { "s" };
        let bare = Bare(what, amount);
        match what {
            What::Cpu => write!(f, "{bare} more core{}", s(1000)),
            What::RevocableCpu => write!(f, "{bare} more revocable core{}", s(1000)),
            What::Ram => write!(f, "{bare} MB more RAM"),
            What::RevocableRam => write!(f, "{bare} MB more revocable RAM"),
            What::Disk => write!(f, "{bare} MB more disk"),
            What::Ports => write!(f, "{bare} more port{}", s(1)),
            What::Gpu => write!(f, "{bare} more GPU{}", s(1)),
        }
    }
}

impl fmt::Display for Bare {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(what, amount) = *self;
        match what {
            What::Cpu | What::RevocableCpu => {
                let digits = format!("{}.{:03}", amount / 1000, amount % 1000);
                f.write_str(digits.trim_end_matches('0').trim_end_matches('.'))
            }
            What::Ram | What::RevocableRam | What::Disk | What::Ports | What::Gpu => {
                write!(f, "{amount}")
            }
        }
    }
}
