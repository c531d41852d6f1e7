//! What the actors of a task have in common: where it is, whose it is, what it may take.

use std::{fs::File, io, os::unix::net::UnixStream, sync::Arc};

use actix::{Addr, WeakAddr};
use airglow_model::{
    config::{Ports, TaskConfig},
    ids::{TaskId, TaskKey},
    run::{Event, RunId},
    wire::Launch,
};
use tokio::sync::watch;

use crate::{
    Host,
    cgroups::{Group, Limits},
    folder::{Found, TaskFolder},
    forced,
    herd::Register,
    known::Known,
    meter::{Meter, Roots, Trees, Unwatch, Watch, reasons},
    order::{Start, Summons},
    runner::{Happened, Runner},
    sandbox::Sandbox,
};

pub(crate) struct Care {
    pub(crate) id: TaskId,
    pub(crate) folder: TaskFolder,
    task: TaskKey,
    pub(crate) known: Arc<Known>,
    meter: Addr<Meter>,
    pub(crate) runner: WeakAddr<Runner>,
    /// Closed when the runner is gone: whoever comes after it starts actors of its own.
    pub(crate) leash: watch::Receiver<()>,
    config: Arc<TaskConfig>,
    pub(crate) sandbox: Sandbox,
    group: Option<Group>,
}

/// To whom the line of a task leads.
pub(crate) enum Attached {
    To(UnixStream),
    /// There was a shepherd, and what it has left has to be seen to.
    ToNobody,
}

impl Care {
    /// Whatever is known of its user: those of its processes that are here must go on.
    pub(crate) fn new(
        launch: &Launch,
        ports: &Ports,
        folder: TaskFolder,
        (host, runner): (&Host, WeakAddr<Runner>),
        leash: watch::Receiver<()>,
    ) -> Self {
        let known = host.known.clone();
        let owner = known.owners.of(&launch.config.spec.role);
        let surroundings = (&folder, owner, known.logger.clone());
        let sandbox = Sandbox::new(launch, ports, &known.id.0, surroundings);
        let id = launch.task_id.clone();
        let group = known.cgroups.as_ref().ok().map(|it| it.of(&id));
        let config = launch.config.clone();
        let (task, meter) = (launch.task.clone(), host.meter.clone());
        Self { id, task, folder, known, meter, runner, leash, config, sandbox, group }
    }

    /// Makes all that a task needs before it can run, as far as it is not there.
    ///
    /// # Errors
    /// Why not, as users are told it.
    pub(crate) fn prepare(&self, is_attached: bool) -> Result<Option<UnixStream>, String> {
        self.sandbox.prepare(&self.config.spec.task)?;
        if is_attached {
            return Ok(None);
        }
        match self.attach() {
            Ok(Attached::To(stream)) => Ok(Some(stream)),
            // What it has left is seen to before anything is started.
            Ok(Attached::ToNobody) => Ok(None),
            Err(error) => Err(format!("Failed to initialize sandbox: {error}")),
        }
    }

    /// To the shepherd that is there, or to one that is summoned.
    pub(crate) fn attach(&self) -> io::Result<Attached> {
        match self.folder.find_shepherd()? {
            Found::Shepherd(stream) => return Ok(Attached::To(stream)),
            Found::Nobody => return Ok(Attached::ToNobody),
            Found::NobodyYet => {}
        }
        let summons = self.summons().map_err(io::Error::other)?;
        if let Ok(cgroups) = &self.known.cgroups {
            cgroups.make(&self.id, &self.limits())?;
        }
        let listener = self.folder.open_socket()?;
        self.known.zygote.summon(&summons, listener.into())?;
        match self.folder.find_shepherd()? {
            Found::Shepherd(stream) => Ok(Attached::To(stream)),
            Found::Nobody | Found::NobodyYet => Ok(Attached::ToNobody),
        }
    }

    /// # Errors
    /// Whose it would be is not known, though it may be known again by now.
    fn summons(&self) -> Result<Summons, String> {
        let role = &self.config.spec.role;
        let owner = self.sandbox.owner.clone().or_else(|_| self.known.owners.of(role))?;
        Ok(Summons {
            folder: self.folder.path().to_owned(),
            sandbox: self.sandbox.path().to_owned(),
            user: owner.credentials.clone(),
            groups: self.group.as_ref().map(Group::procs_files).unwrap_or_default(),
            memory_events: self.group.as_ref().and_then(Group::memory_events),
            namespaces: self.known.namespaces.is_ok(),
            open_files: self.known.open_files,
        })
    }

    pub(crate) fn limits(&self) -> Limits {
        let resources = &self.config.spec.task.resources;
        let bytes = |it: i64| u64::try_from(it).unwrap_or(0);
        Limits {
            cpu: resources.cpu,
            ram: bytes(resources.ram),
            pids_max: self.known.pids_max,
            is_revocable: self.config.class.revocable,
        }
    }

    pub(crate) fn start(&self, id: &RunId) -> Result<Start, String> {
        self.sandbox.start(&self.config.spec.task, id)
    }

    /// A command that looks at the task from within, and what it will say.
    pub(crate) fn look(&self, run: RunId, cmdline: &str) -> io::Result<(Start, File)> {
        self.sandbox.look(run, cmdline, self.folder.health_output())
    }

    /// Whatever of it runs. Whether it was nobody's until now, and so will never be anybody's.
    pub(crate) fn end_by_force(&self) -> bool {
        forced::end(&self.folder, self.group.as_ref())
    }

    /// When its shepherd has left.
    pub(crate) async fn vacate(&self) {
        if let Some(group) = self.group.clone() {
            let removed = self.known.workers.run(move || group.remove()).await;
            if let Err(error) = removed {
                tracing::debug!(task = %self.id, %error, "its control groups stay for now");
            }
        }
    }

    /// From now on what it takes is seen, and its runner hears if that is too much.
    pub(crate) fn watch(&self) {
        let runner = self.runner.clone();
        let told = move |message| {
            if let Some(runner) = runner.upgrade() {
                runner.do_send(Happened(vec![Event::Exceeded { message }]));
            }
        };
        self.meter.do_send(Watch {
            task_id: self.id.clone(),
            task: self.task.clone(),
            sandbox: self.sandbox.path().to_owned(),
            limits: self.limits(),
            disk: u64::try_from(self.config.spec.task.resources.disk).unwrap_or(0),
            group: self.group.clone(),
            told: Arc::new(told),
        });
    }

    pub(crate) fn unwatch(&self) {
        self.meter.do_send(Unwatch(self.id.clone()));
    }

    /// Whose descendants the task consists of.
    pub(crate) fn consists_of(&self, register: &Register) {
        let mains = register.alive().iter();
        let roots = Roots {
            shepherd: register.shepherd,
            mains: mains.map(|(id, main)| (id.process.to_string(), *main)).collect(),
        };
        self.meter.do_send(Trees { task_id: self.id.clone(), roots });
    }

    /// How many of its processes the kernel has ended for want of memory, its shepherd included.
    pub(crate) fn memory_kills(&self) -> u64 {
        self.group.as_ref().map_or(0, |it| it.usage().oom_kills)
    }

    /// As users are told it.
    pub(crate) fn out_of_memory(&self) -> String {
        let limits = self.limits();
        let peak = self.group.as_ref().and_then(|it| it.usage().ram_peak);
        reasons::out_of_memory(limits.ram, limits.memory(), peak)
    }

    /// What the task is not kept from, and other things that are not as they could be.
    pub(crate) fn notes(&self) -> Vec<String> {
        let note = match &self.sandbox.owner {
            Ok(owner) => owner.note.clone(),
            Err(why) => Some(format!("could not be started anew: {why}")),
        };
        note.into_iter().chain(self.known.notes()).collect()
    }
}
