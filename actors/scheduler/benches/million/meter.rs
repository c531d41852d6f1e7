//! What it has cost so far: time, both processes' processor time, the scheduler's memory.

use std::{
    fmt, fs,
    time::{Duration, Instant},
};

#[derive(Clone, Copy)]
pub(crate) struct Meter {
    at: Instant,
    scheduler: Duration,
    hosts: Duration,
    memory: u64,
}

pub(crate) struct Cost {
    wall: Duration,
    scheduler: Duration,
    hosts: Duration,
    instances: u32,
}

impl Meter {
    pub(crate) fn start(hosts_pid: u32) -> Self {
        Self {
            at: Instant::now(),
            scheduler: processor_time("self"),
            hosts: processor_time(&hosts_pid.to_string()),
            memory: resident(),
        }
    }

    pub(crate) fn since(&self, before: &Self, instances: u32) -> Cost {
        Cost {
            wall: self.at - before.at,
            scheduler: self.scheduler.saturating_sub(before.scheduler),
            hosts: self.hosts.saturating_sub(before.hosts),
            instances,
        }
    }

    pub(crate) fn growth(&self, before: &Self) -> u64 {
        self.memory.saturating_sub(before.memory)
    }
}

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rate = f64::from(self.instances) / self.wall.as_secs_f64();
        let (wall, scheduler, hosts) = (self.wall, self.scheduler, self.hosts);
        write!(
            f,
            "{wall:.2?}, {rate:.0} a second; processor: scheduler {scheduler:.2?}, hosts {hosts:.2?}"
        )
    }
}

/// User's and system's. The kernel counts in hundredths of a second.
fn processor_time(pid: &str) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let (_, fields) = stat.rsplit_once(')').unwrap();
    let mut fields = fields.split_whitespace().skip(11).map(|it| it.parse::<u64>().unwrap());
    Duration::from_millis((fields.next().unwrap() + fields.next().unwrap()) * 10)
}

fn resident() -> u64 {
    let statm = fs::read_to_string("/proc/self/statm").unwrap();
    statm.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 4096
}
