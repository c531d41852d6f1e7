//! From the view, which is shared and locked, to values that can be sent. Pure, and quick: nothing
//! here waits while the view is held.

use std::collections::BTreeMap;

use airglow_model::{
    config::TaskConfig,
    drain::Wait,
    host::{Contact, DrainRequest, Mode},
    ids::{ConfigId, HostId, JobKey, TaskKey},
    instances::InstanceSet,
    machine::Timestamp,
    matching,
    resources::Attributes,
    spec::SlaPolicy,
    task::Run,
    view::{HostView, JobView, Pending, View},
};

mod cron;

pub(crate) use cron::{cron_detail, cron_summary};

use crate::api::{
    Config, Drain, DrainProgress, DrainWait, HostDetail, HostSummary, JobDetail, JobSummary,
    NearestHost, Offer, PendingTask, PlaceMade, Quarantined, TaskSummary, VetoCount,
};

pub(crate) fn job_summary(it: &JobView) -> JobSummary {
    let JobView { job, configs, counts, history, cron, template, .. } = it;
    // Of a job that runs by the clock it matters what will run, before anything has and after.
    let config = template.as_ref().or_else(|| configs.get(&job.config));
    let instances = cron.as_ref().map_or(job.all_wanted().len(), |it| it.instances.into());
    let (created_at, created_by) =
        cron.as_ref().map_or((job.created_at, &job.by), |it| (it.born_at, &it.by));
    JobSummary {
        role: job.key.role.clone(),
        environment: job.key.environment.clone(),
        name: job.key.name.clone(),
        kind: config.map_or(airglow_model::config::Kind::Adhoc, |it| it.kind),
        tier: config.map(|it| it.tier.clone()).unwrap_or_default(),
        production: config.is_some_and(|it| it.class.is_production()),
        instances,
        counts: counts.clone(),
        history: *history,
        created_at,
        created_by: created_by.clone(),
        next_run: cron.as_ref().and_then(|it| it.next()),
    }
}

pub(crate) fn job_detail(view: &View, it: &JobView) -> JobDetail {
    let key = &it.job.key;
    JobDetail {
        summary: job_summary(it),
        configs: configs(it),
        instances: it
            .tasks
            .values()
            .filter_map(|task| task_of(&task.key, task.run.as_ref()?))
            .collect(),
        pending: it.pending.keys().filter_map(|&instance| pending_task(it, instance)).collect(),
        quarantined: quarantined(view, |what| mentions(what, key)),
    }
}

/// Newest first, each with the instances that should have it or whose newest run does.
pub(crate) fn configs(it: &JobView) -> Vec<Config> {
    let mut instances: BTreeMap<ConfigId, InstanceSet> = BTreeMap::new();
    for wanted in &it.job.wanted {
        let entry = instances.entry(wanted.config).or_default();
        *entry = entry.union(&wanted.instances);
    }
    let mut running: BTreeMap<ConfigId, Vec<u32>> = BTreeMap::new();
    for task in it.tasks.values() {
        if let Some(run) = &task.run {
            running.entry(run.config).or_default().push(task.key.instance);
        }
    }
    for (config, numbers) in running {
        let entry = instances.entry(config).or_default();
        *entry = entry.union(&numbers.into_iter().collect());
    }
    let config = |(id, config): (&ConfigId, &std::sync::Arc<TaskConfig>)| {
        Config::new(*id, instances.get(id).cloned().unwrap_or_default(), config)
    };
    let all: Vec<_> = it.configs.iter().rev().map(config).collect();
    // Before the first run of a job that runs by the clock, it is what that will have.
    let template = it.template.as_ref().filter(|_| all.is_empty());
    let next = template
        .map(|template| Config::new(it.job.next_config(), InstanceSet::default(), template));
    all.into_iter().chain(next).collect()
}

/// A run as its slot, or the history, has it. `None`: it has no event yet, so it was never real.
pub(crate) fn task_of(key: &TaskKey, run: &Run) -> Option<TaskSummary> {
    let newest = run.events.last()?;
    let placement = run.state.placement();
    Some(TaskSummary {
        role: key.job.role.clone(),
        environment: key.job.environment.clone(),
        name: key.job.name.clone(),
        instance: key.instance,
        task_id: run.id.to_string(),
        status: run.state.status(),
        active: run.state.status().is_active(),
        since: newest.at,
        created_at: run.events.first()?.at,
        message: newest.message.clone(),
        host: placement.map(|it| it.host.to_string()),
        ports: placement.map(|it| it.ports.clone()).unwrap_or_default(),
        failures: run.failures,
        attempt: run.attempt.0,
        config: run.config.0,
    })
}

/// The tasks of the view that come after `after`, in the order of their keys.
pub(crate) fn tasks<'a>(
    view: &'a View,
    after: Option<&'a TaskKey>,
) -> impl Iterator<Item = TaskSummary> + 'a {
    let jobs = match after {
        Some(after) => view.jobs.range(&after.job..),
        None => view.jobs.range::<JobKey, _>(..),
    };
    jobs.flat_map(move |(key, job)| {
        let from = after.filter(|it| it.job == *key).map_or(0, |it| it.instance.saturating_add(1));
        job.tasks.range(from..).filter_map(|(_, it)| task_of(&it.key, it.run.as_ref()?))
    })
}

impl From<&matching::VetoCount> for VetoCount {
    fn from(it: &matching::VetoCount) -> Self {
        let (kind, reason, help) = (it.kind.name().into(), it.reason.clone(), it.help.clone());
        Self { kind, reason, hosts: it.hosts, help }
    }
}

pub(crate) fn pending_task(it: &JobView, instance: u32) -> Option<PendingTask> {
    let Pending { since, hosts, vetoes, nearest, making } = it.pending.get(&instance)?.as_ref();
    let key = &it.job.key;
    Some(PendingTask {
        role: key.role.clone(),
        environment: key.environment.clone(),
        name: key.name.clone(),
        instance,
        task_id: it.tasks.get(&instance)?.run.as_ref()?.id.to_string(),
        since: *since,
        hosts: *hosts,
        vetoes: vetoes.iter().map(VetoCount::from).collect(),
        nearest: nearest.as_ref().map(|(HostId(host), misses)| NearestHost {
            host: host.to_string(),
            misses: misses.clone(),
        }),
        making: making.iter().map(PlaceMade::from).collect(),
    })
}

impl From<&matching::Making> for PlaceMade {
    fn from(matching::Making { host, ending }: &matching::Making) -> Self {
        Self { host: host.to_string(), ending: ending.iter().map(TaskKey::to_string).collect() }
    }
}

/// Those that are part of the cluster.
pub(crate) fn hosts(view: &View) -> Vec<HostSummary> {
    let known = view.hosts.values().filter(|it| it.has_record());
    known.map(host_summary).collect()
}

pub(crate) fn host_summary(it: &HostView) -> HostSummary {
    let HostView { host, used, tasks, heard_at, skew_ms, .. } = it;
    HostSummary {
        host: host.id.to_string(),
        state: host.contact.name().to_owned(),
        since: since(host.contact),
        joined_at: host.joined_at,
        // Whoever came was heard doing so.
        heard_at: match host.contact {
            Contact::Up { since } => since.max(*heard_at),
            Contact::Unknown
            | Contact::Away { .. }
            | Contact::Unreachable { .. }
            | Contact::Removed { .. } => *heard_at,
        },
        clock_skew_ms: *skew_ms,
        version: host.version.clone(),
        protocol: host.protocol,
        isolated_max_secs: host.isolated_max_secs,
        attributes: attributes(&host.attributes),
        capacity: host.capacity.resources.into(),
        used: (*used).into(),
        tasks: tasks.len(),
        mode: host.mode.name().to_owned(),
        mode_since: host.mode.since(),
        drain: drain_progress(it),
    }
}

fn drain_progress(HostView { host, tasks, waits, .. }: &HostView) -> Option<DrainProgress> {
    let (deadline, Mode::Draining { since, request }) = (host.mode.deadline()?, &host.mode) else {
        return None;
    };
    let wait = |it: &Wait| DrainWait {
        task: it.task.to_string(),
        reason: it.reason.clone(),
        until: it.until,
    };
    Some(DrainProgress {
        since: *since,
        deadline,
        by: request.by.clone(),
        request: asked(request),
        left: tasks.len(),
        waits: waits.iter().map(wait).collect(),
    })
}

/// A request in the words in which it can be made.
fn asked(DrainRequest { policy, timeout_secs, .. }: &DrainRequest) -> Drain {
    let secs = |it: i64| u64::try_from(it).ok();
    let drain = Drain { timeout_secs: Some(*timeout_secs), ..Drain::default() };
    match *policy {
        SlaPolicy::Percentage { percentage, duration_secs } => {
            Drain { percentage: Some(percentage), duration_secs: secs(duration_secs), ..drain }
        }
        SlaPolicy::Count { count, duration_secs } => {
            let count = u64::try_from(count).ok();
            Drain { count, duration_secs: secs(duration_secs), ..drain }
        }
        // Only jobs have one.
        SlaPolicy::Coordinator { .. } => drain,
    }
}

pub(crate) fn host_detail(view: &View, it: &HostView) -> HostDetail {
    let task = |key: &TaskKey| {
        let task = view.jobs.get(&key.job)?.tasks.get(&key.instance)?;
        task_of(key, task.run.as_ref()?)
    };
    HostDetail {
        host: host_summary(it),
        port_ranges: it.host.capacity.ports.clone(),
        ports_used: it.ports_used.iter().copied().collect(),
        tasks: it.tasks.iter().filter_map(task).collect(),
    }
}

/// What is to be had; nothing of a host that is not there.
pub(crate) fn offer(it: &HostView) -> Option<Offer> {
    let Contact::Up { .. } = it.host.contact else { return None };
    let capacity = &it.host.capacity;
    let ports: usize = capacity.ports.iter().map(|&(first, last)| (first..=last).count()).sum();
    Some(Offer {
        host: it.host.id.to_string(),
        free: capacity.resources.saturating_sub(it.used).into(),
        ports_free: ports.saturating_sub(it.ports_used.len()),
        attributes: attributes(&it.host.attributes),
    })
}

pub(crate) fn quarantined(view: &View, about: impl Fn(&str) -> bool) -> Vec<Quarantined> {
    let quarantined = view.quarantined.iter().filter(|(key, _)| about(key));
    quarantined
        .map(|(key, why)| Quarantined {
            key: key.clone(),
            since: why.since,
            reason: why.reason.clone(),
        })
        .collect()
}

/// Whether an entity's name is the job's or one of its instances': `job/r/e/n`, `task/r/e/n/3`.
fn mentions(entity: &str, job: &JobKey) -> bool {
    let job = job.to_string();
    entity.match_indices(&job).any(|(at, _)| {
        let before = entity[..at].chars().next_back();
        let after = entity[at + job.len()..].chars().next();
        before.is_none_or(|it| it == '/' || it == ' ') && after.is_none_or(|it| it == '/')
    })
}

fn since(contact: Contact) -> Option<Timestamp> {
    match contact {
        Contact::Unknown => None,
        Contact::Up { since }
        | Contact::Away { since, .. }
        | Contact::Unreachable { since }
        | Contact::Removed { since } => Some(since),
    }
}

fn attributes(attributes: &Attributes) -> BTreeMap<String, Vec<String>> {
    attributes.iter().map(|(name, all)| (name.clone(), all.iter().cloned().collect())).collect()
}

#[cfg(test)]
mod tests {
    use airglow_model::{
        ids::Attempt,
        machine::Machine,
        record::{Committed, Record},
        task::{Event, Placement, Policy, Task},
        view::Quarantine,
        webhook::{Announcer, Hook, News, Notice},
        wire::RunState,
    };

    use super::*;

    #[test]
    fn an_entity_belongs_to_the_job_whose_key_it_has_and_to_no_other() {
        let job = JobKey::new("www", "prod", "web");
        for mine in ["www/prod/web", "www/prod/web/3", "task/www/prod/web/3", "job/www/prod/web"] {
            assert!(mentions(mine, &job), "{mine}");
        }
        for other in ["www/prod/web2", "xwww/prod/web", "www/prod/we", "www/prod/web-a/1"] {
            assert!(!mentions(other, &job), "{other}");
        }
    }

    #[test]
    fn a_webhook_is_told_of_a_task_what_the_api_shows() {
        let (job, mut view) = (JobKey::new("www", "prod", "web"), View::default());
        let (attempt, at) = (
            Attempt(1),
            Placement { host: "a1".into(), ports: [("http".to_owned(), 31_000)].into() },
        );
        let policy = Policy { service: true, ..Policy::default() };
        let (mut task, mut told) = (Task::unborn(job.task(3)), vec![]);
        for (seq, event) in (1..).zip([
            Event::Wanted { config: ConfigId(1), generation: 1, policy, message: String::new() },
            Event::Placed { attempt, at },
            Event::Reported { attempt, state: RunState::Running, message: "healthy".into() },
        ]) {
            let next = task.step(Timestamp(seq), &event).unwrap();
            let changes = next.changes(Some(&task));
            let hook = Hook {
                name: "a".into(),
                url: String::new(),
                headers: vec![],
                filter: Default::default(),
                pace: Default::default(),
            };
            told.extend(Announcer::new(&[hook], &view).announce(seq, &changes));
            view.apply(&Committed { seq, changes });
            task = next;
        }
        let Some(Record::Notice(Notice { news: News::Task(news), .. })) = &told[2].record else {
            panic!("{told:?}")
        };
        let shown = task_of(&task.key, task.run.as_ref().unwrap()).unwrap();
        assert_eq!(
            serde_json::to_string(&news.task).unwrap(),
            serde_json::to_string(&shown).unwrap()
        );
    }

    #[test]
    fn what_was_left_alone_is_shown_with_its_job_and_with_no_other() {
        let mut view = View::default();
        let why = Quarantine { since: Timestamp(5), reason: "index out of bounds".into() };
        view.quarantined.insert("www/prod/web/3".into(), why);
        let about = |name| {
            let job = JobKey::new("www", "prod", name);
            quarantined(&view, |it| mentions(it, &job)).len()
        };
        assert_eq!((about("web"), about("api")), (1, 0));
    }
}
