use serde_json::Value;

use crate::cluster::{Cluster, eventually, jobs_of, spec};

/// A job whose role has to have a quota for it.
fn production(name: &str, instances: u32) -> Value {
    let mut job = spec(name, "exec sleep 1000", instances, true);
    job["tier"] = "preferred".into();
    job
}

#[test]
fn a_role_gets_no_more_than_its_quota_until_that_is_raised() {
    let cluster = Cluster::start();
    let role = "devcluster/www-data";
    let told = cluster.succeeds(&["quota", "get", role]);
    assert!(told.starts_with("Allocated:\n  no quota is set\n"), "{told}");
    // An instance takes 0.001 cores, 4 MB of memory and 1 MB of disk.
    cluster.succeeds(&["quota", "set", role, "0.002", "8MB", "2MB"]);
    let (status, answer) = cluster.post("/jobs", &jobs_of(&[production("web", 2)]));
    assert_eq!(status, 201, "{answer}");
    let one_more = ["job", "add", "devcluster/www-data/test/web/0", "1"];
    cluster.reaches("www-data/test/web", "RUNNING", 2);
    cluster.airglow(&one_more).code(10).says("CPU quota exceeded by");
    cluster
        .airglow(&["quota", "set", role, "0.001", "8MB", "2MB"])
        .code(10)
        .says("Error setting quota for role www-data");

    let more = ["devcluster", "www-data", "0.001", "4MB", "1MB"];
    let told = cluster.succeeds(&[&["admin", "increase_quota"], &more[..]].concat());
    assert!(told.contains("CPU 0.003 core(s), RAM 12 MB, disk 3 MB"), "{told}");
    cluster.succeeds(&one_more);
    let told = cluster.succeeds(&["quota", "get", role]);
    assert!(
        told.contains("Production shared pool resources consumed:\n  CPU: 0.003 core(s)"),
        "{told}"
    );
    let json: Value =
        serde_json::from_str(&cluster.succeeds(&["quota", "get", role, "--write-json"])).unwrap();
    assert_eq!(
        (&json["quota"]["ram_mb"], &json["prod_shared"]["ram_mb"]),
        (&12.into(), &12.into())
    );
    cluster.airglow(&["quota", "get", "west"]).code(2).says("must be a CLUSTER/NAME pair");
}

#[test]
fn an_operator_queries_a_cluster_as_ever() {
    let cluster = Cluster::start();
    cluster.post("/jobs", &jobs_of(&[production("web", 10), spec("one", "true", 1, false)]));
    cluster.reaches("www-data/test/web", "RUNNING", 10);
    cluster.reaches("www-data/test/one", "FINISHED", 1);
    let query =
        |args: &[&str]| cluster.airglow(&[&["admin", "query", "devcluster"], args].concat());
    let told = query(&["www-data", "web", "--shards", "0-2"]).code(0).stdout;
    assert_eq!(told, "www-data/web/0 RUNNING\nwww-data/web/1 RUNNING\nwww-data/web/2 RUNNING\n");
    let format = ["-l", "%name% on %slaveHost%: %ramMb% MB, %tier%"];
    let told = query(&[&["www-data", "web", "--shards", "0"], &format[..]].concat()).code(0).stdout;
    assert_eq!(told, "web on scheduler: 4 MB, preferred\n");
    query(&[]).code(1).says("say --force");
    query(&["www-data", "one", "--states", "finished"]).code(1);
    let told = query(&["--states", "finished", "--force"]).code(0).stdout;
    assert_eq!(told, "www-data/one/0 FINISHED\n");

    let found = cluster.succeeds(&["admin", "get_scheduler", "devcluster"]);
    assert_eq!(found, format!("Found leading scheduler at: {}\n", cluster.uri()));
    let config = cluster.succeeds(&["admin", "get_cluster_config", "devcluster", "--sh"]);
    assert!(config.contains(&format!("AURORA_CLUSTER_SCHEDULER_URI='{}'", cluster.uri())));

    let asked = "1 host was asked what it has; what differs is corrected as it answers.\n";
    for verb in ["reconcile-tasks", "reconcile_tasks"] {
        assert_eq!(cluster.succeeds(&["admin", verb, "devcluster"]), asked);
    }
    let one = ["admin", "reconcile-tasks", "devcluster", "--host", "scheduler", "--write-json"];
    let json: Value = serde_json::from_str(&cluster.succeeds(&one)).unwrap();
    assert_eq!(json["asked"], 1);
    cluster
        .airglow(&["admin", "reconcile-tasks", "devcluster", "--host", "x"])
        .code(1)
        .says("host x is not connected");

    let up = ["sla", "get-task-up-count", "devcluster/www-data/test/web", "--durations", "0s,7d"];
    assert_eq!(cluster.succeeds(&up), "0s\t- 100.00 %\n7d\t- 0.00 %\n");
    let up = ["sla", "get-job-uptime", "devcluster/www-data/test/web", "--percentiles", "50,99.5"];
    let told = cluster.succeeds(&up);
    assert!(told.starts_with("99.5 percentile\t- "), "{told}");
    cluster.airglow(&["sla", "get-job-uptime", "devcluster/a/b/c", "--percentiles", "100"]).code(2);
    cluster.airglow(&["sla", "get-job-uptime", "devcluster/a/b/c"]).code(6);

    // All ten instances are on the one host that there is.
    let safe = ["admin", "sla_list_safe_domain", "devcluster", "50", "0s"];
    assert_eq!(cluster.succeeds(&safe), "");
    let probe = ["admin", "sla_probe_hosts", "devcluster", "50", "0s", "--hosts", "scheduler"];
    assert_eq!(
        cluster.succeeds(&probe),
        "scheduler\tdevcluster/www-data/test/web\t0.00\tfalse\tn/a\n"
    );
    let large_only = [&safe[..], &["--min-job-instance-count", "11"]].concat();
    assert_eq!(cluster.succeeds(&large_only), "scheduler\n");
}

#[test]
fn what_is_simulated_happens_again_as_it_did() {
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/examples/simulation.yaml");
    let cluster = Cluster::start();
    let simulate = |args: &[&str]| cluster.succeeds(&[&["simulate"], args].concat());
    let first = simulate(&[example]);
    assert!(first.contains("www/prod/shop: 220 of 220 running"), "{first}");
    assert_eq!(simulate(&[example]), first);
    assert_ne!(simulate(&[example, "--seed", "8"]), first);

    // The same decisions for this very cluster, its jobs and what is written in a file.
    cluster.post("/jobs", &jobs_of(&[production("web", 3)]));
    cluster.reaches("www-data/test/web", "RUNNING", 3);
    cluster.file(
        "more.aurora",
        "jobs = [Service(cluster = 'devcluster', role = 'www-data', environment = 'test',\n\
         name = 'more', instances = 70, task = SimpleTask('sleep', 'sleep 1000')(\n\
         resources = Resources(cpu = 1.0, ram = 4 * MB, disk = 1 * MB)))]\n",
    );
    let file = cluster.file(
        "fuller.yaml",
        "duration_secs: 60\ntimeline: [{at_secs: 10, create: {file: more.aurora, name: more}}]\n",
    );
    let report = simulate(&[&file, "--like", "devcluster", "--write-json"]);
    let report: Value = serde_json::from_str(&report).unwrap();
    let running = |job: &str| {
        let jobs = report["jobs"].as_array().unwrap();
        jobs.iter().find(|it| it["job"] == job).unwrap()["running"].clone()
    };
    // There are 64 cores.
    assert_eq!(
        (running("www-data/test/web"), running("www-data/test/more")),
        (3.into(), 63.into())
    );

    let bad = cluster.file("bad.yaml", "hostss: []\n");
    cluster.airglow(&["simulate", &bad]).code(3).says("unknown field `hostss`");
    cluster.airglow(&["simulate", "/nowhere.yaml"]).code(3).says("/nowhere.yaml");
}

#[test]
fn a_host_is_emptied_and_what_was_there_runs_elsewhere() {
    let mut cluster = Cluster::with_agents(&["worker"]);
    cluster.post("/jobs", &jobs_of(&[production("web", 20)]));
    cluster.reaches("www-data/test/web", "RUNNING", 20);
    let on_worker = |cluster: &Cluster| {
        let instances = cluster.instances("www-data/test/web");
        instances.iter().filter(|it| it["host"] == "worker" && it["active"] == true).count()
    };
    assert_eq!(on_worker(&cluster), 10);

    cluster
        .airglow(&["host", "maintenance", "worker"])
        .code(0)
        .says("worker is in state: SCHEDULED");
    cluster.airglow(&["host", "drain", "nowhere"]).code(6).says("There is no host nowhere");
    cluster.airglow(&["host", "drain", "worker", "--duration", "1m"]).code(6);

    // Nothing of it has been up for an hour, so nothing of it may go.
    let strict = ["--percentage", "95", "--duration", "1h", "--no-wait"];
    cluster.succeeds(&[&["host", "drain", "devcluster/worker"], &strict[..]].concat());
    let waiting = |cluster: &Cluster| {
        eventually("what is waited for is told", || {
            let told = cluster.succeeds(&["host", "status", "worker"]);
            told.contains("  10 tasks: Without it ").then_some(told)
        })
    };
    let told = waiting(&cluster);
    assert!(
        told.starts_with("worker is in state: DRAINING\n  10 tasks left, forced in "),
        "{told}"
    );
    cluster.kill_9("scheduler");
    cluster.restart("scheduler");
    waiting(&cluster);
    assert_eq!(on_worker(&cluster), 10);

    let told = cluster.succeeds(&["host", "drain", "worker"]);
    assert_eq!(told, "worker is in state: DRAINED\n");
    cluster.reaches("www-data/test/web", "RUNNING", 20);
    assert_eq!(on_worker(&cluster), 0);
    cluster.post("/jobs", &jobs_of(&[production("more", 4)]));
    cluster.reaches("www-data/test/more", "RUNNING", 4);
    let more = cluster.instances("www-data/test/more");
    assert!(more.iter().all(|it| it["host"] == "scheduler"), "{more:?}");

    let list = cluster.succeeds(&["host", "list"]);
    assert!(list.contains("DRAINED"), "{list}");
    let activate = ["admin", "host_activate", "devcluster", "--hosts", "worker"];
    assert_eq!(cluster.succeeds(&activate), "worker is in state: NONE\n");
    cluster.airglow(&["admin", "host_status", "devcluster", "--hosts", "x"]).code(1);
}
