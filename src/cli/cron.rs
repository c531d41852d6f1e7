//! `airglow cron`: jobs that run by the clock.

use std::{io::Write, path::PathBuf};

use airglow_model::machine::Timestamp;
use airglow_web::api::{CronDetail, CronFiring, CronSummary};

use super::{
    Global, Outcome, Session,
    browser::Browser,
    config::{Reading, Written},
    exit::{Code, Failure},
    key::FullKey,
    screen,
};

#[derive(clap::Subcommand)]
pub(crate) enum Verb {
    /// Have a job run by the schedule in its configuration file, from now on or instead of another
    Schedule {
        #[arg(value_name = "CLUSTER/ROLE/ENV/NAME")]
        key: FullKey,
        file: PathBuf,
        #[command(flatten)]
        reading: Reading,
    },
    /// Have a job not run by its schedule any more; what runs of it runs on
    Deschedule {
        #[arg(value_name = "CLUSTER/ROLE/ENV/NAME")]
        key: FullKey,
    },
    /// Start a run now, as if it was due
    Start(StartArgs),
    /// Show a job's schedule, when it is due next and what became of the last times
    Show {
        #[arg(value_name = "CLUSTER/ROLE/ENV/NAME")]
        key: FullKey,
    },
}

#[derive(clap::Args)]
pub(crate) struct StartArgs {
    #[arg(value_name = "CLUSTER/ROLE/ENV/NAME")]
    key: FullKey,
    /// Read this file too, and stop if it does not define the job
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    reading: Reading,
    #[command(flatten)]
    browser: Browser,
}

/// How many earlier times are told.
const FIRINGS_TOLD: usize = 5;

pub(crate) fn run(verb: Verb, global: &Global) -> Outcome {
    match verb {
        Verb::Schedule { key, file, reading } => schedule(&key, &reading.job(&file, &key)?, global),
        Verb::Deschedule { key } => deschedule(&key, global),
        Verb::Start(args) => start(&args, global),
        Verb::Show { key } => show(&key, global),
    }
}

fn schedule(key: &FullKey, job: &Written, global: &Global) -> Outcome {
    if job.spec.cron_schedule.is_none() {
        let message = "Non-cron jobs may only be created with \"aurora job create\" command";
        return Err(Failure::new(Code::Failed, message));
    }
    let session = global.session(&key.cluster)?;
    let detail = session
        .client
        .schedule(&key.job, &job.spec)
        .map_err(|error| job.refused(error).under(&format!("Error scheduling cron job {key}:")))?;
    if global.write_json {
        return screen::json(&detail);
    }
    let page = session.page(&key.job);
    writeln!(screen::out(), "Cron job scheduled, status can be viewed at {page}")?;
    tell(&next_runs(&detail.summary));
    Ok(())
}

fn deschedule(key: &FullKey, global: &Global) -> Outcome {
    let session = global.session(&key.cluster)?;
    if entry(&session, key)?.is_none() {
        screen::warn(&format!("Job {key} was not scheduled."));
    } else {
        session.client.deschedule(&key.job).map_err(|error| {
            Failure::from(error).under(&format!("Error descheduling cron job {key}:"))
        })?;
    }
    if global.write_json {
        return screen::json(&serde_json::json!({ "job": key.to_string() }));
    }
    Ok(writeln!(screen::out(), "Cron descheduling succeeded.")?)
}

fn start(args: &StartArgs, global: &Global) -> Outcome {
    let key = &args.key;
    args.reading.check(args.config.as_deref(), key)?;
    let session = global.session(&key.cluster)?;
    entry(&session, key)?;
    let detail = session
        .client
        .start_cron(&key.job)
        .map_err(|error| Failure::from(error).under(&format!("Error starting cron job {key}:")))?;
    args.browser.open(&session.page(&key.job));
    if global.write_json {
        return screen::json(&detail);
    }
    Ok(writeln!(screen::out(), "{key}: {}", became(&detail))?)
}

fn show(key: &FullKey, global: &Global) -> Outcome {
    let session = global.session(&key.cluster)?;
    let Some(detail) = entry(&session, key)? else {
        let message = format!("No cron entry found for job {key}");
        return Err(Failure::new(Code::InvalidParameter, message)
            .hint(format!("`airglow cron schedule {key} FILE` makes one")));
    };
    if global.write_json {
        return screen::json(&detail);
    }
    writeln!(screen::out(), "{key}\t {}", detail.summary.schedule)?;
    tell(&next_runs(&detail.summary));
    tell(&coming(&detail.summary));
    tell(&last_runs(&detail));
    Ok(())
}

/// `None`: the job is not scheduled.
///
/// # Errors
/// The scheduler is another cluster's.
fn entry(session: &Session, key: &FullKey) -> Result<Option<CronDetail>, Failure> {
    let found = session.client.cron(&key.job)?;
    match found.as_ref().map(|it| it.config.job.cluster.as_str()) {
        Some(there) if there != key.cluster => Err(session.elsewhere(&key.cluster, there)),
        _ => Ok(found),
    }
}

/// Beside what scripts read.
fn tell(lines: &[String]) {
    for line in lines {
        screen::aside(&screen::faint(line));
    }
}

/// What came of asking for a run.
fn became(detail: &CronDetail) -> String {
    let CronDetail { summary, firings, .. } = detail;
    match (&summary.coming, firings.first()) {
        (Some(run), _) if summary.state == "waiting" => {
            format!("run {} starts when the run before it has ended", run.number)
        }
        (Some(run), _) => format!("run {} starts", run.number),
        (None, Some(CronFiring { number: Some(number), .. })) => format!("run {number} started"),
        (None, Some(firing)) => firing.detail.clone(),
        (None, None) => "nothing came of it".to_owned(),
    }
}

fn next_runs(it: &CronSummary) -> Vec<String> {
    let heading = format!("Next runs ({}):", it.timezone);
    let times = it.next.iter().map(|at| format!("  {}", it.shows(at)));
    [heading].into_iter().chain(times).collect()
}

fn coming(it: &CronSummary) -> Vec<String> {
    let run = it.coming.as_ref();
    let line = |number| match it.state.as_str() {
        "waiting" => format!("Run {number} waits for the end of the run before it"),
        _ => format!("Run {number} is about to start"),
    };
    run.map(|run| line(run.number)).into_iter().collect()
}

fn last_runs(detail: &CronDetail) -> Vec<String> {
    let shows = |at: &Timestamp| detail.summary.shows(at);
    let line = |it: &CronFiring| {
        let until = it.until.as_ref().map(|it| format!(" to {}", shows(it))).unwrap_or_default();
        let by = it.by.as_ref().map(|it| format!(", asked for by {it}")).unwrap_or_default();
        format!("  {}{until}: {}{by}", shows(&it.at), it.detail)
    };
    let lines: Vec<_> = detail.firings.iter().take(FIRINGS_TOLD).map(line).collect();
    let heading = (!lines.is_empty()).then(|| "Last:".to_owned());
    heading.into_iter().chain(lines).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn detail(state: &str, coming: Value, firings: Value) -> CronDetail {
        let job = json!({
            "cluster": "c", "role": "www", "environment": "prod", "name": "nightly",
            "task": {
                "name": "t", "processes": [{"name": "p", "cmdline": "true"}],
                "resources": {"cpu": 1.0, "ram": 1, "disk": 1},
            },
        });
        let summary = json!({
            "role": "www", "environment": "prod", "name": "nightly", "schedule": "30 2 * * *",
            "canonical": "30 2 * * *", "timezone": "Europe/Berlin", "timezone_is_clusters": false,
            "collision_policy": "KILL_EXISTING", "catch_up": "none", "instances": 1,
            "scheduled_at": 0, "scheduled_by": "ada", "state": state, "coming": coming,
            "next": [1_806_195_600_000_u64, 1_806_280_200_000_u64],
        });
        let resources = json!({ "cpu": 1.0, "ram_mb": 1, "disk_mb": 1, "gpus": 0 });
        let config = json!({
            "number": 1, "instances": "0", "kind": "cron", "resources": resources, "ports": [],
            "tier": "preferred", "priority": 0, "job": job,
        });
        let all = json!({ "summary": summary, "firings": firings, "config": config });
        serde_json::from_value(all).unwrap()
    }

    #[test]
    fn what_comes_of_asking_for_a_run_is_told() {
        let run = json!({ "number": 4, "at": 0, "by": "ada" });
        let skipped = json!([{ "at": 0, "outcome": "skipped", "detail": "skipped, it runs" }]);
        let started = json!([
            { "at": 0, "outcome": "started", "detail": "started", "number": 4, "started_at": 0 }
        ]);
        for (state, coming, firings, told) in [
            ("starting", run.clone(), json!([]), "run 4 starts"),
            ("waiting", run, json!([]), "run 4 starts when the run before it has ended"),
            ("idle", Value::Null, started, "run 4 started"),
            ("idle", Value::Null, skipped, "skipped, it runs"),
        ] {
            assert_eq!(became(&detail(state, coming, firings)), told);
        }
    }

    #[test]
    fn times_are_told_by_the_jobs_own_clock() {
        let firings = json!([
            { "at": 1_806_195_600_000_u64, "outcome": "started", "detail": "started", "number": 1,
              "started_at": 1_806_195_600_000_u64, "by": "ada" },
            { "at": 1_806_109_800_000_u64, "until": 1_806_195_600_000_u64, "outcome": "missed",
              "detail": "missed, there was no scheduler" },
        ]);
        let detail = detail("idle", Value::Null, firings);
        let next =
            ["Next runs (Europe/Berlin):", "  2027-03-28 03:00 CEST", "  2027-03-29 02:30 CEST"];
        assert_eq!(next_runs(&detail.summary), next);
        let last = [
            "Last:",
            "  2027-03-28 03:00 CEST: started, asked for by ada",
            "  2027-03-27 02:10 CET to 2027-03-28 03:00 CEST: missed, there was no scheduler",
        ];
        assert_eq!(last_runs(&detail), last);
    }
}
