//! The agent that a test starts: an executor and nothing else, with the settings that it is given.

use std::{ffi::OsString, path::PathBuf, process::ExitCode, time::Duration};

use airglow_executor::{Config, Credentials, Executor, Isolation, RunAs};
use airglow_kit::identity::Identity;
use airglow_model::{
    resources::Attributes, retention::Retention, spec::LoggerSpec, wire::Capacity,
};
use serde::{Deserialize, Serialize};

/// What the program is called with to be one.
pub(crate) const AGENT: &str = "agent";

/// What tests want to be different.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Settings {
    pub(crate) cgroups: bool,
    pub(crate) namespaces: bool,
    pub(crate) pids_max: u64,
    /// Whether tasks are their roles' users', rather than the agent's own.
    pub(crate) roles: bool,
    /// How many tasks that are over are kept to be looked at.
    pub(crate) kept: usize,
    /// How long tasks go on without a scheduler.
    pub(crate) isolated_max_ms: Option<u64>,
}

impl Settings {
    /// Whatever the machine allows.
    pub(crate) const ISOLATED: Self = Self {
        cgroups: true,
        namespaces: true,
        pids_max: 4096,
        roles: false,
        kept: 10_000,
        isolated_max_ms: None,
    };
    pub(crate) const BARE: Self = Self { cgroups: false, namespaces: false, ..Self::ISOLATED };
}

/// `agent DATA SCHEDULER SETTINGS`, until it is killed, cannot go on, or is told to end: SIGTERM.
/// But for the first it ends its tasks as well.
pub(crate) fn main(mut arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let mut argument = || arguments.next().expect("an argument").into_string().expect("plain text");
    let data = PathBuf::from(argument());
    let scheduler = argument().parse().expect("an address");
    let settings: Settings = serde_json::from_str(&argument()).expect("settings");
    let Settings { cgroups, namespaces, pids_max, roles, kept, isolated_max_ms } = settings;
    let config = Config {
        host: "h".into(),
        attributes: Attributes::new(),
        capacity: Some(Capacity::default()),
        cluster: None,
        sought: None,
        isolated_max: isolated_max_ms.map(Duration::from_millis),
        schedulers: vec![scheduler],
        credentials: Credentials {
            identity: Identity::load(&data).expect("an identity").expect("an identity"),
            machine: "m".into(),
            kept: None,
            token: None,
        },
        binary: std::env::current_exe().expect("this program is somewhere"),
        run_as: if roles { RunAs::Role } else { RunAs::Oneself },
        isolation: Isolation { cgroups, namespaces, pids_max },
        logger: LoggerSpec::default(),
        // However full the disk of whoever tests is.
        retention: Retention { age_max: Duration::MAX, count_max: kept, free_min: 0.0 },
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
