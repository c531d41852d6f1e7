use std::fs;

use tempfile::TempDir;

use crate::cluster::{
    Cluster, Ran, airglow, eventually, free_port, jobs_of, processes_below, spec,
};

const SLEEPERS: &str = "
jobs = [
  Service(
    cluster = 'devcluster', role = 'www-data', environment = 'test', name = 'sleepers',
    instances = 4,
    task = SimpleTask('sleep', 'echo started; exec sleep {{secs}}')(
      resources = Resources(cpu = 0.001, ram = 4 * MB, disk = 1 * MB))),
  Job(
    cluster = 'devcluster', role = 'www-data', environment = 'test', name = 'nightly',
    cron_schedule = '0 0 * * *',
    task = SimpleTask('sleep', 'true')),
]
";

const KEY: &str = "devcluster/www-data/test/sleepers";
const JOB: &str = "www-data/test/sleepers";

/// A cluster with four sleepers in it, and the file that they are from.
fn sleepers() -> (Cluster, String) {
    let cluster = Cluster::start();
    let file = cluster.file("sleepers.aurora", SLEEPERS);
    let bind = ["--bind", "secs=1000"];
    let create = ["job", "create", KEY, &file, "--wait-until", "RUNNING"];
    let told = cluster.succeeds(&[&create[..], &bind[..]].concat());
    assert_eq!(told, format!("Job create succeeded: job url={}/scheduler/{JOB}\n", cluster.uri()));
    cluster.reaches(JOB, "RUNNING", 4);
    (cluster, file)
}

#[test]
fn creating_tells_what_is_in_the_way() {
    let (cluster, file) = sleepers();
    let create = |args: &[&str]| cluster.airglow(&[&["job", "create"], args].concat());
    let bind = ["--bind", "secs=1"];
    create(&[&[KEY, &file], &bind[..]].concat()).code(4).says("Job creation failed due to error:");
    let nightly = "devcluster/www-data/test/nightly";
    create(&[&[nightly, &file], &bind[..]].concat())
        .code(4)
        .says("Cron jobs may only be scheduled with");
    // Nothing is bound to {{secs}}.
    create(&[KEY, &file]).code(3).says("Error loading configuration: ").says("secs");
    create(&["devcluster/www-data/test/other", &file, "--bind", "secs=1"]).code(3);
    create(&[KEY, &file, "--bind", "secs"]).code(2).says("must be formatted name=value");
    create(&["a/b/c", &file]).code(2);
    create(&[KEY, "/nowhere.aurora"]).code(3).says("/nowhere.aurora");
}

#[test]
fn status_shows_instances_as_text_and_as_json() {
    let (cluster, _) = sleepers();
    let text = cluster.succeeds(&["job", "status", KEY]);
    assert!(text.contains("Active tasks (4):"), "{text}");
    assert!(
        text.contains("Task role: www-data, env: test, name: sleepers, instance: 3, status: RUNNING on scheduler"),
        "{text}"
    );
    let json = cluster.succeeds(&["job", "status", KEY, "--write-json"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json[0]["job"], KEY);
    let active = json[0]["active"].as_array().unwrap();
    let instances: Vec<_> = active.iter().map(|it| &it["assignedTask"]["instanceId"]).collect();
    assert_eq!(instances, [0, 1, 2, 3]);
    assert!(active.iter().all(|it| it["status"] == "RUNNING"));
    assert!(active[0]["taskEvents"].as_array().unwrap().iter().any(|it| it["status"] == "PENDING"));

    let missing = "devcluster/www-data/test/nothing";
    cluster
        .airglow(&["job", "status", missing])
        .code(6)
        .says(&format!("Found no jobs matching {missing}"));
    let json = cluster.succeeds(&["job", "status", missing, "--write-json"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["error"], "No matching jobs found");
    cluster
        .airglow(&["job", "status", "elsewhere/www-data/test/sleepers"])
        .code(3)
        .says("Unknown cluster: elsewhere");
}

#[test]
fn listing_understands_wildcards() {
    let (cluster, _) = sleepers();
    for pattern in ["devcluster", "*", "devcluster/www-*", "*/*/test/sle?pers", KEY] {
        assert_eq!(cluster.succeeds(&["job", "list", pattern]), format!("{KEY}\n"), "{pattern}");
    }
    for pattern in ["devcluster/www", "*/*/prod"] {
        assert_eq!(cluster.succeeds(&["job", "list", pattern]), "", "{pattern}");
    }
    cluster.airglow(&["job", "list", "a/b/c/d/e"]).code(2);
}

#[test]
fn killing_goes_by_batches_and_says_what_it_did() {
    let (cluster, _) = sleepers();
    cluster.airglow(&["job", "kill", KEY]).code(6).says("use killall to kill all instances");
    cluster
        .airglow(&["job", "kill", &format!("{KEY}/2,7"), "--strict"])
        .code(6)
        .says("Invalid instance parameter: [7]");
    cluster
        .airglow(&["job", "kill", &format!("{KEY}/0,2"), "-m", "no longer wanted"])
        .code(0)
        .says("Successfully killed instances [0]")
        .says("Successfully killed instances [2]")
        .says("Job kill succeeded");
    cluster.reaches(JOB, "RUNNING", 2);
    let status = cluster.succeeds(&["job", "status", KEY]);
    assert!(status.contains("no longer wanted"), "{status}");

    cluster
        .airglow(&["job", "killall", KEY, "--no-batching"])
        .code(0)
        .says("Job killall succeeded");
    let counts = cluster.counts(JOB);
    assert_eq!(counts["RUNNING"], serde_json::Value::Null, "{counts}");
    assert_eq!(processes_below(&cluster.data("scheduler").join("agent").join("tasks")), []);
    // Whoever mistypes a key must not be told that it was killed.
    cluster.airglow(&["job", "killall", KEY]).code(4).says("No tasks to kill found for job");
}

#[test]
fn waiting_is_for_the_new_runs_of_a_job_that_is_created_again() {
    let (cluster, file) = sleepers();
    cluster.succeeds(&["job", "killall", KEY, "--no-batching"]);
    let file = {
        let text = fs::read_to_string(&file).unwrap().replace("Service(", "Job(");
        cluster.file("again.aurora", &text)
    };
    let create = ["job", "create", KEY, &file, "--bind", "secs=1", "--wait-until", "FINISHED"];
    cluster.succeeds(&create);
    assert_eq!(cluster.counts(JOB)["FINISHED"], 4);
}

#[test]
fn adding_makes_more_of_the_same() {
    let (cluster, _) = sleepers();
    let like = format!("{KEY}/0");
    cluster
        .airglow(&["job", "add", &like, "2", "--wait-until", "RUNNING"])
        .code(0)
        .says("Added instances [4, 5]");
    cluster.reaches(JOB, "RUNNING", 6);
    cluster
        .airglow(&["job", "add", &format!("{KEY}/9"), "1"])
        .code(6)
        .says("Invalid instance parameter: [9]");
    cluster.airglow(&["job", "add", KEY, "1"]).code(2);
    cluster.airglow(&["job", "add", &like, "0"]).code(2);
}

#[test]
fn restarting_replaces_every_run_and_watches_it() {
    let (cluster, _) = sleepers();
    let ids = || -> Vec<String> {
        let tasks = cluster.instances(JOB);
        tasks.iter().map(|it| it["task_id"].as_str().unwrap().to_owned()).collect()
    };
    let before = ids();
    cluster
        .airglow(&["job", "restart", KEY, "--watch-secs", "0", "--batch-size", "2"])
        .code(0)
        .says(&format!("Job {KEY} restarted successfully"));
    cluster.reaches(JOB, "RUNNING", 4);
    assert!(ids().iter().all(|id| !before.contains(id)), "{before:?}");
    cluster.airglow(&["job", "restart", KEY, "--max-total-failures", "-1"]).code(6);
    cluster.airglow(&["job", "restart", &format!("{KEY}/9"), "--strict"]).code(6);
    cluster.airglow(&["job", "restart", &format!("{KEY}/9")]).code(0).says("nothing to restart");
    cluster.airglow(&["job", "why", &format!("{KEY}/9")]).code(6).says("has no such instance");
    cluster.airglow(&["host", "list", "west"]).code(3).says("Unknown cluster: west");
    cluster.airglow(&["job", "restart", "devcluster/www-data/test/nothing"]).code(6);
}

#[test]
fn logs_are_told_by_process_run_and_stream() {
    let cluster = Cluster::start();
    let mut job = spec("talk", "", 1, false);
    job["task"]["processes"] = serde_json::json!([
        { "name": "one", "cmdline": "echo out; echo err >&2" },
        { "name": "two", "cmdline": "[ -e again ] && echo again || { touch again; echo once; exit 1; }",
          "max_failures": 2, "min_duration": 0 },
    ]);
    let (status, answer) = cluster.post("/jobs", &jobs_of(&[job]));
    assert_eq!(status, 201, "{answer}");
    cluster.reaches("www-data/test/talk", "FINISHED", 1);
    let logs = |args: &[&str]| {
        let key = ["task", "logs", "devcluster/www-data/test/talk"];
        cluster.succeeds(&[&key[..], args].concat())
    };
    assert_eq!(logs(&["--process", "one"]), "out\n");
    assert_eq!(logs(&["--process", "one", "--stderr"]), "err\n");
    assert_eq!(logs(&["--process", "two"]), "again\n");
    assert_eq!(logs(&["--process", "two", "--run", "0"]), "once\n");
    assert_eq!(logs(&["--process", "one", "--follow"]), "out\n");
    let all = logs(&[]);
    assert!(all.contains("==> one (run 0) <==\nout\n"), "{all}");
    assert!(all.contains("==> two (run 1) <==\nagain\n"), "{all}");
    cluster
        .airglow(&["task", "logs", "devcluster/www-data/test/talk", "--process", "three"])
        .code(6)
        .says("It has one, two");
}

#[test]
fn between_two_runs_the_log_is_that_of_the_earlier_one() {
    let cluster = Cluster::start();
    cluster.post("/jobs", &jobs_of(&[spec("fall", "echo said; exit 1", 1, true)]));
    cluster.reaches("www-data/test/fall", "THROTTLED", 1);
    cluster
        .airglow(&["task", "logs", "devcluster/www-data/test/fall"])
        .code(0)
        .says("said")
        .says("this is its run before");
}

#[test]
fn the_same_job_in_two_files_is_refused_before_anything_starts() {
    let home = TempDir::new().unwrap();
    fs::write(home.path().join("a.aurora"), SLEEPERS).unwrap();
    let args = ["dev", "a.aurora", "a.aurora", "--bind", "secs=1", "--port", "0"];
    let ran = airglow(home.path()).current_dir(home.path()).args(args).output().unwrap();
    Ran::new(&args, &ran).code(3).says("is there twice: in a.aurora and in a.aurora");
}

#[test]
fn a_followed_log_is_told_as_it_grows() {
    let cluster = Cluster::start();
    let job =
        spec("grow", "echo first; while ! [ -e go ]; do sleep 0.05; done; echo last", 1, false);
    cluster.post("/jobs", &jobs_of(&[job]));
    cluster.reaches("www-data/test/grow", "RUNNING", 1);
    let mut command = airglow(cluster.root());
    command.args(["--scheduler-uri", &cluster.uri()]);
    command.args(["task", "logs", "--follow", "devcluster/www-data/test/grow"]);
    let out = cluster.root().join("followed");
    command.stdout(fs::File::create(&out).unwrap());
    let mut child = command.spawn().unwrap();
    let followed = || fs::read_to_string(&out).unwrap();
    eventually("the first line is told", || (followed() == "first\n").then_some(()));
    let sandbox = crate::cluster::files_below(&cluster.data("scheduler"))
        .into_iter()
        .find(|it| it.ends_with(".logs/main/0/stdout"))
        .expect("it has a log");
    fs::write(sandbox.ancestors().nth(4).unwrap().join("go"), "").unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_eq!(followed(), "first\nlast\n");
}

#[test]
fn a_file_of_json_or_yaml_does_as_well() {
    let cluster = Cluster::start();
    let job = spec("data", "exec sleep 1000", 1, true);
    let json = cluster.file("jobs", &serde_json::to_string(&job).unwrap());
    let key = "devcluster/www-data/test/data";
    let listed = cluster.succeeds(&["config", "list", &json, "--read-json"]);
    assert_eq!(listed, format!("jobs=[{key}]\n"));
    cluster.succeeds(&["job", "create", key, &json, "--read-json", "--wait-until", "RUNNING"]);
    let inspected = cluster.succeeds(&["job", "inspect", key, &json, "--read-json"]);
    assert!(inspected.contains("Process 'main':"), "{inspected}");
    assert!(inspected.contains("    exec sleep 1000"), "{inspected}");
    let raw = cluster.succeeds(&["job", "inspect", key, &json, "--read-json", "--write-json"]);
    let raw: serde_json::Value = serde_json::from_str(&raw).unwrap();
    assert_eq!(raw["health_check_config"]["interval_secs"], 10.0, "defaults are filled in");
}

#[test]
fn a_file_with_mistakes_is_told_with_its_line() {
    let home = TempDir::new().unwrap();
    let file = home.path().join("broken.aurora");
    fs::write(&file, "a = 1\njobs = [Job(nmae = 'x')]\n").unwrap();
    let args = ["config", "list", file.to_str().unwrap()];
    let output = airglow(home.path()).args(args).output().unwrap();
    Ran::new(&args, &output)
        .code(4)
        .says("Error loading configuration file: ")
        .says("nmae")
        .says("broken.aurora");
}

#[test]
fn clusters_come_from_clusters_json() {
    let (cluster, _) = sleepers();
    let home = cluster.root();
    let run = |args: &[&str]| Ran::new(args, &airglow(home).args(args).output().unwrap());
    fs::create_dir_all(home.join(".aurora")).unwrap();
    let entry =
        format!(r#"[{{"name": "devcluster", "scheduler_uri": "127.0.0.1:{}"}}]"#, cluster.api);
    fs::write(home.join(".aurora/clusters.json"), entry).unwrap();
    run(&["job", "list", "devcluster"]).code(0).says(KEY);
    run(&["job", "list", "*"]).code(0).says(KEY);
    run(&["job", "list", "west"]).code(3).says("Unknown cluster: west");
    fs::write(home.join(".aurora/clusters.json"), "{").unwrap();
    run(&["job", "list", "devcluster"]).code(3).says("clusters.json");
}

#[test]
fn without_a_scheduler_it_says_so_with_7() {
    let home = TempDir::new().unwrap();
    let uri = format!("http://127.0.0.1:{}", free_port());
    let args = ["--scheduler-uri", &uri, "job", "killall", "devcluster/www-data/test/x"];
    Ran::new(&args, &airglow(home.path()).args(args).output().unwrap())
        .code(7)
        .says("Cannot reach the scheduler")
        .says("Is it running?");
}

#[test]
fn hosts_are_listed() {
    let cluster = Cluster::with_agents(&["a2"]);
    let listed = cluster.succeeds(&["host", "list", "devcluster"]);
    for host in ["scheduler", "a2"] {
        let line = listed.lines().find(|it| it.starts_with(host));
        assert!(line.is_some_and(|it| it.contains("up")), "{listed}");
    }
    let json = cluster.succeeds(&["host", "list", "--write-json"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json.as_array().unwrap().len(), 2);
}

#[test]
fn completions_are_printed_for_every_shell() {
    let home = TempDir::new().unwrap();
    for shell in ["bash", "zsh", "fish"] {
        let args = ["completions", shell];
        let ran = Ran::new(&args, &airglow(home.path()).args(args).output().unwrap()).code(0);
        assert!(ran.stdout.contains("killall"), "{shell}");
    }
    Ran::new(&["--version"], &airglow(home.path()).arg("--version").output().unwrap())
        .code(0)
        .says(env!("CARGO_PKG_VERSION"));
}
