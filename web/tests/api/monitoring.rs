//! What is shipped for Prometheus and Grafana speaks of what there is.

use std::collections::BTreeSet;

use airglow_model::host::Contact;
use airglow_scheduler::Survey;
use serde_json::{Value, json};
use tokio::time::{Duration, sleep, timeout};

use crate::{
    host::Host,
    site::{Site, roomy, service},
};

const ALERTS: &str = include_str!("../../../deploy/prometheus/alerts.yml");
const DASHBOARD: &str = include_str!("../../../deploy/grafana/airglow.json");

/// These have no series before somebody fails, is drained, gives way or has a webhook; the scheduler
/// tests what counts them.
const RARE: [&str; 4] = [
    "airglow_task_troubles_total",
    "airglow_drain_deadline_seconds",
    "airglow_preempted_tasks_total",
    "airglow_webhook_dropped_total",
];

/// Every `airglow_` word, except for the names of alerts and of this dashboard.
fn named(text: &str) -> BTreeSet<String> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words = text.split(|c| !is_part(c)).filter(|it| it.starts_with("airglow_"));
    words.map(str::to_owned).collect()
}

/// The names of all series.
fn printed(metrics: &str) -> BTreeSet<String> {
    let series = metrics.lines().filter(|it| !it.starts_with('#'));
    series.filter_map(|it| it.split(['{', ' ']).next()).map(str::to_owned).collect()
}

#[actix_rt::test]
async fn alerts_and_dashboards_use_metrics_that_exist() {
    let site = Site::surveying();
    let _host = Host::join(&site.scheduler, "h1", roomy()).await;
    let quota = json!({"cpu": 64, "ram_mb": 64 << 10, "disk_mb": 64 << 10});
    assert_eq!(site.put("/api/v1/quotas/www", &quota).await.status, 200);
    let mut web = service("web", 2, "sleep 9");
    web["tier"] = json!("preferred");
    assert_eq!(site.post("/api/v1/jobs", &json!({"jobs": [web]})).await.status, 201);
    let is_running = |it: &Value| it["summary"]["counts"]["RUNNING"] == 2;
    site.until("/api/v1/jobs/www/devel/web", is_running).await;
    let surveys = site.scheduler.surveys();
    let is_surveyed = |it: &Survey| it.production.mttr_ms > 0.0;
    let looks = async {
        while !surveys.newest().is_some_and(|it| is_surveyed(&it)) {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(Duration::from_secs(20), looks).await.expect("it is looked every few moments");
    let metrics = site.get("/metrics").await.text();
    let printed = printed(&metrics);
    let used = named(ALERTS).into_iter().chain(named(DASHBOARD));
    let unknown: Vec<_> =
        used.filter(|it| !printed.contains(it) && !RARE.contains(&it.as_str())).collect();
    assert_eq!(unknown, [""; 0], "{metrics}");
    let up = Contact::Up { since: Default::default() }.name();
    for line in [
        "airglow_tasks{status=\"RUNNING\"} 2".to_owned(),
        format!("airglow_hosts{{state=\"{up}\"}} 1"),
        "airglow_hosts_by_mode{mode=\"NONE\"} 1".to_owned(),
        "airglow_capacity_cpu_cores 64".to_owned(),
        "airglow_quota_cpu_cores{role=\"www\"} 64".to_owned(),
        "airglow_task_transitions_total{status=\"RUNNING\"} 2".to_owned(),
        "airglow_placements_total 2".to_owned(),
        "airglow_sla_platform_uptime_ratio{role=\"www\",environment=\"devel\",name=\"web\"} 1"
            .to_owned(),
        "airglow_sla_production_platform_uptime_ratio 1".to_owned(),
        "airglow_empty_slots{dedicated=\"false\",size=\"xlarge\"} 3".to_owned(),
    ] {
        assert!(metrics.lines().any(|it| it.starts_with(&line)), "{line}: {metrics}");
    }
    let dashboard: Value = serde_json::from_str(DASHBOARD).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    assert!(panels.iter().all(|it| it["targets"][0]["expr"].is_string()));
    site.stop().await;
}
