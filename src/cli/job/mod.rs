//! `airglow job`: one file per verb.

use std::path::PathBuf;

use super::{
    Global, Outcome, Session,
    browser::Browser,
    config::{Reading, Written},
    exit::{Code, Failure},
    key::{FullKey, InstanceSpec, OneInstance, Pattern},
    screen, wait,
};

mod add;
mod create;
mod diff;
mod inspect;
mod kill;
mod list;
mod plan;
mod restart;
mod scheduled;
mod status;
mod why;

#[derive(clap::Subcommand)]
pub(crate) enum Verb {
    /// Create a job from a configuration file
    Create(create::Args),
    /// Add instances to a job, like those that it has
    Add(add::Args),
    /// Kill some of a job's instances
    Kill(kill::Args),
    /// Kill all of a job's instances
    Killall(kill::AllArgs),
    /// Restart a job's instances, a few at a time
    Restart(restart::Args),
    /// Show the instances of a job, and how they are
    Status {
        /// CLUSTER/ROLE/ENV/NAME; wildcards for several
        #[arg(value_name = "CLUSTER[/ROLE[/ENV[/NAME]]]")]
        pattern: Pattern,
    },
    /// List jobs, one key a line
    List {
        /// Wildcards are allowed
        #[arg(value_name = "CLUSTER[/ROLE[/ENV[/NAME]]]")]
        pattern: Pattern,
    },
    /// Show how a job in a configuration file differs from what runs of it
    ///
    /// What differs is told by its place in the configuration; the environment variable DIFF_VIEWER
    /// names a program that is given both sides as files instead.
    Diff(diff::Args),
    /// Show what a job in a configuration file consists of
    Inspect(inspect::Args),
    /// Tell what creating a job would come to, without doing it
    ///
    /// What would differ, which hosts would get how many instances, what would have to wait and
    /// why, who would have to give way to those, and what is left of the role's quota. Exits with 11 if not everything would run.
    Plan(plan::Args),
    /// Tell why instances are not running yet
    Why {
        #[arg(value_name = "CLUSTER/ROLE/ENV/NAME[/INSTANCES]")]
        instances: InstanceSpec,
    },
}

/// A job, and the file that describes it.
#[derive(clap::Args)]
struct InFile {
    #[arg(value_name = "CLUSTER/ROLE/ENV/NAME")]
    key: FullKey,
    file: PathBuf,
    #[command(flatten)]
    reading: Reading,
}

impl InFile {
    fn read(&self) -> Result<Written, Failure> {
        self.reading.job(&self.file, &self.key)
    }
}

/// `--config` and how it is read: accepted wherever Aurora's client accepted it for its hooks.
#[derive(clap::Args)]
struct OptionalConfig {
    /// Read this file too, and stop if it does not define the job
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    reading: Reading,
}

impl OptionalConfig {
    fn check(&self, key: &FullKey) -> Outcome {
        self.reading.check(self.config.as_deref(), key)
    }
}

pub(crate) fn run(verb: Verb, global: &Global) -> Outcome {
    match verb {
        Verb::Create(args) => create::run(&args, global),
        Verb::Add(args) => add::run(&args, global),
        Verb::Kill(args) => kill::run(&args, global),
        Verb::Killall(args) => kill::run_all(&args, global),
        Verb::Restart(args) => restart::run(&args, global),
        Verb::Status { pattern } => status::run(&pattern, global),
        Verb::List { pattern } => list::run(&pattern, global),
        Verb::Diff(args) => diff::run(&args, global),
        Verb::Inspect(args) => inspect::run(&args, global),
        Verb::Plan(args) => plan::run(&args, global),
        Verb::Why { instances } => why::run(&instances, global),
    }
}

pub(crate) fn no_such_job(key: &FullKey) -> Failure {
    let FullKey { cluster, job } = key;
    Failure::new(Code::InvalidParameter, format!("Found no jobs matching {key}"))
        .hint(format!("`airglow job list {cluster}/{}` shows what there is", job.role))
}

/// `[0, 1, 2]`, as people know lists of instances from here.
fn bracketed(instances: &airglow_model::instances::InstanceSet) -> String {
    format!("{:?}", instances.iter().collect::<Vec<_>>())
}

/// Fewer or more instances may be what an SLA policy counts on.
fn warn_of_sla(doing: &str, job: &airglow_web::api::JobDetail) {
    use airglow_model::spec::SlaPolicy;
    let counts = |policy: &SlaPolicy| match policy {
        SlaPolicy::Count { .. } | SlaPolicy::Percentage { .. } => true,
        SlaPolicy::Coordinator { .. } => false,
    };
    if job.configs.first().and_then(|it| it.job.sla_policy.as_ref()).is_some_and(counts) {
        screen::warn(&format!("{doing} instances without updating SlaPolicy."));
    }
}
