//! Tokens, and hosts that are removed, over HTTP.

use serde_json::{Value, json};

use crate::{
    host::Host,
    site::{Site, job, roomy},
};

#[actix_rt::test]
async fn tokens_are_shown_and_replaced_and_never_written_down() {
    let site = Site::start();
    let tokens = site.get("/api/v1/tokens").await.json()["items"].clone();
    let text = |it: &Value| it["token"].as_str().unwrap().to_owned();
    assert_eq!(
        (&tokens[0]["purpose"], &tokens[1]["purpose"]),
        (&"agent".into(), &"scheduler".into())
    );
    assert!(text(&tokens[0]).starts_with("airglow-1-") && text(&tokens[0]) != text(&tokens[1]));

    let rotate = async |purpose: &str, body: Value| {
        site.post(&format!("/api/v1/tokens/{purpose}/rotate"), &body).await
    };
    let next = rotate("agent", json!({"expires_secs": 60})).await.json();
    assert_eq!(next["generation"], 2);
    let expires = next["expires_at"].as_u64().unwrap() - next["since"].as_u64().unwrap();
    assert_eq!(expires, 60_000);
    let now = site.get("/api/v1/tokens").await.json()["items"].clone();
    assert_eq!((text(&now[0]), text(&now[1])), (text(&next), text(&tokens[1])));
    assert_eq!(rotate("nobody", json!({})).await.status, 404);
    for bad in [json!({"expires_secs": 0}), json!({"expires_secs": 1u64 << 40})] {
        assert_eq!(rotate("agent", bad).await.status, 422);
    }
    assert_eq!(rotate("agent", json!({"expire": 1})).await.status, 400);

    let audit = site.get("/api/v1/audit").await.text();
    assert!(audit.contains("rotate token") && audit.contains("show tokens"), "{audit}");
    let secret = |it: &Value| text(it).rsplit('-').next().unwrap().to_owned();
    assert!(!audit.contains(&secret(&next)) && !audit.contains(&secret(&tokens[0])), "{audit}");
    site.stop().await;
}

#[actix_rt::test]
async fn a_host_with_tasks_is_removed_by_force_only_and_then_it_is_gone() {
    let site = Site::start();
    let _host = Host::join(&site.scheduler, "h1", roomy()).await;
    site.until("/api/v1/hosts", |it| it["items"][0]["state"] == "up").await;
    let jobs = json!({"jobs": [job("web", 1, "sleep 9")]});
    assert_eq!(site.post("/api/v1/jobs", &jobs).await.status, 201);
    let instances = "/api/v1/jobs/www/devel/web";
    site.until(instances, |it| it["instances"][0]["host"] == "h1").await;

    assert_eq!(site.delete("/api/v1/hosts/h2").await.status, 404);
    let refused = site.delete("/api/v1/hosts/h1").await;
    assert_eq!(refused.status, 409);
    assert!(refused.text().contains("airglow host drain h1"), "{}", refused.text());
    assert_eq!(site.delete("/api/v1/hosts/h1?force=true").await.status, 204);
    let hosts = site.get("/api/v1/hosts").await.json();
    // What was there is not placed there any more, as soon as it knows.
    site.until(instances, |it| it["instances"][0]["attempt"] == 2).await;
    site.until("/api/v1/hosts", |it| it["items"] == json!([])).await;
    assert!(hosts["items"].as_array().unwrap().iter().all(|it| it["state"] != "up"), "{hosts}");
    let page = site.get("/hosts").await.text();
    assert!(!page.contains("/hosts/h1"), "{page}");

    let removals = site.get("/api/v1/removals").await.json();
    assert_eq!(removals["items"][0]["host"], "h1");
    let machine = removals["items"][0]["machine"].as_str().unwrap().to_owned();
    let readmit = format!("/api/v1/removals/{machine}");
    assert_eq!(site.delete(&readmit).await.status, 204);
    assert_eq!(site.delete(&readmit).await.status, 404);
    assert_eq!(site.get("/api/v1/removals").await.json()["items"], json!([]));
    site.stop().await;
}
