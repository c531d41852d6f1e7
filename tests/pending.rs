use crate::cluster::{Cluster, eventually, jobs_of, spec};

#[test]
fn a_job_that_fits_nowhere_stays_pending_and_says_what_is_short_by_how_much() {
    let cluster = Cluster::with_agents(&["worker"]);
    let mut big = spec("too_big", "true", 2, false);
    big["task"]["resources"]["cpu"] = 1000.into();
    let (status, answer) = cluster.post("/jobs", &jobs_of(&[big]));
    assert_eq!(status, 201, "{answer}");
    cluster.reaches("www-data/test/too_big", "PENDING", 2);

    let key = "devcluster/www-data/test/too_big";
    let both = format!("{key}/0-1 are PENDING");
    let why = eventually("the reason is known of both", || {
        let why = cluster.airglow(&["job", "why", key]).code(0).stdout;
        why.contains(&both).then_some(why)
    });
    assert!(why.contains("Insufficient: CPU on 2 hosts"), "{why}");
    assert!(why.contains("Nearest: "), "{why}");
    assert!(why.contains("What would help:\n    Insufficient: CPU: The largest of them has 64 cores in all: ask for no more than that"), "{why}");
    // Each host has 64 cores, so 936 are missing.
    assert!(why.contains("936"), "{why}");

    let page = cluster.page("/scheduler/www-data/test/too_big");
    assert!(page.contains("Insufficient: CPU"), "{page}");
    assert!(page.contains("936"), "{page}");

    let json = cluster.succeeds(&["job", "why", &format!("{key}/1"), "--write-json"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json.as_array().unwrap().len(), 1);
    assert_eq!(json[0]["instance"], 1);
    cluster.airglow(&["job", "why", "devcluster/www-data/test/nothing"]).code(6);
}

#[test]
fn what_becomes_free_goes_to_who_waits() {
    let cluster = Cluster::start();
    let with_cpu = |name: &str, cpu: u32| {
        let mut job = spec(name, "exec sleep 1000", 1, true);
        job["task"]["resources"]["cpu"] = cpu.into();
        job
    };
    cluster.post("/jobs", &jobs_of(&[with_cpu("first", 60)]));
    cluster.reaches("www-data/test/first", "RUNNING", 1);
    cluster.post("/jobs", &jobs_of(&[with_cpu("second", 50)]));
    cluster.reaches("www-data/test/second", "PENDING", 1);
    cluster.succeeds(&["job", "killall", "devcluster/www-data/test/first"]);
    cluster.reaches("www-data/test/second", "RUNNING", 1);
    cluster
        .airglow(&["job", "why", "devcluster/www-data/test/second"])
        .code(0)
        .says("Nothing of devcluster/www-data/test/second is waiting: 1 RUNNING");
}
