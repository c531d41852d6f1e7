//! A cluster as it is at one moment: what a simulation of it begins with.

use std::{collections::BTreeMap, sync::Arc};

use super::{Conduct, World};
use crate::{
    config::TaskConfig,
    host::{self, Host, Mode},
    ids::{HostId, JobKey, TaskKey},
    instances::InstanceSet,
    job::{self, Job},
    machine::{Machine, Timestamp},
    quota::Quota,
    record::{Change, Record, RecordKey},
    resources::Attributes,
    task::{self, Placement, Task},
    wire::{Capacity, Hello, Launch, RunState},
};

/// What is there. Instances without a place wait for one when the simulation begins.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// When it was like this; what was asked of hosts before is as long ago when it begins.
    pub taken_at: Timestamp,
    pub hosts: Vec<SnapshotHost>,
    pub jobs: Vec<SnapshotJob>,
    pub quotas: Vec<(String, Quota)>,
}

#[derive(Clone, Debug)]
pub struct SnapshotHost {
    pub id: HostId,
    pub attributes: Attributes,
    pub capacity: Capacity,
    pub mode: Mode,
}

#[derive(Clone, Debug)]
pub struct SnapshotJob {
    pub config: Arc<TaskConfig>,
    pub instances: InstanceSet,
    /// Where its instances are that run.
    pub placed: BTreeMap<u32, Placement>,
}

impl Snapshot {
    pub(super) fn put_into(&self, world: &mut World) {
        let now = world.now();
        for it in &self.hosts {
            let mode = self.moved(&it.mode, now);
            world.install(&Host { mode, ..it.host(now) }.changes(None));
            world.have_host(it.id.clone(), it.attributes.clone(), it.capacity.clone());
        }
        for (role, quota) in &self.quotas {
            let key = RecordKey::Quota(role.clone());
            world.install(&[Change { key, record: Some(Record::Quota(quota.clone())) }]);
        }
        for it in &self.jobs {
            it.put_into(world);
        }
    }

    /// As long before `now` as it was before the snapshot.
    fn moved(&self, mode: &Mode, now: Timestamp) -> Mode {
        let moved = |since: Timestamp| {
            let age = self.taken_at.0.saturating_sub(since.0);
            Timestamp(now.0.saturating_sub(age))
        };
        match mode.clone() {
            Mode::None => Mode::None,
            Mode::Scheduled { since } => Mode::Scheduled { since: moved(since) },
            Mode::Draining { since, request } => Mode::Draining { since: moved(since), request },
            Mode::Drained { since } => Mode::Drained { since: moved(since) },
        }
    }
}

impl SnapshotHost {
    fn host(&self, now: Timestamp) -> Host {
        let hello = Hello {
            attributes: self.attributes.clone(),
            capacity: self.capacity.clone(),
            ..Hello::of(self.id.clone(), "1")
        };
        let host = Host::unknown(self.id.clone()).step(now, &host::Event::Connected(hello));
        host.expect("who is new connects")
    }
}

impl SnapshotJob {
    fn put_into(&self, world: &mut World) {
        let (now, key) = (world.now(), self.config.job.clone());
        let created = job::Event::Created {
            config: self.config.clone(),
            instances: self.instances.clone(),
            by: "snapshot".into(),
        };
        let Ok(job) = Job::unborn(key.clone()).step(now, &created) else { return };
        world.conduct(key.clone(), Conduct::default());
        world.install(&job.changes(None));
        let Some(demand) = job.wanted.first() else { return };
        for (&instance, at) in &self.placed {
            if !self.instances.contains(instance) {
                continue;
            }
            let task = self.running(&key.task(instance), &demand.event(&self.config), at, now);
            world.install(&task.changes(None));
            world.have_run(&at.host, self.launch(&key, &task, at));
        }
    }

    fn running(&self, key: &TaskKey, wanted: &task::Event, at: &Placement, now: Timestamp) -> Task {
        let attempt = crate::ids::Attempt(1);
        let (state, message) = (RunState::Running, String::new());
        let events = [
            wanted.clone(),
            task::Event::Placed { attempt, at: at.clone() },
            task::Event::Reported { attempt, state, message },
        ];
        let step = |task: Task, event| task.step(now, event).expect("it was unborn");
        events.iter().fold(Task::unborn(key.clone()), step)
    }

    fn launch(&self, job: &JobKey, task: &Task, at: &Placement) -> Launch {
        let instance = task.key.instance;
        Launch {
            task: job.task(instance),
            attempt: task.attempt,
            task_id: job.task(instance).task_id(task.born_at, task.attempt),
            config: self.config.clone(),
            ports: at.ports.clone(),
        }
    }
}
