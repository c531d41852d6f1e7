//! One round: what hosts have left, by the view and by what is on its way there.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
};

use airglow_model::{
    config::TaskConfig,
    host::Contact,
    ids::{Attempt, ConfigId, HostId, JobKey, TaskKey},
    machine::Timestamp,
    matching::{self, Group, Offer, PortPool},
    resources::Resources,
    task::{Placement, Task},
    view::{HostView, Pending, View},
};

/// Instances of one queue that take part.
pub(super) struct Candidates {
    pub(super) job: JobKey,
    pub(super) config: ConfigId,
    pub(super) instances: Vec<u32>,
    pub(super) since: Timestamp,
}

/// A place that was given out and that the instance has not answered for.
pub(super) struct Given {
    pub(super) attempt: Attempt,
    pub(super) booking: Booking,
}

pub(super) struct Booking {
    pub(super) at: Placement,
    pub(super) resources: Resources,
}

pub(super) struct Outcome {
    /// With the index of the candidates that each was among.
    pub(super) placed: Vec<(TaskKey, usize, Booking)>,
    pub(super) waiting: Vec<(usize, Pending)>,
}

/// Candidates whose job and configuration are known.
struct Known<'a> {
    index: usize,
    it: &'a Candidates,
    config: &'a TaskConfig,
    placed: Cow<'a, BTreeMap<HostId, u32>>,
}

/// What was given out and the view does not show yet.
#[derive(Default)]
struct Underway<'a> {
    hosts: BTreeMap<&'a HostId, (Resources, BTreeSet<u16>)>,
    jobs: BTreeMap<&'a JobKey, BTreeMap<HostId, u32>>,
}

impl Candidates {
    pub(super) fn queue(&self) -> (JobKey, ConfigId) {
        (self.job.clone(), self.config)
    }
}

pub(super) fn hold(
    seed: u64,
    view: &View,
    candidates: &[Candidates],
    given: &BTreeMap<TaskKey, Given>,
) -> Outcome {
    let underway = Underway::of(view, given);
    let offers: Vec<_> = view.hosts.values().map(|it| underway.offer(it)).collect();
    let known: Vec<_> = candidates
        .iter()
        .enumerate()
        .filter_map(|(index, it)| {
            let job = view.jobs.get(&it.job)?;
            let config = job.configs.get(&it.config)?;
            Some(Known { index, it, config, placed: underway.placed(&it.job, &job.placed) })
        })
        .collect();
    let groups: Vec<_> = known.iter().map(Known::group).collect();
    let plan = matching::place(seed, &groups, &offers);

    let seats = |of: &'_ Known<'_>| {
        let (job, seat) = (of.it.job.clone(), (of.index, of.config.resources));
        of.it.instances.clone().into_iter().map(move |instance| (job.task(instance), seat))
    };
    let origin: BTreeMap<TaskKey, (usize, Resources)> = known.iter().flat_map(seats).collect();
    let placed = plan.assign.into_iter().map(|(task, at)| {
        let (index, resources) = origin[&task];
        (task, index, Booking { at, resources })
    });
    Outcome {
        placed: placed.collect(),
        waiting: plan.waiting.into_iter().map(|(group, why)| (known[group].index, why)).collect(),
    }
}

impl Known<'_> {
    fn group(&self) -> Group<'_> {
        Group {
            job: &self.it.job,
            config: self.config,
            tasks: &self.it.instances,
            since: self.it.since,
            placed: &self.placed,
        }
    }
}

impl<'a> Underway<'a> {
    fn of(view: &View, given: &'a BTreeMap<TaskKey, Given>) -> Self {
        let mut underway = Self::default();
        for (task, given) in given {
            if view.task_of(task).is_some_and(|it| shows(it, given)) {
                continue;
            }
            let Booking { at, resources } = &given.booking;
            let (used, ports) = underway.hosts.entry(&at.host).or_default();
            *used = used.plus(*resources);
            ports.extend(at.ports.values());
            let there = underway.jobs.entry(&task.job).or_default();
            *there.entry(at.host.clone()).or_default() += 1;
        }
        underway
    }

    fn offer<'b>(&self, host: &'b HostView) -> Offer<'b> {
        let HostView { host: it, used, ports_used, .. } = host;
        let (used, ports_used) = match self.hosts.get(&it.id) {
            None => (*used, Cow::Borrowed(ports_used)),
            Some((more, ports)) => (used.plus(*more), Cow::Owned(ports_used | ports)),
        };
        Offer {
            host: &it.id,
            attributes: &it.attributes,
            capacity: it.capacity.resources,
            free: it.capacity.resources.saturating_sub(used),
            free_ports: PortPool::new(&it.capacity.ports, &ports_used),
            up: matches!(it.contact, Contact::Up { .. }),
        }
    }

    fn placed<'b>(
        &self,
        job: &JobKey,
        shown: &'b BTreeMap<HostId, u32>,
    ) -> Cow<'b, BTreeMap<HostId, u32>> {
        let Some(more) = self.jobs.get(job) else { return Cow::Borrowed(shown) };
        let mut all = shown.clone();
        for (host, count) in more {
            *all.entry(host.clone()).or_default() += count;
        }
        Cow::Owned(all)
    }
}

/// Whether the instance has taken this place, as far as the view knows. Whatever has become of it
/// since is in the view's books.
fn shows(task: &Task, given: &Given) -> bool {
    task.attempt > given.attempt
        || task.attempt == given.attempt
            && task.run.as_ref().is_none_or(|it| it.state.placement().is_some())
}

#[cfg(test)]
mod tests {
    use airglow_model::{
        host::{Event, Host},
        machine::Machine,
        record::{Change, Committed, Record, RecordKey},
        spec::{JobSpec, Limits},
        task,
        wire::{Capacity, Hello},
    };
    use serde_json::json;

    use super::*;

    fn key() -> JobKey {
        JobKey::new("www", "prod", "hello")
    }

    fn config() -> TaskConfig {
        let spec: JobSpec = serde_json::from_value(json!({
            "cluster": "test", "role": "www", "environment": "prod", "name": "hello",
            "task": {
                "name": "hello",
                "processes": [{"name": "hello", "cmdline": "{{thermos.ports[http]}}"}],
                "resources": {"cpu": 1.0, "ram": 1 << 20, "disk": 1 << 20},
            },
        }))
        .unwrap();
        let limits = Limits { tasks_per_job_max: 100, ..Limits::usual("test") };
        spec.check(&limits).unwrap().config
    }

    /// A host with room for two, a configuration, and instances that wait.
    fn view(instances: u32) -> View {
        let resources = Resources { cpu_milli: 2000, ram_mb: 1000, disk_mb: 1000, gpus: 0 };
        let hello = Hello {
            host: "h1".into(),
            version: "1".into(),
            protocol: 1,
            attributes: BTreeMap::new(),
            capacity: Capacity { resources, ports: vec![(31_000, 31_009)] },
        };
        let host = Host::unknown("h1".into()).step(Timestamp(1), &Event::Connected(hello)).unwrap();
        let config = Change {
            key: RecordKey::Config(key(), ConfigId(1)),
            record: Some(Record::Config(config().into())),
        };
        let changes = host.changes(None).into_iter().chain([config]);
        let tasks = (0..instances).flat_map(|it| pending(it).changes(None));
        let mut view = View::default();
        view.apply(&Committed { seq: 1, changes: changes.chain(tasks).collect() });
        view
    }

    fn pending(instance: u32) -> Task {
        let (config, generation) = (ConfigId(1), 1);
        let wanted = task::Event::Wanted { config, generation, policy: task::Policy::default() };
        Task::unborn(key().task(instance)).step(Timestamp(1), &wanted).unwrap()
    }

    fn candidates(instances: Vec<u32>) -> [Candidates; 1] {
        [Candidates { job: key(), config: ConfigId(1), instances, since: Timestamp(1) }]
    }

    #[test]
    fn what_is_on_its_way_is_taken_and_what_has_arrived_is_not_taken_twice() {
        let mut view = view(3);
        let first = hold(1, &view, &candidates(vec![0]), &BTreeMap::new());
        let [(task, 0, booking)] = <[_; 1]>::try_from(first.placed).ok().unwrap() else {
            panic!("it fits")
        };
        let (at, port) = (booking.at.clone(), booking.at.ports["http"]);
        let given = BTreeMap::from([(task, Given { attempt: Attempt(1), booking })]);

        // On its way: there is room for one more, elsewhere than on its port.
        let second = hold(1, &view, &candidates(vec![1, 2]), &given);
        assert_eq!((second.placed.len(), second.waiting.len()), (1, 1));
        assert_ne!(second.placed[0].2.at.ports["http"], port);

        // Arrived, and the answer is still on its way: the same.
        let placed = task::Event::Placed { attempt: Attempt(1), at };
        let changes = pending(0).step(Timestamp(2), &placed).unwrap().changes(None);
        view.apply(&Committed { seq: 2, changes });
        let third = hold(1, &view, &candidates(vec![1, 2]), &given);
        assert_eq!((third.placed.len(), third.waiting.len()), (1, 1));
        assert_ne!(third.placed[0].2.at.ports["http"], port);
    }
}
