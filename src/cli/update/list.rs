//! `airglow update list`.

use std::{collections::BTreeSet, fmt::Write as _, io::Write};

use airglow_model::update::Status;
use airglow_web::api::UpdateSummary;
use serde_json::json;

use super::{Failure, FullKey, Global, Outcome, Session, key_of, screen};
use crate::cli::key::Pattern;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Wildcards are allowed
    #[arg(value_name = "CLUSTER[/ROLE[/ENV[/NAME]]]")]
    pattern: Pattern,
    /// Only those in such a state: active, all, blocked, failed, inactive, paused, succeeded, or a
    /// state by its name; repeat for more
    #[arg(long, value_name = "GROUP", value_parser = group)]
    status: Vec<Group>,
    /// Only those that this user began
    #[arg(long)]
    user: Option<String>,
}

/// States that are asked for by one word.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Group(Vec<Status>);

fn group(name: &str) -> Result<Group, String> {
    let is: fn(Status) -> bool = match name.to_ascii_lowercase().as_str() {
        "active" => Status::is_active,
        "all" => |_| true,
        "blocked" => {
            |it| matches!(it, Status::RollForwardAwaitingPulse | Status::RollBackAwaitingPulse)
        }
        "failed" => |it| matches!(it, Status::Error | Status::Failed | Status::RolledBack),
        "inactive" => |it| !it.is_active(),
        "paused" => |it| matches!(it, Status::RollForwardPaused | Status::RollBackPaused),
        "succeeded" => |it| it == Status::RolledForward,
        other => {
            let one = Status::ALL.into_iter().find(|it| it.name().eq_ignore_ascii_case(other));
            return one.map(|it| Group(vec![it])).ok_or_else(|| {
                let states = Status::ALL.map(Status::name).join(", ");
                format!(
                    "expected active, all, blocked, failed, inactive, paused, succeeded or one of {states}"
                )
            });
        }
    };
    Ok(Group(Status::ALL.into_iter().filter(|it| is(*it)).collect()))
}

pub(crate) fn run(args: &Args, global: &Global) -> Outcome {
    let mut found = Vec::new();
    for cluster in global.clusters()?.matching(&args.pattern.cluster) {
        let session = global.cluster_session(cluster.as_deref())?;
        let updates = ask(&session, args)?;
        if updates.is_empty() {
            continue;
        }
        let there = || session.cluster(&session.client.jobs(&[]).ok()?).ok().flatten();
        let cluster = cluster.or_else(there).unwrap_or_else(|| args.pattern.cluster.clone());
        found.extend(updates.into_iter().map(|it| (cluster.clone(), it)));
    }
    if global.write_json {
        return screen::json(&found.iter().map(described).collect::<Vec<_>>());
    }
    Ok(screen::out().write_all(table(&found).as_bytes())?)
}

fn ask(session: &Session, args: &Args) -> Result<Vec<UpdateSummary>, Failure> {
    let wanted: BTreeSet<&str> =
        args.status.iter().flat_map(|it| &it.0).map(|it| it.name()).collect();
    let wanted = wanted.into_iter().collect::<Vec<_>>().join(",");
    let mut query = Vec::new();
    if !wanted.is_empty() {
        query.push(("status", wanted.as_str()));
    }
    query.extend(args.user.iter().map(|it| ("user", it.as_str())));
    let mut updates = session.client.updates(&query)?;
    updates.retain(|it| args.pattern.matches(&key_of(it).job));
    Ok(updates)
}

/// An update and its cluster.
type Found = (String, UpdateSummary);

fn job((cluster, it): &Found) -> String {
    FullKey { cluster: cluster.clone(), job: key_of(it).job }.to_string()
}

/// The columns are as wide as scripts know them.
fn table(found: &[Found]) -> String {
    let mut text = String::new();
    let mut row = |cells: [&str; 6]| {
        let [job, id, status, by, started, modified] = cells;
        let line = format!("{job:47} {id:36} {status:15} {by:11} {started:19} {modified:19}");
        writeln!(text, "{}", line.trim_end()).expect("a string takes everything");
    };
    if !found.is_empty() {
        row(["JOB", "UPDATE ID", "STATUS", "CREATED BY", "STARTED", "LAST MODIFIED"]);
    }
    for it in found {
        let (_, update) = it;
        let times = [update.created_at, update.modified_at].map(screen::utc_time);
        let status = update.status.name();
        row([&job(it), &update.id, status, &update.user, &times[0], &times[1]]);
    }
    text
}

fn described(it: &Found) -> serde_json::Value {
    let (_, update) = it;
    json!({
        "job": job(it),
        "id": update.id,
        "user": update.user,
        "started": screen::utc_time(update.created_at),
        "last_modified": screen::utc_time(update.modified_at),
        "status": update.status.name(),
    })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::cli::update) fn summary(status: Status) -> UpdateSummary {
        serde_json::from_value(json!({
            "role": "www-data", "environment": "prod", "name": "web",
            "id": "6f1b1e5c-0d8a-4bb0-9d5f-6e7c2a4b8f10", "status": status, "active": status.is_active(),
            "direction": "forward", "user": "ada", "created_at": 1_403_716_352_000_u64,
            "modified_at": 1_403_716_412_999_u64, "message": "", "url": "/update/x",
            "progress": {"total": 4, "waiting": 1, "working": 1, "done": 2, "failed": 0},
        }))
        .unwrap()
    }

    #[test]
    fn groups_are_the_known_ones() {
        for (name, expected) in [
            ("blocked", "ROLL_FORWARD_AWAITING_PULSE ROLL_BACK_AWAITING_PULSE"),
            ("failed", "ROLLED_BACK ERROR FAILED"),
            ("inactive", "ROLLED_FORWARD ROLLED_BACK ABORTED ERROR FAILED"),
            ("PAUSED", "ROLL_FORWARD_PAUSED ROLL_BACK_PAUSED"),
            ("succeeded", "ROLLED_FORWARD"),
            ("ROLLING_BACK", "ROLLING_BACK"),
            ("error", "ERROR"),
        ] {
            let names: Vec<_> = group(name).unwrap().0.iter().map(|it| it.name()).collect();
            assert_eq!(names.join(" "), expected, "{name}");
        }
        assert_eq!((group("active").unwrap().0.len(), group("all").unwrap().0.len()), (6, 11));
        assert!(group("done").unwrap_err().contains("succeeded or one of ROLLING_FORWARD"));
    }

    #[test]
    fn the_columns_are_where_scripts_look_for_them() {
        assert_eq!(table(&[]), "");
        let text = table(&[("west".into(), summary(Status::RollingForward))]);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(
            lines[0],
            "JOB                                             UPDATE ID                            STATUS          CREATED BY  STARTED             LAST MODIFIED"
        );
        assert_eq!(
            lines[1],
            "west/www-data/prod/web                          6f1b1e5c-0d8a-4bb0-9d5f-6e7c2a4b8f10 ROLLING_FORWARD ada         2014-06-25T17:12:32 2014-06-25T17:13:32"
        );
    }
}
