//! The best of the hosts that suit.

use super::{Memory, Spread};
use crate::{
    hash::{fnv1a, mix},
    matching::{
        bits::{Few, WORD, seats},
        ladder::Ladder,
        pool::Pool,
        scheduling::Order,
    },
};

impl Memory {
    /// The best place for one more: on a host for which no maintenance is announced, if there is
    /// one; there where there are as few of the job as can be; then on the fullest host, or the
    /// first, going round from where the group begins. Hosts that do not suit are not looked at
    /// again.
    pub(in crate::matching) fn choose(&mut self, pool: &Pool) -> Option<usize> {
        [false, true].into_iter().find_map(|later| match self.spread.clone() {
            Spread::No => self.among(pool, later, None),
            Spread::Host => {
                self.among(pool, later, None).or_else(|| self.among_peopled(pool, later))
            }
            Spread::By(attribute) => self.among_values(pool, later, &attribute),
        })
    }

    /// Of the hosts without any of the job, if it spreads over hosts, and of these few only.
    fn among(&mut self, pool: &Pool, later: bool, few: Option<&Few>) -> Option<usize> {
        if self.order.is_empty() && few.is_none() {
            return self.first_around(pool, later);
        }
        let (ladder, needed) = match self.order.first() {
            Some(Order::Cpu) => (&pool.sets.cpu, self.needs.firm.cpu_milli),
            Some(Order::Ram) => (&pool.sets.ram, self.needs.firm.ram_mb),
            Some(Order::Disk | Order::RevocableCpu | Order::Random) | None => {
                return self.best(pool, |memory, at| memory.word(pool, at, later, few));
            }
        };
        Ladder::levels(needed).find_map(|level| {
            self.best(pool, |memory, at| {
                ladder.at_level(level, at) & memory.word(pool, at, later, few)
            })
        })
    }

    /// The first that suits, beginning where the group begins.
    fn first_around(&mut self, pool: &Pool, later: bool) -> Option<usize> {
        let (words, first) = (pool.words(), pool.word_of(self.start));
        for turn in 0..=words {
            let at = (first + turn) % words;
            let mut word = self.word(pool, at, later, None);
            if word != 0 && (turn == 0 || turn == words) {
                // Of the word in which it begins, the end comes first and the beginning last.
                word = part(pool, at, word, self.start, turn == 0);
            }
            while let Some(seat) = seats(at, word).min_by_key(|&it| pool.ring(it)) {
                if self.needs.fit(pool.seat(seat)) {
                    return Some(seat);
                }
                self.open.put(seat, false);
                word &= self.open.word(at);
            }
        }
        None
    }

    /// The one that suits and is first in order, of those in the words.
    fn best(&mut self, pool: &Pool, word: impl Fn(&Self, usize) -> u64) -> Option<usize> {
        let mut best = None;
        for at in 0..pool.words() {
            for seat in seats(at, word(self, at)) {
                if !self.needs.fit(pool.seat(seat)) {
                    self.open.put(seat, false);
                    continue;
                }
                let rank = self.rank(pool, seat);
                if best.as_ref().is_none_or(|(least, _)| rank < *least) {
                    best = Some((rank, seat));
                }
            }
        }
        best.map(|it| it.1)
    }

    /// How the order of preference goes between hosts that have as many of the job.
    fn rank(&self, pool: &Pool, seat: usize) -> (u32, Vec<u64>, u64) {
        let (free, spare) = (pool.seat(seat).free, pool.seat(seat).spare);
        let amount = |order: &Order| match order {
            Order::Cpu => free.cpu_milli,
            Order::Ram => free.ram_mb,
            Order::Disk => free.disk_mb,
            // Zero becomes the most.
            Order::RevocableCpu => spare.cpu_milli.wrapping_sub(1),
            Order::Random => 0,
        };
        let distance = pool.ring(seat).wrapping_sub(self.start);
        let count = match self.spread {
            Spread::By(_) => pool.count(&self.job, seat),
            Spread::No | Spread::Host => 0,
        };
        (count, self.order.iter().map(amount).collect(), distance)
    }

    fn among_peopled(&mut self, pool: &Pool, later: bool) -> Option<usize> {
        loop {
            let first = *self.again.first().filter(|it| it.later == later)?;
            if !self.is_open(pool, first.seat) {
                self.again.pop_first();
                self.open.put(first.seat, false);
                continue;
            }
            if self.order.is_empty() {
                return Some(first.seat);
            }
            let alike =
                self.again.iter().take_while(|it| it.count == first.count && it.later == later);
            let suits = alike.map(|it| it.seat).filter(|&it| self.is_open(pool, it));
            return suits.min_by_key(|&it| self.rank(pool, it));
        }
    }

    fn is_open(&self, pool: &Pool, seat: usize) -> bool {
        let is_free = pool.sets.ready.has(seat) && !pool.sets.reserved.has(seat);
        is_free && self.open.has(seat) && self.needs.fit(pool.seat(seat))
    }

    /// Value by value, beginning with that which has the fewest of the job; hosts without any value
    /// are one more.
    fn among_values(&mut self, pool: &Pool, later: bool, name: &str) -> Option<usize> {
        let mut nowhere = Few::default();
        let attribute = pool.sets.attributes.get(name);
        for at in 0..pool.words() {
            let known = attribute.map_or(0, |it| it.known.word(at));
            seats(at, pool.sets.known.word(at) & !known).for_each(|it| nowhere.put(it, true));
        }
        let counts = self.limits.last().expect("what it spreads by is counted");
        let listed = attribute.into_iter().flat_map(|it| &it.values);
        let mut values: Vec<(u32, u64, &Few)> = listed
            .map(|(value, few)| (counts.at(value), self.turn_of(value), few))
            .chain([(self.outside, u64::MAX, &nowhere)])
            .collect();
        values.sort_unstable_by_key(|it| (it.0, it.1));
        values.into_iter().find_map(|(.., few)| self.among(pool, later, Some(few)))
    }

    /// Another order of the values for each job.
    fn turn_of(&self, value: &str) -> u64 {
        mix(fnv1a(value.bytes())).wrapping_sub(self.start)
    }

    /// The hosts of a word that may suit.
    fn word(&self, pool: &Pool, at: usize, later: bool, few: Option<&Few>) -> u64 {
        let sets = &pool.sets;
        let turn = if later { sets.later.word(at) } else { !sets.later.word(at) };
        let needs = &self.needs.firm;
        let enough = [sets.cpu.at_least(needs.cpu_milli), sets.ram.at_least(needs.ram_mb)];
        let enough = enough.into_iter().flatten().fold(u64::MAX, |all, it| all & it.word(at));
        let few = few.map_or(u64::MAX, |it| it.word(at));
        let own = self.open.word(at) & !self.peopled.word(at);
        own & few & sets.ready.word(at) & !sets.reserved.word(at) & turn & enough
    }
}

/// Of the word in which `start` is: what comes after it on the ring, or what comes before.
fn part(pool: &Pool, at: usize, word: u64, start: u64, after: bool) -> u64 {
    let kept = |&seat: &usize| (start <= pool.ring(seat)) == after;
    seats(at, word).filter(kept).fold(0, |all, it| all | 1 << (it % WORD))
}
