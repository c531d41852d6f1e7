//! Configuration files: Python, JSON or YAML in, job specifications out.
//!
//! Old files must work unchanged, so the language is whole Python, run by an interpreter inside
//! this process ([`python`]). What is not Python is plain Rust and tested without it: the typed
//! values that a file builds ([`value`]), templates and what they refer to ([`scope`]), files that
//! are data ([`input`]), and the step from a value to a checked specification ([`job`]). One table
//! in the model says which objects and fields there are.
//!
//! A file may read files and the environment. It cannot write, start programs, use the network or
//! run for ever.

use std::{path::Path, rc::Rc, time::Duration};

use airglow_model::spec::{Complaint, JobSpec};

mod errors;
mod input;
mod job;
mod pick;
mod python;
mod scope;
mod value;
mod warnings;

#[cfg(test)]
mod tests;

pub(crate) use errors::ConfigError;
use errors::{Mistake, Origin, Sources};
use job::{Job, Places};

/// How a configuration is read.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// `--bind name=value`, in order; later ones win.
    pub(crate) binds: Vec<(String, String)>,
    pub(crate) format: Format,
    /// How long a file may run.
    pub(crate) time_limit: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self { binds: Vec::new(), format: Format::Auto, time_limit: Duration::from_secs(30) }
    }
}

/// The language of a file.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum Format {
    /// By the file's extension: `.json`, `.yaml` and `.yml` are data, everything else is Python.
    #[default]
    Auto,
    Json,
    Yaml,
}

/// What a configuration says.
#[derive(Clone, Debug)]
pub(crate) struct Loaded {
    pub(crate) jobs: Vec<JobSpec>,
    /// What works and should be changed all the same, a sentence each.
    pub(crate) warnings: Vec<String>,
    /// Beside `jobs`.
    places: Vec<Places>,
    sources: Sources,
}

/// Evaluates a configuration file.
///
/// # Errors
/// Everything that is wrong with it; [`ConfigError`] knows the file and the line where it can.
pub(crate) fn load(path: &Path, options: &Options) -> Result<Loaded, ConfigError> {
    let environment = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    load_in(path, options, environment.collect())
}

/// As [`load`], with an environment of one's own.
fn load_in(
    path: &Path,
    options: &Options,
    environment: Vec<(String, String)>,
) -> Result<Loaded, ConfigError> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| ConfigError::new(format!("{}: {error}", path.display())))?;
    let extension = path.extension().and_then(|it| it.to_str()).unwrap_or_default();
    let format = match (options.format, extension) {
        (Format::Auto, "json") => Format::Json,
        (Format::Auto, "yaml" | "yml") => Format::Yaml,
        (format, _) => format,
    };
    let outcome = match format {
        Format::Auto => python::evaluate(path, &text, options, environment),
        Format::Json | Format::Yaml => read_data(path, &text, format, options),
    };
    let Outcome { jobs, mistakes, warnings, sources } = outcome;
    if !mistakes.is_empty() {
        return Err(ConfigError::located(mistakes, &sources));
    }
    let (jobs, places) = jobs.into_iter().map(|Job { spec, places }| (spec, places)).unzip();
    Ok(Loaded { jobs, warnings, places, sources })
}

/// What became of a file.
#[derive(Debug, Default)]
struct Outcome {
    jobs: Vec<Job>,
    mistakes: Vec<Mistake>,
    warnings: Vec<String>,
    sources: Sources,
}

impl Outcome {
    /// Evaluates what a file says about jobs.
    fn add(&mut self, jobs: &[Rc<value::Struct>], options: &Options) {
        self.warnings.extend(warnings::ignored_fields(jobs));
        for job in jobs {
            match job::finish(job, &options.binds) {
                Ok(job) => {
                    self.warnings.extend(warnings::about(&job.spec));
                    self.jobs.push(job);
                }
                Err(mistakes) => self.mistakes.extend(mistakes),
            }
        }
    }
}

fn read_data(path: &Path, text: &str, format: Format, options: &Options) -> Outcome {
    let mut outcome = Outcome::default();
    let file = outcome.sources.add(path, text);
    let jobs = input::read(text, format, &file, &value::Language::default());
    for input::Entry { pointer, job } in jobs {
        let (read, told) = (outcome.jobs.len(), outcome.mistakes.len());
        match job {
            Ok(job) => outcome.add(&[job], options),
            Err(mistakes) => outcome.mistakes.extend(mistakes),
        }
        let line = input::line_of(text, format, &pointer);
        for job in &mut outcome.jobs[read..] {
            job.places = Places::of_job(Origin { file: file.clone(), line });
        }
        for mistake in &mut outcome.mistakes[told..] {
            mistake.pointer.insert_str(0, &pointer);
            let line = || input::line_of(text, format, &mistake.pointer);
            mistake.origin.get_or_insert_with(|| Origin { file: file.clone(), line: line() });
        }
    }
    outcome
}

impl Loaded {
    /// Complaints about a job of this file, made by whoever checked it, with the lines that they
    /// are about.
    pub(crate) fn explain(&self, job: &JobSpec, complaints: Vec<Complaint>) -> ConfigError {
        let known = self.jobs.iter().position(|it| it == job);
        let places = known.map_or_else(Places::default, |it| self.places[it].clone());
        let mistakes = complaints.into_iter().map(|it| places.locate(it));
        ConfigError::located(mistakes.collect(), &self.sources)
    }
}
