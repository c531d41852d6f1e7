//! `airglow dev`: a cluster for one machine and one afternoon.
//!
//! Files are evaluated before anything is started, so that a mistake costs nothing. Then this is a
//! cluster in the same process and a client of it, which knows no more than any other client: what
//! it shows comes through the API.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write,
    path::{Path, PathBuf},
    time::Duration,
};

use super::{
    Global, Outcome, Session,
    clusters::{Address, LOCAL_AGENT},
    config::{Reading, Written},
    credentials,
    exit::{Code, Failure},
    folders,
    key::FullKey,
    screen::{self, Progress},
};
use crate::{
    agent::{Dev, DevOptions},
    client::{Client, Trust, pause},
};

mod settled;

use settled::Verdict;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Every job in them is submitted
    files: Vec<PathBuf>,
    #[command(flatten)]
    reading: Reading,
    /// Where everything is kept; what ran is there afterwards too [default: a folder of its own for
    /// each port, in the user's state folder]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// The cluster's name [default: that of the files' jobs, else devcluster]
    #[arg(long, value_name = "NAME")]
    cluster: Option<String>,
    /// API and pages are on this port, the mesh on the next one; 0: on any
    #[arg(long, default_value_t = 8081)]
    port: u16,
    /// End when every job has settled: with 0 if services run and all else has FINISHED, else 1
    #[arg(long)]
    once: bool,
}

pub(crate) fn run(args: Args, global: &Global) -> Outcome {
    let jobs = read(&args)?;
    let clusters: Vec<String> = jobs.iter().map(|it| it.spec.cluster.clone()).collect();
    let cluster = cluster(args.cluster.as_deref(), &clusters)?;
    let jobs = ours(&cluster, jobs);
    let data = args.data.clone().map_or_else(|| data_of(args.port), Ok)?;
    screen::aside(&format!("Starting cluster {cluster} in {}", data.display()));
    let options = DevOptions { data: data.clone(), cluster: cluster.clone(), port: args.port };
    let dev = Dev::start(options).map_err(|error| fatal(&error))?;
    let told = present(&args, global, &dev, &cluster, jobs);
    if dev.interrupts() > 0 {
        screen::aside("Ending every task, then the cluster …");
    }
    let stopped = dev.stop().map_err(|error| fatal(&error));
    if args.once && told.is_ok() {
        screen::aside(&screen::faint(&format!("What ran is in {}", tasks_folder(&data).display())));
    }
    stopped.and(told)
}

/// The jobs of all files.
///
/// # Errors
/// Two of them would be one.
fn read(args: &Args) -> Result<Vec<Written>, Failure> {
    let mut jobs = Vec::new();
    let mut places: BTreeMap<String, &Path> = BTreeMap::new();
    for file in &args.files {
        for job in args.reading.jobs(file)? {
            let key = job.key().to_string();
            if let Some(other) = places.insert(key.clone(), file) {
                let (other, file) = (other.display(), file.display());
                let message = format!("{key} is there twice: in {other} and in {file}");
                return Err(Failure::new(Code::Configuration, message));
            }
            jobs.push(job);
        }
    }
    Ok(jobs)
}

fn fatal(error: &anyhow::Error) -> Failure {
    Failure::new(Code::Fatal, format!("{error:#}"))
}

/// Everything between the cluster's start and its end.
fn present(args: &Args, global: &Global, dev: &Dev, cluster: &str, jobs: Vec<Written>) -> Outcome {
    let uri = dev.uri().to_owned();
    let address = Address { api: uri.clone(), pages: uri, cacert: None };
    let token = credentials::token_for(&address.api)?;
    let trust = Trust { token, authority: None };
    let session = Session { client: Client::impatient(&address.api, trust), address };
    let banner = format!("\n  Airglow {}  {}\n", screen::bold(cluster), screen::bold(dev.uri()));
    if global.write_json {
        screen::aside(&banner);
    } else {
        writeln!(screen::out(), "{banner}")?;
    }
    let keys = submit(&session, jobs)?;
    introduce(args, dev, &keys);
    let verdicts = watch(args, dev, &session, &keys)?;
    if !args.once {
        return Ok(());
    }
    conclude(global, &keys, &verdicts)
}

/// One by one, since one may be there already: left behind by a cluster that was killed.
fn submit(session: &Session, jobs: Vec<Written>) -> Result<Vec<FullKey>, Failure> {
    let mut keys = Vec::new();
    for job in jobs {
        let key = job.key();
        let sent = match job.spec.cron_schedule {
            Some(_) => session.client.schedule(&key.job, &job.spec).map(drop),
            None => session.client.create(vec![job.spec.clone()]).map(drop),
        };
        match sent {
            Ok(()) => (),
            Err(error) if error.status() == Some(409) => {
                screen::warn(&format!("{key} is running from before, and was left as it is."));
            }
            Err(error) => {
                let failure = job.refused(error).under(&format!("{key} was refused:"));
                let refused = failure.code() == Some(Code::Scheduler);
                return Err(if refused { failure.known_as(Code::Configuration) } else { failure });
            }
        }
        keys.push(key);
    }
    Ok(keys)
}

/// What a newcomer wants to do next.
fn introduce(args: &Args, dev: &Dev, keys: &[FullKey]) {
    let mut hints = dev.notes();
    let uri = dev.uri();
    let to = if uri == LOCAL_AGENT { String::new() } else { format!(" --scheduler-uri {uri}") };
    match keys.first() {
        Some(key) => {
            hints.push(format!("Output:   airglow task logs --follow {key}/0{to}"));
            hints.push(format!("Page:     {uri}/scheduler/{}", key.job));
        }
        None => hints.push(format!("Add jobs: airglow job create CLUSTER/ROLE/ENV/NAME FILE{to}")),
    }
    if !args.once {
        hints.push("Ctrl-C ends the cluster and everything in it.".into());
    }
    for hint in hints {
        screen::aside(&format!("  {}", screen::faint(&hint)));
    }
    screen::aside("");
}

/// How often is looked at jobs of which some are on their way, and at those of which none is.
const IN_MOTION: Duration = Duration::from_millis(200);
const AT_REST: Duration = Duration::from_millis(700);

/// Shows how the jobs are until the end comes: the user's, the cluster's, or with `--once` that of
/// the jobs.
fn watch(
    args: &Args,
    dev: &Dev,
    session: &Session,
    keys: &[FullKey],
) -> Result<Vec<Verdict>, Failure> {
    let mut progress = Progress::new();
    let verdicts = loop {
        if dev.interrupts() > 0 {
            progress.clear();
            return if args.once { Err(Failure::interrupted()) } else { Ok(Vec::new()) };
        }
        if dev.has_ended() {
            // Why it ended is what stopping it says.
            return Err(Failure::Silent(Code::Fatal));
        }
        let mut verdicts = Vec::new();
        for key in keys {
            let job = match session.client.job(&key.job) {
                Ok(job) => job,
                Err(error) => {
                    // A cluster that fell silent is about to end, and can say why.
                    pause(Duration::from_secs(1));
                    let ended = dev.has_ended() || dev.interrupts() > 0;
                    return Err(if ended { Failure::Silent(Code::Fatal) } else { error.into() });
                }
            };
            let now = airglow_kit::now();
            let (line, verdict) = match &job {
                Some(job) => (settled::line(job), settled::verdict(job, now)),
                None => (format!("{key}  is gone"), Verdict::Bad("it is gone".into())),
            };
            let what = key.to_string();
            progress.show(&what, &line);
            if job.is_some_and(|it| it.instances.iter().all(|it| !it.active)) {
                progress.settle(&what);
            }
            verdicts.push(verdict);
        }
        let settled = verdicts.iter().all(Verdict::is_settled);
        if args.once && settled {
            break verdicts;
        }
        pause(if settled { AT_REST } else { IN_MOTION });
    };
    for key in keys {
        progress.settle(&key.to_string());
    }
    Ok(verdicts)
}

fn conclude(global: &Global, keys: &[FullKey], verdicts: &[Verdict]) -> Outcome {
    if global.write_json {
        let jobs = keys.iter().zip(verdicts).map(|(key, verdict)| {
            serde_json::json!({ "job": key.to_string(), "ok": *verdict == Verdict::Good })
        });
        screen::json(&jobs.collect::<Vec<_>>())?;
    }
    let mut all_good = true;
    for (key, verdict) in keys.iter().zip(verdicts) {
        if let Verdict::Bad(why) = verdict {
            screen::aside(&format!("{key}: {why}"));
            all_good = false;
        }
    }
    if all_good { Ok(()) } else { Err(Failure::Silent(Code::Fatal)) }
}

/// The cluster that the files mean.
fn cluster(asked: Option<&str>, of_jobs: &[String]) -> Result<String, Failure> {
    if let Some(name) = asked {
        return Ok(name.to_owned());
    }
    let names: BTreeSet<&str> = of_jobs.iter().map(String::as_str).collect();
    match names.into_iter().collect::<Vec<_>>().as_slice() {
        [] => Ok("devcluster".to_owned()),
        [one] => Ok((*one).to_owned()),
        several => {
            let several = several.join(", ");
            let message = format!("The jobs are for several clusters: {several}");
            Err(Failure::new(Code::InvalidParameter, message)
                .hint("--cluster NAME says whose jobs to run"))
        }
    }
}

/// The jobs that are meant for the cluster; the others are named and left out.
fn ours(cluster: &str, jobs: Vec<Written>) -> Vec<Written> {
    let (ours, others): (Vec<_>, Vec<_>) =
        jobs.into_iter().partition(|it| it.spec.cluster == cluster);
    for job in others {
        screen::warn(&format!("{} is not for cluster {cluster} and is left out.", job.key()));
    }
    ours
}

fn data_of(port: u16) -> Result<PathBuf, Failure> {
    Ok(folders::state("--data")?.join(format!("dev-{port}")))
}

/// Where the executor keeps its tasks' sandboxes.
fn tasks_folder(data: &Path) -> PathBuf {
    data.join("agent").join("tasks")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_jobs_say_which_cluster_they_are_for() {
        assert_eq!(cluster(None, &[]).unwrap(), "devcluster");
        let (west, east) = ("west".to_owned(), "east".to_owned());
        assert_eq!(cluster(None, &[west.clone(), west.clone()]).unwrap(), "west");
        assert_eq!(cluster(Some("east"), std::slice::from_ref(&west)).unwrap(), "east");
        assert!(cluster(None, &[west, east]).is_err());
    }
}
