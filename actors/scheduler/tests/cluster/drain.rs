//! Hosts that are emptied for maintenance.

use airglow_model::{
    host::DrainRequest,
    spec::{JobSpec, SlaPolicy},
    view::View,
};
use airglow_scheduler::{Feed, Listener, What};

use super::*;

fn production(instances: u32) -> Job {
    let spec: JobSpec = serde_json::from_value(json!({
        "cluster": "test", "role": "www", "environment": "prod", "name": "hello",
        "service": true, "instances": instances, "tier": "preferred",
        "task": {
            "name": "hello",
            "processes": [{"name": "hello", "cmdline": "echo"}],
            "resources": {"cpu": 0.1, "ram": 16 << 20, "disk": 16 << 20},
        },
    }))
    .unwrap();
    spec.check(&limits()).unwrap()
}

fn request(percentage: f64, duration_secs: i64, timeout_secs: u64) -> DrainRequest {
    let policy = SlaPolicy::Percentage { percentage, duration_secs };
    DrainRequest { policy, timeout_secs, by: "ada".into() }
}

fn at_once() -> DrainRequest {
    request(0.0, 0, 0)
}

impl Cluster {
    /// A host with all instances of a production job, and another that has joined since.
    async fn with_production(instances: u32) -> (Self, [FakeHost; 2]) {
        let cluster = Self::start();
        let first = cluster.host("h1", capacity(100));
        cluster.scheduler.create(production(instances), "somebody").await.unwrap();
        cluster.until_all(Status::Running, instances).await;
        let other = cluster.host("h2", capacity(100));
        until(|| cluster.mode("h2") == "NONE", || "the other host".into()).await;
        (cluster, [first, other])
    }

    fn mode(&self, host: &str) -> &'static str {
        let name = |view: &View| view.hosts.get(&host.into()).map_or("-", |it| it.host.mode.name());
        self.scheduler.view().read(name)
    }

    fn left(&self, host: &str) -> usize {
        self.scheduler.view().read(|view| view.hosts[&host.into()].tasks.len())
    }

    async fn until_mode(&self, host: &str, mode: &str) {
        let state = || format!("{host} is {} with {} tasks", self.mode(host), self.left(host));
        until(|| self.mode(host) == mode, state).await;
    }
}

/// Sees every commit, and how few instances were running after any.
pub(super) struct Witness {
    view: View,
    listener: Listener,
    fewest: u32,
}

impl Witness {
    pub(super) fn new(scheduler: &Scheduler) -> Self {
        let feed: &Feed = scheduler.feed();
        let (_, listener) = feed.subscribe();
        // What the listener has that is in the view already is not seen again.
        let view = scheduler.view().read(Clone::clone);
        Self { view, listener, fewest: u32::MAX }
    }

    /// How few there were until now.
    pub(super) fn fewest(&mut self) -> u32 {
        while let Ok(news) = self.listener.try_recv() {
            let What::Committed(changes) = &news.what else { continue };
            if news.seq > self.view.seq {
                let changes = changes.clone();
                self.view.apply(&airglow_model::record::Committed { seq: news.seq, changes });
                let running = self.view.jobs[&key()].counts.get(&Status::Running).copied();
                self.fewest = self.fewest.min(running.unwrap_or(0));
            }
        }
        self.fewest
    }
}

#[tokio::test]
async fn a_drain_never_takes_more_than_its_policy_allows_whoever_is_killed_in_the_middle() {
    let (mut cluster, _hosts) = Cluster::with_production(100).await;
    let mut witness = Witness::new(&cluster.scheduler);
    cluster.scheduler.drain(&"h1".into(), request(95.0, 0, 3600)).await.unwrap();
    until(|| cluster.left("h1") < 60, || format!("{} left", cluster.left("h1"))).await;
    assert!(witness.fewest() >= 95, "{}", witness.fewest());

    cluster.restart();
    let mut witness = Witness::new(&cluster.scheduler);
    cluster.until_mode("h1", "DRAINED").await;
    cluster.until_all(Status::Running, 100).await;
    assert!((95..100).contains(&witness.fewest()), "{}", witness.fewest());
    assert_eq!((cluster.left("h1"), cluster.left("h2")), (0, 100));
}

#[tokio::test]
async fn two_hosts_that_are_drained_together_do_not_break_a_policy_together() {
    let (cluster, _hosts) = Cluster::with_production(40).await;
    // Half of them to the other host, and then both have to go.
    let half = "0-19".parse().unwrap();
    cluster.scheduler.maintain(&"h1".into()).await.unwrap();
    cluster.scheduler.restart(&key(), Some(half), "").await.unwrap();
    until(|| cluster.left("h2") > 0, || "some on the other".into()).await;
    cluster.until_all(Status::Running, 40).await;
    let _third = cluster.host("h3", capacity(100));
    until(|| cluster.mode("h3") == "NONE", || "the third host".into()).await;

    let mut witness = Witness::new(&cluster.scheduler);
    for host in ["h1", "h2"] {
        cluster.scheduler.drain(&host.into(), request(95.0, 0, 3600)).await.unwrap();
    }
    cluster.until_mode("h1", "DRAINED").await;
    cluster.until_mode("h2", "DRAINED").await;
    cluster.until_all(Status::Running, 40).await;
    assert!((38..40).contains(&witness.fewest()), "{}", witness.fewest());
    assert_eq!(cluster.left("h3"), 40);
}

#[tokio::test]
async fn whom_a_policy_would_keep_for_ever_leaves_when_the_time_is_up() {
    let (cluster, _hosts) = Cluster::with_production(20).await;
    let mut witness = Witness::new(&cluster.scheduler);
    cluster.scheduler.drain(&"h1".into(), request(100.0, 3600, 2)).await.unwrap();
    let host = |view: &View| view.hosts[&"h1".into()].clone();
    let shown = || cluster.scheduler.view().read(host).waits;
    until(|| shown().len() == 20, || format!("{:?}", shown())).await;
    let wait = &shown()[0];
    assert_eq!(
        wait.reason,
        "Without it 0 of 20 instances of www/prod/hello have been up for 60 min, and at least 19 \
         have to be"
    );
    assert_eq!(witness.fewest(), 20, "nobody has been asked");
    let deadline = cluster.scheduler.view().read(host).host.mode.deadline().unwrap();
    cluster.until_mode("h1", "DRAINED").await;
    let (_, run) = cluster.scheduler.history(&key(), Some(0), 1).unwrap().remove(0);
    let drained = run.events.iter().find(|it| it.status == Status::Draining).unwrap();
    assert!(drained.at >= deadline, "{drained:?} before {deadline:?}");
    assert!(drained.message.contains("deadline has come"), "{}", drained.message);
    assert!(shown().is_empty());
}

#[tokio::test]
async fn s67_a_host_is_drained_and_activated_again() {
    let (cluster, _hosts) = Cluster::with_production(1).await;
    let scheduler = &cluster.scheduler;
    scheduler.drain(&"h1".into(), at_once()).await.unwrap();
    cluster.until_mode("h1", "DRAINED").await;
    cluster.until_all(Status::Running, 1).await;
    let (_, run) = scheduler.history(&key(), Some(0), 1).unwrap().remove(0);
    let events: Vec<_> = run.events.iter().map(|it| it.status).collect();
    assert!(events.ends_with(&[Status::Running, Status::Draining, Status::Killed]), "{events:?}");
    assert_eq!(cluster.left("h2"), 1);
    scheduler.activate(&"h1".into()).await.unwrap();
    assert_eq!(cluster.mode("h1"), "NONE");

    scheduler.drain(&"h1".into(), request(95.0, 1800, 3600)).await.unwrap();
    cluster.until_mode("h1", "DRAINED").await;
    for answer in [
        scheduler.drain(&"h9".into(), at_once()).await,
        scheduler.maintain(&"h9".into()).await,
        scheduler.activate(&"h9".into()).await,
    ] {
        assert_eq!(answer, Err(Refusal::NoSuchHost("h9".into())));
    }
}

#[tokio::test]
async fn what_an_operator_wants_of_a_host_outlives_connections_and_schedulers() {
    let mut cluster = Cluster::start();
    let host = cluster.host("h1", capacity(1));
    until(|| cluster.mode("h1") == "NONE", || "a host".into()).await;
    cluster.scheduler.maintain(&"h1".into()).await.unwrap();
    host.desk.hang_up();
    until(|| host.desk.known().connections > 1, || "another connection".into()).await;
    cluster.restart();
    until(|| host.desk.known().connections > 2, || "a third connection".into()).await;
    assert_eq!(cluster.mode("h1"), "SCHEDULED");
}
