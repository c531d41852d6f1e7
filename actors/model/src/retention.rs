//! Which sandboxes of tasks that are over are kept for people to look at, and for how long.

use std::{cmp::Reverse, time::Duration};

use crate::machine::Timestamp;

/// A sandbox goes as soon as one of these says so, the oldest first.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Retention {
    pub age_max: Duration,
    pub count_max: usize,
    /// The share of the disk that should be free, from 0 to 1.
    pub free_min: f64,
}

/// A task that is over and still there.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Kept {
    pub settled_at: Timestamp,
    /// What its removal would free.
    pub bytes: u64,
}

/// The one that the sandboxes are on, in bytes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Disk {
    pub size: u64,
    pub free: u64,
}

impl Default for Retention {
    fn default() -> Self {
        Self { age_max: Duration::from_secs(7 * 24 * 3600), count_max: 1000, free_min: 0.1 }
    }
}

/// The places in `kept` of those that go now, the oldest first.
pub fn discard(kept: &[Kept], now: Timestamp, disk: Disk, retention: &Retention) -> Vec<usize> {
    let mut oldest_last: Vec<_> = (0..kept.len()).collect();
    oldest_last.sort_by_key(|&place| Reverse((kept[place].settled_at, place)));
    let mut free = disk.free;
    let mut gone = Vec::new();
    while let Some(&place) = oldest_last.last() {
        let Kept { settled_at, bytes } = kept[place];
        let is_too_old = retention.age_max < now.since(settled_at);
        let are_too_many = retention.count_max < oldest_last.len();
        if !is_too_old && !are_too_many && !is_short(disk.size, free, retention.free_min) {
            break;
        }
        free = free.saturating_add(bytes);
        gone.push(place);
        oldest_last.pop();
    }
    gone
}

#[expect(clippy::cast_precision_loss, reason = "a share of a disk is no exact number")]
fn is_short(size: u64, free: u64, free_min: f64) -> bool {
    (free as f64) < size as f64 * free_min
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of tasks that ended at these hours with 10 bytes each, those that go at hour 100 from a disk
    /// of 100 bytes.
    fn gone(settled_at: &[u64], free: u64, retention: &Retention) -> String {
        let hour = |it: u64| Timestamp(it * 3_600_000);
        let kept = |&it: &u64| Kept { settled_at: hour(it), bytes: 10 };
        let kept: Vec<_> = settled_at.iter().map(kept).collect();
        let gone = discard(&kept, hour(100), Disk { size: 100, free }, retention);
        gone.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
    }

    const ALL: Retention =
        Retention { age_max: Duration::from_secs(24 * 3600), count_max: 3, free_min: 0.25 };

    #[test]
    fn nothing_goes_as_long_as_nothing_says_so() {
        assert_eq!(gone(&[], 0, &ALL), "");
        assert_eq!(gone(&[76, 90, 99], 25, &ALL), "");
    }

    #[test]
    fn the_old_go_in_the_order_in_which_they_ended() {
        assert_eq!(gone(&[10, 99, 5, 75, 76], 100, &ALL), "2 0 3");
    }

    #[test]
    fn of_too_many_the_oldest_go() {
        assert_eq!(gone(&[99, 98, 97, 96, 95], 100, &ALL), "4 3");
        assert_eq!(gone(&[99, 98], 100, &Retention { count_max: 0, ..ALL }), "1 0");
    }

    #[test]
    fn on_a_full_disk_so_many_go_that_enough_is_free() {
        assert_eq!(gone(&[97, 98, 99], 24, &ALL), "0");
        assert_eq!(gone(&[97, 98, 99], 4, &ALL), "0 1 2");
        assert_eq!(gone(&[97, 98, 99], 0, &Retention { free_min: 0.0, ..ALL }), "");
        assert_eq!(gone(&[99], 100, &Retention { free_min: 1.0, ..ALL }), "");
    }

    #[test]
    fn a_clock_that_went_back_makes_nothing_old() {
        assert_eq!(gone(&[200, 300], 100, &ALL), "");
    }

    #[test]
    fn by_default_a_week_a_thousand_and_a_tenth_of_the_disk() {
        let usual = Retention::default();
        assert_eq!(usual.age_max, Duration::from_secs(604_800));
        assert_eq!(usual.count_max, 1000);
        assert!((usual.free_min - 0.1).abs() < f64::EPSILON);
    }
}
