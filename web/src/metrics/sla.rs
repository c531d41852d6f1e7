//! How services have been doing, in numbers: as it was when that was last looked at.

use airglow_model::sla::Figures;
use airglow_scheduler::{Survey, Surveyed};

use super::cluster::{Labels, Numbers, seconds};

const MTTA: [&str; 2] = ["sla_mtta_seconds", "sla_production_mtta_seconds"];
const MTTS: [&str; 2] = ["sla_mtts_seconds", "sla_production_mtts_seconds"];
const MTTR: [&str; 2] = ["sla_mttr_seconds", "sla_production_mttr_seconds"];
const PLATFORM: [&str; 2] = ["sla_platform_uptime_ratio", "sla_production_platform_uptime_ratio"];

impl Numbers {
    pub(super) fn sla(&mut self, survey: &Survey) {
        let help = "When it was last looked how services have been doing, in seconds since 1970";
        self.add("sla_survey_time_seconds", help, vec![], seconds(survey.at));
        let took = survey.took.as_secs_f64();
        self.add("sla_survey_duration_seconds", "How long that took", vec![], took);
        self.figures(1, &vec![], &survey.production);
        // Others get what is left, and so promise nothing.
        for (job, Surveyed { figures, .. }) in survey.jobs.iter().filter(|(_, it)| it.is_production)
        {
            let labels = vec![
                ("role", job.role.clone()),
                ("environment", job.environment.clone()),
                ("name", job.name.clone()),
            ];
            self.figures(0, &labels, figures);
            for (percentile, ms) in &figures.uptimes_ms {
                let labels = [&labels[..], &[("percentile", percentile.to_string())]].concat();
                let help = "For how long so many percent of a job's instances have been up";
                self.add("sla_job_uptime_seconds", help, labels, ms / 1000.0);
            }
        }
    }

    /// Of one job, or of all together: their names differ, so that nobody sums them up.
    fn figures(&mut self, whose: usize, labels: &Labels, figures: &Figures) {
        let ratio = figures.platform_uptime_percent / 100.0;
        for (names, help, amount) in [
            (MTTA, "Median time from PENDING to ASSIGNED within a day", figures.mtta_ms / 1000.0),
            (MTTS, "Median time from PENDING to STARTING within a day", figures.mtts_ms / 1000.0),
            (MTTR, "Median time from PENDING to RUNNING within a day", figures.mttr_ms / 1000.0),
            (PLATFORM, "Share of a day's time that the platform did not take away", ratio),
        ] {
            self.add(names[whose], help, labels.clone(), amount);
        }
    }
}
