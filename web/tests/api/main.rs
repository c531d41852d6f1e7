//! The API and the pages, asked over HTTP, with a real scheduler behind them and a host that only
//! pretends.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so by panicking")]

mod access;
mod admin;
mod audit;
mod cron;
mod forecasts;
mod host;
mod joining;
mod maintenance;
mod monitoring;
mod observer;
mod quotas;
mod site;
mod update_pages;

use crate::{
    host::Host,
    site::{Site, Stream, job, roomy, service},
};
use airglow_model::{
    ids::{JobKey, TaskId},
    wire::{ProcessState, RunView},
};
use serde_json::{Value, json};

pub(crate) const PROBLEM: &str = "application/problem+json";

#[actix_rt::test]
async fn a_job_is_created_shown_restarted_grown_and_killed() {
    let site = Site::start();
    let host = Host::join(&site.scheduler, "h1", roomy()).await;
    let created = site.post("/api/v1/jobs", &json!({"jobs": [service("web", 3, "sleep 9")]})).await;
    assert_eq!(created.status, 201, "{}", created.text());
    let url = format!("http://{}/scheduler/www/devel/web", site.addr);
    assert_eq!(created.header("location"), Some(url.as_str()));
    assert_eq!(
        created.json(),
        json!({"jobs": [{"role": "www", "environment": "devel", "name": "web", "instances": "0-2", "url": url}]})
    );

    let path = "/api/v1/jobs/www/devel/web";
    let running = |n: u64| move |it: &Value| it["summary"]["counts"]["RUNNING"] == n;
    let shown = site.until(path, running(3)).await;
    assert_eq!(shown["summary"]["kind"], "service");
    assert_eq!(shown["configs"][0]["number"], 1);
    assert_eq!(shown["configs"][0]["job"]["task"]["processes"][0]["cmdline"], "sleep 9");
    assert_eq!(shown["instances"][2]["host"], "h1");

    let affected = site.post(&format!("{path}/restart"), &json!({"instances": [1]})).await;
    assert_eq!((affected.status, affected.json()), (200, json!({"instances": "1"})));
    site.until(path, |it| it["instances"][1]["attempt"].as_u64() > Some(1) && running(3)(it)).await;
    let history = site.get(&format!("{path}/history?instance=1")).await.json();
    assert_eq!(history["items"][0]["status"], "KILLED", "{history}");

    let added = site.post(&format!("{path}/instances"), &json!({"count": 2})).await;
    assert_eq!(added.json(), json!({"instances": "3-4"}));
    site.until(path, running(5)).await;

    let body = json!({"instances": [0, 1], "message": "too many"});
    assert_eq!(site.post(&format!("{path}/kill"), &body).await.json(), json!({"instances": "0-1"}));
    site.until(path, |it| it["summary"]["counts"]["KILLED"] == 2 && running(3)(it)).await;
    assert_eq!(site.post(&format!("{path}/kill"), &json!({})).await.status, 200);
    site.until(path, |it| it["summary"]["counts"]["KILLED"] == 5).await;
    drop(host);
    site.stop().await;
}

#[actix_rt::test]
async fn everything_wrong_is_told_at_once_and_nothing_is_created() {
    let site = Site::start();
    let mut bad = job("bad", 1, "true");
    bad["task"]["resources"]["cpu"] = json!(-1);
    bad["task"]["processes"][0]["nmae"] = json!("typo");
    bad["role"] = json!("a b");
    let answer = site.post("/api/v1/jobs", &json!({"jobs": [job("good", 1, "true"), bad]})).await;
    assert_eq!((answer.status, answer.header("content-type")), (422, Some(PROBLEM)));
    let problem = answer.json();
    let pointers: Vec<_> =
        problem["errors"].as_array().unwrap().iter().map(|it| &it["pointer"]).collect();
    assert!(pointers.iter().all(|it| it.as_str().unwrap().starts_with("/jobs/1/")), "{problem}");
    assert!(pointers.contains(&&json!("/jobs/1/task/processes/0/nmae")), "{problem}");
    assert_eq!(site.get("/api/v1/jobs").await.json(), json!({"items": []}));

    for (body, status) in [
        (json!({"jobs": []}), 422),
        (json!({"jobs": 3}), 422),
        (json!([]), 422),
        (json!({"jobs": [job("x", 1, "true")], "dryrun": true}), 422),
        (json!({"jobs": [job("x", 1, "true"), job("x", 2, "true")]}), 422),
    ] {
        let answer = site.post("/api/v1/jobs", &body).await;
        assert_eq!(
            (answer.status, answer.header("content-type")),
            (status, Some(PROBLEM)),
            "{body}"
        );
    }
    assert_eq!(site.get("/api/v1/jobs").await.json(), json!({"items": []}));

    assert_eq!(
        site.post("/api/v1/jobs", &json!({"jobs": [job("x", 1, "true")]})).await.status,
        201
    );
    let both = json!({"jobs": [job("y", 1, "true"), job("x", 1, "true")]});
    let again = site.post("/api/v1/jobs", &both).await;
    assert_eq!((again.status, &again.json()["type"]), (409, &json!("/problems/job-exists")));
    assert_eq!(site.get("/api/v1/jobs?name=y").await.json(), json!({"items": []}));
    site.stop().await;
}

#[actix_rt::test]
async fn an_instance_that_fits_nowhere_says_why_in_the_api_and_on_its_page() {
    let site = Site::start();
    let small = airglow_model::resources::Resources { cpu_milli: 1000, ..roomy() };
    let host = Host::join(&site.scheduler, "tiny", small).await;
    let mut big = job("big", 1, "true");
    big["task"]["resources"]["cpu"] = json!(4);
    assert_eq!(site.post("/api/v1/jobs", &json!({"jobs": [big]})).await.status, 201);
    let pending = site.until("/api/v1/pending", |it| it["items"][0]["hosts"] == 1).await;
    assert_eq!(pending["items"][0]["nearest"]["host"], "tiny", "{pending}");
    let page = site.get("/scheduler/www/devel/big").await.text();
    let reason = pending["items"][0]["vetoes"][0]["reason"].as_str().unwrap();
    assert!(page.contains(reason), "{page}");
    assert!(page.contains(r#"<a href="/hosts/tiny">tiny</a>"#), "{page}");
    drop(host);
    site.stop().await;
}

#[actix_rt::test]
async fn tasks_are_found_by_what_they_are_and_page_by_page() {
    let site = Site::start();
    let host = Host::join(&site.scheduler, "h1", roomy()).await;
    let jobs = json!({"jobs": [service("a", 5, "sleep 9"), job("b", 2, "once")]});
    assert_eq!(site.post("/api/v1/jobs", &jobs).await.status, 201);
    site.until("/api/v1/tasks?status=finished", |it| it["items"].as_array().unwrap().len() == 2)
        .await;
    site.until("/api/v1/tasks?status=RUNNING", |it| it["items"].as_array().unwrap().len() == 5)
        .await;

    let (mut seen, mut path) = (vec![], "/api/v1/tasks?limit=3".to_owned());
    loop {
        let page = site.get(&path).await.json();
        for task in page["items"].as_array().unwrap() {
            seen.push(format!("{}{}", task["name"].as_str().unwrap(), task["instance"]));
        }
        let Some(next) = page["next"].as_str() else { break };
        path = format!("/api/v1/tasks?limit=3&cursor={next}");
    }
    assert_eq!(seen, ["a0", "a1", "a2", "a3", "a4", "b0", "b1"]);
    for (query, count) in [("name=b", 2), ("host=h1", 7), ("host=h2", 0), ("name=a&instance=4", 1)]
    {
        let page = site.get(&format!("/api/v1/tasks?{query}")).await.json();
        assert_eq!(page["items"].as_array().unwrap().len(), count, "{query}");
    }
    for query in ["status=SLEEPING", "cursor=x", "limit=many"] {
        let answer = site.get(&format!("/api/v1/tasks?{query}")).await;
        assert_eq!((answer.status, answer.header("content-type")), (400, Some(PROBLEM)), "{query}");
    }
    drop(host);
    site.stop().await;
}

/// The id of a job's only task, once it is in `status`.
pub(crate) async fn task_of(site: &Site, name: &str, status: &str) -> String {
    let path = format!("/api/v1/tasks?name={name}&status={status}");
    let found = site.until(&path, |it| it["items"].as_array().unwrap().len() == 1).await;
    found["items"][0]["task_id"].as_str().unwrap().to_owned()
}

#[actix_rt::test]
async fn a_log_comes_byte_for_byte_and_goes_on_across_runs_until_the_task_ends() {
    let site = Site::start();
    let host = Host::join(&site.scheduler, "h1", roomy()).await;
    assert_eq!(
        site.post("/api/v1/jobs", &json!({"jobs": [service("web", 1, "sleep 9")]})).await.status,
        201
    );
    let id = task_of(&site, "web", "RUNNING").await;
    let log = |run| ("main".to_owned(), run, "stdout");
    let odd: Vec<u8> = (0..=255_u8).cycle().take(3_000_000).collect();
    host.known.lock().unwrap().logs.insert(log(0), odd.clone());

    let path = format!("/api/v1/tasks/{id}/logs/main/0/stdout");
    assert_eq!(site.get(&path).await.body, odd);
    let part = site.get(&format!("{path}?offset=-10&length=4")).await;
    assert_eq!(part.body, odd[odd.len() - 10..odd.len() - 6]);
    assert_eq!(part.header("airglow-log-offset"), Some("2999990"));
    assert_eq!(part.header("airglow-log-size"), Some("3000000"));
    assert_eq!(
        site.get(&format!("/api/v1/tasks/{id}/logs/main/last/stdout?offset=2999999")).await.body,
        odd[2_999_999..]
    );
    assert_eq!(site.get(&format!("{path}x")).await.status, 404);

    let mut following = Stream::open(&site, &format!("{path}?offset=2999998&follow=1"), "").await;
    host.known.lock().unwrap().logs.get_mut(&log(0)).unwrap().extend(b"more\n");
    following.until(b"more\n").await;
    {
        let mut known = host.known.lock().unwrap();
        known.logs.insert(log(1), b"second run\n".to_vec());
        let runs = &mut known.views.get_mut(&TaskId(id.as_str().into())).unwrap().processes[0].runs;
        runs[0].state = ProcessState::Failed;
        runs.push(RunView { run: 1, state: ProcessState::Running, ..runs[0].clone() });
    }
    following.until(b"second run\n").await;
    site.scheduler.kill(&JobKey::new("www", "devel", "web"), None, "enough").await.unwrap();
    let wanted = [&odd[2_999_998..], b"more\nsecond run\n"].concat();
    assert_eq!(following.rest().await, wanted);
    site.stop().await;
}

#[actix_rt::test]
async fn a_sandbox_can_be_looked_at_but_nothing_in_it_is_a_page() {
    let site = Site::start();
    let host = Host::join(&site.scheduler, "h1", roomy()).await;
    assert_eq!(
        site.post("/api/v1/jobs", &json!({"jobs": [service("web", 1, "sleep 9")]})).await.status,
        201
    );
    let id = task_of(&site, "web", "RUNNING").await;
    let big = vec![7_u8; 2_500_000];
    {
        let files = &mut host.known.lock().unwrap().files;
        files.insert("page.html".into(), b"<script>alert(1)</script>".to_vec());
        files.insert("data/big.bin".into(), [vec![0], big].concat());
    }
    let path = format!("/api/v1/tasks/{id}/files/");
    let folder = site.get(&path).await.json();
    let names: Vec<_> =
        folder["entries"].as_array().unwrap().iter().map(|it| &it["name"]).collect();
    assert_eq!(names, ["data", "page.html"]);
    let page = site.get(&format!("{path}page.html")).await;
    assert_eq!(page.header("content-type"), Some("text/plain; charset=utf-8"));
    assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(page.header("content-security-policy"), Some("default-src 'none'; sandbox"));
    let binary = site.get(&format!("{path}data/big.bin")).await;
    assert_eq!(binary.body.len(), 2_500_001);
    assert!(
        binary.header("content-disposition").unwrap().starts_with("attachment"),
        "{}",
        binary.head
    );
    assert_eq!(site.get(&format!("{path}missing")).await.status, 404);

    let shown = site.get(&format!("/task/{id}/files/page.html")).await;
    assert_eq!(shown.status, 200);
    assert!(!shown.text().contains("<script>alert"), "{}", shown.text());
    assert!(site.get(&format!("/task/{id}/files/")).await.text().contains("data/"));
    site.stop().await;
}

/// Server-sent events as they come.
struct Events(Stream);

impl Events {
    async fn open(site: &Site, query: &str, last: Option<u64>) -> Self {
        let last = last.map(|it| format!("last-event-id: {it}\r\n")).unwrap_or_default();
        Self(Stream::open(site, &format!("/api/v1/events?{query}"), &last).await)
    }

    /// The next event's name and data.
    async fn next(&mut self) -> (String, Value) {
        loop {
            if let Some(event) = self.take() {
                return event;
            }
            self.0.more().await;
        }
    }

    fn take(&mut self) -> Option<(String, Value)> {
        let text = String::from_utf8_lossy(&self.0.read);
        let begin = text.find("event: ")?;
        let end = begin + text[begin..].find("\n\n")?;
        let event = text[begin..end].to_owned();
        self.0.read.drain(..end);
        let (name, data) = event.strip_prefix("event: ")?.split_once("\ndata: ")?;
        Some((name.to_owned(), serde_json::from_str(data).unwrap()))
    }
}

#[actix_rt::test]
async fn events_tell_what_changed_to_whom_it_concerns_and_can_be_resumed() {
    let site = Site::start();
    let host = Host::join(&site.scheduler, "h1", roomy()).await;
    let mut all = Events::open(&site, "", None).await;
    let mut mine = Events::open(&site, "role=www&environment=devel&name=web", None).await;
    let (greeting, begin) = all.next().await;
    assert_eq!(greeting, "changed");
    let begin = begin["seq"].as_u64().unwrap();
    mine.next().await;

    let jobs = json!({"jobs": [service("other", 1, "sleep 9"), service("web", 1, "sleep 9")]});
    assert_eq!(site.post("/api/v1/jobs", &jobs).await.status, 201);
    let (_, told) = mine.next().await;
    assert_eq!(told["jobs"], json!(["www/devel/web"]), "{told}");
    task_of(&site, "web", "RUNNING").await;
    task_of(&site, "other", "RUNNING").await;

    let mut resumed = Events::open(&site, "", Some(begin)).await;
    let (name, missed) = resumed.next().await;
    assert_eq!(
        (name.as_str(), &missed["jobs"]),
        ("changed", &json!(["www/devel/other", "www/devel/web"]))
    );
    let mut lost = Events::open(&site, "", Some(1 << 40)).await;
    assert_eq!(lost.next().await.0, "reset");
    drop(host);
    site.stop().await;
}

#[actix_rt::test]
async fn every_error_is_a_problem_document_and_no_other_site_gets_in() {
    let site = Site::start();
    for (path, status) in [
        ("/api/v1/nothing", 404),
        ("/api/v1/jobs/a/b/c", 404),
        ("/api/v1/tasks/none", 404),
        ("/api/v1/hosts/none", 404),
        ("/api/v1/tasks/none/logs/a/0/stdout", 404),
    ] {
        let answer = site.get(path).await;
        assert_eq!(
            (answer.status, answer.header("content-type")),
            (status, Some(PROBLEM)),
            "{path}"
        );
        assert_eq!(answer.json()["status"], status, "{path}");
    }
    let not_allowed = site.post("/api/v1/tasks", &json!({})).await;
    assert_eq!((not_allowed.status, not_allowed.header("allow")), (405, Some("GET, HEAD")));
    assert_eq!(not_allowed.header("content-type"), Some(PROBLEM));
    let kill = "/api/v1/jobs/a/b/c/kill";
    assert_eq!(site.post(kill, &json!({})).await.json()["type"], "/problems/no-such-job");
    assert_eq!(site.post(kill, &json!({"instnaces": [1]})).await.status, 400);
    assert_eq!(site.post(kill, &json!({"instances": []})).await.status, 422);

    let large = "POST /api/v1/jobs HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
                 content-type: application/json\r\ncontent-length: 9000000\r\n\r\n";
    let large = site.raw(large, b"").await;
    assert_eq!((large.status, large.header("content-type")), (413, Some(PROBLEM)));
    let rebound =
        site.raw("GET / HTTP/1.1\r\nhost: evil.example\r\nconnection: close\r\n\r\n", b"").await;
    assert_eq!(rebound.status, 421);
    let form = format!(
        "POST {kill} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
                        content-type: text/plain\r\ncontent-length: 2\r\n\r\n"
    );
    assert_eq!(site.raw(&form, b"{}").await.status, 415);
    let page = site.get("/nowhere").await;
    assert_eq!(page.status, 404);
    assert!(page.header("content-type").unwrap().starts_with("text/html"));
    assert!(page.header("content-security-policy").unwrap().contains("script-src 'self'"));
    site.stop().await;
}

#[actix_rt::test]
async fn what_is_documented_answers_and_what_answers_is_documented() {
    let site = Site::start();
    let document = site.get("/api/v1/openapi.json").await.json();
    assert_eq!(document["openapi"], "3.1.0");
    assert!(
        document["components"]["schemas"]["Job"].is_object(),
        "the language's schema is missing"
    );
    let unresolved: Vec<_> = references(&document)
        .into_iter()
        .filter(|it| document.pointer(it.trim_start_matches('#')).is_none())
        .collect();
    assert_eq!(unresolved, Vec::<String>::new());
    for path in ["/health", "/leader-health", "/metrics", "/api/v1/tiers", "/api/v1/offers"] {
        assert!(document["paths"][path]["get"].is_object(), "{path}");
        assert_eq!(site.get(path).await.status, 200, "{path}");
    }
    let metrics = site.get("/metrics").await.text();
    for name in ["airglow_commit_seq", "airglow_jobs 0", "airglow_http_requests_total{"] {
        assert!(metrics.contains(name), "{name} is not in {metrics}");
    }
    site.stop().await;
}

fn references(value: &Value) -> Vec<String> {
    match value {
        Value::Object(object) => {
            let own = object.get("$ref").and_then(Value::as_str).map(str::to_owned);
            own.into_iter().chain(object.values().flat_map(references)).collect()
        }
        Value::Array(items) => items.iter().flat_map(references).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => vec![],
    }
}

#[actix_rt::test]
async fn every_page_can_be_read_whatever_state_things_are_in() {
    let site = Site::start();
    for path in ["/", "/scheduler", "/hosts"] {
        assert_eq!(site.get(path).await.status, 200, "{path} of an empty cluster");
    }
    let host = Host::join(&site.scheduler, "h1", roomy()).await;
    let jobs = json!({"jobs": [
        service("web", 3, "sleep 9"), job("once", 1, "once"), job("bad", 1, "exit 1"),
    ]});
    assert_eq!(site.post("/api/v1/jobs", &jobs).await.status, 201);
    let id = task_of(&site, "bad", "FAILED").await;
    task_of(&site, "once", "FINISHED").await;
    host.known.lock().unwrap().logs.insert(("main".into(), 0, "stderr"), b"<b>no\n".to_vec());
    for (path, part) in [
        ("/", "www"),
        ("/scheduler/www", "web"),
        ("/scheduler/www/devel", "once"),
        ("/scheduler/www/devel/web", "Restart all"),
        ("/scheduler/www/devel/web?status=FAILED", "No instance is like that"),
        ("/scheduler/www/devel/web?q=1-2", "Version 1"),
        ("/scheduler/www/devel/bad/0", "exited with 1"),
        (&format!("/task/{id}"), "FAILED"),
        (&format!("/task/{id}/logs/main/0/stderr"), "&#60;b&#62;no"),
        ("/hosts", "h1"),
        ("/hosts/h1", "31000–31999"),
        ("/assets/airglow.css", "--glow"),
    ] {
        let page = site.get(path).await;
        assert_eq!(page.status, 200, "{path}: {}", page.text());
        assert!(page.text().contains(part), "{path} has no {part}: {}", page.text());
        assert!(!page.text().contains("style="), "{path} has a style that its policy forbids");
    }
    site.stop().await;
}
