//! What one instance runs, and what it takes.

use std::collections::BTreeMap;

use super::{Complaints, Limits, invalid_name};
use crate::{
    ids::is_identifier,
    plan::Plan,
    resources::Resources,
    spec::{LoggerSpec, ProcessSpec, ResourceSpec, TaskSpec},
};

const MB: i64 = 1024 * 1024;

impl Complaints {
    pub(super) fn processes(&mut self, task: &TaskSpec) {
        if task.processes.is_empty() {
            self.add("/task/processes", "Processes required for task");
        }
        if task.name.is_empty() {
            self.add("/task/name", "A task has a name");
        }
        if let Some(user) = task.user.as_ref().filter(|it| !is_identifier(it)) {
            self.add("/task/user", invalid_name(user));
        }
        self.not_negative("/task/max_failures", task.max_failures);
        self.not_negative("/task/max_concurrency", task.max_concurrency);
        self.seconds("/task/finalization_wait", task.finalization_wait);
        for (i, process) in task.processes.iter().enumerate() {
            self.process(&format!("/task/processes/{i}"), process);
        }
        self.plans(task);
    }

    fn process(&mut self, at: &str, process: &ProcessSpec) {
        if !is_process_name(&process.name) {
            let detail =
                format!("Task has invalid process: Invalid process name: {}", process.name);
            self.add(format!("{at}/name"), detail);
        }
        // It would end the command early, wherever a command is handed to the system.
        if process.cmdline.contains('\0') {
            self.add(format!("{at}/cmdline"), "A command line has no NUL characters");
        }
        self.not_negative(format!("{at}/max_failures"), process.max_failures);
        self.seconds(format!("{at}/min_duration"), process.min_duration);
        if let Some(logger) = &process.logger {
            self.logger(&format!("{at}/logger"), logger);
        }
    }

    fn logger(&mut self, at: &str, logger: &LoggerSpec) {
        let LoggerSpec { destination, mode, rotate } = logger;
        if !["file", "console", "both", "none"].contains(&destination.as_str()) {
            let detail = format!("Expected file, console, both or none, got {destination}");
            self.add(format!("{at}/destination"), detail);
        }
        if !["standard", "rotate"].contains(&mode.as_str()) {
            self.add(format!("{at}/mode"), format!("Expected standard or rotate, got {mode}"));
        }
        if let Some(rotate) = rotate {
            if rotate.log_size <= 0 {
                let detail = format!("Must be positive, got {}", rotate.log_size);
                self.add(format!("{at}/rotate/log_size"), detail);
            }
            self.not_negative(format!("{at}/rotate/backups"), rotate.backups);
        }
    }

    /// The regular processes and the final ones have a plan each. There is no order among
    /// processes that cannot be told apart, so names come first.
    fn plans(&mut self, task: &TaskSpec) {
        let mut names: BTreeMap<&str, usize> = BTreeMap::new();
        let mut unique = true;
        for (i, process) in task.processes.iter().enumerate() {
            if let Some(first) = names.insert(&process.name, i) {
                let detail = format!("Process {first} has the name {} already", process.name);
                self.add(format!("/task/processes/{i}/name"), detail);
                unique = false;
            }
        }
        let (last, regular): (Vec<_>, Vec<_>) =
            task.processes.iter().cloned().partition(|it| it.is_final);
        for processes in [regular, last].iter().filter(|_| unique) {
            if let Err(error) = Plan::new(processes, &task.constraints) {
                self.add("/task/constraints", format!("Task has invalid plan: {error}"));
            }
        }
    }

    pub(super) fn resources(&mut self, written: &ResourceSpec, limits: &Limits) -> Resources {
        let ResourceSpec { cpu, ram, disk, gpu } = *written;
        let resources = Resources {
            cpu_milli: milli(cpu),
            ram_mb: u64::try_from(ram / MB).unwrap_or(0),
            disk_mb: u64::try_from(disk / MB).unwrap_or(0),
            gpus: u64::try_from(gpu).unwrap_or(0),
        };
        let too_small: Vec<&str> =
            [("cpu", resources.cpu_milli), ("ram", resources.ram_mb), ("disk", resources.disk_mb)]
                .iter()
                .filter(|(_, amount)| *amount == 0)
                .map(|(name, _)| *name)
                .collect();
        let detail = if ram == 0 || disk == 0 {
            format!("Must specify ram and disk resources, got ram:{ram} disk:{disk}")
        } else {
            let (ram_mb, disk_mb) = (ram.div_euclid(MB), disk.div_euclid(MB));
            format!(
                "Task has invalid resources.  cpu/ramMb/diskMb must all be positive: \
                 cpu:{cpu:?} ramMb:{ram_mb} diskMb:{disk_mb}"
            )
        };
        for name in too_small {
            self.add(format!("/task/resources/{name}"), &*detail);
        }
        self.not_negative("/task/resources/gpu", gpu);
        if 0 < gpu && !limits.gpus_allowed {
            self.add("/task/resources/gpu", "This cluster does not give out GPUs");
        }
        resources
    }

    fn seconds(&mut self, pointer: impl Into<String>, value: i64) {
        const YEAR: i64 = 365 * 24 * 60 * 60;
        if value > YEAR {
            return self.add(pointer, format!("Expected at most {YEAR} seconds, got {value}"));
        }
        self.not_negative(pointer, value);
    }

    pub(super) fn not_negative(&mut self, pointer: impl Into<String>, value: i64) {
        if value < 0 {
            self.add(pointer, format!("Value cannot be less than 0, got {value}"));
        }
    }
}

/// It is the name of a folder, with a run's number after it for another, and it is not hidden.
fn is_process_name(name: &str) -> bool {
    let first = name.chars().next();
    let legal = |c: char| c != '/' && !c.is_control();
    first.is_some_and(|it| it != '.') && name.chars().all(legal) && name.len() <= 240
}

/// Cores in thousandths. What is no number of cores is none.
fn milli(cores: f64) -> u64 {
    const MOST: f64 = 1_000_000.0;
    if !(0.0..=MOST).contains(&cores) {
        return 0;
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is in between")]
    let milli = (cores * 1000.0).round() as u64;
    milli
}
