//! `airglow job kill` and `killall`: batch by batch, each waited for before the next.
//!
//! The batches are made here and not in the scheduler, so that interrupting the command stops the
//! killing.

use std::{io::Write, time::Duration};

use airglow_model::instances::InstanceSet;

use super::{
    Browser, Code, Failure, FullKey, Global, InstanceSpec, OptionalConfig, Outcome, Session,
    bracketed, screen, wait, warn_of_sla,
};

/// How long a batch may take to end: what waiting 2, 4, 8 … 128 seconds adds up to.
const ENDS_WITHIN: Duration = Duration::from_secs(254);

#[derive(clap::Args)]
pub(crate) struct Args {
    #[arg(value_name = "CLUSTER/ROLE/ENV/NAME/INSTANCES")]
    instances: InstanceSpec,
    #[command(flatten)]
    how: How,
    /// Stop if one of the instances is not active
    #[arg(long)]
    strict: bool,
}

#[derive(clap::Args)]
pub(crate) struct AllArgs {
    #[arg(value_name = "CLUSTER/ROLE/ENV/NAME")]
    key: FullKey,
    #[command(flatten)]
    how: How,
}

#[derive(clap::Args)]
struct How {
    /// How many instances to kill at a time
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    batch_size: u32,
    /// How many instances may fail to end in time before the command gives up
    #[arg(long, default_value_t = 0)]
    max_total_failures: u32,
    /// All at once
    #[arg(long)]
    no_batching: bool,
    /// Why, for the instances' histories
    #[arg(short, long)]
    message: Option<String>,
    #[command(flatten)]
    config: OptionalConfig,
    #[command(flatten)]
    browser: Browser,
}

pub(crate) fn run(args: &Args, global: &Global) -> Outcome {
    let InstanceSpec { key, instances } = &args.instances;
    let Some(instances) = instances else {
        let message = "The instances list cannot be omitted in a kill command!; use killall to kill all instances";
        return Err(Failure::new(Code::InvalidParameter, message));
    };
    args.how.config.check(key)?;
    let session = global.session(&key.cluster)?;
    let job = session.job(key)?.ok_or_else(|| nothing(key))?;
    let active = wait::active(&job);
    let missing = instances.difference(&active);
    if args.strict && !missing.is_empty() {
        let message = format!("Invalid instance parameter: {}", bracketed(&missing));
        return Err(Failure::new(Code::InvalidParameter, message));
    }
    warn_of_sla("Killing", &job);
    let target = Target { session: &session, key };
    let killed = args.how.kill(target, &instances.intersection(&active), false)?;
    args.how.succeeded("kill", target, &killed, global)
}

pub(crate) fn run_all(args: &AllArgs, global: &Global) -> Outcome {
    let AllArgs { key, how } = args;
    how.config.check(key)?;
    let session = global.session(&key.cluster)?;
    let job = session.job(key)?.ok_or_else(|| nothing(key))?;
    let target = Target { session: &session, key };
    let killed = how.kill(target, &wait::active(&job), true)?;
    how.succeeded("killall", target, &killed, global)
}

/// The job, and whom to ask for its end.
#[derive(Clone, Copy)]
struct Target<'a> {
    session: &'a Session,
    key: &'a FullKey,
}

impl Target<'_> {
    /// Those that have not ended in time.
    fn left_of(self, instances: &InstanceSet) -> Result<InstanceSet, Failure> {
        wait::until(self.session, self.key, instances, Some(ENDS_WITHIN), |it| {
            it.is_none_or(|it| !it.active)
        })
    }
}

/// Nobody should believe that something was killed, least of all after a slip in the key.
fn nothing(key: &FullKey) -> Failure {
    Failure::new(Code::Failed, format!("No tasks to kill found for job {key}"))
        .hint(format!("`airglow job list {}` shows the jobs there are", key.cluster))
}

impl How {
    fn kill(
        &self,
        target: Target<'_>,
        instances: &InstanceSet,
        all: bool,
    ) -> Result<InstanceSet, Failure> {
        if instances.is_empty() {
            return Err(nothing(target.key));
        }
        if self.no_batching {
            let which = (!all).then_some(instances);
            target.session.client.kill(&target.key.job, which, self.message.as_deref())?;
            let left = target.left_of(instances)?;
            return if left.is_empty() {
                Ok(instances.clone())
            } else {
                let left = bracketed(&left);
                Err(Failure::new(
                    Code::Timeout,
                    format!("Instances {left} were not killed in time"),
                ))
            };
        }
        self.batches(target, instances)
    }

    fn batches(&self, target: Target<'_>, instances: &InstanceSet) -> Result<InstanceSet, Failure> {
        let all: Vec<u32> = instances.iter().collect();
        let mut failures = 0;
        let mut killed = InstanceSet::default();
        for batch in all.chunks(self.batch_size as usize) {
            let batch: InstanceSet = batch.iter().copied().collect();
            target.session.client.kill(&target.key.job, Some(&batch), self.message.as_deref())?;
            let left = target.left_of(&batch)?;
            if left.is_empty() {
                screen::aside(&format!("Successfully killed instances {}", bracketed(&batch)));
                killed = killed.union(&batch);
                continue;
            }
            screen::aside(&format!("Instances {} were not killed in time", bracketed(&left)));
            failures += left.len();
            if failures > u64::from(self.max_total_failures) {
                let message = "Exceeded maximum number of errors while killing instances";
                return Err(Failure::new(Code::Failed, message));
            }
        }
        if failures > 0 {
            return Err(Failure::new(Code::Failed, "Errors occurred while killing instances"));
        }
        Ok(killed)
    }

    fn succeeded(
        &self,
        verb: &str,
        Target { session, key }: Target<'_>,
        killed: &InstanceSet,
        global: &Global,
    ) -> Outcome {
        self.browser.open(&session.page(&key.job));
        if global.write_json {
            return screen::json(&serde_json::json!({
                "job": key.to_string(), "killed": killed.iter().collect::<Vec<_>>(),
            }));
        }
        Ok(writeln!(screen::out(), "Job {verb} succeeded")?)
    }
}
