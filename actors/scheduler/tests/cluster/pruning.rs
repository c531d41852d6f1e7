//! What ended long ago is forgotten, and nothing else is.

use std::{sync::Arc, time::Duration};

use airglow_model::{
    config::{Job, Kind},
    ids::{Attempt, TaskId},
    policy::Policy,
    pruning::{Keep, Selection},
    task::Status,
    wire::{Launch, RunState},
};

use crate::{
    Cluster,
    fake::{FakeHost, capacity},
    job, key, until,
};

/// Nothing that has ended is kept.
fn forgetful() -> Policy {
    let nothing = Duration::ZERO;
    let every = Duration::from_millis(10);
    let history = Keep { age: nothing, per_job: 0, at_least: nothing, every, ..Keep::default() };
    Policy { history, ..Policy::default() }
}

/// Its instances end once.
fn adhoc(instances: u32) -> Job {
    let mut job = job(instances, "echo", 0.1);
    job.config.kind = Kind::Adhoc;
    job
}

fn running(host: &FakeHost) -> Vec<TaskId> {
    let known = host.desk.known();
    let alive = known.tasks.iter().filter(|(_, it)| !it.state.is_terminal());
    alive.map(|(id, _)| id.clone()).collect()
}

async fn until_nothing_is_known_of_it(cluster: &Cluster) {
    let view = cluster.scheduler.view();
    until(
        || view.read(|it| !it.jobs.contains_key(&key())),
        || view.read(|it| format!("{:#?}", it.jobs.get(&key()))),
    )
    .await;
    let history = cluster.scheduler.history(&key(), None, 9).unwrap();
    assert_eq!(history, [], "the job is the last to go");
}

#[tokio::test]
async fn what_has_finished_is_forgotten_and_does_not_run_again() {
    let mut cluster = Cluster::with(forgetful());
    let host = cluster.host("h1", capacity(4));
    cluster.scheduler.create(adhoc(3), "somebody").await.unwrap();
    until(|| running(&host).len() == 3, || "three that run".into()).await;
    for id in &running(&host)[..2] {
        host.desk.report(id, RunState::Finished);
    }
    until(|| cluster.job(|it| it.tasks.len() == 1), || "two to be forgotten".into()).await;
    assert_eq!(cluster.job(|it| it.job.all_wanted().len()), 1);
    // Who is started again asks for all that is wanted.
    cluster.restart();
    cluster.until_all(Status::Running, 1).await;
    for id in &running(&host) {
        host.desk.report(id, RunState::Finished);
    }
    until_nothing_is_known_of_it(&cluster).await;
    cluster.restart();
    until(|| host.desk.known().connections >= 3, || "a connection".into()).await;
    until(|| host.desk.is_heard(), || "acknowledgements".into()).await;
    assert!(cluster.scheduler.view().read(|it| it.jobs.is_empty()));
    let known = host.desk.known();
    assert_eq!((known.launches.len(), known.launches.values().sum::<u32>()), (3, 3));
    assert!(cluster.scheduler.stats().pruned.get() == 0, "it counts since it was started");
}

#[tokio::test]
async fn a_job_that_was_forgotten_and_comes_back_is_another_one() {
    let cluster = Cluster::with(forgetful());
    let host = cluster.host("h1", capacity(4));
    cluster.create(2).await;
    cluster.until_all(Status::Running, 2).await;
    let old = running(&host);
    cluster.scheduler.kill(&key(), None, "").await.unwrap();
    until_nothing_is_known_of_it(&cluster).await;

    cluster.create(2).await;
    cluster.until_all(Status::Running, 2).await;
    let new = running(&host);
    assert!(new.len() == 2 && new.iter().all(|it| !old.contains(it)), "{old:?} {new:?}");
    assert_eq!(cluster.job(|it| it.job.generation), 1);
    // Late news of the same attempt in an earlier life is not about this one.
    host.desk.report(&old[0], RunState::Failed);
    host.desk.report(&old[1], RunState::Running);
    until(|| host.desk.known().kills.get(&old[1]) == Some(&2), || "a stranger's end".into()).await;
    until(|| host.desk.is_heard(), || "acknowledgements".into()).await;
    assert_eq!(cluster.count(Status::Running), 2);
    assert_eq!(running(&host), new);
}

#[tokio::test]
async fn a_job_that_goes_on_loses_its_past_only() {
    let cluster = Cluster::with(forgetful());
    let host = cluster.host("h1", capacity(4));
    cluster.create(2).await;
    for round in 1..=3 {
        cluster.until_all(Status::Running, 2).await;
        cluster.scheduler.restart(&key(), None, "again").await.unwrap();
        until(|| host.desk.known().launches.len() == 2 + 2 * round, || "more runs".into()).await;
    }
    cluster.scheduler.add(&key(), 3).await.unwrap();
    cluster.scheduler.kill(&key(), Some("3-4".parse().unwrap()), "").await.unwrap();
    cluster.until_all(Status::Running, 3).await;
    until(|| cluster.job(|it| it.history == 0 && it.tasks.len() == 3), || "less".into()).await;
    let (configs, unwanted) = cluster.job(|it| (it.configs.len(), it.job.unwanted.len()));
    assert_eq!((configs, unwanted), (1, 0));
    assert_eq!(cluster.scheduler.history(&key(), None, 9).unwrap(), []);
}

#[tokio::test]
async fn configurations_go_with_the_last_run_that_had_them() {
    let age = Duration::from_secs(3600);
    let history = Keep { age, per_job: 9, ..forgetful().history };
    let cluster = Cluster::with(Policy { history, ..forgetful() });
    let _host = cluster.host("h1", capacity(4));
    cluster.create(1).await;
    cluster.until_all(Status::Running, 1).await;
    cluster.scheduler.kill(&key(), None, "").await.unwrap();
    cluster.until_all(Status::Killed, 1).await;
    cluster.create(1).await;
    cluster.until_all(Status::Running, 1).await;
    assert_eq!(cluster.job(|it| it.configs.len()), 2, "the killed run had the first one");
    let failed = Selection { statuses: [Status::Failed].into(), ..Selection::default() };
    assert_eq!(cluster.scheduler.prune(failed).await, Ok(0));
    let killed = Selection { statuses: [Status::Killed].into(), ..Selection::default() };
    assert_eq!(cluster.scheduler.prune(killed).await, Ok(1));
    until(|| cluster.job(|it| it.configs.len() == 1), || "one configuration".into()).await;
    assert_eq!(cluster.count(Status::Running), 1);
}

#[tokio::test]
async fn s77_an_operator_prunes_as_many_as_asked_for() {
    let cluster = Cluster::start();
    let host = cluster.host("h1", capacity(4));
    cluster.scheduler.create(adhoc(5), "somebody").await.unwrap();
    cluster.until_all(Status::Running, 5).await;
    for id in &running(&host)[..4] {
        host.desk.report(id, RunState::Finished);
    }
    cluster.until_all(Status::Finished, 4).await;
    let of =
        |role: &str, limit| Selection { role: Some(role.into()), limit, ..Selection::default() };
    assert_eq!(cluster.scheduler.prune(of("ads", None)).await, Ok(0));
    assert_eq!(cluster.scheduler.prune(of("www", Some(2))).await, Ok(2));
    assert_eq!((cluster.count(Status::Finished), cluster.count(Status::Running)), (2, 1));
    assert_eq!(cluster.scheduler.prune(of("www", None)).await, Ok(2));
    assert_eq!((cluster.count(Status::Finished), cluster.count(Status::Running)), (0, 1));
    assert_eq!(cluster.scheduler.stats().pruned.get(), 4);
}

#[tokio::test]
async fn s10_a_run_that_nobody_knows_is_ended_and_not_stored() {
    let cluster = Cluster::start();
    let host = cluster.host("h1", capacity(4));
    let Job { config, .. } = job(1, "echo", 0.1);
    let task = key().task(0);
    let id = TaskId("www-prod-hello-0-stranger-1".into());
    let launch = Launch {
        task,
        attempt: Attempt(1),
        task_id: id.clone(),
        config: Arc::new(config),
        ports: Default::default(),
    };
    host.desk.smuggle(launch);
    host.desk.report(&id, RunState::Running);
    until(|| host.desk.known().kills.contains_key(&id), || "its end".into()).await;
    until(|| host.desk.is_heard(), || "acknowledgements".into()).await;
    assert!(cluster.scheduler.view().read(|it| it.jobs.is_empty()));
}
