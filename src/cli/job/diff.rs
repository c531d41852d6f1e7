//! `airglow job diff`: how a job in a file differs from what runs of it, or of another job.

use std::io::Write;

use airglow_model::forecast::{Difference as Change, differences_between};
use airglow_web::api::{self, ConfigDiff};

use super::{
    super::{diff::Difference, forecast},
    Code, Failure, FullKey, Global, InstanceSpec, Outcome, Reading, Session, Written, bracketed,
    no_such_job, screen,
};

#[derive(clap::Args)]
pub(crate) struct Args {
    #[arg(value_name = "CLUSTER/ROLE/ENV/NAME[/INSTANCES]")]
    instances: InstanceSpec,
    /// The configuration to compare it with
    file: std::path::PathBuf,
    /// Compare with this job, and not with that of the same name
    #[arg(long, value_name = "CLUSTER/ROLE/ENV/NAME")]
    from: Option<FullKey>,
    #[command(flatten)]
    reading: Reading,
}

pub(crate) fn run(args: &Args, global: &Global) -> Outcome {
    let InstanceSpec { key, instances } = &args.instances;
    let mut job = args.reading.job(&args.file, key)?;
    let there = args.from.as_ref().unwrap_or(key);
    // A name is no difference where another one was asked for.
    job.spec.cluster.clone_from(&there.cluster);
    job.spec.role.clone_from(&there.job.role);
    job.spec.environment.clone_from(&there.job.environment);
    job.spec.name.clone_from(&there.job.name);
    let session = global.session(&there.cluster)?;
    if job.spec.cron_schedule.is_some() {
        return scheduled(&session, there, &job, global);
    }
    let planned = session.client.plan(vec![job.spec.clone()]).map_err(|it| job.refused(it))?;
    let strange = || Failure::new(Code::Unknown, "The scheduler told nothing of the job");
    let diff = planned.jobs.into_iter().next().ok_or_else(strange)?.diff;
    let difference = Difference::of(diff, instances.as_ref()).map_err(|unheard_of| {
        let instances = bracketed(&unheard_of);
        let message = format!("Invalid instance parameter: {instances}");
        Failure::new(Code::InvalidParameter, message)
            .hint(format!("They are neither there nor wanted; `airglow job status {there}`"))
    })?;
    if global.write_json {
        return screen::json(&serde_json::json!({
            "job": there.to_string(), "add": difference.add, "remove": difference.remove,
            "update": difference.update, "unchanged": difference.unchanged,
        }));
    }
    difference.show(&session, there, &job)
}

/// Its instances come and go; what they are made of is what counts.
fn scheduled(session: &Session, there: &FullKey, job: &Written, global: &Global) -> Outcome {
    let Some(newest) = session.job(there)?.and_then(|it| it.configs.into_iter().next()) else {
        return Err(no_such_job(there));
    };
    let before = job.with_spec(newest.job).checked()?.config;
    let changes = differences_between(&before, &job.checked()?.config).into_iter();
    let change =
        |Change { pointer, from, to }| -> api::Change { api::Change { pointer, from, to } };
    let changes = changes.map(change).collect();
    let diff = ConfigDiff { number: newest.number, instances: newest.instances, changes };
    if global.write_json {
        return screen::json(
            &serde_json::json!({ "job": there.to_string(), "changes": diff.changes }),
        );
    }
    Ok(screen::out().write_all(forecast::diff(&diff).as_bytes())?)
}
