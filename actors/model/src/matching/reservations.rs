//! Hosts that are kept for somebody for a while: because others had to leave them for a group, or
//! because an instance is to come back to where it was.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{group::GroupKey, pool::Pool};
use crate::{
    ids::{ConfigId, HostId, JobKey, TaskKey},
    machine::Timestamp,
};

/// Whom a host is kept for.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum For {
    /// Whichever instance of the job with this configuration is next. It may go elsewhere.
    Group(JobKey, ConfigId),
    /// This one, which waits for the host as long as it is kept.
    Instance(TaskKey),
}

/// A place that is being made: who has yet to leave which host.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Making {
    pub host: HostId,
    pub ending: Vec<TaskKey>,
}

/// A host is kept for one at a time.
#[derive(Clone, Debug, Default)]
pub(super) struct Reservations {
    by_host: BTreeMap<HostId, For>,
    /// Until when whose hosts are kept.
    by_whom: BTreeMap<For, BTreeMap<HostId, Timestamp>>,
    /// Who was asked to leave a host that is kept, and is there yet.
    leaving: BTreeMap<HostId, BTreeSet<TaskKey>>,
}

impl Reservations {
    pub(super) fn len(&self) -> usize {
        self.by_host.len()
    }

    pub(super) fn has(&self, host: &HostId) -> bool {
        self.by_host.contains_key(host)
    }

    /// How many hosts are kept for a group.
    pub(super) fn of(&self, group: &GroupKey) -> usize {
        self.hosts(&group_of(group)).count()
    }

    /// The host that an instance waits for.
    pub(super) fn of_instance(&self, job: &JobKey, instance: u32) -> Option<&HostId> {
        if self.by_host.is_empty() {
            return None;
        }
        self.hosts(&For::Instance(job.task(instance))).next()
    }

    /// When the first of them ends.
    pub(super) fn next_end(&self) -> Option<Timestamp> {
        self.by_whom.values().flat_map(BTreeMap::values).min().copied()
    }

    fn hosts(&self, whom: &For) -> impl Iterator<Item = &HostId> {
        self.by_whom.get(whom).into_iter().flat_map(BTreeMap::keys)
    }

    fn insert(&mut self, host: &HostId, whom: For, until: Timestamp) {
        self.remove(host);
        self.by_host.insert(host.clone(), whom.clone());
        self.by_whom.entry(whom).or_default().insert(host.clone(), until);
    }

    /// A run of this instance is not there any more.
    pub(super) fn left(&mut self, host: &HostId, task: &TaskKey) {
        let Some(leaving) = self.leaving.get_mut(host) else { return };
        leaving.remove(task);
        if leaving.is_empty() {
            self.leaving.remove(host);
        }
    }

    fn remove(&mut self, host: &HostId) {
        self.leaving.remove(host);
        let Some(whom) = self.by_host.remove(host) else { return };
        let Some(hosts) = self.by_whom.get_mut(&whom) else { return };
        hosts.remove(host);
        if hosts.is_empty() {
            self.by_whom.remove(&whom);
        }
    }
}

impl Pool {
    /// Nobody else gets a place on the host, until it is used or the time is up.
    pub(super) fn reserve(&mut self, host: &HostId, whom: For, until: Timestamp) {
        match &whom {
            // It can come back to one place only.
            For::Instance(_) => self.give_up(&whom),
            For::Group(..) => {}
        }
        self.reservations.insert(host, whom, until);
        if let Some(seat) = self.find(host) {
            self.sets.reserved.put(seat, true);
            self.touch();
        }
    }

    /// The same for a group, for which these have to leave first.
    pub(super) fn make_place(
        &mut self,
        host: &HostId,
        (job, config): GroupKey,
        leaving: BTreeSet<TaskKey>,
        until: Timestamp,
    ) {
        self.reserve(host, For::Group(job, config), until);
        self.reservations.leaving.insert(host.clone(), leaving);
    }

    /// The place that is being made for a group on a host, if one is.
    pub(super) fn making(&self, seat: usize, group: &GroupKey) -> Option<Making> {
        let host = &self.seat(seat).host.id;
        let leaving = self.reservations.leaving.get(host)?;
        let ending = leaving.iter().cloned().collect();
        let is_for_it = self.reservations.by_host.get(host) == Some(&group_of(group));
        is_for_it.then(|| Making { host: host.clone(), ending })
    }

    /// Nothing is kept for whom any more.
    pub(super) fn give_up(&mut self, whom: &For) {
        let hosts: Vec<_> = self.reservations.hosts(whom).cloned().collect();
        hosts.iter().for_each(|it| self.end_reservation(it));
    }

    /// An instance of the group has its place on the host now.
    pub(super) fn use_reservation(&mut self, group: &GroupKey, task: &TaskKey, host: &HostId) {
        let is_used = match self.reservations.by_host.get(host) {
            Some(For::Group(job, config)) => (job, config) == (&group.0, &group.1),
            Some(For::Instance(kept)) => kept == task,
            None => false,
        };
        if is_used {
            self.end_reservation(host);
        }
    }

    fn end_reservation(&mut self, host: &HostId) {
        self.reservations.remove(host);
        if let Some(seat) = self.find(host) {
            self.sets.reserved.put(seat, false);
            self.touch();
            self.heal(seat);
        }
    }

    /// Ends all whose time is up or whose group does not wait any more.
    pub(super) fn end_reservations(&mut self, now: Timestamp, waits: impl Fn(&GroupKey) -> bool) {
        let mut ended = Vec::new();
        for (whom, hosts) in &self.reservations.by_whom {
            let waits = match whom {
                For::Group(job, config) => waits(&(job.clone(), *config)),
                // It may not have asked yet.
                For::Instance(_) => true,
            };
            let over = hosts.iter().filter(|(_, until)| !waits || **until <= now);
            ended.extend(over.map(|(host, _)| host.clone()));
        }
        ended.iter().for_each(|it| self.end_reservation(it));
    }

    /// The hosts that are kept for a group.
    pub(super) fn kept_for(&self, group: &GroupKey) -> impl Iterator<Item = usize> + '_ {
        let whom = (self.reservations.len() != 0).then(|| group_of(group));
        let hosts = whom.and_then(|it| self.reservations.by_whom.get(&it));
        hosts.into_iter().flat_map(BTreeMap::keys).filter_map(|it| self.find(it))
    }

    /// Whether the host is kept, and nobody of the group is whom it is kept for.
    pub(super) fn is_kept_from(&self, seat: usize, group: &GroupKey) -> bool {
        let whom = self.reservations.by_host.get(&self.seat(seat).host.id);
        whom.is_some_and(|it| match it {
            For::Group(job, config) => (job, config) != (&group.0, &group.1),
            For::Instance(task) => task.job != group.0,
        })
    }
}

fn group_of((job, config): &GroupKey) -> For {
    For::Group(job.clone(), *config)
}
