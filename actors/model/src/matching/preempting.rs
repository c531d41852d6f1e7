//! Who has to leave so that those who have waited for long get a place.
//!
//! A place is sought, and its tenants are asked to leave, in one go: what was found is true then,
//! and nothing has to be looked at again later. The host is kept for the group meanwhile. It may
//! still find room elsewhere; then what has become free is everybody's.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, VecDeque},
};

use super::{
    bits::{Bits, seats},
    group::{Group, GroupKey},
    matchmaker::Matchmaker,
    memory::{limit_excess, matching_values},
    needs::Needs,
    pool::{Pool, Seat},
    scheduling::Scheduling,
};
use crate::{
    ids::{Attempt, JobKey, TaskKey},
    machine::Timestamp,
    preemption::{self, Preemption, Room, may_preempt},
    resources::Resources,
    task::{Run, State},
    view::View,
};

/// A run that has to end so that another gets its place.
#[derive(Clone, Debug, PartialEq)]
pub struct Victim {
    pub task: TaskKey,
    pub attempt: Attempt,
    pub tier: String,
    pub message: String,
}

/// How many places are made in one go, at most: that many hosts lose something at once.
const PLACES_MAX: usize = 256;

/// A run that may have to go.
struct Tenant<'a> {
    task: &'a TaskKey,
    run: &'a Run,
    tier: &'a str,
    room: Room,
}

/// A group that has waited for long enough.
struct Seeker {
    key: GroupKey,
    /// How many of it have, and have no host kept for them.
    instances: usize,
}

impl Matchmaker {
    /// Who has to give way now. Groups take turns, a place each.
    pub fn preempt(&mut self, now: Timestamp, view: &View, rules: &Preemption) -> Vec<Victim> {
        self.catch_up(view);
        self.end_reservations(now);
        let seekers = self.seekers(now, view, rules);
        self.make_room(seekers, now, view, rules)
    }

    /// Who would have to give way to those of a job who have found nothing, had they waited for
    /// long enough.
    pub fn would_preempt(
        &mut self,
        job: &JobKey,
        now: Timestamp,
        view: &View,
        rules: &Preemption,
    ) -> Vec<Victim> {
        let groups = self.groups.iter();
        let waits = |key: &GroupKey, it: &Group| key.0 == *job && it.is_stuck && rules.enabled;
        let waiting = groups.filter(|(key, group)| waits(key, group));
        let seeker = |(key, group): (&GroupKey, &Group)| Seeker {
            key: key.clone(),
            instances: group.waiting.len(),
        };
        let seekers = waiting.map(seeker).filter(|it| 0 < it.instances).collect();
        self.make_room(seekers, now, view, rules)
    }

    fn make_room(
        &mut self,
        seekers: Vec<Seeker>,
        now: Timestamp,
        view: &View,
        rules: &Preemption,
    ) -> Vec<Victim> {
        let mut turns: VecDeque<Seeker> = seekers.into();
        let mut victims = Vec::new();
        let mut places = 0;
        while let Some(mut seeker) = turns.pop_front().filter(|_| places < PLACES_MAX) {
            let Some((seat, leaving)) = self.find_slot(&seeker.key, view) else { continue };
            let (whom, host) = (seeker.key.clone(), self.pool.seat(seat).host.id.clone());
            let tasks = leaving.iter().map(|it| it.task.clone()).collect();
            self.pool.make_place(&host, whom, tasks, now + rules.reservation);
            victims.extend(leaving);
            places += 1;
            seeker.instances -= 1;
            if 0 < seeker.instances {
                turns.push_back(seeker);
            }
        }
        for Victim { tier, .. } in &victims {
            *self.numbers.preempted.entry(tier.clone()).or_default() += 1;
        }
        victims
    }

    /// The most urgent first.
    fn seekers(&self, now: Timestamp, view: &View, rules: &Preemption) -> Vec<Seeker> {
        let waits = |group: &Group| {
            group.is_stuck
                && group.memory.is_current(&self.pool)
                && rules.delay <= now.since(group.since)
        };
        let groups = self.groups.iter().filter(|(_, group)| rules.enabled && waits(group));
        let mut seekers: Vec<_> = groups
            .filter_map(|(key, group)| {
                let kept = self.pool.reservations.of(key);
                let long = |it: &&u32| rules.delay <= now.since(waits_since(view, &key.0, **it));
                let long = group.waiting.keys().filter(long).take(PLACES_MAX + kept).count();
                let instances = long.checked_sub(kept).filter(|&it| 0 < it)?;
                let urgency =
                    (group.config.class.preemptible, Reverse(group.config.priority), group.since);
                Some((urgency, Seeker { key: key.clone(), instances }))
            })
            .collect();
        seekers.sort_by_key(|(urgency, _)| *urgency);
        seekers.into_iter().map(|(_, seeker)| seeker).collect()
    }

    /// The first host, going round from where the group begins, where some can be made to leave
    /// and that is enough; and who has to.
    fn find_slot(&self, key: &GroupKey, view: &View) -> Option<(usize, Vec<Victim>)> {
        let (pool, group) = (&self.pool, self.groups.get(key)?);
        let below = pool.prey.below(&group.config);
        let ground = hunting_ground(pool, group, &below);
        let reason = || {
            let first = group.waiting.first_key_value().map(|(&instance, _)| instance);
            let run = first.and_then(|it| view.jobs.get(&key.0)?.tasks.get(&it)?.run.as_ref());
            let whom = run.map_or_else(|| key.0.to_string(), |it| it.id.to_string());
            format!("Preempting in favor of {whom}")
        };
        let first = pool.word_of(group.memory.start());
        for later in [false, true] {
            for at in (0..pool.words()).map(|it| (first + it) % pool.words()) {
                let soon = pool.sets.later.word(at);
                let word = ground.word(at) & if later { soon } else { !soon };
                let mut hosts: Vec<usize> = seats(at, word).collect();
                hosts.sort_by_key(|&it| pool.ring(it));
                let found = hosts.into_iter().find_map(|seat| {
                    let below = below.get(&seat).copied().unwrap_or_default();
                    Some((seat, leaving(pool.seat(seat), group, below, (view, &self.scheduling))?))
                });
                if let Some((seat, tenants)) = found {
                    let victims = tenants.into_iter().map(|it| Victim {
                        task: it.task.clone(),
                        attempt: it.run.attempt,
                        tier: it.tier.to_owned(),
                        message: reason(),
                    });
                    return Some((seat, victims.collect()));
                }
            }
        }
        None
    }
}

/// Where it may be enough to make some leave, as far as sums can tell.
fn hunting_ground(pool: &Pool, group: &Group, below: &BTreeMap<usize, Resources>) -> Bits {
    let mut suitable = matching_values(&group.config, pool);
    suitable.keep(&pool.sets.ready);
    suitable.remove(&pool.sets.reserved);
    let mut ground = suitable.clone();
    pool.prey.narrow(&mut ground, &group.config, group.memory.needs());
    for &seat in below.keys().filter(|it| suitable.has(**it)) {
        ground.put(seat, true);
    }
    ground
}

/// Who has to leave this host so that one of the group fits. `None`: that cannot be brought about.
fn leaving<'a>(
    seat: &Seat,
    group: &Group,
    below: Resources,
    (view, scheduling): (&'a View, &Scheduling),
) -> Option<Vec<Tenant<'a>>> {
    let needs = group.memory.needs();
    let soft = if group.config.class.preemptible { Resources::default() } else { seat.soft };
    if !seat.free.plus(below).plus(soft).covers(needs.firm) {
        return None;
    }
    let (free, places) = (needs.of_use(seat.free, seat.spare), 0);
    let slack = Room { resources: free, ports: seat.ports.free(), places };
    let mut tenants = tenants(seat, group, (view, scheduling));
    let needs = Room {
        resources: needs.of_use(needs.firm, needs.spare),
        ports: needs.ports,
        places: limit_excess(&seat.host.attributes, &group.memory),
    };
    let rooms: Vec<Room> = tenants.iter().map(|it| it.room).collect();
    let victims = preemption::victims(needs, slack, &rooms)?;
    let mut at = 0..;
    tenants.retain(|_| at.next().is_some_and(|it| victims.binary_search(&it).is_ok()));
    Some(tenants)
}

/// The runs on a host that may have to give way, and are not leaving anyway.
fn tenants<'a>(
    seat: &Seat,
    group: &Group,
    (view, scheduling): (&'a View, &Scheduling),
) -> Vec<Tenant<'a>> {
    let (config, needs) = (&*group.config, group.memory.needs());
    let Some(host) = view.hosts.get(&seat.host.id) else { return Vec::new() };
    let tenant = |task: &'a TaskKey| {
        let job = view.jobs.get(&task.job)?;
        let run = job.tasks.get(&task.instance)?.run.as_ref()?;
        let its = job.configs.get(&run.config)?;
        let at = match &run.state {
            State::Assigned { at, .. } | State::Starting { at } | State::Running { at } => at,
            State::Throttled { .. }
            | State::Pending
            | State::Killing { .. }
            | State::Restarting { .. }
            | State::Preempting { .. }
            | State::Draining { .. }
            | State::Partitioned { .. }
            | State::Finished { .. }
            | State::Failed { .. }
            | State::Killed { .. }
            | State::Lost { .. } => return None,
        };
        // What a host has beyond its capacity is of no use to those who count on that, nor the
        // other way round.
        let freed = Needs::of(its, scheduling);
        let room = Room {
            resources: needs.of_use(freed.firm, freed.spare),
            ports: u32::try_from(at.ports.len()).expect("nobody has so many ports"),
            places: u32::from(task.job == config.job),
        };
        may_preempt(config, its).then_some(Tenant { task, run, tier: &its.tier, room })
    };
    host.tasks.iter().filter_map(tenant).collect()
}

fn waits_since(view: &View, job: &JobKey, instance: u32) -> Timestamp {
    let task = view.jobs.get(job).and_then(|it| it.tasks.get(&instance));
    let newest = task.and_then(|it| it.run.as_ref()?.events.last());
    newest.map_or(Timestamp(u64::MAX), |it| it.at)
}
