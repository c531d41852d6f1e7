//! What is true of every task, whatever happens to it and in whatever order.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::{
    conduct::{Check, How, Pace},
    process::Exit,
};

/// A task of up to six processes, ordered by their numbers if at all.
fn tasks() -> impl Strategy<Value = TaskSpec> {
    let process = (0..3_i64, any::<bool>(), any::<bool>(), any::<bool>(), 0..20_i64);
    let processes = prop::collection::vec(process, 0..6);
    (processes, prop::collection::vec((0..6_usize, 0..6_usize), 0..4), 0..3_i64, 0..4_i64).prop_map(
        |(processes, orders, max_failures, max_concurrency)| {
            let flags: Vec<_> = processes.iter().map(|it| (it.1, it.2, it.3)).collect();
            let possible = |&(a, b): &(usize, usize)| {
                let (before, after) = (flags.get(a), flags.get(b));
                a < b
                    && before.zip(after).is_some_and(|(before, after)| {
                        !before.0 && before.2 == after.2 && (!before.1 || after.1)
                    })
            };
            let spec = serde_json::json!({
                "name": "t",
                "processes": processes.iter().enumerate().map(|(number, it)| serde_json::json!({
                    "name": format!("p{number}"), "cmdline": "", "max_failures": it.0,
                    "daemon": it.1, "ephemeral": it.2, "final": it.3, "min_duration": it.4,
                })).collect::<Vec<_>>(),
                "constraints": orders.into_iter().filter(possible).map(|(a, b)| {
                    serde_json::json!({ "order": [format!("p{a}"), format!("p{b}")] })
                }).collect::<Vec<_>>(),
                "resources": { "cpu": 1.0, "ram": 1, "disk": 1 },
                "max_failures": max_failures, "max_concurrency": max_concurrency,
            });
            serde_json::from_value(spec).unwrap()
        },
    )
}

/// Whether it is checked, and for how long it may take to leave after each of its farewells.
fn conducts() -> impl Strategy<Value = Conduct> {
    (any::<bool>(), prop::collection::vec(0..9_u64, 0..3)).prop_map(|(is_checked, waits)| {
        let pace = Pace {
            initial_interval: Duration::ZERO,
            interval: Duration::from_secs(1),
            timeout: Duration::from_secs(1),
            max_consecutive_failures: 0,
            min_consecutive_successes: 1,
        };
        let farewell =
            |secs| Farewell { port: 80, path: "/".to_owned(), wait: Duration::from_secs(secs) };
        Conduct {
            check: is_checked.then_some(Check { how: How::Tcp { port: 80 }, pace }),
            farewells: waits.into_iter().map(farewell).collect(),
        }
    })
}

/// One of the things that could happen now, sensible or not.
fn event(run: &Run, now: Timestamp, choice: u8, whose: usize) -> Event {
    let alive: Vec<_> = run.alive().collect();
    let nobody = RunId { process: "p0".into(), run: 3 };
    let id = alive.get(whose % alive.len().max(1)).cloned().unwrap_or(nobody);
    let ended = |exit, leftover| Event::Ended { id: id.clone(), at: now, exit, leftover };
    let within_ms = (whose < 3).then_some(whose as u64 * 5000);
    match choice {
        0..=3 => Event::Prepared,
        4..=9 => Event::Started { id, pid: 1, at: now },
        10..=15 => ended(Exit::Code(0), choice == 15),
        16 | 17 => ended(Exit::Code(1), false),
        18 => ended(Exit::Signal(9), choice == 18),
        19 => ended(Exit::Lost, false),
        20 | 21 => Event::Gone,
        22 => Event::KillAsked { message: String::new(), within_ms },
        23 | 24 => Event::Healthy,
        25 => Event::Unhealthy { reason: String::new() },
        26 => Event::Exceeded { message: String::new() },
        27..=30 => Event::FarewellSaid { step: whose % 3, answered: choice.is_multiple_of(2) },
        _ => Event::TimedOut,
    }
}

const CHOICES: u8 = 40;

/// The same task after everything that runs has ended as it was asked to, and all time is up.
fn ended(mut run: Run, mut now: Timestamp) -> Option<Run> {
    let killed = Event::KillAsked { message: String::new(), within_ms: None };
    run = run.step(now, &killed).unwrap_or(run);
    for _ in 0..100 {
        if run.is_over() {
            return Some(run);
        }
        let next = run.alive().next();
        let event = match (run.effects().contains(&Effect::Kill), next, run.deadline()) {
            (true, Some(id), _) => {
                Event::Ended { id, at: now, exit: Exit::Signal(9), leftover: false }
            }
            (true, None, _) => Event::Gone,
            (false, _, Some((at, event))) => {
                now = at;
                event
            }
            (false, _, None) => return None,
        };
        run = run.step(now, &event).unwrap();
    }
    None
}

/// What one step may never do.
fn check_step(before: &Run, after: &Run) -> Result<(), TestCaseError> {
    let stages = [before, after].map(|it| rank(&it.stage));
    prop_assert!(stages[0] <= stages[1], "back from {:?} to {:?}", before.stage, after.stage);
    let verdicts = [before, after].map(|it| verdict(&it.stage));
    prop_assert!(verdicts[0].is_none() || verdicts[0] == verdicts[1], "another verdict");
    prop_assert!(!before.has_been_healthy() || after.has_been_healthy());
    let begun = |run: &Run| run.alive().filter(|it| !before.alive().any(|old| old == *it)).count();
    let may_begin = matches!(after.stage, Stage::Active | Stage::Finalizing { .. });
    prop_assert!(may_begin || begun(after) == 0, "something begins while {:?}", after.stage);
    let asks = |effect| after.effects().contains(&effect);
    prop_assert_eq!(asks(Effect::Term), matches!(after.stage, Stage::Cleaning { .. }));
    prop_assert_eq!(asks(Effect::Kill), matches!(after.stage, Stage::Ending { .. }));
    prop_assert!(!after.is_over() || !after.is_anything_alive(), "over, and something runs");
    let waits = after.is_over() || after.is_anything_alive() || after.deadline().is_some();
    prop_assert!(waits || after.stage == Stage::Preparing, "waits for nothing");
    Ok(())
}

fn rank(stage: &Stage) -> usize {
    let names = ["preparing", "active", "leaving", "cleaning", "finalizing", "ending", "over"];
    names.iter().position(|it| *it == stage.name()).unwrap()
}

fn verdict(stage: &Stage) -> Option<&Verdict> {
    match stage {
        Stage::Preparing | Stage::Active => None,
        Stage::Leaving { verdict, .. }
        | Stage::Cleaning { verdict, .. }
        | Stage::Finalizing { verdict, .. }
        | Stage::Ending { verdict }
        | Stage::Over { verdict } => Some(verdict),
    }
}

proptest! {
    #[test]
    fn whatever_happens_to_a_task(
        task in tasks(),
        conduct in conducts(),
        happenings in prop::collection::vec((0..CHOICES, 0..6_usize, 0..20_000_u64), 0..120),
    ) {
        let newborn = Run::new(&task, &conduct).unwrap();
        let mut run = newborn.clone();
        let mut now = Timestamp(1_000_000);
        let mut journal = Vec::new();
        let mut begun = BTreeMap::new();
        for (choice, whose, wait) in happenings {
            now = now + Duration::from_millis(wait);
            let event = event(&run, now, choice, whose);
            let Ok(next) = run.step(now, &event) else { continue };
            prop_assert!(!run.is_over(), "{event:?} after the end");
            journal.push((now, event));

            let alive = next.processes.iter().filter(|it| it.is_alive()).count();
            prop_assert!(alive <= next.limits.max_concurrency);
            for (planned, process) in next.plan.processes().iter().zip(&next.processes) {
                if process.is_alive() {
                    prop_assert!(next.is_free(planned), "{} has to wait", planned.name);
                    let newest = begun.entry(planned.name.clone()).or_insert(0);
                    prop_assert!(*newest <= process.run(), "an old run of {}", planned.name);
                    *newest = process.run();
                }
            }
            check_step(&run, &next)?;
            run = next;
        }
        let again = journal.iter().fold(newborn, |run, (at, event)| run.step(*at, event).unwrap());
        prop_assert_eq!(&run, &again);
        prop_assert!(ended(run.clone(), now).is_some(), "never comes to its end: {run:?}");
    }
}
