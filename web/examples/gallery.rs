//! A cluster with something in every state, to look at while working on the pages:
//! `cargo run -p airglow-web --example gallery`.

#[path = "../tests/api/host.rs"]
mod host;
#[path = "../tests/api/site.rs"]
mod site;

use airglow_model::{
    ids::TaskId,
    resources::Resources,
    wire::{ProcessState, RunView},
};
use serde_json::{Value, json};

use crate::{
    host::Host,
    site::{Site, job, roomy, service},
};

#[actix_rt::main]
async fn main() {
    let site = Site::start();
    let host = Host::join(&site.scheduler, "kestrel", roomy()).await;
    let small = Resources { cpu_milli: 4000, ram_mb: 8 << 10, disk_mb: 64 << 10, gpus: 0 };
    let other = Host::join(&site.scheduler, "merlin", small).await;
    let jobs = [
        web("web", 4),
        service("crawler", 300, "./crawl --shard {{mesos.instance}}"),
        service("thousand", 1000, "sleep 1000"),
        with(job("nightly-report", 1, "once: ./report --all"), "analytics"),
        with(job("backfill-with-an-extraordinarily-long-name-that-someone-thought-was-a-good-idea", 12, "once"), "analytics"),
        with(job("broken", 1, "echo trying; exit 1"), "analytics"),
        with(service("flapping", 2, "exit 1"), "search"),
        wide(),
    ];
    let created = site.post("/api/v1/jobs", &json!({"jobs": jobs})).await;
    assert_eq!(created.status, 201, "{}", created.text());
    site.until("/api/v1/jobs/www/devel/thousand", |it| it["summary"]["counts"]["RUNNING"] == 1000).await;
    let body = json!({"instances": [17, 18, 19, 200, 777]});
    site.post("/api/v1/jobs/www/devel/thousand/kill", &body).await;
    site.post("/api/v1/jobs/www/devel/web/restart", &json!({"instances": [2]})).await;
    let found = site
        .until("/api/v1/tasks?name=web&instance=2&status=RUNNING", |it| it["items"][0]["attempt"] == 2)
        .await;
    let id = TaskId(found["items"][0]["task_id"].as_str().unwrap().to_owned());
    let on_other = other.known.lock().unwrap().processes.contains_key(&id);
    let host = if on_other { other } else { host };
    tell(&host, found["items"][0]["task_id"].as_str().unwrap());
    #[expect(clippy::print_stdout, reason = "this is what the example is for")]
    {
        println!("http://{}/  task {}", site.addr, found["items"][0]["task_id"]);
    }
    let mut line = 0;
    loop {
        actix_rt::time::sleep(std::time::Duration::from_millis(500)).await;
        line += 1;
        let text = format!("10.0.0.{} - - \"GET /items/{line} HTTP/1.1\" 200 {}\n", line % 250, line * 37 % 9000);
        let mut known = host.known.lock().unwrap();
        known.logs.entry(("nginx".into(), 1, "stdout")).or_default().extend(text.bytes());
    }
}

/// Something to read.
fn tell(host: &Host, id: &str) {
    let mut known = host.known.lock().unwrap();
    let lines: String = (0..400)
        .map(|it| format!("2026-11-21T02:00:{:02} INFO  worker-{} handled request {it} in {} ms\n", it % 60, it % 7, it * 13 % 90))
        .collect();
    known.logs.insert(("nginx".into(), 1, "stdout"), lines.into_bytes());
    known.logs.insert(("nginx".into(), 1, "stderr"), vec![]);
    for (name, size) in [("nginx.conf", 812), ("htdocs/index.html", 3120), ("htdocs/logo.png", 48_211), (".logs/nginx/1/stdout", 29_000)] {
        known.files.insert(name.into(), vec![b'x'; size]);
    }
    known.files.insert("nginx.conf".into(), b"worker_processes 2;\nevents { worker_connections 512; }\n".to_vec());
    let processes = known.processes.get_mut(&TaskId(id.to_owned())).unwrap();
    let run = processes[0].runs[0].clone();
    processes[0].state = ProcessState::Success;
    processes[0].runs[0] = RunView { state: ProcessState::Success, exit_code: Some(0), ended_at: run.started_at.map(|it| it + std::time::Duration::from_millis(420)), ..run.clone() };
    let failed = RunView { state: ProcessState::Failed, exit_code: Some(-9), ended_at: Some(airglow_kit::now()), ..run.clone() };
    processes[1].runs = vec![failed, RunView { run: 1, pid: Some(4790), ..run }];
    processes[1].failures = 1;
}

fn with(mut job: Value, role: &str) -> Value {
    job["role"] = json!(role);
    job
}

fn web(name: &str, instances: u32) -> Value {
    let mut job = service(name, instances, "");
    job["environment"] = json!("devel");
    job["contact"] = json!("web-team@example.com");
    job["tier"] = json!("preferred");
    job["constraints"] = json!({"rack": "r1", "host": "limit:3"});
    job["task"]["processes"] = json!([
        {"name": "fetch", "cmdline": "curl -fsS https://builds.example.com/web-1.4.2.tar.gz | tar xz"},
        {"name": "nginx", "cmdline": "exec nginx -p . -c nginx.conf -g \"daemon off;\"\n# listens on {{thermos.ports[http]}} and {{thermos.ports[admin]}}", "max_failures": 5},
        {"name": "tidy", "cmdline": "rm -rf tmp/*", "final": true},
    ]);
    job["task"]["constraints"] = json!([{"order": ["fetch", "nginx"]}]);
    job
}

/// Fits nowhere.
fn wide() -> Value {
    let mut job = with(service("ranker", 3, "./rank"), "search");
    job["task"]["resources"]["cpu"] = json!(96);
    job
}
