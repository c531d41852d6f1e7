//! Picks one job of a file by the parts of its key.

use airglow_model::spec::JobSpec;

use super::{ConfigError, Loaded};

impl Loaded {
    /// The one job that the given parts of a key choose; a part that is `None` matches all.
    ///
    /// # Errors
    /// There is no such job, or several; the message lists the candidates.
    pub(crate) fn find(
        &self,
        cluster: Option<&str>,
        role: Option<&str>,
        environment: Option<&str>,
        name: Option<&str>,
    ) -> Result<&JobSpec, ConfigError> {
        if self.jobs.is_empty() {
            return Err(ConfigError::new("No job defined in this config!"));
        }
        if name.is_none() && self.jobs.len() > 1 {
            let message = "Configuration has multiple jobs but no job name specified!";
            return Err(ConfigError::new(format!("{message}\n{}", candidates(&self.jobs))));
        }
        let wanted = [cluster, role, environment, name];
        let matches = |job: &&JobSpec| {
            let fits = |(wanted, part): (Option<&str>, &str)| wanted.is_none_or(|it| it == part);
            wanted.into_iter().zip(key(job)).all(fits)
        };
        let found: Vec<_> = self.jobs.iter().filter(matches).collect();
        match found.as_slice() {
            [job] => Ok(job),
            [] => {
                let wanted = wanted.map(|it| it.unwrap_or("*")).join("/");
                let candidates = candidates(&self.jobs);
                Err(ConfigError::new(format!("Could not find job {wanted}\n{candidates}")))
            }
            several => {
                let message = "Multiple jobs match, please disambiguate by specifying a job key.";
                let candidates = candidates(several.iter().copied());
                Err(ConfigError::new(format!("{message}\n{candidates}")))
            }
        }
    }
}

fn key(job: &JobSpec) -> [&str; 4] {
    [&job.cluster, &job.role, &job.environment, &job.name]
}

fn candidates<'a>(jobs: impl IntoIterator<Item = &'a JobSpec>) -> String {
    let keys = jobs.into_iter().map(|it| format!("\n  {}", key(it).join("/")));
    format!("Candidates are:{}", keys.collect::<String>())
}
