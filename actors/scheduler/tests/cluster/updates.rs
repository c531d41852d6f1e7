//! Updates over lives of the scheduler, and beside others.

use std::collections::{BTreeMap, BTreeSet};

use airglow_model::{
    admission::Refusal,
    ids::{ConfigId, UpdateKey},
    instances::InstanceSet,
    update::{self, Action, Asked},
    view::UpdateView,
};
use airglow_scheduler::StartUpdate;

use super::{drain::Witness, *};

/// A job that is counted on.
fn promised(cmdline: &str) -> Job {
    let spec: airglow_model::spec::JobSpec = serde_json::from_value(json!({
        "cluster": "test", "role": "www", "environment": "prod", "name": "hello",
        "service": true, "instances": 40, "tier": "preferred",
        "sla_policy": { "percentage": 90.0, "duration_secs": 0 },
        "update_config": { "batch_size": 20, "watch_secs": 0, "sla_aware": true },
        "task": {
            "name": "hello",
            "processes": [{"name": "hello", "cmdline": cmdline}],
            "resources": {"cpu": 0.1, "ram": 16 << 20, "disk": 16 << 20},
        },
    }))
    .unwrap();
    spec.check(&limits()).unwrap()
}

fn version(number: u32, instances: u32) -> Job {
    let mut job = job(instances, &format!("echo {number}"), 0.01);
    job.update_config.batch_size = 7;
    job.update_config.watch_secs = 0;
    job
}

fn start(job: Job) -> StartUpdate {
    let asked = Asked { by: "somebody".into(), message: String::new() };
    StartUpdate { job, only: None, asked, metadata: BTreeMap::new() }
}

impl Cluster {
    fn update<R>(&self, key: &UpdateKey, read: impl FnOnce(&UpdateView) -> R) -> R {
        self.scheduler.view().read(|view| read(&view.updates[key]))
    }

    async fn until_done(&self, key: &UpdateKey, count: u64) {
        let done = || self.update(key, |it| it.update.roll.done.len());
        until(|| count <= done(), || format!("{} are done", done())).await;
    }

    async fn until_over(&self, key: &UpdateKey) -> update::Status {
        let status = || self.update(key, |it| it.update.status);
        until(|| !status().is_active(), || format!("it is {}", status())).await;
        status()
    }

    /// What happened to each instance, in its order.
    fn actions(&self, key: &UpdateKey) -> BTreeMap<u32, Vec<Action>> {
        let mut actions: BTreeMap<u32, Vec<Action>> = BTreeMap::new();
        self.update(key, |it| {
            for event in it.lots.values().flat_map(|it| it.iter()) {
                actions.entry(event.instance).or_default().push(event.action);
            }
        });
        actions
    }

    /// Which configurations instances run with.
    fn configs(&self) -> BTreeSet<ConfigId> {
        let run = |it: &airglow_model::task::Task| it.run.as_ref().map(|it| it.config);
        self.job(|it| it.tasks.values().filter_map(run).collect())
    }
}

#[tokio::test]
async fn an_update_goes_on_over_many_lives_and_does_everything_once() {
    let mut cluster = Cluster::start();
    let hosts: Vec<_> = ["h1", "h2"].iter().map(|name| cluster.host(name, capacity(40))).collect();
    cluster.scheduler.create(version(1, 200), "somebody").await.unwrap();
    cluster.until_all(Status::Running, 200).await;
    let key = cluster.scheduler.start_update(start(version(2, 200))).await.unwrap().unwrap();
    for done in (5..190).step_by(23) {
        cluster.until_done(&key, done).await;
        cluster.restart();
    }
    assert_eq!(cluster.until_over(&key).await, update::Status::RolledForward);
    for (instance, actions) in cluster.actions(&key) {
        assert_eq!(actions, [Action::Updating, Action::Updated], "instance {instance}");
    }
    assert_eq!(cluster.configs(), [ConfigId(2)].into());
    until(|| cluster.job(|it| it.job.updating.is_none()), || "it is released".into()).await;
    let twice = |host: &FakeHost| host.desk.known().launches.values().filter(|it| **it > 1).count();
    assert_eq!(hosts.iter().map(twice).sum::<usize>(), 0);
}

#[tokio::test]
async fn a_rollback_goes_on_too_and_ends_where_it_began() {
    let mut cluster = Cluster::start();
    let _host = cluster.host("h1", capacity(40));
    cluster.scheduler.create(version(1, 60), "somebody").await.unwrap();
    cluster.until_all(Status::Running, 60).await;
    let key = cluster.scheduler.start_update(start(version(2, 50))).await.unwrap().unwrap();
    cluster.until_done(&key, 30).await;
    let back = update::Event::RollbackAsked(Asked::default());
    cluster.scheduler.command_update(&key, back).await.unwrap();
    for done in [10, 30] {
        cluster.until_done(&key, done).await;
        cluster.restart();
    }
    assert_eq!(cluster.until_over(&key).await, update::Status::RolledBack);
    cluster.until_all(Status::Running, 60).await;
    assert_eq!(cluster.configs(), [ConfigId(1)].into());
}

#[tokio::test]
async fn a_job_that_is_updated_is_left_alone_until_that_is_over() {
    let cluster = Cluster::start();
    let _host = cluster.host("h1", capacity(40));
    cluster.scheduler.create(version(1, 20), "somebody").await.unwrap();
    cluster.until_all(Status::Running, 20).await;
    let key = cluster.scheduler.start_update(start(version(2, 20))).await.unwrap().unwrap();
    let paused = update::Event::PauseAsked(Asked::default());
    cluster.scheduler.command_update(&key, paused).await.unwrap();
    let busy = |answer: Result<InstanceSet, Refusal>| {
        assert_eq!(answer, Err(Refusal::Updating(key.clone())));
    };
    busy(cluster.scheduler.kill(&key.job, None, "no").await);
    busy(cluster.scheduler.restart(&key.job, None, "no").await);
    busy(cluster.scheduler.add(&key.job, 1).await);
    let second = cluster.scheduler.start_update(start(version(3, 20))).await;
    assert_eq!(second, Err(Refusal::Updating(key.clone())));
    let abort = update::Event::AbortAsked(Asked::default());
    cluster.scheduler.command_update(&key, abort).await.unwrap();
    until(|| cluster.job(|it| it.job.updating.is_none()), || "it is released".into()).await;
    let answer = cluster.scheduler.add(&key.job, 1).await.unwrap();
    assert_eq!(answer.to_string(), "20");
}

#[tokio::test]
async fn what_is_right_already_makes_no_update_and_what_would_not_fit_is_said_before() {
    let cluster = Cluster::start();
    let _host = cluster.host("h1", capacity(2));
    let each = |cpu| job(2, "echo 1", cpu);
    cluster.scheduler.create(each(0.5), "somebody").await.unwrap();
    cluster.until_all(Status::Running, 2).await;
    assert_eq!(cluster.scheduler.start_update(start(each(0.5))).await, Ok(None));
    assert_eq!(cluster.scheduler.view().read(|view| view.updates.len()), 0);
    // Each after what it replaces has made room.
    let fits = cluster.scheduler.forecast_update(start(each(1.0))).await.unwrap();
    assert!(fits.pending.is_empty() && fits.placements.len() == 1);
    let one = cluster.scheduler.forecast_update(start(each(1.5))).await.unwrap();
    let without: Vec<_> = one.pending.iter().map(|(who, _)| who.len()).collect();
    assert_eq!(without, [1]);
}

#[tokio::test]
async fn an_update_that_keeps_to_its_jobs_policy_takes_no_more_than_that_allows() {
    let mut cluster = Cluster::start();
    let _host = cluster.host("h1", capacity(40));
    cluster.scheduler.create(promised("echo 1"), "somebody").await.unwrap();
    cluster.until_all(Status::Running, 40).await;
    let mut witness = Witness::new(&cluster.scheduler);
    let key = cluster.scheduler.start_update(start(promised("echo 2"))).await.unwrap().unwrap();
    cluster.until_done(&key, 15).await;
    assert!((36..40).contains(&witness.fewest()), "{}", witness.fewest());
    cluster.restart();
    let mut witness = Witness::new(&cluster.scheduler);
    assert_eq!(cluster.until_over(&key).await, update::Status::RolledForward);
    assert!((36..40).contains(&witness.fewest()), "{}", witness.fewest());
    assert_eq!(cluster.configs(), [ConfigId(2)].into());
    let told = cluster.update(&key, |it| {
        let events = it.lots.values().flat_map(|it| it.iter());
        events.map(|it| it.message.clone()).collect::<BTreeSet<_>>()
    });
    assert!(told.contains("SLA check passed, continuing."), "{told:?}");
}

#[tokio::test]
async fn what_needs_pulses_begins_with_the_first_and_waits_when_they_stop() {
    let cluster = Cluster::start();
    let _host = cluster.host("h1", capacity(40));
    cluster.scheduler.create(version(1, 10), "somebody").await.unwrap();
    cluster.until_all(Status::Running, 10).await;
    let mut coordinated = version(2, 10);
    coordinated.update_config.pulse_interval_secs = Some(1);
    coordinated.update_config.batch_size = 1;
    coordinated.update_config.watch_secs = 1;
    let key = cluster.scheduler.start_update(start(coordinated)).await.unwrap().unwrap();
    let status = || cluster.update(&key, |it| it.update.status);
    assert_eq!(status(), update::Status::RollForwardAwaitingPulse);
    let pulse = || cluster.scheduler.command_update(&key, update::Event::Pulsed);
    pulse().await.unwrap();
    until(|| status().is_rolling(), || "it begins".into()).await;
    // Nobody says anything any more, and nothing else happens that it could notice that by.
    let waits = || status() == update::Status::RollForwardAwaitingPulse;
    until(waits, || format!("it is {}", status())).await;
    pulse().await.unwrap();
    until(|| status().is_rolling(), || "it goes on".into()).await;
}
