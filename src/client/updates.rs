//! What is asked of updates, and of jobs on their way to one.

use airglow_model::ids::UpdateKey;
use airglow_web::api::{
    Pulsed, StartUpdate, UpdateCommand, UpdateDetail, UpdateForecast, UpdateStarted, UpdateSummary,
};
use serde_json::json;

use super::{Client, Result, found, segment};

impl Client {
    pub(crate) fn start_update(&self, start: &StartUpdate) -> Result<UpdateStarted> {
        self.post("/updates", start)
    }

    /// What it would come to.
    pub(crate) fn forecast_update(&self, start: &StartUpdate) -> Result<UpdateForecast> {
        self.post("/updates?dry_run=true", start)
    }

    /// Newest first, those that have not ended before all others.
    pub(crate) fn updates(&self, query: &[(&str, &str)]) -> Result<Vec<UpdateSummary>> {
        self.pages("/updates", query)
    }

    /// `None`: there is no such update, or not any more.
    pub(crate) fn update(&self, key: &UpdateKey) -> Result<Option<UpdateDetail>> {
        found(self.get(&update_path(key), &[]))
    }

    /// `what`: `pause`, `resume`, `abort` or `rollback`.
    pub(crate) fn command_update(
        &self,
        key: &UpdateKey,
        what: &str,
        message: Option<&str>,
    ) -> Result<UpdateSummary> {
        let command = UpdateCommand { message: message.map(str::to_owned) };
        self.post(&format!("{}/{what}", update_path(key)), &command)
    }

    pub(crate) fn pulse(&self, key: &UpdateKey) -> Result<Pulsed> {
        self.post(&format!("{}/pulse", update_path(key)), &json!({}))
    }
}

fn update_path(UpdateKey { job, id }: &UpdateKey) -> String {
    let parts = [&job.role, &job.environment, &job.name, &*id.0].map(segment);
    format!("/updates/{}", parts.join("/"))
}

#[cfg(test)]
mod tests {
    use airglow_model::ids::{JobKey, UpdateId};

    use super::*;

    #[test]
    fn an_update_is_found_below_its_job() {
        let key = UpdateKey { job: JobKey::new("jobs", "e", "n"), id: UpdateId("a b".into()) };
        assert_eq!(update_path(&key), "/updates/jobs/e/n/a%20b");
    }
}
