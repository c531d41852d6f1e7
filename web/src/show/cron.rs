//! Timetables, as they are shown.

use airglow_model::{
    cron::{Fate, Firing, Run, State, Timetable},
    ids::{ConfigId, JobKey},
    instances::InstanceSet,
    machine::Timestamp,
    view::JobView,
};

use crate::api::{ComingRun, Config, CronDetail, CronFiring, CronSummary};

/// How many of the next times are told.
const NEXT_SHOWN: usize = 10;

/// `None`: the job does not run by the clock.
pub(crate) fn cron_summary(it: &JobView, now: Timestamp) -> Option<CronSummary> {
    Some(summary(&it.job.key, it.cron.as_ref()?, now, 1))
}

pub(crate) fn cron_detail(it: &JobView, now: Timestamp) -> Option<CronDetail> {
    let (timetable, template) = (it.cron.as_ref()?, it.template.as_ref()?);
    let instances = InstanceSet::first(timetable.instances);
    Some(CronDetail {
        summary: summary(&it.job.key, timetable, now, NEXT_SHOWN),
        firings: timetable.firings.iter().rev().map(CronFiring::from).collect(),
        config: Config::new(ConfigId(timetable.template), instances, template),
    })
}

fn summary(key: &JobKey, it: &Timetable, now: Timestamp, next: usize) -> CronSummary {
    let state = match it.state {
        State::Idle => "idle",
        State::Waiting { .. } => "waiting",
        State::Launching { .. } => "starting",
    };
    CronSummary {
        role: key.role.clone(),
        environment: key.environment.clone(),
        name: key.name.clone(),
        schedule: it.rule.schedule.text().to_owned(),
        canonical: it.rule.schedule.canonical(),
        timezone: it.zone.name().to_owned(),
        timezone_is_clusters: it.rule.zone.is_none(),
        collision_policy: it.rule.collision.name().to_owned(),
        catch_up: it.rule.catch_up.name().to_owned(),
        instances: it.instances,
        scheduled_at: it.scheduled_at,
        scheduled_by: it.by.clone(),
        state: state.to_owned(),
        coming: it.coming().map(ComingRun::from),
        next: it.upcoming(now, next),
    }
}

impl From<&Run> for ComingRun {
    fn from(Run { number, at, by }: &Run) -> Self {
        Self { number: *number, at: *at, by: by.clone() }
    }
}

impl From<&Firing> for CronFiring {
    fn from(it: &Firing) -> Self {
        let (outcome, started) = match it.fate {
            Fate::Started { number, at } => ("started", Some((number, at))),
            Fate::Skipped { .. } => ("skipped", None),
            Fate::Missed => ("missed", None),
        };
        Self {
            at: it.at,
            until: it.until,
            by: it.by.clone(),
            outcome: outcome.to_owned(),
            detail: it.words().to_owned(),
            number: started.map(|(number, _)| number),
            started_at: started.map(|(_, at)| at),
        }
    }
}
