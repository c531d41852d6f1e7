//! Version 1: a hierarchy for each controller, or for some of them together.

use super::{
    Limits,
    group::{GroupUsage, Part, Setting, number, numbers},
    layout::Controller,
};

pub(super) const SWAP: &str = "memory.memsw.limit_in_bytes";
pub(super) const MEMORY_EVENTS: &str = "memory.oom_control";

/// In this order: there may not be less memory with swap than without.
pub(super) fn settings(controllers: &[Controller], limits: &Limits) -> Vec<Setting> {
    let settings = |it: &Controller| match it {
        Controller::Memory if limits.ram == 0 => vec![],
        Controller::Memory => vec![
            Setting::new("memory.limit_in_bytes", limits.memory()),
            // Memory and swap together, so no swap at all.
            Setting::optional(SWAP, limits.memory()),
        ],
        Controller::Pids => vec![Setting::new("pids.max", limits.pids())],
        Controller::Cpu => {
            // Per `cpu.cfs_period_us`, which nobody changes.
            let quota = limits.quota_us().map(|it| Setting::optional("cpu.cfs_quota_us", it));
            quota.into_iter().chain(limits.weight().map(share)).collect()
        }
        Controller::Cpuacct => vec![],
    };
    controllers.iter().flat_map(settings).collect()
}

/// What it gets when there is not enough for all: 1024 is a core's worth.
pub(super) fn share(cores: f64) -> Setting {
    Setting::new("cpu.shares", (cores * 1024.0).round().clamp(2.0, 262_144.0))
}

pub(super) fn read(part: &Part, usage: &mut GroupUsage) {
    let file = |name: &str| part.folder.join(name);
    if part.has(Controller::Memory) {
        let words = ["total_rss", "total_shmem"];
        usage.ram = numbers(&file("memory.stat"), words).map(|it| it.iter().sum());
        usage.ram_peak = number(&file("memory.max_usage_in_bytes"));
        usage.oom_kills = numbers(&file(MEMORY_EVENTS), ["oom_kill"]).map_or(0, |[it]| it);
    }
    if part.has(Controller::Pids) {
        usage.pids = number(&file("pids.current"));
    }
    if part.has(Controller::Cpuacct) {
        let nanoseconds = number(&file("cpuacct.usage"));
        usage.cpu_seconds = nanoseconds.map(|it| it as f64 / 1e9);
    }
}
