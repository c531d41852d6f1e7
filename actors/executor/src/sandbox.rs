//! The folder that a task lives in, and what its processes find around them.

use std::{
    io,
    path::{Path, PathBuf},
};

use airglow_model::{
    run::RunId,
    spec::TaskSpec,
    wire::{Launch, Stream},
};
use nix::unistd::{Uid, User};

use crate::{
    Known, RunAs,
    folder::{Order, TaskFolder, log_within_sandbox, make_folder},
    template,
};

/// What it takes to run the processes of a task.
#[derive(Clone, Debug)]
pub(crate) struct Sandbox {
    path: PathBuf,
    user: String,
    open_files: u64,
    names: template::Names,
}

impl Sandbox {
    /// # Errors
    /// Why not, as users are told it.
    pub(crate) fn of(launch: &Launch, folder: &TaskFolder, host: &Known) -> Result<Self, String> {
        let user = match host.run_as {
            RunAs::Oneself | RunAs::Role | RunAs::RoleOrOneself => own_name(),
        };
        let names = template::names(launch, &host.id.0, &user)?;
        Ok(Self { path: folder.sandbox(), user, open_files: host.open_files, names })
    }

    /// Makes the folder, unless it is there, and makes sure that every command line makes sense.
    ///
    /// # Errors
    /// Why not, as users are told it.
    pub(crate) fn prepare(&self, task: &TaskSpec) -> Result<(), String> {
        for process in &task.processes {
            template::bind(&process.cmdline, &self.names)?;
        }
        make_folder(&self.path).map_err(|why| format!("Failed to initialize sandbox: {why}"))
    }

    /// What a run's shepherd is to do; the folders for its logs exist when this returns.
    pub(crate) fn order(&self, task: &TaskSpec, id: &RunId) -> io::Result<Order> {
        let process = task.processes.iter().find(|it| *it.name == *id.process);
        let process = process.ok_or_else(|| io::Error::other("there is no such process"))?;
        let log = |stream| self.path.join(log_within_sandbox(&id.process, id.run, stream));
        let order = Order {
            cmdline: template::bind(&process.cmdline, &self.names).map_err(io::Error::other)?,
            sandbox: self.path.clone(),
            environment: self.environment(),
            open_files: self.open_files,
            stdout: log(Stream::Stdout),
            stderr: log(Stream::Stderr),
        };
        make_folder(order.stdout.parent().unwrap_or(&self.path))?;
        Ok(order)
    }

    /// All of it. A process that wants more has an earlier one write `.thermos_profile`.
    fn environment(&self) -> Vec<(String, String)> {
        let path = std::env::var("PATH");
        let profile = self.path.join(".thermos_profile");
        let text = |it: &Path| it.display().to_string();
        let usual = [
            ("HOME", text(&self.path)),
            ("LOGNAME", self.user.clone()),
            ("USER", self.user.clone()),
            ("PATH", path.unwrap_or_else(|_| "/usr/local/bin:/usr/bin:/bin".to_owned())),
        ];
        let profile = profile.exists().then(|| ("BASH_ENV", text(&profile)));
        usual.into_iter().chain(profile).map(|(name, it)| (name.to_owned(), it)).collect()
    }
}

fn own_name() -> String {
    let uid = Uid::effective();
    User::from_uid(uid).ok().flatten().map_or_else(|| uid.to_string(), |it| it.name)
}
