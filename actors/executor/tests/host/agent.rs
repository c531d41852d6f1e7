//! The agent that a test starts: an executor and nothing else.

use std::{ffi::OsString, path::PathBuf, process::ExitCode};

use airglow_executor::{Config, Executor, Isolation, RunAs};
use airglow_kit::identity::Identity;
use airglow_model::{
    resources::Attributes, retention::Retention, spec::LoggerSpec, wire::Capacity,
};

/// What the program is called with to be one.
pub(crate) const AGENT: &str = "agent";

/// Modes: what the machine allows, nothing of it, and tasks that are their roles' users'.
pub(crate) const ISOLATED: &str = "isolated";
pub(crate) const BARE: &str = "bare";
pub(crate) const ROLES: &str = "roles";

/// `agent DATA SCHEDULER MODE`, until it is killed, cannot go on, or is told to end: SIGTERM. But for the
/// first it ends its tasks as well.
pub(crate) fn main(mut arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let data = PathBuf::from(arguments.next().expect("a folder"));
    let scheduler = arguments.next().expect("an address").into_string().expect("plain text");
    let mode = arguments.next().expect("a mode");
    let is_isolated = mode != BARE;
    let config = Config {
        host: "h".into(),
        attributes: Attributes::new(),
        capacity: Some(Capacity::default()),
        schedulers: vec![scheduler.parse().expect("an address")],
        identity: Identity::load(&data).expect("an identity").expect("an identity"),
        binary: std::env::current_exe().expect("this program is somewhere"),
        run_as: if mode == ROLES { RunAs::Role } else { RunAs::Oneself },
        isolation: Isolation { cgroups: is_isolated, namespaces: is_isolated, pids_max: 4096 },
        logger: LoggerSpec::default(),
        // However full the disk of whoever tests is.
        retention: Retention { free_min: 0.0, ..Retention::default() },
        data,
    };
    actix_rt::System::new().block_on(async {
        let mut executor = Executor::start(config).expect("the executor starts");
        let kind = tokio::signal::unix::SignalKind::terminate();
        let mut told_to_end = tokio::signal::unix::signal(kind).expect("signals can be heard");
        tokio::select! {
            _ = told_to_end.recv() => {}
            _ = executor.gave_up() => {}
        }
        executor.stop(false).await;
    });
    ExitCode::SUCCESS
}
