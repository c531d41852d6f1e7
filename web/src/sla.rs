//! How jobs have been doing.

use std::time::Duration;

use actix_web::{
    Responder,
    web::{Data, Json, Query, block},
};
use airglow_model::{
    ids::{JobKey, TaskKey},
    sla::{Figures, Wanted},
    spec::Complaint,
    task::Run,
    view::JobView,
};
use airglow_scheduler::{Scheduler, StoreError, now};
use serde::Deserialize;

use crate::{
    Site,
    api::{JobSla, Page, Problem, UpCount, Uptime},
};

/// Aurora's.
const PERCENTILES: [f64; 5] = [50.0, 75.0, 90.0, 95.0, 99.0];
const DURATIONS_SECS: [u64; 5] = [60, 600, 3600, 86_400, 604_800];
const WINDOW_SECS: u64 = 86_400;

/// Ended runs of a job that are looked at, the newest first.
const HISTORY_MAX: usize = 10_000;

#[derive(Default, Deserialize)]
pub(crate) struct Asked {
    role: Option<String>,
    environment: Option<String>,
    name: Option<String>,
    percentiles: Option<String>,
    durations: Option<String>,
    window_secs: Option<u64>,
}

/// How the services that run have been doing: how long their instances waited, for how long they
/// have been up, and how much of their time was lost by the cluster's doing.
#[utoipa::path(get, path = "/api/v1/sla", tag = "jobs", params(
    ("role" = Option<String>, Query),
    ("environment" = Option<String>, Query),
    ("name" = Option<String>, Query),
    ("percentiles" = Option<String>, Query, description = "Of instances: numbers from 0 to 100 with commas between them; 50,75,90,95,99 if none are given"),
    ("durations" = Option<String>, Query, description = "Seconds with commas between them; a minute, ten, an hour, a day and a week if none are given"),
    ("window_secs" = Option<u64>, Query, description = "How far to look back; a day if it is not given"),
), responses(
    (status = 200, body = Page<JobSla>),
    (status = 422, body = Problem, content_type = "application/problem+json"),
))]
pub(crate) async fn list(site: Data<Site>, asked: Query<Asked>) -> Result<impl Responder, Problem> {
    let wanted = asked.wanted()?;
    let jobs: Vec<JobKey> = site.scheduler.view().read(|view| {
        let jobs = view.jobs.values().filter(|it| asked.takes(&it.job.key) && is_service(it));
        jobs.map(|it| it.job.key.clone()).collect()
    });
    let scheduler = site.scheduler.clone();
    let items = block(move || {
        let found = jobs.iter().map(|job| of(&scheduler, job, &wanted));
        found.filter_map(Result::transpose).collect::<Result<Vec<_>, StoreError>>()
    });
    Ok(Json(Page::<JobSla> { items: items.await??, next: None }))
}

/// One job, as it is shown to people; nothing if it is no service that runs.
pub(crate) async fn of_job(site: &Site, job: &JobKey) -> Result<Option<JobSla>, Problem> {
    if !site.scheduler.view().read(|view| view.jobs.get(job).is_some_and(is_service)) {
        return Ok(None);
    }
    let (scheduler, job, wanted) =
        (site.scheduler.clone(), job.clone(), Asked::default().wanted()?);
    Ok(block(move || of(&scheduler, &job, &wanted)).await??)
}

fn is_service(it: &JobView) -> bool {
    it.is_active() && it.configs.get(&it.job.config).is_some_and(|it| it.is_service())
}

/// The current runs first: one that ends meanwhile is then among both instead of among neither.
fn of(scheduler: &Scheduler, key: &JobKey, wanted: &Wanted) -> Result<Option<JobSla>, StoreError> {
    let looked = scheduler.view().read(|view| {
        let job = view.jobs.get(key)?;
        let runs = job.tasks.values().filter_map(|it| Some((it.key.clone(), it.run.clone()?)));
        let config = job.configs.get(&job.job.config);
        let production = config.is_some_and(|it| it.class.is_production());
        Some((runs.collect::<Vec<(TaskKey, Run)>>(), production, job.history > 0))
    });
    let Some((current, production, has_history)) = looked else { return Ok(None) };
    let ended = if has_history { scheduler.history(key, None, HISTORY_MAX)? } else { vec![] };
    let figures = Figures::of(&current, &ended, wanted);
    let uptime = |(percentile, ms): (f64, f64)| Uptime { percentile, uptime_secs: ms / 1000.0 };
    let up = |(duration, percent): (Duration, f64)| UpCount {
        duration_secs: duration.as_secs(),
        percent,
    };
    Ok(Some(JobSla {
        role: key.role.clone(),
        environment: key.environment.clone(),
        name: key.name.clone(),
        production,
        window_secs: wanted.window.as_secs(),
        mtta_ms: figures.mtta_ms,
        mtts_ms: figures.mtts_ms,
        mttr_ms: figures.mttr_ms,
        uptimes: figures.uptimes_ms.into_iter().map(uptime).collect(),
        up_counts: figures.up_counts.into_iter().map(up).collect(),
        platform_uptime_percent: figures.platform_uptime_percent,
    }))
}

impl Asked {
    fn takes(&self, key: &JobKey) -> bool {
        let is = |wanted: &Option<String>, has: &str| wanted.as_ref().is_none_or(|it| it == has);
        is(&self.role, &key.role)
            && is(&self.environment, &key.environment)
            && is(&self.name, &key.name)
    }

    fn wanted(&self) -> Result<Wanted, Problem> {
        let mut complaints = Vec::new();
        let mut complain = |pointer: &str, detail: &str| {
            complaints.push(Complaint { pointer: pointer.into(), detail: detail.into() });
        };
        let percentiles = match &self.percentiles {
            None => PERCENTILES.to_vec(),
            Some(text) => numbers(text, |it| (0.0..=100.0).contains(it)).unwrap_or_else(|| {
                complain("/percentiles", "expected numbers from 0 to 100, as in 50,99.9");
                vec![]
            }),
        };
        let durations = match &self.durations {
            None => DURATIONS_SECS.to_vec(),
            Some(text) => numbers(text, |_| true).unwrap_or_else(|| {
                complain("/durations", "expected whole numbers of seconds, as in 60,3600");
                vec![]
            }),
        };
        if !complaints.is_empty() {
            return Err(Problem::invalid_request(complaints));
        }
        Ok(Wanted {
            now: now(),
            window: Duration::from_secs(self.window_secs.unwrap_or(WINDOW_SECS)),
            percentiles,
            durations: durations.into_iter().map(Duration::from_secs).collect(),
        })
    }
}

fn numbers<T: std::str::FromStr>(text: &str, is_fine: impl Fn(&T) -> bool) -> Option<Vec<T>> {
    text.split(',').map(|it| it.trim().parse().ok().filter(&is_fine)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_all_or_none() {
        let percent = |text| numbers(text, |it: &f64| (0.0..=100.0).contains(it));
        assert_eq!(percent("50, 99.9"), Some(vec![50.0, 99.9]));
        for bad in ["", "50,", "101", "-1", "x", "NaN"] {
            assert_eq!(percent(bad), None, "{bad}");
        }
        let wrong = Asked { durations: Some("1.5".into()), ..Asked::default() };
        assert_eq!(wrong.wanted().unwrap_err().errors[0].pointer, "/durations");
    }
}
