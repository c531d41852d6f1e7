//! What a task's host knows of it, through the scheduler: processes, runs, logs, files.

use airglow_model::{
    ids::{JobKey, TaskId},
    machine::Timestamp,
    wire::{ProcessState, RunView, StageView},
};
use serde_json::json;

use crate::{
    PROBLEM,
    host::Host,
    site::{Answer, Site, Stream, roomy, service},
    task_of,
};

/// A site with a service `web` that runs, and its task's id.
async fn running() -> (Site, Host, String) {
    let site = Site::start();
    let host = Host::join(&site.scheduler, "h1", roomy()).await;
    let mut web = service("web", 1, "sleep {{thermos.ports[http]}}");
    let tidy = json!({"name": "tidy", "cmdline": "rm -rf tmp", "ephemeral": true});
    web["task"]["processes"].as_array_mut().unwrap().push(tidy);
    web["task"]["constraints"] = json!([{"order": ["main", "tidy"]}]);
    let created = site.post("/api/v1/jobs", &json!({"jobs": [web]})).await;
    assert_eq!(created.status, 201, "{}", created.text());
    let id = task_of(&site, "web", "RUNNING").await;
    (site, host, id)
}

async fn get_with(site: &Site, path: &str, header: &str) -> Answer {
    let head =
        format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{header}\r\n\r\n");
    site.raw(&head, b"").await
}

#[actix_rt::test]
async fn a_task_tells_its_stage_health_use_and_isolation() {
    let (site, host, id) = running().await;
    let until = Timestamp(airglow_kit::now().0 + 60_000);
    {
        let mut known = host.known.lock().unwrap();
        let view = known.views.get_mut(&TaskId(id.as_str().into())).unwrap();
        let detail = "POST /quitquitquit was answered".to_owned();
        view.stage = StageView { name: "leaving".into(), detail, until: Some(until) };
        view.ports.insert("admin".into(), view.ports["http"]);
    }
    let task = site.get(&format!("/api/v1/tasks/{id}")).await.json();
    assert_eq!(task["stage"]["name"], "leaving");
    assert_eq!(task["stage"]["until"], until.0);
    assert_eq!(task["health"]["is_healthy"], true);
    assert_eq!(task["health"]["last"][0]["message"], "Connection refused");
    assert_eq!(task["usage"]["ram"], 12 << 20);
    assert_eq!(task["processes"][0]["usage"]["threads"], 3);
    assert_eq!(task["isolation"][1], "memory is not limited");
    assert_eq!(task["user"], "www");
    assert_eq!(task["ports"]["admin"], task["task"]["ports"]["http"]);
    assert_eq!(task.get("unheard"), None);

    let page = site.get(&format!("/task/{id}")).await.text();
    let port = task["ports"]["admin"].as_u64().unwrap();
    for part in [
        "leaving",
        "POST /quitquitquit was answered",
        &format!("data-until=\"{}\"", until.0),
        "GET http://localhost:31000/health",
        "Connection refused",
        "12 MB",
        "memory is not limited",
        &format!("<a class=\"port\" href=\"http://h1:{port}/\""),
        &format!("/task/{id}/processes/main"),
        "data-measures",
    ] {
        assert!(page.contains(part), "no {part} in {page}");
    }
    site.stop().await;
}

#[actix_rt::test]
async fn a_host_that_does_not_answer_leaves_what_it_said_before() {
    let (site, host, id) = running().await;
    let path = format!("/api/v1/tasks/{id}");
    host.known.lock().unwrap().is_silent = true;
    let known = site.until(&path, |it| it["processes"][0]["name"] == "main").await;
    let why = known["unheard"].as_str().unwrap();
    assert!(why.contains("h1") && why.contains("try again shortly"), "{why}");
    assert_eq!(known.get("processes_unknown"), None, "{known}");
    let page = site.get(&format!("/task/{id}")).await.text();
    assert!(page.contains("Not as it is now") && page.contains("last told"), "{page}");
    site.stop().await;
}

#[actix_rt::test]
async fn a_task_that_its_host_does_not_know_yet_is_worth_another_try() {
    let (site, host, id) = running().await;
    host.known.lock().unwrap().views.clear();
    let log = site.get(&format!("/api/v1/tasks/{id}/logs/main/last/stdout")).await;
    assert_eq!((log.status, log.header("content-type")), (404, Some(PROBLEM)));
    assert!(log.text().contains("try again shortly"), "{}", log.text());
    let task = site.get(&format!("/api/v1/tasks/{id}")).await.json();
    assert!(task["unheard"].as_str().unwrap().contains("try again shortly"), "{task}");
    site.stop().await;
}

#[actix_rt::test]
async fn a_process_tells_what_was_written_of_it_and_how_each_run_went() {
    let (site, host, id) = running().await;
    {
        let mut known = host.known.lock().unwrap();
        let main = &mut known.views.get_mut(&TaskId(id.as_str().into())).unwrap().processes[0];
        let newest = RunView { run: 1, ..main.runs[0].clone() };
        main.runs[0].state = ProcessState::Failed;
        main.runs[0].exit_code = Some(-9);
        main.runs[0].message = Some("out of memory".into());
        main.runs.push(newest);
    }
    let path = format!("/api/v1/tasks/{id}/processes");
    let main = site.get(&format!("{path}/main")).await.json();
    assert_eq!(main["spec"]["cmdline"], "sleep {{thermos.ports[http]}}");
    assert_eq!(main["process"]["runs"][0]["exit_code"], -9);
    let tidy = site.get(&format!("{path}/tidy")).await.json();
    assert_eq!((&tidy["after"], &tidy["process"]["ephemeral"]), (&json!(["main"]), &json!(true)));
    let missing = site.get(&format!("{path}/other")).await;
    assert_eq!((missing.status, missing.header("content-type")), (404, Some(PROBLEM)));

    let page = site.get(&format!("/task/{id}/processes/main")).await.text();
    for part in ["sleep {{thermos.ports[http]}}", "SIGKILL", "out of memory", "8 MB"] {
        assert!(page.contains(part), "no {part} in {page}");
    }
    assert!(page.find("run-1") < page.find("run-0"), "the newest run is not first: {page}");
    site.stop().await;
}

#[actix_rt::test]
async fn a_file_can_be_had_whole_in_part_and_as_it_grows() {
    let (site, host, id) = running().await;
    let big: Vec<u8> = (0..=255_u8).cycle().take(3_000_000).collect();
    let put = |name: &str, data: &[u8]| {
        host.known.lock().unwrap().files.insert(name.into(), data.to_vec());
    };
    put("big.txt", &big);
    put("grows", b"one\n");
    let path = format!("/api/v1/tasks/{id}/files");

    let whole = site.get(&format!("{path}/big.txt?download=1")).await;
    assert_eq!(whole.header("content-type"), Some("application/octet-stream"));
    assert_eq!(whole.header("content-length"), Some("3000000"));
    assert!(whole.header("content-disposition").unwrap().contains("big.txt"), "{}", whole.head);
    assert_eq!(whole.body, big);
    let part = get_with(&site, &format!("{path}/big.txt"), "range: bytes=2999990-").await;
    assert_eq!((part.status, &part.body[..]), (206, &big[2_999_990..]));
    assert_eq!(part.header("content-range"), Some("bytes 2999990-2999999/3000000"));
    assert_eq!(part.header("content-length"), Some("10"));
    let beyond = get_with(&site, &format!("{path}/big.txt"), "range: bytes=3000000-").await;
    assert_eq!((beyond.status, beyond.header("content-type")), (416, Some(PROBLEM)));
    assert_eq!(site.get(&format!("{path}/big.txt?offset=-3&length=2")).await.body, [189, 190]);
    let grows = format!("{path}/grows?offset=1");
    let stretch = get_with(&site, &grows, "accept: application/json").await.json();
    assert_eq!(stretch, json!({"offset": 1, "length": 3, "size": 4, "data": "ne\n"}));

    let mut following = Stream::open(&site, &format!("{path}/grows?follow=1"), "").await;
    following.until(b"one\n").await;
    put("grows", b"one\ntwo\n");
    following.until(b"two\n").await;
    site.scheduler.kill(&JobKey::new("www", "devel", "web"), None, "enough").await.unwrap();
    assert_eq!(following.rest().await, b"one\ntwo\n");
    site.stop().await;
}

#[actix_rt::test]
async fn who_shows_one_run_hears_of_its_end() {
    let (site, host, id) = running().await;
    host.known.lock().unwrap().logs.insert(("main".into(), 0, "stdout"), b"first\n".to_vec());
    let path = format!("/api/v1/tasks/{id}/logs/main/0/stdout");
    let mut following = Stream::open(&site, &format!("{path}?follow=run"), "").await;
    following.until(b"first\n").await;
    {
        let mut known = host.known.lock().unwrap();
        known.logs.insert(("main".into(), 1, "stdout"), b"second\n".to_vec());
        let runs = &mut known.views.get_mut(&TaskId(id.as_str().into())).unwrap().processes[0].runs;
        runs.push(RunView { run: 1, ..runs[0].clone() });
    }
    assert_eq!(following.rest().await, b"first\n");

    let stretch = get_with(&site, &path, "accept: application/json").await.json();
    assert_eq!(stretch, json!({"offset": 0, "length": 6, "size": 6, "data": "first\n"}));
    let file = site.get(&format!("{path}?download=1")).await;
    let name = file.header("content-disposition").unwrap();
    assert!(name.contains("main.0.stdout") && file.header("content-length") == Some("6"), "{name}");
    let page = site.get(&format!("/task/{id}/logs/main/0/stdout")).await.text();
    assert!(page.contains("Run 1 →") && !page.contains("data-active"), "{page}");
    site.stop().await;
}

#[actix_rt::test]
async fn bytes_that_were_rotated_away_are_not_passed_over_in_silence() {
    let (site, host, id) = running().await;
    let log = vec![b'x'; 2_500_000];
    {
        let mut known = host.known.lock().unwrap();
        known.logs.insert(("main".into(), 0, "stdout"), log);
        known.rotated_away = 500_000;
    }
    let path = format!("/api/v1/tasks/{id}/logs/main/0/stdout");
    let rest = site.get(&path).await;
    assert_eq!(rest.header("airglow-log-offset"), Some("500000"));
    assert_eq!(rest.body.len(), 2_000_000);

    let mut following = Stream::open(&site, &format!("{path}?follow=run&offset=2499999"), "").await;
    following.until(b"x").await;
    {
        let mut known = host.known.lock().unwrap();
        known.logs.insert(("main".into(), 0, "stdout"), vec![1; 2_500_020]);
        known.rotated_away = 2_500_010;
    }
    while following.more().await {}
    let is_whole = following.read.ends_with(b"0\r\n\r\n");
    assert!(!is_whole && !following.read.contains(&1), "it went on after a gap");
    site.stop().await;
}

#[actix_rt::test]
async fn a_long_text_can_be_read_anywhere_without_a_script() {
    let (site, host, id) = running().await;
    let lines: String = (0..100_000).map(|it| format!("line {it:06}\n")).collect();
    host.known.lock().unwrap().files.insert("long".into(), lines.clone().into_bytes());
    host.known.lock().unwrap().logs.insert(("main".into(), 0, "stdout"), lines.into_bytes());
    for page in ["files/long", "logs/main/0/stdout"] {
        let page = format!("/task/{id}/{page}");
        let end = site.get(&page).await.text();
        assert!(end.contains("line 099999") && !end.contains("line 000000"), "{page}");
        let first = end.split_once("<pre").unwrap().1.split_once('\n').unwrap().1;
        assert!(first.starts_with("line 0"), "cut: {}", &first[..20]);
        assert!(end.contains("href=\"?offset=0\""), "{page}");
        let begin = site.get(&format!("{page}?offset=0")).await.text();
        assert!(begin.contains("line 000000") && !begin.contains("line 099999"), "{page}");
    }
    site.stop().await;
}

#[actix_rt::test]
async fn a_sandbox_is_listed_as_ls_would() {
    let (site, host, id) = running().await;
    host.known.lock().unwrap().files.insert("bin/run.sh".into(), b"#!".to_vec());
    let page = site.get(&format!("/task/{id}/files/")).await.text();
    assert!(page.contains("drwxr-xr-x") && page.contains("bin/"), "{page}");
    let page = site.get(&format!("/task/{id}/files/bin")).await.text();
    assert!(page.contains("-rw-r--r--") && page.contains("www"), "{page}");
    assert!(page.contains(&format!("/api/v1/tasks/{id}/files/bin/run.sh?download=1")), "{page}");
    site.stop().await;
}

#[actix_rt::test]
async fn a_host_tells_what_it_measures() {
    let (site, _host, _) = running().await;
    let metrics = site.get("/api/v1/hosts/h1/metrics").await;
    assert_eq!((metrics.status, metrics.text().as_str()), (200, "airglow_tasks 1\n# EOF\n"));
    assert!(metrics.header("content-type").unwrap().starts_with("application/openmetrics-text"));
    assert_eq!(site.get("/api/v1/hosts/none/metrics").await.status, 404);
    site.stop().await;
}

#[actix_rt::test]
async fn a_query_parameter_that_nobody_knows_is_refused_with_those_that_are_known() {
    let (site, _host, id) = running().await;
    for (path, known) in [
        ("/api/v1/jobs?roel=www", "role"),
        ("/api/v1/tasks?state=RUNNING", "status"),
        ("/api/v1/hosts?x=1", "none is known"),
        (&format!("/api/v1/tasks/{id}?verbose=1"), "none is known"),
        (&format!("/api/v1/tasks/{id}/logs/main/0/stdout?folow=1"), "follow"),
        (&format!("/api/v1/tasks/{id}/files/a/b?lenght=1"), "length"),
    ] {
        let answer = site.get(path).await;
        assert_eq!((answer.status, answer.header("content-type")), (400, Some(PROBLEM)), "{path}");
        assert!(answer.text().contains(known), "{path}: {}", answer.text());
    }
    assert_eq!(site.get(&format!("/task/{id}?utm_source=chat")).await.status, 200);
    site.stop().await;
}
