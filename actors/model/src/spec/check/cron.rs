//! When a job runs by the clock, or what is wrong with how that was written.

use super::{Complaints, JobSpec};
use crate::cron::{CatchUp, Collision, Rule, Schedule, Zone};

impl Complaints {
    /// `None` if it does not, or nobody could say when.
    pub(super) fn cron(&mut self, job: &JobSpec) -> Option<Rule> {
        let collision = self.collision(&job.cron_collision_policy);
        let catch_up = self.catch_up(&job.cron_catch_up);
        let zone = self.zone(job.cron_timezone.as_deref());
        let schedule = self.schedule(job.cron_schedule.as_deref()?)?;
        Some(Rule { schedule, zone, collision, catch_up })
    }

    fn schedule(&mut self, text: &str) -> Option<Schedule> {
        text.parse().map_err(|detail: String| self.add("/cron_schedule", detail)).ok()
    }

    fn zone(&mut self, name: Option<&str>) -> Option<Zone> {
        name?.parse().map_err(|detail: String| self.add("/cron_timezone", detail)).ok()
    }

    fn collision(&mut self, given: &str) -> Collision {
        match given.to_ascii_uppercase().as_str() {
            "KILL_EXISTING" => return Collision::KillExisting,
            "CANCEL_NEW" => return Collision::CancelNew,
            "RUN_OVERLAP" => self.add(
                "/cron_collision_policy",
                "RUN_OVERLAP is gone; use KILL_EXISTING or CANCEL_NEW",
            ),
            _ => self.add(
                "/cron_collision_policy",
                format!("Invalid CronCollisionPolicy type: {given}"),
            ),
        }
        Collision::default()
    }

    fn catch_up(&mut self, given: &str) -> CatchUp {
        let all = [CatchUp::None, CatchUp::Latest, CatchUp::All];
        all.into_iter().find(|it| it.name().eq_ignore_ascii_case(given)).unwrap_or_else(|| {
            let detail = format!("Must be none, latest or all, got '{given}'");
            self.add("/cron_catch_up", detail);
            CatchUp::default()
        })
    }
}
