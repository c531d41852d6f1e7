use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::*;
use crate::{
    config::Job as Checked,
    ids::{Attempt, JobKey, UpdateId, UpdateKey},
    job::{Event, Job},
    machine::{Machine, Timestamp},
    quota::{self, Quota},
    record::{Change, Committed, Record, RecordKey},
    resources::Resources,
    spec::{JobSpec, Limits},
    task::{self, Placement, Policy, Task},
    update::{Asked, Settings},
    wire::RunState,
};

const RULES: Rules = Rules { instances_max: 4000, quota: quota::Rules { enforce: false } };

/// A cluster with one job that runs.
struct Cluster {
    view: View,
    job: Job,
}

fn key() -> JobKey {
    JobKey::new("www", "prod", "web")
}

fn job(cmdline: &str, cpu: f64, instances: u32, more: &[(&str, Value)]) -> Checked {
    let resources = json!({ "cpu": cpu, "ram": 1 << 20, "disk": 1 << 20 });
    let process = json!({ "name": "p", "cmdline": cmdline });
    let task = json!({ "name": "t", "processes": [process], "resources": resources });
    let mut job = json!({
        "cluster": "c", "role": "www", "environment": "prod", "name": "web", "task": task,
        "service": true, "instances": instances, "tier": "preferred",
    });
    for (field, value) in more {
        job[*field] = value.clone();
    }
    let spec: JobSpec = serde_json::from_value(job).unwrap();
    spec.check(&Limits::usual("c")).unwrap()
}

fn request(to: &Checked, only: Option<&str>) -> Request {
    Request {
        key: UpdateKey { job: key(), id: UpdateId("u1".into()) },
        at: Timestamp(2),
        asked: Asked::default(),
        metadata: BTreeMap::new(),
        settings: Settings::from(&to.update_config),
        only: only.map(|it| it.parse().unwrap()),
    }
}

impl Cluster {
    fn with(created: &Checked) -> Self {
        let instances = InstanceSet::first(created.instances);
        let config = Arc::new(created.config.clone());
        let event = Event::Created { config, instances, by: "ada".into() };
        let job = Job::unborn(key()).step(Timestamp(1), &event).unwrap();
        let mut cluster = Self { view: View::default(), job: job.clone() };
        cluster.commit(job.changes(None));
        for instance in 0..created.instances {
            cluster.runs(instance, 1);
        }
        cluster
    }

    fn commit(&mut self, changes: Vec<Change>) {
        let seq = self.view.seq + 1;
        self.view.apply(&Committed { seq, changes });
    }

    fn runs(&mut self, instance: u32, config: u32) {
        let (attempt, message) = (Attempt(1), String::new);
        let config = crate::ids::ConfigId(config);
        let at = Placement { host: "h1".into(), ports: BTreeMap::new() };
        let policy = Policy { service: true, ..Policy::default() };
        let events = [
            task::Event::Wanted { config, generation: 1, policy, message: message() },
            task::Event::Placed { attempt, at },
            task::Event::Reported { attempt, state: RunState::Running, message: message() },
        ];
        let step = |task: Task, event| task.step(Timestamp(1), event).unwrap();
        let changes = events.iter().fold(Task::unborn(key().task(instance)), step).changes(None);
        self.commit(changes);
    }

    fn wish(&self, to: &Checked, only: Option<&str>) -> Result<Admitted, Refusal> {
        let (config, request) = (Arc::new(to.config.clone()), Box::new(request(to, only)));
        let wish = super::super::Wish::Update { config, count: to.instances, request };
        super::super::admit(&self.view, &key(), wish, RULES)
    }

    /// What it comes to, in words.
    fn says(&self, to: &Checked, only: Option<&str>) -> String {
        match self.wish(to, only) {
            Err(refusal) => refusal.to_string(),
            Ok(Admitted::Nothing) => "nothing to do".into(),
            Ok(Admitted::Job(Event::UpdateBegun { update, config }, _)) => {
                let order = &update.roll.order;
                let new = if config.is_some() { "new" } else { "known" };
                let target = update.target.as_ref();
                let target = target.map_or("none".into(), |it| format!("{new} {}", it.config.0));
                format!("+{} ~{} -{}, {target}", order.create, order.update, order.remove)
            }
            Ok(other) => format!("{other:?}"),
        }
    }

    fn begin(&mut self, to: &Checked) {
        let Ok(Admitted::Job(event, _)) = self.wish(to, None) else { panic!("it is refused") };
        let next = self.job.step(Timestamp(2), &event).unwrap();
        self.commit(next.changes(Some(&self.job)));
        self.job = next;
    }
}

#[test]
fn what_differs_is_touched_and_nothing_else() {
    let cluster = Cluster::with(&job("one", 1.0, 3, &[]));
    for (to, only, expected) in [
        (job("two", 1.0, 3, &[]), None, "+ ~0-2 -, new 2"),
        (job("two", 1.0, 5, &[]), None, "+3-4 ~0-2 -, new 2"),
        (job("two", 1.0, 1, &[]), None, "+ ~0 -1-2, new 2"),
        (job("one", 1.0, 1, &[]), None, "+ ~ -1-2, none"),
        (job("one", 1.0, 4, &[]), None, "+3 ~ -, known 1"),
        (job("two", 1.0, 3, &[]), Some("1-2"), "+ ~1-2 -, new 2"),
        (job("one", 1.0, 3, &[("priority", json!(7))]), Some("0"), "+ ~0 -, new 2"),
    ] {
        assert_eq!(cluster.says(&to, only), expected, "{only:?}");
    }
    let nobody = Cluster { view: View::default(), job: Job::unborn(key()) };
    assert_eq!(nobody.says(&job("one", 1.0, 2, &[]), None), "+0-1 ~ -, new 1");
}

#[test]
fn s44_what_is_as_it_should_be_is_left_alone() {
    let cluster = Cluster::with(&job("one", 1.0, 3, &[]));
    assert_eq!(cluster.says(&job("one", 1.0, 3, &[]), None), "nothing to do");
    assert_eq!(cluster.says(&job("two", 1.0, 1, &[]), Some("0")), "+ ~0 -, new 2");
}

#[test]
fn s46_nobody_updates_who_is_neither_there_nor_wanted() {
    let cluster = Cluster::with(&job("one", 1.0, 3, &[]));
    assert_eq!(
        cluster.says(&job("two", 1.0, 3, &[]), Some("2,7-8")),
        "job www/prod/web neither has nor would have the instances 7-8, so they cannot be updated"
    );
}

#[test]
fn s55_one_update_at_a_time_and_nothing_else_meanwhile() {
    let mut cluster = Cluster::with(&job("one", 1.0, 3, &[]));
    cluster.begin(&job("two", 1.0, 3, &[]));
    let busy =
        "job www/prod/web is being updated (update u1): wait for the end of that, or abort it";
    let third = job("three", 1.0, 3, &[]);
    assert_eq!(cluster.says(&third, None), busy);
    let (config, request) = (Arc::new(third.config.clone()), request(&third, None));
    let drafted = draft(&cluster.view, config, 3, request, RULES).map(drop);
    assert_eq!(drafted.unwrap_err().to_string(), busy);
    let kill = super::super::Wish::Kill { instances: None, message: String::new() };
    let refused = super::super::admit(&cluster.view, &key(), kill, RULES).unwrap_err();
    assert_eq!(refused.to_string(), busy);
}

#[test]
fn s59_only_services_are_updated_and_failures_have_a_bound() {
    let cluster = Cluster::with(&job("one", 1.0, 3, &[]));
    let adhoc = job("one", 1.0, 3, &[("service", json!(false))]);
    assert!(cluster.says(&adhoc, None).contains("is no service"));
    let bears = |failures: i64| {
        let update = json!({ "max_per_shard_failures": failures });
        cluster.says(&job("two", 1.0, 1000, &[("update_config", update)]), None)
    };
    assert_eq!(
        bears(21),
        "an update of job www/prod/web would bear 21000 failures of instances, and 20000 are \
         allowed: lower max_per_shard_failures"
    );
    assert_eq!(bears(20), "+3-999 ~0-2 -, new 2");
}

#[test]
fn while_it_is_updated_a_job_takes_whichever_is_more() {
    let mut cluster = Cluster::with(&job("one", 1.0, 1, &[]));
    let limit = Resources { cpu_milli: 5000, ram_mb: 1 << 20, disk_mb: 1 << 20, gpus: 0 };
    let quota = Quota { limit, ..Quota::default() };
    let key = RecordKey::Quota("www".into());
    cluster.commit(vec![Change { key, record: Some(Record::Quota(quota)) }]);
    let short = "role www may not have that: CPU quota exceeded by 1.00 core(s)";
    assert!(cluster.says(&job("two", 6.0, 1, &[]), None).starts_with(short));
    let used = |view: &View| quota::used(view, "www").prod_shared.cpu_milli;
    cluster.begin(&job("two", 2.0, 1, &[]));
    assert_eq!(used(&cluster.view), 2000);
    // One that shrinks keeps what it had until it is over.
    let mut shrinking = Cluster::with(&job("one", 3.0, 1, &[]));
    shrinking.begin(&job("two", 1.0, 1, &[]));
    assert_eq!(used(&shrinking.view), 3000);
}
