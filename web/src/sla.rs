//! How jobs have been doing.

use std::time::Duration;

use actix_web::{
    Responder,
    web::{Data, Json, Query, block},
};
use airglow_model::{ids::JobKey, machine::Timestamp, sla::Wanted, spec::Complaint};
use airglow_scheduler::{Scheduler, StoreError, Surveyed, now};
use serde::Deserialize;

use crate::{
    Site,
    api::{JobSla, Page, Problem, UpCount, Uptime},
};

#[derive(Debug, Default, PartialEq, Deserialize)]
pub(crate) struct Asked {
    role: Option<String>,
    environment: Option<String>,
    name: Option<String>,
    percentiles: Option<String>,
    durations: Option<String>,
    window_secs: Option<u64>,
}

/// How the services that run have been doing: how long their instances waited, for how long they
/// have been up, and how much of their time was lost by the cluster's doing. Without any
/// parameter it may be as of a minute ago: `at` says when.
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
    let jobs: Vec<JobKey> = site
        .scheduler
        .view()
        .read(|view| view.jobs.keys().filter(|it| asked.takes(it)).cloned().collect());
    // Looking at everything takes long, so that is done beforehand, once in a while.
    let is_usual = *asked == Asked::default();
    let survey = site.scheduler.surveys().newest().filter(|_| is_usual);
    let scheduler = site.scheduler.clone();
    let items = block(move || {
        let known = |job| survey.as_ref().and_then(|it| Some((it, it.jobs.get(job)?)));
        let found = jobs.iter().map(|job| match known(job) {
            Some((survey, it)) => Ok(Some(shown(job, it, survey.at, survey.window))),
            None => of(&scheduler, job, &wanted),
        });
        found.filter_map(Result::transpose).collect::<Result<Vec<_>, StoreError>>()
    });
    Ok(Json(Page::<JobSla> { items: items.await??, next: None }))
}

/// One job, as it is shown to people; nothing if it is no service that runs.
pub(crate) async fn of_job(site: &Site, job: &JobKey) -> Result<Option<JobSla>, Problem> {
    let (scheduler, job, wanted) = (site.scheduler.clone(), job.clone(), Wanted::usual(now()));
    Ok(block(move || of(&scheduler, &job, &wanted)).await??)
}

fn of(scheduler: &Scheduler, key: &JobKey, wanted: &Wanted) -> Result<Option<JobSla>, StoreError> {
    let found = scheduler.survey(key, wanted)?;
    Ok(found.map(|it| shown(key, &it, wanted.now, wanted.window)))
}

fn shown(key: &JobKey, it: &Surveyed, at: Timestamp, window: Duration) -> JobSla {
    let figures = &it.figures;
    let uptime = |&(percentile, ms): &(f64, f64)| Uptime { percentile, uptime_secs: ms / 1000.0 };
    let up = |&(duration, percent): &(Duration, f64)| UpCount {
        duration_secs: duration.as_secs(),
        percent,
    };
    JobSla {
        role: key.role.clone(),
        environment: key.environment.clone(),
        name: key.name.clone(),
        production: it.is_production,
        at,
        window_secs: window.as_secs(),
        mtta_ms: figures.mtta_ms,
        mtts_ms: figures.mtts_ms,
        mttr_ms: figures.mttr_ms,
        uptimes: figures.uptimes_ms.iter().map(uptime).collect(),
        up_counts: figures.up_counts.iter().map(up).collect(),
        platform_uptime_percent: figures.platform_uptime_percent,
    }
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
        let mut wanted = Wanted::usual(now());
        if let Some(text) = &self.percentiles {
            match numbers(text, |it| (0.0..=100.0).contains(it)) {
                Some(percentiles) => wanted.percentiles = percentiles,
                None => complain("/percentiles", "expected numbers from 0 to 100, as in 50,99.9"),
            }
        }
        if let Some(text) = &self.durations {
            match numbers(text, |_| true) {
                Some(all) => {
                    wanted.durations = all.into_iter().map(Duration::from_secs).collect();
                }
                None => {
                    complain("/durations", "expected whole numbers of seconds, as in 60,3600");
                }
            }
        }
        if let Some(secs) = self.window_secs {
            wanted.window = Duration::from_secs(secs);
        }
        if complaints.is_empty() { Ok(wanted) } else { Err(Problem::invalid_request(complaints)) }
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
