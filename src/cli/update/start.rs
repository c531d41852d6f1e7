//! `airglow update start`.

use std::{collections::BTreeMap, io::Write, path::PathBuf};

use airglow_model::{instances::InstanceSet, update::Status};
use airglow_web::api::{StartUpdate, UpdateForecast};

use super::{Code, Failure, FullKey, Global, Outcome, Session, follow, key_of, page, screen};
use crate::{
    cli::{
        browser::Browser,
        config::{Reading, Written},
        diff::Difference,
        forecast,
        key::InstanceSpec,
        wait,
    },
    client::ClientError,
};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// With instances only those are updated, and the others stay as they are
    #[arg(value_name = "CLUSTER/ROLE/ENV/NAME[/INSTANCES]")]
    instances: InstanceSpec,
    /// The configuration that it is to have
    file: PathBuf,
    /// Why, for the update's history
    #[arg(short, long)]
    message: Option<String>,
    /// Watch it until it ends
    #[arg(long)]
    wait: bool,
    /// Only say what it would come to; exit with 11 if not everything would find a place
    #[arg(long, conflicts_with = "wait")]
    dry_run: bool,
    /// Stop if one of the instances is not active
    #[arg(long)]
    strict: bool,
    /// Something to be remembered with the update; repeat for more
    #[arg(long, value_name = "NAME=VALUE", value_parser = metadata)]
    metadata: Vec<(String, String)>,
    /// Accepted for scripts' sake; the scheduler is told when instances change
    #[arg(long, value_name = "SECONDS")]
    healthcheck_interval_seconds: Option<u64>,
    #[command(flatten)]
    reading: Reading,
    #[command(flatten)]
    browser: Browser,
}

fn metadata(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("Metadata must be formatted name=value".into()),
    }
}

impl Args {
    fn request(&self, job: &Written) -> StartUpdate {
        StartUpdate {
            job: job.spec.clone(),
            instances: self.instances.instances.clone(),
            message: self.message.clone(),
            metadata: self.metadata.iter().cloned().collect::<BTreeMap<_, _>>(),
        }
    }
}

pub(crate) fn run(args: &Args, global: &Global) -> Outcome {
    let InstanceSpec { key, instances } = &args.instances;
    let session = global.session(&key.cluster)?;
    let job = args.reading.job(&args.file, key)?;
    if job.spec.cron_schedule.is_some() {
        let message = "Cron jobs may only be updated with \"aurora cron schedule\" command";
        return Err(Failure::new(Code::Failed, message));
    }
    if let Some(instances) = instances.as_ref().filter(|_| args.strict) {
        check(&session, key, instances)?;
    }
    let start = args.request(&job);
    if args.dry_run {
        return dry_run(&session, key, &job, &start, global);
    }
    let refused = |error| refused(&job, error).under("Failed to start update due to error:");
    let forecast = session.client.forecast_update(&start).map_err(refused)?;
    if !global.write_json {
        warn(&forecast);
        Difference::from(forecast).show(&session, key, &job)?;
    }
    let started = session.client.start_update(&start).map_err(refused)?;
    let Some(update) = &started.update else {
        return match global.write_json {
            true => screen::json(&started),
            false => Ok(writeln!(screen::out(), "{}", started.message)?),
        };
    };
    let update = key_of(update);
    let page = page(&session, &update);
    args.browser.open(&page);
    if !global.write_json {
        let out = &mut screen::out();
        writeln!(out, "\nJob update has started. View your update progress at {page}")?;
    } else if !args.wait {
        return screen::json(&started);
    }
    if args.wait {
        follow::to_its_end(&session, key, &update, Status::RolledForward, global)?;
    }
    Ok(())
}

/// All that were named have to be there.
fn check(session: &Session, key: &FullKey, named: &InstanceSet) -> Outcome {
    let active = session.job(key)?.map(|it| wait::active(&it)).unwrap_or_default();
    let missing = named.difference(&active);
    if missing.is_empty() {
        return Ok(());
    }
    let missing: Vec<_> = missing.iter().collect();
    let message = format!("Invalid instance parameter: {missing:?}");
    Err(Failure::new(Code::InvalidParameter, message)
        .hint("They are not active; without --strict those that the file wants are created"))
}

fn refused(job: &Written, error: ClientError) -> Failure {
    job.refused(error)
}

/// It begins all the same: places may become free, and whoever waits for one is seen to.
fn warn(forecast: &UpdateForecast) {
    for pending in &forecast.pending {
        screen::warn(forecast::unplaced(pending).trim_end());
    }
}

fn dry_run(
    session: &Session,
    key: &FullKey,
    job: &Written,
    start: &StartUpdate,
    global: &Global,
) -> Outcome {
    let forecast = session.client.forecast_update(start).map_err(|error| {
        let failure = refused(job, error).under("The update would be refused:");
        let is_refused = failure.code() == Some(Code::Scheduler);
        if is_refused { failure.known_as(Code::Unmet) } else { failure }
    })?;
    let fits = forecast.fits;
    if global.write_json {
        screen::json(&forecast)?;
    } else {
        let rest = rest(&forecast);
        Difference::from(forecast).show(session, key, job)?;
        screen::out().write_all(rest.as_bytes())?;
    }
    if fits { Ok(()) } else { Err(Failure::Silent(Code::Unmet)) }
}

/// What is to be said of an update that does not begin, besides what differs.
fn rest(it: &UpdateForecast) -> String {
    if it.add.is_empty() && it.update.is_empty() && it.remove.is_empty() {
        return "\nNothing would change.\n".into();
    }
    let mut parts = vec![String::new()];
    if !it.placements.is_empty() {
        parts.push(forecast::placements(&it.placements));
    }
    if it.fits && !it.placements.is_empty() {
        parts.push("Everything that is new fits now.\n".into());
    }
    parts.extend(it.pending.iter().map(forecast::unplaced));
    parts.push(forecast::quota(&it.quota));
    parts.join("\n")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn shown(changes: &Value) -> String {
        let none = json!({"cpu": 0.0, "ram_mb": 0, "disk_mb": 0});
        let quota = json!({"role": "www", "used_before": none, "used_after": none, "short": []});
        let mut it = json!({
            "add": "", "update": "", "remove": "", "unchanged": "0-3", "fits": true,
            "placements": [], "pending": [], "configs": [], "quota": quota,
        });
        for (name, value) in changes.as_object().unwrap() {
            it[name] = value.clone();
        }
        rest(&serde_json::from_value(it).unwrap())
    }

    #[test]
    fn a_dry_run_says_where_what_is_new_would_be() {
        assert_eq!(shown(&json!({})), "\nNothing would change.\n");
        let placements = json!([{"host": "h1", "instances": "0-1"}]);
        assert_eq!(
            shown(&json!({"update": "0-1", "placements": placements})),
            "\nHOST  COUNT  INSTANCES\nh1    2      0-1\n\nEverything that is new fits now.\n\n\
             Quota of www: none is set\n"
        );
        let why = json!({"hosts": 1, "vetoes": [{"reason": "Insufficient: CPU", "hosts": 1}]});
        let pending = json!([{"instances": "2", "why": why}]);
        assert_eq!(
            shown(&json!({"add": "2", "fits": false, "pending": pending})),
            "\n1 instance would stay PENDING (2): no host fits, of 1 host.\n  \
             Insufficient: CPU on 1 host\n\nQuota of www: none is set\n"
        );
    }

    #[test]
    fn metadata_has_names() {
        assert_eq!(metadata("build=7=8"), Ok(("build".into(), "7=8".into())));
        for bad in ["build", "=7", ""] {
            assert!(metadata(bad).is_err(), "{bad}");
        }
    }
}
