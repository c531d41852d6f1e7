//! The command line: nouns and verbs as `airglow NOUN VERB`, one file per noun.
//!
//! Results go to stdout and everything else to stderr, so that output can be piped. Arguments,
//! texts and exit codes are those of Aurora's client wherever it had them: scripts depend on them.
//! Nothing is decided here that the scheduler could decide; what these files hold is asking,
//! waiting and showing. Only they print.

use std::{path::PathBuf, process::ExitCode};

use airglow_web::api::{JobDetail, JobSummary};
use clap::{CommandFactory, Parser, Subcommand};

use crate::client::{Client, ClientError, Trust, read_authority};

mod admin;
pub(crate) mod agent;
mod amounts;
mod browser;
mod clusters;
mod config;
mod credentials;
mod cron;
pub(crate) mod dev;
mod diff;
mod exit;
mod folders;
mod forecast;
mod host;
mod job;
mod key;
mod listed;
mod login;
mod quota;
pub(crate) mod run;
mod screen;
mod secret;
mod simulate;
mod sla;
mod task;
mod update;
mod wait;

use clusters::{Address, Clusters};
use exit::{Code, Failure};
use key::FullKey;

type Outcome = Result<(), Failure>;

/// Runs jobs on a mesh of machines, keeps them running, and shows what they do
#[derive(Parser)]
#[command(name = "airglow", version, infer_long_args = true, arg_required_else_help = true)]
#[command(propagate_version = false, disable_help_subcommand = true)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    noun: Noun,
}

/// What every verb understands.
#[derive(clap::Args)]
pub(crate) struct Global {
    /// The scheduler to talk to, whatever clusters.json says
    #[arg(long, global = true, value_name = "URI", env = "AIRGLOW_SCHEDULER_URI")]
    scheduler_uri: Option<String>,
    /// The authorities that vouch for schedulers, in PEM, instead of those that everybody knows
    #[arg(long, global = true, value_name = "FILE", env = "AIRGLOW_CACERT")]
    cacert: Option<PathBuf>,
    /// Print the result as JSON
    #[arg(long, global = true, visible_alias = "json")]
    write_json: bool,
    /// Tell what is being done, on stderr
    #[arg(short, long, global = true)]
    verbose: bool,
}

#[derive(Subcommand)]
enum Noun {
    /// Run a one-machine cluster in the foreground, with the jobs of some files
    Dev(dev::Args),
    /// Run one task of a file here and now, without any cluster
    Run(run::Args),
    /// Run this machine's agent: the daemon that runs tasks, and with --scheduler the scheduler
    Agent(agent::Args),
    /// Create, change and look at jobs
    #[command(subcommand, arg_required_else_help = true)]
    Job(job::Verb),
    /// Bring jobs to new configurations while they run
    #[command(subcommand, arg_required_else_help = true)]
    Update(update::Verb),
    /// Have jobs run by the clock
    #[command(subcommand, arg_required_else_help = true)]
    Cron(cron::Verb),
    /// Look at single tasks
    #[command(subcommand, arg_required_else_help = true)]
    Task(task::Verb),
    /// Look at configuration files
    #[command(subcommand, arg_required_else_help = true)]
    Config(config::Verb),
    /// Look at the machines of a cluster, and maintain them
    #[command(subcommand, arg_required_else_help = true)]
    Host(host::Verb),
    /// See and set what roles may have
    #[command(subcommand, arg_required_else_help = true)]
    Quota(quota::Verb),
    /// See for how long jobs' instances have been up
    #[command(subcommand, arg_required_else_help = true)]
    Sla(sla::Verb),
    /// Try out what would become of a cluster, in made-up time
    Simulate(simulate::Args),
    /// Log in to a cluster: a password for a token, which is kept
    Login(login::LoginArgs),
    /// Give up the token that was kept
    Logout(login::LogoutArgs),
    /// Operate a cluster
    #[command(subcommand, arg_required_else_help = true)]
    Admin(admin::Verb),
    /// Print the completion script for a shell
    Completions { shell: clap_complete::Shell },
}

/// The whole program.
pub(crate) fn main() -> ExitCode {
    // A shepherd is started for every process that a task runs: it has to be small and quick, so
    // it is recognised before anything else is set up.
    let mut args = std::env::args_os().skip(1);
    if args.next().is_some_and(|it| it == airglow_executor::ZYGOTE) {
        return airglow_executor::zygote();
    }
    let Cli { global, noun } = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            drop(error.print());
            return ExitCode::from(
                u8::try_from(error.exit_code()).unwrap_or(Code::CommandLine as u8),
            );
        }
    };
    log(&noun, global.verbose);
    match run(noun, &global) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            screen::report(&failure);
            failure.exit_code()
        }
    }
}

fn run(noun: Noun, global: &Global) -> Outcome {
    match noun {
        Noun::Dev(args) => dev::run(args, global),
        Noun::Run(args) => run::run(args, global),
        Noun::Agent(args) => agent::run(args),
        Noun::Job(verb) => job::run(verb, global),
        Noun::Update(verb) => update::run(verb, global),
        Noun::Cron(verb) => cron::run(verb, global),
        Noun::Task(verb) => task::run(verb, global),
        Noun::Config(verb) => config::run(verb, global),
        Noun::Host(verb) => host::run(verb, global),
        Noun::Quota(verb) => quota::run(verb, global),
        Noun::Sla(verb) => sla::run(verb, global),
        Noun::Simulate(args) => simulate::run(&args, global),
        Noun::Login(args) => login::log_in(args, global),
        Noun::Logout(args) => login::log_out(&args, global),
        Noun::Admin(verb) => admin::run(verb, global),
        Noun::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "airglow", &mut script);
            Ok(std::io::Write::write_all(&mut screen::out(), &script)?)
        }
    }
}

/// A daemon tells what it does; a command only when it is asked to. `RUST_LOG` overrules both.
fn log(noun: &Noun, verbose: bool) {
    let level = match noun {
        _ if verbose => "airglow=debug,airglow_scheduler=debug,airglow_executor=debug,info",
        Noun::Agent(_) => "info,openraft=off",
        Noun::Dev(_)
        | Noun::Run(_)
        | Noun::Job(_)
        | Noun::Update(_)
        | Noun::Cron(_)
        | Noun::Task(_)
        | Noun::Config(_)
        | Noun::Host(_)
        | Noun::Quota(_)
        | Noun::Sla(_)
        | Noun::Simulate(_)
        | Noun::Login(_)
        | Noun::Logout(_)
        | Noun::Admin(_)
        | Noun::Completions { .. } => "error",
    };
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(level));
    let colors = std::io::IsTerminal::is_terminal(&std::io::stderr());
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(colors)
        .with_writer(std::io::stderr)
        .init();
}

/// A conversation with one cluster's scheduler.
pub(crate) struct Session {
    pub(crate) client: Client,
    pub(crate) address: Address,
}

impl Global {
    fn clusters(&self) -> Result<Clusters, Failure> {
        Clusters::find(self.scheduler_uri.clone())
    }

    fn session(&self, cluster: &str) -> Result<Session, Failure> {
        self.session_at(self.clusters()?.address(cluster)?)
    }

    /// With the one cluster that there is.
    fn only_session(&self) -> Result<Session, Failure> {
        self.session_at(self.clusters()?.only()?)
    }

    fn session_at(&self, address: Address) -> Result<Session, Failure> {
        let cacert = self.cacert.as_ref().or(address.cacert.as_ref());
        let authority = cacert.map(|it| read_authority(it)).transpose();
        let authority = authority.map_err(|why| Failure::new(Code::Configuration, why))?;
        let token = credentials::token_for(&address.api)?;
        let client = Client::new(&address.api, Trust { token, authority });
        Ok(Session { client, address })
    }

    /// For a verb that is about a cluster and not about any of its jobs; `None`: the one that there
    /// is.
    fn cluster_session(&self, cluster: Option<&str>) -> Result<Session, Failure> {
        let Some(name) = cluster else { return self.only_session() };
        let session = self.session(name)?;
        let there = session.cluster(&session.client.jobs(&[])?)?;
        match there.filter(|it| it != name) {
            Some(there) => Err(session.elsewhere(name, &there)),
            None => Ok(session),
        }
    }
}

impl Session {
    /// `None`: there is no such job.
    ///
    /// # Errors
    /// The scheduler is another cluster's: without clusters.json any name leads to the one on this
    /// machine, and its answers must not be taken for another's.
    fn job(&self, key: &FullKey) -> Result<Option<JobDetail>, Failure> {
        let Some(job) = self.client.job(&key.job)? else { return Ok(None) };
        match cluster_of(&job) {
            Some(there) if there != key.cluster => Err(self.elsewhere(&key.cluster, there)),
            _ => Ok(Some(job)),
        }
    }

    /// What the scheduler's cluster is called, by the configuration of one of its jobs.
    fn cluster(&self, jobs: &[JobSummary]) -> Result<Option<String>, Failure> {
        for job in jobs {
            if let Some(job) = self.client.job(&job.key())? {
                return Ok(cluster_of(&job).map(str::to_owned));
            }
        }
        Ok(None)
    }

    /// No such cluster here.
    fn elsewhere(&self, wanted: &str, there: &str) -> Failure {
        let at = self.client.base();
        Failure::new(Code::Configuration, format!("Unknown cluster: {wanted}"))
            .hint(format!("The scheduler at {at} is that of cluster {there}"))
    }

    /// The job's page.
    fn page(&self, job: &airglow_model::ids::JobKey) -> String {
        format!("{}/scheduler/{job}", self.address.pages)
    }
}

/// The kind of problem that a job has as long as it is being updated.
const JOB_UPDATING: &str = "/problems/job-updating";
const LOCKED: &str = "\tError: job is locked by an active update.\n\tRun 'airglow update abort' or \
                      wait for the active update to finish ('airglow update wait').";

const LOG_IN: &str = "`airglow login --user NAME` asks for a password and keeps a token; AIRGLOW_API_TOKEN is \
                      shown instead, if it is set.";
const MAY_NOT: &str = "An admin can change that with `airglow admin user grant`; `airglow admin api-token list` shows \
                       what a token is limited to.";
const UNKNOWN_AUTHORITY: &str = "If it is the cluster's own authority that vouches for it, --cacert FILE, AIRGLOW_CACERT or \
                                 cacert in clusters.json makes it known: api-authority.pem in the scheduler's data folder.";

fn cluster_of(job: &JobDetail) -> Option<&str> {
    job.configs.first().map(|it| it.job.cluster.as_str())
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        let message = error.to_string();
        match error {
            ClientError::Unreachable { .. } if message.contains("ertificate") => {
                Self::new(Code::Network, message).hint(UNKNOWN_AUTHORITY)
            }
            ClientError::Unreachable { .. } => Self::new(Code::Network, message).hint(
                "Is it running? `airglow dev FILE` starts one on this machine; clusters.json or --scheduler-uri name another.",
            ),
            ClientError::Elsewhere { .. } => Self::new(Code::Network, message)
                .hint("Can it be reached from here? `airglow admin members list` shows where the schedulers are."),
            ClientError::Broken(_) => Self::new(Code::Network, message)
                .hint("Look at what happened with `airglow job status` before asking again."),
            ClientError::Refused(problem) => match problem.status {
                401 => Self::new(Code::Forbidden, message).hint(LOG_IN),
                403 => Self::new(Code::Forbidden, message).hint(MAY_NOT),
                _ if problem.kind == JOB_UPDATING => {
                    Self::new(Code::Scheduler, message).hint(LOCKED)
                }
                _ => Self::new(Code::Scheduler, message),
            },
            ClientError::Strange { .. } => Self::new(Code::Unknown, message)
                .hint("Is that the address of an airglow scheduler, of this version?"),
        }
    }
}

#[cfg(test)]
mod tests {
    use airglow_web::api::Problem;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn what_the_scheduler_says_decides_the_exit_code() {
        let code = |status| {
            let problem = Problem { status, title: "no".into(), ..Problem::default() };
            Failure::from(ClientError::Refused(Box::new(problem))).code()
        };
        assert_eq!(code(401), Some(Code::Forbidden));
        assert_eq!(code(403), Some(Code::Forbidden));
        assert_eq!(code(409), Some(Code::Scheduler));
        assert_eq!(code(422), Some(Code::Scheduler));
        let kind = JOB_UPDATING.to_owned();
        let problem = Problem { kind, status: 409, ..Problem::default() };
        let Failure::Told { next, .. } = ClientError::Refused(Box::new(problem)).into() else {
            panic!("a refusal is told");
        };
        assert!(next.is_some_and(|it| it.contains("Run 'airglow update abort'")));
        let broken = Failure::from(ClientError::Broken(ureq::Error::ConnectionFailed));
        assert_eq!(broken.code(), Some(Code::Network));
    }

    #[test]
    fn bad_command_lines_are_told_apart_from_bad_instances() {
        let parse = |line: &str| Cli::try_parse_from(line.split(' ')).map(drop);
        for good in [
            "airglow job create c/r/e/n file --wait-until FINISHED --bind a=b --bind x[0].y=1=2",
            "airglow job kill c/r/e/n/0,2,4-6 --batch-size 5 -m because",
            "airglow job kill c/r/e/n --no-batching",
            "airglow job killall c/r/e/n --max-total-failures 3",
            "airglow job restart c/r/e/n --watch 1 --max-total-failures=-1",
            "airglow job status c/* --write-json",
            "airglow job diff c/r/e/n/0-3 file --from c/r/e/m --bind a=b",
            "airglow update start c/r/e/n/0-3,7 file --bind a=b -m why --wait --strict",
            "airglow update start c/r/e/n file --metadata a=b --metadata c=d=e --dry-run",
            "airglow update start c/r/e/n file --healthcheck-interval-seconds 3 --open-browser",
            "airglow update wait c/r/e/n some-id",
            "airglow update info c/r/e/n --write-json",
            "airglow update list c/r --status active --status ROLLED_BACK --user ada",
            "airglow update rollback c/r/e/n --wait -m worse",
            "airglow update pulse c/r/e/n",
            "airglow cron schedule c/r/e/n file --bind a=b --read-json",
            "airglow cron start c/r/e/n --config file --open-browser",
            "airglow cron deschedule c/r/e/n",
            "airglow cron show c/r/e/n --write-json",
            "airglow task logs c/r/e/n/0 --process p --run 2 --stderr --follow",
            "airglow admin token rotate west --for schedulers --expires 24h",
            "airglow host remove west/a b --force",
            "airglow dev a.aurora b.aurora --once --port 9000",
            "airglow run a.thermos -P http:80 -P admin:81 -E a=b --user joe --task-id t-1",
            "airglow run a.aurora c/r/e/n --sandbox x",
            "airglow login west --user ada --expires 7d --cacert ca.pem",
            "airglow admin user add ada --admin",
            "airglow admin user grant bob --grant kill,restart:www/prod --cluster west",
            "airglow admin user password ada",
            "airglow admin api-token create --user bob --grant read-only --expires 1h --note ci",
            "airglow admin api-token revoke 0123 --user bob",
        ] {
            assert!(parse(good).is_ok(), "{good}: {:?}", parse(good));
        }
        for bad in [
            "airglow job create c/r/e file",
            "airglow job create c/r/e/n",
            "airglow job create c/r/e/n file --bind a",
            "airglow job kill c/r/e/n/3-1",
            "airglow job create c/r/e/n file --wait-until LATER",
            "airglow job status a/b/c/d/e",
            "airglow job nonsense",
            "airglow update start c/r/e/n",
            "airglow update start c/r/e/n file --metadata a",
            "airglow update list c --status done",
            "airglow update pause c/r/e/n/0",
            "airglow cron schedule c/r/e/n",
            "airglow cron show c/r/e",
            "airglow run",
            "airglow run a.thermos -P http",
            "airglow run a.thermos --task-id .hidden",
            "airglow run a.thermos --user a/b",
            "airglow login --password x",
            "airglow admin user add ada secret",
        ] {
            assert_eq!(parse(bad).unwrap_err().exit_code(), 2, "{bad}");
        }
    }
}
