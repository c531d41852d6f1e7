//! Whole clusters through hundreds of histories in which things go wrong: crashes, lost and late
//! messages, hosts that come back without what they had. At every moment what must hold is looked
//! at, and when things have been calm for long, whether everything that can run does.
//!
//! `AIRGLOW_HISTORIES=10000` runs so many. One that fails is made as small as it gets and told;
//! `AIRGLOW_HISTORY=seed` tells one history alone, whether or not it fails.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![allow(clippy::print_stdout, reason = "a story is for whoever asked for it")]

mod audit;
mod cluster;
mod cron;
mod giving_way;
mod sla;

use std::{env, thread, time::Duration};

use airglow_model::{
    policy::Policy,
    pruning::Keep,
    simulation::{Setup, World},
};

use crate::{
    audit::{Auditor, Verdict},
    cluster::{History, history},
};

const HISTORIES: u64 = 400;

/// Jobs of fewer instances have no say when hosts are drained.
const LARGE: u64 = 2;

#[test]
fn what_must_hold_does_in_all_histories() {
    if let Some(seed) = asked("AIRGLOW_HISTORY") {
        let history = history(seed);
        let (verdict, story) = told(&history);
        println!("{story}\n{verdict:?}");
        return verdict.unwrap();
    }
    let all = asked("AIRGLOW_HISTORIES").unwrap_or(HISTORIES);
    let hands = u64::try_from(thread::available_parallelism().map_or(1, Into::into)).unwrap();
    let failed: Vec<u64> = thread::scope(|scope| {
        let run = |hand| (hand..all).step_by(hands.try_into().unwrap()).filter(|&it| fails(it));
        let threads: Vec<_> = (0..hands)
            .map(|hand| scope.spawn(move || run(hand).take(20).collect::<Vec<_>>()))
            .collect();
        threads.into_iter().flat_map(|it| it.join().unwrap()).collect()
    });
    let Some(&seed) = failed.iter().min() else { return };
    let smallest = shrink(history(seed));
    let (verdict, story) = told(&smallest);
    let done: Vec<_> = smallest.actions.iter().map(|it| format!("{:?}", it.1)).collect();
    let short: Vec<_> = done.iter().map(|it| it.chars().take(120).collect::<String>()).collect();
    panic!("{failed:?} fail; {seed} by\n{}\n\n{story}\n{verdict:?}", short.join("\n"));
}

#[expect(clippy::disallowed_methods, reason = "whoever runs the tests says how many")]
fn asked(name: &str) -> Option<u64> {
    env::var(name).ok().map(|it| it.parse().unwrap())
}

fn fails(seed: u64) -> bool {
    run(&history(seed), &mut world(seed)).is_err()
}

fn world(seed: u64) -> World {
    let mut policy = Policy::default();
    policy.sla.instances_min = LARGE;
    policy.history = Keep {
        age: Duration::from_secs(300),
        per_job: 2,
        at_least: Duration::from_secs(60),
        every: Duration::from_secs(20),
        ..Keep::default()
    };
    let setup = Setup {
        policy,
        instances_max: 20,
        latency_ms: (1, 50),
        commit_ms: (1, 30),
        mail_ms: (0, 20),
        ..Setup::default()
    };
    World::new(seed, setup)
}

fn told(history: &History) -> (Verdict, String) {
    let mut world = world(history.seed);
    world.narrate();
    let verdict = run(history, &mut world);
    (verdict, world.take_story())
}

fn run(history: &History, world: &mut World) -> Verdict {
    let mut auditor = Auditor::default();
    for (at, action) in &history.actions {
        world.plan(*at, action.clone());
    }
    while world.next_at().is_some_and(|it| it <= history.end) {
        world.step();
        auditor.watch(world)?;
    }
    auditor.rests(world)
}

/// Leaves out whatever is not needed for it to fail.
fn shrink(mut history: History) -> History {
    let mut at = 0;
    while at < history.actions.len() {
        let mut less = history.clone();
        less.actions.remove(at);
        if run(&less, &mut world(less.seed)).is_err() {
            history = less;
        } else {
            at += 1;
        }
    }
    history
}
