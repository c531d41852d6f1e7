//! What is counted as it happens, because no record says it afterwards.

use prometheus_client::metrics::counter::Counter;

/// Clones count into the same numbers.
#[derive(Clone, Debug, Default)]
pub struct Stats {
    /// Ended runs that were forgotten.
    pub pruned: Counter,
}
