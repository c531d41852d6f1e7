use std::fs;

use serde_json::Value;

use crate::cluster::{Cluster, eventually, example};

const KEY: &str = "devcluster/www-data/prod/nightly";
const JOB: &str = "www-data/prod/nightly";

fn detail(cluster: &Cluster, job: &str) -> Value {
    cluster.get(&format!("/cron/{job}"))
}

/// What became of its times, oldest first, once there are so many.
fn firings(cluster: &Cluster, job: &str, count: usize) -> Vec<Value> {
    eventually("so many firings", || {
        let mut firings = detail(cluster, job)["firings"].as_array()?.clone();
        firings.reverse();
        (firings.len() >= count).then_some(firings)
    })
}

#[test]
fn the_example_is_scheduled_shown_started_and_descheduled() {
    let cluster = Cluster::start();
    let file = example("cron");
    cluster
        .airglow(&["cron", "show", KEY])
        .code(6)
        .says(&format!("No cron entry found for job {KEY}"));
    let told = cluster.succeeds(&["cron", "schedule", KEY, &file]);
    let page = format!("{}/scheduler/{JOB}", cluster.uri());
    assert_eq!(told, format!("Cron job scheduled, status can be viewed at {page}\n"));
    assert_eq!(cluster.succeeds(&["cron", "show", KEY]), format!("{KEY}\t 30 2 * * *\n"));
    cluster
        .airglow(&["cron", "show", KEY])
        .code(0)
        .says("Next runs (Europe/Berlin):")
        .says(" 02:30 CE");
    let shown: Value =
        serde_json::from_str(&cluster.succeeds(&["cron", "show", KEY, "--write-json"])).unwrap();
    assert_eq!(shown["summary"]["timezone"], "Europe/Berlin");
    assert_eq!(shown["summary"]["next"].as_array().unwrap().len(), 10);
    assert!(cluster.succeeds(&["job", "list", "devcluster/www-data"]).contains(KEY));

    cluster
        .airglow(&["job", "create", KEY, &file])
        .code(4)
        .says("Cron jobs may only be scheduled with");
    let told = cluster.succeeds(&["cron", "start", KEY, "--config", &file]);
    assert_eq!(told, format!("{KEY}: run 1 starts\n"));
    cluster.reaches(JOB, "FINISHED", 1);
    let logs = cluster.succeeds(&["task", "logs", &format!("{KEY}/0"), "--process", "report"]);
    assert!(logs.contains("1000 visits:"), "{logs}");
    let firing = &firings(&cluster, JOB, 1)[0];
    assert_eq!((&firing["outcome"], &firing["number"]), (&"started".into(), &1.into()));

    assert_eq!(cluster.succeeds(&["cron", "deschedule", KEY]), "Cron descheduling succeeded.\n");
    cluster.airglow(&["cron", "deschedule", KEY]).code(0).says("was not scheduled");
    cluster
        .airglow(&["cron", "start", KEY])
        .code(10)
        .says("Error starting cron job")
        .says("schedule it first");
}

#[test]
fn a_new_run_is_cancelled_or_the_old_one_killed_and_a_kill_leaves_the_schedule() {
    let cluster = Cluster::start();
    let text = |policy: &str| {
        format!(
            "jobs = [Job(
        cluster = 'devcluster', role = 'www-data', environment = 'prod', name = 'nightly',
        instances = 2, cron_schedule = '@yearly', cron_collision_policy = '{policy}',
        task = SimpleTask('sleep', 'exec sleep 1000')(
          resources = Resources(cpu = 0.01, ram = 8 * MB, disk = 1 * MB)))]"
        )
    };
    let schedule = |policy: &str| {
        let file = cluster.file("nightly.aurora", &text(policy));
        cluster.succeeds(&["cron", "schedule", KEY, &file]);
    };
    schedule("CANCEL_NEW");
    cluster.succeeds(&["cron", "start", KEY]);
    cluster.reaches(JOB, "RUNNING", 2);
    let first = cluster.instances(JOB);
    let told = cluster.succeeds(&["cron", "start", KEY]);
    assert_eq!(told, format!("{KEY}: skipped, the run before it had not ended\n"));
    schedule("KILL_EXISTING");
    let told = cluster.succeeds(&["cron", "start", KEY]);
    assert_eq!(told, format!("{KEY}: run 2 starts when the run before it has ended\n"));
    let all = firings(&cluster, JOB, 3);
    let outcomes: Vec<_> = all.iter().map(|it| it["outcome"].as_str().unwrap()).collect();
    assert_eq!(outcomes, ["started", "skipped", "started"]);
    cluster.reaches(JOB, "RUNNING", 2);
    assert_ne!(cluster.instances(JOB)[0]["task_id"], first[0]["task_id"]);

    cluster.succeeds(&["job", "killall", KEY, "--no-batching"]);
    assert_eq!(detail(&cluster, JOB)["summary"]["schedule"], "@yearly");
    let bad = cluster.file("bad.aurora", &text("RUN_OVERLAP"));
    cluster.airglow(&["cron", "schedule", KEY, &bad]).code(3).says("RUN_OVERLAP is gone");
    let never = text("CANCEL_NEW").replace("@yearly", "0 0 31 2 *");
    let never = cluster.file("never.aurora", &never);
    cluster.airglow(&["cron", "schedule", KEY, &never]).code(3).says("there is no such day in FEB");
    let other = text("CANCEL_NEW").replace("cron_schedule = '@yearly', ", "");
    let other = cluster.file("other.aurora", &other);
    cluster
        .airglow(&["cron", "schedule", KEY, &other])
        .code(4)
        .says("Non-cron jobs may only be created");
}

/// Every minute writes a line. A scheduler that is killed before a minute begins and started in the
/// midst of it, and killed at once when it has, does not make two of them, and leaves none out.
#[test]
fn each_minute_is_one_run_whenever_the_scheduler_is_killed() {
    let mut cluster = Cluster::start();
    let witness = cluster.witness();
    let job = "www-data/prod/minutely";
    let file = cluster.file(
        "minutely.aurora",
        &format!(
            "jobs = [Job(
        cluster = 'devcluster', role = 'www-data', environment = 'prod', name = 'minutely',
        cron_schedule = '* * * * *',
        task = SimpleTask('write', 'date >> {}')(
          resources = Resources(cpu = 0.01, ram = 8 * MB, disk = 1 * MB)))]",
            witness.display()
        ),
    );
    cluster.succeeds(&["cron", "schedule", &format!("devcluster/{job}"), &file]);
    let due = detail(&cluster, job)["summary"]["next"][0].as_u64().unwrap();
    cluster.kill_9("scheduler");
    eventually("the minute begins", || (due < airglow_kit::now().0).then_some(()));
    cluster.restart("scheduler");
    cluster.kill_9("scheduler");
    cluster.restart("scheduler");
    let first = firings(&cluster, job, 1)[0].clone();
    assert_eq!((&first["at"], &first["outcome"]), (&due.into(), &"started".into()));
    let second = firings(&cluster, job, 2)[1].clone();
    assert_eq!((second["at"].as_u64(), &second["number"]), (Some(due + 60_000), &2.into()));
    let lines = eventually("both have written", || {
        let text = fs::read_to_string(&witness).unwrap_or_default();
        (text.lines().count() >= 2).then_some(text)
    });
    assert_eq!(lines.lines().count(), 2, "{lines}");
    cluster.succeeds(&["cron", "deschedule", &format!("devcluster/{job}")]);
}
