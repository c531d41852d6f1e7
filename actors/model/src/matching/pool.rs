//! What all hosts have to give, kept up with every move.
//!
//! A host has a seat as long as it is known: a number, and in every set of hosts the bit of that
//! number. Its word is given by a hash of its name, so that going through the words in order and
//! through each word by the hash goes through the hosts in the same order, whenever they came.
//! Hosts that are down have seats too: what runs there counts towards limits, and they are an
//! answer to "why not there?".

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use super::{
    bits::{WORD, seats},
    needs::Needs,
    ports::Ports,
    prey::Prey,
    reservations::Reservations,
    scheduling::HOST,
    sets::Sets,
};
use crate::{
    config::TaskConfig,
    hash::{fnv1a, mix},
    host::{Contact, Host, Mode},
    ids::{HostId, JobKey},
    resources::Resources,
    task::Placement,
};

#[derive(Clone, Debug)]
pub(super) struct Pool {
    seats: Vec<Option<Seat>>,
    /// Where on the ring each seat's host is.
    rings: Vec<u64>,
    index: BTreeMap<HostId, usize>,
    pub(super) sets: Sets,
    pub(super) prey: Prey,
    pub(super) reservations: Reservations,
    /// How many of each job are where.
    crowds: BTreeMap<JobKey, BTreeMap<usize, u32>>,
    /// Grows with everything that happens.
    changes: u64,
    /// Grows when whatever is remembered of seats is worth nothing any more.
    epoch: u64,
    healed: Healed,
}

/// A host, and what of it is taken.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Seat {
    /// Its name is among its attributes.
    pub(super) host: Arc<Host>,
    /// Whether the view knows it; if not, it is here for what is placed there.
    is_known: bool,
    /// How many instances are there.
    stays: u32,
    used: Resources,
    pub(super) free: Resources,
    /// What of it is taken by preemptible tasks.
    pub(super) soft: Resources,
    spare_used: Resources,
    /// What it offers beyond its capacity, and nobody has taken.
    pub(super) spare: Resources,
    pub(super) ports: Ports,
}

/// Seats that have more to give than before, newest last: whoever found nothing there looks again.
#[derive(Clone, Debug, Default)]
struct Healed {
    count: u64,
    newest: VecDeque<usize>,
}

/// Who has missed more looks at everything.
const HEALED_MAX: usize = 1024;

impl Pool {
    pub(super) fn new() -> Self {
        Self::of_words(1)
    }

    /// An empty one, of which nothing that was remembered of `before` is true.
    pub(super) fn after(before: &Self) -> Self {
        let reservations = before.reservations.clone();
        let (changes, epoch) = (before.changes + 1, before.epoch + 1);
        Self { changes, epoch, reservations, ..Self::new() }
    }

    fn of_words(words: usize) -> Self {
        Self {
            seats: vec![None; words * WORD],
            rings: vec![0; words * WORD],
            index: BTreeMap::new(),
            sets: Sets::new(words),
            prey: Prey::new(words),
            reservations: Reservations::default(),
            crowds: BTreeMap::new(),
            changes: 0,
            epoch: 0,
            healed: Healed::default(),
        }
    }

    pub(super) fn words(&self) -> usize {
        self.sets.known.words()
    }

    pub(super) fn hosts(&self) -> usize {
        self.index.len()
    }

    pub(super) fn seat(&self, at: usize) -> &Seat {
        self.seats[at].as_ref().expect("only known seats are in sets")
    }

    pub(super) fn find(&self, host: &HostId) -> Option<usize> {
        self.index.get(host).copied()
    }

    /// Seats by their hosts' names.
    pub(super) fn by_name(&self) -> impl Iterator<Item = usize> + '_ {
        self.index.values().copied()
    }

    pub(super) fn ring(&self, seat: usize) -> u64 {
        self.rings[seat]
    }

    /// Where on the ring one begins is in this word.
    pub(super) fn word_of(&self, ring: u64) -> usize {
        let shards = u64::try_from(self.words()).expect("there are fewer words than seats");
        let shard = (u128::from(ring) * u128::from(shards)) >> u64::BITS;
        usize::try_from(shard).expect("it is less than the number of words")
    }

    /// Whatever was told of it before this changed is old.
    pub(super) fn changes(&self) -> u64 {
        self.changes
    }

    pub(super) fn epoch(&self) -> u64 {
        self.epoch
    }

    pub(super) fn healed(&self) -> u64 {
        self.healed.count
    }

    /// The seats that have healed after the first `read` did; `None` if nobody knows any more.
    pub(super) fn healed_since(&self, read: u64) -> Option<impl Iterator<Item = usize> + '_> {
        let missed = usize::try_from(self.healed.count.checked_sub(read)?).ok()?;
        let first = self.healed.newest.len().checked_sub(missed)?;
        Some(self.healed.newest.range(first..).copied())
    }

    /// Whatever was told of it may be old now.
    pub(super) fn touch(&mut self) {
        self.changes += 1;
    }

    /// Whoever has found nothing at this seat may look again.
    pub(super) fn heal(&mut self, seat: usize) {
        if self.healed.newest.len() == HEALED_MAX {
            self.healed.newest.pop_front();
        }
        self.healed.newest.push_back(seat);
        self.healed.count += 1;
    }

    /// Where a job's instances are, and how many.
    pub(super) fn crowd(&self, job: &JobKey) -> impl Iterator<Item = (usize, u32)> + '_ {
        self.crowds.get(job).into_iter().flatten().map(|(&seat, &count)| (seat, count))
    }

    pub(super) fn count(&self, job: &JobKey, seat: usize) -> u32 {
        self.crowds.get(job).and_then(|it| it.get(&seat)).copied().unwrap_or(0)
    }

    /// A host is like this from now on.
    pub(super) fn set_host(&mut self, host: &Arc<Host>) {
        let host = with_own_name(host);
        let seat = self.seat_for(&host.id);
        let before = self.seat(seat).host.clone();
        if before.attributes != host.attributes {
            self.sets.list(seat, &before, false);
            self.sets.list(seat, &host, true);
            self.epoch += 1;
        }
        self.sets.ready.put(seat, is_ready(&host));
        self.sets.later.put(seat, matches!(host.mode, Mode::Scheduled { .. }));
        self.change(seat, |it| {
            it.ports.offer(&host.capacity.ports);
            it.host = host;
            it.is_known = true;
        });
        self.heal(seat);
    }

    /// Nothing is known of a host any more. If something is there, it still is.
    pub(super) fn remove_host(&mut self, id: &HostId) {
        let Some(seat) = self.find(id) else { return };
        self.set_host(&Arc::new(Host::unknown(id.clone())));
        self.change(seat, |it| it.is_known = false);
        self.vacate(seat);
    }

    /// Forgets a host of which nothing is known and where nothing is.
    fn vacate(&mut self, seat: usize) {
        if let Some(gone) = self.seats[seat].take_if(|it| !it.is_known && it.stays == 0) {
            self.index.remove(&gone.host.id);
            self.sets.list(seat, &gone.host, false);
            self.sets.known.put(seat, false);
            self.sets.reserved.put(seat, false);
            self.epoch += 1;
        }
    }

    /// An instance is there now. Returns where, and how many of its job are.
    pub(super) fn take(
        &mut self,
        config: &TaskConfig,
        needs: &Needs,
        at: &Placement,
    ) -> (usize, u32) {
        let seat = self.seat_for(&at.host);
        self.change(seat, |it| {
            it.stays += 1;
            it.used = it.used.plus(needs.firm);
            it.spare_used = it.spare_used.plus(needs.spare);
            it.soft = it.soft.plus(soft(config, needs));
            at.ports.values().for_each(|&port| it.ports.take(port));
        });
        self.prey.take(seat, config);
        let crowd = self.crowds.entry(config.job.clone()).or_default();
        let count = crowd.entry(seat).or_default();
        *count += 1;
        (seat, *count)
    }

    /// It is not there any more. The host may be gone too.
    pub(super) fn release(
        &mut self,
        config: &TaskConfig,
        needs: &Needs,
        at: &Placement,
    ) -> Option<(usize, u32)> {
        let seat = self.find(&at.host)?;
        self.change(seat, |it| {
            it.stays = it.stays.saturating_sub(1);
            it.used = it.used.saturating_sub(needs.firm);
            it.spare_used = it.spare_used.saturating_sub(needs.spare);
            it.soft = it.soft.saturating_sub(soft(config, needs));
            at.ports.values().for_each(|&port| it.ports.give_back(port));
        });
        self.prey.release(seat, config);
        self.heal(seat);
        let left = self.thin_out(&config.job, seat);
        self.vacate(seat);
        Some((seat, left?)).filter(|_| self.seats[seat].is_some())
    }

    /// One less of a job is there. How many are left?
    fn thin_out(&mut self, job: &JobKey, seat: usize) -> Option<u32> {
        let crowd = self.crowds.get_mut(job)?;
        let count = crowd.get_mut(&seat)?;
        *count -= 1;
        let left = *count;
        if left == 0 {
            crowd.remove(&seat);
            if crowd.is_empty() {
                self.crowds.remove(job);
            }
        }
        Some(left)
    }

    /// Changes what a seat has to give, in all books.
    fn change(&mut self, seat: usize, how: impl FnOnce(&mut Seat)) {
        let it = self.seats[seat].as_mut().expect("only known seats change");
        let (before, most) = (it.free, it.free.plus(it.soft));
        how(it);
        self.changes += 1;
        it.free = it.host.capacity.resources.saturating_sub(it.used);
        it.spare = it.host.capacity.revocable.saturating_sub(it.spare_used);
        let (after, most_after) = (it.free, it.free.plus(it.soft));
        self.sets.cpu.step(seat, before.cpu_milli, after.cpu_milli);
        self.sets.ram.step(seat, before.ram_mb, after.ram_mb);
        self.prey.cpu.step(seat, most.cpu_milli, most_after.cpu_milli);
        self.prey.ram.step(seat, most.ram_mb, most_after.ram_mb);
    }

    fn seat_for(&mut self, host: &HostId) -> usize {
        match self.find(host) {
            Some(seat) => seat,
            None => self.make_seat(host),
        }
    }

    /// A seat for a host of which nothing is known.
    fn make_seat(&mut self, id: &HostId) -> usize {
        let host = with_own_name(&Arc::new(Host::unknown(id.clone())));
        let ring = ring_of(id);
        let seat = loop {
            let word = self.word_of(ring);
            if let Some(seat) = seats(word, !self.sets.known.word(word)).next() {
                break seat;
            }
            self.grow();
        };
        self.rings[seat] = ring;
        self.index.insert(id.clone(), seat);
        self.sets.known.put(seat, true);
        self.sets.reserved.put(seat, self.reservations.has(id));
        self.sets.list(seat, &host, true);
        self.seats[seat] = Some(Seat::empty(host));
        seat
    }

    /// A word is full: everybody sits down again where there are twice as many.
    fn grow(&mut self) {
        let mut larger = Self::of_words(self.words() * 2);
        while larger.is_too_small_for(self.index.keys()) {
            larger = Self::of_words(larger.words() * 2);
        }
        larger.reservations = std::mem::take(&mut self.reservations);
        let mut moved = vec![0; self.seats.len()];
        for (id, &old) in &self.index {
            let seat = larger.make_seat(id);
            moved[old] = seat;
            let host = self.seats[old].take().expect("it is in the index");
            larger.set_host(&host.host);
            larger.change(seat, |it| *it = host);
            larger.sets.reserved.put(seat, self.sets.reserved.has(old));
        }
        let crowds = std::mem::take(&mut self.crowds);
        let reseated = |crowd: BTreeMap<usize, u32>| {
            crowd.into_iter().map(|(at, count)| (moved[at], count)).collect()
        };
        larger.crowds = crowds.into_iter().map(|(job, crowd)| (job, reseated(crowd))).collect();
        larger.prey.reseat(&mut self.prey, &moved);
        (larger.changes, larger.epoch) = (self.changes + 1, self.epoch + 1);
        *self = larger;
    }

    /// All that is known, however it came to be.
    #[cfg(test)]
    pub(super) fn in_words(&self) -> Vec<String> {
        let hosts = self.index.iter().map(|(id, &seat)| {
            let crowd = self.crowds.iter().filter_map(|(job, it)| Some((job, it.get(&seat)?)));
            let (sets, it) = (&self.sets, self.seat(seat));
            let bits = [&sets.known, &sets.ready, &sets.later, &sets.dedicated];
            let bits = bits.map(|it| u8::from(it.has(seat)));
            let enough = |ladder: &super::ladder::Ladder, amount: u64| {
                ladder.at_least(amount).is_none_or(|it| it.has(seat))
                    && ladder.at_least(2 * amount + 1).is_some_and(|more| !more.has(seat))
            };
            assert!(enough(&sets.cpu, it.free.cpu_milli) && enough(&sets.ram, it.free.ram_mb));
            format!("{id} {bits:?} {it:?} {:?}", crowd.collect::<Vec<_>>())
        });
        hosts.collect()
    }

    fn is_too_small_for<'a>(&self, hosts: impl Iterator<Item = &'a HostId>) -> bool {
        let mut there = vec![0; self.words()];
        hosts.for_each(|it| there[self.word_of(ring_of(it))] += 1);
        there.iter().any(|&it| it > WORD)
    }
}

impl Seat {
    fn empty(host: Arc<Host>) -> Self {
        let none = Resources::default();
        Self {
            host,
            is_known: false,
            stays: 0,
            used: none,
            free: none,
            soft: none,
            spare_used: none,
            spare: none,
            ports: Ports::default(),
        }
    }
}

/// What of it can be had by whoever is not preemptible.
fn soft(config: &TaskConfig, needs: &Needs) -> Resources {
    if config.class.preemptible { needs.firm } else { Resources::default() }
}

/// `mix`, because names of hosts are often alike.
fn ring_of(host: &HostId) -> u64 {
    mix(fnv1a(host.0.bytes()))
}

/// Where a job begins to look.
pub(super) fn start_of(job: &JobKey) -> u64 {
    mix(fnv1a(job.to_string().into_bytes()))
}

/// Agents say their host's name among its attributes; for one that does not, it is added.
fn with_own_name(host: &Arc<Host>) -> Arc<Host> {
    if host.attributes.contains_key(HOST) {
        return host.clone();
    }
    let mut named = Host::clone(host);
    named.attributes.insert(HOST.into(), [host.id.to_string()].into());
    Arc::new(named)
}

fn is_ready(host: &Host) -> bool {
    let may = match host.mode {
        Mode::None | Mode::Scheduled { .. } => true,
        Mode::Draining { .. } | Mode::Drained { .. } => false,
    };
    may && matches!(host.contact, Contact::Up { .. })
}
