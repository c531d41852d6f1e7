//! What is shipped for Prometheus and Grafana speaks of what there is.

use std::collections::BTreeSet;

use airglow_model::host::Contact;
use serde_json::{Value, json};

use crate::{
    host::Host,
    site::{Site, roomy, service},
};

const ALERTS: &str = include_str!("../../../deploy/prometheus/alerts.yml");
const DASHBOARD: &str = include_str!("../../../deploy/grafana/airglow.json");

/// These have no series before somebody fails, or is drained; the scheduler tests what counts them.
const RARE: [&str; 2] = ["airglow_task_troubles_total", "airglow_drain_deadline_seconds"];

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
    let site = Site::start();
    let _host = Host::join(&site.scheduler, "h1", roomy()).await;
    let quota = json!({"cpu": 64, "ram_mb": 64 << 10, "disk_mb": 64 << 10});
    assert_eq!(site.put("/api/v1/quotas/www", &quota).await.status, 200);
    let jobs = json!({"jobs": [service("web", 2, "sleep 9")]});
    assert_eq!(site.post("/api/v1/jobs", &jobs).await.status, 201);
    let is_running = |it: &Value| it["summary"]["counts"]["RUNNING"] == 2;
    site.until("/api/v1/jobs/www/devel/web", is_running).await;
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
        "airglow_empty_slots{dedicated=\"false\",size=\"xlarge\"} 3".to_owned(),
    ] {
        assert!(metrics.lines().any(|it| it.starts_with(&line)), "{line}: {metrics}");
    }
    let dashboard: Value = serde_json::from_str(DASHBOARD).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    assert!(panels.iter().all(|it| it["targets"][0]["expr"].is_string()));
    site.stop().await;
}
