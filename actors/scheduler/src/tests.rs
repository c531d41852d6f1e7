//! What only the inside can do: make actors crash.

use std::{path::Path, time::Duration};

use actix::prelude::*;
use airglow_kit::To;
use airglow_model::{
    config, host,
    ids::{Attempt, ConfigId, HostId, JobKey},
    machine::{Machine, Timestamp},
    record::{Change, Committed, Record, RecordKey},
    spec::{JobSpec, Limits},
    task::{Event, Placement, Policy, Status, Task},
    view::{JobView, View},
    wire::{Hello, RunState},
};
use serde_json::json;
use tokio::sync::mpsc;

use crate::{
    Config, Refusal, Scheduler,
    admission::Admission,
    entity::{Entity, Role},
    hosts::{PlugIn, Unplugged},
    lines::Entities,
    messages::Happened,
};

#[derive(Message)]
#[rtype(result = "()")]
struct Crash;

impl<M: Role> Handler<Crash> for Entity<M> {
    type Result = ();

    fn handle(&mut self, _: Crash, _: &mut Self::Context) {
        panic!("told to");
    }
}

impl Handler<Crash> for Admission {
    type Result = ();

    fn handle(&mut self, _: Crash, _: &mut Self::Context) {
        panic!("told to");
    }
}

fn limits() -> Limits {
    Limits { tasks_per_job_max: 4000, ..Limits::usual("test") }
}

fn start(data: &Path) -> Scheduler {
    let mesh = "127.0.0.1:0".parse().unwrap();
    let (data, cluster) = (data.to_owned(), "test".to_owned());
    Scheduler::start(Config {
        data,
        cluster,
        mesh,
        limits: limits(),
        policy: airglow_model::policy::Policy::default(),
    })
    .unwrap()
}

fn job(instances: u32) -> config::Job {
    let spec: JobSpec = serde_json::from_value(json!({
        "cluster": "test", "role": "www", "environment": "prod", "name": "hello",
        "instances": instances,
        "task": {
            "name": "hello",
            "processes": [{"name": "hello", "cmdline": "true"}],
            "resources": {"cpu": 0.1, "ram": 1 << 20, "disk": 1 << 20},
        },
    }))
    .unwrap();
    spec.check(&limits()).unwrap()
}

fn key() -> JobKey {
    JobKey::new("www", "prod", "hello")
}

async fn until(scheduler: &Scheduler, is_so: impl Fn(&View) -> bool) {
    for _ in 0..10_000 {
        if scheduler.view().read(&is_so) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    panic!("waited in vain: {:#?}", scheduler.view().read(Clone::clone));
}

fn entities(scheduler: &Scheduler) -> Entities {
    scheduler.lines().entities().unwrap()
}

fn pending(view: &View) -> u32 {
    view.jobs.get(&key()).and_then(|it| it.counts.get(&Status::Pending)).copied().unwrap_or(0)
}

#[tokio::test]
async fn a_task_that_crashed_goes_on_where_it_was() {
    let data = tempfile::tempdir().unwrap();
    let scheduler = start(data.path());
    scheduler.create(job(2), "somebody").await.unwrap();
    until(&scheduler, |it| pending(it) == 2).await;
    let tasks = entities(&scheduler).tasks;
    tasks.do_send(To(key().task(1), Crash));
    scheduler.kill(&key(), None, "").await.unwrap();
    until(&scheduler, |it| !it.jobs[&key()].is_active()).await;
}

#[tokio::test]
async fn a_task_that_keeps_crashing_is_left_alone_until_the_next_start() {
    let data = tempfile::tempdir().unwrap();
    let scheduler = start(data.path());
    scheduler.create(job(3), "somebody").await.unwrap();
    until(&scheduler, |it| pending(it) == 3).await;
    let tasks = entities(&scheduler).tasks;
    let name = "www/prod/hello/1";
    while !scheduler.view().read(|it| it.quarantined.contains_key(name)) {
        tasks.do_send(To(key().task(1), Crash));
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let reason = scheduler.view().read(|it| it.quarantined[name].reason.clone());
    assert!(reason.starts_with("told to ("), "{reason}");

    scheduler.kill(&key(), None, "").await.unwrap();
    until(&scheduler, |it| pending(it) == 1).await;
    scheduler.stop();
    // It reads in its job's record what it has missed.
    let scheduler = start(data.path());
    until(&scheduler, |it| pending(it) == 0).await;
    assert!(scheduler.view().read(|it| it.quarantined.is_empty()));
}

#[tokio::test]
async fn a_host_that_crashed_hears_again_whether_it_is_connected() {
    let data = tempfile::tempdir().unwrap();
    let scheduler = start(data.path());
    let Entities { hosts, switchboard, .. } = entities(&scheduler);
    let h1 = HostId::from("h1");
    let until_it_is = async |contact: &str| {
        let name = |it: &View| it.hosts.get(&h1).map(|it| it.host.contact.name());
        until(&scheduler, |it| name(it) == Some(contact)).await;
    };
    let hello = Hello::of(h1.clone(), "0");
    let (orders, _ordered) = mpsc::unbounded_channel();
    let session = switchboard
        .send(PlugIn { hello: hello.clone(), machine: "m1".into(), orders })
        .await
        .unwrap();
    until_it_is("up").await;
    hosts.do_send(To(
        h1.clone(),
        Happened(host::Event::Disconnected { patience: host::UNREACHABLE_AFTER }),
    ));
    until_it_is("away").await;
    hosts.do_send(To(h1.clone(), Crash));
    until_it_is("up").await;

    switchboard.send(Unplugged { host: h1.clone(), session }).await.unwrap();
    until_it_is("away").await;
    hosts.do_send(To(h1.clone(), Happened(host::Event::Connected(hello))));
    until_it_is("up").await;
    hosts.do_send(To(h1.clone(), Crash));
    until_it_is("away").await;
}

#[tokio::test]
async fn a_restart_says_who_could_not_be_told() {
    let data = tempfile::tempdir().unwrap();
    let scheduler = start(data.path());
    scheduler.create(job(3), "somebody").await.unwrap();
    until(&scheduler, |it| pending(it) == 3).await;
    // Nothing of them runs, so there is nothing to be done, and all of them have said so.
    assert_eq!(scheduler.restart(&key(), None, "").await.unwrap().to_string(), "0-2");
    let tasks = entities(&scheduler).tasks;
    while scheduler.view().read(|it| it.quarantined.is_empty()) {
        tasks.do_send(To(key().task(1), Crash));
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let refusal = scheduler.restart(&key(), None, "").await.unwrap_err();
    assert_eq!(
        refusal,
        Refusal::Unknown("1 of 3 instances may not have heard of it".to_owned()),
        "who may have been restarted is not restarted once more by a client that tries again"
    );
    assert!(scheduler.restart(&key(), Some("0,2".parse().unwrap()), "").await.is_ok());
}

#[tokio::test]
async fn who_was_left_alone_is_tried_again_with_the_others_and_shown_so() {
    let data = tempfile::tempdir().unwrap();
    let scheduler = start(data.path());
    scheduler.create(job(2), "somebody").await.unwrap();
    until(&scheduler, |it| pending(it) == 2).await;
    let Entities { tasks, admission, .. } = entities(&scheduler);
    while scheduler.view().read(|it| it.quarantined.is_empty()) {
        tasks.do_send(To(key().task(1), Crash));
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    scheduler.kill(&key(), None, "").await.unwrap();
    until(&scheduler, |it| pending(it) == 1).await;
    admission.do_send(Crash);
    until(&scheduler, |it| it.quarantined.is_empty() && pending(it) == 0).await;
}

#[tokio::test]
async fn a_job_that_keeps_crashing_leaves_its_instances_and_the_others_alone() {
    let data = tempfile::tempdir().unwrap();
    let scheduler = start(data.path());
    scheduler.create(job(2), "somebody").await.unwrap();
    let jobs = entities(&scheduler).jobs;
    while !scheduler.view().read(|it| it.quarantined.contains_key("www/prod/hello")) {
        jobs.do_send(To(key(), Crash));
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    until(&scheduler, |it| pending(it) == 2).await;
    let refusal = scheduler.kill(&key(), None, "").await.unwrap_err();
    assert_eq!(refusal, Refusal::unknown());
    let other = config::Job { key: JobKey::new("www", "prod", "other"), ..job(1) };
    scheduler.create(other, "somebody").await.unwrap();
}

#[tokio::test]
async fn actors_that_know_each_other_are_started_again_together() {
    let data = tempfile::tempdir().unwrap();
    let scheduler = start(data.path());
    scheduler.create(job(2), "somebody").await.unwrap();
    until(&scheduler, |it| pending(it) == 2).await;
    entities(&scheduler).admission.do_send(Crash);
    // Whoever asks in between is told to come again.
    while scheduler.kill(&key(), None, "").await.is_err() {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    until(&scheduler, |it| it.jobs.get(&key()).is_some_and(|it| !JobView::is_active(it))).await;
}

#[tokio::test]
async fn a_scheduler_that_crashes_all_the_time_says_that_it_cannot_go_on() {
    let data = tempfile::tempdir().unwrap();
    let scheduler = start(data.path());
    let failed = scheduler.failed();
    let crash = async {
        loop {
            if let Some(entities) = scheduler.lines().entities() {
                entities.admission.do_send(Crash);
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    let failure = tokio::select! {
        failure = failed => failure,
        () = crash => unreachable!("it never ends"),
    };
    assert!(failure.to_string().starts_with("entities keeps crashing: told to"), "{failure}");
}

#[test]
fn whether_a_host_is_silent_stands_in_the_records_whatever_was_heard() {
    let (attempt, message) = (Attempt(1), String::new());
    let at = Placement { host: "h1".into(), ports: Default::default() };
    let story = [
        Event::Wanted {
            config: ConfigId(1),
            generation: 1,
            policy: Policy::default(),
            message: String::new(),
        },
        Event::Placed { attempt, at },
        Event::Reported { attempt, state: RunState::Running, message },
    ];
    let step = |task: Task, event| task.step(Timestamp(1), event).unwrap();
    let running = story.iter().fold(<Task as Role>::unborn(key().task(0)), step);
    let view = |contact| {
        let host = host::Host { contact, ..host::Host::unknown("h1".into()) };
        let host = Change { key: RecordKey::Host("h1".into()), record: Some(Record::Host(host)) };
        let mut view = View::default();
        view.apply(&Committed { seq: 1, changes: vec![host] });
        view
    };
    let since = Timestamp(1);
    assert_eq!(running.overheard(&view(host::Contact::Away { since, until: None })), None);
    let silent = view(host::Contact::Unreachable { since });
    let heard = Event::HostUnreachable { host: "h1".into() };
    assert_eq!(running.overheard(&silent), Some(heard.clone()));
    let partitioned = running.step(Timestamp(2), &heard).unwrap();
    assert_eq!(partitioned.overheard(&silent), None);
    // The other way round: it hears of a silence that is over, since the mail was slow.
    assert!(heard.is_overtaken(&view(host::Contact::Up { since })) && !heard.is_overtaken(&silent));
}
