//! Jobs that run by the clock, over HTTP.

use serde_json::{Value, json};

use crate::{
    PROBLEM,
    host::Host,
    site::{Site, job, roomy},
};

const PATH: &str = "/api/v1/cron/www/devel/nightly";

/// The table's smallest job, with a schedule.
fn nightly(schedule: &str) -> Value {
    let mut nightly = job("nightly", 2, "true");
    nightly["cron_schedule"] = json!(schedule);
    nightly
}

#[actix_rt::test]
async fn a_job_is_scheduled_shown_started_and_descheduled() {
    let site = Site::start();
    let _host = Host::join(&site.scheduler, "h1", roomy()).await;
    assert_eq!(site.get(PATH).await.status, 404);
    assert_eq!(site.delete(PATH).await.status, 404);
    assert_eq!(site.post(&format!("{PATH}/start"), &json!({})).await.status, 404);

    let mut berlin = nightly("30 2 * * MON-FRI");
    berlin["cron_timezone"] = json!("europe/berlin");
    let made = site.put(PATH, &berlin).await;
    assert_eq!((made.status, made.header("location")), (201, Some(PATH)), "{}", made.text());
    let detail = made.json();
    let summary = &detail["summary"];
    for (field, expected) in [
        ("schedule", json!("30 2 * * MON-FRI")),
        ("canonical", json!("30 2 * * 1-5")),
        ("timezone", json!("Europe/Berlin")),
        ("timezone_is_clusters", json!(false)),
        ("collision_policy", json!("KILL_EXISTING")),
        ("catch_up", json!("none")),
        ("instances", json!(2)),
        ("state", json!("idle")),
    ] {
        assert_eq!(summary[field], expected, "{field}");
    }
    assert_eq!(summary["next"].as_array().unwrap().len(), 10);
    assert_eq!(detail["firings"], json!([]));
    assert_eq!(detail["config"]["job"]["name"], "nightly");
    assert_eq!(site.put(PATH, &nightly("@daily")).await.status, 200, "it replaces the other");
    let all = site.get("/api/v1/cron?role=www").await.json();
    assert_eq!((&all["items"][0]["schedule"], &all["items"][1]), (&json!("@daily"), &Value::Null));
    assert_eq!(all["items"][0]["next"].as_array().unwrap().len(), 1);
    assert_eq!(site.get("/api/v1/cron?role=ads").await.json(), json!({"items": []}));
    let shown = site.get("/api/v1/jobs/www/devel/nightly").await.json();
    assert_eq!(
        (&shown["summary"]["kind"], &shown["summary"]["instances"]),
        (&json!("cron"), &json!(2))
    );
    assert!(shown["summary"]["next_run"].is_u64(), "{shown}");

    let started = site.post(&format!("{PATH}/start"), &json!({})).await;
    assert_eq!(started.status, 200, "{}", started.text());
    let told = site.until(PATH, |it| it["firings"][0]["outcome"] == "started").await;
    assert_eq!(
        (&told["firings"][0]["number"], &told["firings"][0]["by"]),
        (&json!(1), &json!("anonymous"))
    );
    site.until("/api/v1/jobs/www/devel/nightly", |it| it["summary"]["counts"]["RUNNING"] == 2)
        .await;
    let created = site.post("/api/v1/jobs", &json!({"jobs": [job("nightly", 1, "true")]})).await;
    assert_eq!(created.status, 409);

    let page = site.get("/scheduler/www/devel/nightly").await.text();
    for part in ["<code>@daily</code>", "Start now", "the cluster's", "Next 10 runs", " 00:00 UTC"]
    {
        assert!(page.contains(part), "{part}: {page}");
    }
    assert!(site.get("/scheduler/www").await.text().contains("<code>@daily</code>"));
    let metrics = site.get("/metrics").await.text();
    for line in ["airglow_cron_jobs 1", "airglow_cron_triggers_total 1"] {
        assert!(metrics.contains(line), "{line}");
    }
    assert_eq!((site.delete(PATH).await.status, site.get(PATH).await.status), (204, 404));
    site.stop().await;
}

#[actix_rt::test]
async fn what_is_wrong_with_a_schedule_is_told_with_its_place() {
    let site = Site::start();
    let with = |field: &str, value: &str| {
        let mut job = nightly("@daily");
        job[field] = json!(value);
        job
    };
    for (body, pointer, says) in [
        (with("cron_schedule", "0 0 31 2 *"), "/cron_schedule", "there is no such day in FEB"),
        (with("cron_schedule", "* * * * * *"), "/cron_schedule", "there are no seconds"),
        (with("cron_timezone", "Europe/Berln"), "/cron_timezone", "did you mean Europe/Berlin?"),
        (with("cron_catch_up", "some"), "/cron_catch_up", "Must be none, latest or all"),
        (with("cron_collision_policy", "RUN_OVERLAP"), "/cron_collision_policy", "is gone"),
        (with("name", "other"), "/name", "the path says nightly"),
        (job("nightly", 1, "true"), "/cron_schedule", "created, not scheduled"),
    ] {
        let answer = site.put(PATH, &body).await;
        assert_eq!((answer.status, answer.header("content-type")), (422, Some(PROBLEM)), "{body}");
        let error = answer.json()["errors"][0].clone();
        assert_eq!(error["pointer"], pointer);
        assert!(error["detail"].as_str().unwrap().contains(says), "{error}");
    }
    let answer = site.post("/api/v1/jobs", &json!({"jobs": [nightly("@daily")]})).await;
    assert_eq!(answer.status, 422);
    assert_eq!(site.get("/api/v1/cron").await.json(), json!({"items": []}));
    site.stop().await;
}
