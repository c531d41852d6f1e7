//! `airglow job status`: every instance with its ports and events, as text that people have been
//! reading for years and as JSON that their scripts have.

use std::{fmt::Write as _, io::Write};

use airglow_model::config::Kind;
use airglow_web::api::{Config, Health, JobDetail, Stage, TaskDetail};
use serde_json::{Value, json};

use super::{
    Failure, Global, Outcome, Pattern, Session, list, list::Match, scheduled::scheduled, screen,
};
use crate::cli::exit::Code;

pub(crate) fn run(pattern: &Pattern, global: &Global) -> Outcome {
    let matches = list::find(pattern, global)?;
    if matches.is_empty() {
        if global.write_json {
            return screen::json(&json!({
                "jobspec": pattern.to_string(), "error": "No matching jobs found",
            }));
        }
        return Err(Failure::new(
            Code::InvalidParameter,
            format!("Found no jobs matching {pattern}"),
        )
        .hint(format!("`airglow job list {}` shows what there is", pattern.cluster)));
    }
    if global.write_json {
        let jobs: Result<Vec<Value>, Failure> = matches.iter().map(as_json).collect();
        return screen::json(&jobs?);
    }
    for it in &matches {
        let text = as_text(it)?;
        screen::out().write_all(text.as_bytes())?;
    }
    Ok(())
}

/// A job's runs with everything known of them: those that are active, and those that have ended.
struct Tasks {
    active: Vec<TaskDetail>,
    inactive: Vec<TaskDetail>,
}

fn tasks(session: &Session, job: JobDetail) -> Result<Tasks, Failure> {
    let key = job.summary.key();
    let mut all = Vec::new();
    for task in job.instances.into_iter().chain(session.client.history(&key)?) {
        // One that was forgotten in between is not missed.
        all.extend(session.client.task(&task.task_id)?);
    }
    // By instance; of each the newest first.
    all.sort_by_key(|it: &TaskDetail| (it.task.instance, std::cmp::Reverse(it.task.attempt)));
    all.dedup_by(|a, b| a.task.task_id == b.task.task_id);
    let (active, inactive) = all.into_iter().partition(|it: &TaskDetail| it.task.active);
    Ok(Tasks { active, inactive })
}

fn as_json(Match { session, key, .. }: &Match) -> Result<Value, Failure> {
    let Some(job) = session.job(key)? else {
        return Ok(json!({ "job": key.to_string(), "active": [], "inactive": [] }));
    };
    let Tasks { active, inactive } = tasks(session, job)?;
    let list = |tasks: &[TaskDetail]| tasks.iter().map(scheduled).collect::<Vec<_>>();
    Ok(json!({ "job": key.to_string(), "active": list(&active), "inactive": list(&inactive) }))
}

fn as_text(Match { session, key, .. }: &Match) -> Result<String, Failure> {
    let Some(job) = session.job(key)? else { return Ok(String::new()) };
    let Tasks { active, inactive } = tasks(session, job)?;
    let mut text = format!("{}\n", screen::faint(&session.page(&key.job)));
    for (title, tasks) in [("Active", active), ("Inactive", inactive)] {
        writeln!(text, "{}", screen::bold(&format!("{title} tasks ({}):", tasks.len()))).ok();
        for task in tasks {
            text.push_str(&render(&task));
        }
    }
    Ok(text)
}

/// One run, a few lines.
fn render(detail: &TaskDetail) -> String {
    let TaskDetail { task, config, on_host, events, .. } = detail;
    let mut text = format!(
        "\tTask role: {}, env: {}, name: {}, instance: {}, status: {} on {}\n",
        task.role,
        task.environment,
        task.name,
        task.instance,
        screen::status(task.status),
        task.host.as_deref().unwrap_or("None"),
    );
    let mut line = |args: std::fmt::Arguments<'_>| {
        text.write_fmt(args).and_then(|()| text.write_char('\n')).ok();
    };
    if let Some(Config { resources: of, .. }) = config {
        line(format_args!(
            "\t  CPU: {} core(s), RAM: {} MB, Disk: {} MB",
            of.cpu, of.ram_mb, of.disk_mb
        ));
    }
    if !task.ports.is_empty() {
        let ports: Vec<_> =
            task.ports.iter().map(|(name, port)| format!("'{name}': {port}")).collect();
        line(format_args!("\t  assigned ports: {{{}}}", ports.join(", ")));
        line(format_args!("\t  failure count: {} (max {})", task.failures, max_failures(config)));
    }
    if let Some(stage) = on_host.stage.as_ref().and_then(stage) {
        line(format_args!("\t  stage: {stage}"));
    }
    if let Some(it) = &on_host.health {
        line(format_args!("\t  health: {}", health(it)));
    }
    line(format_args!("\t  events:"));
    for event in events {
        let at = screen::local_time(event.at);
        let colon = if event.message.is_empty() { "" } else { ": " };
        line(format_args!("\t   {at} {}{colon}{}", screen::name(event.status), event.message));
    }
    let metadata = config.as_ref().map_or(&[][..], |it| &it.job.metadata);
    if !metadata.is_empty() {
        line(format_args!("\t  metadata:"));
        for pair in metadata {
            line(format_args!("\t\t  (key: '{}', value: '{}')", pair.key, pair.value));
        }
    }
    text
}

/// Where a task is on its way out; that it just runs is no news.
fn stage(Stage { name, detail, .. }: &Stage) -> Option<String> {
    let is_news = !matches!(name.as_str(), "" | "preparing" | "active" | "over");
    let colon = if detail.is_empty() { "" } else { ": " };
    is_news.then(|| format!("{name}{colon}{detail}"))
}

fn health(health: &Health) -> String {
    let snoozed = if health.is_snoozed { ", snoozed" } else { "" };
    let how = if health.is_healthy { "healthy" } else { "not healthy yet" };
    let failed = match health.consecutive_failures {
        0 => String::new(),
        count => {
            let why = health.last.last().map(|it| it.message.as_str()).unwrap_or_default();
            format!(", {count} failed in a row: {why}")
        }
    };
    format!("{how}{snoozed} ({}){failed}", health.check)
}

fn max_failures(config: &Option<Config>) -> String {
    match config {
        Some(config) if config.kind == Kind::Service => "-1".into(),
        Some(config) => config.job.max_task_failures.to_string(),
        None => "?".into(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use airglow_model::{machine::Timestamp, task::Status};
    use airglow_web::api::{OnHost, TaskEvent, TaskSummary};

    use super::*;

    #[test]
    fn a_task_looks_as_it_always_did() {
        let at = Timestamp(1_700_000_000_000);
        let event = |status, message: &str| TaskEvent { at, status, message: message.into() };
        let detail = TaskDetail {
            task: TaskSummary {
                role: "www-data".into(),
                environment: "prod".into(),
                name: "hello".into(),
                instance: 3,
                task_id: "t".into(),
                status: Status::Running,
                active: true,
                since: at,
                created_at: at,
                message: String::new(),
                host: Some("here".into()),
                ports: BTreeMap::from([("http".into(), 31000)]),
                failures: 0,
                attempt: 1,
                config: 1,
            },
            config: None,
            on_host: OnHost::default(),
            events: vec![event(Status::Pending, ""), event(Status::Running, "up")],
            ancestor: None,
            penalty_ms: 0,
            pending: None,
            processes: vec![],
            processes_unknown: None,
        };
        let when = screen::local_time(at);
        let plain = anstream::adapter::strip_str(&render(&detail)).to_string();
        assert_eq!(
            plain,
            format!(
                "\tTask role: www-data, env: prod, name: hello, instance: 3, status: RUNNING on here\n\
                 \t  assigned ports: {{'http': 31000}}\n\
                 \t  failure count: 0 (max ?)\n\
                 \t  events:\n\
                 \t   {when} PENDING\n\
                 \t   {when} RUNNING: up\n"
            )
        );
    }
}
