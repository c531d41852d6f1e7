//! What a group knows of the hosts, so that it looks at each of them once.
//!
//! What rules a host out for one instance of a group rules it out for all, and hosts only get
//! fuller until something leaves them. So a seat that was looked at in vain is closed until the
//! pool says that it has healed. This saves looking and changes nothing: the choice is the one that
//! looking at all hosts again would lead to.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    bits::{Bits, seats},
    pool::{Pool, Seat, start_of},
    scheduling::Scheduling,
};
use crate::{
    config::{DEDICATED, TaskConfig},
    resources::{Attributes, Demand},
};

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
    /// Whether it matters how many of the job a host has.
    spreads: bool,
    /// Seats with some of the job, if it spreads.
    peopled: Bits,
    /// Those of them that may suit, in the order of preference.
    again: BTreeSet<Peopled>,
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
        let mut memory = Self {
            epoch: pool.epoch(),
            read: pool.healed(),
            start: start_of(&config.job),
            open: matching_values(config, pool),
            limits: limits.collect(),
            spreads: scheduling.spread.is_some(),
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
        if !self.spreads {
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

    /// The best place for one more: on a host for which no maintenance is announced, if there is
    /// one; there with as few of the job as can be; then the first, going round from where the
    /// group begins. Hosts that do not suit are not looked at again.
    pub(super) fn choose(
        &mut self,
        pool: &Pool,
        suits: &impl Fn(&Seat) -> bool,
        config: &TaskConfig,
    ) -> Option<usize> {
        [false, true].into_iter().find_map(|later| {
            self.among_new(pool, suits, config, later)
                .or_else(|| self.among_peopled(pool, suits, later))
        })
    }

    fn among_new(
        &mut self,
        pool: &Pool,
        suits: &impl Fn(&Seat) -> bool,
        config: &TaskConfig,
        later: bool,
    ) -> Option<usize> {
        let (words, first) = (pool.words(), pool.word_of(self.start));
        for turn in 0..=words {
            let at = (first + turn) % words;
            let mut word =
                self.open.word(at) & !self.peopled.word(at) & may_suit(pool, config, at, later);
            if turn == 0 || turn == words {
                // Of the word in which it begins, the end comes first and the beginning last.
                word = part(pool, at, word, self.start, turn == 0);
            }
            while let Some(seat) = seats(at, word).min_by_key(|&it| pool.ring(it)) {
                if suits(pool.seat(seat)) {
                    return Some(seat);
                }
                self.open.put(seat, false);
                word &= self.open.word(at);
            }
        }
        None
    }

    fn among_peopled(
        &mut self,
        pool: &Pool,
        suits: &impl Fn(&Seat) -> bool,
        later: bool,
    ) -> Option<usize> {
        while let Some(&next) = self.again.first().filter(|it| it.later == later) {
            let seat = next.seat;
            let sets = &pool.sets;
            let is_open = self.open.has(seat) && sets.ready.has(seat) && !sets.reserved.has(seat);
            if is_open && suits(pool.seat(seat)) {
                return Some(seat);
            }
            self.again.pop_first();
            self.open.put(seat, false);
        }
        None
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

/// The hosts of a word that are ready and may have enough, whether or not they are kept for later.
fn may_suit(pool: &Pool, config: &TaskConfig, at: usize, later: bool) -> u64 {
    let sets = &pool.sets;
    let turn = if later { sets.later.word(at) } else { !sets.later.word(at) };
    let needs = &config.resources;
    let enough = [sets.cpu.at_least(needs.cpu_milli), sets.ram.at_least(needs.ram_mb)];
    let enough = enough.into_iter().flatten().fold(u64::MAX, |all, it| all & it.word(at));
    sets.ready.word(at) & !sets.reserved.word(at) & turn & enough
}

/// Of the word in which `start` is: what comes after it on the ring, or what comes before.
fn part(pool: &Pool, at: usize, word: u64, start: u64, after: bool) -> u64 {
    let kept = |&seat: &usize| (start <= pool.ring(seat)) == after;
    seats(at, word).filter(kept).fold(0, |all, it| all | 1 << (it % super::bits::WORD))
}
