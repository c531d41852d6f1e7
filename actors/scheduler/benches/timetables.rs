//! Jobs that run by the clock, very many of them.
//!
//! ```text
//! cargo bench -p airglow-scheduler --bench timetables -- [JOBS] [DUE]
//! ```
//! `JOBS` are scheduled, of which `DUE` are due in one minute, and the scheduler is started again
//! with all of them. Then that minute is waited for. There are no hosts: what is due has started
//! when its instance waits for a place, and all of that is on the disk.

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot go on says where")]
#![expect(clippy::print_stdout, reason = "it is for people to read")]
#![expect(clippy::disallowed_methods, reason = "it measures real time, and no actor is held up")]

use std::{
    thread::{self, sleep},
    time::{Duration, Instant},
};

use airglow_model::{
    config::Job,
    machine::Timestamp,
    policy::Policy,
    spec::{JobSpec, Limits},
    task::Status,
    view::View,
};
use airglow_scheduler::{Config, Scheduler, now};
use serde_json::json;

const JOBS: u32 = 100_000;
const DUE: u32 = 10_000;
const ROLES: u32 = 100;
/// A look at all jobs takes a moment itself.
const GLANCE: Duration = Duration::from_millis(50);

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    // Whoever only wants to know whether it works does not want all of it, nor to wait.
    let small = !arguments.iter().any(|it| it == "--bench");
    let mut numbers = arguments.iter().filter_map(|it| it.replace('_', "").parse::<u32>().ok());
    let jobs = numbers.next().unwrap_or(if small { 200 } else { JOBS });
    let due = numbers.next().unwrap_or(if small { 20 } else { DUE }).min(jobs);

    let data = tempfile::tempdir().unwrap();
    let config = Config {
        data: data.path().to_owned(),
        cluster: "bench".into(),
        mesh: "127.0.0.1:0".parse().unwrap(),
        limits: Limits::usual("bench"),
        policy: Policy::default(),
    };
    let scheduler = Scheduler::start(config.clone()).unwrap();
    let began = Instant::now();
    schedule(&scheduler, jobs, "0 0 29 2 *");
    println!("{jobs} jobs scheduled in {:.1?}", began.elapsed());
    scheduler.stop();

    let before = memory();
    let began = Instant::now();
    let scheduler = Scheduler::start(config).unwrap();
    println!("  a scheduler that starts has read them after {:.2?}", began.elapsed());
    schedule(&scheduler, 1, "0 0 29 2 *");
    println!("  and serves after {:.2?}", began.elapsed());
    println!("  memory: {} bytes a job", (memory() - before) / u64::from(jobs));

    // Whoever is scheduled at the end of a minute would miss it.
    let minute = (now().0 / 60_000) + if small { 1 } else { 2 };
    schedule(&scheduler, due, &format!("{} * * * *", minute % 60));
    let at = Timestamp(minute * 60_000);
    println!("{due} of them due at one minute, in {:.0?}", at.since(now()));
    let mut last = 0;
    while last < due {
        sleep(GLANCE);
        let waiting = scheduler.view().read(waiting);
        if last == 0 && waiting > 0 {
            println!("  the first has started after {:.0?}", now().since(at));
        }
        last = waiting;
    }
    let took = now().since(at);
    println!(
        "  all have started after {took:.1?}: {:.0} a second",
        f64::from(due) / took.as_secs_f64()
    );
    let settled = |view: &View| {
        let all = view.jobs.values().filter_map(|it| it.cron.as_ref());
        all.filter(|it| it.number == 1 && it.coming().is_none()).count()
    };
    while scheduler.view().read(settled) < due as usize {
        sleep(GLANCE);
    }
    println!("  and all know it after {:.1?}", now().since(at));
    scheduler.stop();
}

/// How many instances wait for a place.
fn waiting(view: &View) -> u32 {
    view.jobs.values().filter_map(|it| it.counts.get(&Status::Pending)).sum()
}

/// All at once; requests of one role go one after the other.
fn schedule(scheduler: &Scheduler, jobs: u32, schedule: &str) {
    thread::scope(|scope| {
        for role in 0..ROLES.min(jobs) {
            scope.spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
                let mine = (role..jobs).step_by(ROLES as usize);
                runtime.block_on(async {
                    for number in mine {
                        scheduler.schedule(job(role, number, schedule), "bench").await.unwrap();
                    }
                });
            });
        }
    });
}

fn job(role: u32, number: u32, schedule: &str) -> Job {
    let spec: JobSpec = serde_json::from_value(json!({
        "cluster": "bench", "role": format!("role{role}"), "environment": "prod",
        "name": format!("job{number}"), "cron_schedule": schedule,
        "task": {
            "name": "hello",
            "processes": [{"name": "hello", "cmdline": "true"}],
            "resources": {"cpu": 0.1, "ram": 128 << 20, "disk": 16 << 20},
        },
    }))
    .unwrap();
    spec.check(&Limits::usual("bench")).unwrap()
}

/// What the process has in memory, in bytes.
fn memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|it| it.strip_prefix("VmRSS:")).unwrap();
    let kilobytes: u64 = line.trim().trim_end_matches(" kB").parse().unwrap();
    kilobytes * 1024
}
