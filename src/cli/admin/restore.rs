//! `airglow admin restore`: a cluster's memory is put back, on the machine that is to be its
//! scheduler, while that is stopped.

use std::{collections::BTreeMap, fmt::Write as _, io::Write, path::PathBuf};

use airglow_kit::now;
use airglow_model::{ids::JobKey, machine::Timestamp, task::Status, view::View};
use airglow_scheduler::{Restore, RestoreError, Staged};

use super::{Code, Failure, Global, Outcome, screen};
use crate::agent::DATA;

#[derive(clap::Subcommand)]
pub(crate) enum Verb {
    /// Check a backup, and put it where it can be looked at
    Stage {
        backup: PathBuf,
        /// Have the scheduler that is there moved aside
        #[arg(long)]
        force: bool,
        #[command(flatten)]
        place: Place,
    },
    /// Show what is staged, and what it would do
    Show {
        #[command(flatten)]
        place: Place,
    },
    /// Leave a job out of what is staged
    Drop {
        #[arg(value_name = "ROLE/ENV/NAME", value_parser = job)]
        job: JobKey,
        #[command(flatten)]
        place: Place,
    },
    /// Put what is staged in the scheduler's place
    Commit {
        #[command(flatten)]
        place: Place,
    },
    /// Give up what is staged
    Abort {
        #[command(flatten)]
        place: Place,
    },
}

#[derive(clap::Args)]
pub(crate) struct Place {
    /// The agent's data folder
    #[arg(long, value_name = "DIR", default_value = DATA)]
    data: PathBuf,
}

fn job(text: &str) -> Result<JobKey, String> {
    text.parse().map_err(|_| "a job is written role/environment/name".into())
}

/// Jobs that are listed; more are only counted.
const LISTED: usize = 50;

pub(super) fn run(verb: &Verb, global: &Global) -> Outcome {
    match verb {
        Verb::Stage { backup, force, place } => {
            screen::aside("Looking at every page and record of the backup …");
            let staged = place.restore()?.stage(backup, *force).map_err(|it| failed(&it))?;
            show(&staged, global)?;
            screen::aside(NEXT);
        }
        Verb::Show { place } => {
            let staged = place.existing()?.show().map_err(|it| failed(&it))?;
            show(&staged, global)?;
        }
        Verb::Drop { job, place } => {
            place.existing()?.drop_job(job).map_err(|it| failed(&it))?;
            screen::aside(&format!(
                "Left out: {job}. What runs of it ends when its host connects."
            ));
        }
        Verb::Commit { place } => {
            let restored = place.existing()?.commit().map_err(|it| failed(&it))?;
            if let Some(aside) = restored.moved_to {
                screen::aside(&format!("The old scheduler's folder is {}", aside.display()));
            }
            screen::aside("Restored. Start the agent with --scheduler.");
        }
        Verb::Abort { place } => {
            place.existing()?.abort().map_err(|it| failed(&it))?;
            screen::aside("Nothing is staged any more.");
        }
    }
    Ok(())
}

const NEXT: &str = "Nothing has changed yet. `airglow admin restore drop ROLE/ENV/NAME` leaves a job \
                    out, `commit` puts it in place, `abort` gives it up.";

impl Place {
    fn restore(&self) -> Result<Restore, Failure> {
        Restore::of(&self.data).map_err(|it| failed(&it))
    }

    /// A folder that is not there is a typing mistake.
    fn existing(&self) -> Result<Restore, Failure> {
        if !self.data.is_dir() {
            let message = format!("There is no folder {}", self.data.display());
            return Err(Failure::new(Code::Fatal, message).hint("Say the agent's with --data."));
        }
        self.restore()
    }
}

fn failed(error: &RestoreError) -> Failure {
    let mut message = error.to_string();
    let causes = std::iter::successors(std::error::Error::source(error), |it| it.source());
    causes.for_each(|it| write!(message, ": {it}").expect("a string takes everything"));
    Failure::new(Code::Fatal, message)
}

fn show(staged: &Staged, global: &Global) -> Outcome {
    let told = staged.view.read(|view| Told::of(staged, view, now()));
    if global.write_json {
        return screen::json(&told);
    }
    Ok(writeln!(screen::out(), "{told}")?)
}

/// What a restore comes to.
#[derive(Debug, serde::Serialize)]
struct Told {
    backup: PathBuf,
    cluster: String,
    made_at: Timestamp,
    age_ms: u64,
    airglow: String,
    seq: u64,
    hosts: usize,
    jobs: BTreeMap<String, BTreeMap<&'static str, u32>>,
    /// Runs that hosts are believed to have.
    on_hosts: u32,
    /// How many instances wait for a place.
    without_host: u32,
}

impl Told {
    fn of(staged: &Staged, view: &View, now: Timestamp) -> Self {
        let notes = &staged.notes;
        let (mut jobs, mut on_hosts, mut without_host) = (BTreeMap::new(), 0, 0);
        for (key, job) in &view.jobs {
            let counts: BTreeMap<_, _> =
                job.counts.iter().map(|(status, count)| (screen::name(*status), *count)).collect();
            for (status, count) in &job.counts {
                if matches!(status, Status::Throttled | Status::Pending) {
                    without_host += count;
                } else if status.is_active() {
                    on_hosts += count;
                }
            }
            jobs.insert(key.to_string(), counts);
        }
        Self {
            backup: notes.backup.clone(),
            cluster: notes.manifest.cluster.clone(),
            made_at: notes.manifest.at,
            age_ms: u64::try_from(now.since(notes.manifest.at).as_millis()).unwrap_or(u64::MAX),
            airglow: notes.manifest.version.clone(),
            seq: view.seq,
            hosts: view.hosts.len(),
            jobs,
            on_hosts,
            without_host,
        }
    }

    fn age(&self) -> String {
        screen::age(self.made_at, Timestamp(self.made_at.0 + self.age_ms))
    }
}

impl std::fmt::Display for Told {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { cluster, airglow, seq, hosts, on_hosts, without_host, .. } = self;
        let (at, age) = (screen::local_time(self.made_at), self.age());
        writeln!(f, "Backup of {cluster}, made {at} ({age} ago) by Airglow {airglow}")?;
        writeln!(f, "{}, up to transaction {seq}", self.backup.display())?;
        writeln!(f, "\n{} jobs on {hosts} hosts:", self.jobs.len())?;
        for (key, counts) in self.jobs.iter().take(LISTED) {
            let counts: Vec<_> =
                counts.iter().map(|(status, count)| format!("{count} {status}")).collect();
            writeln!(f, "  {key}  {}", counts.join(", "))?;
        }
        if let Some(more) = self.jobs.len().checked_sub(LISTED).filter(|it| *it > 0) {
            writeln!(f, "  … and {more} more")?;
        }
        writeln!(f, "\nOnce it is committed and the scheduler is started:")?;
        writeln!(
            f,
            "- {on_hosts} runs that hosts had are taken over as they are if they still run; who has"
        )?;
        writeln!(f, "  ended since is LOST, and followed by another run if its job wants one.")?;
        writeln!(f, "- {without_host} instances that had no host get one.")?;
        writeln!(
            f,
            "- What was started in the last {age} and is not in the backup is KILLED when its host"
        )?;
        writeln!(
            f,
            "  connects: runs that took another's place, and all of jobs that were created since."
        )?;
        writeln!(f, "  Those jobs have to be created again.")?;
        write!(
            f,
            "- Hosts that joined since are let in; tokens and passwords are those of back then."
        )
    }
}
