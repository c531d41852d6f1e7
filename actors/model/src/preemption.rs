//! Who has to give way to whom, when there is no room for both.
//!
//! What cannot be preempted may have the place of what can, whoever's it is. Between equals only
//! priority counts, and only within a role: nobody's priority is worth anything elsewhere. What
//! has to go is as little as finds the room, the largest first, since one loss is better than
//! many.

use std::{cmp::Reverse, time::Duration};

use crate::{config::TaskConfig, resources::Resources};

#[cfg(test)]
mod tests;

/// What an operator decides about it.
#[derive(Clone, Debug, PartialEq)]
pub struct Preemption {
    pub enabled: bool,
    /// How long a group waits before others have to give way.
    pub delay: Duration,
    /// How often such groups are looked for.
    pub every: Duration,
    /// How long a place that was made is kept for the group it was made for.
    pub reservation: Duration,
}

impl Default for Preemption {
    fn default() -> Self {
        Self {
            enabled: true,
            delay: Duration::from_secs(180),
            every: Duration::from_secs(60),
            reservation: Duration::from_secs(180),
        }
    }
}

/// Whether `pending` may have `running`'s place.
pub fn may_preempt(pending: &TaskConfig, running: &TaskConfig) -> bool {
    match (pending.class.preemptible, running.class.preemptible) {
        (false, true) => true,
        (true, false) => false,
        (false, false) | (true, true) => {
            pending.job.role == running.job.role && pending.priority > running.priority
        }
    }
}

/// What a host has to give to an instance, or what the instance needs of it, or what the end of
/// another would add.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Room {
    pub resources: Resources,
    pub ports: u32,
    /// How many more of the job may be there, by its limits.
    pub places: u32,
}

impl Room {
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            resources: self.resources.plus(other.resources),
            ports: self.ports.saturating_add(other.ports),
            places: self.places.saturating_add(other.places),
        }
    }

    pub fn covers(self, needs: Self) -> bool {
        self.resources.covers(needs.resources)
            && self.ports >= needs.ports
            && self.places >= needs.places
    }

    /// Large rooms come first.
    fn order(&self) -> impl Ord + use<> {
        let Resources { cpu_milli, ram_mb, disk_mb, gpus } = self.resources;
        Reverse((cpu_milli, ram_mb, disk_mb, self.ports, gpus, self.places))
    }
}

/// Which of those that may be preempted on one host have to go, by their index and in order; `rooms`
/// is what the end of each adds. `None`: not even all of them would do, or nobody has to go.
pub fn victims(needs: Room, slack: Room, rooms: &[Room]) -> Option<Vec<usize>> {
    if slack.covers(needs) {
        return None;
    }
    let mut order: Vec<usize> = (0..rooms.len()).collect();
    order.sort_by_key(|&it| rooms[it].order());
    let mut so_far = slack;
    let enough = order.iter().position(|&it| {
        so_far = so_far.plus(rooms[it]);
        so_far.covers(needs)
    })?;
    order.truncate(enough + 1);
    let mut victims = order;
    let room = |of: &[usize]| of.iter().fold(slack, |all, &it| all.plus(rooms[it]));
    // A large one may have been of no use beside those that came after it.
    let mut at = 0;
    while at < victims.len() {
        let spared = victims.remove(at);
        if !room(&victims).covers(needs) {
            victims.insert(at, spared);
            at += 1;
        }
    }
    victims.sort_unstable();
    Some(victims)
}
