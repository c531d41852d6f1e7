//! `airglow update`: bringing jobs from one configuration to another while they run.

use airglow_model::ids::{UpdateId, UpdateKey};
use airglow_web::api::UpdateSummary;

use super::{
    Global, Outcome, Session,
    exit::{Code, Failure},
    key::FullKey,
    screen,
};

mod follow;
mod grid;
mod info;
mod list;
mod picture;
mod start;
mod steer;

#[derive(clap::Subcommand)]
pub(crate) enum Verb {
    /// Bring a running job to what a configuration file says, a few instances at a time
    ///
    /// Prints what would change first. With --dry-run that is all: it says besides which hosts
    /// would get what is new, and exits with 11 if not everything would find a place.
    Start(start::Args),
    /// Show an update: how far it has come, and what happened
    Info {
        #[arg(value_name = "CLUSTER/ROLE/ENV/NAME")]
        key: FullKey,
        /// Which update; without it, the one that is going on
        id: Option<String>,
    },
    /// List updates: those that are going on first, and the newest of the others next
    List(list::Args),
    /// Let an update begin nothing more until it is resumed
    Pause(steer::Args),
    /// Let an update go on that was paused, or paused itself after a batch
    Resume(steer::Args),
    /// End an update where it is: every instance keeps what it has
    Abort(steer::Args),
    /// Undo what an update has done so far
    Rollback(steer::RollbackArgs),
    /// Watch an update until it ends, and exit with 0 if it went well
    ///
    /// 4 says that it was rolled back, 20 that it ended in any other way.
    Wait {
        #[arg(value_name = "CLUSTER/ROLE/ENV/NAME")]
        key: FullKey,
        /// Which update; without it, the one that is going on
        id: Option<String>,
    },
    /// Tell an update that waits for pulses that all is well
    Pulse {
        #[arg(value_name = "CLUSTER/ROLE/ENV/NAME")]
        key: FullKey,
    },
}

pub(crate) fn run(verb: Verb, global: &Global) -> Outcome {
    match verb {
        Verb::Start(args) => start::run(&args, global),
        Verb::Info { key, id } => info::run(&key, id, global),
        Verb::List(args) => list::run(&args, global),
        Verb::Pause(args) => steer::run(steer::Command::Pause, &args, global),
        Verb::Resume(args) => steer::run(steer::Command::Resume, &args, global),
        Verb::Abort(args) => steer::run(steer::Command::Abort, &args, global),
        Verb::Rollback(args) => steer::roll_back(&args, global),
        Verb::Wait { key, id } => follow::run(&key, id, global),
        Verb::Pulse { key } => steer::pulse(&key, global),
    }
}

/// The update that is going on; `none` says that there is none.
fn active(session: &Session, key: &FullKey, none: &str) -> Result<UpdateSummary, Failure> {
    // The scheduler may be another cluster's.
    session.job(key)?;
    let mut updates = session.client.updates(&[("job", &key.job.to_string())])?;
    updates.retain(|it| it.active);
    let only = updates.pop().ok_or_else(|| {
        Failure::new(Code::InvalidParameter, none)
            .hint(format!("`airglow update list {key}` shows those that have ended"))
    })?;
    if updates.is_empty() {
        return Ok(only);
    }
    let message = format!("{key} has {} active updates at once", updates.len() + 1);
    Err(Failure::new(Code::Scheduler, message)
        .hint("That must not be, and is the scheduler's fault: please report it"))
}

const NO_ACTIVE: &str = "There is no active update for this job.";

/// The one that was named, or the one that is going on.
fn named(session: &Session, key: &FullKey, id: Option<String>) -> Result<UpdateKey, Failure> {
    let id = match id {
        Some(id) => UpdateId(id.into()),
        None => return Ok(key_of(&active(session, key, NO_ACTIVE)?)),
    };
    session.job(key)?;
    Ok(UpdateKey { job: key.job.clone(), id })
}

fn key_of(it: &UpdateSummary) -> UpdateKey {
    let job = airglow_model::ids::JobKey::new(&*it.role, &*it.environment, &*it.name);
    UpdateKey { job, id: UpdateId(it.id.as_str().into()) }
}

fn not_found(key: &FullKey) -> Failure {
    Failure::new(Code::InvalidParameter, "Job update not found.")
        .hint(format!("`airglow update list {key}` shows which there are"))
}

/// An update's page.
fn page(session: &Session, key: &UpdateKey) -> String {
    format!("{}/update/{key}", session.address.pages)
}
