//! How many instances are next.

use serde::{Deserialize, Serialize};

use super::{Direction, settings::count};
use crate::spec::{UpdateConfig, UpdateStrategy};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Strategy {
    /// So many at any time.
    Queue { size: u32 },
    /// So many, and when all of them are done, as many again.
    Batch { size: u32, autopause: bool },
    /// The same with sizes of their own; the last is repeated.
    VariableBatch { sizes: Vec<u32>, autopause: bool },
}

/// How far an update has come, in instances.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    pub total: u32,
    pub idle: u32,
    pub working: u32,
    pub direction: Direction,
}

impl Strategy {
    /// How many of those that wait are begun now.
    pub fn next(&self, progress: Progress) -> u32 {
        let Progress { idle, working, .. } = progress;
        let of_batch = |size: u32| if working > 0 { 0 } else { size.min(idle) };
        match self {
            Self::Queue { size } => size.saturating_sub(working).min(idle),
            Self::Batch { size, .. } => of_batch(*size),
            Self::VariableBatch { sizes, .. } => of_batch(match progress.direction {
                Direction::Forward => forward(sizes, progress.total.saturating_sub(idle)),
                Direction::Back => back(sizes, idle),
            }),
        }
    }

    /// Whether whoever watches is asked before each batch but the first.
    pub fn pauses(&self) -> bool {
        match self {
            Self::Queue { .. } => false,
            Self::Batch { autopause, .. } | Self::VariableBatch { autopause, .. } => *autopause,
        }
    }
}

/// The size of the batch in which the one after the first `done` is.
fn forward(sizes: &[u32], done: u32) -> u32 {
    let mut sum = 0u32;
    let is_next = |size: &&u32| {
        sum = sum.saturating_add(**size);
        done < sum
    };
    sizes.iter().find(is_next).or(sizes.last()).copied().unwrap_or(1)
}

/// Back through the same batches: the size of the last one of `left`.
fn back(sizes: &[u32], mut left: u32) -> u32 {
    for &size in sizes {
        if left <= size {
            return left;
        }
        left -= size;
    }
    let last = sizes.last().copied().unwrap_or(1).max(1);
    match left % last {
        0 => last,
        rest => rest,
    }
}

/// What was written before there were strategies means one of them.
impl From<&UpdateConfig> for Strategy {
    fn from(config: &UpdateConfig) -> Self {
        match &config.update_strategy {
            Some(UpdateStrategy::Queue { batch_size }) => Self::Queue { size: count(*batch_size) },
            Some(UpdateStrategy::Batch { batch_size, autopause_after_batch }) => {
                Self::Batch { size: count(*batch_size), autopause: *autopause_after_batch }
            }
            Some(UpdateStrategy::VariableBatch { batch_sizes, autopause_after_batch }) => {
                Self::VariableBatch {
                    sizes: batch_sizes.iter().map(|it| count(*it)).collect(),
                    autopause: *autopause_after_batch,
                }
            }
            None if config.wait_for_batch_completion => {
                Self::Batch { size: count(config.batch_size), autopause: false }
            }
            None => Self::Queue { size: count(config.batch_size) },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The batches of `total` instances, each done before the next is begun.
    fn batches(strategy: &Strategy, total: u32, direction: Direction) -> Vec<u32> {
        let mut idle = total;
        let next = || {
            let size = strategy.next(Progress { total, idle, working: 0, direction });
            idle -= size;
            (size > 0).then_some(size)
        };
        std::iter::from_fn(next).collect()
    }

    #[test]
    fn batches_have_the_sizes_that_were_asked_for_and_go_back_as_they_came() {
        use Direction::{Back, Forward};
        for (sizes, total, direction, expected) in [
            (&[1, 2, 3][..], 6, Forward, &[1, 2, 3][..]),
            (&[1, 3, 2, 4], 10, Forward, &[1, 3, 2, 4]),
            (&[1, 2], 10, Forward, &[1, 2, 2, 2, 2, 1]),
            (&[5], 3, Forward, &[3]),
            (&[1, 2, 3], 6, Back, &[3, 2, 1]),
            (&[1, 2], 7, Back, &[2, 2, 2, 1]),
            (&[1, 2], 8, Back, &[1, 2, 2, 2, 1]),
            (&[5], 3, Back, &[3]),
        ] {
            let strategy = Strategy::VariableBatch { sizes: sizes.to_vec(), autopause: false };
            assert_eq!(batches(&strategy, total, direction), expected, "{sizes:?} over {total}");
        }
        let strategy = Strategy::Batch { size: 4, autopause: false };
        assert_eq!(batches(&strategy, 10, Forward), [4, 4, 2]);
    }

    #[test]
    fn a_queue_is_filled_up_and_a_batch_is_waited_for() {
        let queue = Strategy::Queue { size: 3 };
        let batch = Strategy::Batch { size: 3, autopause: true };
        let sizes = Strategy::VariableBatch { sizes: vec![3], autopause: true };
        for (idle, working, of_queue, of_batch) in
            [(9, 0, 3, 3), (9, 1, 2, 0), (9, 3, 0, 0), (9, 4, 0, 0), (1, 1, 1, 0), (1, 0, 1, 1)]
        {
            let direction = Direction::Forward;
            let progress = Progress { total: idle + working, idle, working, direction };
            let next = [&queue, &batch, &sizes].map(|it| it.next(progress));
            assert_eq!(next, [of_queue, of_batch, of_batch], "{progress:?}");
        }
        assert_eq!([queue, batch, sizes].map(|it| it.pauses()), [false, true, true]);
    }
}
