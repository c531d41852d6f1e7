//! Who waits for a place, and when to look.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use super::{Mail, Out, Receipt, Word};
use crate::{
    host::Contact,
    ids::{Attempt, ConfigId, HostId, JobKey, TaskKey},
    machine::Timestamp,
    matching::{self, Group, Offer, PortPool},
    policy::Policy,
    resources::Resources,
    task::{self, Placement, Task},
    view::View,
};

#[derive(Clone, Debug)]
pub(in crate::simulation) enum ToMatchmaker {
    Seek(TaskKey, Attempt, ConfigId),
    Withdraw(TaskKey),
    /// Something may fit now that did not.
    Look,
    Answered(TaskKey, Attempt),
    Round,
}

pub(super) struct Bureau {
    waiting: BTreeMap<(JobKey, ConfigId), BTreeMap<u32, Attempt>>,
    given: BTreeMap<TaskKey, (Attempt, Placement, Resources)>,
    awaits: bool,
    rounds: u64,
}

const PAUSE: Duration = Duration::from_millis(2);

impl Bureau {
    pub(super) fn new(_: &Policy) -> Self {
        Self { waiting: BTreeMap::new(), given: BTreeMap::new(), awaits: false, rounds: 0 }
    }

    pub(super) fn read(&mut self, word: ToMatchmaker, view: &View, out: &mut Out) {
        match word {
            ToMatchmaker::Seek(task, attempt, config) => {
                if self.given.get(&task).is_none_or(|it| it.0 != attempt) {
                    let queue = self.waiting.entry((task.job, config)).or_default();
                    queue.insert(task.instance, attempt);
                }
            }
            ToMatchmaker::Withdraw(task) => {
                for queue in self.waiting.iter_mut().filter(|it| it.0.0 == task.job) {
                    queue.1.remove(&task.instance);
                }
            }
            ToMatchmaker::Look => {}
            ToMatchmaker::Answered(task, attempt) => {
                if self.given.get(&task).is_some_and(|it| it.0 == attempt) {
                    self.given.remove(&task);
                }
            }
            ToMatchmaker::Round => {
                self.awaits = false;
                return self.round(view, out);
            }
        }
        self.waiting.retain(|_, it| !it.is_empty());
        if !self.awaits && !self.waiting.is_empty() {
            self.awaits = true;
            out.later(out.now() + PAUSE, Mail::Matchmaker(ToMatchmaker::Round));
        }
    }

    fn round(&mut self, view: &View, out: &mut Out) {
        self.rounds += 1;
        let mut hosts: BTreeMap<HostId, (Resources, BTreeSet<u16>)> = BTreeMap::new();
        let mut jobs: BTreeMap<JobKey, BTreeMap<HostId, u32>> = BTreeMap::new();
        for (task, (attempt, at, resources)) in &self.given {
            if view.task_of(task).is_some_and(|it| shows(it, *attempt)) {
                continue;
            }
            let (used, ports) = hosts.entry(at.host.clone()).or_default();
            *used = used.plus(*resources);
            ports.extend(at.ports.values());
            *jobs.entry(task.job.clone()).or_default().entry(at.host.clone()).or_default() += 1;
        }
        let offers: Vec<_> = view
            .hosts
            .values()
            .map(|it| {
                let (more, ports) = hosts.get(&it.host.id).cloned().unwrap_or_default();
                Offer {
                    host: &it.host.id,
                    attributes: &it.host.attributes,
                    capacity: it.host.capacity.resources,
                    free: it.host.capacity.resources.saturating_sub(it.used.plus(more)),
                    free_ports: PortPool::new(&it.host.capacity.ports, &(&it.ports_used | &ports)),
                    up: matches!(it.host.contact, Contact::Up { .. }),
                }
            })
            .collect();
        let waiting = self.waiting.clone();
        let known: Vec<_> = waiting
            .iter()
            .filter_map(|((key, config), queue)| {
                let job = view.jobs.get(key)?;
                let instances: Vec<_> = queue.keys().copied().collect();
                let mut placed = Cow::Borrowed(&job.placed);
                for (host, count) in jobs.get(key).into_iter().flatten() {
                    *placed.to_mut().entry(host.clone()).or_default() += count;
                }
                Some((key, *config, job.configs.get(config)?, instances, placed))
            })
            .collect();
        let groups: Vec<_> = known
            .iter()
            .map(|(job, _, config, tasks, placed)| Group {
                job,
                config,
                tasks,
                since: Timestamp::default(),
                placed,
            })
            .collect();
        let plan = matching::place(self.rounds, &groups, &offers);
        for (task, at) in plan.assign {
            let of = |it: &&(&JobKey, ConfigId, _, Vec<u32>, _)| {
                *it.0 == task.job && it.3.contains(&task.instance)
            };
            let Some((_, config, shape, ..)) = known.iter().find(of) else { continue };
            let queue = (task.job.clone(), *config);
            let Some(attempt) =
                self.waiting.get_mut(&queue).and_then(|it| it.remove(&task.instance))
            else {
                continue;
            };
            self.given.insert(task.clone(), (attempt, at.clone(), shape.resources));
            let (event, receipt) =
                (task::Event::Placed { attempt, at }, Receipt::Place(task.clone(), attempt));
            out.send(Mail::Task(task, Word::Happened(event, Some(receipt))));
        }
    }
}

/// Whether the view shows what has become of a placement.
fn shows(task: &Task, given: Attempt) -> bool {
    task.attempt > given
        || task.attempt == given
            && task.run.as_ref().is_none_or(|it| it.state.placement().is_some())
}
