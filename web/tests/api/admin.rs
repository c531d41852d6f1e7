//! What operators ask of the scheduler itself, over HTTP.

use serde_json::json;

use crate::{
    PROBLEM,
    host::Host,
    site::{Site, roomy},
};

#[actix_rt::test]
async fn hosts_are_asked_what_they_have() {
    let site = Site::start();
    let _host = Host::join(&site.scheduler, "h1", roomy()).await;
    site.until("/api/v1/hosts", |it| it["items"][0]["state"] == "up").await;
    let path = "/api/v1/admin/reconcile";
    for (body, status, asked) in [
        (json!({}), 202, json!(1)),
        (json!({"host": "h1"}), 202, json!(1)),
        (json!({"host": "h2"}), 404, json!(null)),
    ] {
        let answer = site.post(path, &body).await;
        assert_eq!((answer.status, &answer.json()["asked"]), (status, &asked), "{body}");
    }
    site.stop().await;
}

#[actix_rt::test]
async fn s77_only_what_has_ended_is_pruned() {
    let site = Site::start();
    let path = "/api/v1/admin/prune";
    let refused = site.post(path, &json!({"role": "r", "statuses": ["LOST", "RUNNING"]})).await;
    assert_eq!((refused.status, refused.header("content-type")), (422, Some(PROBLEM)));
    let problem = refused.json();
    assert_eq!(problem["errors"][0]["pointer"], "/statuses/1");
    assert_eq!(problem["detail"], "a run that is RUNNING has not ended");
    assert_eq!(site.post(path, &json!({"roll": "r"})).await.status, 400);
    let pruned = site.post(path, &json!({"role": "r", "statuses": ["LOST"], "limit": 2})).await;
    assert_eq!((pruned.status, pruned.json()), (200, json!({"pruned": 0})));
    site.stop().await;
}

#[actix_rt::test]
async fn backups_are_made_listed_and_counted() {
    let site = Site::start();
    let none = site.get("/api/v1/snapshots").await.json();
    assert_eq!((&none["items"], &none["failure"]), (&json!([]), &json!(null)));
    let made = site.post("/api/v1/snapshots", &json!({})).await;
    assert_eq!(made.status, 201, "{}", made.text());
    let made = made.json();
    let listed = site.get("/api/v1/snapshots").await.json();
    assert_eq!(listed["items"], json!([made]));
    let path = std::path::Path::new(made["path"].as_str().unwrap());
    assert_eq!(path.metadata().unwrap().len(), made["bytes"].as_u64().unwrap());
    let metrics = site.get("/metrics").await.text();
    for line in ["airglow_backups_total 1", "airglow_backups_failed_total 0"] {
        assert!(metrics.contains(line), "{line}: {metrics}");
    }
    site.stop().await;
}

#[actix_rt::test]
async fn a_backup_that_cannot_be_made_is_shown_and_stops_nobody() {
    let site = Site::saving_to_nowhere();
    let refused = site.post("/api/v1/snapshots", &json!({})).await;
    assert_eq!((refused.status, refused.header("content-type")), (507, Some(PROBLEM)));
    assert!(refused.text().contains("cannot make /dev/null/backups"), "{}", refused.text());
    let listed = site.get("/api/v1/snapshots").await;
    assert_eq!(listed.status, 500, "{}", listed.text());
    let page = site.get("/").await.text();
    assert!(page.contains("The last backup failed") && page.contains("/dev/null"), "{page}");
    let metrics = site.get("/metrics").await.text();
    assert!(metrics.contains("airglow_backups_failed_total 1"), "{metrics}");
    site.stop().await;
}
