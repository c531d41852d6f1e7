//! What an operator can decide about where things go.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The default is what suits services: a job's instances apart from each other.
#[derive(Clone, Debug, PartialEq)]
pub struct Scheduling {
    /// Where a job has the fewest instances is the next one's place: on the host, if this is
    /// `host`, or wherever this attribute has the same value. Without it, instances go wherever
    /// `order` says.
    pub spread: Option<String>,
    /// Which of the hosts that are equal so far is next: by the first of these, then the second.
    pub order: Vec<Order>,
    /// Whether an instance that is restarted, or updated without needing more, comes back to the
    /// host where it was.
    pub update_affinity: bool,
    /// How long a host is kept for whom it was reserved for.
    pub reservation_hold: Duration,
    /// Whether revocable tasks take their memory, too, from what a host has beyond its capacity.
    pub revocable_ram: bool,
}

/// By each of these but `random` the fullest host that suits is next, so that others stay empty.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// Another for each job, and always the same for that one.
    Random,
    Cpu,
    Ram,
    Disk,
    /// Hosts that have nothing of it come last.
    RevocableCpu,
}

impl Default for Scheduling {
    fn default() -> Self {
        Self {
            spread: Some(HOST.into()),
            order: vec![Order::Random],
            update_affinity: false,
            reservation_hold: Duration::from_secs(180),
            revocable_ram: false,
        }
    }
}

/// The attribute that is a host's name.
pub(super) const HOST: &str = "host";
