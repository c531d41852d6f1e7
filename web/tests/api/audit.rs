//! Who did what, over HTTP and on the pages.

use serde_json::{Value, json};

use crate::{
    host::Host,
    site::{Site, job, roomy},
};

const UPDATE_PAUSE: &str = "post /api/v1/updates/{role}/{environment}/{name}/{id}/pause";
const UPDATE_RESUME: &str = "post /api/v1/updates/{role}/{environment}/{name}/{id}/resume";
const UPDATE_ABORT: &str = "post /api/v1/updates/{role}/{environment}/{name}/{id}/abort";
const UPDATE_ROLLBACK: &str = "post /api/v1/updates/{role}/{environment}/{name}/{id}/rollback";

const CRON: &str = "put /api/v1/cron/{role}/{environment}/{name}";
const CRON_START: &str = "post /api/v1/cron/{role}/{environment}/{name}/start";
const CRON_END: &str = "delete /api/v1/cron/{role}/{environment}/{name}";

const PASSWORD: &str = "put /api/v1/users/{user}/password";
const REVOKE: &str = "delete /api/v1/users/{user}/tokens/{id}";

fn nightly() -> Value {
    let mut nightly = job("nightly", 1, "true");
    nightly["cron_schedule"] = json!("@daily");
    nightly
}

/// Signs of life, which come all the time and leave no entry; and who fails to log in leaves none.
const HEARTBEATS: [&str; 2] =
    ["post /api/v1/updates/{role}/{environment}/{name}/{id}/pulse", "post /api/v1/login"];

/// What changes something, and how it is asked for: a body, and where if not at the path itself.
pub(crate) fn requests() -> Vec<(&'static str, &'static str, Value)> {
    vec![
        ("post /api/v1/jobs", "/api/v1/jobs", json!({"jobs": [job("web", 1, "sleep 9")]})),
        (
            "post /api/v1/jobs/{role}/{environment}/{name}/kill",
            "/api/v1/jobs/www/devel/web/kill",
            json!({"instances": [0]}),
        ),
        (
            "post /api/v1/jobs/{role}/{environment}/{name}/restart",
            "/api/v1/jobs/www/devel/web/restart",
            json!({}),
        ),
        (
            "post /api/v1/jobs/{role}/{environment}/{name}/instances",
            "/api/v1/jobs/www/devel/web/instances",
            json!({"count": 1}),
        ),
        ("post /api/v1/hosts/{host}/maintenance", "/api/v1/hosts/h1/maintenance", json!({})),
        ("post /api/v1/hosts/{host}/drain", "/api/v1/hosts/h1/drain", json!({})),
        ("post /api/v1/hosts/{host}/activate", "/api/v1/hosts/h1/activate", json!({})),
        ("delete /api/v1/hosts/{host}", "/api/v1/hosts/h1?force=true", json!({})),
        ("delete /api/v1/removals/{machine}", "/api/v1/removals/m1", json!({})),
        ("post /api/v1/tokens/{purpose}/rotate", "/api/v1/tokens/agent/rotate", json!({})),
        (
            "put /api/v1/quotas/{role}",
            "/api/v1/quotas/www",
            json!({"cpu": 4, "ram_mb": 1024, "disk_mb": 1024}),
        ),
        ("post /api/v1/updates", "/api/v1/updates", json!({"job": job("web", 1, "sleep 8")})),
        (UPDATE_PAUSE, "/api/v1/updates/www/devel/web/none/pause", json!({})),
        (UPDATE_RESUME, "/api/v1/updates/www/devel/web/none/resume", json!({})),
        (UPDATE_ABORT, "/api/v1/updates/www/devel/web/none/abort", json!({})),
        (UPDATE_ROLLBACK, "/api/v1/updates/www/devel/web/none/rollback", json!({})),
        (CRON, "/api/v1/cron/www/devel/nightly", nightly()),
        (CRON_START, "/api/v1/cron/www/devel/nightly/start", json!({})),
        (CRON_END, "/api/v1/cron/www/devel/nightly", json!({})),
        ("post /api/v1/logout", "/api/v1/logout", json!({})),
        ("post /api/v1/users", "/api/v1/users", json!({"name": "x", "grants": ["read-only"]})),
        ("delete /api/v1/users/{user}", "/api/v1/users/none", json!({})),
        ("put /api/v1/users/{user}/grants", "/api/v1/users/none/grants", json!({"grants": ["*"]})),
        (PASSWORD, "/api/v1/users/none/password", json!({"password": "correct horse"})),
        ("post /api/v1/users/{user}/tokens", "/api/v1/users/none/tokens", json!({})),
        (REVOKE, "/api/v1/users/none/tokens/none", json!({})),
        ("post /api/v1/admin/prune", "/api/v1/admin/prune", json!({"role": "www"})),
        ("post /api/v1/admin/reconcile", "/api/v1/admin/reconcile", json!({"host": "h1"})),
        ("post /api/v1/snapshots", "/api/v1/snapshots", json!({})),
        ("delete /api/v1/members/{member}", "/api/v1/members/none", json!({})),
    ]
}

fn newest(page: &Value) -> u64 {
    page["items"][0]["number"].as_u64().unwrap_or(0)
}

#[actix_rt::test]
async fn every_documented_change_leaves_an_entry_whether_or_not_it_is_made() {
    let site = Site::start();
    let document = site.get("/api/v1/openapi.json").await.json();
    let mut documented: Vec<_> = document["paths"].as_object().unwrap().iter().collect();
    documented.sort_by_key(|(path, _)| path.len());
    let requests = requests();
    for (path, methods) in documented {
        for method in methods.as_object().unwrap().keys().filter(|it| *it != "get") {
            let endpoint = format!("{method} {path}");
            if HEARTBEATS.contains(&endpoint.as_str()) {
                continue;
            }
            let known = requests.iter().find(|(it, ..)| *it == endpoint);
            let (_, path, body) = known.unwrap_or_else(|| {
                panic!("say here how to ask for {endpoint}, and let it leave an entry")
            });
            let before = newest(&site.get("/api/v1/audit").await.json());
            let answer = match method.as_str() {
                "post" => site.post(path, body).await,
                "put" => site.put(path, body).await,
                "delete" => site.delete(path).await,
                other => panic!("say here how to {other}"),
            };
            let page = site.get("/api/v1/audit?limit=1").await.json();
            let entry = &page["items"][0];
            assert_eq!(newest(&page), before + 1, "{endpoint} left no entry: {}", answer.text());
            let outcome = if answer.status < 300 { "done" } else { "refused" };
            assert_eq!(entry["outcome"], outcome, "{endpoint}: {} {entry}", answer.text());
            assert_eq!(
                (&entry["user"], &entry["peer"]),
                (&json!("anonymous"), &json!("127.0.0.1"))
            );
        }
    }
    site.stop().await;
}

#[actix_rt::test]
async fn it_is_told_who_did_what_to_whom_and_what_came_of_it() {
    let site = Site::start();
    let _host = Host::join(&site.scheduler, "h1", roomy()).await;
    site.until("/api/v1/hosts", |it| it["items"][0]["state"] == "up").await;
    let jobs = json!({"jobs": [job("web", 3, "sleep 9"), job("api", 1, "sleep 9")]});
    assert_eq!(site.post("/api/v1/jobs", &jobs).await.status, 201);
    let kill = json!({"instances": [0, 1], "message": "too <many>"});
    assert_eq!(site.post("/api/v1/jobs/www/devel/web/kill", &kill).await.status, 200);
    assert_eq!(site.post("/api/v1/jobs/www/devel/none/kill", &json!({})).await.status, 404);
    assert_eq!(site.post("/api/v1/jobs", &jobs).await.status, 409);
    let drain = json!({"percentage": 95, "timeout_secs": 60});
    assert_eq!(site.post("/api/v1/hosts/h1/drain", &drain).await.status, 200);
    // Nothing is changed by what only asks, or is not understood.
    assert_eq!(site.post("/api/v1/jobs?dry_run=true", &jobs).await.status, 200);
    assert_eq!(site.post("/api/v1/jobs", &json!({"jobs": []})).await.status, 422);

    let told = async |query: &str| {
        let page = site.get(&format!("/api/v1/audit?{query}")).await.json();
        let items = page["items"].as_array().unwrap().clone();
        let text = |it: &Value, field: &str| it[field].as_str().unwrap_or("").to_owned();
        let line = |it: &Value| {
            ["verb", "target", "details", "message", "outcome", "why"]
                .map(|field| text(it, field))
                .join("|")
        };
        items.iter().map(line).collect::<Vec<_>>()
    };
    let exists = "refused|job www/devel/web exists already";
    let web = told("role=www&environment=devel&name=web").await;
    assert!(
        web[0].starts_with("create|job/www/devel/web|3 instances||refused|"),
        "{exists}: {web:?}"
    );
    assert_eq!(
        web[1..],
        [
            "kill|job/www/devel/web|Instances 0-1|too <many>|done|",
            "create|job/www/devel/web|3 instances||done|",
        ]
    );
    assert_eq!(told("name=api").await.len(), 2);
    assert_eq!(told("role=www").await.len(), 6);
    let none = told("name=none").await;
    assert_eq!(none.len(), 1);
    assert!(none[0].starts_with("kill|job/www/devel/none|All instances||refused|"), "{none:?}");
    assert_eq!(
        told("host=h1").await,
        ["drain|host/h1|Within 60 s; 95 % of each job stay up until then||done|"]
    );
    assert_eq!((told("user=anonymous").await.len(), told("user=ada").await.len()), (7, 0));

    let first = site.get("/api/v1/audit?limit=4").await.json();
    let cursor = first["next"].as_str().unwrap().to_owned();
    let second = site.get(&format!("/api/v1/audit?limit=4&cursor={cursor}")).await.json();
    assert_eq!(second["items"].as_array().unwrap().len(), 3);
    assert_eq!((newest(&first), newest(&second), &second["next"]), (7, 3, &Value::Null));
    assert_eq!(site.get("/api/v1/audit?cursor=x").await.status, 400);

    let page = site.get("/scheduler/www/devel/web").await.text();
    assert!(page.contains("Who did what") && page.contains("too &#60;many&#62;"), "{page}");
    let page = site.get("/hosts/h1").await.text();
    assert!(page.contains("Who did what") && page.contains("Within 60 s"), "{page}");
    site.stop().await;
}
