//! A one-machine cluster in the foreground, which leaves nothing running when it ends.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    sync::mpsc,
    time::Duration,
};

use airglow_executor::{Isolation, RunAs};
use airglow_kit::now;
use airglow_model::{
    ids::JobKey, resources::Attributes, retention::Retention, spec::LoggerSpec, view::View,
};
use airglow_scheduler::Scheduler;
use anyhow::{Context, Result};
use tokio::sync::oneshot;

use super::{Deciding, Settings, broken, foreground::Foreground, settings, start_executor};

/// How long tasks get to end by themselves before what is left of them is killed.
const GRACE: Duration = Duration::from_secs(90);

/// Whoever tries a file has not made users for its roles.
const RUN_AS: RunAs = RunAs::RoleOrOneself;

#[derive(Debug)]
pub(crate) struct DevOptions {
    pub(crate) data: PathBuf,
    pub(crate) cluster: String,
    /// API and pages here, the mesh on the next one. 0: any two that are free.
    pub(crate) port: u16,
}

/// A cluster that runs in this process, on threads of its own.
pub(crate) struct Dev {
    uri: String,
    notes: Vec<String>,
    /// Dropped before what it ends: whatever happens to whoever started it, nothing is left running.
    stop: Option<oneshot::Sender<()>>,
    foreground: Foreground,
}

impl Dev {
    /// Comes back when requests can be made.
    pub(crate) fn start(options: DevOptions) -> Result<Self> {
        let (stop, stopped) = oneshot::channel();
        let (foreground, (api, notes)) =
            Foreground::start("airglow-dev", "the cluster did not start", |ready| async move {
                live(&options, ready, stopped).await
            })?;
        Ok(Self { uri: format!("http://{api}"), notes, stop: Some(stop), foreground })
    }

    /// Of the API and the pages.
    pub(crate) fn uri(&self) -> &str {
        &self.uri
    }

    /// Whose a task's processes are, and what they are not kept from: a sentence each.
    pub(crate) fn notes(&self) -> Vec<String> {
        let unkept = self.notes.iter().map(|it| format!("Isolation: {it}"));
        std::iter::once(super::tasks_run_as(RUN_AS)).chain(unkept).collect()
    }

    /// How often the user asked for the end with Ctrl-C, or somebody else with SIGTERM.
    pub(crate) fn interrupts(&self) -> u32 {
        self.foreground.interrupts()
    }

    /// It cannot go on; [`Dev::stop`] says why.
    pub(crate) fn has_ended(&self) -> bool {
        self.foreground.has_ended()
    }

    /// Ends every task, and then the cluster. Blocks until no process of a task is left.
    pub(crate) fn stop(mut self) -> Result<()> {
        drop(self.stop.take());
        self.foreground.join()
    }
}

async fn live(
    options: &DevOptions,
    ready: mpsc::Sender<(SocketAddr, Vec<String>)>,
    stopped: oneshot::Receiver<()>,
) -> Result<()> {
    let settings = settings_for(options)?;
    let deciding = Deciding::start(&settings).await?;
    let mut executor =
        start_executor(&settings, deciding.credentials(&settings)?, vec![deciding.mesh()])?;
    ready.send((deciding.api, executor.notes())).context("nobody waits for the cluster")?;
    drop(ready);
    let ended = tokio::select! {
        why = broken(Some(&deciding), &mut executor) => Err(why),
        _ = stopped => {
            end_all_tasks(&deciding.scheduler).await;
            Ok(())
        }
    };
    executor.stop(false).await;
    deciding.stop().await;
    ended
}

fn settings_for(options: &DevOptions) -> Result<Settings> {
    let mesh_port = if options.port == 0 { 0 } else { options.port + 1 };
    let loopback = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    Ok(Settings {
        scheduler: true,
        data: options.data.clone(),
        cluster: options.cluster.clone(),
        belongs_to: Some(options.cluster.clone()),
        host: settings::host_name()?,
        api: loopback(options.port),
        mesh: loopback(mesh_port),
        discovery: false,
        isolated_max: None,
        protection: settings::Protection::default(),
        join: None,
        token: None,
        attributes: Attributes::new(),
        capacity: None,
        run_as: RUN_AS,
        isolation: Isolation::default(),
        logger: LoggerSpec::default(),
        retention: Retention::default(),
        rules: settings::Rules::usual(&options.cluster),
    })
}

/// Gracefully, as each task's configuration has it; the executor ends what is left after that.
async fn end_all_tasks(scheduler: &Scheduler) {
    let active = || scheduler.view().read(active_jobs);
    let give_up_at = now() + GRACE;
    for job in active() {
        // A job that ended meanwhile is what was wanted.
        if let Err(refusal) = scheduler.kill(&job, None, "The cluster is shutting down.").await {
            tracing::debug!(%job, %refusal, "not killed");
        }
    }
    while !active().is_empty() && now() < give_up_at {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn active_jobs(view: &View) -> Vec<JobKey> {
    let active = view.jobs.iter().filter(|(_, job)| job.is_active());
    active.map(|(key, _)| key.clone()).collect()
}
