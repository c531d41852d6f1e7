//! `airglow job create`.

use std::io::Write;

use super::{super::wait::Goal, Browser, Code, Failure, Global, InFile, Outcome, screen, wait};

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    written: InFile,
    /// How far to wait for every instance
    #[arg(long, value_enum, default_value = "PENDING", ignore_case = true)]
    wait_until: Goal,
    #[command(flatten)]
    browser: Browser,
}

pub(crate) fn run(args: &Args, global: &Global) -> Outcome {
    let key = &args.written.key;
    let session = global.session(&key.cluster)?;
    let job = args.written.read()?;
    if job.spec.cron_schedule.is_some() {
        let message = "Cron jobs may only be scheduled with \"aurora cron schedule\" command";
        return Err(Failure::new(Code::Failed, message));
    }
    let created = session.client.create(vec![job.spec.clone()]).map_err(|error| {
        let failure = job.refused(error);
        if failure.code() == Some(Code::Scheduler) {
            failure.under("Job creation failed due to error:").known_as(Code::Failed)
        } else {
            failure
        }
    })?;
    let page = session.page(&key.job);
    args.browser.open(&page);
    for job in &created.jobs {
        wait::until_met(&session, key, &job.instances, args.wait_until)?;
    }
    let job = session.job(key)?.filter(|it| !it.instances.is_empty()).ok_or_else(|| {
        Failure::new(Code::Failed, format!("Error occurred while creating job {key}"))
    })?;
    if global.write_json {
        let instances: Vec<_> = job.instances.iter().collect();
        return screen::json(&serde_json::json!({
            "job": key.to_string(), "url": page, "instances": instances,
        }));
    }
    Ok(writeln!(screen::out(), "Job create succeeded: job url={page}")?)
}
