//! Jobs that run by the clock: each time starts one run, whatever happens to the scheduler.

use std::{collections::BTreeMap, time::Duration};

use airglow_model::{
    config::Job,
    cron::{CatchUp, Fate, Skip, State, Timetable},
    ids::TaskId,
    machine::Timestamp,
    policy::Policy,
    record::{Change, Record, RecordKey},
    spec::JobSpec,
    task::Status,
    view::JobView,
    wire::RunState,
};
use airglow_scheduler::{ReadModel, Refusal, now};
use airglow_store::{FILE, Feed, Scribe, Store};
use serde_json::{Value, json};
use tokio::sync::oneshot;

use crate::{
    Cluster,
    fake::{FakeHost, capacity},
    job, key, limits, until,
};

/// It is not due before the tests have ended, and it is over by itself.
const SELDOM: &str = "0 0 29 2 *";

fn spec(schedule: &str, more: &Value) -> JobSpec {
    let mut job = json!({
        "cluster": "test", "role": "www", "environment": "prod", "name": "hello",
        "instances": 2, "cron_schedule": schedule,
        "task": {
            "name": "hello",
            "processes": [{"name": "hello", "cmdline": "true"}],
            "resources": {"cpu": 0.1, "ram": 16 << 20, "disk": 16 << 20},
        },
    });
    let fields = more.as_object().unwrap().clone();
    job.as_object_mut().unwrap().extend(fields);
    serde_json::from_value(job).unwrap()
}

fn cron(schedule: &str, more: &Value) -> Job {
    spec(schedule, more).check(&limits()).unwrap()
}

impl Cluster {
    async fn schedule(&self, schedule: &str, more: Value) {
        self.scheduler.schedule(cron(schedule, &more), "ada").await.unwrap();
    }

    async fn start_cron(&self) -> Timetable {
        self.scheduler.start_cron(&key(), "bob").await.unwrap()
    }

    fn timetable(&self) -> Timetable {
        self.job(|it| it.cron.clone().unwrap())
    }

    /// So many runs have been started by their timetable, and that is on the disk.
    async fn until_started(&self, runs: u32) {
        let idle = || {
            let it = self.timetable();
            it.number == runs && it.state == State::Idle
        };
        until(idle, || format!("{:#?}", self.timetable())).await;
    }

    /// The scheduler was away for so long.
    async fn be_away(&mut self, how_long: Duration) {
        self.scheduler.stop();
        let mut timetable = self.timetable();
        timetable.dealt = Timestamp(timetable.dealt.0 - Timestamp::from(how_long).0);
        let store = Store::open(&self.data.path().join(FILE)).unwrap();
        let (failing, failed) = oneshot::channel();
        let (view, feed) = (ReadModel::load(&store).unwrap(), Feed::new(store.seq().unwrap()));
        let scribe = Scribe::start(store.clone(), view, feed, vec![], failing);
        let (key, record) = (RecordKey::Cron(key()), Some(Record::Cron(timetable)));
        scribe.commit(vec![Change { key, record }]).await.unwrap();
        drop((scribe, store));
        failed.await.ok();
        self.restart();
    }
}

fn running(host: &FakeHost) -> Vec<TaskId> {
    let known = host.desk.known();
    let alive = known.tasks.iter().filter(|(_, it)| it.state == RunState::Running);
    alive.map(|(id, _)| id.clone()).collect()
}

/// Ends what runs, whenever something does, until so many have been started.
async fn finish_all(cluster: &Cluster, host: &FakeHost, started: usize) {
    let ended = || {
        for id in running(host) {
            host.desk.report(&id, RunState::Finished);
        }
        host.desk.known().tasks.len() == started && !cluster.job(JobView::is_active)
    };
    until(ended, || format!("{} of {started}", host.desk.known().tasks.len())).await;
    let launches = host.desk.known().launches.clone();
    assert_eq!(launches.len(), started, "{launches:?}");
}

/// A time of each hour that is half an hour away.
fn half_past() -> String {
    let minute = (now().0 / 60_000 + 30) % 60;
    format!("{minute} * * * *")
}

#[tokio::test]
async fn s61_a_run_that_is_due_ends_the_old_one_first_or_is_cancelled() {
    let cluster = Cluster::start();
    let host = cluster.host("h1", capacity(4));
    cluster.schedule(SELDOM, json!({})).await;
    assert_eq!(cluster.start_cron().await.number, 1);
    cluster.until_all(Status::Running, 2).await;
    cluster.until_started(1).await;

    // KILL_EXISTING.
    let old = running(&host);
    let waiting = cluster.start_cron().await;
    assert!(matches!(waiting.state, State::Waiting { kills: true, .. }), "{waiting:?}");
    let another = cluster.scheduler.start_cron(&key(), "bob").await;
    assert!(matches!(another, Err(Refusal::OneWaits(_))), "{another:?}");
    cluster.until_started(2).await;
    cluster.until_all(Status::Running, 2).await;
    let past = cluster.scheduler.history(&key(), None, 9).unwrap();
    let past: BTreeMap<_, _> = past.into_iter().map(|(_, run)| (run.id.clone(), run)).collect();
    assert_eq!(past.keys().cloned().collect::<Vec<_>>(), old);
    let began = |it: &JobView| {
        let events = it.tasks.values().filter_map(|it| Some(it.run.as_ref()?.events.first()?.at));
        events.min().unwrap()
    };
    let began = cluster.job(began);
    for run in past.values() {
        let (status, last) = (run.state.status(), run.events.last().unwrap());
        assert!(status == Status::Killed && last.at <= began, "{run:?} before {began:?}");
        let killing = run.events.iter().find(|it| it.status == Status::Killing).unwrap();
        assert_eq!(killing.message, "Killed by cronScheduler");
    }

    // CANCEL_NEW.
    let old = running(&host);
    cluster.schedule(SELDOM, json!({"cron_collision_policy": "CANCEL_NEW"})).await;
    let cancelled = cluster.start_cron().await;
    let last = cancelled.firings.last().unwrap();
    assert_eq!(
        (&last.fate, last.by.as_deref()),
        (&Fate::Skipped { why: Skip::Collided }, Some("bob"))
    );
    assert_eq!((cancelled.state, cancelled.number), (State::Idle, 2));
    assert_eq!(running(&host), old);
    assert_eq!(host.desk.known().launches.len(), 4);

    // RUN_OVERLAP.
    let overlap = spec(SELDOM, &json!({"cron_collision_policy": "RUN_OVERLAP"})).check(&limits());
    let complaint = &overlap.unwrap_err()[0];
    assert_eq!(complaint.detail, "RUN_OVERLAP is gone; use KILL_EXISTING or CANCEL_NEW");
}

#[tokio::test]
async fn each_run_is_started_once_however_often_the_scheduler_starts_again() {
    let mut cluster = Cluster::start();
    let host = cluster.host("h1", capacity(100));
    cluster.schedule(SELDOM, json!({"instances": 5})).await;
    for round in 1..=6_u32 {
        cluster.start_cron().await;
        // Another moment each time, and then another one.
        let steps = (round - 1) as usize;
        until(|| running(&host).len() >= steps.min(5), || "tasks".into()).await;
        cluster.restart();
        if round % 2 == 0 {
            cluster.restart();
        }
        cluster.until_started(round).await;
        cluster.until_all(Status::Running, 5).await;
        if round % 3 == 0 {
            continue;
        }
        for id in running(&host) {
            host.desk.report(&id, RunState::Finished);
        }
        until(|| !cluster.job(JobView::is_active), || "the end".into()).await;
    }
    until(|| host.desk.is_heard(), || "acknowledgements".into()).await;
    let numbers: Vec<_> = cluster.timetable().firings.iter().map(|it| it.fate.clone()).collect();
    let started = |it: &Fate| match it {
        Fate::Started { number, .. } => *number,
        Fate::Skipped { .. } | Fate::Missed => 0,
    };
    assert_eq!(numbers.iter().map(started).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6]);
    assert_eq!(host.desk.known().tasks.len(), 6 * 5, "each instance of each run ran once");
    assert_eq!(cluster.job(|it| it.configs.len()), 1, "one template, one configuration");
}

#[tokio::test]
async fn a_run_waits_for_the_end_of_the_old_one_over_restarts() {
    let mut cluster = Cluster::start();
    let host = cluster.host("h1", capacity(4));
    cluster.schedule(SELDOM, json!({})).await;
    cluster.start_cron().await;
    cluster.until_all(Status::Running, 2).await;
    cluster.until_started(1).await;
    // It hears nothing, so nothing ends.
    drop(host);
    let waiting = cluster.start_cron().await;
    assert!(matches!(waiting.state, State::Waiting { .. }), "{waiting:?}");
    cluster.restart();
    assert!(matches!(cluster.timetable().state, State::Waiting { .. }));
    cluster.until_all(Status::Killing, 2).await;
    // The host comes back with nothing, so the old run is lost, and no other takes its place but
    // the one that waits.
    let host = cluster.host("h1", capacity(4));
    cluster.until_started(2).await;
    cluster.until_all(Status::Running, 2).await;
    assert_eq!(host.desk.known().launches.len(), 2);
}

#[tokio::test]
async fn what_was_due_while_the_scheduler_was_away_is_missed_unless_it_is_made_up_for() {
    const HOUR: Duration = Duration::from_secs(60 * 60);
    let fates =
        |it: &Cluster| it.timetable().firings.iter().map(|it| it.fate.clone()).collect::<Vec<_>>();
    let with = |catch_up: CatchUp| json!({"instances": 1, "cron_catch_up": catch_up.name()});

    let mut cluster = Cluster::start();
    let host = cluster.host("h1", capacity(4));
    cluster.schedule(&half_past(), with(CatchUp::None)).await;
    cluster.be_away(3 * HOUR).await;
    until(|| fates(&cluster) == [Fate::Missed], || format!("{:?}", cluster.timetable())).await;
    let firing = cluster.timetable().firings[0].clone();
    assert_eq!(firing.until.unwrap().since(firing.at), 2 * HOUR);
    assert_eq!(cluster.timetable().number, 0);

    cluster.schedule(&half_past(), with(CatchUp::Latest)).await;
    cluster.be_away(5 * HOUR).await;
    finish_all(&cluster, &host, 1).await;
    cluster.until_started(1).await;
    assert_eq!(fates(&cluster)[1], Fate::Missed);

    cluster.schedule(&half_past(), with(CatchUp::All)).await;
    cluster.be_away(4 * HOUR).await;
    finish_all(&cluster, &host, 5).await;
    cluster.until_started(5).await;
    let started: Vec<_> = cluster.timetable().firings[3..].iter().map(|it| it.at).collect();
    assert!(started.is_sorted() && started.len() == 4, "{started:?}");
    let runs = cluster.scheduler.history(&key(), None, 9).unwrap();
    let ends = |it: &airglow_model::task::Run| (it.events[0].at, it.events.last().unwrap().at);
    let mut spans: Vec<_> = runs.iter().map(|(_, run)| ends(run)).collect();
    spans.sort_unstable();
    assert!(spans.windows(2).all(|it| it[0].1 <= it[1].0), "one after the other: {spans:?}");
}

#[tokio::test]
async fn who_was_away_for_a_moment_is_in_time() {
    let mut cluster = Cluster::start();
    let _host = cluster.host("h1", capacity(4));
    cluster.schedule("* * * * *", json!({"instances": 1})).await;
    cluster.be_away(Duration::from_secs(65)).await;
    let started = || cluster.timetable().firings.iter().any(|it| it.words() == "started");
    until(started, || format!("{:?}", cluster.timetable())).await;
    let timetable = cluster.timetable();
    assert_eq!(timetable.number, 1, "{timetable:?}");
    cluster.until_all(Status::Running, 1).await;
}

#[tokio::test]
async fn a_schedule_goes_by_the_clusters_clock_also_when_that_is_set_to_another_zone() {
    let mut cluster = Cluster::start();
    cluster.schedule("0 3 * * *", json!({})).await;
    assert_eq!(cluster.timetable().zone.name(), "UTC");
    cluster.policy = Policy { clock: "Asia/Tokyo".parse().unwrap(), ..Policy::default() };
    cluster.restart();
    let zone = || cluster.timetable().zone.name().to_owned();
    until(|| zone() == "Asia/Tokyo", zone).await;
    let next = cluster.timetable().next().unwrap();
    assert_eq!(next.0 / 1000 % 86_400, 18 * 3600, "three o'clock in Tokyo");
    cluster.schedule("0 3 * * *", json!({"cron_timezone": "Europe/Berlin"})).await;
    cluster.restart();
    assert_eq!(cluster.timetable().zone.name(), "Europe/Berlin");
}

#[tokio::test]
async fn what_runs_runs_on_when_its_job_is_descheduled_and_a_kill_leaves_the_schedule() {
    let cluster = Cluster::start();
    let host = cluster.host("h1", capacity(4));
    let scheduler = &cluster.scheduler;
    let none = scheduler.deschedule(&key()).await;
    assert_eq!(none, Err(Refusal::NotCron(key())));
    assert_eq!(scheduler.schedule(cron(SELDOM, &json!({})), "ada").await, Ok(true));
    assert_eq!(scheduler.schedule(cron(SELDOM, &json!({})), "ada").await, Ok(false));
    let created = scheduler.create(job(1, "echo", 0.1), "ada").await;
    assert_eq!(created, Err(Refusal::IsCron(key())));
    cluster.start_cron().await;
    cluster.until_all(Status::Running, 2).await;
    scheduler.kill(&key(), None, "enough").await.unwrap();
    until(|| !cluster.job(JobView::is_active), || "the end".into()).await;
    assert_eq!(cluster.timetable().number, 1);

    cluster.start_cron().await;
    cluster.until_all(Status::Running, 2).await;
    scheduler.deschedule(&key()).await.unwrap();
    assert_eq!(cluster.job(|it| (it.cron.is_some(), it.template.is_some())), (false, false));
    assert_eq!(running(&host).len(), 2);
    // Another life counts from the start again, and starts its runs all the same.
    assert_eq!(scheduler.schedule(cron(SELDOM, &json!({})), "ada").await, Ok(true));
    assert_eq!(cluster.start_cron().await.number, 1);
    cluster.until_started(1).await;
    until(|| host.desk.known().launches.len() == 6, || "a third run".into()).await;
}
