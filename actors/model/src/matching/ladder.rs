//! Which hosts have at least so much of something, to the next power of two: of those with less
//! nobody has to be asked.

use super::bits::Bits;

/// A rung for each power of two: the hosts with that much or more.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Ladder {
    rungs: Vec<Bits>,
}

/// Up to 2^23: eight thousand cores, eight terabytes. Who has more stands on the last rung.
const RUNGS: usize = 24;

impl Ladder {
    pub(super) fn new(words: usize) -> Self {
        Self { rungs: vec![Bits::new(words); RUNGS] }
    }

    /// The host had `before` and has `after`.
    pub(super) fn step(&mut self, seat: usize, before: u64, after: u64) {
        let (from, to) = (rungs_up_to(before), rungs_up_to(after));
        for rung in from.min(to)..from.max(to) {
            self.rungs[rung].put(seat, from < to);
        }
    }

    /// The hosts that may have as much as `needed`; `None`: all of them.
    pub(super) fn at_least(&self, needed: u64) -> Option<&Bits> {
        self.rungs.get(rungs_up_to(needed).checked_sub(1)?)
    }

    /// The levels from that of `needed` upwards, lowest first.
    pub(super) fn levels(needed: u64) -> impl Iterator<Item = usize> {
        rungs_up_to(needed)..=RUNGS
    }

    /// The hosts of a word that are at this level and not above it.
    pub(super) fn at_level(&self, level: usize, word: usize) -> u64 {
        let from = level.checked_sub(1).map_or(u64::MAX, |it| self.rungs[it].word(word));
        from & !self.rungs.get(level).map_or(0, |it| it.word(word))
    }
}

/// How many powers of two are no more than `amount`.
fn rungs_up_to(amount: u64) -> usize {
    let rungs = usize::try_from(u64::BITS - amount.leading_zeros()).expect("there are 64 of them");
    rungs.min(RUNGS)
}

#[cfg(test)]
mod tests {
    use super::{super::bits::seats, *};

    #[test]
    fn who_has_less_than_the_power_of_two_below_is_left_out() {
        let mut ladder = Ladder::new(1);
        let amounts = [0, 1, 900, 1023, 1024, 5000, u64::MAX];
        for (seat, &amount) in amounts.iter().enumerate() {
            ladder.step(seat, 0, 77);
            ladder.step(seat, 77, amount);
        }
        let at_least =
            |needed| seats(0, ladder.at_least(needed).unwrap().word(0)).collect::<Vec<_>>();
        assert_eq!(ladder.at_least(0), None);
        assert_eq!(at_least(1), [1, 2, 3, 4, 5, 6]);
        assert_eq!(at_least(1000), [2, 3, 4, 5, 6]);
        assert_eq!(at_least(1024), [4, 5, 6]);
        assert_eq!(at_least(1 << 60), [6]);
        let levels = |needed| Ladder::levels(needed).map(|it| ladder.at_level(it, 0) & 0x7f);
        let all: Vec<_> = levels(600).filter(|&it| it != 0).collect();
        assert_eq!(all, [0b1100, 0b10000, 0b10_0000, 0b100_0000]);
        assert_eq!(levels(0).next(), Some(1));
    }
}
