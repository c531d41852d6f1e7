//! Version 2: one hierarchy, whose controllers are let down into it level by level.

use std::{fs, path::Path};

use super::{
    Limits, PERIOD_US,
    group::{GroupUsage, Part, Setting, number, numbers, write},
    layout::{CONTROLLERS, Controller},
};

pub(super) const SWAP: &str = "memory.swap.max";
pub(super) const MEMORY_EVENTS: &str = "memory.events";

const PASSED_ON: &str = "cgroup.subtree_control";

pub(super) fn settings(controllers: &[Controller], limits: &Limits) -> Vec<Setting> {
    let settings = |it: &Controller| match it {
        Controller::Memory if limits.ram == 0 => vec![],
        Controller::Memory => {
            vec![Setting::new("memory.max", limits.memory()), Setting::optional(SWAP, 0)]
        }
        Controller::Pids => vec![Setting::new("pids.max", limits.pids())],
        Controller::Cpu => {
            let max = |it| Setting::optional("cpu.max", format!("{it} {PERIOD_US}"));
            limits.quota_us().map(max).into_iter().chain(limits.weight().map(weight)).collect()
        }
        Controller::Cpuacct => vec![],
    };
    controllers.iter().flat_map(settings).collect()
}

/// What it gets when there is not enough for all: 100 is a core's worth.
pub(super) fn weight(cores: f64) -> Setting {
    Setting::new("cpu.weight", (cores * 100.0).round().clamp(1.0, 10_000.0))
}

pub(super) fn read(part: &Part, usage: &mut GroupUsage) {
    let file = |name: &str| part.folder.join(name);
    if part.has(Controller::Memory) {
        usage.ram = numbers(&file("memory.stat"), ["anon", "shmem"]).map(|it| it.iter().sum());
        usage.ram_peak = number(&file("memory.peak"));
        usage.oom_kills = numbers(&file(MEMORY_EVENTS), ["oom_kill"]).map_or(0, |[it]| it);
    }
    if part.has(Controller::Pids) {
        usage.pids = number(&file("pids.current"));
    }
    if part.has(Controller::Cpuacct) {
        let microseconds = numbers(&file("cpu.stat"), ["usage_usec"]);
        usage.cpu_seconds = microseconds.map(|[it]| it as f64 / 1e6);
    }
}

/// Lets what can be let down to the groups below. One by one, because one that is refused (a group
/// with members lets nothing down; another may be in use elsewhere) refuses all that it comes with.
pub(super) fn pass_on(folder: &Path, controllers: &[Controller], troubles: &mut Vec<String>) {
    let file = folder.join(PASSED_ON);
    let passed_on = listed(&file);
    let kernels = controllers.iter().filter(|it| **it != Controller::Cpuacct);
    for controller in kernels.filter(|it| !passed_on.contains(it)) {
        if let Err(error) = write(&file, &format!("+{}", controller.name())) {
            troubles.push(format!("{} in {}: {error}", controller.name(), file.display()));
        }
    }
}

/// Those of them that groups below this one have.
pub(super) fn passed_on(folder: &Path, controllers: &[Controller]) -> Vec<Controller> {
    let listed = listed(&folder.join(PASSED_ON));
    let is_there = |it: &&Controller| **it == Controller::Cpuacct || listed.contains(it);
    controllers.iter().filter(is_there).copied().collect()
}

/// The ones that a file names, of those that concern us.
pub(super) fn listed(file: &Path) -> Vec<Controller> {
    let text = fs::read_to_string(file).unwrap_or_default();
    let named = |it: &Controller| text.split_whitespace().any(|word| word == it.name());
    CONTROLLERS.into_iter().filter(named).collect()
}

/// Whether nobody is in it, or below. One that is not there is empty.
pub(super) fn is_empty(folder: &Path) -> bool {
    numbers(&folder.join("cgroup.events"), ["populated"]).is_none_or(|[it]| it == 0)
}
