//! Configuration files: Python, JSON or YAML in, job specifications out.

use std::path::Path;

use airglow_model::spec::JobSpec;

mod errors;

pub use errors::ConfigError;

/// How a configuration is read.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// `--bind name=value`, in order; later ones win.
    pub binds: Vec<(String, String)>,
    pub format: Format,
}

/// The language of a file.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Format {
    /// By the file's extension: `.json`, `.yaml` and `.yml` are data, everything else is Python.
    #[default]
    Auto,
    Json,
    Yaml,
}

/// What a configuration says.
#[derive(Clone, Debug)]
pub struct Loaded {
    pub jobs: Vec<JobSpec>,
    /// What works and should be changed all the same, a sentence each.
    pub warnings: Vec<String>,
}

impl Loaded {
    /// The one job that the given parts of a key choose; a part that is `None` matches all.
    ///
    /// # Errors
    /// There is no such job, or several; the message lists the candidates.
    pub fn find(
        &self,
        _cluster: Option<&str>,
        _role: Option<&str>,
        _environment: Option<&str>,
        _name: Option<&str>,
    ) -> Result<&JobSpec, ConfigError> {
        self.jobs.first().ok_or_else(|| ConfigError::new("No job defined in this config!"))
    }
}

/// Evaluates a configuration file.
///
/// # Errors
/// Everything that is wrong with it; [`ConfigError`] knows the file and the line where it can.
pub fn load(_path: &Path, _options: &Options) -> Result<Loaded, ConfigError> {
    Err(ConfigError::new("not yet"))
}
