//! The folder that a task lives in, and what its processes find around them.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::Arc,
};

use airglow_model::{
    config::Ports,
    run::RunId,
    spec::{LoggerSpec, ProcessSpec, RotatePolicy, TaskSpec},
    wire::{Launch, Stream},
};
use nix::unistd::{Gid, Uid, chown, fchown};

use crate::{
    folder::{PRIVATE, TaskFolder, console_within_sandbox, log_within_sandbox, make_folder},
    order::{Output, Rotate, Start},
    owner::Owner,
    template,
};

/// What it takes to run the processes of a task.
#[derive(Clone, Debug)]
pub(crate) struct Sandbox {
    path: PathBuf,
    /// Whose it is, by name.
    pub(crate) user: String,
    /// Or why nobody knows more of that one. Who became the user long ago needs nothing more.
    pub(crate) owner: Result<Arc<Owner>, String>,
    names: template::Names,
    /// For processes that do not say themselves what becomes of their output.
    logger: Arc<LoggerSpec>,
}

impl Sandbox {
    pub(crate) fn new(
        launch: &Launch,
        ports: &Ports,
        host: &str,
        (folder, owner, logger): (&TaskFolder, Result<Arc<Owner>, String>, Arc<LoggerSpec>),
    ) -> Self {
        let role = &launch.config.spec.role;
        let user = owner.as_ref().map_or(role, |it| &it.name).clone();
        let names = template::names(launch, ports, host, &user);
        Self { path: folder.sandbox(), user, owner, names, logger }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Makes the folder, unless it is there, and makes sure that every command line makes sense.
    ///
    /// # Errors
    /// Why not, as users are told it.
    pub(crate) fn prepare(&self, task: &TaskSpec) -> Result<(), String> {
        let owner = self.owner.as_ref().map_err(String::clone)?;
        for process in &task.processes {
            self.bind(&process.cmdline)?;
        }
        let failed = |why: io::Error| format!("Failed to initialize sandbox: {why}");
        make_folder(&self.path, PRIVATE).map_err(failed)?;
        // Before anybody but us could put something in its place.
        let Some(user) = &owner.credentials else { return Ok(()) };
        let (uid, gid) = (Uid::from_raw(user.uid), Gid::from_raw(user.gid));
        chown(&self.path, Some(uid), Some(gid)).map_err(|it| failed(it.into()))
    }

    /// How a run is to be started.
    ///
    /// # Errors
    /// Why it cannot be, as users are told it.
    pub(crate) fn start(&self, task: &TaskSpec, id: &RunId) -> Result<Start, String> {
        let process = task.processes.iter().find(|it| *it.name == *id.process);
        let process = process.ok_or("there is no such process")?;
        Ok(Start {
            run: id.clone(),
            cmdline: self.bind(&process.cmdline)?,
            environment: self.environment(),
            stdout: self.output(process, id, Stream::Stdout),
            stderr: self.output(process, id, Stream::Stderr),
        })
    }

    /// A command that looks at the task from within, and from where what it says can be read.
    pub(crate) fn look(
        &self,
        run: RunId,
        cmdline: &str,
        output: PathBuf,
    ) -> io::Result<(Start, File)> {
        // One that was too slow may still be talking into the file that was here.
        match fs::remove_file(&output) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create_new(true).mode(0o600).open(&output)?;
        // The sandbox is its shepherd's, and has been since nobody but us could change that.
        let user = self.path.metadata()?.uid();
        if user != Uid::effective().as_raw() {
            fchown(&file, Some(Uid::from_raw(user)), None)?;
        }
        let to_file = || Output { file: Some(output.clone()), rotate: None, console: None };
        let start = Start {
            run,
            cmdline: cmdline.to_owned(),
            environment: self.environment(),
            stdout: to_file(),
            stderr: to_file(),
        };
        Ok((start, file))
    }

    pub(crate) fn bind(&self, text: &str) -> Result<String, String> {
        template::bind(text, &self.names)
    }

    fn output(&self, process: &ProcessSpec, id: &RunId, stream: Stream) -> Output {
        let logger = process.logger.as_ref().unwrap_or(&self.logger);
        let (is_file, is_console) = match logger.destination.as_str() {
            "console" => (false, true),
            "both" => (true, true),
            "none" => (false, false),
            _ => (true, false),
        };
        let log = || self.path.join(log_within_sandbox(&id.process, id.run, stream));
        let console = || self.path.join(console_within_sandbox(stream));
        Output {
            file: is_file.then(log),
            rotate: (logger.mode == "rotate").then(|| rotate(logger.rotate.as_ref())),
            console: is_console.then(console),
        }
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

/// Whoever submitted it was told of numbers that make no sense.
fn rotate(policy: Option<&RotatePolicy>) -> Rotate {
    let usual = RotatePolicy::default();
    let RotatePolicy { log_size, backups } = policy.unwrap_or(&usual);
    Rotate {
        size: u64::try_from(*log_size).unwrap_or(0).max(1),
        backups: u32::try_from((*backups).max(1)).unwrap_or(u32::MAX),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn sandbox(path: &Path, logger: &str) -> Sandbox {
        Sandbox {
            path: path.into(),
            user: "me".into(),
            owner: Err("nobody knows me".into()),
            names: template::Names::new(),
            logger: Arc::new(serde_json::from_str(logger).unwrap()),
        }
    }

    fn output(process: &str, default: &str) -> Output {
        let sandbox = sandbox(Path::new("/s"), default);
        let process = format!(r#"{{ "name": "p", "cmdline": "" {process} }}"#);
        let process = serde_json::from_str(&process).unwrap();
        sandbox.output(&process, &RunId { process: "p".into(), run: 2 }, Stream::Stderr)
    }

    #[test]
    fn output_goes_where_the_process_wants_it_or_else_where_the_host_does() {
        let file = || Some(PathBuf::from("/s/.logs/p/2/stderr"));
        let console = || Some(PathBuf::from("/s/.console/stderr"));
        let standard = |file, console| Output { file, rotate: None, console };
        assert_eq!(output("", "{}"), standard(file(), None));
        assert_eq!(output("", r#"{ "destination": "console" }"#), standard(None, console()));
        let own = r#", "logger": { "destination": "both" }"#;
        assert_eq!(output(own, r#"{ "destination": "none" }"#), standard(file(), console()));
        assert_eq!(output("", r#"{ "destination": "none" }"#), standard(None, None));
        let usual = Rotate { size: 100 * 1024 * 1024, backups: 5 };
        assert_eq!(output("", r#"{ "mode": "rotate" }"#).rotate, Some(usual));
        let own = r#", "logger": { "mode": "rotate", "rotate": { "log_size": 7, "backups": 2 } }"#;
        assert_eq!(output(own, "{}").rotate, Some(Rotate { size: 7, backups: 2 }));
    }

    #[test]
    fn a_look_that_does_not_end_is_not_heard_in_the_next_one() {
        let folder = tempfile::tempdir().unwrap();
        let (sandbox, output) = (sandbox(folder.path(), "{}"), folder.path().join("health.out"));
        let look = |run| {
            let run = RunId { process: ".health".into(), run };
            let (start, file) = sandbox.look(run, "", output.clone()).unwrap();
            let voice = OpenOptions::new().append(true).open(start.stdout.file.unwrap()).unwrap();
            (file, voice)
        };
        let looks = [look(0), look(1)];
        for ((_, voice), text) in looks.iter().zip(["old", "new"]) {
            let mut voice = voice;
            voice.write_all(text.as_bytes()).unwrap();
        }
        let heard = looks.map(|(file, _)| io::read_to_string(file).unwrap());
        assert_eq!(heard, ["old", "new"]);
        assert_eq!(fs::read_to_string(output).unwrap(), "new");
    }
}
