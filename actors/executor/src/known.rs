//! What all actors of a host need to know, and never changes.

use std::{path::PathBuf, sync::Arc};

use airglow_model::{
    ids::{HostId, TaskId},
    resources::Attributes,
    retention::Retention,
    spec::LoggerSpec,
    wire::{Capacity, TaskView},
};

use crate::{
    Isolation, RunAs, StartError,
    cgroups::Cgroups,
    folder::{self, Tasks},
    forced,
    meter::{Metrics, Usages},
    owner::Owners,
    probe,
    workers::Workers,
    zygote::Zygote,
};

/// Of what it is made.
pub(crate) struct Settings {
    pub(crate) data: PathBuf,
    pub(crate) host: HostId,
    pub(crate) attributes: Attributes,
    pub(crate) capacity: Option<Capacity>,
    pub(crate) binary: PathBuf,
    pub(crate) run_as: RunAs,
    pub(crate) isolation: Isolation,
    pub(crate) logger: LoggerSpec,
    pub(crate) retention: Retention,
}

pub(crate) struct Known {
    pub(crate) id: HostId,
    pub(crate) attributes: Attributes,
    pub(crate) capacity: Capacity,
    pub(crate) data: PathBuf,
    pub(crate) tasks: Tasks,
    pub(crate) owners: Owners,
    pub(crate) logger: Arc<LoggerSpec>,
    pub(crate) retention: Retention,
    pub(crate) zygote: Zygote,
    /// Why there are none, if there are none.
    pub(crate) cgroups: Result<Cgroups, String>,
    pub(crate) namespaces: Result<(), String>,
    pub(crate) pids_max: u64,
    pub(crate) usages: Usages,
    pub(crate) metrics: Metrics,
    pub(crate) workers: Workers,
    /// How many files a process may have open.
    pub(crate) open_files: u64,
}

impl Known {
    pub(crate) fn new(settings: Settings) -> Result<Self, StartError> {
        let (data, isolation) = (&settings.data, settings.isolation);
        let unusable = |source| StartError::Data { path: data.clone(), source };
        let tasks = Tasks::below(data).map_err(unusable)?;
        if settings.run_as != RunAs::Oneself {
            for folder in [data, tasks.path()] {
                folder::open_passage(folder).map_err(unusable)?;
            }
        }
        let capacity = match settings.capacity {
            Some(capacity) => capacity,
            None => probe::capacity(data).map_err(StartError::Probe)?,
        };
        let workers = Workers::start().map_err(StartError::Threads)?;
        // Whoever is started from now on has as many files open as we may.
        let open_files = probe::raise_open_files().map_err(StartError::Probe)?;
        let (zygote, abilities) = Zygote::start(&settings.binary).map_err(StartError::Zygote)?;
        let unwanted = || "they are not wanted".to_owned();
        let cgroups = if isolation.cgroups { Cgroups::find(data) } else { Err(unwanted()) };
        let namespaces = match (isolation.namespaces, abilities.namespaces) {
            (false, _) => Err(unwanted()),
            (true, true) => Ok(()),
            (true, false) => Err(abilities.why),
        };
        let owners = Owners::new(settings.run_as, tasks.path());
        let pids_max = isolation.pids_max;
        let usages = Usages::default();
        let metrics = Metrics::new(usages.clone(), data);
        let known = Self {
            id: settings.host,
            attributes: settings.attributes,
            capacity,
            tasks,
            owners,
            logger: Arc::new(settings.logger),
            retention: settings.retention,
            zygote,
            cgroups,
            namespaces,
            pids_max,
            usages,
            metrics,
            workers,
            open_files,
            data: settings.data,
        };
        for note in known.notes() {
            tracing::warn!(note, "tasks are not kept apart as they could be");
        }
        Ok(known)
    }

    /// What no task is kept from here.
    pub(crate) fn notes(&self) -> Vec<String> {
        let groups = match &self.cgroups {
            Ok(cgroups) => cgroups.unenforced(),
            Err(why) => {
                vec![format!("memory, processor time and processes are not limited: {why}")]
            }
        };
        let namespaces = self.namespaces.as_ref().err();
        let namespaces = namespaces.map(|why| format!("has no namespaces of its own: {why}"));
        groups.into_iter().chain(namespaces).collect()
    }

    /// Adds what was measured of the task to what is shown of it.
    pub(crate) fn measured(&self, id: &TaskId, view: &mut TaskView) {
        let Some((usage, mut processes)) = self.usages.of(id) else { return };
        view.usage = Some(usage);
        for process in &mut view.processes {
            process.usage = processes.remove(&process.name);
        }
    }

    /// Ends and forgets what control groups earlier lives left of tasks that nobody knows any more.
    pub(crate) fn sweep(&self, alive: impl Iterator<Item = TaskId>) {
        if let Ok(cgroups) = &self.cgroups {
            cgroups.sweep(&alive.collect());
        }
    }

    /// Tries again to remove control groups of tasks that are over, which may have been in use.
    pub(crate) fn tidy_groups(&self) {
        let is_alive = |id: &TaskId| self.tasks.task(id).is_some_and(|it| it.is_in_use());
        if let Ok(cgroups) = &self.cgroups {
            cgroups.tidy(is_alive);
        }
    }

    /// Whatever of the task still runs. Looks through all processes of the machine, which takes a
    /// while.
    pub(crate) fn end_by_force(&self, id: &TaskId) -> impl Future<Output = ()> + 'static {
        let group = self.cgroups.as_ref().ok().map(|it| it.of(id));
        let folder = self.tasks.task(id);
        self.workers.run(move || {
            if let Some(folder) = folder {
                forced::end(&folder, group.as_ref());
            }
        })
    }
}
