//! Sets of seats: a bit each, so that what suits is the AND of a few words.

use std::collections::BTreeMap;

/// A set over all seats.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Bits {
    words: Vec<u64>,
}

/// A set that is small beside all seats: only its words that are not empty.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Few {
    words: BTreeMap<usize, u64>,
}

pub(super) const WORD: usize = 64;

impl Bits {
    /// An empty set over so many words.
    pub(super) fn new(words: usize) -> Self {
        Self { words: vec![0; words] }
    }

    pub(super) fn has(&self, seat: usize) -> bool {
        self.words[seat / WORD] & bit(seat) != 0
    }

    pub(super) fn put(&mut self, seat: usize, is_in: bool) {
        let word = &mut self.words[seat / WORD];
        if is_in {
            *word |= bit(seat);
        } else {
            *word &= !bit(seat);
        }
    }

    pub(super) fn word(&self, at: usize) -> u64 {
        self.words[at]
    }

    pub(super) fn words(&self) -> usize {
        self.words.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.words.iter().all(|&it| it == 0)
    }

    pub(super) fn keep(&mut self, others: &Self) {
        self.each_word(others, |own, other| own & other);
    }

    pub(super) fn remove(&mut self, others: &Self) {
        self.each_word(others, |own, other| own & !other);
    }

    fn each_word(&mut self, others: &Self, merge: impl Fn(u64, u64) -> u64) {
        for (own, &other) in self.words.iter_mut().zip(&others.words) {
            *own = merge(*own, other);
        }
    }

    pub(super) fn add_few(&mut self, few: &Few) {
        for (&at, &word) in &few.words {
            self.words[at] |= word;
        }
    }

    pub(super) fn remove_few(&mut self, few: &Few) {
        for (&at, &word) in &few.words {
            self.words[at] &= !word;
        }
    }
}

impl Few {
    pub(super) fn put(&mut self, seat: usize, is_in: bool) {
        if is_in {
            *self.words.entry(seat / WORD).or_default() |= bit(seat);
        } else if let Some(word) = self.words.get_mut(&(seat / WORD)) {
            *word &= !bit(seat);
            if *word == 0 {
                self.words.remove(&(seat / WORD));
            }
        }
    }

    pub(super) fn word(&self, at: usize) -> u64 {
        self.words.get(&at).copied().unwrap_or(0)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        self.words.iter().flat_map(|(&at, &word)| seats(at, word))
    }
}

fn bit(seat: usize) -> u64 {
    1 << (seat % WORD)
}

/// The seats of one word.
pub(super) fn seats(at: usize, mut word: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let lowest = usize::try_from(word.trailing_zeros()).ok().filter(|&it| it < WORD)?;
        word &= word - 1;
        Some(at * WORD + lowest)
    })
}
