//! Hosts that are drained, over HTTP and on their pages.

use serde_json::{Value, json};

use crate::{
    PROBLEM,
    host::Host,
    site::{Site, job, roomy, service},
};

#[actix_rt::test]
async fn s67_a_host_is_emptied_and_says_how_far_that_has_come() {
    let site = Site::start();
    let _h1 = Host::join(&site.scheduler, "h1", roomy()).await;
    let mut web = service("web", 20, "sleep 9");
    web["tier"] = json!("preferred");
    site.post("/api/v1/jobs", &json!({"jobs": [web]})).await;
    let path = "/api/v1/jobs/www/devel/web";
    site.until(path, |it| it["summary"]["counts"]["RUNNING"] == 20).await;
    let _h2 = Host::join(&site.scheduler, "h2", roomy()).await;
    site.until("/api/v1/hosts/h2", |it| it["host"]["mode"] == "NONE").await;

    let scheduled = site.post("/api/v1/hosts/h1/maintenance", &json!({})).await;
    assert_eq!((scheduled.status, &scheduled.json()["mode"]), (200, &json!("SCHEDULED")));

    let request = json!({"percentage": 99, "duration_secs": 3600, "timeout_secs": 86400});
    let drain = site.post("/api/v1/hosts/h1/drain", &request).await;
    assert_eq!(
        (drain.status, &drain.json()["mode"]),
        (200, &json!("DRAINING")),
        "{}",
        drain.text()
    );
    let has_waits =
        |it: &Value| it["host"]["drain"]["waits"].as_array().is_some_and(|it| it.len() == 20);
    let shown = site.until("/api/v1/hosts/h1", has_waits).await;
    let drain = &shown["host"]["drain"];
    assert_eq!((&drain["left"], &drain["by"]), (&json!(20), &json!("anonymous")));
    let day = drain["deadline"].as_u64().unwrap() - drain["since"].as_u64().unwrap();
    assert_eq!(day, 86_400_000);
    assert_eq!(drain["waits"][0]["task"], "www/devel/web/0");
    let reason = drain["waits"][0]["reason"].as_str().unwrap();
    assert!(reason.starts_with("Without it 0 of 20 instances of www/devel/web"), "{reason}");
    let page = site.get("/hosts/h1").await.text();
    for text in ["DRAINING", "20 tasks left", reason, "and 17 more", "Activate"] {
        assert!(page.contains(text), "{text}: {page}");
    }
    assert!(site.get("/hosts").await.text().contains("20 left"));

    assert_eq!(site.post("/api/v1/hosts/h1/drain", &json!({})).await.status, 200);
    let drained = site.until("/api/v1/hosts/h1", |it| it["host"]["mode"] == "DRAINED").await;
    assert_eq!((&drained["host"]["tasks"], &drained["host"]["drain"]), (&json!(0), &Value::Null));
    assert!(site.get("/hosts/h1").await.text().contains("DRAINED"));

    let active = site.post("/api/v1/hosts/h1/activate", &json!({})).await.json();
    assert_eq!((&active["mode"], &active["mode_since"]), (&json!("NONE"), &Value::Null));
    site.stop().await;
}

#[actix_rt::test]
async fn a_service_shows_how_it_has_been_doing() {
    let site = Site::start();
    let _h1 = Host::join(&site.scheduler, "h1", roomy()).await;
    let jobs = json!({"jobs": [service("web", 2, "sleep 9"), job("adhoc", 1, "sleep 9")]});
    site.post("/api/v1/jobs", &jobs).await;
    site.until("/api/v1/jobs/www/devel/web", |it| it["summary"]["counts"]["RUNNING"] == 2).await;
    let path = "/api/v1/sla?role=www&percentiles=50,99.9&durations=0,3600&window_secs=600";
    let shown = site.get(path).await.json();
    let items = shown["items"].as_array().unwrap();
    assert_eq!((items.len(), &items[0]["name"]), (1, &json!("web")), "{shown}");
    assert_eq!(items[0]["platform_uptime_percent"], 100.0);
    let counts = json!([
        {"duration_secs": 0, "percent": 100.0}, {"duration_secs": 3600, "percent": 0.0},
    ]);
    assert_eq!(items[0]["up_counts"], counts);
    let uptimes = items[0]["uptimes"].as_array().unwrap();
    assert_eq!((uptimes.len(), &uptimes[1]["percentile"]), (2, &json!(99.9)));
    assert_eq!(site.get("/api/v1/sla?name=other").await.json()["items"], json!([]));
    let wrong = site.get("/api/v1/sla?percentiles=101").await;
    assert_eq!(
        (wrong.status, &wrong.json()["errors"][0]["pointer"]),
        (422, &json!("/percentiles"))
    );
    let page = site.get("/scheduler/www/devel/web").await.text();
    for text in ["SLA", "Platform uptime", "100 %", "99 % up for", "Up for 10 minutes"] {
        assert!(page.contains(text), "{text}: {page}");
    }
    assert!(!site.get("/scheduler/www/devel/adhoc").await.text().contains("SLA"));
    site.stop().await;
}

#[actix_rt::test]
async fn what_makes_no_sense_changes_nothing() {
    let site = Site::start();
    let _h1 = Host::join(&site.scheduler, "h1", roomy()).await;
    site.until("/api/v1/hosts/h1", |it| it["host"]["mode"] == "NONE").await;
    for verb in ["maintenance", "drain", "activate"] {
        let none = site.post(&format!("/api/v1/hosts/h9/{verb}"), &json!({})).await;
        assert_eq!((none.status, none.header("content-type")), (404, Some(PROBLEM)), "{verb}");
    }
    let wrong = site.post("/api/v1/hosts/h1/drain", &json!({"percentage": 101, "x": 1})).await;
    assert_eq!((wrong.status, &wrong.json()["type"]), (422, &json!("/problems/invalid-request")));
    assert_eq!(site.get("/api/v1/hosts/h1").await.json()["host"]["mode"], "NONE");
    site.stop().await;
}
