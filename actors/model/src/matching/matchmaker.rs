//! Who waits, what there is, and what was given out and is not in the view yet.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    explain::explain,
    group::{Group, GroupKey},
    needs::Needs,
    pool::Pool,
    reservations::For,
    scheduling::Scheduling,
    turns::{LastTurns, TURN, Turns},
    veto::Kind,
};
use crate::{
    config::TaskConfig,
    hash::mix,
    ids::{Attempt, ConfigId, JobKey, TaskKey},
    instances::InstanceSet,
    machine::Timestamp,
    task::Placement,
    view::{Missed, Move, Pending, Stay, View},
};

/// Brings waiting instances and free hosts together. It has no clock: whoever holds it says what
/// time it is, and when there is a round.
///
/// The view does not show a placement before the instance has committed it, and rounds do not wait
/// for that. So what was given out is booked here until the instance has answered, and nothing is
/// ever given out twice.
#[derive(Clone, Debug)]
pub struct Matchmaker {
    pub(super) scheduling: Scheduling,
    pub(super) pool: Pool,
    /// How much of the view's moves is in the pool.
    version: Option<u64>,
    /// By job; some of them wait for nothing now.
    pub(super) groups: BTreeMap<GroupKey, Group>,
    waiting: usize,
    /// Given out, and not answered yet.
    given: BTreeMap<TaskKey, Given>,
    /// They have answered; the view that is caught up with next knows what they have made of it.
    answered: Vec<TaskKey>,
    last: LastTurns,
    pub(super) numbers: Numbers,
}

#[derive(Clone, Debug)]
struct Given {
    stay: Stay,
    /// The view shows it, so its end will be heard of from there.
    is_shown: bool,
    is_answered: bool,
}

/// An instance has a place.
#[derive(Clone, Debug, PartialEq)]
pub struct Placed {
    pub task: TaskKey,
    pub attempt: Attempt,
    pub at: Placement,
}

/// What it has done so far, and has to do.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Numbers {
    pub rounds: u64,
    pub placed: u64,
    /// How many hosts were found to be ruled out, whenever it was explained why somebody waits.
    pub vetoes: BTreeMap<Kind, u64>,
    /// How many instances wait, in how many groups.
    pub waiting: usize,
    pub waiting_groups: usize,
    /// How many placements are on their way.
    pub given: usize,
    /// How many had to give way, by the tier that they had.
    pub preempted: BTreeMap<String, u64>,
    /// How many hosts are kept for somebody.
    pub reserved: usize,
}

/// How many placements may be on their way to the disk. More would only queue up there.
const GIVEN_MAX: usize = 8192;

/// How many hosts are looked at in order to explain, before somebody else has a turn.
const LOOKS_MAX: usize = 50_000;

/// How many groups are remembered while they wait for nothing, because the next of their instances
/// may come any moment.
const IDLE_MAX: usize = 1024;

impl Matchmaker {
    pub fn new(scheduling: Scheduling) -> Self {
        Self {
            scheduling,
            pool: Pool::new(),
            version: None,
            groups: BTreeMap::new(),
            waiting: 0,
            given: BTreeMap::new(),
            answered: Vec::new(),
            last: LastTurns::default(),
            numbers: Numbers::default(),
        }
    }

    pub fn numbers(&self) -> Numbers {
        let waiting_groups = self.groups.values().filter(|it| !it.waiting.is_empty()).count();
        let (waiting, given) = (self.waiting, self.given.len());
        let reserved = self.pool.reservations.len();
        Numbers { waiting, waiting_groups, given, reserved, ..self.numbers.clone() }
    }

    /// Whether anybody waits for a place.
    pub fn has_seekers(&self) -> bool {
        0 < self.waiting
    }

    /// Learns what is where from the view.
    pub fn catch_up(&mut self, view: &View) {
        self.learn(self.missed(view));
    }

    /// What it does not know of the view yet, to be [learned](Self::learn) without holding it.
    pub fn missed(&self, view: &View) -> Missed {
        view.missed(self.version)
    }

    pub fn learn(&mut self, Missed { all, moves, version }: Missed) {
        if all {
            self.forget_all();
        }
        moves.into_iter().for_each(|it| self.heed(it));
        self.version = Some(version);
        for task in std::mem::take(&mut self.answered) {
            if self.given.get(&task).is_some_and(|it| it.is_answered) {
                let given = self.given.remove(&task);
                self.take_back(given);
            }
        }
    }

    /// An attempt wants a place. Nothing happens if the view does not know its configuration.
    pub fn seek(
        &mut self,
        now: Timestamp,
        task: TaskKey,
        attempt: Attempt,
        config: ConfigId,
        view: &View,
    ) {
        let job = view.jobs.get(&task.job);
        if let Some(it) = job.and_then(|job| job.configs.get(&config)) {
            self.want(now, task, attempt, (config, it));
        }
    }

    /// The same with a configuration that the view need not know.
    pub fn want(
        &mut self,
        now: Timestamp,
        TaskKey { job, instance }: TaskKey,
        attempt: Attempt,
        (id, config): (ConfigId, &Arc<TaskConfig>),
    ) {
        // It woke up while its place was on the way. If it misses that too, it asks again.
        let on_its_way = |it: &Given| it.stay.attempt == attempt && !it.is_answered;
        if self.given.get(&job.task(instance)).is_some_and(on_its_way) {
            return;
        }
        let key = (job, id);
        // A job that was forgotten counts its configurations from 1 when it is created again.
        let is_other = |it: &Group| !Arc::ptr_eq(&it.config, config) && it.config != *config;
        if self.groups.get(&key).is_none_or(is_other) {
            let group = Group::new(config.clone(), now, &self.pool, &self.scheduling);
            let before = self.groups.insert(key.clone(), group);
            self.waiting -= before.map_or(0, |it| it.waiting.len());
        }
        let group = self.groups.get_mut(&key).expect("it was just made, or is there");
        self.waiting -= group.waiting.len();
        group.join(now, instance, attempt);
        self.waiting += group.waiting.len();
    }

    /// An instance does not want a place any more.
    pub fn withdraw(&mut self, task: &TaskKey) {
        for (_, group) in of_job(&mut self.groups, &task.job) {
            if group.waiting.remove(&task.instance).is_some() {
                self.waiting -= 1;
            }
        }
        self.pool.give_up(&For::Instance(task.clone()));
    }

    /// An instance has taken its place, or does not want it. The next view it catches up with has
    /// to show which.
    pub fn answered(&mut self, task: &TaskKey, attempt: Attempt) {
        if let Some(given) = self.given.get_mut(task).filter(|it| it.stay.attempt == attempt) {
            given.is_answered = true;
            self.answered.push(task.clone());
        }
    }

    /// Finds places for as many as there is room for and may be on their way at once.
    pub fn round(&mut self, now: Timestamp) -> Vec<Placed> {
        self.end_reservations(now);
        self.numbers.rounds += 1;
        let mut room = GIVEN_MAX.saturating_sub(self.given.len());
        let mut placed = Vec::new();
        if room == 0 {
            return placed;
        }
        let (pool, scheduling) = (&self.pool, &self.scheduling);
        let seekers = self.groups.iter_mut().filter_map(|(key, group)| {
            group.may_look(pool, scheduling).then_some((key, group.config.priority))
        });
        let mut turns = Turns::new(seekers, &mut self.last);
        while 0 < room
            && let Some(key) = turns.next()
        {
            let before = placed.len();
            let again = self.take_turn(&key, room.min(TURN), &mut placed);
            room -= placed.len() - before;
            turns.done(again, &mut self.last);
        }
        self.numbers.placed += u64::try_from(placed.len()).expect("a round places a few");
        self.forget_idle();
        placed
    }

    /// Another one that knows the same, to try things out.
    #[must_use]
    pub fn double(&self) -> Self {
        let groups = self.groups.iter().filter(|(_, it)| !it.waiting.is_empty());
        Self {
            scheduling: self.scheduling.clone(),
            pool: self.pool.clone(),
            version: self.version,
            groups: groups.map(|(key, it)| (key.clone(), it.clone())).collect(),
            waiting: self.waiting,
            given: self.given.clone(),
            answered: self.answered.clone(),
            last: self.last.clone(),
            numbers: self.numbers.clone(),
        }
    }

    /// All rounds that there would be if everybody took the place that is given, and nothing else
    /// happened.
    pub fn play_out(&mut self, now: Timestamp) -> Vec<Placed> {
        let mut all = Vec::new();
        loop {
            // Whatever is on its way has arrived.
            self.given.clear();
            let placed = self.round(now);
            if placed.is_empty() {
                return all;
            }
            all.extend(placed);
        }
    }

    /// Why groups wait that have found nothing, where that is news to them. Those who have waited
    /// longest for an explanation come first, and not all of them at once.
    pub fn reasons(&mut self, now: Timestamp) -> Vec<(JobKey, InstanceSet, Arc<Pending>)> {
        let due = self.groups.iter().filter_map(|(key, it)| Some((it.tell_at(&self.pool)?, key)));
        let mut due: Vec<_> = due.filter(|(at, _)| *at <= now).collect();
        due.sort_unstable();
        let most = LOOKS_MAX / self.pool.hosts().max(1) + 1;
        let due: Vec<GroupKey> = due.into_iter().take(most).map(|it| it.1.clone()).collect();
        due.into_iter().filter_map(|key| self.reason(now, key)).collect()
    }

    fn reason(
        &mut self,
        now: Timestamp,
        key: GroupKey,
    ) -> Option<(JobKey, InstanceSet, Arc<Pending>)> {
        let group = self.groups.get_mut(&key)?;
        group.catch_up(&self.pool, &self.scheduling);
        let why = explain(&self.pool, &key, group);
        for veto in &why.vetoes {
            let hosts = u64::try_from(veto.hosts).expect("there are fewer hosts");
            *self.numbers.vetoes.entry(veto.kind).or_default() += hosts;
        }
        let why = group.tell(now, &self.pool, why)?;
        Some((key.0, group.waiting.keys().copied().collect(), why))
    }

    /// When to look again although nothing may have happened.
    pub fn next_look(&self) -> Option<Timestamp> {
        let told = self.groups.values().filter_map(|it| it.tell_at(&self.pool)).min();
        let released = self.pool.reservations.next_end().filter(|_| self.has_seekers());
        told.into_iter().chain(released).min()
    }

    #[cfg(test)]
    pub(super) fn pool(&self) -> &Pool {
        &self.pool
    }

    /// Places some of a group. Whether it may want another turn.
    fn take_turn(&mut self, key: &GroupKey, most: usize, placed: &mut Vec<Placed>) -> bool {
        for _ in 0..most {
            let Some((instance, seat)) = self.next_place(key) else { return false };
            let group = self.groups.get_mut(key).expect("it has just found a place");
            let attempt = group.waiting.remove(&instance).expect("it waited a moment ago");
            self.waiting -= 1;
            let (task, config) = (key.0.task(instance), group.config.clone());
            let at = self.placement(&config, seat, (instance, attempt));
            let stay = Stay { task: task.clone(), attempt, config, at: at.clone() };
            self.take(&stay);
            self.pool.use_reservation(key, &task, &stay.at.host);
            // Another attempt of it wants a place now, so an older one will not be shown any more.
            let given = Given { stay, is_shown: false, is_answered: false };
            let older = self.given.insert(task.clone(), given);
            self.take_back(older);
            placed.push(Placed { task, attempt, at });
        }
        true
    }

    /// The next instance of a group that can be placed, and where.
    fn next_place(&mut self, key: &GroupKey) -> Option<(u32, usize)> {
        let group = self.groups.get_mut(key)?;
        let pool = &self.pool;
        let suits = |group: &Group, seat| group.memory.suits(&group.config, pool, seat);
        let mut free = None;
        for &instance in group.waiting.keys() {
            let Some(host) = pool.reservations.of_instance(&key.0, instance) else {
                free = Some(instance);
                break;
            };
            // It waits for this one.
            if let Some(seat) = pool.find(host).filter(|&it| suits(group, it)) {
                return Some((instance, seat));
            }
        }
        let place = free.and_then(|instance| {
            let reserved = pool.kept_for(key).find(|&it| suits(group, it));
            Some((instance, reserved.or_else(|| group.memory.choose(pool))?))
        });
        group.is_stuck = place.is_none() && !group.waiting.is_empty();
        place
    }

    /// It was not wanted, unless the view shows it.
    fn take_back(&mut self, given: Option<Given>) {
        if let Some(Given { stay, .. }) = given.filter(|it| !it.is_shown) {
            self.release(&stay);
        }
    }

    fn placement(&self, config: &TaskConfig, seat: usize, whose: (u32, Attempt)) -> Placement {
        let seat = self.pool.seat(seat);
        let pick = mix(u64::from(whose.0) << 32 | u64::from(whose.1.0));
        let ports = seat.ports.choose(config.ports.len(), pick);
        let ports = config.ports.iter().cloned().zip(ports).collect();
        Placement { host: seat.host.id.clone(), ports }
    }

    /// Of one that knows the same: as if this run had gone.
    pub fn vacate(&mut self, stay: &Stay) {
        self.release(stay);
    }

    fn heed(&mut self, it: Move) {
        match it {
            Move::Host(host) => self.pool.set_host(&host),
            Move::Gone(host) => self.pool.remove_host(&host),
            Move::Taken(stay) => match self.given.get_mut(&stay.task) {
                Some(given) if given.stay.attempt == stay.attempt => given.is_shown = true,
                Some(_) | None => self.take(&stay),
            },
            Move::Released(stay, returns) => {
                self.release(&stay);
                self.pool.reservations.left(&stay.at.host, &stay.task);
                if let Some(since) = returns.filter(|_| self.scheduling.update_affinity) {
                    let until = since + self.scheduling.reservation_hold;
                    self.pool.reserve(&stay.at.host, For::Instance(stay.task), until);
                }
            }
        }
    }

    fn take(&mut self, stay: &Stay) {
        let needs = Needs::of(&stay.config, &self.scheduling);
        let (seat, count) = self.pool.take(&stay.config, &needs, &stay.at);
        self.tell_groups(&stay.task.job, (seat, count - 1, count));
    }

    fn release(&mut self, stay: &Stay) {
        let needs = Needs::of(&stay.config, &self.scheduling);
        let left = self.pool.release(&stay.config, &needs, &stay.at);
        if let Some((seat, count)) = left {
            self.tell_groups(&stay.task.job, (seat, count + 1, count));
        }
    }

    fn tell_groups(&mut self, job: &JobKey, moved: (usize, u32, u32)) {
        for (_, group) in of_job(&mut self.groups, job) {
            let config = group.config.clone();
            group.memory.moved(&config, &self.pool, moved);
        }
    }

    /// Ends those whose time is up, and those of groups that do not wait any more.
    pub(super) fn end_reservations(&mut self, now: Timestamp) {
        let waits = |key: &GroupKey| self.groups.get(key).is_some_and(|it| !it.waiting.is_empty());
        self.pool.end_reservations(now, waits);
    }

    /// All but what was given out: that is booked until the view shows it, whichever view that is.
    fn forget_all(&mut self) {
        self.pool = Pool::after(&self.pool);
        self.given.values_mut().for_each(|it| it.is_shown = false);
        let stays: Vec<_> = self.given.values().map(|it| it.stay.clone()).collect();
        stays.iter().for_each(|it| self.take(it));
    }

    fn forget_idle(&mut self) {
        let idle = self.groups.values().filter(|it| it.waiting.is_empty()).count();
        if IDLE_MAX < idle {
            self.groups.retain(|_, it| !it.waiting.is_empty());
        }
    }
}

/// A job's groups.
fn of_job<'a>(
    groups: &'a mut BTreeMap<GroupKey, Group>,
    job: &JobKey,
) -> impl Iterator<Item = (&'a GroupKey, &'a mut Group)> {
    groups.range_mut((job.clone(), ConfigId(0))..=(job.clone(), ConfigId(u32::MAX)))
}
