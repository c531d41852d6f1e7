//! Picks one job of a file by the parts of its key, or anything that can be run by its name.

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
            let only_tasks = !self.tasks.is_empty();
            let hint = if only_tasks { " It exports tasks, which `airglow run` runs." } else { "" };
            return Err(ConfigError::new(format!("No job defined in this config!{hint}")));
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

    /// The job or exported task that goes by that name: a job's key, its name or that of its task.
    /// Without a name, the only one there is.
    ///
    /// # Errors
    /// There is none, or there are several.
    pub(crate) fn runnable(&self, name: Option<&str>) -> Result<&JobSpec, ConfigError> {
        let all: Vec<_> = self.jobs.iter().chain(&self.tasks).collect();
        let found: Vec<_> = match name {
            None => all.clone(),
            Some(name) => self.named(name),
        };
        let message = match (found.as_slice(), name) {
            ([only], _) => return Ok(only),
            ([], None) => return Err(ConfigError::new("No tasks specified!")),
            ([], Some(name)) => format!("Could not find task {name}!"),
            (_, None) => "Multiple tasks in config but no task name specified!".to_owned(),
            (_, Some(name)) => format!("There are several called {name}, please name one's key."),
        };
        let candidates = if found.is_empty() { all } else { found };
        Err(ConfigError::new(format!("{message}\n{}", self.runnables(&candidates))))
    }

    /// Whoever has it as a key comes before those who only are called like that.
    fn named(&self, name: &str) -> Vec<&JobSpec> {
        let of_jobs = |names: &dyn Fn(&JobSpec) -> bool| -> Vec<_> {
            self.jobs.iter().filter(|it| names(it)).collect()
        };
        let by_key = of_jobs(&|it| key(it).join("/") == name);
        let by_name = of_jobs(&|it| it.name == name);
        let of_task = |it: &&JobSpec| it.task.name == name;
        let by_task = self.tasks.iter().filter(of_task).chain(self.jobs.iter().filter(of_task));
        let ways = [by_key, by_name, by_task.collect()];
        ways.into_iter().find(|it| !it.is_empty()).unwrap_or_default()
    }

    fn runnables(&self, found: &[&JobSpec]) -> String {
        let is_task = |it: &JobSpec| self.tasks.iter().any(|task| std::ptr::eq(task, it));
        let name =
            |it: &&JobSpec| if is_task(it) { it.task.name.clone() } else { key(it).join("/") };
        let names: String = found.iter().map(|it| format!("\n  {}", name(it))).collect();
        format!("Candidates are:{names}")
    }
}

fn key(job: &JobSpec) -> [&str; 4] {
    [&job.cluster, &job.role, &job.environment, &job.name]
}

fn candidates<'a>(jobs: impl IntoIterator<Item = &'a JobSpec>) -> String {
    let keys = jobs.into_iter().map(|it| format!("\n  {}", key(it).join("/")));
    format!("Candidates are:{}", keys.collect::<String>())
}
