//! `airglow config`: what configuration files say; and reading them for every other verb.

use std::{
    io::Write,
    path::{Path, PathBuf},
};

use airglow_model::{ids::JobKey, spec::JobSpec};

use super::{
    Global, Outcome,
    exit::{Code, Failure},
    key::FullKey,
    screen,
};
use crate::aurora::{self, Format, Loaded, Options};

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

fn binding(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("Binding parameter must be formatted name=value".into()),
    }
}

impl Reading {
    /// Everything in the file; what it warns of is passed on.
    pub(crate) fn load(&self, file: &Path) -> Result<Loaded, Failure> {
        let options =
            Options { binds: self.bind.clone(), format: self.format(), ..Options::default() };
        let loaded =
            aurora::load(file, &options).map_err(|error| invalid("configuration", &error))?;
        warn(&loaded);
        Ok(loaded)
    }

    fn format(&self) -> Format {
        if self.read_json { Format::Json } else { Format::Auto }
    }

    /// The job of that name in the file.
    pub(crate) fn job(&self, file: &Path, key: &FullKey) -> Result<JobSpec, Failure> {
        let FullKey { cluster, job } = key;
        let loaded = self.load(file)?;
        let found = loaded.find(
            Some(cluster.as_str()),
            Some(job.role.as_str()),
            Some(job.environment.as_str()),
            Some(job.name.as_str()),
        );
        found.cloned().map_err(|error| invalid("configuration", &error))
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

fn warn(loaded: &Loaded) {
    for warning in &loaded.warnings {
        screen::warn(warning);
    }
}

/// The sentence first, then the place in the file as it looks.
fn invalid(what: &str, error: &aurora::ConfigError) -> Failure {
    let failure = Failure::new(Code::Configuration, format!("Error loading {what}: {error}"));
    let mut picture = String::new();
    let drawn = miette::GraphicalReportHandler::new_themed(theme())
        .with_width(100)
        .render_report(&mut picture, error);
    let says_more = picture.trim().lines().count() > 1;
    if drawn.is_ok() && says_more { failure.hint(picture.trim_end()) } else { failure }
}

fn theme() -> miette::GraphicalTheme {
    if std::io::IsTerminal::is_terminal(&std::io::stderr()) {
        miette::GraphicalTheme::unicode()
    } else {
        miette::GraphicalTheme::unicode_nocolor()
    }
}

/// The full key of a job in a file.
pub(crate) fn key_of(spec: &JobSpec) -> FullKey {
    FullKey {
        cluster: spec.cluster.clone(),
        job: JobKey::new(&spec.role, &spec.environment, &spec.name),
    }
}

pub(crate) fn run(verb: Verb, global: &Global) -> Outcome {
    let Verb::List { file, reading } = verb;
    let format = reading.format();
    let options = Options { binds: reading.bind, format, ..Options::default() };
    let loaded = aurora::load(&file, &options)
        .map_err(|error| invalid("configuration file", &error).known_as(Code::Failed))?;
    warn(&loaded);
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
