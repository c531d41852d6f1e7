//! What a group knows of the hosts, so that it looks at each of them once.
//!
//! What rules a host out for one instance of a group rules it out for all, and hosts only get
//! fuller until something leaves them. So a seat that was looked at in vain is closed until the
//! pool says that it has healed. This saves looking and changes nothing: the choice is the one that
//! looking at all hosts again would lead to.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    bits::Bits,
    needs::Needs,
    pool::{Pool, start_of},
    scheduling::{HOST, Order, Scheduling},
};
use crate::{
    config::{DEDICATED, TaskConfig},
    ids::JobKey,
    resources::{Attributes, Demand},
};

mod choice;

#[derive(Clone, Debug)]
pub(super) struct Memory {
    epoch: u64,
    /// How much of the pool's healing is in here.
    read: u64,
    /// Where the group begins to look.
    start: u64,
    /// Seats whose hosts meet the constraints, and that were not found to be too full.
    open: Bits,
    limits: Vec<Limit>,
    /// How many of the job are where the attribute that it spreads by is missing.
    outside: u32,
    job: JobKey,
    needs: Needs,
    spread: Spread,
    /// What the fullest host is the fullest of.
    order: Vec<Order>,
    /// Seats with some of the job, if it spreads over hosts.
    peopled: Bits,
    /// Those of them that may suit, in the order of preference.
    again: BTreeSet<Peopled>,
}

/// Whether it matters how many of the job there are.
#[derive(Clone, Debug, PartialEq)]
enum Spread {
    No,
    /// On the host.
    Host,
    /// Where the attribute has the same value.
    By(String),
}

/// At most so many of the job where an attribute is the same.
#[derive(Clone, Debug)]
struct Limit {
    attribute: String,
    most: u32,
    counts: BTreeMap<String, u32>,
}

/// A host that has some of the job. The order is the order of preference.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct Peopled {
    /// Maintenance is coming.
    later: bool,
    count: u32,
    /// From where the group begins.
    distance: u64,
    seat: usize,
}

impl Memory {
    /// What there is to know at first sight.
    pub(super) fn of(config: &TaskConfig, pool: &Pool, scheduling: &Scheduling) -> Self {
        let limit = |attribute: &str, most| Limit {
            attribute: attribute.to_owned(),
            most,
            counts: BTreeMap::new(),
        };
        let limits = config.constraints.iter().filter_map(|it| match it.demand {
            Demand::Limit(most) => Some(limit(&it.attribute, most)),
            Demand::Value { .. } => None,
        });
        let spread = match scheduling.spread.as_deref() {
            None => Spread::No,
            Some(HOST) => Spread::Host,
            Some(name) => Spread::By(name.to_owned()),
        };
        // Spreading counts by the same means, and rules nothing out.
        let counted = match &spread {
            Spread::By(name) => Some(limit(name, u32::MAX)),
            Spread::No | Spread::Host => None,
        };
        let mut memory = Self {
            epoch: pool.epoch(),
            read: pool.healed(),
            start: start_of(&config.job),
            open: matching_values(config, pool),
            limits: limits.chain(counted).collect(),
            outside: 0,
            job: config.job.clone(),
            needs: Needs::of(config, scheduling),
            spread,
            order: decisive(&scheduling.order),
            peopled: Bits::new(pool.words()),
            again: BTreeSet::new(),
        };
        for (seat, count) in pool.crowd(&config.job) {
            memory.count(&pool.seat(seat).host.attributes, |it| it + count);
            memory.people(pool, seat, 0, count);
        }
        for limit in &memory.limits {
            let Some(attribute) = pool.sets.attributes.get(&limit.attribute) else { continue };
            for (value, _) in limit.counts.iter().filter(|it| limit.most <= *it.1) {
                attribute.values.get(value).into_iter().for_each(|it| memory.open.remove_few(it));
            }
        }
        memory
    }

    /// Whether it was made for what the pool is now. If it was, it learns what has healed.
    pub(super) fn keeps_up(&mut self, config: &TaskConfig, pool: &Pool) -> bool {
        if self.epoch != pool.epoch() {
            return false;
        }
        let Some(healed) = pool.healed_since(self.read) else { return false };
        healed.for_each(|seat| self.reconsider(config, pool, seat));
        self.read = pool.healed();
        true
    }

    /// Where on the ring the group begins to look.
    pub(super) fn start(&self) -> u64 {
        self.start
    }

    /// Whether nothing has healed that it does not know of.
    pub(super) fn is_current(&self, pool: &Pool) -> bool {
        self.epoch == pool.epoch() && self.read == pool.healed()
    }

    /// The job has `after` instances there now instead of `before`.
    pub(super) fn moved(
        &mut self,
        config: &TaskConfig,
        pool: &Pool,
        (seat, before, after): (usize, u32, u32),
    ) {
        if self.epoch != pool.epoch() {
            return;
        }
        let host = &pool.seat(seat).host;
        self.people(pool, seat, before, after);
        self.count(&host.attributes, |it| (it + after).saturating_sub(before));
        let crossed: Vec<usize> = self.crossed(&host.attributes, before < after, pool);
        for seat in crossed {
            if before < after {
                self.open.put(seat, false);
            } else {
                self.reconsider(config, pool, seat);
            }
        }
    }

    /// The seats where a limit holds now that did not, or the other way round.
    fn crossed(&self, attributes: &Attributes, more: bool, pool: &Pool) -> Vec<usize> {
        let has_crossed =
            |limit: &Limit, value: &str| limit.at(value) + u32::from(!more) == limit.most;
        let mut seats = Vec::new();
        for limit in &self.limits {
            let Some(attribute) = pool.sets.attributes.get(&limit.attribute) else { continue };
            let values = attributes.get(&limit.attribute).into_iter().flatten();
            for value in values.filter(|it| has_crossed(limit, it)) {
                seats.extend(attribute.values.get(value).into_iter().flat_map(|it| it.iter()));
            }
        }
        seats
    }

    fn count(&mut self, attributes: &Attributes, change: impl Fn(u32) -> u32) {
        if matches!(&self.spread, Spread::By(name) if !attributes.contains_key(name)) {
            self.outside = change(self.outside);
        }
        for limit in &mut self.limits {
            for value in attributes.get(&limit.attribute).into_iter().flatten() {
                let count = change(limit.at(value));
                if count == 0 {
                    limit.counts.remove(value);
                } else {
                    limit.counts.insert(value.clone(), count);
                }
            }
        }
    }

    fn people(&mut self, pool: &Pool, seat: usize, before: u32, after: u32) {
        if self.spread != Spread::Host {
            return;
        }
        for later in [false, true] {
            self.again.remove(&Peopled { later, ..self.peopled(pool, seat, before) });
        }
        if 0 < after {
            self.again.insert(self.peopled(pool, seat, after));
        }
        self.peopled.put(seat, 0 < after);
    }

    fn peopled(&self, pool: &Pool, seat: usize, count: u32) -> Peopled {
        let distance = pool.ring(seat).wrapping_sub(self.start);
        Peopled { later: pool.sets.later.has(seat), count, distance, seat }
    }

    /// Something about this seat has changed for the better, maybe.
    fn reconsider(&mut self, config: &TaskConfig, pool: &Pool, seat: usize) {
        if !pool.sets.known.has(seat) {
            return;
        }
        let attributes = &pool.seat(seat).host.attributes;
        let suits = !is_kept_from(config, attributes) && unmet(config, attributes, self).is_none();
        self.open.put(seat, suits);
        let count = pool.count(&config.job, seat);
        if 0 < count {
            self.people(pool, seat, count, count);
        }
    }

    pub(super) fn needs(&self) -> &Needs {
        &self.needs
    }

    /// Whether one more can go to this host, which may be reserved.
    pub(super) fn suits(&self, config: &TaskConfig, pool: &Pool, seat: usize) -> bool {
        let it = pool.seat(seat);
        let attributes = &it.host.attributes;
        pool.sets.ready.has(seat)
            && !is_kept_from(config, attributes)
            && unmet(config, attributes, self).is_none()
            && self.needs.fit(it)
    }

    /// Whether as many of the job are where this attribute is `value` as may.
    pub(super) fn is_full(&self, attribute: &str, value: &str) -> bool {
        self.limits.iter().any(|it| it.attribute == attribute && it.most <= it.at(value))
    }
}

impl Limit {
    fn at(&self, value: &str) -> u32 {
        self.counts.get(value).copied().unwrap_or(0)
    }
}

/// Whether the host is kept for others.
pub(super) fn is_kept_from(config: &TaskConfig, attributes: &Attributes) -> bool {
    attributes.contains_key(DEDICATED) && !config.is_dedicated()
}

/// The first constraint that does not hold.
pub(super) fn unmet<'a>(
    config: &'a TaskConfig,
    attributes: &Attributes,
    memory: &Memory,
) -> Option<Unmet<'a>> {
    config.constraints.iter().find_map(|it| {
        let (name, has) = (it.attribute.as_str(), attributes.get(&it.attribute));
        match &it.demand {
            Demand::Value { negated, values } => {
                let matches = has.is_some_and(|has| !has.is_disjoint(values));
                (matches == *negated).then_some(Unmet::Constraint(name))
            }
            Demand::Limit(_) => match has {
                None => Some(Unmet::Constraint(name)),
                Some(has) => {
                    let full = has.iter().any(|it| memory.is_full(name, it));
                    full.then_some(Unmet::Limit(name))
                }
            },
        }
    })
}

/// How many of the job have to leave before one more may be there, by its limits.
pub(super) fn limit_excess(attributes: &Attributes, memory: &Memory) -> u32 {
    let excess = |limit: &Limit| {
        let values = attributes.get(&limit.attribute).into_iter().flatten();
        values.map(|it| (limit.at(it) + 1).saturating_sub(limit.most)).max().unwrap_or(0)
    };
    memory.limits.iter().map(excess).max().unwrap_or(0)
}

/// By the attribute that it is about.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Unmet<'a> {
    Constraint(&'a str),
    Limit(&'a str),
}

/// The hosts that have the values which are demanded, and the attributes that are limited.
pub(super) fn matching_values(config: &TaskConfig, pool: &Pool) -> Bits {
    let sets = &pool.sets;
    let mut open = sets.known.clone();
    if !config.is_dedicated() {
        open.remove(&sets.dedicated);
    }
    for constraint in &config.constraints {
        let attribute = sets.attributes.get(&constraint.attribute);
        let few = |value: &String| attribute.and_then(|it| it.values.get(value));
        match &constraint.demand {
            Demand::Value { negated: true, values } => {
                values.iter().filter_map(few).for_each(|it| open.remove_few(it));
            }
            Demand::Value { negated: false, values } => {
                let mut wanted = Bits::new(pool.words());
                values.iter().filter_map(few).for_each(|it| wanted.add_few(it));
                open.keep(&wanted);
            }
            Demand::Limit(_) => match attribute {
                Some(attribute) => open.keep(&attribute.known),
                None => open = Bits::new(pool.words()),
            },
        }
    }
    open
}

/// What of an order matters: after `random` everything is different already.
fn decisive(order: &[Order]) -> Vec<Order> {
    order.iter().copied().take_while(|&it| it != Order::Random).collect()
}
