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
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod input;
mod job;
mod pick;
mod python;
mod scope;
mod task;
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
    /// Whose exported tasks are; those of whoever runs this, if nothing is said.
    pub(crate) user: Option<String>,
}

impl Default for Options {
    fn default() -> Self {
        let time_limit = Duration::from_secs(30);
        Self { binds: Vec::new(), format: Format::Auto, time_limit, user: None }
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
    /// Tasks that can be run by themselves, each as a job that is nobody's.
    pub(crate) tasks: Vec<JobSpec>,
    /// What works and should be changed all the same, a sentence each.
    pub(crate) warnings: Vec<String>,
    /// Beside `jobs`, and `tasks` after them.
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
    let Outcome { jobs, tasks, mistakes, warnings, sources } = outcome;
    if !mistakes.is_empty() {
        return Err(ConfigError::located(mistakes, &sources));
    }
    let split = |Job { spec, places }| (spec, places);
    let (jobs, mut places): (Vec<_>, Vec<_>) = jobs.into_iter().map(split).unzip();
    let (tasks, places_of_tasks): (Vec<_>, Vec<_>) = tasks.into_iter().map(split).unzip();
    places.extend(places_of_tasks);
    Ok(Loaded { jobs, tasks, warnings, places, sources })
}

/// What became of a file.
#[derive(Debug, Default)]
struct Outcome {
    jobs: Vec<Job>,
    tasks: Vec<Job>,
    mistakes: Vec<Mistake>,
    warnings: Vec<String>,
    sources: Sources,
}

impl Outcome {
    /// Evaluates what a file says about jobs.
    fn add(&mut self, jobs: &[Rc<value::Struct>], options: &Options) {
        let finished = self.finish(jobs, options);
        self.jobs.extend(finished);
    }

    /// Evaluates tasks that a file exports.
    fn export(
        &mut self,
        tasks: &[Rc<value::Struct>],
        language: &value::Language,
        options: &Options,
    ) {
        let user = options.user.clone().unwrap_or_else(task::own_name);
        let as_job = |it| task::as_job(it, language, &user, &options.binds);
        let jobs: Vec<_> = tasks.iter().map(as_job).collect();
        let finished = self.finish(&jobs, options);
        self.tasks.extend(finished);
    }

    fn finish(&mut self, jobs: &[Rc<value::Struct>], options: &Options) -> Vec<Job> {
        self.warnings.extend(warnings::ignored_fields(jobs));
        let mut finished = Vec::new();
        for job in jobs {
            match job::finish(job, &options.binds) {
                Ok(job) => {
                    self.warnings.extend(warnings::about(&job.spec));
                    finished.push(job);
                }
                Err(mistakes) => self.mistakes.extend(mistakes),
            }
        }
        finished
    }
}

fn read_data(path: &Path, text: &str, format: Format, options: &Options) -> Outcome {
    let mut outcome = Outcome::default();
    let file = outcome.sources.add(path, text);
    let language = value::Language::default();
    let lines = input::Lines::of(text, format);
    for input::Entry { pointer, found } in input::read(text, format, &file, &language) {
        let (jobs, tasks) = (outcome.jobs.len(), outcome.tasks.len());
        let told = outcome.mistakes.len();
        // Where a task is that got a job around it.
        let mut around = "";
        match found {
            Ok(input::Found::Job(job)) => outcome.add(&[job], options),
            Ok(input::Found::Task(task)) => {
                around = "/task";
                outcome.export(&[task], &language, options);
            }
            Err(mistakes) => outcome.mistakes.extend(mistakes),
        }
        for job in outcome.jobs[jobs..].iter_mut().chain(&mut outcome.tasks[tasks..]) {
            let line = lines.line_of(&pointer);
            job.places = Places::of_job(Origin { file: file.clone(), line });
        }
        for mistake in &mut outcome.mistakes[told..] {
            let inside = mistake.pointer.strip_prefix(around).unwrap_or(&mistake.pointer);
            mistake.pointer = format!("{pointer}{inside}");
            let line = || lines.line_of(&mistake.pointer);
            mistake.origin.get_or_insert_with(|| Origin { file: file.clone(), line: line() });
        }
    }
    outcome
}

impl Loaded {
    /// Complaints about a job of this file, made by whoever checked it, with the lines that they
    /// are about.
    pub(crate) fn explain(&self, job: &JobSpec, complaints: Vec<Complaint>) -> ConfigError {
        let known = self.jobs.iter().chain(&self.tasks).position(|it| it == job);
        let places = known.map_or_else(Places::default, |it| self.places[it].clone());
        let mistakes = complaints.into_iter().map(|it| places.locate(it));
        ConfigError::located(mistakes.collect(), &self.sources)
    }
}
