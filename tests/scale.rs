use serde_json::Value;

use crate::cluster::{Cluster, eventually, jobs_of, processes_below, spec};

#[test]
fn a_thousand_instances_start_are_shown_and_end_on_one_machine() {
    let cluster = Cluster::start();
    let job = "www-data/test/thousand";
    let (status, answer) =
        cluster.post("/jobs", &jobs_of(&[spec("thousand", "exec sleep 1000", 1000, true)]));
    assert_eq!(status, 201, "{answer}");
    cluster.reaches(job, "RUNNING", 1000);

    let page = cluster.page(&format!("/scheduler/{job}"));
    assert!(page.contains("thousand"), "the job page is there");
    assert!(page.len() < 4 << 20, "the job page has {} bytes", page.len());

    let key = format!("devcluster/{job}");
    cluster.succeeds(&["job", "killall", &key, "--no-batching"]);
    assert_eq!(cluster.counts(job)["RUNNING"], Value::Null);
    eventually("every process has ended", || {
        let tasks = cluster.data("scheduler").join("agent").join("tasks");
        processes_below(&tasks).is_empty().then_some(())
    });
}
