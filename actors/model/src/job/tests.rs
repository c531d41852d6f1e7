use serde_json::json;

use super::*;
use crate::{
    ids::UpdateKey,
    spec::{JobSpec, Limits},
    update::{Direction, Side},
};

fn config() -> Arc<TaskConfig> {
    let resources = json!({ "cpu": 1.0, "ram": 1 << 20, "disk": 1 << 20 });
    let process = json!({ "name": "p", "cmdline": "true" });
    let task = json!({ "name": "t", "processes": [process], "resources": resources });
    let job = json!({ "cluster": "c", "role": "www", "name": "web", "task": task });
    let limits = Limits { tasks_per_job_max: 10, ..Limits::usual("c") };
    let spec: JobSpec = serde_json::from_value(job).unwrap();
    Arc::new(spec.check(&limits).unwrap().config)
}

fn set(text: &str) -> InstanceSet {
    text.parse().unwrap_or_default()
}

fn created(instances: &str) -> Event {
    Event::Created { config: config(), instances: set(instances), by: "ada".into() }
}

fn fired(born: u64, number: u32, template: u32) -> Event {
    let run = Fired { born_at: Timestamp(born), number, template };
    Event::Fired { run, config: config(), instances: set("0-1"), by: "the clock".into() }
}

fn added(instances: &str) -> Event {
    Event::Added { instances: set(instances) }
}

fn kill_asked(instances: &str) -> Event {
    Event::KillAsked { instances: set(instances), message: "by ada".into() }
}

fn kill_asked_by_bob(instances: &str) -> Event {
    Event::KillAsked { instances: set(instances), message: "by bob".into() }
}

fn over(instances: &str, generation: u32) -> Event {
    Event::Over { instances: set(instances), generation }
}

fn begun(job: &Job, target: &str, initial: &str) -> Event {
    let side = |config, instances| Side { config, instances: set(instances) };
    let id = UpdateId("u1".into());
    let update = Update {
        target: Some(side(job.next_config(), target)),
        initial: vec![side(job.config, initial)],
        by: "ada".into(),
        ..Update::unborn(UpdateKey { job: job.key.clone(), id })
    };
    Event::UpdateBegun { update: Box::new(update), config: Some(config()) }
}

fn demanded(direction: Direction, wanted: &[(u32, &str)], unwanted: &str) -> Event {
    let id = UpdateId("u1".into());
    let side = |(config, instances): &(u32, &str)| Side {
        config: ConfigId(*config),
        instances: set(instances),
    };
    Event::Demanded(Demand {
        update: UpdateKey { job: JobKey::new("www", "devel", "web"), id },
        direction,
        wanted: wanted.iter().map(side).collect(),
        unwanted: set(unwanted),
    })
}

fn released(newest: Option<u32>) -> Event {
    Event::Released { update: UpdateId("u1".into()), newest: newest.map(ConfigId) }
}

#[test]
fn what_an_update_asks_for_in_one_direction_is_one_demand() {
    use Direction::{Back, Forward};
    let job = Job::unborn(JobKey::new("www", "devel", "web"));
    let job = job.step(Timestamp(7), &created("0-3")).unwrap();
    let begins = begun(&job, "0-2", "0-3");
    assert_eq!(
        story(&[
            created("0-3"),
            begins.clone(),
            begins,
            kill_asked("0"),
            demanded(Forward, &[(2, "0")], ""),
            demanded(Forward, &[(2, "0")], ""),
            demanded(Forward, &[(2, "1")], ""),
            demanded(Forward, &[], "3"),
            demanded(Back, &[(1, "1,3")], ""),
            demanded(Forward, &[(2, "2")], ""),
            released(None),
            released(None),
            added("4"),
        ]),
        "\
unborn --created--> wanted [ensure 0-3 of config 1 since 1]
wanted --update begun--> updating [ensure 0-3 of config 1 since 1]
updating --update begun--> rejected
updating --kill asked--> rejected
updating --demanded--> updating [ensure 1-3 of config 1 since 1, ensure 0 of config 2 since 2]
updating --demanded--> rejected
updating --demanded--> updating [ensure 2-3 of config 1 since 1, ensure 0-1 of config 2 since 2]
updating --demanded--> updating [ensure 2 of config 1 since 1, ensure 0-1 of config 2 since 2, kill 3 until 2 Killed for job update u1]
updating --demanded--> updating [ensure 2 of config 1 since 1, ensure 0 of config 2 since 2, ensure 1,3 of config 1 since 3]
updating --demanded--> rejected
updating --released--> wanted [ensure 2 of config 1 since 1, ensure 0 of config 2 since 2, ensure 1,3 of config 1 since 3]
wanted --released--> rejected
wanted --added--> wanted [ensure 2 of config 1 since 1, ensure 0 of config 2 since 2, ensure 1,3 of config 1 since 3, ensure 4 of config 1 since 4]
"
    );
}

#[test]
fn an_update_and_its_configuration_are_written_with_the_step_that_lets_it_begin() {
    let job = Job::unborn(JobKey::new("www", "devel", "web"));
    let job = job.step(Timestamp(7), &created("0-3")).unwrap();
    let updating = job.step(Timestamp(8), &begun(&job, "0-3", "0-3")).unwrap();
    let keys: Vec<_> = updating.changes(None).iter().map(|it| it.key.to_string()).collect();
    assert_eq!(
        keys,
        ["config/www/devel/web/0000000002", "job/www/devel/web", "update/www/devel/web/u1"]
    );
    let unused = Event::Unused { configs: vec![ConfigId(1), ConfigId(2)] };
    assert!(updating.step(Timestamp(9), &unused).is_err());
    let done = updating.step(Timestamp(9), &released(Some(2))).unwrap();
    assert_eq!((done.config, done.next_config()), (ConfigId(2), ConfigId(3)));
    let back = updating.step(Timestamp(9), &released(None)).unwrap();
    // Numbers are not given twice.
    assert_eq!((back.config, back.next_config()), (ConfigId(1), ConfigId(3)));
}

fn effects(job: &Job) -> String {
    let words = |effect: &Effect| match effect {
        Effect::Ensure(Wanted { instances, config, generation, .. }) => {
            format!("ensure {instances} of config {} since {generation}", config.0)
        }
        Effect::Kill(Unwanted { instances, generation, message }) => {
            format!("kill {instances} until {generation} {message}")
        }
    };
    job.effects().iter().map(words).collect::<Vec<_>>().join(", ")
}

/// Plays `script` to a new job and prints what it asks for after each step.
fn story(script: &[Event]) -> String {
    let mut job = Job::unborn(JobKey::new("www", "devel", "web"));
    let mut out = String::new();
    for event in script {
        let (state, name) = (job.name(), event.name());
        match job.step(Timestamp(7), event) {
            Ok(next) => {
                out += &format!("{state} --{name}--> {} [{}]\n", next.name(), effects(&next));
                job = next;
            }
            Err(_) => out += &format!("{state} --{name}--> rejected\n"),
        }
    }
    out
}

#[test]
fn the_whole_table() {
    let unborn = Job::unborn(JobKey::new("www", "devel", "web"));
    let wanted = unborn.step(Timestamp(0), &created("0-2")).unwrap();
    let unwanted = wanted.step(Timestamp(0), &kill_asked("0-2")).unwrap();
    let configs = || vec![ConfigId(1)];
    let events = [
        created("0"),
        created(""),
        added("3"),
        added(""),
        fired(1, 1, 1),
        kill_asked("0"),
        kill_asked("9"),
        over("0-9", 1),
        Event::Unused { configs: configs() },
        Event::Forgotten { configs: configs() },
    ];
    let mut table = String::new();
    for state in [unborn, wanted, unwanted] {
        let row = events
            .each_ref()
            .map(|event| state.step(Timestamp(0), event).map_or("-", |next| next.name()));
        table += &format!("{:9}{}\n", state.name(), row.join(" "));
    }
    assert_eq!(
        table,
        "\
unborn   wanted - - - wanted - - - - -
wanted   wanted - wanted - wanted wanted - unwanted - -
unwanted wanted - wanted - wanted unwanted - unwanted - unborn
"
    );
}

#[test]
fn instances_come_and_go_and_come_again() {
    assert_eq!(
        story(&[
            created("0-3"),
            kill_asked("1-2"),
            added("2,4"),
            kill_asked_by_bob("0-9"),
            kill_asked("0-3"),
            kill_asked("9"),
            created("0-1"),
        ]),
        "\
unborn --created--> wanted [ensure 0-3 of config 1 since 1]
wanted --kill asked--> wanted [ensure 0,3 of config 1 since 1, kill 1-2 until 1 by ada]
wanted --added--> wanted [ensure 0,3 of config 1 since 1, ensure 2,4 of config 1 since 2, kill 1 until 1 by ada]
wanted --kill asked--> unwanted [kill 1 until 1 by ada, kill 0,2-4 until 2 by bob]
unwanted --kill asked--> unwanted [kill 1 until 1 by ada, kill 0,2-4 until 2 by bob]
unwanted --kill asked--> rejected
unwanted --created--> wanted [ensure 0-1 of config 2 since 3, kill 2-4 until 2 by bob]
"
    );
}

#[test]
fn no_run_is_started_twice_and_those_of_one_template_share_a_configuration() {
    assert_eq!(
        story(&[
            fired(5, 1, 1),
            fired(5, 1, 1),
            over("0-1", 1),
            fired(5, 2, 1),
            fired(5, 1, 1),
            fired(5, 3, 2),
            kill_asked("0-1"),
            fired(9, 1, 1),
            fired(5, 4, 2),
        ]),
        "\
unborn --fired--> wanted [ensure 0-1 of config 1 since 1]
wanted --fired--> rejected
wanted --over--> unwanted []
unwanted --fired--> wanted [ensure 0-1 of config 1 since 2]
wanted --fired--> rejected
wanted --fired--> wanted [ensure 0-1 of config 2 since 3]
wanted --kill asked--> unwanted [kill 0-1 until 3 by ada]
unwanted --fired--> wanted [ensure 0-1 of config 3 since 4]
wanted --fired--> rejected
"
    );
}

#[test]
fn what_is_over_is_given_up_unless_it_was_wanted_again() {
    assert_eq!(
        story(&[
            created("0-4"),
            kill_asked("3-4"),
            over("0,3", 1),
            added("3"),
            over("1,3-4", 1),
            over("1,4", 2),
            over("3", 2),
        ]),
        "\
unborn --created--> wanted [ensure 0-4 of config 1 since 1]
wanted --kill asked--> wanted [ensure 0-2 of config 1 since 1, kill 3-4 until 1 by ada]
wanted --over--> wanted [ensure 1-2 of config 1 since 1, kill 4 until 1 by ada]
wanted --added--> wanted [ensure 1-2 of config 1 since 1, ensure 3 of config 1 since 2, kill 4 until 1 by ada]
wanted --over--> wanted [ensure 2 of config 1 since 1, ensure 3 of config 1 since 2]
wanted --over--> rejected
wanted --over--> wanted [ensure 2 of config 1 since 1]
"
    );
}

#[test]
fn a_job_keeps_the_configurations_that_it_needs_and_takes_all_with_it() {
    let script = [created("0-1"), kill_asked("0-1"), created("0-1")];
    let unborn = Job::unborn(JobKey::new("www", "devel", "web"));
    let job = script.iter().fold(unborn, |job, it| job.step(Timestamp(7), it).unwrap());
    let configs = || vec![ConfigId(1), ConfigId(2)];
    let gone = |job: &Job| {
        let gone = job.changes(None).into_iter().filter(|it| it.record.is_none());
        gone.map(|it| it.key.to_string()).collect::<Vec<_>>()
    };
    let lighter = job.step(Timestamp(8), &Event::Unused { configs: configs() }).unwrap();
    assert_eq!(gone(&lighter), ["config/www/devel/web/0000000001"]);
    let idle = lighter.step(Timestamp(9), &kill_asked("0-1")).unwrap();
    assert_eq!(gone(&idle), [""; 0]);
    let none = idle.step(Timestamp(9), &Event::Forgotten { configs: configs() }).unwrap();
    assert_eq!(
        gone(&none),
        ["config/www/devel/web/0000000001", "config/www/devel/web/0000000002", "job/www/devel/web"]
    );
    let again = none.step(Timestamp(10), &created("0")).unwrap();
    assert_eq!((gone(&again), again.generation), (vec![], 1));
}

#[test]
fn a_configuration_is_written_once_with_the_step_that_brought_it() {
    let job = Job::unborn(JobKey::new("www", "devel", "web"));
    let job = job.step(Timestamp(7), &created("0-3")).unwrap();
    assert_eq!((job.created_at, job.by.as_str()), (Timestamp(7), "ada"));
    let keys =
        |job: &Job| job.changes(None).iter().map(|it| it.key.to_string()).collect::<Vec<_>>();
    assert_eq!(keys(&job), ["config/www/devel/web/0000000001", "job/www/devel/web"]);
    let Some(Record::Job(kept)) = &job.changes(None)[1].record else { panic!("{job:?}") };
    assert_eq!(keys(kept), ["job/www/devel/web"]);
    let more = job.step(Timestamp(8), &added("4")).unwrap();
    assert_eq!(keys(&more), ["job/www/devel/web"]);
    assert_eq!(more.all_wanted(), set("0-4"));
}
