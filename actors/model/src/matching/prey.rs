//! What could be had on each host if everybody went who can be made to.
//!
//! These are upper bounds, so that a search for somebody who has to give way looks only at hosts
//! where it can be of use: those who leave anyway are still counted in, and who exactly would have
//! to go, only the host itself can tell.

use std::collections::BTreeMap;

use super::{bits::Bits, ladder::Ladder, needs::Needs};
use crate::{config::TaskConfig, resources::Resources};

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Prey {
    /// What is free, and what is taken by preemptible tasks, whoever's they are.
    pub(super) cpu: Ladder,
    pub(super) ram: Ladder,
    roles: BTreeMap<String, Ranks>,
}

/// A role's tasks: whether they are preemptible, and their priority; then where they are.
type Ranks = BTreeMap<(bool, i64), BTreeMap<usize, Held>>;

#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Held {
    count: u32,
    resources: Resources,
}

impl Prey {
    pub(super) fn new(words: usize) -> Self {
        Self { cpu: Ladder::new(words), ram: Ladder::new(words), roles: BTreeMap::new() }
    }

    /// An instance with this configuration is there now.
    pub(super) fn take(&mut self, seat: usize, config: &TaskConfig) {
        let role = &config.job.role;
        if !self.roles.contains_key(role) {
            self.roles.insert(role.clone(), Ranks::new());
        }
        let ranks = self.roles.get_mut(role).expect("it was just made, or is there");
        let held = ranks.entry(rank(config)).or_default().entry(seat).or_default();
        held.count += 1;
        held.resources = held.resources.plus(config.resources);
    }

    /// It is not there any more.
    pub(super) fn release(&mut self, seat: usize, config: &TaskConfig) {
        let Some(ranks) = self.roles.get_mut(&config.job.role) else { return };
        let Some(seats) = ranks.get_mut(&rank(config)) else { return };
        let Some(held) = seats.get_mut(&seat) else { return };
        held.resources = held.resources.saturating_sub(config.resources);
        held.count -= 1;
        if held.count == 0 {
            seats.remove(&seat);
        }
        if seats.is_empty() {
            ranks.remove(&rank(config));
        }
        if ranks.is_empty() {
            self.roles.remove(&config.job.role);
        }
    }

    /// Where tasks of the same role have less priority than this configuration, and how much they
    /// take there. A role whose priorities are all the same costs nothing.
    pub(super) fn below(&self, config: &TaskConfig) -> BTreeMap<usize, Resources> {
        let (preemptible, priority) = rank(config);
        let ranks = self.roles.get(&config.job.role).into_iter();
        let lower = ranks.flat_map(|it| it.range((preemptible, i64::MIN)..(preemptible, priority)));
        let mut below: BTreeMap<usize, Resources> = BTreeMap::new();
        for (&seat, held) in lower.flat_map(|(_, seats)| seats) {
            let sum = below.entry(seat).or_default();
            *sum = sum.plus(held.resources);
        }
        below
    }

    /// Everybody sits where `moved` says now; ladders are climbed again by who sits down.
    pub(super) fn reseat(&mut self, roles: &mut Self, moved: &[usize]) {
        self.roles = std::mem::take(&mut roles.roles);
        for seats in self.roles.values_mut().flat_map(BTreeMap::values_mut) {
            let old = std::mem::take(seats);
            *seats = old.into_iter().map(|(at, held)| (moved[at], held)).collect();
        }
    }

    /// Leaves those hosts where those who can be made to leave any other's place may be enough.
    pub(super) fn narrow(&self, ground: &mut Bits, config: &TaskConfig, needs: &Needs) {
        if config.class.preemptible {
            *ground = Bits::new(ground.words());
            return;
        }
        let needs = &needs.firm;
        let enough = [self.cpu.at_least(needs.cpu_milli), self.ram.at_least(needs.ram_mb)];
        enough.into_iter().flatten().for_each(|it| ground.keep(it));
    }
}

fn rank(config: &TaskConfig) -> (bool, i64) {
    (config.class.preemptible, config.priority)
}
