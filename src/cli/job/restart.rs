//! `airglow job restart`: instance after instance, each watched before the next, so that a service
//! stays up while all of it is replaced.
//!
//! As with killing, the batches are made here: interrupting the command stops the restarting.

use std::{
    collections::{BTreeMap, VecDeque},
    io::Write,
    time::Duration,
};

use airglow_model::instances::InstanceSet;
use airglow_web::api::{JobDetail, TaskSummary};

use super::{
    super::wait::{Watch, Watched},
    Browser, Code, Failure, FullKey, Global, InstanceSpec, OptionalConfig, Outcome, Session,
    bracketed, no_such_job, screen, wait,
};
use crate::client::pause;

#[derive(clap::Args)]
pub(crate) struct Args {
    #[arg(value_name = "CLUSTER/ROLE/ENV/NAME[/INSTANCES]")]
    instances: InstanceSpec,
    /// How many instances to restart at a time
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    batch_size: u32,
    /// How long an instance has to stay RUNNING before it counts as restarted
    #[arg(long, default_value_t = 30)]
    watch_secs: u64,
    /// How often to look at the instances that are being watched
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..))]
    healthcheck_interval_seconds: u64,
    /// How often one instance may fail to come back
    #[arg(long, default_value_t = 0)]
    max_per_instance_failures: u32,
    /// How many instances may fail to come back before the command gives up
    #[arg(long, default_value_t = 0, allow_negative_numbers = true)]
    max_total_failures: i64,
    /// Stop if one of the instances is not active
    #[arg(long)]
    strict: bool,
    /// Accepted for scripts' sake; there is nothing to overrule
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    config: OptionalConfig,
    #[command(flatten)]
    browser: Browser,
}

pub(crate) fn run(args: &Args, global: &Global) -> Outcome {
    let InstanceSpec { key, instances } = &args.instances;
    let Ok(max_total_failures) = usize::try_from(args.max_total_failures) else {
        let message = "max_total_failures option must be >0, but you specified a negative number";
        return Err(Failure::new(Code::InvalidParameter, message));
    };
    args.config.check(key)?;
    let session = global.session(&key.cluster)?;
    let job = session.job(key)?.ok_or_else(|| no_such_job(key))?;
    let active = wait::active(&job);
    let wanted = instances.as_ref().unwrap_or(&active);
    let missing = wanted.difference(&active);
    if args.strict && !missing.is_empty() {
        let message = format!("Invalid instance parameter: {}", bracketed(&missing));
        return Err(Failure::new(Code::InvalidParameter, message));
    }
    let restarted = wanted.intersection(&active);
    args.browser.open(&session.page(&key.job));
    Rollout::new(args, &restarted).carry_out(&session, key, max_total_failures)?;
    if global.write_json {
        return screen::json(&serde_json::json!({
            "job": key.to_string(), "restarted": restarted.iter().collect::<Vec<_>>(),
        }));
    }
    if restarted.is_empty() {
        let told = format!("There is nothing to restart: {key} has no such active instance");
        return Ok(writeln!(screen::out(), "{told}")?);
    }
    Ok(writeln!(screen::out(), "Job {key} restarted successfully")?)
}

/// What is left to do, and what went wrong so far.
struct Rollout<'a> {
    args: &'a Args,
    queue: VecDeque<u32>,
    /// How often each instance failed to come back.
    failures: BTreeMap<u32, u32>,
    /// Those that failed more often than allowed.
    failed: InstanceSet,
}

impl<'a> Rollout<'a> {
    fn new(args: &'a Args, instances: &InstanceSet) -> Self {
        Self {
            args,
            queue: instances.iter().collect(),
            failures: BTreeMap::new(),
            failed: InstanceSet::default(),
        }
    }

    fn carry_out(mut self, session: &Session, key: &FullKey, max_total: usize) -> Outcome {
        while !self.queue.is_empty() {
            let size = self.queue.len().min(self.args.batch_size as usize);
            let batch: InstanceSet = self.queue.drain(..size).collect();
            for (instance, why) in self.restart(session, key, &batch)? {
                screen::warn(&format!("Instance {instance} did not come back: {why}"));
                self.count(instance);
            }
            if self.failed.len() > max_total as u64 {
                return Err(self.gave_up(key));
            }
        }
        if self.failed.is_empty() { Ok(()) } else { Err(self.gave_up(key)) }
    }

    /// One that may fail again goes to the end of the queue.
    fn count(&mut self, instance: u32) {
        let failures = self.failures.entry(instance).or_default();
        *failures += 1;
        if *failures > self.args.max_per_instance_failures {
            self.failed = self.failed.union(&InstanceSet::range(instance, instance));
        } else {
            self.queue.push_back(instance);
        }
    }

    fn gave_up(&self, key: &FullKey) -> Failure {
        let failed = bracketed(&self.failed);
        let message =
            format!("Error restarting job {key}:\n\tInstances {failed} did not come back");
        Failure::new(Code::Failed, message).hint(format!(
            "`airglow job status {key}` and `airglow task logs {key}/INSTANCE` tell more"
        ))
    }

    /// Restarts a batch and watches it. Those that did not come back, and why.
    fn restart(
        &self,
        session: &Session,
        key: &FullKey,
        batch: &InstanceSet,
    ) -> Result<Vec<(u32, &'static str)>, Failure> {
        let job = session.job(key)?.ok_or_else(|| no_such_job(key))?;
        let before: BTreeMap<u32, String> =
            tasks(&job, batch).map(|it| (it.instance, it.task_id.clone())).collect();
        session
            .client
            .restart(&key.job, batch)
            .map_err(|error| Failure::from(error).under(&format!("Error restarting job {key}:")))?;
        screen::aside(&format!("Restarting instances {}", bracketed(batch)));
        let watched = self.watch(session, key, before)?;
        Ok(watched
            .into_iter()
            .filter_map(|(instance, watched)| match watched.state {
                Watched::Bad(why) => Some((instance, why)),
                Watched::Coming | Watched::Up { .. } | Watched::Good => None,
            })
            .collect())
    }

    fn watch(
        &self,
        session: &Session,
        key: &FullKey,
        before: BTreeMap<u32, String>,
    ) -> Result<BTreeMap<u32, Watch>, Failure> {
        let asked_at = airglow_kit::now();
        let stays = Duration::from_secs(self.args.watch_secs);
        let interval = Duration::from_secs(self.args.healthcheck_interval_seconds);
        let watch = |(instance, task_id)| (instance, Watch::new(task_id, asked_at, stays));
        let mut watched: BTreeMap<u32, Watch> = before.into_iter().map(watch).collect();
        let mut progress = screen::Progress::new();
        while watched.values().any(|it| !it.state.is_settled()) {
            // Nothing is to be seen for a whole interval only if that is what was asked for.
            pause(interval.min(Duration::from_millis(500)));
            let job = session.job(key)?;
            let now = airglow_kit::now();
            for (instance, watch) in &mut watched {
                let mut tasks = job.iter().flat_map(|it| &it.instances);
                watch.look(now, tasks.find(|it| it.instance == *instance));
            }
            let settled = watched.values().filter(|it| it.state.is_settled()).count();
            progress.show("", &format!("{key}  {settled} of {} watched", watched.len()));
        }
        progress.clear();
        Ok(watched)
    }
}

fn tasks<'a>(job: &'a JobDetail, which: &InstanceSet) -> impl Iterator<Item = &'a TaskSummary> {
    job.instances.iter().filter(|it| which.contains(it.instance))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    #[test]
    fn an_instance_that_may_fail_again_is_tried_last() {
        let line = Line::parse_from(["restart", "c/r/e/n", "--max-per-instance-failures", "1"]);
        let mut rollout = Rollout::new(&line.args, &InstanceSet::first(3));
        assert_eq!(rollout.queue.pop_front(), Some(0));
        rollout.count(0);
        assert_eq!(rollout.queue, [1, 2, 0]);
        assert!(rollout.failed.is_empty());
        rollout.count(0);
        assert_eq!((rollout.queue.len(), rollout.failed.to_string()), (3, "0".into()));
    }

    #[test]
    fn the_defaults_are_the_known_ones() {
        let Line { args } = Line::parse_from(["restart", "c/r/e/n"]);
        assert_eq!(
            (
                args.batch_size,
                args.watch_secs,
                args.healthcheck_interval_seconds,
                args.max_per_instance_failures,
                args.max_total_failures,
            ),
            (1, 30, 3, 0, 0)
        );
    }
}
