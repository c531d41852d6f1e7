//! How much of what there is has been taken.

use super::format;
use crate::api::{Resources, TaskUsage};

/// One kind of resource.
pub(crate) struct Share {
    pub(crate) name: &'static str,
    pub(crate) used: String,
    pub(crate) all: String,
    /// Of 100.
    pub(crate) percent: f64,
}

impl Share {
    /// How close it is to its end, as a colour; the numbers beside it say the same.
    pub(crate) fn class(&self) -> &'static str {
        match self.percent {
            ..80.0 => "used",
            80.0..95.0 => "waiting",
            _ => "failed",
        }
    }
}

/// What a task uses of what it was given.
pub(crate) fn usage(usage: &TaskUsage, given: &Resources) -> Vec<Share> {
    let bytes = |name, used: u64, mb: u64| Share {
        name,
        used: format::bytes(&used),
        all: format::megabytes(&mb),
        percent: percent(used as f64, mb as f64 * 1024.0 * 1024.0),
    };
    vec![
        Share {
            name: "CPU",
            used: format::cpu(&usage.cpu),
            all: format::cores(&given.cpu),
            percent: percent(usage.cpu, given.cpu),
        },
        bytes("Memory", usage.ram, given.ram_mb),
        bytes("Disk", usage.disk, given.disk_mb),
    ]
}

/// A kind that there is none of is left out.
pub(crate) fn shares(used: &Resources, all: &Resources) -> Vec<Share> {
    let cpu = Share {
        name: "CPU",
        used: format::number(used.cpu),
        all: format::cores(&all.cpu),
        percent: percent(used.cpu, all.cpu),
    };
    let amount = |name, used: u64, all: u64, text: fn(&u64) -> String| Share {
        name,
        used: text(&used),
        all: text(&all),
        percent: percent(used as f64, all as f64),
    };
    let shares = [
        (all.cpu > 0.0, cpu),
        (all.ram_mb > 0, amount("Memory", used.ram_mb, all.ram_mb, format::megabytes)),
        (all.disk_mb > 0, amount("Disk", used.disk_mb, all.disk_mb, format::megabytes)),
        (all.gpus > 0, amount("GPUs", used.gpus, all.gpus, u64::to_string)),
    ];
    shares.into_iter().filter(|(is_there, _)| *is_there).map(|(_, share)| share).collect()
}

fn percent(used: f64, all: f64) -> f64 {
    if all > 0.0 { (used * 100.0 / all).clamp(0.0, 100.0) } else { 0.0 }
}
