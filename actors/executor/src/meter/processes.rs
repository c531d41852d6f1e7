//! What processes use, by one look through all of the machine's.
//!
//! Whose a process is follows from who its ancestors are: the nearest one that a run began with
//! makes it that run's, and a task's shepherd makes it at least the task's, for a shepherd is given
//! whoever has lost a parent. That is not all of what a task has used, since nobody counts for whom
//! nobody waited, nor exactly its memory, since what processes share counts for each; control groups
//! know both, where there are some.

use std::collections::BTreeMap;

use procfs::{FromRead, process::Stat};

use crate::pids::Identity;

/// Everybody, by number.
#[derive(Debug, Default)]
pub(super) struct Processes(BTreeMap<i32, Seen>);

#[derive(Clone, Copy, Debug)]
struct Seen {
    parent: i32,
    start_time: u64,
    uses: Uses,
}

/// What some processes use together.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Uses {
    /// Of a core, those of descendants included who were waited for.
    pub(super) cpu_seconds: f64,
    /// Bytes that are resident.
    pub(super) ram: u64,
    pub(super) processes: u64,
    pub(super) threads: u64,
}

/// Whose descendants are whose.
#[derive(Clone, Debug, Default)]
pub(super) struct Owners(BTreeMap<i32, (u64, Owner)>);

/// A task by its place, and, for a run's, a process of it by its place.
pub(super) type Owner = (usize, Option<usize>);

/// The kernel's own threads descend from this one.
const KERNEL: i32 = 2;

impl Processes {
    pub(super) fn now() -> Self {
        let entries = std::fs::read_dir("/proc").into_iter().flatten().filter_map(Result::ok);
        let numbers = entries.filter_map(|it| it.file_name().to_str()?.parse::<i32>().ok());
        let seen =
            |pid| Some((pid, Seen::from(&Stat::from_file(format!("/proc/{pid}/stat")).ok()?)));
        let seen = numbers.filter(|it| *it != KERNEL).filter_map(seen);
        Self(seen.filter(|(_, it)| it.parent != KERNEL).collect())
    }

    /// Everybody who has an owner, added up by owner.
    pub(super) fn by_owner(&self, owners: &Owners) -> BTreeMap<Owner, Uses> {
        let mut owned: BTreeMap<i32, Option<Owner>> = BTreeMap::new();
        let mut sums: BTreeMap<Owner, Uses> = BTreeMap::new();
        for (pid, seen) in &self.0 {
            if let Some(owner) = self.owner(*pid, owners, &mut owned) {
                sums.entry(owner).or_default().add(seen.uses);
            }
        }
        sums
    }

    /// The nearest ancestor's, oneself included; every answer on the way is remembered.
    fn owner(
        &self,
        pid: i32,
        owners: &Owners,
        owned: &mut BTreeMap<i32, Option<Owner>>,
    ) -> Option<Owner> {
        let mut line = Vec::new();
        let mut next = pid;
        let owner = loop {
            if let Some(known) = owned.get(&next) {
                break *known;
            }
            // What is seen one by one may, by bad luck, be a circle.
            let Some(seen) = self.0.get(&next).filter(|_| !line.contains(&next)) else {
                break None;
            };
            line.push(next);
            if let Some(owner) = owners.of(next, seen.start_time) {
                break Some(owner);
            }
            next = seen.parent;
        };
        owned.extend(line.into_iter().map(|it| (it, owner)));
        owner
    }
}

impl Owners {
    pub(super) fn insert(&mut self, root: Identity, owner: Owner) {
        self.0.insert(root.pid, (root.start_time, owner));
    }

    fn of(&self, pid: i32, start_time: u64) -> Option<Owner> {
        self.0.get(&pid).filter(|it| it.0 == start_time).map(|it| it.1)
    }
}

impl Uses {
    pub(super) fn add(&mut self, other: Self) {
        self.cpu_seconds += other.cpu_seconds;
        self.ram += other.ram;
        self.processes += other.processes;
        self.threads += other.threads;
    }
}

impl From<&Stat> for Seen {
    fn from(stat: &Stat) -> Self {
        let of_children = stat.cutime.max(0).unsigned_abs() + stat.cstime.max(0).unsigned_abs();
        let ticks = stat.utime + stat.stime + of_children;
        Self {
            parent: stat.ppid,
            start_time: stat.starttime,
            uses: Uses {
                cpu_seconds: ticks as f64 / procfs::ticks_per_second() as f64,
                ram: stat.rss * procfs::page_size(),
                processes: 1,
                threads: stat.num_threads.max(0).unsigned_abs(),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn processes(lines: &[(i32, i32, f64)]) -> Processes {
        let seen = |(pid, parent, cpu_seconds): &(i32, i32, f64)| {
            let uses = Uses { cpu_seconds: *cpu_seconds, ram: 1, processes: 1, threads: 2 };
            (*pid, Seen { parent: *parent, start_time: 7, uses })
        };
        Processes(lines.iter().map(seen).collect())
    }

    fn owners(roots: &[(i32, u64, Owner)]) -> Owners {
        Owners(roots.iter().map(|(pid, start, owner)| (*pid, (*start, *owner))).collect())
    }

    #[test]
    fn everybody_counts_for_the_nearest_ancestor_who_is_somebodys() {
        let all = processes(&[
            (1, 0, 0.1),
            (10, 1, 1.0),  // a shepherd
            (20, 10, 2.0), // a run
            (21, 20, 4.0),
            (5, 21, 8.0),   // whose number came round
            (30, 10, 16.0), // who has lost a parent
            (40, 10, 32.0), // another run
            (50, 1, 64.0),  // a stranger
        ]);
        let roots = [(10, 7, (0, None)), (20, 7, (0, Some(0))), (40, 7, (0, Some(1)))];
        let sums = all.by_owner(&owners(&roots));
        let seconds: Vec<_> = sums.iter().map(|(owner, it)| (*owner, it.cpu_seconds)).collect();
        assert_eq!(seconds, [((0, None), 17.0), ((0, Some(0)), 14.0), ((0, Some(1)), 32.0)]);
        let uses = Uses { cpu_seconds: 14.0, ram: 3, processes: 3, threads: 6 };
        assert_eq!(sums[&(0, Some(0))], uses);
    }

    #[test]
    fn who_has_somebodys_number_is_not_somebody() {
        let all = processes(&[(10, 1, 1.0), (20, 10, 2.0)]);
        assert_eq!(all.by_owner(&owners(&[(10, 8, (0, None))])), BTreeMap::new());
    }

    #[test]
    fn a_circle_is_nobodys() {
        let all = processes(&[(10, 20, 1.0), (20, 10, 2.0), (30, 30, 1.0)]);
        assert_eq!(all.by_owner(&owners(&[(99, 7, (0, None))])), BTreeMap::new());
    }

    #[test]
    fn we_see_ourselves() {
        let me = Identity::of(std::process::id().cast_signed()).unwrap();
        let mut owners = Owners::default();
        owners.insert(me, (3, None));
        let sums = Processes::now().by_owner(&owners);
        let uses = sums[&(3, None)];
        assert!(0 < uses.ram && 1 <= uses.processes && 2 <= uses.threads, "{uses:?}");
    }
}
