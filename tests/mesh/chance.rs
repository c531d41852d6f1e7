//! What a test leaves to chance, and how to have the same again.

use std::ops::Range;

/// Names the seed of every mesh test in this run, to see again what one of them saw.
const SEED: &str = "AIRGLOW_MESH_SEED";

/// A sequence of numbers that looks like none: the same for the same seed.
#[derive(Debug)]
pub(super) struct Chance {
    seed: u64,
    state: u64,
}

impl Chance {
    /// Another one each time, unless the environment says which.
    pub(super) fn new() -> Self {
        let given = std::env::var(SEED).ok().map(|it| it.parse().expect("a seed is a number"));
        let seed = given.unwrap_or_else(|| airglow_kit::now().0 ^ u64::from(std::process::id()));
        Self { seed, state: seed }
    }

    /// How to have this chance again.
    pub(super) fn told(&self) -> String {
        format!("{SEED}={}", self.seed)
    }

    /// One for somebody else, which depends on nothing but the seed.
    pub(super) fn another(&mut self) -> Self {
        Self { seed: self.seed, state: self.next() }
    }

    /// `SplitMix64`, as Steele, Lea and Flood describe it.
    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(super) fn within(&mut self, range: Range<u64>) -> u64 {
        range.start + self.next() % (range.end - range.start)
    }

    pub(super) fn happens(&mut self, percent: u64) -> bool {
        self.within(0..100) < percent
    }

    pub(super) fn one_of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        let index = self.within(0..all.len() as u64);
        &all[usize::try_from(index).unwrap()]
    }

    /// In any order.
    pub(super) fn shuffled<T>(&mut self, mut all: Vec<T>) -> Vec<T> {
        let mut shuffled = Vec::new();
        while !all.is_empty() {
            let index = self.within(0..all.len() as u64);
            shuffled.push(all.swap_remove(usize::try_from(index).unwrap()));
        }
        shuffled
    }
}

#[test]
fn the_same_seed_is_the_same_chance() {
    let drawn = |seed| {
        let mut chance = Chance { seed, state: seed };
        let other = chance.another().shuffled(vec![1, 2, 3, 4, 5]);
        (chance.within(10..1000), chance.happens(50), other)
    };
    assert_eq!(drawn(7), drawn(7));
    assert_ne!(drawn(7), drawn(8));
    let mut chance = Chance { seed: 1, state: 1 };
    let lost = (0..1000).filter(|_| chance.happens(30)).count();
    assert!((250..350).contains(&lost), "{lost} of 1000 are not 30 %");
}
