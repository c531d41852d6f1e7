//! What a host can do: how many tasks a second, how soon a process runs, and what a task costs.
//!
//! Everything goes the way that it goes in a cluster: launch messages over a real link to an agent
//! that is a process of its own, with logs and with exit statuses that survive. Ratios are to what
//! the same machine did a minute before, since machines differ and are busy with other things.
//!
//! No folder is removed before all is over: some file systems take long to find room for a new file
//! where one was deleted a moment ago (ext4 without a journal does, for a minute), and it is not
//! that which is to be measured.

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot go on says where")]

use std::{
    fs,
    path::Path,
    process::ExitCode,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use airglow_model::wire::{RunState, ToScheduler};
use serde_json::json;
use tokio::time::Instant;

#[path = "../tests/shared/agent.rs"]
mod agent;
#[path = "tasks/baseline.rs"]
mod baseline;
#[path = "tasks/memory.rs"]
mod memory;
#[path = "../tests/acceptance/rig.rs"]
#[expect(dead_code, reason = "tests do more with it")]
mod rig;

use agent::Settings;
use memory::Memory;
use rig::{PATIENCE, Rig};

const SHORT: usize = 10_000;
const LONG: usize = 1_000;
const LAUNCHES: usize = 300;

/// How many tasks are on their way at once, so that starting is measured and not queueing.
const IN_FLIGHT: usize = 64;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os();
    arguments.next();
    match std::env::args().nth(1).as_deref() {
        Some(airglow_executor::ZYGOTE) => airglow_executor::zygote(),
        Some(agent::AGENT) => agent::main(arguments.skip(1)),
        _ => {
            measure();
            ExitCode::SUCCESS
        }
    }
}

/// One column of the table.
struct Figures {
    mode: &'static str,
    baseline: f64,
    throughput: f64,
    starting: Duration,
    latencies: Vec<Duration>,
    memory: Memory,
}

#[expect(clippy::print_stdout, reason = "measurements")]
fn measure() {
    let folder = tempfile::tempdir().unwrap();
    let plain = baseline::latencies(LAUNCHES, folder.path());
    println!("plain spawn: first instruction after {}", percentiles(plain));
    let modes = [
        ("bare", Settings::BARE),
        ("namespaces", Settings { cgroups: false, ..Settings::ISOLATED }),
        ("namespaces and control groups", Settings::ISOLATED),
    ];
    let wanted = std::env::args().skip(1).find(|it| !it.starts_with('-'));
    for (mode, settings) in modes {
        if wanted.as_ref().is_none_or(|it| it == mode) {
            println!("{}", figures(mode, settings, folder.path()));
        }
    }
}

fn figures(mode: &'static str, settings: Settings, folder: &Path) -> Figures {
    let rig = || {
        let mut folder = tempfile::tempdir_in(folder).unwrap();
        folder.disable_cleanup(true);
        Rig::in_folder(folder, Settings { kept: usize::MAX, ..settings })
    };
    let baseline = baseline::spawns_per_second(SHORT);
    let mut rig_of_short = rig();
    let latencies = latencies(&mut rig_of_short);
    let throughput = throughput(&mut rig_of_short);
    drop(rig_of_short);
    let mut rig_of_long = rig();
    let starting = start_many(&mut rig_of_long);
    let memory = Memory::of(&rig_of_long);
    Figures { mode, baseline, throughput, starting, latencies, memory }
}

/// Tasks a second, from the first order to the last report.
fn throughput(rig: &mut Rig) -> f64 {
    let began = Instant::now();
    let mut ordered = 0;
    while ordered < SHORT || 0 < rig.pending() {
        if ordered < SHORT && rig.pending() < IN_FLIGHT {
            rig.launch(&format!("short-{ordered}"), one("true"));
            ordered += 1;
        } else {
            rig.hear(PATIENCE).expect("it goes on");
        }
    }
    let took = began.elapsed();
    let finished = rig.reports.values().filter(|it| it.state == RunState::Finished);
    assert_eq!(finished.count(), SHORT + LAUNCHES);
    per_second(SHORT, took)
}

/// One at a time: from the order to the first instruction of its command line, as it says itself.
fn latencies(rig: &mut Rig) -> Vec<Duration> {
    let mark = rig.folder().join("mark");
    let mut latency = |number| {
        let id = format!("latency-{number}");
        let asked = since_epoch();
        rig.launch(&id, one(&format!("echo $EPOCHREALTIME > {}", mark.display())));
        assert_eq!(rig.ends(&id).state, RunState::Finished);
        written_time(&fs::read_to_string(&mark).unwrap()).unwrap().saturating_sub(asked)
    };
    (0..LAUNCHES).map(&mut latency).collect()
}

/// Until all of them run.
fn start_many(rig: &mut Rig) -> Duration {
    let began = Instant::now();
    let (mut ordered, mut running) = (0, 0);
    while running < LONG {
        if ordered < LONG && ordered - running < IN_FLIGHT {
            rig.launch(&format!("long-{ordered}"), one("sleep 100000"));
            ordered += 1;
            continue;
        }
        let heard = rig.hear(PATIENCE).expect("it goes on");
        if matches!(heard, ToScheduler::Status(it) if it.state == RunState::Running) {
            running += 1;
        }
    }
    // What is reported is the task; its process may take another moment.
    rig.until("all processes run", |rig| rig.processes().len() == LONG);
    began.elapsed()
}

fn one(cmdline: &str) -> serde_json::Value {
    json!({ "processes": [{ "name": "p", "cmdline": cmdline }] })
}

impl std::fmt::Display for Figures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { mode, baseline, throughput, starting, latencies, memory } = self;
        let ratio = throughput / baseline;
        let starting = starting.as_secs_f64();
        let mib = |bytes: u64| bytes as f64 / 1_048_576.0;
        let each = |bytes: u64| mib(bytes) / LONG as f64;
        writeln!(f, "\n{mode}")?;
        writeln!(f, "  two threads that spawn and wait, {SHORT} times: {baseline:.0} a second")?;
        writeln!(
            f,
            "  {SHORT} tasks of `true`:          {throughput:.0} a second, {ratio:.2} of that"
        )?;
        writeln!(f, "  {LONG} long-running tasks start in: {starting:.2} s")?;
        writeln!(f, "  first instruction after:          {}", percentiles(latencies.clone()))?;
        let shepherd = each(memory.shepherds);
        let process = each(memory.processes);
        let both = shepherd + process;
        writeln!(
            f,
            "  memory of an idle task (PSS):     {both:.2} MiB, of which its shepherd {shepherd:.2}"
        )?;
        let (agent, zygote) = (mib(memory.agent), mib(memory.zygote));
        write!(f, "  agent {agent:.1} MiB, zygote {zygote:.1} MiB")
    }
}

fn percentiles(mut latencies: Vec<Duration>) -> String {
    latencies.sort_unstable();
    let at = |percent: usize| latencies[(latencies.len() - 1) * percent / 100].as_secs_f64() * 1e3;
    format!("p50 {:.2} ms, p99 {:.2} ms", at(50), at(99))
}

fn per_second(count: usize, took: Duration) -> f64 {
    count as f64 / took.as_secs_f64()
}

#[expect(clippy::disallowed_methods, reason = "the clock that `bash` looks at, as precisely")]
fn since_epoch() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap()
}

/// What `$EPOCHREALTIME` says.
fn written_time(mark: &str) -> Option<Duration> {
    mark.trim().parse().ok().map(Duration::from_secs_f64)
}
