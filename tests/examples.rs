use std::{
    collections::BTreeMap,
    ffi::OsStr,
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use nix::{sys::signal::Signal, unistd::Pid};
use tempfile::TempDir;

use crate::cluster::{
    self, Cluster, Ran, airglow, end_all_below, eventually, example, fetch, files_below,
    free_ports, processes_below,
};

/// `airglow dev` in a folder of its own.
struct Dev {
    home: TempDir,
    /// The mesh is on the next one.
    port: u16,
}

impl Dev {
    fn new() -> Self {
        Self { home: TempDir::new().unwrap(), port: free_ports(2) }
    }

    fn data(&self) -> PathBuf {
        self.home.path().join("data")
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = airglow(self.home.path());
        command.arg("dev").arg("--data").arg(self.data()).args(["--port", &self.port.to_string()]);
        command.args(args);
        command
    }

    fn once(&self, file: &str) -> Ran {
        let output = self.command(&["--once", &example(file)]).output().unwrap();
        let ran = Ran::new(&["dev", "--once", file], &output);
        assert_eq!(processes_below(self.home.path()), [], "dev --once left processes behind");
        ran
    }

    /// The only file of that name in any sandbox.
    fn sandbox_file(&self, name: &str) -> Option<String> {
        let files = files_below(&self.data());
        let file = files.iter().find(|it| it.file_name().is_some_and(|it| it == name))?;
        fs::read_to_string(file).ok()
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        end_all_below(self.home.path());
    }
}

#[test]
fn hello_world_runs_in_dev_until_ctrl_c_which_leaves_nothing_behind() {
    let dev = Dev::new();
    let mut child = dev
        .command(&[&example("hello_world")])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut told = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let uri = format!("http://127.0.0.1:{}", dev.port);
    assert!(told.any(|line| line.contains(&uri)), "the page's address is told");
    eventually("hello world is RUNNING", || {
        let job = fetch(&format!("{uri}/api/v1/jobs/www-data/prod/hello"))?;
        job.contains("\"RUNNING\"").then_some(())
    });
    let key = format!("{}/www-data/prod/hello/0", cluster::CLUSTER);
    eventually("its output is reachable", || {
        let mut command = airglow(dev.home.path());
        command.args(["--scheduler-uri", &uri, "task", "logs", &key]);
        let output = command.output().unwrap();
        String::from_utf8_lossy(&output.stdout).contains("hello world").then_some(())
    });
    assert!(fetch(&format!("{uri}/scheduler/www-data/prod/hello")).unwrap().contains("hello"));

    nix::sys::signal::kill(Pid::from_raw(child.id().try_into().unwrap()), Signal::SIGINT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_eq!(processes_below(dev.home.path()), [], "Ctrl-C left processes behind");
}

#[test]
fn hello_world_once_exits_with_0() {
    Dev::new().once("hello_world").code(0);
}

#[test]
fn a_failing_one_shot_is_cleaned_up_after() {
    let dev = Dev::new();
    dev.once("cleanup").code(1).says("FAILED");
    assert_eq!(dev.sandbox_file("unlocked").as_deref(), Some("unlocked\n"));
    assert_eq!(dev.sandbox_file("build.lock"), None);
    assert_eq!(dev.sandbox_file("published"), None);
}

#[test]
fn the_sine_table_is_a_table_of_sines() {
    let dev = Dev::new();
    dev.once("mapreduce").code(0);
    let table = dev.sandbox_file("sine_table.txt").expect("the reducer wrote it");
    let rows: Vec<(f64, f64)> = table
        .lines()
        .map(|line| {
            let (degrees, sine) = line.trim().split_once(' ').unwrap();
            (degrees.parse().unwrap(), sine.parse().unwrap())
        })
        .collect();
    assert_eq!(rows.len(), 180);
    for (i, (degrees, sine)) in rows.into_iter().enumerate() {
        assert_eq!(degrees, i as f64);
        assert!((sine - degrees.to_radians().sin()).abs() < 1e-6, "sin {degrees} is not {sine}");
    }
    let temporary = files_below(&dev.data());
    let temporary = temporary.iter().filter(|it| it.to_string_lossy().contains("temp.sine"));
    assert_eq!(temporary.collect::<Vec<_>>(), Vec::<&PathBuf>::new());
}

/// `(begin, end)` of every run of every process of a task.
fn runs(detail: &serde_json::Value) -> Vec<(u64, u64)> {
    let processes = detail["processes"].as_array().unwrap().iter();
    let runs = processes.flat_map(|it| it["runs"].as_array().unwrap());
    runs.filter_map(|it| Some((it["started_at"].as_u64()?, it["ended_at"].as_u64()?))).collect()
}

#[test]
fn no_more_mappers_run_at_once_than_allowed() {
    let cluster = Cluster::start();
    let key = "devcluster/www-data/devel/sine_table";
    cluster.succeeds(&["job", "create", key, &example("mapreduce"), "--wait-until", "FINISHED"]);
    let instances = cluster.instances("www-data/devel/sine_table");
    let task_id = instances[0]["task_id"].as_str().unwrap();
    let runs = runs(&cluster.get(&format!("/tasks/{task_id}")));
    assert_eq!(runs.len(), 181);
    for &(now, _) in &runs {
        let at_once = runs.iter().filter(|&&(begin, end)| begin <= now && now < end).count();
        assert!(at_once <= 8, "{at_once} at once");
    }
}

#[test]
fn ten_failed_runs_are_one_failed_process_and_the_task_tolerates_it() {
    let cluster = Cluster::start();
    let key = "devcluster/www-data/test/retries";
    cluster.succeeds(&["job", "create", key, &example("retries"), "--wait-until", "FINISHED"]);
    let task = &cluster.instances("www-data/test/retries")[0];
    assert_eq!(task["status"], "FINISHED");
    let detail = cluster.get(&format!("/tasks/{}", task["task_id"].as_str().unwrap()));
    let ends: BTreeMap<&str, Vec<&str>> = detail["processes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|process| {
            let runs = process["runs"].as_array().unwrap();
            let states = runs.iter().map(|it| it["state"].as_str().unwrap()).collect();
            (process["name"].as_str().unwrap(), states)
        })
        .collect();
    assert_eq!(ends["failing"], ["FAILED"; 10]);
    assert_eq!(ends["succeeding"], ["SUCCESS"]);
}

#[test]
fn both_ports_of_every_instance_answer() {
    let cluster = Cluster::start();
    let key = "devcluster/www-data/prod/two_ports";
    cluster.succeeds(&["job", "create", key, &example("two_ports"), "--wait-until", "RUNNING"]);
    let instances = cluster.instances("www-data/prod/two_ports");
    assert_eq!(instances.len(), 2);
    for (i, task) in instances.iter().enumerate() {
        let page = |port: &str| {
            let url = format!("http://127.0.0.1:{}/", task["ports"][port]);
            eventually(&format!("{url} answers"), || fetch(&url))
        };
        assert_eq!(page("http"), format!("hello from instance {i}"));
        assert_eq!(page("admin"), "ok");
    }
    let mut ports: Vec<u64> = instances
        .iter()
        .flat_map(|it| it["ports"].as_object().unwrap().values().map(|it| it.as_u64().unwrap()))
        .collect();
    ports.dedup();
    assert_eq!(ports.len(), 4, "every port is another");
}

#[test]
fn an_instance_is_running_once_it_is_healthy_and_is_asked_to_leave() {
    let cluster = Cluster::start();
    let key = "devcluster/www-data/prod/healthy";
    cluster.succeeds(&["job", "create", key, &example("healthy"), "--wait-until", "RUNNING"]);
    let events = cluster.succeeds(&["job", "status", key]);
    assert!(events.contains("Task is healthy."), "{events}");
    let task = cluster.instances("www-data/prod/healthy")[0]["task_id"].clone();
    cluster.succeeds(&["job", "killall", key]);
    let log = format!("/tasks/{}/logs/server/0/stdout", task.as_str().unwrap());
    let url = format!("{}/api/v1{log}", cluster.uri());
    eventually("the last it was asked for is to leave", || {
        fetch(&url)?.ends_with("asked for /quitquitquit\n").then_some(())
    });
}

#[test]
fn one_template_makes_three_jobs() {
    let cluster = Cluster::start();
    let keys = ["devel", "staging1", "prod"].map(|it| format!("devcluster/www-data/{it}/greeting"));
    let listed = cluster.succeeds(&["config", "list", &example("fleet")]);
    assert_eq!(listed, format!("jobs=[{}]\n", keys.join(", ")));
    for key in &keys {
        cluster.succeeds(&["job", "create", key, &example("fleet"), "--wait-until", "RUNNING"]);
    }
    for (instance, greeting) in [
        ("devel/greeting/0", "hello from devel, instance 0"),
        ("staging1/greeting/0", "good day from staging1, instance 0"),
        ("prod/greeting/2", "welcome from prod, instance 2"),
    ] {
        eventually(greeting, || {
            let instance = format!("devcluster/www-data/{instance}");
            let logs = cluster.airglow(&["task", "logs", &instance]).stdout;
            logs.contains(greeting).then_some(())
        });
    }
}

#[test]
fn every_example_is_tried_here() {
    let here = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/examples.rs"));
    let here = here.unwrap();
    for file in files_below(&Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/examples")) {
        let name = file.file_stem().unwrap().to_str().unwrap().to_owned();
        // What another example includes is tried with it; what runs by the clock, in `cron`; what
        // needs no cluster, in `run_verb` and `operating`.
        let needs_none = |it: &OsStr| it == "thermos" || it == "yaml";
        let elsewhere = ["greeting", "cron"].contains(&name.as_str())
            || file.extension().is_some_and(needs_none);
        let tried = elsewhere || here.contains(&format!("\"{name}\""));
        assert!(tried, "no test submits {name}");
    }
}
