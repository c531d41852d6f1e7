//! `airglow admin prune-tasks`: ended runs are forgotten before their time.

use std::io::Write;

use airglow_model::task::Status;
use airglow_web::api::Prune;

use super::{Global, Outcome, screen};

#[derive(clap::Args)]
pub(crate) struct Args {
    cluster: String,
    /// How they ended, separated by commas; however they did, if not said
    #[arg(long, value_delimiter = ',', value_parser = ended)]
    states: Vec<Status>,
    #[arg(long)]
    role: Option<String>,
    #[arg(long, visible_alias = "environment")]
    env: Option<String>,
    #[arg(long)]
    name: Option<String>,
    /// No more than this
    #[arg(long)]
    limit: Option<u64>,
}

fn ended(text: &str) -> Result<Status, String> {
    let name = text.trim().to_ascii_uppercase();
    let status: Option<Status> = serde_json::from_value(name.into()).ok();
    status
        .filter(|it| !it.is_active())
        .ok_or_else(|| "expected FINISHED, FAILED, KILLED or LOST".into())
}

pub(super) fn run(args: &Args, global: &Global) -> Outcome {
    let session = global.cluster_session(Some(&args.cluster))?;
    let pruned = session.client.prune(&Prune {
        role: args.role.clone(),
        environment: args.env.clone(),
        name: args.name.clone(),
        statuses: args.states.clone(),
        limit: args.limit,
    })?;
    if global.write_json {
        return screen::json(&pruned);
    }
    screen::aside(&format!("Forgotten: {} ended runs", pruned.pruned));
    Ok(writeln!(screen::out(), "Tasks pruned.")?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_has_ended_is_forgotten() {
        assert_eq!((ended("lost"), ended("FINISHED")), (Ok(Status::Lost), Ok(Status::Finished)));
        assert!(ended("RUNNING").is_err() && ended("x").is_err());
    }
}
