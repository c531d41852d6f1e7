use std::{
    fs,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::cluster::{Cluster, end_all_below, eventually, fetch, free_port, jobs_of, spec};

/// How long a page may take to show something.
const LIMIT: Duration = Duration::from_secs(60);

pub(crate) const DESKTOP: (u32, u32) = (1280, 800);
pub(crate) const PHONE: (u32, u32) = (390, 844);

/// A browser without a screen, and the driver that steers it.
pub(crate) struct Browser {
    driver: Child,
    profile: TempDir,
    pub(crate) client: Client,
}

impl Browser {
    pub(crate) async fn open((width, height): (u32, u32)) -> Self {
        let port = free_port();
        let profile = TempDir::new().unwrap();
        let driver = Command::new("chromedriver")
            .arg(format!("--port={port}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("chromedriver: {error}; tests/run installs it"));
        let uri = format!("http://127.0.0.1:{port}");
        eventually("chromedriver answers", || fetch(&format!("{uri}/status")));
        let mut options = json!({ "args": [
            "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
            format!("--user-data-dir={}", profile.path().display()),
            format!("--window-size={width},{height}"),
        ] });
        if (width, height) == PHONE {
            // A window is never as narrow as that; the screen of an emulated device can be.
            let screen = json!({ "width": width, "height": height, "pixelRatio": 2.0 });
            options["mobileEmulation"] = json!({ "deviceMetrics": screen });
        }
        let capabilities = [("goog:chromeOptions".to_owned(), options)].into_iter().collect();
        let client = ClientBuilder::new(HttpConnector::new())
            .capabilities(capabilities)
            .connect(&uri)
            .await
            .expect("chromium starts; tests/run installs it");
        Self { driver, profile, client }
    }

    pub(crate) async fn goto(&self, url: &str) {
        self.client.goto(url).await.unwrap();
    }

    pub(crate) async fn shows(&self, text: &str) {
        let found = Locator::XPath("//body");
        let give_up_at = airglow_kit::now() + LIMIT;
        loop {
            let body = self.client.wait().at_most(LIMIT).for_element(found).await.unwrap();
            // The page may replace what we are reading at this very moment.
            let shown = body.text().await.unwrap_or_default();
            if shown.contains(text) {
                return;
            }
            assert!(airglow_kit::now() < give_up_at, "never shows {text:?}, but\n{shown}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    pub(crate) async fn run(&self, script: &str) -> Value {
        self.client.execute(script, vec![]).await.unwrap()
    }

    /// A screenshot, kept in `target/tmp/pages` for people to look at.
    pub(crate) async fn photograph(&self, name: &str) -> Vec<u8> {
        let picture = self.client.screenshot().await.unwrap();
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("pages");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(format!("{name}.png")), &picture).unwrap();
        picture
    }

    pub(crate) async fn close(mut self) {
        self.client.clone().close().await.unwrap();
        self.driver.kill().unwrap();
        self.driver.wait().unwrap();
        end_all_below(self.profile.path());
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        self.driver.kill().and_then(|()| self.driver.wait().map(drop)).ok();
        end_all_below(self.profile.path());
    }
}

fn sleeper(cluster: &Cluster, instances: u32) {
    let job = spec("sleeper", "echo awake; exec sleep 1000", instances, true);
    let (status, answer) = cluster.post("/jobs", &jobs_of(&[job]));
    assert_eq!(status, 201, "{answer}");
    cluster.reaches("www-data/test/sleeper", "RUNNING", instances.into());
}

#[tokio::test]
async fn the_job_page_changes_while_it_is_looked_at() {
    let cluster = Cluster::start();
    sleeper(&cluster, 3);
    let browser = Browser::open(DESKTOP).await;
    browser.goto(&format!("{}/scheduler/www-data/test/sleeper", cluster.uri())).await;
    browser.shows("sleeper").await;
    browser.shows("RUNNING").await;
    browser.run("window.stillTheSamePage = true").await;

    cluster.succeeds(&["job", "kill", "devcluster/www-data/test/sleeper/1", "-m", "for the page"]);
    browser.shows("KILLED").await;
    let same = browser.run("return window.stillTheSamePage === true").await;
    assert_eq!(same, Value::Bool(true), "the page was not loaded again");
    browser.close().await;
}

#[tokio::test]
async fn pages_show_something_and_fit_a_desktop_and_a_phone() {
    let cluster = Cluster::start();
    sleeper(&cluster, 3);
    let task_id = cluster.instances("www-data/test/sleeper")[0]["task_id"].clone();
    let task = format!("/task/{}", task_id.as_str().unwrap());
    let pages = [
        ("roles", "/", "www-data"),
        ("role", "/scheduler/www-data", "sleeper"),
        ("job", "/scheduler/www-data/test/sleeper", "RUNNING"),
        ("instance", "/scheduler/www-data/test/sleeper/0", "RUNNING"),
        ("task", &task, "main"),
        ("hosts", "/hosts", "scheduler"),
    ];
    for (device, size) in [("desktop", DESKTOP), ("phone", PHONE)] {
        let browser = Browser::open(size).await;
        browser.goto("about:blank").await;
        let blank = browser.photograph(&format!("blank-{device}")).await.len();
        for (name, path, text) in pages {
            browser.goto(&format!("{}{path}", cluster.uri())).await;
            browser.shows(text).await;
            let picture = browser.photograph(&format!("{name}-{device}")).await.len();
            assert!(blank * 2 < picture, "{name} on a {device} looks empty: {picture} bytes");
            let script = "return document.documentElement.scrollWidth - window.innerWidth";
            let overhang = browser.run(script).await.as_i64().unwrap();
            assert!(overhang <= 0, "{name} is {overhang} pixels too wide for a {device}");
        }
        browser.close().await;
    }
}

#[tokio::test]
async fn a_job_that_runs_by_the_clock_is_started_from_its_page() {
    let cluster = Cluster::start();
    let mut job = spec("nightly", "exec sleep 1000", 1, false);
    job["cron_schedule"] = json!("30 2 * * MON-FRI");
    job["cron_timezone"] = json!("Europe/Berlin");
    let file = cluster.file("nightly.json", &job.to_string());
    let key = "devcluster/www-data/test/nightly";
    cluster.succeeds(&["cron", "schedule", key, &file, "--read-json"]);
    for (device, size) in [("phone", PHONE), ("desktop", DESKTOP)] {
        let browser = Browser::open(size).await;
        browser.goto(&format!("{}/scheduler/www-data/test/nightly", cluster.uri())).await;
        browser.shows("30 2 * * MON-FRI").await;
        browser.shows(" 02:30 CE").await;
        browser.photograph(&format!("cron-{device}")).await;
        let script = "return document.documentElement.scrollWidth - window.innerWidth";
        let overhang = browser.run(script).await.as_i64().unwrap();
        assert!(overhang <= 0, "the page is {overhang} pixels too wide for a {device}");
        if device == "desktop" {
            let start = "document.querySelector('button[data-post$=\"/start\"]').click();
                document.querySelector('#confirm [value=yes]').click()";
            browser.run(start).await;
            browser.shows("started").await;
            browser.shows("RUNNING").await;
        }
        browser.close().await;
    }
}

#[tokio::test]
async fn a_thousand_instances_leave_the_job_page_usable() {
    let cluster = Cluster::start();
    let mut job = spec("many", "true", 1000, true);
    // They wait for a host that will not come; the page has as many of them all the same.
    job["constraints"] = json!({ "host": "nowhere" });
    let (status, answer) = cluster.post("/jobs", &jobs_of(&[job]));
    assert_eq!(status, 201, "{answer}");
    cluster.reaches("www-data/test/many", "PENDING", 1000);
    let browser = Browser::open(DESKTOP).await;
    browser.goto(&format!("{}/scheduler/www-data/test/many", cluster.uri())).await;
    browser.shows("PENDING").await;
    browser.shows("1000").await;
    let nodes = browser.run("return document.querySelectorAll('*').length").await;
    assert!(nodes.as_u64().unwrap() < 50_000, "{nodes} elements");
    browser.close().await;
}

#[tokio::test]
async fn a_log_is_followed_and_one_can_go_back_to_its_beginning() {
    let cluster = Cluster::start();
    let cmdline = "for i in $(seq 20000); do echo line $i of many; done
        while sleep 0.1; do i=$((i + 1)); echo line $i of more; done";
    let (status, answer) = cluster.post("/jobs", &jobs_of(&[spec("counter", cmdline, 1, true)]));
    assert_eq!(status, 201, "{answer}");
    cluster.reaches("www-data/test/counter", "RUNNING", 1);
    let task_id = cluster.instances("www-data/test/counter")[0]["task_id"].clone();
    let browser = Browser::open(DESKTOP).await;
    let page = format!("{}/task/{}/logs/main/0/stdout", cluster.uri(), task_id.as_str().unwrap());
    browser.goto(&page).await;
    browser.run("window.stillTheSamePage = true").await;
    browser.shows("of more").await;
    let newest = "const lines = document.body.textContent.matchAll(/line (\\d+) of more/g);
        return Number([...lines].pop()[1])";
    let newest = browser.run(newest).await.as_u64().unwrap();
    browser.shows(&format!("line {} of more", newest + 5)).await;
    browser.run("document.getElementById('log-begin').click()").await;
    browser.shows("line 1 of many").await;
    let same = browser.run("return window.stillTheSamePage === true").await;
    assert_eq!(same, Value::Bool(true), "the page was not loaded again");
    browser.photograph("log-desktop").await;
    browser.close().await;
}
