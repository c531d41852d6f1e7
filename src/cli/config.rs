//! `airglow config`: what configuration files say; and reading them for every other verb.

use std::{
    io::{self, IsTerminal, Write},
    path::{Path, PathBuf},
    rc::Rc,
};

use airglow_model::{
    config::Job,
    ids::JobKey,
    spec::{Complaint, JobSpec, Limits},
};

use super::{
    Global, Outcome,
    exit::{Code, Failure},
    key::FullKey,
    screen,
};
use crate::{
    aurora::{self, Format, Loaded, Options},
    client::ClientError,
};

#[derive(clap::Subcommand)]
pub(crate) enum Verb {
    /// List the jobs that a file defines
    List {
        file: PathBuf,
        #[command(flatten)]
        reading: Reading,
    },
}

/// How configuration files are read.
#[derive(clap::Args)]
pub(crate) struct Reading {
    /// Give a name in the configuration's templates its value; repeat for more
    #[arg(long, value_name = "NAME=VALUE", value_parser = binding)]
    bind: Vec<(String, String)>,
    /// The file is JSON
    #[arg(long)]
    read_json: bool,
}

pub(crate) fn binding(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("Binding parameter must be formatted name=value".into()),
    }
}

/// A job, and the file that it is written in.
pub(crate) struct Written {
    pub(crate) spec: JobSpec,
    file: Rc<Loaded>,
}

impl Reading {
    fn load(&self, file: &Path) -> Result<Loaded, aurora::ConfigError> {
        self.load_as(file, None)
    }

    fn load_as(&self, file: &Path, user: Option<&str>) -> Result<Loaded, aurora::ConfigError> {
        let format = if self.read_json { Format::Json } else { Format::Auto };
        let (binds, user) = (self.bind.clone(), user.map(str::to_owned));
        let options = Options { binds, format, user, ..Options::default() };
        let loaded = aurora::load(file, &options)?;
        for warning in &loaded.warnings {
            screen::warn(warning);
        }
        Ok(loaded)
    }

    /// More bindings, which win.
    #[must_use]
    pub(crate) fn with(mut self, bind: Vec<(String, String)>) -> Self {
        self.bind.extend(bind);
        self
    }

    /// The job or exported task of that name in the file; exported ones are this user's.
    pub(crate) fn runnable(
        &self,
        file: &Path,
        name: Option<&str>,
        user: Option<&str>,
    ) -> Result<Written, Failure> {
        let loaded = self.load_as(file, user).map_err(|error| invalid(&error))?;
        let spec = loaded.runnable(name).cloned().map_err(|error| invalid(&error))?;
        Ok(Written { spec, file: Rc::new(loaded) })
    }

    /// Every job in the file.
    pub(crate) fn jobs(&self, file: &Path) -> Result<Vec<Written>, Failure> {
        let loaded = Rc::new(self.load(file).map_err(|error| invalid(&error))?);
        let written = |spec: &JobSpec| Written { spec: spec.clone(), file: loaded.clone() };
        let jobs: Vec<_> = loaded.jobs.iter().map(written).collect();
        jobs.iter().try_for_each(Written::check)?;
        Ok(jobs)
    }

    /// The job of that name in the file.
    pub(crate) fn job(&self, file: &Path, key: &FullKey) -> Result<Written, Failure> {
        let FullKey { cluster, job } = key;
        let loaded = self.load(file).map_err(|error| invalid(&error))?;
        let found = loaded.find(
            Some(cluster.as_str()),
            Some(job.role.as_str()),
            Some(job.environment.as_str()),
            Some(job.name.as_str()),
        );
        let spec = found.cloned().map_err(|error| invalid(&error))?;
        let written = Written { spec, file: Rc::new(loaded) };
        written.check()?;
        Ok(written)
    }

    /// The file of `--config`: it is read so that what is wrong with it is told, although nothing
    /// in it changes what is done.
    pub(crate) fn check(&self, file: Option<&Path>, key: &FullKey) -> Outcome {
        match file {
            Some(file) => self.job(file, key).map(drop),
            None => Ok(()),
        }
    }
}

impl Written {
    pub(crate) fn key(&self) -> FullKey {
        key_of(&self.spec)
    }

    /// Another one, in place of this.
    pub(crate) fn with_spec(&self, spec: JobSpec) -> Self {
        Self { spec, file: self.file.clone() }
    }

    /// What is wrong in any cluster is told before one is asked.
    fn check(&self) -> Outcome {
        self.checked().map(drop)
    }

    pub(crate) fn checked(&self) -> Result<Job, Failure> {
        let mut anywhere = Limits {
            tasks_per_job_max: u32::MAX,
            gpus_allowed: true,
            ..Limits::usual(&self.spec.cluster)
        };
        // Which tiers there are, and what they mean, the cluster knows.
        if let Some(tier) = &self.spec.tier {
            anywhere.tiers.tiers.entry(tier.clone()).or_default();
        }
        let checked = self.spec.clone().check(&anywhere);
        checked.map_err(|wrong| invalid(&self.file.explain(&self.spec, wrong)))
    }

    /// Why the scheduler does not want it: its complaints with the lines that they are about.
    pub(crate) fn refused(&self, error: ClientError) -> Failure {
        let problem = match error {
            ClientError::Refused(problem) if !problem.errors.is_empty() => problem,
            ClientError::Refused(_)
            | ClientError::Unreachable { .. }
            | ClientError::Broken(_)
            | ClientError::Elsewhere { .. }
            | ClientError::Strange { .. } => return error.into(),
        };
        let complaints = problem
            .errors
            .into_iter()
            .map(|it| Complaint { pointer: in_job(&it.pointer).to_owned(), detail: it.detail });
        let explained = self.file.explain(&self.spec, complaints.collect());
        told("", &explained).known_as(Code::Scheduler)
    }
}

/// From a place in a request to that in its only job, be that in a list or by itself.
fn in_job(pointer: &str) -> &str {
    let only = ["/jobs/0", "/job"].iter().find_map(|it| pointer.strip_prefix(it));
    only.unwrap_or(pointer)
}

fn invalid(error: &aurora::ConfigError) -> Failure {
    told("Error loading configuration", error)
}

/// On a terminal with the lines as they look in the file, elsewhere as sentences with their places.
fn told(what: &str, error: &aurora::ConfigError) -> Failure {
    let mut picture = String::new();
    let handler = miette::GraphicalReportHandler::new_themed(miette::GraphicalTheme::unicode());
    let drawn = io::stderr().is_terminal()
        && handler.with_width(100).render_report(&mut picture, error).is_ok();
    let colon = if what.is_empty() { "" } else { ": " };
    if drawn {
        let picture = format!("\n{}", picture.trim_end());
        return Failure::new(Code::Configuration, format!("{what}{}", colon.trim())).hint(picture);
    }
    Failure::new(Code::Configuration, format!("{what}{colon}{error}"))
}

/// The full key of a job in a file.
fn key_of(spec: &JobSpec) -> FullKey {
    FullKey {
        cluster: spec.cluster.clone(),
        job: JobKey::new(&spec.role, &spec.environment, &spec.name),
    }
}

pub(crate) fn run(verb: Verb, global: &Global) -> Outcome {
    let Verb::List { file, reading } = verb;
    let loaded = reading
        .load(&file)
        .map_err(|error| told("Error loading configuration file", &error).known_as(Code::Failed))?;
    let keys: Vec<String> = loaded.jobs.iter().map(|it| key_of(it).to_string()).collect();
    if global.write_json {
        return screen::json(&keys);
    }
    Ok(writeln!(screen::out(), "jobs=[{}]", keys.join(", "))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_in_a_request_is_one_in_its_job() {
        for (pointer, expected) in [
            ("/jobs/0/name", "/name"),
            ("/job/task/name", "/task/name"),
            ("/cron_schedule", "/cron_schedule"),
        ] {
            assert_eq!(in_job(pointer), expected, "{pointer}");
        }
    }

    #[test]
    fn a_binding_has_a_name_and_a_value() {
        assert_eq!(binding("a.b[c]=d=e"), Ok(("a.b[c]".into(), "d=e".into())));
        assert_eq!(binding("a="), Ok(("a".into(), String::new())));
        for bad in ["a", "=b", ""] {
            assert_eq!(
                binding(bad),
                Err("Binding parameter must be formatted name=value".into()),
                "{bad}"
            );
        }
    }
}
