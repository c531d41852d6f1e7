//! What tasks have used up to now, from all that can be known of them.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use airglow_model::{
    ids::TaskId,
    machine::Timestamp,
    wire::{ProcessUsage, TaskUsage},
};
use tokio::time::Instant;

use super::{
    Roots,
    processes::{Owners, Processes, Uses},
};
use crate::cgroups::Group;

/// A task to be looked at.
pub(super) struct Subject {
    pub(super) id: TaskId,
    pub(super) group: Option<Arc<Group>>,
    pub(super) roots: Arc<Roots>,
}

pub(super) struct Sample {
    pub(super) at: Instant,
    pub(super) took: Duration,
    pub(super) tasks: Vec<(TaskId, Totals)>,
}

impl Roots {
    fn own(&self, task: usize, owners: &mut Owners) {
        if let Some(shepherd) = self.shepherd {
            owners.insert(shepherd, (task, None));
        }
        for (process, main) in self.mains.values().enumerate() {
            owners.insert(*main, (task, Some(process)));
        }
    }
}

/// Since its beginning.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Totals {
    pub(super) cpu_seconds: f64,
    pub(super) ram: u64,
    pub(super) pids: u64,
    pub(super) ram_peak: Option<u64>,
    /// How many of its processes the kernel ended for want of memory.
    pub(super) oom_kills: u64,
    pub(super) processes: BTreeMap<String, Uses>,
}

/// For workers: reads some files for each process of the machine, and for each task.
pub(super) fn sample(subjects: &[Subject]) -> Sample {
    let at = Instant::now();
    let mut owners = Owners::default();
    for (place, subject) in subjects.iter().enumerate() {
        subject.roots.own(place, &mut owners);
    }
    let mut sums = Processes::now().by_owner(&owners);
    let mut tasks = Vec::with_capacity(subjects.len());
    for (place, subject) in subjects.iter().enumerate() {
        let own = sums.remove(&(place, None)).unwrap_or_default();
        let names = subject.roots.mains.iter().enumerate();
        let uses = names.map(|(process, (name, _))| {
            (name.clone(), sums.remove(&(place, Some(process))).unwrap_or_default())
        });
        tasks.push((subject.id.clone(), Totals::of(subject, own, uses.collect())));
    }
    Sample { at, took: at.elapsed(), tasks }
}

impl Totals {
    /// The kernel's own account where there is one; else what its processes come to.
    fn of(subject: &Subject, own: Uses, processes: BTreeMap<String, Uses>) -> Self {
        let mut all = own;
        processes.values().for_each(|it| all.add(*it));
        let counted = subject.group.as_ref().map(|it| it.usage()).unwrap_or_default();
        let shepherds = u64::from(subject.roots.shepherd.is_some());
        Self {
            cpu_seconds: counted.cpu_seconds.unwrap_or(all.cpu_seconds),
            ram: counted.ram.unwrap_or(all.ram),
            pids: counted.pids.unwrap_or(all.threads).saturating_sub(shepherds),
            ram_peak: counted.ram_peak,
            oom_kills: counted.oom_kills,
            processes,
        }
    }

    /// For people, who want to know how it is now. `before` is the measurement before.
    pub(super) fn usage(&self, at: Timestamp, disk: u64, before: &Before<'_>) -> TaskUsage {
        let earlier = before.totals.map(|it| it.cpu_seconds);
        TaskUsage {
            at,
            cpu: before.cores(earlier, self.cpu_seconds),
            cpu_seconds: self.cpu_seconds,
            ram: self.ram,
            disk,
            pids: self.pids,
        }
    }

    pub(super) fn usages(&self, before: &Before<'_>) -> BTreeMap<String, ProcessUsage> {
        let usage = |(name, uses): (&String, &Uses)| {
            let earlier = before.totals.and_then(|it| it.processes.get(name));
            let usage = ProcessUsage {
                cpu: before.cores(earlier.map(|it| it.cpu_seconds), uses.cpu_seconds),
                cpu_seconds: uses.cpu_seconds,
                ram: uses.ram,
                processes: uses.processes,
                threads: uses.threads,
            };
            (name.clone(), usage)
        };
        self.processes.iter().filter(|(_, it)| 0 < it.processes).map(usage).collect()
    }
}

/// The measurement before, if there was one, and how long ago that was.
pub(super) struct Before<'a> {
    pub(super) totals: Option<&'a Totals>,
    pub(super) passed: Duration,
}

impl Before<'_> {
    /// Who is new, and who has less than before because a new run of it began, says nothing yet.
    fn cores(&self, earlier: Option<f64>, now: f64) -> f64 {
        match (earlier, self.passed.as_secs_f64()) {
            (Some(earlier), seconds) if 0.0 < seconds => ((now - earlier) / seconds).max(0.0),
            _ => 0.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn totals(cpu_seconds: f64, of_web: f64) -> Totals {
        let web = Uses { cpu_seconds: of_web, ram: 10, processes: 2, threads: 3 };
        let processes = BTreeMap::from([("web".into(), web), ("gone".into(), Uses::default())]);
        Totals { cpu_seconds, ram: 20, pids: 5, processes, ..Totals::default() }
    }

    #[test]
    fn cores_are_what_was_used_since_the_measurement_before() {
        let at = Timestamp::from(Duration::from_secs(1000));
        let (first, second) = (totals(10.0, 4.0), totals(15.0, 3.0));
        let none = Before { totals: None, passed: Duration::ZERO };
        let usage = first.usage(at, 7, &none);
        let expected = TaskUsage { at, cpu: 0.0, cpu_seconds: 10.0, ram: 20, disk: 7, pids: 5 };
        assert_eq!(usage, expected);
        let before = Before { totals: Some(&first), passed: Duration::from_secs(10) };
        assert_eq!(second.usage(at, 7, &before).cpu, 0.5);
        // A run that ended took its account with it.
        let of_web = &second.usages(&before)["web"];
        assert_eq!((of_web.cpu, of_web.cpu_seconds, of_web.processes), (0.0, 3.0, 2));
        assert_eq!(second.usages(&before).len(), 1);
    }
}
