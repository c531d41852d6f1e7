//! `airglow job inspect`: what a job in a file consists of, without asking any scheduler.

use std::{fmt::Write as _, io::Write};

use airglow_model::spec::{JobSpec, ProcessSpec, UpdateConfig};

use super::{Global, InFile, Outcome, screen};

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    written: InFile,
    /// Everything, as it would be sent to the scheduler
    #[arg(long)]
    raw: bool,
}

pub(crate) fn run(args: &Args, global: &Global) -> Outcome {
    let job = args.written.read()?.spec;
    if global.write_json || args.raw {
        return screen::json(&job);
    }
    Ok(screen::out().write_all(describe(&job).as_bytes())?)
}

fn describe(job: &JobSpec) -> String {
    let mut text = Text(screen::bold("Job level information") + "\n");
    text.field("name", &job.name);
    text.field("role", &job.role);
    text.field("contact", job.contact.as_deref().unwrap_or("None"));
    text.field("cluster", &job.cluster);
    text.field("instances", job.instances);
    if let Some(schedule) = &job.cron_schedule {
        text.line(format_args!("  cron:"));
        text.line(format_args!("    schedule: {schedule}"));
        text.line(format_args!("    policy: {}", job.cron_collision_policy));
        if let Some(zone) = &job.cron_timezone {
            text.line(format_args!("    timezone: {zone}"));
        }
        text.line(format_args!("    catch up: {}", job.cron_catch_up));
    }
    if !job.constraints.is_empty() {
        text.line(format_args!("  constraints:"));
        for (name, value) in &job.constraints {
            text.line(format_args!("    {name}: {value}"));
        }
    }
    if let Some(policy) = &job.partition_policy {
        let (reschedule, delay) = (policy.reschedule, policy.delay_secs);
        text.line(format_args!("  partition policy: reschedule {reschedule}, delay {delay} secs"));
    }
    text.field("service", job.service);
    text.field("production", job.production);
    describe_update(&mut text, &job.update_config);
    text.line(format_args!(""));
    describe_task(&mut text, job);
    text.0
}

/// By the names that it has in a file; what is not set is left out.
fn describe_update(text: &mut Text, config: &UpdateConfig) {
    text.line(format_args!("  update config:"));
    let config = serde_json::to_value(config).unwrap_or_default();
    for (name, value) in config.as_object().into_iter().flatten().filter(|(_, it)| !it.is_null()) {
        text.line(format_args!("    {name}: {value}"));
    }
}

fn describe_task(text: &mut Text, job: &JobSpec) {
    let task = &job.task;
    text.line(format_args!("{}", screen::bold("Task level information")));
    text.field("name", &task.name);
    let orders: Vec<_> = task.constraints.iter().filter(|it| !it.order.is_empty()).collect();
    if !orders.is_empty() {
        text.line(format_args!("  constraints:"));
        for constraint in orders {
            text.line(format_args!("    {}", constraint.order.join(" < ")));
        }
    }
    for process in &task.processes {
        text.line(format_args!(""));
        describe_process(text, process);
    }
}

fn describe_process(text: &mut Text, process: &ProcessSpec) {
    text.line(format_args!("Process '{}':", process.name));
    let flags =
        [("daemon", process.daemon), ("ephemeral", process.ephemeral), ("final", process.is_final)];
    for (flag, _) in flags.iter().filter(|(_, set)| *set) {
        text.line(format_args!("  {flag}"));
    }
    text.line(format_args!("  cmdline:"));
    for line in process.cmdline.lines() {
        text.line(format_args!("    {line}"));
    }
}

/// Text that grows by lines.
struct Text(String);

impl Text {
    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        writeln!(self.0, "{line}").expect("a string takes everything");
    }

    fn field(&mut self, name: &str, value: impl std::fmt::Display) {
        self.line(format_args!("  {name}: {value}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_is_described_block_by_block() {
        let job: JobSpec = serde_json::from_value(serde_json::json!({
            "cluster": "c", "role": "r", "environment": "prod", "name": "n", "service": true,
            "constraints": {"rack": "limit:1"},
            "task": {
                "name": "t",
                "constraints": [{"order": ["a", "b"]}],
                "resources": {"cpu": 1.0, "ram": 1, "disk": 1},
                "processes": [
                    {"name": "a", "cmdline": "echo 1\necho 2", "daemon": true},
                    {"name": "b", "cmdline": "true"},
                ],
            },
        }))
        .unwrap();
        let plain = anstream::adapter::strip_str(&describe(&job)).to_string();
        assert_eq!(
            plain,
            "\
Job level information
  name: n
  role: r
  contact: None
  cluster: c
  instances: 1
  constraints:
    rack: limit:1
  service: true
  production: false
  update config:
    batch_size: 1
    max_per_shard_failures: 0
    max_total_failures: 0
    rollback_on_failure: true
    sla_aware: false
    wait_for_batch_completion: false
    watch_secs: 45

Task level information
  name: t
  constraints:
    a < b

Process 'a':
  daemon
  cmdline:
    echo 1
    echo 2

Process 'b':
  cmdline:
    true
"
        );
    }
}
