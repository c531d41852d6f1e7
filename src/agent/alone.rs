//! One task without any cluster, on a thread of its own.

use std::{path::PathBuf, sync::mpsc, time::Duration};

use airglow_executor::{Alone, AloneConfig, Isolation, Progress, RunAs};
use airglow_model::{spec::LoggerSpec, wire::Launch};
use anyhow::{Context, Result};
use tokio::sync::{mpsc as channel, watch};

use super::{binary, foreground::Foreground, settings};

pub(crate) struct SoloOptions {
    pub(crate) data: PathBuf,
    pub(crate) run_as: RunAs,
    pub(crate) launch: Launch,
}

struct Kill {
    message: String,
    /// How long it may take; as long as the task wants it to, if nothing is said.
    within: Option<Duration>,
}

/// A task that runs in this process, or rather in the processes that this one started.
pub(crate) struct Solo {
    progress: watch::Receiver<Progress>,
    /// Closed when all is to be over, and dropped before what it ends: whatever happens to whoever
    /// started it, nothing is left running.
    kill: Option<channel::UnboundedSender<Kill>>,
    foreground: Foreground,
}

impl Solo {
    /// Comes back when the task is on its way.
    pub(crate) fn start(options: SoloOptions) -> Result<Self> {
        let (kill, killed) = channel::unbounded_channel();
        let (foreground, progress) =
            Foreground::start("airglow-run", "the task was not started", |ready| {
                live(options, ready, killed)
            })?;
        Ok(Self { progress, kill: Some(kill), foreground })
    }

    pub(crate) fn progress(&self) -> Progress {
        self.progress.borrow().clone()
    }

    /// How often the user asked for the end with Ctrl-C, or somebody else with SIGTERM.
    pub(crate) fn interrupts(&self) -> u32 {
        self.foreground.interrupts()
    }

    /// It cannot go on; [`Solo::stop`] says why.
    pub(crate) fn has_ended(&self) -> bool {
        self.foreground.has_ended()
    }

    /// Ends it as its configuration has it, or within that time.
    pub(crate) fn kill(&self, message: &str, within: Option<Duration>) {
        if let Some(kill) = &self.kill {
            // Whoever does not listen any more has ended.
            kill.send(Kill { message: message.to_owned(), within }).ok();
        }
    }

    /// Ends it by force if it is not over. Blocks until no process of it is left.
    pub(crate) fn stop(&mut self) -> Result<()> {
        drop(self.kill.take());
        self.foreground.join()
    }
}

async fn live(
    options: SoloOptions,
    ready: mpsc::Sender<watch::Receiver<Progress>>,
    mut killed: channel::UnboundedReceiver<Kill>,
) -> Result<()> {
    let SoloOptions { data, run_as, launch } = options;
    let alone = Alone::start(AloneConfig {
        data,
        host: settings::host_name()?,
        binary: binary()?,
        run_as,
        isolation: Isolation::default(),
        logger: LoggerSpec::default(),
    })?;
    let task_id = launch.task_id.clone();
    ready.send(alone.launch(launch)).context("nobody waits for the task")?;
    drop(ready);
    while let Some(Kill { message, within }) = killed.recv().await {
        match within {
            None => alone.kill(&task_id, &message),
            Some(within) => alone.kill_within(&task_id, &message, within),
        }
    }
    alone.stop().await;
    Ok(())
}
