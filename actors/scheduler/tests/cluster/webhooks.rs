//! Receivers of webhooks hear all that happens, each job's in order, whoever is ill or killed.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex, mpsc},
    thread,
    time::Duration,
};

use airglow_model::{
    config::Job,
    ids::JobKey,
    policy::Policy,
    task::Status,
    webhook::{Filter, Hook, Pace, Secret},
};
use serde_json::Value;

use crate::{Cluster, fake::capacity, job, until};

/// A program that is told.
struct Receiver {
    port: u16,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    heard: Vec<Heard>,
    /// What it answers, by the job's name; 200 if nothing is said.
    ill: BTreeMap<String, u16>,
    /// Whoever tells it of this job waits for the sender to be dropped.
    slow: BTreeMap<String, Arc<Mutex<mpsc::Receiver<()>>>>,
    /// It hangs up on everybody.
    is_away: bool,
}

#[derive(Clone, Debug)]
struct Heard {
    head: String,
    body: Value,
    is_taken: bool,
}

impl Receiver {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::<Mutex<State>>::default();
        let of_all = state.clone();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let state = of_all.clone();
                thread::spawn(move || serve(stream.unwrap(), &state));
            }
        });
        Self { port, state }
    }

    fn set(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().unwrap());
    }

    /// What it took of a job: `0:PENDING 0:ASSIGNED …`, what came twice once.
    fn told(&self, name: &str) -> Vec<String> {
        let state = self.state.lock().unwrap();
        let of_job = state.heard.iter().filter(|it| it.is_taken && it.body["task"]["name"] == name);
        let mut seen = BTreeSet::new();
        let new = of_job.filter(|it| seen.insert(it.id()));
        new.map(|it| {
            let task = &it.body["task"];
            format!("{}:{}", task["instance"], task["status"].as_str().unwrap())
        })
        .collect()
    }

    fn heard(&self) -> Vec<Heard> {
        self.state.lock().unwrap().heard.clone()
    }
}

impl Heard {
    fn id(&self) -> String {
        self.header("webhook-id").to_owned()
    }

    fn header(&self, name: &str) -> &str {
        let mut lines = self.head.lines().filter_map(|it| it.split_once(": "));
        lines.find(|(is, _)| is.eq_ignore_ascii_case(name)).map_or("", |(_, value)| value.trim())
    }
}

fn serve(stream: TcpStream, state: &Mutex<State>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    while let Some((head, body)) = read(&mut reader) {
        let name = body["task"]["name"].as_str().unwrap().to_owned();
        let slow = state.lock().unwrap().slow.get(&name).cloned();
        if let Some(slow) = slow {
            // Told by the end of the sender.
            slow.lock().unwrap().recv().unwrap_err();
        }
        let mut it = state.lock().unwrap();
        let status = it.ill.get(&name).copied().unwrap_or(200);
        let is_taken = status == 200 && !it.is_away;
        it.heard.push(Heard { head, body, is_taken });
        if it.is_away {
            return;
        }
        drop(it);
        let answer = format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\n\r\n");
        if (&stream).write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}

fn read(reader: &mut BufReader<TcpStream>) -> Option<(String, Value)> {
    let mut head = String::new();
    while reader.read_line(&mut head).ok()? > 2 {}
    let length = head.lines().find_map(|it| it.strip_prefix("content-length: "))?;
    let mut body = vec![0; length.trim().parse().unwrap()];
    reader.read_exact(&mut body).ok()?;
    Some((head, serde_json::from_slice(&body).unwrap()))
}

/// One that is told again at once.
fn hook(name: &str, receiver: &Receiver) -> Hook {
    Hook {
        name: name.into(),
        url: format!("http://127.0.0.1:{}/told", receiver.port),
        headers: vec![("authorization".into(), Secret("Bearer xyz".into()))],
        filter: Filter::default(),
        pace: Pace {
            retry_after: (Duration::from_millis(5), Duration::from_millis(20)),
            timeout: Duration::from_secs(60),
            ..Pace::default()
        },
    }
}

fn cluster(webhooks: Vec<Hook>) -> Cluster {
    Cluster::with(Policy { webhooks, ..Policy::default() })
}

fn named(name: &str, instances: u32) -> Job {
    let mut job = job(instances, "echo", 0.1);
    job.key = JobKey::new("www", "prod", name);
    job.config.job = job.key.clone();
    job
}

const TO_RUNNING: [&str; 4] = ["PENDING", "ASSIGNED", "STARTING", "RUNNING"];

/// Each instance's states are in this order, and nothing is missing.
fn is_in_order(told: &[String], instances: u32, states: &[&str]) -> bool {
    (0..instances).all(|instance| {
        let of_instance = told.iter().filter_map(|it| it.strip_prefix(&format!("{instance}:")));
        of_instance.eq(states.iter().copied())
    })
}

#[tokio::test]
async fn a_receiver_is_told_what_happens_with_all_that_it_needs() {
    let receiver = Receiver::start();
    let cluster = cluster(vec![hook("a", &receiver)]);
    let _host = cluster.host("h1", capacity(4));
    cluster.create(1).await;
    until(|| receiver.told("hello").len() == 4, || format!("{:?}", receiver.heard())).await;
    let heard = receiver.heard();
    let (first, last) = (&heard[0], &heard[3]);
    assert!(last.head.starts_with("POST /told HTTP/1.1"), "{}", last.head);
    assert_eq!(last.header("authorization"), "Bearer xyz");
    assert!(last.header("content-type").starts_with("application/json"), "{}", last.head);
    assert_eq!(last.header("timestamp"), last.body["task"]["since"].to_string());
    assert!(first.id() < last.id(), "{} {}", first.id(), last.id());
    assert_eq!(
        (&first.body["old_state"], &last.body["old_state"]),
        (&Value::Null, &"STARTING".into())
    );
    assert_eq!((&last.body["kind"], &last.body["task"]["host"]), (&"task".into(), &"h1".into()));
    assert!(is_in_order(&receiver.told("hello"), 1, &TO_RUNNING));
}

#[tokio::test]
async fn who_is_ill_or_slow_about_one_job_delays_no_other_and_nobody_else() {
    let (receiver, other) = (Receiver::start(), Receiver::start());
    let (free, slow) = mpsc::channel::<()>();
    receiver.set(|it| {
        it.ill.insert("ill".into(), 500);
        it.slow.insert("slow".into(), Arc::new(Mutex::new(slow)));
    });
    let cluster = cluster(vec![hook("a", &receiver), hook("b", &other)]);
    let _host = cluster.host("h1", capacity(10));
    for name in ["ill", "slow", "well"] {
        cluster.scheduler.create(named(name, 2), "somebody").await.unwrap();
    }
    until(|| receiver.told("well").len() == 8, || format!("{:?}", receiver.heard())).await;
    for name in ["ill", "slow", "well"] {
        until(|| other.told(name).len() == 8, || format!("{:?}", other.told(name))).await;
    }
    let asked_of_the_ill = || {
        let heard = receiver.heard();
        let ids = heard.iter().filter(|it| it.body["task"]["name"] == "ill").map(Heard::id);
        ids.collect::<Vec<_>>()
    };
    until(|| asked_of_the_ill().len() > 3, || "attempts".into()).await;
    let first: BTreeSet<_> = asked_of_the_ill().into_iter().collect();
    assert_eq!(first.len(), 1, "the first holds up the rest of its job");
    assert_eq!((receiver.told("ill").len(), receiver.told("slow").len()), (0, 0));

    receiver.set(|it| it.ill.clear());
    drop(free);
    for name in ["ill", "slow"] {
        until(|| receiver.told(name).len() == 8, || format!("{:?}", receiver.told(name))).await;
        assert!(is_in_order(&receiver.told(name), 2, &TO_RUNNING), "{:?}", receiver.told(name));
    }
}

#[tokio::test]
async fn a_receiver_that_was_away_hears_all_of_it_in_order_although_the_scheduler_was_started_again()
 {
    let receiver = Receiver::start();
    receiver.set(|it| it.is_away = true);
    let mut cluster = cluster(vec![hook("a", &receiver)]);
    let _host = cluster.host("h1", capacity(10));
    cluster.create(5).await;
    cluster.until_all(Status::Running, 5).await;
    cluster.restart();
    // It comes back and goes away again, in the middle.
    receiver.set(|it| it.is_away = false);
    until(|| receiver.told("hello").len() >= 5, || format!("{:?}", receiver.told("hello"))).await;
    receiver.set(|it| it.is_away = true);
    cluster.restart();
    cluster.scheduler.kill(&crate::key(), None, "enough").await.unwrap();
    cluster.restart();
    cluster.until_all(Status::Killed, 5).await;
    receiver.set(|it| it.is_away = false);
    let all = [&TO_RUNNING[..], &["KILLING", "KILLED"]].concat();
    until(|| receiver.told("hello").len() == 30, || format!("{:?}", receiver.told("hello"))).await;
    assert!(is_in_order(&receiver.told("hello"), 5, &all), "{:?}", receiver.told("hello"));

    // What was taken is forgotten: the next life has nothing to tell.
    let metric = "airglow_webhook_waiting{webhook=\"a\"} 0";
    until(|| metrics(&cluster).contains(metric), || metrics(&cluster)).await;
    cluster.restart();
    cluster.create(1).await;
    until(|| receiver.told("hello").len() >= 34, || format!("{:?}", receiver.told("hello"))).await;
    let ids: Vec<_> = receiver.heard().iter().filter(|it| it.is_taken).map(Heard::id).collect();
    let last: Vec<_> = ids.iter().rev().take(4).collect();
    assert!(last.iter().all(|id| ids.iter().filter(|it| it == id).count() == 1), "{ids:?}");
}

#[tokio::test]
async fn what_nobody_takes_is_bounded_and_counted() {
    let receiver = Receiver::start();
    receiver.set(|it| it.is_away = true);
    let small = hook("a", &receiver);
    let small = Hook { pace: Pace { waiting_max: 6, ..small.pace }, ..small };
    let mut cluster = cluster(vec![small]);
    let _host = cluster.host("h1", capacity(10));
    cluster.create(5).await;
    cluster.until_all(Status::Running, 5).await;
    let dropped = "airglow_webhook_dropped_total{webhook=\"a\"} 14";
    until(|| metrics(&cluster).contains(dropped), || metrics(&cluster)).await;
    assert!(metrics(&cluster).contains("airglow_webhook_waiting{webhook=\"a\"} 6"));
    assert!(metrics(&cluster).contains("airglow_webhook_failed_total{webhook=\"a\"}"));

    // An operator does without it, so nobody waits for it any more.
    cluster.policy.webhooks.clear();
    cluster.restart();
    let dropped = || {
        let metrics = metrics(&cluster);
        let name = "airglow_webhook_dropped_total{webhook=\"a\"} ";
        let line = metrics.lines().find_map(|it| it.strip_prefix(name)).unwrap_or("0");
        line.parse::<u64>().unwrap()
    };
    // Some that were dropped before may not have left the disk yet.
    until(|| dropped() >= 6, || metrics(&cluster)).await;
    let before = dropped();
    cluster.scheduler.kill(&crate::key(), None, "enough").await.unwrap();
    cluster.until_all(Status::Killed, 5).await;
    assert_eq!(dropped(), before, "nothing is announced that nobody wants");
    assert!(receiver.heard().iter().all(|it| !it.is_taken));
}

fn metrics(cluster: &Cluster) -> String {
    use prometheus_client::{encoding::text, registry::Registry};
    let mut registry = Registry::with_prefix("airglow");
    cluster.scheduler.stats().register(&mut registry);
    let mut text = String::new();
    text::encode(&mut text, &registry).unwrap();
    text
}
