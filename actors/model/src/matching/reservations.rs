//! Hosts that are kept for a group for a while, because others had to leave them for it.

use std::collections::BTreeMap;

use super::{group::GroupKey, pool::Pool};
use crate::{ids::HostId, machine::Timestamp};

#[derive(Clone, Debug, Default)]
pub(super) struct Reservations {
    by_host: BTreeMap<HostId, GroupKey>,
    /// Until when each group's hosts are kept.
    by_group: BTreeMap<GroupKey, BTreeMap<HostId, Timestamp>>,
}

impl Reservations {
    pub(super) fn len(&self) -> usize {
        self.by_host.len()
    }

    pub(super) fn has(&self, host: &HostId) -> bool {
        self.by_host.contains_key(host)
    }

    pub(super) fn of(&self, group: &GroupKey) -> usize {
        self.by_group.get(group).map_or(0, BTreeMap::len)
    }

    fn insert(&mut self, host: &HostId, group: GroupKey, until: Timestamp) {
        self.remove(host);
        self.by_host.insert(host.clone(), group.clone());
        self.by_group.entry(group).or_default().insert(host.clone(), until);
    }

    fn remove(&mut self, host: &HostId) {
        let Some(group) = self.by_host.remove(host) else { return };
        let Some(hosts) = self.by_group.get_mut(&group) else { return };
        hosts.remove(host);
        if hosts.is_empty() {
            self.by_group.remove(&group);
        }
    }
}

impl Pool {
    /// Nobody but this group gets a place on the host, until one of it has or the time is up.
    pub(super) fn reserve(&mut self, seat: usize, group: GroupKey, until: Timestamp) {
        let host = self.seat(seat).host.id.clone();
        self.reservations.insert(&host, group, until);
        self.sets.reserved.put(seat, true);
    }

    pub(super) fn end_reservation(&mut self, host: &HostId) {
        self.reservations.remove(host);
        if let Some(seat) = self.find(host) {
            self.sets.reserved.put(seat, false);
            self.heal(seat);
        }
    }

    /// Ends all whose time is up or whose group does not wait any more.
    pub(super) fn end_reservations(&mut self, now: Timestamp, waits: impl Fn(&GroupKey) -> bool) {
        let mut ended = Vec::new();
        for (group, hosts) in &self.reservations.by_group {
            let waits = waits(group);
            let over = hosts.iter().filter(|(_, until)| !waits || **until <= now);
            ended.extend(over.map(|(host, _)| host.clone()));
        }
        ended.iter().for_each(|it| self.end_reservation(it));
    }

    /// The hosts that are kept for a group.
    pub(super) fn kept_for(&self, group: &GroupKey) -> impl Iterator<Item = usize> + '_ {
        let hosts = self.reservations.by_group.get(group);
        hosts.into_iter().flat_map(BTreeMap::keys).filter_map(|it| self.find(it))
    }

    pub(super) fn is_kept_from(&self, seat: usize, group: &GroupKey) -> bool {
        self.sets.reserved.has(seat)
            && self.reservations.by_host.get(&self.seat(seat).host.id) != Some(group)
    }
}
