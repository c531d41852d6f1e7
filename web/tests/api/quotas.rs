//! What a role may have, over HTTP and on its page.

use serde_json::json;

use crate::{
    PROBLEM,
    site::{Site, job},
};

fn production(name: &str, cores: u32) -> serde_json::Value {
    let mut job = job(name, 1, "sleep 9");
    job["tier"] = json!("preferred");
    job["task"]["resources"] = json!({"cpu": cores, "ram": 64 << 20, "disk": 64 << 20});
    json!({"jobs": [job]})
}

#[actix_rt::test]
async fn s35_s40_a_role_has_what_its_quota_allows_and_an_operator_says_how_much_that_is() {
    let site = Site::start();
    let path = "/api/v1/quotas/www";
    let nothing = json!({"cpu": 0.0, "ram_mb": 0, "disk_mb": 0});
    let unlimited = json!({
        "role": "www", "prod_shared": nothing, "nonprod_shared": nothing,
        "prod_dedicated": nothing, "nonprod_dedicated": nothing,
    });
    assert_eq!(site.get(path).await.json(), unlimited);

    let four = json!({"cpu": 4.0, "ram_mb": 4096, "disk_mb": 4096});
    let set = site.put(path, &four).await;
    assert_eq!((set.status, &set.json()["quota"]), (200, &four), "{}", set.text());
    assert_eq!(site.post("/api/v1/jobs", &production("first", 3)).await.status, 201);
    let refused = site.post("/api/v1/jobs", &production("second", 2)).await;
    assert_eq!((refused.status, refused.header("content-type")), (409, Some(PROBLEM)));
    let problem = refused.json();
    assert_eq!(problem["type"], "/problems/over-quota");
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("CPU quota exceeded by 1.00 core(s)"), "{detail}");
    assert_eq!(site.get("/api/v1/jobs?name=second").await.json(), json!({"items": []}));
    // Together they are too much, and then not even the first is created.
    let both = json!({"jobs": [
        production("second", 1)["jobs"][0], production("third", 1)["jobs"][0],
    ]});
    let dry = site.post("/api/v1/jobs?dry_run=true", &both).await.json();
    assert_eq!((&dry["is_accepted"], &dry["jobs"][0]["refusal"]), (&json!(false), &json!(null)));
    let refused = site.post("/api/v1/jobs", &both).await;
    let problem = refused.json();
    assert_eq!((refused.status, &problem["detail"]), (409, &dry["jobs"][1]["refusal"]));
    assert_eq!(site.get("/api/v1/jobs?name=second").await.json(), json!({"items": []}));
    let history = site.get("/api/v1/jobs/www/devel/second/history").await.json();
    assert_eq!(history["items"], json!([]), "it was never there");
    assert_eq!(site.post("/api/v1/jobs", &production("second", 1)).await.status, 201);

    let used = json!({"cpu": 4.0, "ram_mb": 128, "disk_mb": 128});
    assert_eq!(site.get(path).await.json()["prod_shared"], used);
    let all = site.get("/api/v1/quotas").await.json();
    assert_eq!((&all["items"][0]["role"], &all["items"][1]), (&json!("www"), &json!(null)));

    let three = json!({"cpu": 3, "ram_mb": 4096, "disk_mb": 4096});
    let refused = site.put(path, &three).await;
    let kind = refused.json()["type"].clone();
    assert_eq!((refused.status, kind), (409, json!("/problems/quota-below-use")));
    let wrong = site.put(path, &json!({"cpu": -1, "ram_mb": 1, "gpus": 1})).await;
    let problem = wrong.json();
    let errors = problem["errors"].as_array().unwrap().iter();
    let pointers: Vec<_> = errors.map(|it| it["pointer"].as_str().unwrap()).collect();
    assert_eq!((wrong.status, pointers), (422, vec!["/gpus", "/cpu", "/disk_mb"]));
    assert_eq!(site.get(path).await.json()["quota"], four, "it is as it was");
    assert_eq!(site.put("/api/v1/quotas/a%20b", &four).await.status, 400);

    let page = site.get("/scheduler/www").await.text();
    for text in ["Quota", "4 cores", "128 MB", "Production"] {
        assert!(page.contains(text), "{text}: {page}");
    }
    assert!(!site.get("/scheduler/www/devel").await.text().contains("Quota"));
    site.stop().await;
}
