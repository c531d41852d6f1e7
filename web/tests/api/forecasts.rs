//! What a dry run answers.

use airglow_model::resources::Resources;
use serde_json::json;

use crate::{
    PROBLEM,
    host::Host,
    site::{Site, job, roomy, service},
};

const DRY: &str = "/api/v1/jobs?dry_run=true";

#[actix_rt::test]
async fn a_dry_run_says_what_would_happen_and_changes_nothing() {
    let site = Site::start();
    let small = Resources { cpu_milli: 2000, ..roomy() };
    let host = Host::join(&site.scheduler, "tiny", small).await;
    site.until("/api/v1/hosts", |it| it["items"][0]["state"] == "up").await;
    let command = "serve {{thermos.ports[http]}}";
    let mut web = service("web", 3, command);
    web["task"]["resources"]["cpu"] = json!(0.9);
    let body = json!({"jobs": [web]});

    let dry = site.post(DRY, &body).await;
    assert_eq!(dry.status, 200, "{}", dry.text());
    let plan = dry.json();
    assert_eq!(plan["is_accepted"], true);
    let forecast = &plan["jobs"][0];
    assert_eq!(forecast["key"], "www/devel/web");
    assert_eq!(forecast["is_active"], false);
    assert_eq!(forecast["diff"], json!({"instances": {"from": 0, "to": 3}, "configs": []}));
    let placement = &forecast["placements"][0];
    assert_eq!((&placement["host"], &placement["instances"]), (&json!("tiny"), &json!("0-1")));
    assert_eq!(forecast["pending"][0]["instances"], "2", "{forecast}");
    let why = &forecast["pending"][0]["why"];
    assert_eq!(why["vetoes"][0]["reason"], "Insufficient: CPU", "{why}");
    let none = json!({"cpu": 0.0, "ram_mb": 0, "disk_mb": 0});
    let quota = json!({"role": "www", "used_before": none, "used_after": none, "short": []});
    assert_eq!(forecast["quota"], quota);
    assert_eq!(site.get("/api/v1/jobs").await.json(), json!({"items": []}));

    // And so it comes.
    assert_eq!(site.post("/api/v1/jobs?dry_run=false", &body).await.status, 201);
    let path = "/api/v1/jobs/www/devel/web";
    let job = site.until(path, |it| it["summary"]["counts"]["RUNNING"] == 2).await;
    for instance in ["0", "1"] {
        let task = &job["instances"][instance.parse::<usize>().unwrap()];
        assert_eq!(task["ports"], placement["ports"][instance], "{job}");
    }
    let pending = site.until("/api/v1/pending", |it| it["items"][0]["hosts"] == 1).await;
    assert_eq!(pending["items"][0]["vetoes"], why["vetoes"]);

    // What is there already is compared, and refused.
    web["instances"] = json!(4);
    web["task"]["processes"][0]["cmdline"] = json!("walk");
    let plan = site.post(DRY, &json!({"jobs": [web]})).await.json();
    let forecast = &plan["jobs"][0];
    assert_eq!((&plan["is_accepted"], &forecast["is_active"]), (&json!(false), &json!(true)));
    assert_eq!(forecast["refusal"], "job www/devel/web is already active");
    let change = json!({"pointer": "/task/processes/0/cmdline", "from": command, "to": "walk"});
    let configs = json!([{"number": 1, "instances": "0-2", "changes": [change]}]);
    assert_eq!(forecast["diff"], json!({"instances": {"from": 3, "to": 4}, "configs": configs}));
    assert_eq!((&forecast["placements"], &forecast["pending"]), (&json!([]), &json!([])));
    drop(host);
    site.stop().await;
}

#[actix_rt::test]
async fn a_dry_run_complains_as_the_creation_would() {
    let site = Site::start();
    let mut bad = job("bad", 1, "true");
    bad["role"] = json!("a b");
    let body = json!({"jobs": [bad]});
    let (dry, real) = (site.post(DRY, &body).await, site.post("/api/v1/jobs", &body).await);
    assert_eq!((dry.status, dry.header("content-type")), (422, Some(PROBLEM)));
    assert_eq!(dry.json(), real.json());
    // Whoever cannot spell it must not find the job created.
    let good = json!({"jobs": [job("good", 1, "true")]});
    for query in ["dryrun=true", "dry_run=yes", "dry_run"] {
        let answer = site.post(&format!("/api/v1/jobs?{query}"), &good).await;
        assert_eq!((answer.status, answer.header("content-type")), (400, Some(PROBLEM)), "{query}");
    }
    assert_eq!(site.get("/api/v1/jobs").await.json(), json!({"items": []}));
    site.stop().await;
}
