use std::time::Duration;

use fantoccini::{Locator, key::Key};
use serde_json::{Value, json};

use crate::{
    cluster::{Cluster, eventually, jobs_of, spec},
    pages::{Browser, DESKTOP, PHONE},
};

const JOB: &str = "www-data/test/rolling";
/// How long something on the page may take.
const LIMIT: Duration = Duration::from_secs(60);
const STILL: &str = "return window.stillTheSamePage === true";

/// A job that runs, and an update of it: where its page is.
fn begin(cluster: &Cluster, instances: u32, new: Value) -> String {
    let old = spec("rolling", "exec sleep 1000", instances, true);
    let (status, answer) = cluster.post("/jobs", &jobs_of(&[old]));
    assert_eq!(status, 201, "{answer}");
    cluster.reaches(JOB, "RUNNING", instances.into());
    let (status, answer) = cluster.post("/updates", &json!({ "job": new }).to_string());
    assert_eq!(status, 201, "{answer}");
    answer["update"]["url"].as_str().unwrap().to_owned()
}

fn status(cluster: &Cluster, page: &str) -> Value {
    cluster.get(&page.replacen("update", "updates", 1))["summary"]["status"].clone()
}

/// One after the other, each for a while.
fn slowly(instances: u32) -> Value {
    let mut new = spec("rolling", "exec sleep 2000", instances, true);
    new["update_config"] = json!({ "batch_size": 1, "watch_secs": 2 });
    new
}

async fn press(browser: &Browser, label: &str) {
    let button = format!("//button[text()='{label}'][not(ancestor::dialog)]");
    let button = browser.client.wait().at_most(LIMIT).for_element(Locator::XPath(&button)).await;
    button.unwrap().click().await.unwrap();
}

async fn confirm(browser: &Browser) {
    let yes = Locator::Css("#confirm[open] button[value=yes]");
    browser.client.wait().at_most(LIMIT).for_element(yes).await.unwrap().click().await.unwrap();
}

async fn cells(browser: &Browser) -> String {
    let cells = browser.run("return document.getElementById('grid').dataset.cells").await;
    cells.as_str().unwrap().to_owned()
}

#[tokio::test]
async fn an_update_is_watched_paused_resumed_and_rolled_back_on_its_page() {
    let cluster = Cluster::start();
    let page = begin(&cluster, 30, slowly(30));
    let browser = Browser::open(DESKTOP).await;
    browser.goto(&format!("{}{page}", cluster.uri())).await;
    browser.shows("Rolling forward").await;
    browser.run("window.stillTheSamePage = true").await;
    let drawn = "const canvas = document.querySelector('#grid canvas');
        const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
        return data.some((it) => it > 0)";
    assert_eq!(browser.run(drawn).await, Value::Bool(true), "the grid is drawn");
    let give_up_at = airglow_kit::now() + LIMIT;
    while !cells(&browser).await.starts_with('d') {
        assert!(airglow_kit::now() < give_up_at, "no instance was ever done");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }

    let why = browser.client.find(Locator::Id("why")).await.unwrap();
    why.send_keys("lunch").await.unwrap();
    press(&browser, "Pause").await;
    browser.shows("Paused by anonymous").await;
    browser.shows("lunch.").await;
    assert_eq!(status(&cluster, &page), "ROLL_FORWARD_PAUSED");
    press(&browser, "Resume").await;
    browser.shows("Rolling forward").await;
    eventually("it goes on", || (status(&cluster, &page) == "ROLLING_FORWARD").then_some(()));

    press(&browser, "Roll back").await;
    browser.shows("Roll back the update of rolling?").await;
    confirm(&browser).await;
    browser.shows("Rolled back by anonymous").await;
    eventually("it is back", || (status(&cluster, &page) == "ROLLED_BACK").then_some(()));
    let cells = cells(&browser).await;
    let is_back = cells.starts_with('b') && cells.bytes().all(|it| b"bu".contains(&it));
    assert!(is_back && cells.len() == 30, "{cells}");
    assert_eq!(browser.run(STILL).await, Value::Bool(true), "the page was not loaded again");
    browser.close().await;
}

#[tokio::test]
async fn a_version_that_is_not_healthy_is_rolled_back_and_the_page_says_why() {
    let cluster = Cluster::start();
    let mut new = spec("rolling", "echo I am sick; exec sleep 2000", 2, true);
    new["update_config"] = json!({ "batch_size": 1, "watch_secs": 1 });
    new["health_check_config"] = json!({
        "health_checker": { "shell": { "shell_command": "false" } },
        "initial_interval_secs": 0.2, "interval_secs": 0.1, "max_consecutive_failures": 1,
    });
    let page = begin(&cluster, 2, new);
    for (name, size) in [("desktop", DESKTOP), ("phone", PHONE)] {
        let browser = Browser::open(size).await;
        browser.goto(&format!("{}{page}", cluster.uri())).await;
        browser.shows("Rolled back by itself").await;
        browser.shows("Latest failure: instance 0 exited").await;
        browser.shows("No instance may fail.").await;
        browser.photograph(&format!("update-sick-{name}")).await;
        let script = "return document.documentElement.scrollWidth - window.innerWidth";
        let overhang = browser.run(script).await.as_i64().unwrap();
        assert!(overhang <= 0, "{overhang} pixels too wide for a {name}");
        let log = Locator::Css(".failures a[href*='/logs/main/']");
        browser.client.wait().at_most(LIMIT).for_element(log).await.unwrap().click().await.unwrap();
        browser.shows("I am sick").await;
        browser.close().await;
    }
}

#[tokio::test]
async fn an_update_can_be_steered_without_a_mouse() {
    let cluster = Cluster::start();
    let page = begin(&cluster, 30, slowly(30));
    let browser = Browser::open(DESKTOP).await;
    browser.goto(&format!("{}{page}", cluster.uri())).await;
    browser.shows("Rolling forward").await;
    let mut reached = Vec::new();
    let tab = Key::Tab.to_string();
    let here = "const it = document.activeElement; return it.dataset.do ?? it.id + it.tagName";
    while !reached.iter().any(|it| it == "CANVAS") {
        assert!(reached.len() < 40, "the grid is never reached: {reached:?}");
        browser.client.active_element().await.unwrap().send_keys(&tab).await.unwrap();
        reached.push(browser.run(here).await.as_str().unwrap().to_owned());
    }
    let order = ["whyINPUT", "Pause", "Roll back", "Abort", "CANVAS"];
    assert!(reached.ends_with(&order.map(str::to_owned)), "{reached:?}");

    let canvas = browser.client.active_element().await.unwrap();
    canvas.send_keys(&Key::Right.to_string()).await.unwrap();
    browser.shows("Instance 1 ·").await;
    browser.run("document.querySelector('[data-do=Pause]').focus()").await;
    let pause = browser.client.active_element().await.unwrap();
    pause.send_keys(&Key::Enter.to_string()).await.unwrap();
    browser.shows("Paused by anonymous").await;
    let resume = browser.client.active_element().await.unwrap();
    assert_eq!(resume.text().await.unwrap(), "Resume", "whoever paused can resume at once");
    browser.run("document.querySelector('[data-do=Abort]').focus()").await;
    let abort = browser.client.active_element().await.unwrap();
    abort.send_keys(&Key::Enter.to_string()).await.unwrap();
    browser.shows("Abort the update of rolling?").await;
    // Whoever only presses Enter again leaves it as it is.
    let leave = browser.client.active_element().await.unwrap();
    assert_eq!(leave.text().await.unwrap(), "Leave it");
    leave.send_keys(&tab).await.unwrap();
    let sure = browser.client.active_element().await.unwrap();
    sure.send_keys(&Key::Enter.to_string()).await.unwrap();
    browser.shows("Aborted by anonymous").await;
    assert_eq!(status(&cluster, &page), "ABORTED");
    browser.close().await;
}
