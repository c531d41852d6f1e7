//! `airglow admin sla-list-safe-domain` and `sla-probe-hosts`: what would become of jobs if hosts
//! went, by how long their instances have been up.
//!
//! Something to look at before planning. `airglow host drain` needs none of it: there the scheduler
//! decides, at the moment when it matters.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write,
    path::PathBuf,
    time::Duration,
};

use airglow_model::{ids::JobKey, machine::Timestamp, task::Status};
use airglow_web::api::{HostSummary, TaskSummary};
use serde_json::json;

use super::{Code, Failure, Global, Outcome, host_list::HostList, screen};
use crate::cli::{
    Session,
    amounts::{duration, percentage},
    key::FullKey,
    listed,
};

mod forecast;

use forecast::{Forecast, Goal, Job};

#[derive(clap::Args)]
struct Asked {
    cluster: String,
    /// How many of a job's instances have to stay up, in percent
    #[arg(value_parser = percentage)]
    percentage: f64,
    /// How long an instance has been up that counts, such as 30m
    #[arg(value_parser = duration)]
    duration: Duration,
    /// Which hosts go together: by_host (each alone), none (all) or by_ATTRIBUTE
    #[arg(long, default_value = "by_host", value_parser = grouping)]
    grouping: Grouping,
    /// Jobs with fewer instances do not count
    #[arg(long, alias = "min_job_instance_count", default_value_t = 10)]
    min_job_instance_count: usize,
}

#[derive(clap::Args)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    asked: Asked,
    /// A file with hosts to leave out, one a line
    #[arg(short = 'x', long, alias = "exclude_file", value_name = "FILE")]
    exclude_file: Option<PathBuf>,
    /// Hosts to leave out
    #[arg(short = 'X', long, alias = "exclude_hosts", value_delimiter = ',')]
    exclude_hosts: Vec<String>,
    /// A file with the only hosts to look at, one a line
    #[arg(short = 'i', long, alias = "include_file", value_name = "FILE")]
    include_file: Option<PathBuf>,
    /// The only hosts to look at
    #[arg(short = 'I', long, alias = "include_hosts", value_delimiter = ',')]
    include_hosts: Vec<String>,
    /// Print the jobs on each host too, and what is left of them
    #[arg(short, long, alias = "list_jobs")]
    list_jobs: bool,
    /// A file with what holds for some jobs instead: CLUSTER/ROLE/ENV/NAME PERCENTAGE DURATION
    #[arg(short = 'o', long, alias = "override_file", value_name = "FILE")]
    override_file: Option<PathBuf>,
}

#[derive(clap::Args)]
pub(crate) struct ProbeArgs {
    #[command(flatten)]
    asked: Asked,
    #[command(flatten)]
    hosts: HostList,
}

/// Which hosts go at the same time.
#[derive(Clone, Debug, PartialEq)]
enum Grouping {
    Alone,
    Together,
    By(String),
}

fn grouping(text: &str) -> Result<Grouping, String> {
    match (text, text.strip_prefix("by_")) {
        ("none", _) => Ok(Grouping::Together),
        (_, Some("host")) => Ok(Grouping::Alone),
        (_, Some(attribute)) if !attribute.is_empty() => Ok(Grouping::By(attribute.to_owned())),
        _ => Err("hosts are grouped by_host, by_ATTRIBUTE, or none".into()),
    }
}

pub(super) fn list(args: &ListArgs, global: &Global) -> Outcome {
    let Asked { cluster, .. } = &args.asked;
    let session = global.cluster_session(Some(cluster))?;
    let overrides = args.override_file.as_deref().map(listed::lines).transpose()?;
    let overrides = read_overrides(cluster, &overrides.unwrap_or_default())?;
    let left_out = named(&args.exclude_hosts, args.exclude_file.as_ref())?;
    let only = named(&args.include_hosts, args.include_file.as_ref())?;
    let mut hosts = session.client.hosts()?;
    hosts.retain(|it| !left_out.contains(&it.host));
    hosts.retain(|it| only.is_empty() || only.contains(&it.host));
    let jobs = jobs(&session, args.asked.min_job_instance_count)?;
    let mut safe: Vec<(&str, Vec<Forecast<'_>>)> = Vec::new();
    for group in groups(hosts.iter().map(described), &args.asked.grouping) {
        let told = args.asked.forecasts(&jobs, &group, &overrides);
        if told.iter().all(Forecast::is_safe) {
            let on = |host: &str| told.iter().filter(|it| it.job.is_on(host)).cloned().collect();
            safe.extend(group.iter().map(|&host| (host, on(host))));
        }
    }
    show_safe(cluster, &safe, args.list_jobs, global)
}

fn show_safe(
    cluster: &str,
    safe: &[(&str, Vec<Forecast<'_>>)],
    with_jobs: bool,
    global: &Global,
) -> Outcome {
    if global.write_json {
        let job = |it: &Forecast<'_>| {
            json!({
                "job": it.job.name(cluster), "percentage": it.percentage,
                "duration_secs": it.goal.duration.as_secs(),
            })
        };
        let host = |(host, jobs): &(&str, Vec<Forecast<'_>>)| {
            json!({
                "host": host, "jobs": jobs.iter().map(job).collect::<Vec<_>>(),
            })
        };
        return screen::json(&safe.iter().map(host).collect::<Vec<_>>());
    }
    let mut out = screen::out();
    for (host, jobs) in safe {
        if !with_jobs {
            writeln!(out, "{host}")?;
            continue;
        }
        for Forecast { job, goal, percentage, .. } in jobs {
            let (job, seconds) = (job.name(cluster), goal.duration.as_secs());
            writeln!(out, "{host}\t{job}\t{percentage:.2}\t{seconds}")?;
        }
    }
    Ok(())
}

pub(super) fn probe(args: &ProbeArgs, global: &Global) -> Outcome {
    let Asked { cluster, .. } = &args.asked;
    let wanted = args.hosts.read()?;
    let session = global.cluster_session(Some(cluster))?;
    let mut hosts = session.client.hosts()?;
    let unknown = wanted.iter().find(|&it| !hosts.iter().any(|host| host.host == *it));
    if let Some(unknown) = unknown {
        let message = format!("There is no host {unknown}");
        return Err(Failure::new(Code::InvalidParameter, message)
            .hint(format!("`airglow host list {cluster}` shows which there are")));
    }
    hosts.retain(|it| wanted.contains(&it.host));
    let jobs = jobs(&session, args.asked.min_job_instance_count)?;
    let mut lines = Vec::new();
    for group in groups(hosts.iter().map(described), &args.asked.grouping) {
        let told = args.asked.forecasts(&jobs, &group, &BTreeMap::new());
        for &host in &group {
            let on_host = told.iter().filter(|it| it.job.is_on(host));
            lines.extend(on_host.map(|it| (host, it.clone())));
        }
    }
    if global.write_json {
        let line = |(host, it): &(&str, Forecast<'_>)| {
            json!({
                "host": host, "job": it.job.name(cluster), "percentage": it.percentage,
                "safe": it.is_safe(), "wait_secs": it.wait.map(|it| it.as_secs()),
            })
        };
        return screen::json(&lines.iter().map(line).collect::<Vec<_>>());
    }
    let mut out = screen::out();
    for (host, it) in &lines {
        let (job, percentage, is_safe) = (it.job.name(cluster), it.percentage, it.is_safe());
        let wait = it.wait.map_or_else(|| "n/a".into(), |it| it.as_secs().to_string());
        writeln!(out, "{host}\t{job}\t{percentage:.2}\t{is_safe}\t{wait}")?;
    }
    Ok(())
}

impl Asked {
    /// What becomes of every job that has something on one of `hosts`.
    fn forecasts<'a>(
        &self,
        jobs: &'a [Job],
        hosts: &BTreeSet<&str>,
        overrides: &BTreeMap<JobKey, Goal>,
    ) -> Vec<Forecast<'a>> {
        let usual = Goal { percentage: self.percentage, duration: self.duration };
        let touched = jobs.iter().filter(|job| hosts.iter().any(|host| job.is_on(host)));
        touched
            .map(|job| job.without(hosts, overrides.get(&job.key).copied().unwrap_or(usual)))
            .collect()
    }
}

impl Job {
    fn name(&self, cluster: &str) -> String {
        format!("{cluster}/{}", self.key)
    }
}

/// The jobs that are counted on, and have enough instances.
fn jobs(session: &Session, instances_min: usize) -> Result<Vec<Job>, Failure> {
    let now = airglow_kit::now();
    let summaries = session.client.jobs(&[])?;
    let counted: BTreeSet<JobKey> =
        summaries.iter().filter(|it| it.production).map(|it| it.key()).collect();
    let mut jobs: BTreeMap<JobKey, Job> = BTreeMap::new();
    for task in session.client.tasks(&[("limit", "5000")])? {
        let key = task.job();
        if task.active && counted.contains(&key) {
            let job = jobs.entry(key).or_insert_with_key(|key| Job::new(key.clone()));
            job.add(task.host.as_deref(), up(&task, now));
        }
    }
    Ok(jobs.into_values().filter(|it| instances_min <= it.instances()).collect())
}

/// How long it has been RUNNING.
fn up(task: &TaskSummary, now: Timestamp) -> Option<Duration> {
    let since = (task.status == Status::Running).then_some(task.since)?;
    Some(Duration::from_millis(now.0.saturating_sub(since.0)))
}

type Attributes = BTreeMap<String, Vec<String>>;

fn described(host: &HostSummary) -> (&str, &Attributes) {
    (&host.host, &host.attributes)
}

fn groups<'a>(
    hosts: impl IntoIterator<Item = (&'a str, &'a Attributes)>,
    grouping: &Grouping,
) -> Vec<BTreeSet<&'a str>> {
    let mut groups: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    for (host, attributes) in hosts {
        let name = match grouping {
            Grouping::Alone => host.to_owned(),
            Grouping::Together => String::new(),
            Grouping::By(attribute) => match attributes.get(attribute) {
                Some(values) => values.join(","),
                // In no group is alone.
                None => host.to_owned(),
            },
        };
        groups.entry(name).or_default().insert(host);
    }
    groups.into_values().collect()
}

fn named(hosts: &[String], file: Option<&PathBuf>) -> Result<BTreeSet<String>, Failure> {
    let listed = file.map(|it| listed::lines(it)).transpose()?;
    Ok(hosts.iter().cloned().chain(listed.unwrap_or_default()).collect())
}

/// `west/www/prod/web 99 1h`, a line for each job.
fn read_overrides(cluster: &str, lines: &[String]) -> Result<BTreeMap<JobKey, Goal>, Failure> {
    let mut overrides = BTreeMap::new();
    for line in lines {
        let read = || {
            let mut words = line.split_whitespace();
            let key: FullKey = words.next()?.parse().ok()?;
            let goal = Goal {
                percentage: percentage(words.next()?).ok()?,
                duration: duration(words.next()?).ok()?,
            };
            words.next().is_none().then_some((key, goal))
        };
        let (key, goal) = read().ok_or_else(|| {
            Failure::new(Code::InvalidParameter, format!("\"{line}\" is not what holds for a job"))
                .hint("It looks like this: west/www/prod/web 99 1h")
        })?;
        if key.cluster == cluster {
            overrides.insert(key.job, goal);
        }
    }
    Ok(overrides)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_go_alone_together_or_by_what_they_share() {
        let on = |rack: &str| Attributes::from([("rack".into(), vec![rack.into()])]);
        let attributes = [on("1"), on("1"), on("2"), Attributes::new()];
        let hosts = || ["a", "b", "c", "d"].into_iter().zip(&attributes);
        let count = |by: &str| groups(hosts(), &grouping(by).unwrap()).len();
        assert_eq!((count("by_host"), count("none"), count("by_rack")), (4, 1, 3));
        assert!(grouping("rack").is_err());
    }

    #[test]
    fn some_jobs_have_other_goals() {
        let lines = ["west/www/prod/web 99.5% 1h30m".to_owned(), "east/a/b/c 1 1s".to_owned()];
        let read = read_overrides("west", &lines).unwrap();
        let goal = Goal { percentage: 99.5, duration: Duration::from_secs(5400) };
        assert_eq!(read, [(JobKey::new("www", "prod", "web"), goal)].into());
        for bad in ["west/www/prod/web", "west/www 1 1s", "west/a/b/c 0 1s", "west/a/b/c 1 1s x"] {
            assert!(read_overrides("west", &[bad.to_owned()]).is_err(), "{bad}");
        }
    }
}
