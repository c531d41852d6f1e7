//! What the creation of jobs would come to, before anything changes.
//!
//! Nothing is estimated: the same admission, the same machines and the same matchmaker decide as
//! will in earnest, and nobody is told. So a forecast is wrong only about what changes meanwhile.
//!
//! First all that depends on the view is [drafted](draft), so that nobody has to wait for it while
//! places are sought.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

mod diff;
#[cfg(test)]
mod tests;
mod updates;

pub use diff::{ConfigDiff, Diff, Difference, differences_between};
pub use updates::{
    UpdateDraft, UpdateForecast, differences as update_differences, draft as draft_update,
};

use crate::{
    admission::{Admitted, Refusal, Rules, Wish, admit, admit_balance},
    config::{self, TaskConfig},
    ids::{Attempt, ConfigId, HostId, JobKey, TaskKey},
    instances::InstanceSet,
    job::{self, Job},
    machine::{Machine, Timestamp},
    matching::{Matchmaker, Placed},
    preemption::Preemption,
    quota::{Balance, Claim, Part},
    task::{Effect, Task},
    view::{JobView, Pending, View},
};

/// What the creation of one job would come to.
#[derive(Clone, Debug, PartialEq)]
pub struct Forecast {
    pub key: JobKey,
    /// There is such a job, and it has not ended.
    pub is_active: bool,
    /// Why it would not be created. Nothing of it would be placed then, or wait.
    pub refusal: Option<Refusal>,
    pub diff: Diff,
    pub placements: BTreeMap<HostId, Share>,
    /// Who would find no place, and why.
    pub pending: Vec<(InstanceSet, Arc<Pending>)>,
    pub preempted: Preempted,
    /// Its role's.
    pub quota: Balance,
}

/// Who would have to give way to those who find no place.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Preempted {
    /// When those have waited for so long.
    pub after: Duration,
    pub tasks: Vec<(TaskKey, HostId)>,
}

/// What a host would get of a job.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Share {
    pub instances: InstanceSet,
    /// By instance, if it needs any.
    pub ports: BTreeMap<u32, config::Ports>,
}

/// All of a forecast but who would be where.
#[derive(Clone, Debug)]
pub struct Draft {
    /// Nobody has a place in it.
    forecast: Forecast,
    config: Arc<TaskConfig>,
    /// Who would ask for one.
    seekers: Vec<(TaskKey, Attempt, ConfigId)>,
}

/// What the creation of these jobs would come to, of each after those before it.
pub fn draft(view: &View, rules: Rules, now: Timestamp, jobs: &[config::Job]) -> Vec<Draft> {
    let mut balances = BTreeMap::new();
    let mut drafts = Vec::new();
    for job in jobs {
        let role = job.key.role.as_str();
        let before = balances.get(role).copied();
        let before = before.unwrap_or_else(|| Balance::of(view, role, rules.quota));
        let draft = Draft::of(view, rules, now, job, before);
        if draft.forecast.refusal.is_none() {
            balances.insert(role, draft.forecast.quota.settled());
        }
        drafts.push(draft);
    }
    drafts
}

/// Who would be where, by a matchmaker that has caught up with the view of the drafts, and that is
/// not used for anything but forecasts after this.
pub fn forecast(drafts: Vec<Draft>, matchmaker: &mut Matchmaker, now: Timestamp) -> Vec<Forecast> {
    drafts.into_iter().map(|it| it.play_out(matchmaker, now)).collect()
}

/// Who would have to give way then, by the same matchmaker.
pub fn preempt(
    forecasts: &mut [Forecast],
    matchmaker: &mut Matchmaker,
    now: Timestamp,
    view: &View,
    rules: &Preemption,
) {
    for it in forecasts.iter_mut().filter(|it| !it.pending.is_empty()) {
        let host_of = |task: &TaskKey| Some(view.task_of(task)?.placement()?.host.clone());
        let victims = matchmaker.would_preempt(&it.key, now, view, rules).into_iter();
        let tasks = victims.filter_map(|it| host_of(&it.task).map(|host| (it.task, host)));
        it.preempted = Preempted { after: rules.delay, tasks: tasks.collect() };
    }
}

impl Draft {
    fn of(view: &View, rules: Rules, now: Timestamp, job: &config::Job, before: Balance) -> Self {
        let key = &job.key;
        let there = view.jobs.get(key);
        let is_active = there.is_some_and(JobView::is_active);
        let config = Arc::new(job.config.clone());
        let claim =
            Claim::Instances(vec![Part { config: &config, count: u64::from(job.instances) }]);
        let quota = if is_active { before } else { before.with(&claim) };
        let admitted = created(view, rules, job, &config)
            .and_then(|event| admit_balance(&key.role, &quota).map(|()| event));
        let (refusal, seekers) = match admitted {
            Ok(event) => (None, seekers(view, now, key, &event, &config)),
            Err(refusal) => (Some(refusal), Vec::new()),
        };
        let forecast = Forecast {
            key: key.clone(),
            is_active,
            refusal,
            diff: Diff::of(there, job),
            placements: BTreeMap::new(),
            pending: Vec::new(),
            preempted: Preempted::default(),
            quota,
        };
        Self { forecast, config, seekers }
    }

    fn play_out(self, matchmaker: &mut Matchmaker, now: Timestamp) -> Forecast {
        let Self { mut forecast, config, seekers } = self;
        for (task, attempt, id) in seekers {
            matchmaker.want(now, task, attempt, (id, &config));
        }
        let mut placed = matchmaker.play_out(now);
        placed.retain(|it| it.task.job == forecast.key);
        let reasons = matchmaker.reasons(now).into_iter().filter(|it| it.0 == forecast.key);
        forecast.pending = reasons.map(|(_, who, why)| (who, why)).collect();
        forecast.placements = shares(placed);
        forecast
    }
}

/// What its creation is to the job, or why there would be none.
fn created(
    view: &View,
    rules: Rules,
    job: &config::Job,
    config: &Arc<TaskConfig>,
) -> Result<job::Event, Refusal> {
    let (config, instances, by) = (config.clone(), job.instances, String::new());
    match admit(view, &job.key, Wish::Create { config, instances, by }, rules)? {
        Admitted::Job(event, _) => Ok(event),
        Admitted::Tasks(..) | Admitted::Nothing | Admitted::Cron(_) => {
            unreachable!("a creation is the job's own business")
        }
    }
}

/// The instances that come into being, as they ask for places.
fn seekers(
    view: &View,
    now: Timestamp,
    key: &JobKey,
    event: &job::Event,
    config: &TaskConfig,
) -> Vec<(TaskKey, Attempt, ConfigId)> {
    let job = view.jobs.get(key).map_or_else(|| Job::unborn(key.clone()), |it| it.job.clone());
    let job = job.step(now, event).expect("it was admitted");
    let slot = |task: TaskKey| view.task_of(&task).cloned().unwrap_or_else(|| Task::unborn(task));
    let born = job.wanted.iter().flat_map(|wanted| {
        let event = wanted.event(config);
        let step = move |it| slot(key.task(it)).step(now, &event).ok();
        wanted.instances.iter().filter_map(step)
    });
    let seeks = |task: Task| {
        task.effects().into_iter().find_map(|effect| match effect {
            Effect::Seek { attempt, config } => Some((task.key.clone(), attempt, config)),
            Effect::Launch { .. } | Effect::Kill { .. } => None,
        })
    };
    born.filter_map(seeks).collect()
}

fn shares(placed: Vec<Placed>) -> BTreeMap<HostId, Share> {
    let mut by_host: BTreeMap<HostId, BTreeMap<u32, config::Ports>> = BTreeMap::new();
    for Placed { task, at, .. } in placed {
        by_host.entry(at.host).or_default().insert(task.instance, at.ports);
    }
    let share = |mut ports: BTreeMap<u32, config::Ports>| {
        let instances = ports.keys().copied().collect();
        ports.retain(|_, it| !it.is_empty());
        Share { instances, ports }
    };
    by_host.into_iter().map(|(host, ports)| (host, share(ports))).collect()
}
