//! Which waiting instances go to which hosts, and for the rest, why not.
//!
//! Instances with one configuration are one [`Group`]: what rules a host out for one of them rules
//! it out for all, and in a round hosts only get fuller. So each group looks at each host once, and
//! after that only at hosts that it has put something on: a hundred thousand instances on ten
//! thousand hosts are a hundred and ten thousand looks, not a billion.
//!
//! A job is spread: the host that has the fewest of its instances is next. Between hosts that are
//! equal in this, `seed` says where to begin, so that jobs of one instance do not all go to the
//! first host. Groups take turns, so that no big job keeps all others waiting.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap, VecDeque},
};

use crate::{
    config::{Ports, TaskConfig},
    ids::{HostId, JobKey, TaskKey},
    machine::Timestamp,
    resources::{Attributes, Demand, Resources},
    task::Placement,
    view::Pending,
};

mod ports;
#[cfg(test)]
mod tests;
mod veto;

pub use ports::PortPool;
pub use veto::{Veto, What};

/// What one host has to give. Hosts that are down belong here too: what runs there still counts
/// towards limits, and it is an answer to "why not there?".
#[derive(Clone, Debug)]
pub struct Offer<'a> {
    pub host: &'a HostId,
    pub attributes: &'a Attributes,
    pub capacity: Resources,
    pub free: Resources,
    pub free_ports: PortPool,
    pub up: bool,
}

/// Waiting instances of one job with one configuration.
#[derive(Clone, Debug)]
pub struct Group<'a> {
    pub job: &'a JobKey,
    pub config: &'a TaskConfig,
    /// The instances that wait, first come first served.
    pub tasks: &'a [u32],
    /// Since when the first of them waits.
    pub since: Timestamp,
    /// How many instances of the *job*, whatever their configuration, each host has.
    pub placed: &'a BTreeMap<HostId, u32>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    pub assign: Vec<(TaskKey, Placement)>,
    /// Groups (by their index) that have instances left, and why.
    pub waiting: Vec<(usize, Pending)>,
}

/// How many instances a group may place before it is the next one's turn.
const TURN: usize = 16;

/// Finds places for as many instances as there is room for.
pub fn place(seed: u64, groups: &[Group<'_>], offers: &[Offer<'_>]) -> Plan {
    let mut round = Round::new(seed, groups, offers);
    let mut plan = Plan::default();
    let mut turns: VecDeque<Seeker<'_>> =
        groups.iter().enumerate().map(|(index, group)| round.seeker(index, group)).collect();
    let mut stuck = Vec::new();
    while let Some(mut seeker) = turns.pop_front() {
        match round.take_turn(&mut seeker, &mut plan.assign) {
            Turn::Placed if seeker.waiting.is_empty() => {}
            Turn::Placed => turns.push_back(seeker),
            Turn::Stuck => stuck.push(seeker.index),
        }
    }
    stuck.sort_unstable();
    plan.waiting = stuck.into_iter().map(|it| (it, round.explain(&groups[it]))).collect();
    plan
}

/// The hosts as they fill up.
struct Round<'a> {
    seed: u64,
    offers: &'a [Offer<'a>],
    spare: Vec<Spare>,
    crowds: BTreeMap<&'a JobKey, Crowd<'a>>,
}

/// What a host has left.
struct Spare {
    resources: Resources,
    ports: PortPool,
}

/// Where a job's instances are.
#[derive(Default)]
struct Crowd<'a> {
    on_host: BTreeMap<usize, u32>,
    /// How many there are where the attribute has the value. Counted only for attributes that some
    /// group of the job limits.
    by_value: BTreeMap<(&'a str, &'a str), u32>,
    limited: Vec<&'a str>,
}

/// A group, and which hosts it has yet to look at.
struct Seeker<'a> {
    index: usize,
    group: &'a Group<'a>,
    waiting: &'a [u32],
    /// How many hosts it has looked at, beginning with `first`.
    seen: usize,
    first: usize,
    /// Hosts with some of the job already, fewest first; then in the order of looking.
    again: BinaryHeap<Reverse<(u32, usize)>>,
}

enum Turn {
    Placed,
    /// No host suits it any more, and none will in this round.
    Stuck,
}

impl<'a> Round<'a> {
    fn new(seed: u64, groups: &'a [Group<'a>], offers: &'a [Offer<'a>]) -> Self {
        let index: BTreeMap<&HostId, usize> =
            offers.iter().enumerate().map(|(index, offer)| (offer.host, index)).collect();
        let mut crowds: BTreeMap<&JobKey, Crowd<'_>> = BTreeMap::new();
        for group in groups {
            let limits = group.config.constraints.iter().filter_map(|it| match it.demand {
                Demand::Limit(_) => Some(it.attribute.as_str()),
                Demand::Value { .. } => None,
            });
            crowds.entry(group.job).or_default().limited.extend(limits);
        }
        for group in groups {
            let crowd = crowds.get_mut(group.job).expect("every group's job was just entered");
            if !crowd.on_host.is_empty() {
                continue; // another group of the job said the same
            }
            crowd.limited.sort_unstable();
            crowd.limited.dedup();
            for (host, &count) in group.placed {
                if let Some(&host) = index.get(host) {
                    crowd.add(host, &offers[host], count);
                }
            }
        }
        let spare = offers
            .iter()
            .map(|it| Spare { resources: it.free, ports: it.free_ports.clone() })
            .collect();
        Self { seed, offers, spare, crowds }
    }

    fn seeker(&self, index: usize, group: &'a Group<'a>) -> Seeker<'a> {
        let first = self.seed.wrapping_add(index as u64) % (self.offers.len().max(1) as u64);
        Seeker {
            index,
            group,
            waiting: group.tasks,
            seen: 0,
            first: usize::try_from(first).expect("it is less than the number of hosts"),
            again: BinaryHeap::new(),
        }
    }

    fn take_turn(
        &mut self,
        seeker: &mut Seeker<'a>,
        assign: &mut Vec<(TaskKey, Placement)>,
    ) -> Turn {
        for _ in 0..TURN {
            let Some((&instance, rest)) = seeker.waiting.split_first() else { break };
            let Some(host) = self.next_host(seeker) else { return Turn::Stuck };
            assign.push((seeker.group.job.task(instance), self.put(seeker, instance, host)));
            seeker.waiting = rest;
        }
        Turn::Placed
    }

    /// A host that suits, with as few of the job on it as can be. Hosts that do not suit are not
    /// looked at again.
    fn next_host(&self, seeker: &mut Seeker<'a>) -> Option<usize> {
        let hosts = self.offers.len();
        let suits = |host| self.vetoes(seeker.group, host).is_empty();
        while seeker.seen < hosts {
            let host = (seeker.first + seeker.seen) % hosts;
            let has = self.crowds[seeker.group.job].on_host.get(&host);
            if let Some(&has) = has {
                seeker.again.push(Reverse((has, seeker.seen)));
            }
            seeker.seen += 1;
            if has.is_none() && suits(host) {
                return Some(host);
            }
        }
        while let Some(Reverse((_, seen))) = seeker.again.pop() {
            let host = (seeker.first + seen) % hosts;
            if suits(host) {
                return Some(host);
            }
        }
        None
    }

    fn put(&mut self, seeker: &mut Seeker<'a>, instance: u32, host: usize) -> Placement {
        let (group, offer) = (seeker.group, &self.offers[host]);
        let spare = &mut self.spare[host];
        spare.resources = spare.resources.saturating_sub(group.config.resources);
        let pick = self.seed.wrapping_add(instance.into());
        let give = |name: &String| {
            let port = spare.ports.take(pick).expect("a host without enough ports does not suit");
            (name.clone(), port)
        };
        let ports: Ports = group.config.ports.iter().map(give).collect();
        let crowd = self.crowds.get_mut(group.job).expect("every group's job has one");
        let now_here = crowd.add(host, offer, 1);
        let seen = (host + self.offers.len() - seeker.first) % self.offers.len();
        seeker.again.push(Reverse((now_here, seen)));
        Placement { host: offer.host.clone(), ports }
    }
}

impl<'a> Crowd<'a> {
    /// How many there are on the host then.
    fn add(&mut self, host: usize, offer: &Offer<'a>, count: u32) -> u32 {
        for &name in &self.limited {
            for value in offer.attributes.get(name).into_iter().flatten() {
                *self.by_value.entry((name, value)).or_default() += count;
            }
        }
        let here = self.on_host.entry(host).or_default();
        *here += count;
        *here
    }

    fn at(&self, attribute: &'a str, value: &'a str) -> u32 {
        self.by_value.get(&(attribute, value)).copied().unwrap_or(0)
    }
}
