//! A cluster that somebody describes, or a copy of one that lives, and what would become of it.

use std::{sync::Arc, time::Duration};

use serde::Deserialize;

use super::{Action, Conduct, Report, Setup, World, recorder::Recorder, snapshot::Snapshot};
use crate::{
    config::TaskConfig,
    host::DrainRequest,
    ids::{HostId, JobKey},
    instances::InstanceSet,
    machine::Timestamp,
    policy::Policy,
    resources::{Attributes, Resources},
    wire::Capacity,
};

mod written;

/// What happens to a cluster, and for how long it is watched. As read from a file:
///
/// ```yaml
/// seed: 7                     # the same seed gives the same history
/// duration_secs: 7200
/// hosts:                      # there from the start
///   - {name: big, count: 20, racks: 4, cpu: 32, ram_mb: 131072, disk_mb: 1000000,
///      attributes: {zone: a}}
/// jobs:                       # created at the start
///   - job: {…}                # as it is submitted
///     lasts_secs: [60, 120]   # services run for ever if nothing is said
///     fails_percent: 5
/// quotas: {www: {cpu: 100, ram_mb: 400000, disk_mb: 400000}}
/// timeline:                   # at each time one of these
///   - {at_secs: 600, lose_hosts: [big-1, "big-2*"]}
///   - {at_secs: 1200, return_hosts: [big-1]}
///   - {at_secs: 1800, add_hosts: [{name: new, count: 2, cpu: 8, ram_mb: 1, disk_mb: 1}]}
///   - {at_secs: 1500, drain: {hosts: ["big-3*"], percentage: 95, duration_secs: 60,
///      timeout_secs: 3600}}   # as when it is asked for; also count; at once by default
///   - {at_secs: 1600, maintain: [big-4]}
///   - {at_secs: 1700, activate: ["big-3*"]}
///   - {at_secs: 1800, create: {job: {…}}}
///   - {at_secs: 1900, add_instances: {job: www/prod/web, count: 10}}
///   - {at_secs: 2000, kill: {job: www/prod/web, instances: 0-4}}
///   - {at_secs: 2000, restart: {job: www/prod/web}}
///   - {at_secs: 2000, set_quota: {role: www, cpu: 4, ram_mb: 1, disk_mb: 1}}
///   - {at_secs: 2500, crash_scheduler: {down_secs: 30}}
/// ```
/// How the scheduler decides is another matter: [`Scenario::deciding_by`].
///
/// What makes no sense is refused with a sentence for each mistake, a line each.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "written::Written")]
pub struct Scenario {
    pub(super) seed: u64,
    pub(super) lasts: Duration,
    pub(super) policy: Policy,
    /// By time.
    happenings: Vec<(Duration, Happening)>,
    before: Option<Snapshot>,
}

/// Something that happens. Hosts are named, or by how their names begin: `web-*`.
#[derive(Clone, Debug)]
enum Happening {
    AddHost(HostId, Attributes, Capacity),
    LoseHosts(String),
    ReturnHosts(String),
    Drain(String, DrainRequest),
    Maintain(String),
    Activate(String),
    Create(JobKey, Arc<TaskConfig>, u32, Conduct),
    AddInstances(JobKey, u32),
    Kill(JobKey, Option<InstanceSet>),
    Restart(JobKey, Option<InstanceSet>),
    SetQuota(String, Resources),
    CrashScheduler(Duration),
}

/// Hosts have so long to connect before anything else happens.
const SETTLING: Duration = Duration::from_secs(2);
const BEGIN: Timestamp = Timestamp(1_000_000_000_000);

impl Scenario {
    /// The same in a cluster that is like this when it begins.
    #[must_use]
    pub fn starting_with(self, before: Snapshot) -> Self {
        Self { before: Some(before), ..self }
    }

    /// The same with a scheduler that decides like this.
    #[must_use]
    pub fn deciding_by(self, policy: Policy) -> Self {
        Self { policy, ..self }
    }

    /// What becomes of it. Takes as long as there is to simulate.
    pub fn run(&self) -> Report {
        let setup = Setup {
            policy: self.policy.clone(),
            instances_max: u32::MAX,
            inventory_every: None,
            begins_at: BEGIN,
            prunes: false,
            ..Setup::default()
        };
        let mut world = World::new(self.seed, setup);
        if let Some(before) = &self.before {
            before.put_into(&mut world);
        }
        let start = BEGIN + SETTLING;
        let mut recorder = Recorder::new(start, self.lasts);
        for (at, happening) in &self.happenings {
            // Hosts that are there from the start are connected by then.
            let is_first = at.is_zero() && matches!(happening, Happening::AddHost(..));
            let at = if is_first { BEGIN } else { start + *at };
            recorder.watch_until(&mut world, at);
            happening.happen(&mut world, &mut recorder);
        }
        recorder.watch_until(&mut world, start + self.lasts);
        world.explain();
        recorder.report(&world, self.seed)
    }
}

impl Happening {
    fn happen(&self, world: &mut World, recorder: &mut Recorder) {
        let actions = match self.clone() {
            Self::AddHost(id, attributes, capacity) => {
                vec![Action::AddHost { id, attributes, capacity }]
            }
            Self::LoseHosts(names) => {
                named(world, &names, recorder, |host| Action::PowerOff { host, down: None })
            }
            Self::ReturnHosts(names) => {
                named(world, &names, recorder, |host| Action::SwitchOn { host })
            }
            Self::Drain(names, request) => named(world, &names, recorder, |host| Action::Drain {
                host,
                request: request.clone(),
            }),
            Self::Maintain(names) => {
                named(world, &names, recorder, |host| Action::Maintain { host })
            }
            Self::Activate(names) => {
                named(world, &names, recorder, |host| Action::Activate { host })
            }
            Self::Create(job, config, instances, conduct) => {
                vec![Action::Create { job, config, instances, conduct }]
            }
            Self::AddInstances(job, count) => vec![Action::AddInstances { job, count }],
            Self::Kill(job, instances) => vec![Action::Kill { job, instances }],
            Self::Restart(job, instances) => vec![Action::Restart { job, instances }],
            Self::SetQuota(role, limit) => vec![Action::SetQuota { role, limit }],
            Self::CrashScheduler(down) => vec![Action::CrashScheduler { down }],
        };
        actions.into_iter().for_each(|it| world.act(it));
    }
}

/// What is done to each host that is meant.
fn named(
    world: &World,
    names: &str,
    recorder: &mut Recorder,
    action: impl Fn(HostId) -> Action,
) -> Vec<Action> {
    let begins = names.strip_suffix('*');
    let is_meant = |it: &&HostId| {
        let name = it.to_string();
        begins.map_or(name == names, |begin| name.starts_with(begin))
    };
    let found: Vec<_> = world.hosts().keys().filter(is_meant).cloned().map(action).collect();
    if found.is_empty() {
        recorder.refused(world.now(), format!("there is no host {names}"));
    }
    found
}
