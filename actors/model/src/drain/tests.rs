use std::{collections::BTreeSet, sync::Arc, time::Duration};

use serde_json::json;

use super::*;
use crate::{
    config::{Ports, TaskConfig},
    host::{DrainRequest, Host},
    ids::UpdateId,
    ids::{ConfigId, JobKey},
    instances::InstanceSet,
    job::{self, Job, Wanted},
    machine::Machine,
    record::{Change, Committed, Record, RecordKey},
    spec::{JobSpec, Limits, SlaPolicy},
    task::{Placement, Run, State, Task, TaskEvent},
    tier::Tier,
    update::{self, Direction, Order, Roll, Side, UpdateEvent, Work},
};

const MINUTE: u64 = 60_000;
/// When all of this happens.
const NOW: Timestamp = Timestamp(1000 * MINUTE);

fn key() -> JobKey {
    JobKey::new("www", "prod", "web")
}

fn config(production: bool, policy: Option<SlaPolicy>) -> TaskConfig {
    let spec: JobSpec = serde_json::from_value(json!({
        "cluster": "c", "role": "www", "environment": "prod", "name": "web", "service": true,
        "task": {
            "name": "web",
            "processes": [{"name": "p", "cmdline": "true"}],
            "resources": {"cpu": 1.0, "ram": 1 << 20, "disk": 1 << 20},
        },
    }))
    .unwrap();
    let config = spec.check(&Limits::usual("c")).unwrap().config;
    let spec = JobSpec { sla_policy: policy, ..config.spec.clone() };
    let class = Tier { preemptible: !production, revocable: false };
    TaskConfig { class, spec, ..config }
}

/// A job whose instances are on `h1`, `h2` and so on, by turns.
struct Scene {
    view: View,
    hosts: BTreeSet<HostId>,
    rules: Rules,
    asked: BTreeMap<TaskKey, Attempt>,
    consents: Consents,
    updates: BTreeSet<UpdateKey>,
    now: Timestamp,
}

impl Scene {
    /// An instance for each of `up`: for how many minutes it has been up, or nothing if it is not.
    fn new(config: TaskConfig, hosts: u32, up: &[Option<u64>]) -> Self {
        let mut scene = Self {
            view: View::default(),
            hosts: (1..=hosts).map(name).collect(),
            rules: Rules { instances_min: 2, ..Rules::default() },
            asked: BTreeMap::new(),
            consents: Consents::new(),
            updates: BTreeSet::new(),
            now: NOW,
        };
        let mut job = Job::unborn(key());
        job.generation = 1;
        let (instances, id) = (InstanceSet::first(u32::try_from(up.len()).unwrap()), ConfigId(1));
        job.wanted = vec![Wanted { instances, config: id, generation: 1, update: None }];
        scene.commit(RecordKey::Config(key(), id), Record::Config(Arc::new(config)));
        scene.commit(RecordKey::Job(key()), Record::Job(job));
        for (instance, minutes) in (0..).zip(up) {
            let at = Placement { host: name(instance % hosts + 1), ports: Ports::new() };
            let state = match minutes {
                Some(_) => State::Running { at },
                None => State::Starting { at },
            };
            let since = Timestamp(NOW.0 - minutes.unwrap_or(0) * MINUTE);
            scene.task(instance, state, since);
        }
        scene
    }

    fn commit(&mut self, key: RecordKey, record: Record) {
        let changes = vec![Change { key, record: Some(record) }];
        self.view.apply(&Committed { seq: self.view.seq + 1, changes });
    }

    fn task(&mut self, instance: u32, state: State, since: Timestamp) {
        let (task, attempt) = (key().task(instance), Attempt(1));
        let event = TaskEvent { at: since, status: state.status(), message: String::new() };
        let run = Run {
            id: task.task_id(Timestamp(1), attempt),
            attempt,
            config: ConfigId(1),
            ancestor: None,
            failures: 0,
            penalty_ms: 0,
            times_partitioned: 0,
            state,
            events: vec![event],
            exits: 0,
            exit: None,
        };
        let slot = Task { generation: 1, attempt, run: Some(run), ..Task::unborn(task.clone()) };
        self.commit(RecordKey::Task(task), Record::Task(slot));
    }

    /// An update of the first `count` instances that has begun with all of them, and asks.
    fn updating(&mut self, count: u32, policy: SlaPolicy) {
        let id = ConfigId(2);
        self.commit(
            RecordKey::Config(key(), id),
            Record::Config(config(true, Some(policy)).into()),
        );
        let update = UpdateKey { job: key(), id: UpdateId("u1".into()) };
        let all = InstanceSet::first(count);
        let order = Order { update: all.clone(), ..Order::default() };
        let mut roll = Roll::new(Direction::Forward, order);
        let work = Work { since: NOW, excused: 0, may_end: false };
        roll.working = (0..count).map(|it| (it, work.clone())).collect();
        roll.idle = InstanceSet::default();
        let (by, message) = (String::new(), String::new());
        let status = update::Status::RollingForward;
        let begun = Update {
            status,
            target: Some(Side { config: id, instances: all }),
            events: vec![UpdateEvent { at: NOW, status, by, message }],
            roll,
            ..Update::unborn(update.clone())
        };
        let job = self.view.jobs[&key()].job.clone();
        let begins = job::Event::UpdateBegun { update: Box::new(begun.clone()), config: None };
        let job = job.step(NOW, &begins).unwrap();
        self.commit(RecordKey::Job(key()), Record::Job(job));
        self.commit(RecordKey::Update(update.clone()), Record::Update(Box::new(begun)));
        self.updates.insert(update);
    }

    /// Whom it lets end.
    fn permits(&self) -> Vec<u32> {
        self.plan().permits.iter().map(|it| it.task.instance).collect()
    }

    fn mode(&mut self, host: u32, mode: Mode) {
        let host = Host { mode, ..Host::unknown(name(host)) };
        self.commit(RecordKey::Host(host.id.clone()), Record::Host(host));
    }

    fn drain(&mut self, host: u32, policy: SlaPolicy, timeout_secs: u64) {
        let request = DrainRequest { policy, timeout_secs, by: "ada".into() };
        self.mode(host, Mode::Draining { since: NOW, request });
    }

    fn plan(&self) -> Plan {
        let Self { view, hosts, rules, asked, consents, updates, now } = self;
        plan(view, hosts, Known { now: *now, rules, asked, consents, updates })
    }

    /// Which instances may go.
    fn leave(&self) -> String {
        let leave = self.plan().leave;
        leave.iter().map(|it| it.task.instance.to_string()).collect::<Vec<_>>().join(" ")
    }

    fn waits(&self) -> Vec<Wait> {
        self.plan().waits.into_values().flatten().collect()
    }
}

fn name(host: u32) -> HostId {
    format!("h{host}").as_str().into()
}

fn percent(percentage: f64, minutes: i64) -> SlaPolicy {
    SlaPolicy::Percentage { percentage, duration_secs: minutes * 60 }
}

fn count(count: i64) -> SlaPolicy {
    SlaPolicy::Count { count, duration_secs: 1800 }
}

fn coordinator(url: &str) -> SlaPolicy {
    SlaPolicy::Coordinator { coordinator_url: url.into(), status_key: "drain".into() }
}

#[test]
fn s65_a_count_of_instances_has_to_have_been_up_for_long() {
    for (production, need, up, leave) in [
        (true, count(2), [Some(40), Some(40), Some(40)], "0"),
        // Who has not been up for long itself is not missed.
        (true, count(2), [Some(40), Some(40), Some(29)], "2"),
        (true, count(3), [Some(40), Some(40), Some(40)], "0"),
        (false, count(2), [None, None, None], "0 1 2"),
    ] {
        let mut scene = Scene::new(config(production, Some(need)), 1, &up);
        scene.drain(1, percent(0.0, 0), 3600);
        assert_eq!(scene.leave(), leave, "{up:?}");
    }
    let mut scene = Scene::new(config(true, Some(count(2))), 3, &[Some(40), Some(40), Some(29)]);
    scene.drain(1, percent(0.0, 0), 3600);
    assert_eq!(scene.leave(), "", "the third one has not been up for long enough");
    let wait = &scene.waits()[0];
    assert_eq!(
        wait.reason,
        "Without it 1 of 3 instances of www/prod/web have been up for 30 min, and at least 2 have \
         to be"
    );
    assert_eq!(wait.until, Some(NOW + Duration::from_secs(60)));
    assert_eq!(scene.plan().look_at, wait.until);
}

#[test]
fn hosts_that_are_drained_together_share_what_a_job_can_spare() {
    let up = vec![Some(60); 40];
    let mut scene = Scene::new(config(true, None), 4, &up);
    scene.drain(2, percent(95.0, 30), 3600);
    scene.drain(1, percent(95.0, 30), 3600);
    assert_eq!(scene.leave(), "0 4", "two of forty, and the first host first");
    scene.asked.insert(key().task(0), Attempt(1));
    assert_eq!(scene.leave(), "4", "one was asked and is still there");
    scene.task(0, State::Pending, NOW);
    scene.asked.clear();
    assert_eq!(scene.leave(), "4", "it has gone and is not back yet");
    scene.task(4, State::Pending, NOW);
    assert_eq!(scene.leave(), "");
    scene.now = NOW + Duration::from_secs(3600);
    assert_eq!(scene.plan().leave.len(), 18, "the deadline of both has come");
    assert!(scene.plan().leave.iter().all(|it| it.message.contains("deadline")));
}

#[test]
fn small_jobs_and_those_that_give_way_have_no_say() {
    let all = percent(100.0, 0);
    for (production, min, nonproduction, leave) in [
        (true, 20, false, "0 1 2"),
        (false, 2, false, "0 1 2"),
        (false, 2, true, "0"),
        (true, 3, false, "0"),
    ] {
        let mut scene = Scene::new(config(production, Some(all.clone())), 1, &[Some(1); 3]);
        scene.rules = Rules { instances_min: min, nonproduction, ..scene.rules };
        scene.drain(1, percent(0.0, 0), 3600);
        assert_eq!(scene.leave(), leave, "{production} {min} {nonproduction}");
    }
}

#[test]
fn whoever_is_in_a_hurry_asks_nobody() {
    let mut scene = Scene::new(config(true, Some(percent(100.0, 30))), 1, &[Some(1), None]);
    scene.drain(1, percent(0.0, 0), 0);
    assert_eq!(scene.leave(), "0 1");
    let mut scene = Scene::new(config(true, Some(coordinator("http://c"))), 1, &[Some(1), None]);
    scene.drain(1, percent(0.0, 0), 0);
    assert_eq!((scene.leave().as_str(), scene.plan().inquire), ("0 1", vec![]));
}

#[test]
fn what_is_leaving_is_not_told_twice() {
    let mut scene = Scene::new(config(true, None), 1, &[Some(9), Some(9)]);
    scene.drain(1, percent(0.0, 0), 0);
    let at = Placement { host: name(1), ports: Ports::new() };
    scene.task(0, State::Draining { at, until: NOW }, NOW);
    scene.asked.insert(key().task(1), Attempt(1));
    assert_eq!(scene.leave(), "");
    let reasons: Vec<_> = scene.waits().into_iter().map(|it| it.reason).collect();
    assert_eq!(
        reasons,
        ["It is leaving, and DRAINING as yet", "It is leaving, and RUNNING as yet"]
    );
    scene.asked.insert(key().task(1), Attempt(0));
    assert_eq!(scene.leave(), "1", "that was an earlier one");
}

#[test]
fn a_host_is_empty_when_nobody_is_left() {
    let mut scene = Scene::new(config(true, None), 1, &[Some(9)]);
    scene.hosts.insert(name(2));
    scene.drain(1, percent(0.0, 0), 0);
    scene.drain(2, percent(95.0, 30), 3600);
    assert_eq!(scene.plan().emptied, [(name(2), NOW)]);
    scene.task(0, State::Pending, NOW);
    assert_eq!(scene.plan().emptied, [(name(1), NOW), (name(2), NOW)]);
    scene.mode(1, Mode::Drained { since: NOW });
    scene.mode(2, Mode::Scheduled { since: NOW });
    assert_eq!(scene.plan(), Plan::default());
}

#[test]
fn whoever_comes_last_to_an_empty_host_leaves_at_once() {
    let mut scene = Scene::new(config(true, Some(percent(100.0, 30))), 1, &[None, None]);
    scene.mode(1, Mode::Drained { since: NOW });
    assert_eq!(scene.leave(), "0 1");
    scene.mode(1, Mode::None);
    assert_eq!(scene.plan(), Plan::default());
}

#[test]
fn a_coordinator_answers_one_question_at_a_time() {
    let mut scene = Scene::new(config(true, Some(coordinator("http://c"))), 1, &[Some(9); 2]);
    scene.drain(1, percent(95.0, 30), 3600);
    let of = |instance| (key().task(instance), Attempt(1));
    let asks = |scene: &Scene| {
        let plan = scene.plan();
        let who: Vec<_> = plan.inquire.iter().map(|it| it.task.instance).collect();
        let why: Vec<_> = plan.waits[&name(1)].iter().map(|it| it.reason.clone()).collect();
        (who, why.join("; "))
    };
    let busy = "Its coordinator is being asked; Its coordinator is busy with another instance";
    assert_eq!(asks(&scene), (vec![0], busy.into()));
    scene.consents.insert(of(0), Consent::Asked { url: "http://c".into() });
    assert_eq!(asks(&scene), (vec![], busy.into()));

    scene.consents.insert(of(0), Consent::Granted { url: "http://c".into() });
    assert_eq!(scene.leave(), "0");
    assert_eq!(asks(&scene).0, [0_u32; 0], "until that one is on its way");

    scene.consents.insert(of(0), Consent::Refused { at: NOW, why: "No".into() });
    assert_eq!(asks(&scene), (vec![1], "No; Its coordinator is being asked".into()));
    scene.consents.insert(of(1), Consent::Refused { at: NOW, why: "No".into() });
    let again = NOW + Duration::from_secs(60);
    assert_eq!(scene.plan().look_at, Some(again));
    scene.now = again;
    assert_eq!(asks(&scene).0, [0]);

    scene.consents.clear();
    scene.rules.coordinators_max = 1;
    scene.consents.insert(of(7), Consent::Asked { url: "http://other".into() });
    assert_eq!(asks(&scene).0, [0_u32; 0], "enough are being asked");
}

#[test]
fn whoever_was_left_alone_stays() {
    let mut scene = Scene::new(config(true, None), 1, &[Some(9)]);
    scene.drain(1, percent(0.0, 0), 0);
    let why = crate::view::Quarantine { since: NOW, reason: "a bug".into() };
    scene.view.quarantined.insert(key().task(0).to_string(), why);
    assert_eq!(scene.leave(), "");
    assert!(scene.waits()[0].reason.contains("left it alone"));
}

#[test]
fn a_decision_ends_with_its_task_and_with_its_drain() {
    let mut scene = Scene::new(config(true, None), 1, &[Some(9)]);
    let task = key().task(0);
    let undecided =
        |scene: &Scene, attempt| is_undecided(&scene.view, &scene.hosts, &task, Attempt(attempt));
    assert!(undecided(&scene, 1));
    assert!(!undecided(&scene, 2));
    scene.hosts.clear();
    assert!(!undecided(&scene, 1));
    scene.hosts.insert(name(1));
    let at = Placement { host: name(1), ports: Ports::new() };
    scene.task(0, State::Killing { at, until: NOW, retry_at: NOW, retry_ms: 1 }, NOW);
    assert!(!undecided(&scene, 1));
}

#[test]
fn an_update_ends_no_more_than_its_jobs_policy_can_bear() {
    let up = [Some(60), Some(60), Some(60), None];
    let count = |fewest, duration_secs| SlaPolicy::Count { count: fewest, duration_secs };
    for (policy, permitted) in
        [(count(2, 1800), &[0, 3][..]), (count(3, 1800), &[3]), (count(1, 1800), &[0, 1, 3])]
    {
        let mut scene = Scene::new(config(true, None), 2, &up);
        scene.updating(4, policy.clone());
        assert_eq!(scene.permits(), permitted, "{policy:?}");
    }
}

#[test]
fn who_makes_way_for_an_update_is_not_counted_on_when_a_host_is_emptied() {
    let mut scene = Scene::new(config(true, None), 2, &[Some(60), Some(60), Some(60)]);
    let policy = SlaPolicy::Count { count: 2, duration_secs: 1800 };
    scene.updating(1, policy.clone());
    scene.drain(2, policy, 3600);
    // Hosts come first: instance 1 leaves its own, and then nobody else may end.
    let plan = scene.plan();
    let leaves: Vec<_> = plan.leave.iter().map(|it| it.task.instance).collect();
    assert_eq!((leaves, plan.permits), (vec![1], vec![]));
    let update = scene.view.updates.values_mut().next().unwrap();
    update.update.roll.working.get_mut(&0).unwrap().may_end = true;
    assert_eq!(scene.plan().leave, []);
}
