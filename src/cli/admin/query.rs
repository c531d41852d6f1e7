//! `airglow admin query`: tasks by their state, each as a line that somebody else reads.

use std::{collections::BTreeMap, io::Write, rc::Rc};

use airglow_model::{ids::JobKey, instances::InstanceSet};
use airglow_web::api::{Config, JobDetail, TaskSummary};

use super::{Code, Failure, Global, Outcome, screen};
use crate::cli::Session;

#[derive(clap::Args)]
pub(crate) struct Args {
    cluster: String,
    role: Option<String>,
    /// A job's name, in any of the role's environments
    job: Option<String>,
    /// The states to look for, separated by commas
    #[arg(long, default_value = "RUNNING")]
    states: String,
    /// Only these instances, such as 0-2,5
    #[arg(long, value_name = "INSTANCES", value_parser = instances)]
    shards: Option<InstanceSet>,
    /// What to print of each task: text with names between percent signs
    #[arg(short, long, default_value = "%role%/%name%/%instanceId% %status%")]
    listformat: String,
    /// Look for many tasks at once, or for those that have ended
    #[arg(long)]
    force: bool,
}

fn instances(text: &str) -> Result<InstanceSet, String> {
    text.parse().map_err(|_| format!("\"{text}\" is not a list of instances such as 0-2,5"))
}

/// Whose end nobody waits for any more.
const ENDED: [&str; 4] = ["FINISHED", "FAILED", "KILLED", "LOST"];

pub(super) fn run(args: &Args, global: &Global) -> Outcome {
    let format = Format::read(&args.listformat)?;
    let states = args.states.to_ascii_uppercase();
    let is_wide = args.role.is_none()
        || args.job.is_none()
        || states.split(',').any(|it| ENDED.contains(&it.trim()));
    if is_wide && !args.force {
        let message =
            "This may be a lot: name a role and a job and only active states, or say --force";
        return Err(Failure::new(Code::InvalidParameter, message));
    }
    let session = global.cluster_session(Some(&args.cluster))?;
    let mut query = vec![("status", states.as_str()), ("limit", "5000")];
    query.extend(args.role.as_deref().map(|it| ("role", it)));
    query.extend(args.job.as_deref().map(|it| ("name", it)));
    let mut tasks = session.client.tasks(&query)?;
    tasks.retain(|it| args.shards.as_ref().is_none_or(|shards| shards.contains(it.instance)));
    if global.write_json {
        return screen::json(&tasks);
    }
    let mut jobs = Jobs { session: &session, known: BTreeMap::new() };
    let mut out = screen::out();
    for task in &tasks {
        let config = if format.asks_for_config() { jobs.config_of(task)? } else { None };
        writeln!(out, "{}", format.fill(task, config.as_ref()))?;
    }
    Ok(())
}

/// The configurations of tasks' jobs, each asked for once.
struct Jobs<'a> {
    session: &'a Session,
    known: BTreeMap<JobKey, Option<Rc<JobDetail>>>,
}

impl Jobs<'_> {
    fn config_of(&mut self, task: &TaskSummary) -> Result<Option<Config>, Failure> {
        let key = task.job();
        if !self.known.contains_key(&key) {
            let job = self.session.client.job(&key)?.map(Rc::new);
            self.known.insert(key.clone(), job);
        }
        let job = self.known.get(&key).and_then(Option::as_deref);
        let configs = job.map_or(&[][..], |it| &it.configs);
        Ok(configs.iter().find(|it| it.number == task.config).cloned())
    }
}

/// `%role%/%name%`: text, and names of what stands between it.
struct Format(Vec<Piece>);

enum Piece {
    Text(String),
    OfTask(fn(&TaskSummary) -> String),
    OfConfig(fn(&Config) -> String),
}

impl Format {
    /// # Errors
    /// A name is none of those that there are.
    fn read(text: &str) -> Result<Self, Failure> {
        let mut pieces = Vec::new();
        for (index, part) in text.split('%').enumerate() {
            pieces.push(match index % 2 {
                0 => Piece::Text(part.to_owned()),
                _ if part.is_empty() => Piece::Text("%".into()),
                _ => field(part).ok_or_else(|| {
                    Failure::new(Code::InvalidParameter, format!("There is no field %{part}%"))
                        .hint(format!("There are {}", NAMES.join(", ")))
                })?,
            });
        }
        Ok(Self(pieces))
    }

    fn asks_for_config(&self) -> bool {
        self.0.iter().any(|it| matches!(it, Piece::OfConfig(_)))
    }

    fn fill(&self, task: &TaskSummary, config: Option<&Config>) -> String {
        let piece = |piece: &Piece| match piece {
            Piece::Text(text) => text.clone(),
            Piece::OfTask(of) => of(task),
            Piece::OfConfig(of) => config.map(of).unwrap_or_default(),
        };
        self.0.iter().map(piece).collect()
    }
}

const NAMES: [&str; 17] = [
    "role",
    "environment",
    "name",
    "instanceId",
    "status",
    "taskId",
    "slaveHost",
    "message",
    "failureCount",
    "attempt",
    "numCpus",
    "ramMb",
    "diskMb",
    "tier",
    "priority",
    "production",
    "isService",
];

/// By Aurora's names, and those that people know from elsewhere.
fn field(name: &str) -> Option<Piece> {
    let piece = match name {
        "role" => Piece::OfTask(|it| it.role.clone()),
        "environment" | "env" => Piece::OfTask(|it| it.environment.clone()),
        "name" | "job" | "jobName" => Piece::OfTask(|it| it.name.clone()),
        "instanceId" | "instance" | "shardId" => Piece::OfTask(|it| it.instance.to_string()),
        "status" => Piece::OfTask(|it| screen::name(it.status).to_owned()),
        "taskId" | "task_id" => Piece::OfTask(|it| it.task_id.clone()),
        "slaveHost" | "slaveId" | "host" => Piece::OfTask(|it| it.host.clone().unwrap_or_default()),
        "message" => Piece::OfTask(|it| it.message.clone()),
        "failureCount" => Piece::OfTask(|it| it.failures.to_string()),
        "attempt" => Piece::OfTask(|it| it.attempt.to_string()),
        "numCpus" => Piece::OfConfig(|it| it.resources.cpu.to_string()),
        "ramMb" => Piece::OfConfig(|it| it.resources.ram_mb.to_string()),
        "diskMb" => Piece::OfConfig(|it| it.resources.disk_mb.to_string()),
        "tier" => Piece::OfConfig(|it| it.tier.clone()),
        "priority" => Piece::OfConfig(|it| it.priority.to_string()),
        "production" => Piece::OfConfig(|it| it.job.production.to_string()),
        "isService" => {
            Piece::OfConfig(|it| (it.kind == airglow_model::config::Kind::Service).to_string())
        }
        _ => return None,
    };
    Some(piece)
}

#[cfg(test)]
mod tests {
    use airglow_model::{machine::Timestamp, task::Status};

    use super::*;

    fn task() -> TaskSummary {
        TaskSummary {
            role: "www".into(),
            environment: "prod".into(),
            name: "web".into(),
            instance: 3,
            task_id: "t".into(),
            status: Status::Running,
            active: true,
            since: Timestamp(0),
            created_at: Timestamp(0),
            message: String::new(),
            host: Some("h1".into()),
            ports: BTreeMap::new(),
            failures: 0,
            attempt: 1,
            config: 1,
        }
    }

    #[test]
    fn a_line_is_what_its_format_says() {
        for (format, line) in [
            ("%role%/%name%/%instanceId% %status%", "www/web/3 RUNNING"),
            ("%env% on %slaveHost%, 100%%", "prod on h1, 100%"),
            ("nothing", "nothing"),
            // Its configuration is forgotten.
            ("[%numCpus%]", "[]"),
        ] {
            assert_eq!(Format::read(format).unwrap().fill(&task(), None), line, "{format}");
        }
        assert!(Format::read("%role% %tier%").unwrap().asks_for_config());
        assert!(!Format::read("%role%").unwrap().asks_for_config());
    }

    #[test]
    fn every_name_that_is_told_is_understood() {
        assert!(NAMES.iter().all(|it| field(it).is_some()));
        let Err(Failure::Told { message, next, .. }) = Format::read("%rolle%") else { panic!() };
        assert_eq!(message, "There is no field %rolle%");
        assert!(next.unwrap().contains("role, environment"));
    }
}
