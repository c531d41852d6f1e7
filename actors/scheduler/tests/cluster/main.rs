//! The whole scheduler, with hosts that only pretend, in one process.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{net::SocketAddr, path::Path, time::Duration};

use airglow_kit::identity::Role;
use airglow_model::{
    config::Job,
    ids::{Attempt, HostId, JobKey, TaskId},
    machine::Timestamp,
    policy::Policy,
    preemption::Preemption,
    resources::{Attributes, Resources},
    spec::Limits,
    task::Status,
    tier::Tier,
    view::{JobView, View},
    wire::{Capacity, Launch, Question, RunState},
};
use airglow_scheduler::{Config, Refusal, Scheduler, StartError, Unanswered};
use serde_json::json;
use tempfile::TempDir;

mod auditing;
mod cron;
mod drain;
mod fake;
mod forecasts;
mod pruning;
mod reconciling;
mod sharing;
mod surveying;
mod terms;
mod updates;
mod webhooks;

use fake::{FakeHost, capacity};

const ANY: &str = "127.0.0.1:0";

struct Cluster {
    scheduler: Scheduler,
    mesh: SocketAddr,
    data: TempDir,
    policy: Policy,
}

impl Cluster {
    fn start() -> Self {
        Self::with(Policy::default())
    }

    fn with(policy: Policy) -> Self {
        let data = tempfile::tempdir().unwrap();
        let scheduler = scheduler(data.path(), ANY.parse().unwrap(), policy.clone());
        Self { mesh: scheduler.mesh_addr(), scheduler, data, policy }
    }

    /// The next life, with the same data and address.
    fn restart(&mut self) {
        self.scheduler.stop();
        self.scheduler = scheduler(self.data.path(), self.mesh, self.policy.clone());
    }

    fn host(&self, name: &str, capacity: Capacity) -> FakeHost {
        let identity = self.scheduler.authority().issue(Role::Agent, name).unwrap();
        FakeHost::start(self.mesh, identity, capacity)
    }

    fn host_with(&self, name: &str, capacity: Capacity, attributes: Attributes) -> FakeHost {
        let identity = self.scheduler.authority().issue(Role::Agent, name).unwrap();
        FakeHost::with(self.mesh, identity, (capacity, attributes))
    }

    async fn create(&self, instances: u32) {
        self.scheduler.create(job(instances, "echo", 0.1), "somebody").await.unwrap();
    }

    fn job<R>(&self, read: impl FnOnce(&JobView) -> R) -> R {
        self.scheduler.view().read(|view| read(&view.jobs[&key()]))
    }

    fn count(&self, status: Status) -> u32 {
        self.job(|it| it.counts.get(&status).copied().unwrap_or(0))
    }

    async fn until_all(&self, status: Status, count: u32) {
        until(|| self.count(status) == count, || self.job(|it| format!("{:?}", it.counts))).await;
    }
}

fn limits() -> Limits {
    Limits { tasks_per_job_max: 40_000, ..Limits::usual("test") }
}

fn scheduler(data: &Path, mesh: SocketAddr, policy: Policy) -> Scheduler {
    let (data, cluster) = (data.to_owned(), "test".to_owned());
    Scheduler::start(Config { data, cluster, mesh, limits: limits(), policy }).unwrap()
}

fn key() -> JobKey {
    JobKey::new("www", "prod", "hello")
}

fn job(instances: u32, cmdline: &str, cpu: f64) -> Job {
    job_of("www", instances, cmdline, cpu)
}

fn job_of(role: &str, instances: u32, cmdline: &str, cpu: f64) -> Job {
    let spec: airglow_model::spec::JobSpec = serde_json::from_value(json!({
        "cluster": "test", "role": role, "environment": "prod", "name": "hello",
        "service": true, "instances": instances,
        "task": {
            "name": "hello",
            "processes": [{"name": "hello", "cmdline": cmdline}],
            "resources": {"cpu": cpu, "ram": 16 << 20, "disk": 16 << 20},
        },
    }))
    .unwrap();
    spec.check(&limits()).unwrap()
}

/// Waits, for as long as a loaded machine may take.
async fn until(is_so: impl Fn() -> bool, what: impl Fn() -> String) {
    for _ in 0..10_000 {
        if is_so() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    panic!("waited in vain: {}", what());
}

#[tokio::test]
async fn a_created_job_runs_and_its_reports_are_acknowledged() {
    let cluster = Cluster::start();
    let host = cluster.host("h1", capacity(4));
    cluster.create(3).await;
    cluster.until_all(Status::Running, 3).await;
    until(|| host.desk.is_heard(), || "acknowledgements".into()).await;
    assert_eq!(host.desk.known().tasks.len(), 3);
    let used = cluster.scheduler.view().read(|it| it.hosts[&HostId::from("h1")].used);
    assert_eq!((used.cpu_milli, used.ram_mb), (300, 48));
}

#[tokio::test]
async fn a_host_may_come_after_the_job() {
    let cluster = Cluster::start();
    cluster.create(2).await;
    until(|| cluster.job(|it| it.pending.len() == 2), || "a reason".into()).await;
    let _host = cluster.host("h1", capacity(4));
    cluster.until_all(Status::Running, 2).await;
    assert!(cluster.job(|it| it.pending.is_empty()));
}

#[tokio::test]
async fn a_scheduler_that_restarts_at_any_moment_loses_nothing_and_runs_nothing_twice() {
    let mut cluster = Cluster::start();
    let host = cluster.host("h1", capacity(100));
    for round in 0..6_u32 {
        let instances = 40;
        cluster.create(instances).await;
        // A moment that is another one each time: so many have got that far.
        let moment =
            || cluster.job(|it| it.tasks.values().filter(|it| it.placement().is_some()).count());
        until(|| moment() >= (round * 8) as usize, || format!("{} placed", moment())).await;
        cluster.restart();
        cluster.until_all(Status::Running, instances).await;
        assert_eq!(host.desk.known().tasks.len(), instances as usize, "each runs once");

        cluster.scheduler.kill(&key(), None, "enough").await.unwrap();
        if round % 2 == 0 {
            cluster.restart();
        }
        until(|| !cluster.job(JobView::is_active), || cluster.job(|it| format!("{:?}", it.counts)))
            .await;
        until(|| host.desk.is_heard(), || "acknowledgements".into()).await;
        let mut known = host.desk.known();
        assert!(known.tasks.values().all(|it| it.state.is_terminal()));
        assert_eq!(known.tasks.len(), instances as usize, "each instance ran once");
        known.tasks.clear();
        known.launches.clear();
    }
    let history = cluster.scheduler.history(&key(), None, 1000).unwrap();
    assert_eq!(history.len(), 5 * 40, "all but the newest run of each instance");
}

#[tokio::test]
async fn a_launch_that_got_lost_is_sent_again() {
    let cluster = Cluster::start();
    let host = cluster.host("h1", capacity(4));
    host.desk.known().deaf_for = 2;
    cluster.create(2).await;
    until(|| host.desk.known().deaf_for == 0, || "launches".into()).await;
    assert_eq!(cluster.count(Status::Assigned), 2);
    host.desk.hang_up();
    cluster.until_all(Status::Running, 2).await;
}

#[tokio::test]
async fn what_happened_without_a_connection_is_heard_afterwards() {
    let mut cluster = Cluster::start();
    let host = cluster.host("h1", capacity(4));
    cluster.create(2).await;
    cluster.until_all(Status::Running, 2).await;
    cluster.scheduler.stop();
    let ids: Vec<TaskId> = host.desk.known().tasks.keys().cloned().collect();
    for id in &ids {
        host.desk.report(id, RunState::Finished);
    }
    cluster.scheduler = scheduler(cluster.data.path(), cluster.mesh, Policy::default());
    let attempts =
        || cluster.job(|it| it.tasks.values().map(|it| it.attempt.0).collect::<Vec<_>>());
    until(|| attempts() == [2, 2], || format!("{:?}", attempts())).await;
    // Services that end at once are flapping, so the next runs have to wait.
    assert_eq!(cluster.count(Status::Throttled), 2);
    until(|| host.desk.is_heard(), || "acknowledgements".into()).await;
}

#[tokio::test]
async fn news_of_an_older_attempt_changes_nothing_and_is_acknowledged() {
    let cluster = Cluster::start();
    let host = cluster.host("h1", capacity(4));
    cluster.create(1).await;
    cluster.until_all(Status::Running, 1).await;
    let first = host.desk.known().tasks.keys().next().unwrap().clone();
    cluster.scheduler.restart(&key(), None, "again").await.unwrap();
    until(|| cluster.job(|it| it.tasks[&0].attempt == Attempt(2)), || "a second attempt".into())
        .await;
    cluster.until_all(Status::Running, 1).await;

    host.desk.report(&first, RunState::Failed);
    until(|| host.desk.is_heard(), || "acknowledgement".into()).await;
    assert_eq!(cluster.count(Status::Running), 1);
    let history = cluster.scheduler.history(&key(), Some(0), 10).unwrap();
    assert_eq!(history.iter().map(|(_, it)| it.id.clone()).collect::<Vec<_>>(), [first]);
}

#[tokio::test]
async fn a_task_that_should_not_be_there_is_ended() {
    let cluster = Cluster::start();
    let host = cluster.host("h1", capacity(4));
    until(|| host.desk.known().connections > 0, || "a connection".into()).await;
    let task = key().task(7);
    let launch = Launch {
        attempt: Attempt(1),
        task_id: task.task_id(Timestamp(1), Attempt(1)),
        config: job(1, "echo", 0.1).config.into(),
        ports: Default::default(),
        task,
    };
    let id = launch.task_id.clone();
    host.desk.smuggle(launch);
    host.desk.hang_up();
    until(|| host.desk.known().kills.contains_key(&id), || "a kill".into()).await;
    until(|| host.desk.is_heard(), || "acknowledgement".into()).await;
}

#[tokio::test]
async fn an_instance_that_fits_nowhere_says_why() {
    let cluster = Cluster::start();
    let _host = cluster.host("h1", capacity(1));
    until(|| cluster.scheduler.view().read(|it| !it.hosts.is_empty()), || "a host".into()).await;
    cluster.scheduler.create(job(2, "echo", 0.7), "somebody").await.unwrap();
    cluster.until_all(Status::Running, 1).await;
    let why = || cluster.job(|it| it.pending.values().next().cloned());
    until(|| why().is_some_and(|it| it.nearest.is_some()), || format!("{:?}", why())).await;
    let why = why().unwrap();
    assert_eq!(why.vetoes.len(), 1, "{why:?}");
    assert_eq!(why.nearest.as_ref().unwrap().0, HostId::from("h1"));

    // Room for the other.
    let running = |it: &JobView| {
        it.tasks.values().find(|it| it.status() == Some(Status::Running)).unwrap().key.instance
    };
    let instance = cluster.job(running);
    cluster.scheduler.kill(&key(), Some([instance].into_iter().collect()), "").await.unwrap();
    until(|| cluster.job(|it| it.pending.is_empty()), || "its place".into()).await;
}

#[tokio::test]
async fn no_two_tasks_of_a_host_have_the_same_port() {
    let cluster = Cluster::start();
    let host = cluster.host("h1", capacity(100));
    let ports = "serve {{thermos.ports[http]}} {{thermos.ports[admin]}}";
    cluster.scheduler.create(job(12, ports, 0.1), "somebody").await.unwrap();
    // Twenty ports are for ten instances.
    cluster.until_all(Status::Running, 10).await;
    until(|| cluster.job(|it| it.pending.len() == 2), || "reasons".into()).await;
    let known = host.desk.known();
    let mut given: Vec<u16> =
        known.tasks.values().flat_map(|it| it.launch.ports.values().copied()).collect();
    given.sort_unstable();
    assert_eq!(given, (31_000..31_020).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_host_is_never_given_more_than_it_has() {
    let cluster = Cluster::start();
    let hosts: Vec<_> = (0..3).map(|it| cluster.host(&format!("h{it}"), capacity(2))).collect();
    cluster.create(100).await;
    cluster.until_all(Status::Running, 60).await;
    until(|| cluster.job(|it| it.pending.len() == 40), || "reasons".into()).await;
    for host in &hosts {
        assert_eq!(host.desk.known().tasks.len(), 20);
    }
}

#[tokio::test]
async fn killing_ends_what_was_named_and_adding_goes_on_after_the_last() {
    let cluster = Cluster::start();
    let host = cluster.host("h1", capacity(10));
    let scheduler = &cluster.scheduler;
    cluster.create(4).await;
    cluster.until_all(Status::Running, 4).await;
    let some = "1-2,9".parse().unwrap();
    assert_eq!(scheduler.kill(&key(), Some(some), "").await.unwrap().to_string(), "1-2");
    cluster.until_all(Status::Killed, 2).await;
    assert_eq!(scheduler.add(&key(), 2).await.unwrap().to_string(), "4-5");
    cluster.until_all(Status::Running, 4).await;
    assert_eq!(scheduler.kill(&key(), None, "").await.unwrap().to_string(), "0,3-5");
    cluster.until_all(Status::Killed, 6).await;
    cluster.create(2).await;
    cluster.until_all(Status::Running, 2).await;
    assert_eq!(host.desk.known().tasks.len(), 8);
}

#[tokio::test]
async fn what_cannot_be_is_refused_in_words() {
    let cluster = Cluster::start();
    let scheduler = &cluster.scheduler;
    let none = scheduler.kill(&key(), None, "").await;
    assert_eq!(none, Err(Refusal::NoSuchJob(key())));
    cluster.create(2).await;
    let again = scheduler.create(job(2, "echo", 0.1), "somebody").await;
    assert_eq!(again, Err(Refusal::JobExists(key())));
    let many = scheduler.add(&key(), 39_999).await;
    assert_eq!(many, Err(Refusal::TooMany { job: key(), asked: 40_001, allowed: 40_000 }));
    let others = scheduler.restart(&key(), Some("7".parse().unwrap()), "").await;
    assert_eq!(
        others.unwrap_err().to_string(),
        "job www/prod/hello has no active instances among 7"
    );
    let host = HostId::from("h1");
    let question = Question::Task { task_id: TaskId("x".into()) };
    assert_eq!(scheduler.ask(&host, question).await, Err(Unanswered::NotConnected(host)));
}

#[tokio::test]
async fn a_host_answers_questions() {
    let cluster = Cluster::start();
    let host = cluster.host("h1", capacity(1));
    until(|| host.desk.known().connections > 0, || "a connection".into()).await;
    let question = || Question::Task { task_id: TaskId("x".into()) };
    let h1 = HostId::from("h1");
    until(|| cluster.scheduler.view().read(|it| it.hosts.contains_key(&h1)), || "a host".into())
        .await;
    assert!(cluster.scheduler.ask(&h1, question()).await.is_ok());
}

#[tokio::test]
async fn requests_made_at_once_are_decided_one_after_the_other() {
    let cluster = Cluster::start();
    let scheduler = &cluster.scheduler;
    let (one, other) = tokio::join!(
        scheduler.create(job(2, "one", 0.1), "somebody"),
        scheduler.create(job(2, "other", 0.1), "somebody"),
    );
    assert_eq!((one, other), (Ok(()), Err(Refusal::JobExists(key()))));
    let key = key();
    let (one, other) = tokio::join!(scheduler.add(&key, 2), scheduler.add(&key, 3));
    let ranges = [one, other].map(|it| it.unwrap().to_string());
    assert_eq!(ranges, ["2-3", "4-6"]);
}

#[tokio::test]
async fn jobs_of_a_role_share_its_quota_even_if_they_are_asked_for_at_once() {
    let mut cluster = Cluster::start();
    let limit = Resources { cpu_milli: 3000, ram_mb: 1000, disk_mb: 1000, gpus: 0 };
    cluster.scheduler.set_quota("www", limit, "ada").await.unwrap();
    cluster.restart();
    let scheduler = &cluster.scheduler;
    assert_eq!(scheduler.quota("www").0, Some(limit), "it outlives the scheduler");
    let production = |name: &str| {
        let mut job = job(1, "echo", 2.0);
        job.key = JobKey::new("www", "prod", name);
        job.config.class = Tier::default();
        job
    };
    let (one, other, less) = tokio::join!(
        scheduler.create(production("one"), "somebody"),
        scheduler.create(production("other"), "somebody"),
        scheduler.set_quota("www", Resources { cpu_milli: 1000, ..limit }, "ada"),
    );
    assert_eq!(one, Ok(()));
    assert!(matches!(other, Err(Refusal::OverQuota { .. })), "{other:?}");
    assert!(matches!(less, Err(Refusal::QuotaBelowUse { .. })), "{less:?}");
    let (_, used) = scheduler.quota("www");
    assert_eq!(used.prod_shared.cpu_milli, 2000);
}

#[tokio::test]
async fn a_huge_job_does_not_keep_a_small_one_of_another_role_waiting() {
    let cluster = Cluster::start();
    let host = cluster.host("h", capacity(10_000));
    host.desk.known().silent = true;
    let (huge, small) = (job_of("huge", 30_000, "echo", 0.1), job_of("small", 10, "echo", 0.1));
    let placed = |job: &JobKey| {
        cluster.scheduler.view().read(|it| it.jobs[job].placed.values().sum::<u32>())
    };
    let keys = [huge.key.clone(), small.key.clone()];
    cluster.scheduler.create(huge, "somebody").await.unwrap();
    cluster.scheduler.create(small, "somebody").await.unwrap();
    until(|| placed(&keys[1]) == 10, || format!("{:?}", keys.each_ref().map(placed))).await;
    // Not half of those that came first have a place when the last of these has.
    let of_huge = placed(&keys[0]);
    assert!(of_huge < 15_000, "{of_huge} of the huge one were placed before");
}

#[tokio::test]
async fn production_work_gets_the_place_of_what_gives_way_to_it() {
    let preemption = Preemption {
        delay: Duration::from_millis(20),
        every: Duration::from_millis(20),
        ..Preemption::default()
    };
    let cluster = Cluster::with(Policy { preemption, ..Policy::default() });
    let host = cluster.host("h1", capacity(4));
    cluster.create(40).await;
    cluster.until_all(Status::Running, 40).await;

    let mut important = job(1, "echo", 0.25);
    important.key = JobKey::new("ads", "prod", "shop");
    important.config.job = important.key.clone();
    important.config.class = Tier::default();
    let shop = important.key.clone();
    cluster.scheduler.create(important, "somebody").await.unwrap();
    let running = |view: &View| {
        let counts = view.jobs.get(&shop).map(|it| it.counts.clone()).unwrap_or_default();
        counts.get(&Status::Running).copied()
    };
    let is_there = || cluster.scheduler.view().read(|view| running(view) == Some(1));
    until(is_there, || cluster.job(|it| format!("{:?}", it.counts))).await;
    // Three of them have made room for a quarter of a core, and wait until there is some for them.
    cluster.until_all(Status::Running, 37).await;
    cluster.until_all(Status::Pending, 3).await;
    let history = cluster.scheduler.history(&key(), None, 10).unwrap();
    let reasons = history.iter().map(|(_, run)| {
        let asked = run.events.iter().find(|it| it.status == Status::Preempting);
        asked.map(|it| it.message.clone()).unwrap_or_default()
    });
    let reasons: Vec<_> = reasons.collect();
    assert_eq!(reasons.len(), 3);
    assert!(reasons.iter().all(|it| it.starts_with("Preempting in favor of ads-prod-shop-0-")));
    cluster.scheduler.kill(&shop, None, "enough").await.unwrap();
    cluster.until_all(Status::Running, 40).await;
    drop(host);
}

#[tokio::test]
async fn one_data_folder_is_for_one_scheduler() {
    let cluster = Cluster::start();
    let config = Config {
        data: cluster.data.path().to_owned(),
        cluster: "test".into(),
        mesh: ANY.parse().unwrap(),
        limits: limits(),
        policy: Policy::default(),
    };
    assert!(matches!(Scheduler::start(config.clone()), Err(StartError::Store(_))));
    cluster.scheduler.stop();
    let next = Scheduler::start(config.clone()).unwrap();

    let elsewhere = tempfile::tempdir().unwrap();
    let config = Config { data: elsewhere.path().into(), mesh: next.mesh_addr(), ..config };
    assert!(matches!(Scheduler::start(config.clone()), Err(StartError::Listen { .. })));
    next.stop();
    Scheduler::start(config).unwrap();
}
