use serde_json::Value;

use crate::cluster::{Cluster, Ran, airglow, eventually};

/// Version `bad` ends at once, any other one stays.
const WEB: &str = "
template = Service(
  cluster = 'devcluster', role = 'www-data', environment = 'test', name = 'web',
  instances = '{{count}}', production = True,
  update_config = UpdateConfig(batch_size = 2, watch_secs = '{{watch}}'),
  task = SimpleTask('main', '[ {{version}} = bad ] && exit 3; exec sleep 1000')(
    resources = Resources(cpu = '{{cores}}', ram = 4 * MB, disk = 1 * MB)))
jobs = [
  template,
  template(name = 'other'),
  template(name = 'beaten', update_config = UpdateConfig(watch_secs = 0, pulse_interval_secs = 600)),
  template(name = 'careful', update_config = UpdateConfig(
    watch_secs = 0,
    update_strategy = BatchUpdateStrategy(batch_size = 1, autopause_after_batch = True))),
  template(name = 'nightly', cron_schedule = '0 0 * * *', service = False),
  template(name = 'hopeless', update_config = UpdateConfig(batch_size = 0)),
]
";

const KEY: &str = "devcluster/www-data/test/web";
const JOB: &str = "www-data/test/web";

/// A cluster with some instances of version 1 of the job, and the file that it is from.
struct Scene {
    cluster: Cluster,
    file: String,
}

impl Scene {
    fn new() -> Self {
        Self::of("web", 4)
    }

    fn of(name: &str, count: u64) -> Self {
        let cluster = Cluster::start();
        let file = cluster.file("web.aurora", WEB);
        let scene = Self { cluster, file };
        let key = format!("devcluster/www-data/test/{name}");
        scene.run(&["job", "create", &key, "FILE"], &[&format!("count={count}")]).code(0);
        scene.cluster.reaches(&format!("www-data/test/{name}"), "RUNNING", count);
        scene
    }

    /// With the file for `FILE`, and as version 1 of four instances as far as nothing else is bound.
    fn run(&self, args: &[&str], bind: &[&str]) -> Ran {
        let mut args: Vec<&str> =
            args.iter().map(|it| if *it == "FILE" { self.file.as_str() } else { *it }).collect();
        for usual in ["version=1", "count=4", "watch=1", "cores=0.001"] {
            let name = usual.split('=').next().unwrap_or_default();
            let bound = bind.iter().find(|it| it.split('=').next() == Some(name));
            args.extend(["--bind", bound.unwrap_or(&usual)]);
        }
        self.cluster.airglow(&args)
    }

    /// Begins an update that is not over until somebody ends it.
    fn begin_endless(&self) -> String {
        let bind = ["version=2", "watch=1000"];
        self.run(&["update", "start", KEY, "FILE", "-m", "slowly"], &bind).code(0);
        let updates = self.cluster.get(&format!("/updates?job={JOB}"));
        updates["items"][0]["id"].as_str().unwrap().to_owned()
    }

    /// The number of the configuration that each instance runs with.
    fn configs(&self) -> Vec<u64> {
        let instances = self.cluster.instances(JOB);
        instances.iter().map(|it| it["config"].as_u64().unwrap()).collect()
    }

    fn json(&self, args: &[&str]) -> Value {
        let text = self.cluster.succeeds(&[args, &["--write-json"]].concat());
        serde_json::from_str(&text).unwrap()
    }
}

#[test]
fn an_update_is_watched_until_every_instance_is_new() {
    let scene = Scene::new();
    let start = ["update", "start", KEY, "FILE", "--wait", "--metadata", "build=7"];
    let ran = scene.run(&start, &["version=2", "count=5"]).code(0);
    let page = format!("{}/update/{JOB}/", scene.cluster.uri());
    let expected = [
        "This job update will:\nadd instances: [4]\nupdate instances: [0-3]\nwith diff:\n",
        "\n  + [ 2 = bad ] && exit 3; exec sleep 1000\n",
        &format!("\nJob update has started. View your update progress at {page}"),
        "\nCurrent state ROLLING_FORWARD\n",
    ];
    for text in expected {
        assert!(ran.stdout.contains(text), "{text:?} is not in\n{}", ran.stdout);
    }
    assert!(ran.stdout.ends_with("Current state ROLLED_FORWARD\n"), "{}", ran.stdout);
    assert_eq!(scene.configs(), [2; 5]);
    scene
        .run(&start, &["version=2", "count=5"])
        .code(0)
        .says("not change instances: [0-4]")
        .says("Job is unchanged by proposed update.");

    // Some instances only.
    let some = format!("{KEY}/1,3");
    scene
        .run(&["update", "start", &some, "FILE", "--wait"], &["version=3", "count=5"])
        .code(0)
        .says("update instances: [1], [3]\n")
        .says("not change instances: [0], [2], [4]\n");
    assert_eq!(scene.configs(), [2, 3, 2, 3, 2]);
    let strict = ["update", "start", &format!("{KEY}/1,5-6"), "FILE", "--strict"];
    scene.run(&strict, &["count=7"]).code(6).says("Invalid instance parameter: [5, 6]");
}

#[test]
fn a_version_that_fails_is_rolled_back_and_says_why() {
    let scene = Scene::new();
    scene
        .run(&["update", "start", KEY, "FILE", "--wait"], &["version=bad"])
        .code(4)
        .says("Current state ROLLING_BACK\n")
        .says("Current state ROLLED_BACK\n")
        .says("The update ended as ROLLED_BACK: Latest failure: instance ")
        .says("exited (FAILED: ")
        .says("Every instance has again what it had before.\n")
        .says(&format!("Logs of the run that failed: {}/task/www-data-", scene.cluster.uri()));
    scene.cluster.reaches(JOB, "RUNNING", 4);
    assert_eq!(scene.configs(), [1; 4]);

    let list = scene.json(&["update", "list", "devcluster", "--status", "failed"]);
    let id = list[0]["id"].as_str().unwrap();
    assert_eq!((&list[0]["job"], &list[0]["status"]), (&KEY.into(), &"ROLLED_BACK".into()));
    scene.cluster.airglow(&["update", "wait", KEY, id]).code(4).says("Current state ROLLED_BACK\n");
    scene
        .cluster
        .airglow(&["update", "info", KEY, id])
        .code(0)
        .says(&format!("Job: {KEY}, UpdateID: {id}\nStarted "))
        .says("Current status: ROLLED_BACK\n")
        .says("  Status: ROLLING_BACK at ")
        .says("      message: Latest failure: instance ")
        .says(": INSTANCE_UPDATE_FAILED\n")
        .says(": INSTANCE_ROLLED_BACK\n");
    let info = scene.json(&["update", "info", KEY, id]);
    let statuses: Vec<_> =
        info["update_events"].as_array().unwrap().iter().map(|it| &it["status"]).collect();
    assert_eq!(statuses, ["ROLLING_FORWARD", "ROLLING_BACK", "ROLLED_BACK"]);
    assert!(info["instance_update_events"][0]["action"] == "INSTANCE_UPDATING", "{info}");
    scene.cluster.airglow(&["update", "info", KEY]).code(6).says("There is no active update");
    scene.cluster.airglow(&["update", "info", KEY, "x"]).code(6).says("Job update not found.");
    scene.cluster.airglow(&["update", "wait", KEY, "x"]).code(6).says("Job update not found.");
}

#[test]
fn a_job_that_is_being_updated_is_left_alone_and_says_what_to_do() {
    let scene = Scene::new();
    let cluster = &scene.cluster;
    let id = scene.begin_endless();
    let hint = "Run 'airglow update abort' or wait for the active update to finish";
    for verb in [
        &["job", "add", &format!("{KEY}/0"), "1"][..],
        &["job", "kill", &format!("{KEY}/0")],
        &["job", "killall", KEY],
        &["job", "restart", KEY, "--watch-secs", "0"],
    ] {
        cluster.airglow(verb).code(10).says(&format!("(update {id})")).says(hint);
    }
    scene.run(&["job", "create", KEY, "FILE"], &[]).code(4).says(hint);
    let again = ["update", "start", KEY, "FILE"];
    scene.run(&again, &["version=3"]).code(10).says("Failed to start update due to").says(hint);
    let dry_run = [&again[..], &["--dry-run"]].concat();
    scene.run(&dry_run, &["version=3"]).code(11).says("The update would be refused:").says(hint);
    scene.run(&["job", "diff", KEY, "FILE"], &["version=2"]).code(0);

    let steer = |verb: &str| cluster.airglow(&["update", verb, KEY, "-m", "because"]);
    steer("pause").code(0).says("Update has been paused.\n");
    let listed = cluster.succeeds(&["update", "list", "devcluster/www-data", "--status", "paused"]);
    assert!(listed.starts_with("JOB   ") && listed.contains("ROLL_FORWARD_PAUSED"), "{listed}");
    steer("resume").code(0).says("Update has been resumed.\n");
    assert_eq!(cluster.succeeds(&["update", "list", KEY, "--status", "paused"]), "");
    steer("abort").code(0).says("Update has been aborted.\n");
    let none = "No active update found for this job.";
    for verb in ["pause", "resume", "abort", "rollback"] {
        steer(verb).code(6).says(none);
    }
    cluster.airglow(&["update", "pulse", KEY]).code(6).says(none);
    cluster.airglow(&["update", "wait", KEY, &id]).code(20).says("ended as ABORTED: because");
    cluster.airglow(&["job", "killall", KEY, "--no-batching"]).code(0);
}

#[test]
fn what_was_rolled_back_by_hand_is_as_it_was() {
    let key = "devcluster/www-data/test/careful";
    let scene = Scene::of("careful", 2);
    scene.run(&["update", "start", key, "FILE"], &["version=2", "count=2"]).code(0);
    let paused = ["update", "list", key, "--status", "ROLL_FORWARD_PAUSED"];
    eventually("it pauses after a batch", || {
        (!scene.cluster.succeeds(&paused).is_empty()).then_some(())
    });
    scene
        .cluster
        .airglow(&["update", "rollback", key, "--wait", "-m", "worse"])
        .code(0)
        .says("Update rollback has started.\n")
        .says("Current state ROLLED_BACK\n");
    let instances = scene.cluster.instances("www-data/test/careful");
    assert!(instances.iter().all(|it| it["config"] == 1), "{instances:?}");
    let updates = scene.json(&["update", "list", key]);
    let info = ["update", "info", key, updates[0]["id"].as_str().unwrap()];
    scene.cluster.airglow(&info).code(0).says("      message: worse\n");
}

#[test]
fn a_dry_run_changes_nothing_and_says_whether_it_would_fit() {
    let scene = Scene::new();
    let start = ["update", "start", KEY, "FILE", "--dry-run"];
    let ran = scene.run(&start, &["version=2", "count=6"]).code(0);
    for text in [
        "add instances: [4-5]\nupdate instances: [0-3]\nwith diff:\n",
        "\nHOST       COUNT  INSTANCES\nscheduler  6      0-5\n",
        "\nEverything that is new fits now.\n",
        "\nQuota of www-data: none is set\n",
    ] {
        assert!(ran.stdout.contains(text), "{text:?} is not in\n{}", ran.stdout);
    }
    scene
        .run(&start, &["cores=20", "count=3"])
        .code(0)
        .says("remove instances: [3]\nupdate instances: [0-2]\n");
    scene
        .run(&start, &["cores=30"])
        .code(11)
        .says("2 instances would stay PENDING (2-3): no host fits, of 1 host.")
        .says("Insufficient: CPU on 1 host");
    scene.run(&start, &[]).code(0).says("Nothing would change.");
    scene.run(&[&start[..], &["--wait"]].concat(), &[]).code(2);
    assert_eq!(scene.configs(), [1; 4]);
    assert_eq!(scene.cluster.succeeds(&["update", "list", "devcluster"]), "");
    scene.cluster.succeeds(&["quota", "set", "devcluster/www-data", "1", "1g", "1g"]);
    scene.run(&start, &["cores=2"]).code(11).says("The update would be refused:").says("CPU quota");
    scene.run(&["update", "start", KEY, "FILE"], &["cores=2"]).code(10).says("CPU quota");
}

#[test]
fn what_cannot_be_updated_is_refused_before_anything_is_asked() {
    let scene = Scene::new();
    let start = |name: &str| {
        scene.run(&["update", "start", &format!("devcluster/www-data/test/{name}"), "FILE"], &[])
    };
    start("nightly").code(4).says("Cron jobs may only be updated with");
    start("hopeless").code(3).says("Error loading configuration: ");
    scene.run(&["update", "start", &format!("{KEY}/7"), "FILE"], &[]).code(10).says("instances 7");
    scene.cluster.airglow(&["update", "list", "west"]).code(3).says("Unknown cluster: west");
}

#[test]
fn a_difference_is_told_before_anything_is_done() {
    let scene = Scene::new();
    let diff = ["job", "diff", KEY, "FILE"];
    let told = scene.run(&diff, &["version=2", "count=3"]).code(0).stdout;
    assert!(
        told.starts_with("This job update will:\nremove instances: [3]\nupdate instances: [0-2]\n"),
        "{told}"
    );
    assert!(told.contains("  - [ 1 = bad ]") && told.contains("  + [ 2 = bad ]"), "{told}");
    let same = "This job update will:\nnot change instances: [0-3]\n";
    assert_eq!(scene.run(&diff, &[]).code(0).stdout, same);
    let some = ["job", "diff", &format!("{KEY}/0,9"), "FILE"];
    scene.run(&some, &[]).code(6).says("Invalid instance parameter: [9]");
    let other = ["job", "diff", "devcluster/www-data/test/other", "FILE"];
    scene.run(&other, &["count=2"]).code(0).says("add instances: [0-1]\n");
    assert_eq!(scene.run(&[&other[..], &["--from", KEY]].concat(), &[]).code(0).stdout, same);

    let view = |viewer: &str| {
        let mut command = airglow(scene.cluster.root());
        command.env("AIRGLOW_SCHEDULER_URI", scene.cluster.uri()).env("DIFF_VIEWER", viewer);
        let binds = ["version=2", "count=4", "watch=1", "cores=0.001"];
        command
            .args(["job", "diff", KEY, &scene.file])
            .args(binds.map(|it| format!("--bind={it}")));
        Ran::new(&["job", "diff", viewer], &command.output().unwrap())
    };
    view("diff -u").code(0).says("@@").says("with diff:\n");
    view("diff --nonsense").code(4).says("Error running diff: ");
    assert_eq!(scene.configs(), [1; 4]);
}

#[test]
fn a_coordinated_update_waits_for_pulses() {
    let key = "devcluster/www-data/test/beaten";
    let scene = Scene::of("beaten", 2);
    scene.run(&["update", "start", key, "FILE"], &["version=2", "count=2"]).code(0);
    let blocked = ["update", "list", "devcluster", "--status", "blocked"];
    assert_eq!(scene.json(&blocked)[0]["status"], "ROLL_FORWARD_AWAITING_PULSE");
    assert_eq!(scene.cluster.succeeds(&["update", "pulse", key]), "OK\n");
    let wait = scene.cluster.airglow(&["update", "wait", key]);
    assert!(wait.stdout.is_empty() || wait.stdout.ends_with("Current state ROLLED_FORWARD\n"));
    scene.cluster.airglow(&["update", "pulse", key]).code(6);
}
