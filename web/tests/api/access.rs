//! Who may do what, over HTTP: every endpoint that the API's description knows, and the pages.

use airglow_web::Config;
use serde_json::{Value, json};

use crate::{
    audit::requests,
    site::{Answer, Site},
};

/// What has to work before anybody is known; measurements are open on loopback.
const OPEN: [&str; 4] = ["get /health", "get /leader-health", "get /metrics", "post /api/v1/login"];

/// What those may do to whom reading is granted, since it is about themselves.
const OF_ANYBODY: [&str; 1] = ["post /api/v1/logout"];

const PASSWORD: &str = "correct horse battery";

/// A user, and a login of theirs.
async fn known(site: &Site, name: &str, grants: &[&str], by: Option<&str>) -> String {
    let user = json!({"name": name, "password": PASSWORD, "grants": grants});
    let made = site.ask("POST", "/api/v1/users", by, Some(&user)).await;
    assert_eq!(made.status, 201, "{}", made.text());
    log_in(site, name).await
}

async fn log_in(site: &Site, name: &str) -> String {
    let answer = site.post("/api/v1/login", &json!({"user": name, "password": PASSWORD})).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["token"].as_str().unwrap().to_owned()
}

fn path_of(path: &str) -> String {
    path.replace("{role}", "www")
        .replace("{environment}", "devel")
        .replace("{name}", "web")
        .replace("{host}", "h1")
        .replace("{user}", "nobody")
        .replace("{task_id}", "t")
        .replace("{process}", "p")
        .replace("{run}", "0")
        .replace("{stream}", "stdout")
        .replace("{path}", "x")
        .replace("{id}", "none")
}

async fn endpoints(site: &Site, token: &str) -> Vec<(String, String, String)> {
    let document = site.ask("GET", "/api/v1/openapi.json", Some(token), None).await.json();
    let mut all = vec![];
    for (path, methods) in document["paths"].as_object().unwrap() {
        for method in methods.as_object().unwrap().keys() {
            all.push((format!("{method} {path}"), method.to_uppercase(), path_of(path)));
        }
    }
    assert!(all.len() > 50, "{}", all.len());
    all
}

/// The body with which something would be changed.
fn body_for(endpoint: &str) -> Value {
    let known = requests();
    known.iter().find(|(it, ..)| *it == endpoint).map_or(json!({}), |(_, _, body)| body.clone())
}

#[actix_rt::test]
async fn every_endpoint_asks_who_it_is_and_lets_those_who_read_only_read() {
    let site = Site::start();
    let admin = known(&site, "ada", &["admin"], None).await;
    let reader = known(&site, "rita", &["read-only"], Some(&admin)).await;
    for (endpoint, method, path) in endpoints(&site, &admin).await {
        let body = (method != "GET").then(|| body_for(&endpoint));
        let ask = async |token| match path.as_str() {
            // It goes on for ever.
            "/api/v1/events" => site.begins(&path, token).await,
            _ => site.ask(&method, &path, token, body.as_ref()).await.status,
        };
        let anonymous = ask(None).await;
        let open = OPEN.contains(&endpoint.as_str());
        assert_eq!(anonymous == 401, !open, "{endpoint}: {anonymous}");
        let wrong = format!("airglow_{}_{}", "0".repeat(16), "1".repeat(64));
        if open || OF_ANYBODY.contains(&endpoint.as_str()) {
            continue;
        }
        let status = ask(Some(&wrong)).await;
        assert!(matches!(status, 401 | 429), "{endpoint}: {status} for a token that is none");
        let for_admins = path.starts_with("/api/v1/users") || path.starts_with("/api/v1/tokens");
        let status = ask(Some(&reader)).await;
        if method == "GET" && !for_admins {
            assert!(matches!(status, 200 | 400 | 404 | 502), "{endpoint}: {status}");
        } else {
            assert_eq!(status, 403, "{endpoint}");
        }
        let status = ask(Some(&admin)).await;
        assert!(!matches!(status, 401 | 403), "{endpoint}: {status} for an admin");
        assert_eq!(ask(None).await, 401, "{endpoint}: still");
    }
    for path in ["/", "/hosts", "/updates", "/scheduler/www", "/task/x", "/nothing"] {
        let page = site.raw(&page_request(&site, path, ""), b"").await;
        let login = page.header("location").unwrap_or_default().to_owned();
        let known = path != "/nothing";
        assert_eq!(
            (page.status, login.starts_with("/login")),
            (if known { 303 } else { 404 }, known)
        );
    }
    site.stop().await;
}

fn page_request(site: &Site, path: &str, headers: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\naccept: text/html\r\n{headers}\r\n",
        site.addr
    )
}

#[actix_rt::test]
async fn whoever_is_granted_a_role_keeps_to_it() {
    let site = Site::start();
    let admin = known(&site, "ada", &["admin"], None).await;
    let web = known(&site, "will", &["*:www"], Some(&admin)).await;
    let ask = async |token: &str, method: &str, path: &str, body: Value| {
        site.ask(method, path, Some(token), Some(&body)).await
    };
    let job = |role: &str, name: &str| {
        let mut job = crate::site::job(name, 1, "sleep 9");
        job["role"] = json!(role);
        job
    };
    let create = |jobs: &[Value]| json!({"jobs": jobs});
    let mixed = create(&[job("www", "a"), job("ads", "b")]);
    let refused = ask(&web, "POST", "/api/v1/jobs", mixed).await;
    assert_eq!(refused.status, 403, "{}", refused.text());
    assert!(refused.text().contains("it takes create:ads/devel/b"), "{}", refused.text());
    let made = ask(&web, "POST", "/api/v1/jobs", create(&[job("www", "a")])).await;
    assert_eq!(made.status, 201, "{}", made.text());
    assert_eq!(ask(&admin, "POST", "/api/v1/jobs", create(&[job("ads", "b")])).await.status, 201);
    // What nobody understands is the endpoint's to say.
    assert_eq!(ask(&web, "POST", "/api/v1/jobs", json!({"jobs": [1]})).await.status, 422);
    for (method, path, body, own, other) in [
        ("POST", "/api/v1/jobs/ROLE/devel/NAME/restart", json!({}), 200, 403),
        ("POST", "/api/v1/jobs/ROLE/devel/NAME/instances", json!({"count": 1}), 200, 403),
        ("POST", "/api/v1/jobs/ROLE/devel/NAME/kill", json!({}), 200, 403),
        ("DELETE", "/api/v1/cron/ROLE/devel/NAME", json!({}), 404, 403),
        ("POST", "/api/v1/updates/ROLE/devel/NAME/none/pause", json!({}), 404, 403),
        ("GET", "/api/v1/jobs/ROLE/devel/NAME", json!({}), 200, 200),
        ("PUT", "/api/v1/quotas/ROLE", json!({"cpu": 1, "ram_mb": 1, "disk_mb": 1}), 403, 403),
    ] {
        for (role, name, wanted) in [("www", "a", own), ("ads", "b", other)] {
            let path = path.replace("ROLE", role).replace("NAME", name);
            let answer = ask(&web, method, &path, body.clone()).await;
            assert_eq!(answer.status, wanted, "{method} {path}: {}", answer.text());
        }
    }
    // However a role is spelled, it is the one that the endpoint reads.
    for path in ["/api/v1/jobs/%61ds/devel/b/kill", "/api/v1/jobs/ads/devel/b/%6bill"] {
        assert_eq!(ask(&web, "POST", path, json!({})).await.status, 403, "{path}");
    }
    let update = json!({"job": job("ads", "b")});
    assert_eq!(ask(&web, "POST", "/api/v1/updates", update).await.status, 403);
    let audit = ask(&admin, "GET", "/api/v1/audit?role=www", json!({})).await.json();
    assert!(audit["items"].as_array().unwrap().iter().all(|it| it["user"] == "will"), "{audit}");
    let shown = ask(&web, "GET", "/api/v1/jobs/www/devel/a", json!({})).await.text();
    assert!(!shown.contains(ANONYMOUS), "{shown}");
    site.stop().await;
}

const ANONYMOUS: &str = "anonymous";

#[actix_rt::test]
async fn a_token_does_no_more_than_it_is_for_and_ends_when_it_is_revoked() {
    let site = Site::start();
    let admin = known(&site, "ada", &["admin"], None).await;
    let session = known(&site, "will", &["kill:www", "restart:www"], Some(&admin)).await;
    let tokens = "/api/v1/users/will/tokens";
    let wanted = json!({"grants": ["*"], "note": "ci", "expires_in_secs": 600});
    let made = site.ask("POST", tokens, Some(&session), Some(&wanted)).await;
    assert_eq!(made.status, 201, "{}", made.text());
    let (id, token) = (made.json()["id"].clone(), made.json()["token"].clone());
    let (id, token) = (id.as_str().unwrap(), token.as_str().unwrap());
    let status = async |token: &str, method: &str, path: &str, body: Value| {
        site.ask(method, path, Some(token), Some(&body)).await.status
    };
    let (kill, add) = ("/api/v1/jobs/www/devel/x/kill", "/api/v1/jobs/www/devel/x/instances");
    assert_eq!(status(token, "POST", kill, json!({})).await, 404, "its user may");
    assert_eq!(status(token, "POST", add, json!({"count": 1})).await, 403, "its user may not");
    // It makes no others, and changes no password.
    assert_eq!(status(token, "POST", tokens, json!({})).await, 403);
    let password = json!({"password": "another password"});
    assert_eq!(status(token, "PUT", "/api/v1/users/will/password", password.clone()).await, 403);
    assert_eq!(status(&session, "POST", "/api/v1/users/ada/tokens", json!({})).await, 403);

    let listed = site.ask("GET", tokens, Some(&session), None).await;
    assert!(
        listed.text().contains("\"ci\"") && !listed.text().contains(token),
        "{}",
        listed.text()
    );
    let revoke = format!("{tokens}/{id}");
    assert_eq!(status(&session, "DELETE", &revoke, json!({})).await, 204);
    assert_eq!(status(token, "POST", kill, json!({})).await, 401);

    assert_eq!(status(&session, "PUT", "/api/v1/users/will/password", password).await, 204);
    assert_eq!(status(&session, "GET", "/api/v1/whoami", json!({})).await, 401, "it ended");
    assert_eq!(status(&admin, "POST", "/api/v1/logout", json!({})).await, 204);
    assert_eq!(status(&admin, "GET", "/api/v1/whoami", json!({})).await, 401);
    site.stop().await;
}

#[actix_rt::test]
async fn whoever_guesses_has_to_wait_and_learns_nothing() {
    let site = Site::start();
    let admin = known(&site, "ada", &["admin"], None).await;
    known(&site, "bob", &["read-only"], Some(&admin)).await;
    let guess = async |user: &str, password: &str| {
        site.post("/api/v1/login", &json!({"user": user, "password": password})).await
    };
    let (unknown, wrong) = (guess("eve", "x").await, guess("bob", "x").await);
    assert_eq!((unknown.status, unknown.text()), (401, wrong.text()));
    let mut last: Answer = wrong;
    for _ in 0..6 {
        last = guess("bob", "x").await;
    }
    assert_eq!(last.status, 429, "{}", last.text());
    assert!(last.header("retry-after").unwrap().parse::<u64>().unwrap() >= 1);
    assert_eq!(guess("bob", PASSWORD).await.status, 429, "also with the right one");
    assert_eq!(guess("ada", PASSWORD).await.status, 200, "it is bob's name that waits");
    site.stop().await;
}

#[actix_rt::test]
async fn the_pages_are_for_those_who_log_in_and_say_who_that_is() {
    let site = Site::start();
    known(&site, "ada", &["admin"], None).await;
    let page = async |path: &str, cookie: &str| {
        let cookie =
            if cookie.is_empty() { String::new() } else { format!("cookie: {cookie}\r\n") };
        site.raw(&page_request(&site, path, &cookie), b"").await
    };
    let there = page("/scheduler/www?x=1", "").await;
    assert_eq!(
        (there.status, there.header("location")),
        (303, Some("/login?next=/scheduler/www%3Fx%3D1"))
    );
    let form = page("/login?next=/hosts", "").await;
    assert!(form.status == 200 && form.text().contains("value=\"/hosts\""), "{}", form.text());
    let elsewhere = page("/login?next=//evil.example", "").await.text();
    assert!(!elsewhere.contains("evil"), "{elsewhere}");

    let post = async |path: &str, headers: &str, body: &str| {
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\
             content-type: application/x-www-form-urlencoded\r\ncontent-length: {}\r\n{headers}\r\n",
            site.addr,
            body.len()
        );
        site.raw(&head, body.as_bytes()).await
    };
    let wrong = post("/login", "", "user=%3Cada%3E&password=wrong&next=/hosts").await;
    assert_eq!(wrong.status, 401);
    assert!(wrong.text().contains("that is not the password"), "{}", wrong.text());
    assert!(!wrong.text().contains("<ada>") && !wrong.text().contains("value=\"wrong"));
    let foreign = "origin: http://evil.example\r\n";
    let fields = format!("user=ada&password={}&next=/hosts", PASSWORD.replace(' ', "+"));
    assert_eq!(post("/login", foreign, &fields).await.status, 403);

    let right = post("/login", "", &fields).await;
    assert_eq!((right.status, right.header("location")), (303, Some("/hosts")));
    let cookie = right.header("set-cookie").unwrap().to_owned();
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"), "{cookie}");
    let cookie = cookie.split(';').next().unwrap();
    let hosts = page("/hosts", cookie).await;
    assert!(hosts.status == 200 && hosts.text().contains("You are logged in as ada"));
    // The pages' own requests change things by it, and other sites' do not.
    let order = format!("cookie: {cookie}\r\n");
    let json = |headers: &str| {
        format!(
            "POST /api/v1/jobs/a/b/c/kill HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\
             content-type: application/json\r\ncontent-length: 2\r\n{headers}\r\n",
            site.addr
        )
    };
    assert_eq!(site.raw(&json(&order), b"{}").await.status, 404, "there is no such job");
    assert_eq!(site.raw(&json(&format!("{order}{foreign}")), b"{}").await.status, 403);
    assert_eq!(post("/logout", &format!("{order}{foreign}"), "").await.status, 403);

    let out = post("/logout", &order, "").await;
    assert_eq!((out.status, out.header("location")), (303, Some("/login")));
    assert!(out.header("set-cookie").unwrap().contains("Max-Age=0"));
    assert_eq!(page("/hosts", cookie).await.status, 303, "the session is over here too");
    site.stop().await;
}

#[actix_rt::test]
async fn measurements_are_for_those_who_are_known_where_an_operator_says_so() {
    let guarded = Config { metrics_guarded: true, ..Config::default() };
    let site = Site::serving(guarded);
    assert_eq!(site.get("/metrics").await.status, 200, "nobody is known yet");
    let admin = known(&site, "ada", &["admin"], None).await;
    assert_eq!(site.get("/metrics").await.status, 401);
    assert_eq!(site.ask("GET", "/metrics", Some(&admin), None).await.status, 200);
    assert_eq!(site.get("/health").await.status, 200);
    site.stop().await;
}
