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

use super::*;

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
