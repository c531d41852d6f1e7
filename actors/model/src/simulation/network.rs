//! Connections. What is said on one arrives in order, late, or not at all: it ends at any moment,
//! and each side notices in its own time.

use std::collections::VecDeque;

use crate::{
    ids::HostId,
    machine::Timestamp,
    wire::{ToExecutor, ToScheduler},
};

#[derive(Debug)]
pub(super) struct Link {
    pub(super) host: HostId,
    /// Nothing new goes into it.
    pub(super) is_broken: bool,
    /// Whether what is on its way to the scheduler, or to the agent, still arrives.
    pub(super) carries_up: bool,
    pub(super) carries_down: bool,
    pub(super) agent_listens: bool,
    pub(super) scheduler_listens: bool,
    /// When the last message in each direction arrives: the next one does not overtake it.
    pub(super) up_at: Timestamp,
    pub(super) down_at: Timestamp,
    /// What has come as far as where the network is cut.
    pub(super) held: VecDeque<Parcel>,
}

#[derive(Clone, Debug)]
pub(super) enum Parcel {
    Up(ToScheduler),
    Down(ToExecutor),
}

impl Link {
    pub(super) fn new(host: HostId, now: Timestamp) -> Self {
        Self {
            host,
            is_broken: false,
            carries_up: true,
            carries_down: true,
            agent_listens: true,
            scheduler_listens: true,
            up_at: now,
            down_at: now,
            held: VecDeque::new(),
        }
    }

    /// Nobody cares for it any more.
    pub(super) fn is_over(&self) -> bool {
        !self.agent_listens && !self.scheduler_listens
    }
}
