//! The pages of updates, in every status that one can be in.

use std::time::Duration;

use airglow_kit::now;
use airglow_model::resources::Resources;
use serde_json::{Value, json};

use crate::{
    host::Host,
    site::{Site, roomy, service},
};

/// It is never done: whoever runs is watched for an hour.
const SLOW: &str = r#"{"watch_secs": 3600}"#;

/// Begins to update `www/devel/{name}` to another command; the update's path under `/update`.
async fn update(site: &Site, name: &str, instances: u32, command: &str, how: Value) -> String {
    let mut job = service(name, instances, command);
    job["update_config"] = how;
    let body = json!({"job": job, "message": "because of a <test>"});
    let started = site.post("/api/v1/updates", &body).await;
    assert_eq!(started.status, 201, "{}", started.text());
    let url = started.json()["update"]["url"].as_str().unwrap().to_owned();
    url.strip_prefix("/update").unwrap().to_owned()
}

async fn running(site: &Site, name: &str) {
    let created = site.post("/api/v1/jobs", &json!({"jobs": [service(name, 3, "sleep 9")]})).await;
    assert_eq!(created.status, 201, "{}", created.text());
    let path = format!("/api/v1/jobs/www/devel/{name}");
    site.until(&path, |it| it["summary"]["counts"]["RUNNING"] == 3).await;
}

async fn command(site: &Site, update: &str, verb: &str) {
    let body = json!({"message": "as the test wants"});
    let told = site.post(&format!("/api/v1/updates{update}/{verb}"), &body).await;
    assert_eq!(told.status, 200, "{verb}: {}", told.text());
}

async fn reaches(site: &Site, update: &str, status: &str) {
    let path = format!("/api/v1/updates{update}");
    site.until(&path, |it| it["summary"]["status"] == status).await;
}

/// The page says this, offers these buttons and no others.
async fn says(site: &Site, update: &str, said: &[&str], buttons: &[&str]) -> String {
    let answer = site.get(&format!("/update{update}")).await;
    let page = answer.text();
    assert_eq!(answer.status, 200, "{page}");
    for said in said {
        assert!(page.contains(said), "{said:?} is not on\n{page}");
    }
    for verb in ["Pause", "Resume", "Pulse", "Roll back", "Abort"] {
        let offered = page.contains(&format!("data-do=\"{verb}\""));
        assert_eq!(offered, buttons.contains(&verb), "{verb}, on the page of {said:?}");
    }
    page
}

#[actix_rt::test]
async fn the_page_says_what_an_update_does_and_offers_what_its_status_allows() {
    let site = Site::start();
    let _host = Host::join(&site.scheduler, "h1", roomy()).await;
    running(&site, "web").await;
    let slow = || serde_json::from_str(SLOW).unwrap();
    let id = update(&site, "web", 4, "sleep 10", slow()).await;
    let steerable = ["Pause", "Roll back", "Abort"];
    let page = says(&site, &id, &["Rolling forward", "0 of 4 instances"], &steerable).await;
    assert!(page.contains("because of a &#60;test&#62;"), "what was said is text: {page}");
    for there in ["task › processes › main › cmdline", "sleep 9", "sleep 10", "1 hour", "all:0-3"]
    {
        assert!(page.contains(there), "{there:?} is not on\n{page}");
    }
    command(&site, &id, "pause").await;
    let paused = ["Paused by anonymous", "as the test wants"];
    says(&site, &id, &paused, &["Resume", "Roll back", "Abort"]).await;
    command(&site, &id, "resume").await;
    command(&site, &id, "rollback").await;
    says(&site, &id, &["Turned back by anonymous"], &["Pause", "Abort"]).await;
    command(&site, &id, "pause").await;
    says(&site, &id, &["Paused on its way back"], &["Resume", "Abort"]).await;
    command(&site, &id, "abort").await;
    says(&site, &id, &["Aborted by anonymous", "keep what they have"], &[]).await;

    let gone = site.get("/update/www/devel/web/nothing").await;
    assert_eq!(gone.status, 404);
    site.stop().await;
}

#[actix_rt::test]
async fn an_update_that_waits_for_pulses_says_so_and_takes_one() {
    let site = Site::start();
    let _host = Host::join(&site.scheduler, "h1", roomy()).await;
    running(&site, "web").await;
    let how = json!({"watch_secs": 3600, "pulse_interval_secs": 3600});
    let id = update(&site, "web", 3, "sleep 10", how).await;
    let buttons = ["Pause", "Pulse", "Roll back", "Abort"];
    says(&site, &id, &["Waiting for a pulse", "at least every 1 hour"], &buttons).await;
    let told = site.post(&format!("/api/v1/updates{id}/pulse"), &json!({})).await;
    assert_eq!(told.json(), json!({"status": "OK"}));
    reaches(&site, &id, "ROLLING_FORWARD").await;
    says(&site, &id, &["Rolling forward"], &["Pause", "Roll back", "Abort"]).await;
    site.stop().await;
}

#[actix_rt::test]
async fn what_failed_is_told_at_the_top_with_a_link_to_the_log_of_who_is_to_blame() {
    let site = Site::start();
    let _host = Host::join(&site.scheduler, "h1", roomy()).await;
    for (name, back, status, title) in [
        ("back", true, "ROLLED_BACK", "Rolled back by itself"),
        ("stays", false, "FAILED", "Failed, and nothing was rolled back"),
    ] {
        running(&site, name).await;
        let how = json!({"watch_secs": 1, "rollback_on_failure": back});
        let id = update(&site, name, 3, "exit 1", how).await;
        reaches(&site, &id, status).await;
        let why =
            "Latest failure: instance 0 exited (FAILED: Task failed: process main exited with 1).";
        let page = says(&site, &id, &[title, why, "What failed"], &[]).await;
        let log = page.split("Logs of main: <a href=\"").nth(1).expect("the log of main is linked");
        let log = log.split('"').next().unwrap();
        assert!(log.starts_with("/task/") && log.ends_with("/logs/main/0/stdout"), "{log}");
        let run = log.split('/').nth(2).unwrap();
        let task = site.get(&format!("/api/v1/tasks/{run}")).await.json();
        assert_eq!(task["task"]["status"], "FAILED", "{task}");
    }
    site.stop().await;
}

#[actix_rt::test]
async fn lists_and_jobs_tell_of_updates() {
    let site = Site::start();
    let _host = Host::join(&site.scheduler, "h1", roomy()).await;
    let empty = site.get("/updates").await.text();
    assert!(empty.contains("No job has been updated yet"), "{empty}");
    running(&site, "web").await;
    let done = update(&site, "web", 3, "sleep 10", json!({"watch_secs": 0, "batch_size": 3})).await;
    reaches(&site, &done, "ROLLED_FORWARD").await;
    says(&site, &done, &["Rolled forward", "3 of 3 instances"], &[]).await;
    let active = update(&site, "web", 3, "sleep 11", serde_json::from_str(SLOW).unwrap()).await;

    let links = |page: &str, id: &str| page.contains(&format!("href=\"/update{id}\""));
    for (list, both) in [
        ("/updates", [true, true]),
        ("/updates?status=active", [true, false]),
        ("/updates?status=ROLLED_FORWARD&role=www", [false, true]),
        ("/updates?role=other", [false, false]),
        ("/scheduler/www/devel/web", [true, true]),
        ("/scheduler/www", [true, false]),
    ] {
        let page = site.get(list).await.text();
        let found = [&active, &done].map(|id| links(&page, id));
        assert_eq!(found, both, "on {list}\n{page}");
    }
    let all = site.get("/updates").await.text();
    let at = |id: &str| all.find(id).unwrap();
    assert!(at(&active) < at(&done), "those that go on come first");
    site.stop().await;
}

#[actix_rt::test]
async fn ten_thousand_instances_are_a_small_page() {
    let site = Site::start();
    let all = Resources { cpu_milli: 900_000, ..roomy() };
    let host = Host::join(&site.scheduler, "h1", all).await;
    let mut job = service("big", 10_000, "sleep 9");
    // They wait for a host that will not come; the page has as many of them all the same.
    job["constraints"] = json!({"host": "nowhere"});
    let created = site.post("/api/v1/jobs", &json!({"jobs": [job]})).await;
    assert_eq!(created.status, 201, "{}", created.text());
    job["task"]["processes"][0]["cmdline"] = json!("sleep 10");
    let strategy = json!({"batch_sizes": [10, 1000], "autopause_after_batch": false});
    job["update_config"] = json!({"watch_secs": 3600, "update_strategy": strategy});
    let started = site.post("/api/v1/updates", &json!({"job": job})).await;
    assert_eq!(started.status, 201, "{}", started.text());
    let path = started.json()["update"]["url"].as_str().unwrap().to_owned();
    site.until(&format!("/api/v1{}", path.replacen("update", "updates", 1)), |it| {
        it["summary"]["progress"]["working"] == 10
    })
    .await;

    let page = site.get(&path).await.text();
    assert!(page.contains("now:0-9 next:10-1009 next:1010-2009"), "{page}");
    let cells = page.split("data-cells=\"").nth(1).unwrap().split('"').next().unwrap();
    assert_eq!(cells.len(), 10_000);
    assert!(page.len() < 40_000, "{} bytes", page.len());
    let begun = now();
    let part = site.get(&format!("{path}?part=now")).await.text();
    assert!(part.len() < 30_000 && part.contains(cells), "{} bytes", part.len());
    let took = now().since(begun);
    assert!(took < Duration::from_secs(2), "{took:?}");
    drop(host);
    site.stop().await;
}
