//! How services have been doing is looked at beforehand.

use std::{sync::Arc, time::Duration};

use airglow_model::{config::Job, machine::Timestamp, policy::Policy, tier::Tier};
use airglow_scheduler::Survey;

use super::{Cluster, Status, capacity, job, key, until};

fn production(instances: u32) -> Job {
    let mut job = job(instances, "serve", 0.1);
    job.config.class = Tier::default();
    job
}

fn often() -> Policy {
    let mut policy = Policy::default();
    policy.sla.refresh = Duration::from_millis(10);
    policy
}

impl Cluster {
    async fn surveyed(&self, is_so: impl Fn(&Survey) -> bool) -> Arc<Survey> {
        let newest = || self.scheduler.surveys().newest();
        until(|| newest().is_some_and(|it| is_so(&it)), || format!("{:?}", newest())).await;
        newest().unwrap()
    }
}

#[tokio::test]
async fn how_services_do_is_looked_at_again_and_again() {
    let mut cluster = Cluster::with(often());
    let _host = cluster.host("h1", capacity(4));
    let empty = cluster.surveyed(|it| it.jobs.is_empty()).await;
    assert_eq!(empty.production.platform_uptime_percent, 100.0);
    cluster.scheduler.create(production(3), "somebody").await.unwrap();
    cluster.until_all(Status::Running, 3).await;
    let survey = cluster
        .surveyed(|it| {
            let figures = it.jobs.get(&key()).map(|it| it.figures.mttr_ms);
            figures.is_some_and(|it| 0.0 < it)
        })
        .await;
    let job = &survey.jobs[&key()];
    assert!(job.is_production, "{job:?}");
    assert_eq!(survey.production, job.figures, "it is the only one");
    assert!(job.figures.up_counts.iter().all(|it| it.1 == 0.0), "{job:?}");

    cluster.restart();
    let again = cluster.surveyed(|it| it.jobs.contains_key(&key())).await;
    assert!(survey.at < again.at && Timestamp::default() < survey.at);
    cluster.scheduler.kill(&key(), None, "enough").await.unwrap();
    cluster.surveyed(|it| it.jobs.is_empty()).await;
}
