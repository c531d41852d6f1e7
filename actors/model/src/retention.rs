//! Which sandboxes of tasks that are over are kept for people to look at, and for how long.

use std::time::Duration;

/// A sandbox goes as soon as one of these says so, the oldest first.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Retention {
    pub age_max: Duration,
    pub count_max: usize,
    /// The share of the disk that should be free, from 0 to 1.
    pub free_min: f64,
}

impl Default for Retention {
    fn default() -> Self {
        Self { age_max: Duration::from_secs(7 * 24 * 3600), count_max: 1000, free_min: 0.1 }
    }
}
