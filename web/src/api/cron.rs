//! Jobs that run by the clock.

use airglow_model::{cron::Zone, machine::Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    Config,
    schema::{catch_up, collision_policy, cron_state, outcome},
};

/// When a job runs, and what is on its way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CronSummary {
    pub role: String,
    pub environment: String,
    pub name: String,
    /// As it was written.
    #[schema(example = "*/15 * * * MON-FRI")]
    pub schedule: String,
    /// The same for all schedules that mean the same.
    #[schema(example = "0,15,30,45 * * * 1-5")]
    pub canonical: String,
    /// The clock that the schedule is read on.
    #[schema(example = "Europe/Berlin")]
    pub timezone: String,
    /// Whether that is the cluster's, because the job names none.
    pub timezone_is_clusters: bool,
    #[schema(schema_with = collision_policy)]
    pub collision_policy: String,
    #[schema(schema_with = catch_up)]
    pub catch_up: String,
    /// How many a run has.
    pub instances: u32,
    /// When this schedule and template came, and from whom.
    #[schema(value_type = u64)]
    pub scheduled_at: Timestamp,
    pub scheduled_by: String,
    /// `waiting`: a run waits for the end of the one before it. `starting`: it is about to be.
    #[schema(schema_with = cron_state)]
    pub state: String,
    /// The run that is on its way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coming: Option<ComingRun>,
    /// When it is due next: one time in a list, ten where one job is asked for.
    #[schema(value_type = Vec<u64>)]
    pub next: Vec<Timestamp>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ComingRun {
    /// Counts from 1 since the job has been scheduled without interruption.
    pub number: u32,
    /// When it was due, or asked for.
    #[schema(value_type = u64)]
    pub at: Timestamp,
    /// Who asked for it, if it was not due.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CronDetail {
    pub summary: CronSummary,
    /// What became of the times until now, newest first. The older ones are forgotten.
    pub firings: Vec<CronFiring>,
    /// What the next run gets.
    pub config: Config,
}

/// What became of a time at which a job was due.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CronFiring {
    /// When it was due, or asked for.
    #[schema(value_type = u64)]
    pub at: Timestamp,
    /// The last of several times of which all became the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u64>)]
    pub until: Option<Timestamp>,
    /// Who asked for it, if it was not due.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    #[schema(schema_with = outcome)]
    pub outcome: String,
    /// That in a few words, with the reason.
    #[schema(example = "skipped, the run before it had not ended")]
    pub detail: String,
    /// The run's, if it was started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u64>)]
    pub started_at: Option<Timestamp>,
}

impl CronSummary {
    /// What the job's clock shows then: `2027-03-28 03:00 CEST`.
    pub fn shows(&self, at: &Timestamp) -> String {
        let zone: Result<Zone, _> = self.timezone.parse();
        zone.unwrap_or_default().shows(*at)
    }
}
