use std::collections::BTreeMap;

use serde_json::json;

use super::*;
use crate::{
    ids::{Attempt, ConfigId},
    job::{Job, Wanted},
    machine::{Machine, Timestamp},
    record::{Change, Committed, Record, RecordKey},
    resources::Resources,
    spec::{JobSpec, Limits},
    task::{Event, Placement, Policy, Task},
    wire::RunState,
};

const RULES: Rules = Rules { instances_max: 10, quota: quota::Rules { enforce: false } };

fn key() -> JobKey {
    JobKey::new("www", "prod", "hello")
}

/// Wants these instances. Of `ended` the runs are over; of `unborn` there are none yet.
fn view(wanted: &str, ended: &str, unborn: &str) -> View {
    let [wanted, ended, unborn] =
        [wanted, ended, unborn].map(|it| it.parse::<InstanceSet>().unwrap_or_default());
    let mut job = Job::unborn(key());
    job.generation = 1;
    let (instances, config) = (wanted.clone(), ConfigId(1));
    job.wanted = vec![Wanted { instances, config, generation: 1, update: None }];
    let at = Placement { host: "h1".into(), ports: BTreeMap::new() };
    let task = |instance| {
        let state = if ended.contains(instance) { RunState::Finished } else { RunState::Running };
        let (attempt, message) = (Attempt(1), String::new());
        let events = [
            Event::Wanted {
                config,
                generation: 1,
                policy: Policy::default(),
                message: String::new(),
            },
            Event::Placed { attempt, at: at.clone() },
            Event::Reported { attempt, state, message },
        ];
        let step = |task: Task, event| task.step(Timestamp(1), event).unwrap();
        events.iter().fold(Task::unborn(key().task(instance)), step).changes(None)
    };
    let job = Change { key: RecordKey::Job(key()), record: Some(Record::Job(job)) };
    let tasks = wanted.difference(&unborn).into_each().flat_map(task);
    let mut view = View::default();
    view.apply(&Committed { seq: 1, changes: [job].into_iter().chain(tasks).collect() });
    view
}

fn decide(view: &View, key: &JobKey, wish: Wish, rules: Rules) -> String {
    match admit(view, key, wish, rules) {
        Ok(Admitted::Job(_, instances) | Admitted::Tasks(_, instances)) => {
            format!("yes: {instances}")
        }
        Ok(Admitted::Nothing) => "yes: nothing".into(),
        Ok(Admitted::Cron(event)) => format!("yes: {event:?}"),
        Err(refusal) => refusal.to_string(),
    }
}

fn kill(instances: Option<&str>) -> Wish {
    let instances = instances.map(|it| it.parse().unwrap());
    Wish::Kill { instances, message: String::new() }
}

#[test]
fn only_what_is_active_can_be_killed_or_added_to() {
    for (view, named, killed, added) in [
        (view("", "", ""), None, "there is no active job www/prod/hello", None),
        (view("0-3", "0-3", ""), None, "there is no active job www/prod/hello", None),
        (view("0-3", "1", ""), None, "yes: 0,2-3", Some("yes: 4-5")),
        (view("0-3", "0-2", "3"), None, "yes: 3", Some("yes: 4-5")),
        (view("0-3", "3", ""), Some("2-9"), "yes: 2", Some("yes: 3-4")),
        (
            view("0-3", "3", ""),
            Some("3,9"),
            "job www/prod/hello has no active instances among 3,9",
            Some("yes: 3-4"),
        ),
        (
            view("0-8", "", ""),
            None,
            "yes: 0-8",
            Some("job www/prod/hello would have 11 instances, and 10 are allowed"),
        ),
    ] {
        assert_eq!(decide(&view, &key(), kill(named), RULES), killed);
        let added = added.unwrap_or(killed);
        assert_eq!(decide(&view, &key(), Wish::Add { count: 2 }, RULES), added);
    }
}

#[test]
fn s71_all_that_are_to_be_restarted_are_active_and_what_is_added_comes_after_the_last() {
    let view = view("0,3,9", "9", "");
    let restart = |instances: Option<&str>| {
        let instances = instances.map(|it| it.parse().unwrap());
        decide(&view, &key(), Wish::Restart { instances, message: String::new() }, RULES)
    };
    assert_eq!(restart(Some("0,9")), "job www/prod/hello has no active instances among 9");
    assert_eq!(restart(Some("0,3")), "yes: 0,3");
    assert_eq!(restart(None), "yes: 0,3");
    assert_eq!(decide(&view, &key(), Wish::Add { count: 2 }, RULES), "yes: 4-5");
}

/// A role's jobs as they come to be.
struct Role(View);

impl Role {
    /// Cores, MB and MB.
    fn with(quota: Option<(u64, u64, u64)>) -> Self {
        let mut role = Self(View::default());
        if let Some(limit) = quota {
            let quota = Quota { limit: resources(limit), ..Quota::default() };
            let change =
                Change { key: RecordKey::Quota("www".into()), record: Some(Record::Quota(quota)) };
            role.commit(vec![change]);
        }
        role
    }

    fn commit(&mut self, changes: Vec<Change>) {
        let seq = self.0.seq + 1;
        self.0.apply(&Committed { seq, changes });
    }

    /// What became of the wish, in the view from now on.
    fn ask(&mut self, name: &str, wish: Wish, rules: Rules) -> Result<(), String> {
        let key = JobKey::new("www", "prod", name);
        match admit(&self.0, &key, wish, rules).map_err(|it| it.to_string())? {
            Admitted::Tasks(..) | Admitted::Nothing => {
                unreachable!("nothing is restarted or updated here")
            }
            Admitted::Job(event, _) => {
                let job =
                    self.0.jobs.get(&key).map_or_else(|| Job::unborn(key), |it| it.job.clone());
                let next = job.step(Timestamp(1), &event).unwrap();
                self.commit(next.changes(Some(&job)));
                Ok(())
            }
            Admitted::Cron(event) => {
                let entry = cron::Entry::recall(&self.0, &key)
                    .unwrap_or_else(|| cron::Entry::unscheduled(key));
                let next = entry.step(Timestamp(1), &event).unwrap();
                self.commit(next.changes(Some(&entry)));
                Ok(())
            }
        }
    }

    fn schedule(
        &mut self,
        name: &str,
        tier: &str,
        each: (u64, u64, u64),
        n: u32,
    ) -> Result<(), String> {
        self.ask(name, schedule(name, tier, each, n), RULES)
    }

    /// The newest run that the timetable wants is started.
    fn launch(&mut self, name: &str) {
        let key = JobKey::new("www", "prod", name);
        let it = &self.0.jobs[&key];
        let (instances, config) = (it.cron.as_ref().unwrap().instances, it.template.clone());
        let run = job::Fired { born_at: Timestamp(1), number: 1, template: 1 };
        let (instances, by) = (InstanceSet::first(instances), "ada".into());
        let event = job::Event::Fired { run, config: config.unwrap(), instances, by };
        let next = it.job.step(Timestamp(2), &event).unwrap();
        self.commit(next.changes(None));
    }

    fn create(
        &mut self,
        name: &str,
        tier: &str,
        each: (u64, u64, u64),
        n: u32,
    ) -> Result<(), String> {
        self.ask(name, create(name, tier, each, n), RULES)
    }
}

fn resources((cores, ram_mb, disk_mb): (u64, u64, u64)) -> Resources {
    Resources { cpu_milli: cores * 1000, ram_mb, disk_mb, gpus: 0 }
}

fn create(name: &str, tier: &str, each: (u64, u64, u64), instances: u32) -> Wish {
    let config = Arc::new(job("www", name, tier, each).config);
    Wish::Create { config, instances, by: "ada".into() }
}

fn schedule(name: &str, tier: &str, each: (u64, u64, u64), instances: u32) -> Wish {
    let job = job_with("www", name, tier, each, Some("@daily"));
    let (config, rule, zone) = (Arc::new(job.config), job.cron.unwrap(), cron::Zone::UTC);
    Wish::Schedule(Box::new(cron::Order { config, instances, rule, zone, by: "ada".into() }))
}

fn job(role: &str, name: &str, tier: &str, each: (u64, u64, u64)) -> config::Job {
    job_with(role, name, tier, each, None)
}

fn job_with(
    role: &str,
    name: &str,
    tier: &str,
    (cpu, ram, disk): (u64, u64, u64),
    schedule: Option<&str>,
) -> config::Job {
    let (tier, dedicated) =
        tier.strip_prefix("dedicated ").map_or((tier, false), |tier| (tier, true));
    let constraints = if dedicated { json!({"dedicated": "www/any"}) } else { json!({}) };
    let spec: JobSpec = serde_json::from_value(json!({
        "cluster": "c", "role": role, "environment": "prod", "name": name,
        "tier": tier, "constraints": constraints, "cron_schedule": schedule,
        "task": {
            "name": name,
            "processes": [{"name": "p", "cmdline": "true"}],
            "resources": {"cpu": cpu, "ram": ram << 20, "disk": disk << 20},
        },
    }))
    .unwrap();
    spec.check(&Limits::usual("c")).unwrap()
}

#[test]
fn s35_a_role_gets_what_its_quota_allows_and_not_more() {
    let mut role = Role::with(Some((4, 4, 4)));
    assert_eq!(role.create("first", "preferred", (3, 3, 3), 1), Ok(()));
    let refused = role.create("second", "preferred", (2, 1, 1), 1).unwrap_err();
    assert!(refused.contains("CPU quota exceeded by 1.00 core(s)."), "{refused}");
    assert_eq!(role.create("second", "preferred", (1, 1, 1), 1), Ok(()));

    let refused = role.create("third", "preferred", (1, 2, 3), 2).unwrap_err();
    let all = "CPU quota exceeded by 2.00 core(s); RAM quota exceeded by 4 MB; disk quota \
               exceeded by 6 MB.";
    assert!(refused.contains(all), "{refused}");
    let refused = role.ask("second", Wish::Add { count: 1 }, RULES).unwrap_err();
    assert!(refused.contains("CPU quota exceeded by 1.00"), "{refused}");
}

#[test]
fn jobs_that_come_together_are_afforded_together_or_not_at_all() {
    let mut role = Role::with(Some((4, 4, 4)));
    let three = |role, name| job(role, name, "preferred", (3, 3, 3));
    let one = |name| job("www", name, "preferred", (1, 1, 1));
    let refused = |role: &Role, jobs: &[config::Job]| {
        admit_all(&role.0, jobs, RULES).map_err(|it| it.to_string())
    };
    assert_eq!(refused(&role, &[three("www", "a"), one("b")]), Ok(()));
    assert_eq!(refused(&role, &[three("www", "a"), three("ads", "b"), one("c")]), Ok(()));
    let told = refused(&role, &[one("a"), three("www", "b"), one("c"), one("d")]).unwrap_err();
    assert!(told.contains("role www may not have that: CPU quota exceeded by 1.00"), "{told}");
    let soft = job("www", "soft", "preemptible", (9, 9, 9));
    assert_eq!(refused(&role, &[three("www", "a"), soft, one("b")]), Ok(()));

    role.create("a", "preferred", (1, 1, 1), 1).unwrap();
    let told = refused(&role, &[one("b"), one("a")]).unwrap_err();
    assert_eq!(told, "job www/prod/a is already active");
    let many = config::Job { instances: 11, ..one("b") };
    let told = refused(&role, &[many]).unwrap_err();
    assert_eq!(told, "job www/prod/b would have 11 instances, and 10 are allowed");
}

#[test]
fn what_gives_way_or_has_hosts_of_its_own_is_free() {
    let mut role = Role::with(Some((1, 1, 1)));
    for tier in ["preemptible", "revocable", "dedicated preferred", "dedicated preemptible"] {
        assert_eq!(role.create(&tier.replace(' ', "-"), tier, (2, 2, 2), 3), Ok(()), "{tier}");
    }
    let used = quota::used(&role.0, "www");
    let six = resources((6, 6, 6));
    assert_eq!(used.prod_shared, Resources::default());
    assert_eq!(used.nonprod_shared, six.plus(six));
    assert_eq!((used.prod_dedicated, used.nonprod_dedicated), (six, six));
}

#[test]
fn a_role_without_a_quota_may_have_anything_unless_quotas_are_enforced() {
    let mut role = Role::with(None);
    let enforced = Rules { quota: quota::Rules { enforce: true }, ..RULES };
    let wish = |tier| create("web", tier, (1, 1, 1), 1);
    let refused = role.ask("web", wish("preferred"), enforced).unwrap_err();
    assert!(refused.contains("CPU quota exceeded by 1.00"), "{refused}");
    assert_eq!(role.ask("batch", wish("preemptible"), enforced), Ok(()));
    assert_eq!(role.ask("web", wish("preferred"), RULES), Ok(()));
}

#[test]
fn s37_a_cron_job_takes_its_quota_while_it_is_idle_and_no_more_while_it_runs() {
    let mut role = Role::with(Some((5, 5, 5)));
    assert_eq!(role.schedule("nightly", "preferred", (4, 4, 4), 1), Ok(()));
    let used = |role: &Role| quota::used(&role.0, "www").prod_shared;
    assert_eq!(used(&role), resources((4, 4, 4)));
    let refused = role.create("web", "preferred", (2, 2, 2), 1).unwrap_err();
    assert!(refused.contains("CPU quota exceeded by 1.00 core(s)"), "{refused}");

    // Another template counts instead of the old one, or of what runs by it, whichever is more.
    let refused = role.schedule("nightly", "preferred", (2, 2, 2), 3).unwrap_err();
    assert!(refused.contains("CPU quota exceeded by 1.00 core(s)"), "{refused}");
    assert_eq!(role.schedule("nightly", "preferred", (5, 5, 5), 1), Ok(()));
    role.launch("nightly");
    assert_eq!(used(&role), resources((5, 5, 5)));
    assert_eq!(role.schedule("nightly", "preferred", (2, 2, 2), 1), Ok(()));
    assert_eq!(used(&role), resources((5, 5, 5)), "the run has what it was given");
    assert_eq!(role.ask("nightly", Wish::Deschedule, RULES), Ok(()));
    assert_eq!(used(&role), resources((5, 5, 5)), "and keeps it");

    let mut free = Role::with(Some((1, 1, 1)));
    assert_eq!(free.schedule("own", "dedicated preferred", (9, 9, 9), 1), Ok(()));
    assert_eq!(free.schedule("batch", "preemptible", (9, 9, 9), 1), Ok(()));
}

#[test]
fn a_job_runs_by_the_clock_or_it_does_not() {
    let mut role = Role::with(None);
    let one = (1, 1, 1);
    let start = || Wish::Start { by: "ada".into() };
    role.create("web", "preferred", one, 1).unwrap();
    assert_eq!(
        role.schedule("web", "preferred", one, 1).unwrap_err(),
        "job www/prod/web is already active"
    );
    for wish in [Wish::Deschedule, start()] {
        assert_eq!(
            role.ask("web", wish, RULES).unwrap_err(),
            "there is no cron job www/prod/web: schedule it first"
        );
    }
    role.schedule("nightly", "preferred", one, 2).unwrap();
    for wish in [create("nightly", "preferred", one, 1), Wish::Add { count: 1 }] {
        assert_eq!(
            role.ask("nightly", wish, RULES).unwrap_err(),
            "www/prod/nightly is a cron job: schedule it anew, or deschedule it first"
        );
    }
    assert!(role.schedule("nightly", "preferred", one, 11).unwrap_err().contains("10 are allowed"));
    let kill = || kill(None);
    assert!(role.ask("nightly", kill(), RULES).is_err(), "nothing runs");
    role.launch("nightly");
    assert_eq!(role.ask("nightly", kill(), RULES), Ok(()));
    assert!(role.0.jobs[&JobKey::new("www", "prod", "nightly")].cron.is_some());
    assert_eq!(role.schedule("nightly", "preferred", one, 1), Ok(()), "its own runs do not matter");
    assert_eq!(role.ask("nightly", start(), RULES), Ok(()));
    assert_eq!(
        role.ask("nightly", start(), RULES).unwrap_err(),
        "a run of www/prod/nightly is about to start already: wait for that one"
    );
    assert_eq!(role.ask("nightly", Wish::Deschedule, RULES), Ok(()));
    assert_eq!(role.schedule("nightly", "preferred", one, 1), Ok(()));
}

#[test]
fn s40_a_quota_is_never_less_than_what_is_used() {
    let mut role = Role::with(Some((5, 5, 5)));
    role.create("web", "preferred", (4, 4, 4), 1).unwrap();
    let set = |limit| {
        let quota = Quota { limit: resources(limit), ..Quota::default() };
        admit_quota(&role.0, "www", &quota)
    };
    let refused = set((3, 4, 4)).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "role www has more than that already: CPU quota exceeded by 1.00 core(s)"
    );
    assert_eq!(set((4, 4, 4)), Ok(()));
}
