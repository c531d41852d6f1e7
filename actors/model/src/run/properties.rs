//! What is true of every task, whatever happens to it and in whatever order.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

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

/// One of the things that could happen now, sensible or not.
fn event(run: &Run, now: Timestamp, choice: u8, whose: usize) -> Event {
    let alive: Vec<_> = run.alive().collect();
    let nobody = RunId { process: "p0".into(), run: 3 };
    let id = alive.get(whose % alive.len().max(1)).cloned().unwrap_or(nobody);
    let ended = |exit, leftover| Event::Ended { id: id.clone(), at: now, exit, leftover };
    match choice {
        0 => Event::Prepared,
        1..=3 => Event::Started { id, pid: 1, at: now },
        4..=6 => ended(Exit::Code(0), choice == 6),
        7 | 8 => ended(Exit::Code(1), false),
        9 => ended(Exit::Signal(9), false),
        10 => ended(Exit::Lost, false),
        11 => Event::Gone { id },
        12 => Event::KillAsked { message: String::new(), within_ms: None },
        _ => Event::TimedOut,
    }
}

/// The same task after everything that runs has ended as it was asked to, and all time is up.
fn ended(mut run: Run, mut now: Timestamp) -> Option<Run> {
    let killed = Event::KillAsked { message: String::new(), within_ms: None };
    run = run.step(now, &killed).unwrap_or(run);
    for _ in 0..100 {
        if run.is_over() {
            return Some(run);
        }
        let doomed = run.effects().into_iter().find_map(|effect| match effect {
            Effect::Kill(id) => Some(id),
            Effect::Report { .. } | Effect::Prepare | Effect::Tend(_) | Effect::Term(_) => None,
        });
        let event = match (doomed, run.deadline()) {
            (Some(id), _) if run.leftovers.contains(&id) => Event::Gone { id },
            (Some(id), _) => Event::Ended { id, at: now, exit: Exit::Signal(9), leftover: false },
            (None, Some((at, event))) => {
                now = at;
                event
            }
            (None, None) => return None,
        };
        run = run.step(now, &event).unwrap();
    }
    None
}

proptest! {
    #[test]
    fn whatever_happens_to_a_task(
        task in tasks(),
        happenings in prop::collection::vec((0..14_u8, 0..6_usize, 0..20_000_u64), 0..80),
    ) {
        let newborn = Run::new(&task).unwrap();
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
            prop_assert!(!next.is_over() || alive == 0, "over, and something runs");
            run = next;
        }
        let again = journal.iter().fold(newborn, |run, (at, event)| run.step(*at, event).unwrap());
        prop_assert_eq!(&run, &again);
        prop_assert!(ended(run.clone(), now).is_some(), "never comes to its end: {run:?}");
    }
}
