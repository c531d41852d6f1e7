//! `airglow job add`.

use std::io::Write;

use airglow_model::instances::InstanceSet;

use super::{
    super::wait::Goal, Browser, Code, Failure, Global, OneInstance, OptionalConfig, Outcome,
    bracketed, no_such_job, screen, wait, warn_of_sla,
};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// An instance that is there: the new ones will be like it
    #[arg(value_name = "CLUSTER/ROLE/ENV/NAME/INSTANCE")]
    like: OneInstance,
    /// How many more
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    count: u32,
    #[command(flatten)]
    config: OptionalConfig,
    /// How far to wait for every new instance
    #[arg(long, value_enum, default_value = "PENDING", ignore_case = true)]
    wait_until: Goal,
    #[command(flatten)]
    browser: Browser,
}

pub(crate) fn run(args: &Args, global: &Global) -> Outcome {
    let OneInstance { key, instance } = &args.like;
    args.config.check(key)?;
    let session = global.session(&key.cluster)?;
    let job = session.job(key)?.ok_or_else(|| no_such_job(key))?;
    if !wait::active(&job).contains(*instance) {
        let instance = bracketed(&InstanceSet::range(*instance, *instance));
        return Err(Failure::new(
            Code::InvalidParameter,
            format!("Invalid instance parameter: {instance}"),
        )
        .hint("It is not active, so there is nothing to add more of. `airglow job create` starts a job."));
    }
    warn_of_sla("Adding", &job);
    let added = session.client.add(&key.job, args.count)?;
    args.browser.open(&session.page(&key.job));
    wait::until_met(&session, key, &added, args.wait_until)?;
    if global.write_json {
        return screen::json(&serde_json::json!({
            "job": key.to_string(), "added": added.iter().collect::<Vec<_>>(),
        }));
    }
    Ok(writeln!(screen::out(), "Added instances {} to {key}", bracketed(&added))?)
}
