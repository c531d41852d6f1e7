//! Which waiting instances go to which hosts, and for the rest, why not.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    config::TaskConfig,
    ids::{HostId, JobKey, TaskKey},
    machine::Timestamp,
    resources::{Attributes, Resources},
    task::Placement,
    view::Pending,
};

/// What one host has to give. Hosts that are down belong here too: what runs there still counts
/// towards limits, and it is an answer to "why not there?".
#[derive(Clone, Debug)]
pub struct Offer<'a> {
    pub host: &'a HostId,
    pub attributes: &'a Attributes,
    pub capacity: Resources,
    pub free: Resources,
    pub free_ports: PortPool,
    pub up: bool,
}

/// Instances of one job with one configuration: whatever rules a host out for one of them rules it
/// out for all.
#[derive(Clone, Debug)]
pub struct Group<'a> {
    pub job: &'a JobKey,
    pub config: &'a TaskConfig,
    /// The instances that wait, first come first served.
    pub tasks: &'a [u32],
    /// Since when the first of them waits.
    pub since: Timestamp,
    /// How many instances of the *job*, whatever their configuration, each host has.
    pub placed: &'a BTreeMap<HostId, u32>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    pub assign: Vec<(TaskKey, Placement)>,
    /// Groups (by their index) that have instances left, and why.
    pub waiting: Vec<(usize, Pending)>,
}

/// Ports that are to be had.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct PortPool {
    ranges: Vec<(u16, u16)>,
}

impl PortPool {
    /// What `ranges` (inclusive) have, less what is `used`.
    pub fn new(ranges: &[(u16, u16)], used: &BTreeSet<u16>) -> Self {
        let _ = used;
        Self { ranges: ranges.to_vec() }
    }
}

/// Finds places for as many instances as there is room for. `seed` decides between equals.
pub fn place(seed: u64, groups: &[Group<'_>], offers: &[Offer<'_>]) -> Plan {
    let _ = (seed, groups, offers);
    Plan::default()
}
