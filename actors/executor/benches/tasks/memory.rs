//! What the processes of a rig cost: proportional set sizes, which count a page that several share
//! once in all.

use std::{collections::BTreeSet, fs};

use crate::rig::{Rig, is_shepherd, pids};

/// Bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Memory {
    /// What the users' processes take.
    pub(crate) processes: u64,
    pub(crate) shepherds: u64,
    pub(crate) agent: u64,
    pub(crate) zygote: u64,
}

impl Memory {
    /// A shepherd is whoever is the parent of a user's process; a zygote, the agent's child.
    pub(crate) fn of(rig: &Rig) -> Self {
        let agent = rig.agent.as_ref().expect("there is an agent").id().cast_signed();
        let processes: BTreeSet<_> = rig.processes().into_iter().collect();
        let zygotes: BTreeSet<_> = pids().filter(|it| parent(*it) == Some(agent)).collect();
        let shepherds: BTreeSet<_> =
            processes.iter().filter_map(|it| parent(*it)).filter(|it| is_shepherd(*it)).collect();
        let sum = |pids: &BTreeSet<i32>| pids.iter().map(|it| pss(*it)).sum();
        Self {
            processes: sum(&processes),
            shepherds: sum(&shepherds),
            agent: pss(agent),
            zygote: sum(&zygotes),
        }
    }
}

fn parent(pid: i32) -> Option<i32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse().ok()
}

fn pss(pid: i32) -> u64 {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let line = rollup.lines().find_map(|it| it.strip_prefix("Pss:"));
    let kib = line.and_then(|it| it.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}
