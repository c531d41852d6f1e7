use std::{
    collections::BTreeSet,
    fs,
    net::TcpListener,
    process::{Command, Stdio},
};

use serde_json::{Value, json};

use crate::cluster::{
    Cluster, Ran, airglow, eventually, example, fetch, files_below, free_port, jobs_of, spec,
};

/// A good job with one thing changed in it, and the complaints that it earns.
fn malformed() -> Vec<(Value, Vec<&'static str>)> {
    let changed = |change: &dyn Fn(&mut Value)| {
        let mut job = spec("bad", "true", 1, false);
        change(&mut job);
        job
    };
    vec![
        (json!({}), vec!["/cluster", "/role", "/task"]),
        (json!([]), vec![""]),
        (json!("job"), vec![""]),
        (changed(&|it| it["colour"] = "red".into()), vec!["/colour"]),
        (changed(&|it| it["instances"] = 0.into()), vec!["/instances"]),
        (changed(&|it| it["instances"] = "many".into()), vec!["/instances"]),
        (changed(&|it| it["role"] = "a b".into()), vec!["/role"]),
        (changed(&|it| it["name"] = "a/b".into()), vec!["/name"]),
        (changed(&|it| it["task"]["processes"] = json!([])), vec!["/task/processes"]),
        (
            changed(&|it| it["task"]["processes"][0]["nmae"] = "x".into()),
            vec!["/task/processes/0/nmae"],
        ),
        (
            changed(&|it| it["task"]["processes"][0]["name"] = ".hidden".into()),
            vec!["/task/processes/0/name"],
        ),
        (
            changed(&|it| it["task"]["resources"] = json!({ "cpu": 0, "ram": 0, "disk": -1 })),
            vec!["/task/resources"],
        ),
        (
            changed(&|it| it["constraints"] = json!({ "rack": "limit:x" })),
            vec!["/constraints/rack"],
        ),
        (
            changed(&|it| {
                it["instances"] = (-1).into();
                it["what"] = 1.into();
                it["task"]["max_failures"] = "none".into();
            }),
            vec!["/what", "/task/max_failures"],
        ),
    ]
}

#[test]
fn every_malformed_job_is_refused_with_all_complaints_and_changes_nothing() {
    let cluster = Cluster::start();
    for (job, places) in malformed() {
        // A good one beside it: all or nothing.
        let good = spec("good", "true", 1, false);
        let (status, problem) = cluster.post("/jobs", &jobs_of(&[good, job.clone()]));
        assert_eq!(status, 422, "{job}: {problem}");
        let errors = problem["errors"].as_array().expect("there are complaints");
        for place in places {
            let pointer = format!("/jobs/1{place}");
            let told =
                errors.iter().any(|it| it["pointer"].as_str().unwrap().starts_with(&pointer));
            assert!(told, "{job}: nothing about {pointer} in {problem}");
        }
        assert!(errors.iter().all(|it| !it["detail"].as_str().unwrap().is_empty()), "{problem}");
    }
    for (body, expected) in [("", 400), ("{", 400), ("{}", 422), ("{\"jobs\": []}", 422)] {
        let (status, problem) = cluster.post("/jobs", body);
        assert_eq!(status, expected, "{body}: {problem}");
    }
    assert_eq!(cluster.get("/jobs")["items"], json!([]));
}

#[test]
fn orders_to_what_is_not_there_are_refused() {
    let cluster = Cluster::start();
    for order in ["kill", "restart"] {
        let (status, _) = cluster.post(&format!("/jobs/www-data/test/none/{order}"), "{}");
        assert_eq!(status, 404, "{order}");
    }
    let (status, _) = cluster.post("/jobs/www-data/test/none/instances", "{\"count\": 1}");
    assert_eq!(status, 404);
}

/// Runs a scheduler that is expected to give up at once.
fn gives_up(mut command: Command) -> Ran {
    let output = command.stdin(Stdio::null()).output().unwrap();
    assert!(!output.status.success(), "it started");
    Ran::new(&["agent", "--scheduler"], &output)
}

#[test]
fn a_corrupted_database_is_named_and_left_alone() {
    let mut cluster = Cluster::start();
    cluster.post("/jobs", &jobs_of(&[spec("kept", "exec sleep 1000", 1, true)]));
    cluster.reaches("www-data/test/kept", "RUNNING", 1);
    cluster.kill_9("scheduler");
    let files = files_below(&cluster.data("scheduler").join("scheduler"));
    let database = files.iter().max_by_key(|it| fs::metadata(it).unwrap().len()).unwrap();
    let good = fs::read(database).unwrap();

    let mut bad = good.clone();
    bad[..4096.min(good.len())].fill(0x5a);
    for content in [&bad[..], b"not a database at all", b"{}"] {
        fs::write(database, content).unwrap();
        gives_up(cluster.agent("scheduler")).says(database.to_str().unwrap());
        assert_eq!(fs::read(database).unwrap(), content, "the file was touched");
    }

    fs::write(database, good).unwrap();
    cluster.restart("scheduler");
    cluster.reaches("www-data/test/kept", "RUNNING", 1);
}

#[test]
fn a_port_in_use_is_named() {
    let mut cluster = Cluster::prepared();
    let occupied = TcpListener::bind(("127.0.0.1", cluster.api)).unwrap();
    let port = cluster.api.to_string();
    gives_up(cluster.scheduler()).says(&port);
    let args = ["dev", "--port", &port, &example("hello_world")];
    let output = airglow(cluster.root()).args(args).output().unwrap();
    Ran::new(&args, &output).code(1).says(&port);
    drop(occupied);
}

#[test]
fn two_schedulers_do_not_share_a_folder() {
    let cluster = Cluster::start();
    let config = cluster.file(
        "second.toml",
        &format!("api = \"127.0.0.1:{}\"\nmesh = \"127.0.0.1:{}\"\n", free_port(), free_port()),
    );
    let mut second = airglow(cluster.root());
    second.args(["agent", "--scheduler", "--config", &config]);
    second.arg("--data").arg(cluster.data("scheduler"));
    gives_up(second).says(cluster.data("scheduler").to_str().unwrap());
    assert!(cluster.get("/jobs")["items"].is_array(), "the first one does not mind");
}

/// A scheduler whose data is on a small disk of its own, which is saved to `rescued` in the end.
fn on_a_small_disk(cluster: &mut Cluster) -> Command {
    let agent = cluster.scheduler();
    let data = cluster.data("scheduler");
    let rescued = cluster.data("rescued");
    fs::create_dir_all(&data).unwrap();
    let (data, rescued) = (data.display(), rescued.display());
    let mut command = Command::new("unshare");
    if !nix::unistd::geteuid().is_root() {
        command.args(["--user", "--map-root-user"]);
    }
    command.args(["--mount", "bash", "-c"]);
    command.arg(format!(
        "mount -t tmpfs -o size=8m tmpfs {data} || exit 99
         \"$@\"; code=$?; cp -r {data} {rescued}; exit $code"
    ));
    command.arg("bash").arg(agent.get_program()).args(agent.get_args());
    command
}

/// Creates a job that takes some room in the database and is never placed.
fn create_large(cluster: &Cluster, i: usize) -> bool {
    let cmdline = format!(": {}", "x".repeat(100_000));
    let mut job = spec(&format!("j{i}"), &cmdline, 1, false);
    job["constraints"] = json!({ "host": "nowhere" });
    let agent: ureq::Agent =
        ureq::Agent::config_builder().http_status_as_error(false).build().into();
    let url = format!("{}/api/v1/jobs", cluster.uri());
    agent.post(url).send_json(json!({ "jobs": [job] })).is_ok_and(|it| it.status() == 201)
}

#[test]
fn a_full_disk_stops_the_scheduler_with_a_clear_error_and_loses_nothing() {
    let mut cluster = Cluster::prepared();
    let log = cluster.root().join("full.log");
    let mut command = on_a_small_disk(&mut cluster);
    command.stdin(Stdio::null()).stderr(fs::File::create(&log).unwrap());
    let mut child =
        command.spawn().unwrap_or_else(|error| panic!("unshare: {error}; see tests/run"));
    let told = || fs::read_to_string(&log).unwrap();
    eventually("the scheduler answers", || {
        if let Some(status) = child.try_wait().unwrap() {
            panic!("{status}: {}", told());
        }
        fetch(&format!("{}/health", cluster.uri()))
    });
    let acknowledged = (0..10_000).take_while(|&i| create_large(&cluster, i)).count();
    assert!(acknowledged > 10, "there is room at first, but {acknowledged} were all");

    let ended = eventually("the scheduler has ended", || child.try_wait().unwrap());
    assert!(!ended.success(), "{ended}");
    assert!(told().contains("No space left on device"), "{}", told());

    // On a disk with room everything that was acknowledged is there.
    fs::remove_dir(cluster.data("scheduler")).unwrap();
    fs::rename(cluster.data("rescued"), cluster.data("scheduler")).unwrap();
    cluster.restart("scheduler");
    let jobs = cluster.get("/jobs");
    let names: BTreeSet<&str> =
        jobs["items"].as_array().unwrap().iter().map(|it| it["name"].as_str().unwrap()).collect();
    for i in 0..acknowledged {
        assert!(names.contains(format!("j{i}").as_str()), "j{i} was acknowledged and is lost");
    }
}
