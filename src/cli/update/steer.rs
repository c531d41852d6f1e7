//! `airglow update pause`, `resume`, `abort`, `rollback` and `pulse`: they are meant for the update
//! that is going on, of which a job has one at most.

use std::io::Write;

use airglow_model::update::Status;
use airglow_web::api::UpdateSummary;

use super::{Failure, FullKey, Global, Outcome, Session, active, follow, key_of, screen};

#[derive(clap::Args)]
pub(crate) struct Args {
    #[arg(value_name = "CLUSTER/ROLE/ENV/NAME")]
    key: FullKey,
    /// Why, for the update's history
    #[arg(short, long)]
    message: Option<String>,
}

#[derive(clap::Args)]
pub(crate) struct RollbackArgs {
    #[command(flatten)]
    args: Args,
    /// Watch it until it ends
    #[arg(long)]
    wait: bool,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Command {
    Pause,
    Resume,
    Abort,
    Rollback,
}

impl Command {
    fn name(self) -> &'static str {
        match self {
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Abort => "abort",
            Self::Rollback => "rollback",
        }
    }

    fn done(self) -> &'static str {
        match self {
            Self::Pause => "Update has been paused.",
            Self::Resume => "Update has been resumed.",
            Self::Abort => "Update has been aborted.",
            Self::Rollback => "Update rollback has started.",
        }
    }
}

const NO_ACTIVE: &str = "No active update found for this job.";

pub(crate) fn run(command: Command, args: &Args, global: &Global) -> Outcome {
    let session = global.session(&args.key.cluster)?;
    let update = ask(&session, command, args)?;
    if global.write_json {
        return screen::json(&update);
    }
    Ok(writeln!(screen::out(), "{}", command.done())?)
}

pub(crate) fn roll_back(RollbackArgs { args, wait }: &RollbackArgs, global: &Global) -> Outcome {
    if !wait {
        return run(Command::Rollback, args, global);
    }
    let session = global.session(&args.key.cluster)?;
    let update = ask(&session, Command::Rollback, args)?;
    if !global.write_json {
        writeln!(screen::out(), "{}", Command::Rollback.done())?;
    }
    let hoped_for = Status::RolledBack;
    follow::to_its_end(&session, &args.key, &key_of(&update), hoped_for, global)
}

fn ask(session: &Session, command: Command, args: &Args) -> Result<UpdateSummary, Failure> {
    let update = active(session, &args.key, NO_ACTIVE)?;
    let asked =
        session.client.command_update(&key_of(&update), command.name(), args.message.as_deref());
    asked.map_err(|error| {
        Failure::from(error).under(&format!("Failed to {} update due to error:", command.name()))
    })
}

pub(crate) fn pulse(key: &FullKey, global: &Global) -> Outcome {
    let session = global.session(&key.cluster)?;
    let update = active(&session, key, NO_ACTIVE)?;
    let pulsed = session
        .client
        .pulse(&key_of(&update))
        .map_err(|error| Failure::from(error).under("Failed to pulse update due to error:"))?;
    if global.write_json {
        return screen::json(&pulsed);
    }
    Ok(writeln!(screen::out(), "{}", pulsed.status)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_done_is_told_as_scripts_know_it() {
        let told = [Command::Pause, Command::Resume, Command::Abort, Command::Rollback]
            .map(|it| (it.name(), it.done()));
        assert_eq!(
            told,
            [
                ("pause", "Update has been paused."),
                ("resume", "Update has been resumed."),
                ("abort", "Update has been aborted."),
                ("rollback", "Update rollback has started."),
            ]
        );
    }
}
