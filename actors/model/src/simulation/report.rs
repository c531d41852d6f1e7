//! What became of a scenario.

use std::{fmt, time::Duration};

use serde::Serialize;

use crate::ids::HostId;

/// Times are seconds since the beginning.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    pub seed: u64,
    pub lasts_secs: u64,
    /// How things went, at regular times.
    pub lines: Vec<Line>,
    pub jobs: Vec<JobReport>,
    pub drains: Vec<Drain>,
    /// What was asked for and refused, and why.
    pub refused: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Line {
    pub at_secs: u64,
    /// Hosts that are connected.
    pub hosts: u64,
    pub running: u64,
    pub pending: u64,
    /// Instances on their way from one state to another.
    pub other: u64,
    /// Of what connected hosts have, how much is given out.
    pub cpu_percent: u64,
    pub ram_percent: u64,
}

/// A job at the end, and what happened to it on the way.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct JobReport {
    pub job: String,
    /// Instances that are there or about to be.
    pub active: u64,
    pub running: u32,
    pub pending: u32,
    /// How often an instance got a place, and how long it had waited for it.
    pub placed: u64,
    pub wait_ms_median: Option<u64>,
    pub wait_ms_longest: Option<u64>,
    pub finished: u64,
    pub failed: u64,
    pub lost: u64,
    pub preempted: u64,
    pub drained: u64,
    /// Why those wait that do: a sentence for each reason.
    pub why: Vec<String>,
}

/// A host that nothing should run on any more.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Drain {
    pub host: HostId,
    pub at_secs: u64,
    /// Until nothing ran there any more, if it came to that.
    pub took_secs: Option<u64>,
    /// How many instances are there at the end.
    pub left: u64,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lasts = clock(Duration::from_secs(self.lasts_secs));
        writeln!(f, "Simulated {lasts} with seed {}.\n", self.seed)?;
        writeln!(
            f,
            "{:>9} {:>7} {:>9} {:>9} {:>7} {:>5} {:>5}",
            "time", "hosts", "running", "pending", "other", "CPU", "RAM"
        )?;
        for it in &self.lines {
            let time = clock(Duration::from_secs(it.at_secs));
            writeln!(
                f,
                "{time:>9} {:>7} {:>9} {:>9} {:>7} {:>4}% {:>4}%",
                it.hosts, it.running, it.pending, it.other, it.cpu_percent, it.ram_percent
            )?;
        }
        for it in &self.jobs {
            write!(f, "\n{it}")?;
        }
        if !self.drains.is_empty() {
            writeln!(f, "\nDrains")?;
        }
        for it in &self.drains {
            let at = clock(Duration::from_secs(it.at_secs));
            match it.took_secs {
                Some(took) => {
                    let took = clock(Duration::from_secs(took));
                    writeln!(f, "{at:>9}  {} was empty after {took}", it.host)?;
                }
                None => writeln!(f, "{at:>9}  {} still has {}", it.host, it.left)?,
            }
        }
        if !self.refused.is_empty() {
            writeln!(f, "\nRefused")?;
        }
        self.refused.iter().try_for_each(|it| writeln!(f, "{it:>9}"))
    }
}

impl fmt::Display for JobReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} of {} running", self.job, self.running, self.active)?;
        if let (Some(median), Some(longest)) = (self.wait_ms_median, self.wait_ms_longest) {
            let (median, longest) = (Waited(median), Waited(longest));
            write!(f, "; placed {} times, after {median} (median) to {longest}", self.placed)?;
        }
        let happened = [
            (self.finished, "finished"),
            (self.failed, "failed"),
            (self.lost, "lost"),
            (self.preempted, "preempted"),
            (self.drained, "drained"),
        ];
        for (count, what) in happened.into_iter().filter(|it| it.0 > 0) {
            write!(f, "; {count} {what}")?;
        }
        writeln!(f)?;
        if self.pending > 0 {
            writeln!(f, "  {} wait for a place", self.pending)?;
        }
        self.why.iter().try_for_each(|it| writeln!(f, "    {it}"))
    }
}

/// As a clock shows it: `1:05:00`.
pub(super) fn clock(it: Duration) -> String {
    let secs = it.as_secs();
    format!("{}:{:02}:{:02}", secs / 3600, secs / 60 % 60, secs % 60)
}

struct Waited(u64);

impl fmt::Display for Waited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            it if it < 10_000 => write!(f, "{}.{} s", it / 1000, it % 1000 / 100),
            it => f.write_str(&clock(Duration::from_millis(it))),
        }
    }
}
