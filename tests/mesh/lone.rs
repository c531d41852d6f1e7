use std::collections::BTreeMap;

use serde_json::json;

use super::{Mesh, Wishes, checks::Alive, stays};
use crate::cluster::eventually;

/// Whoever is silent is given up soon, so that a test need not wait for long.
pub(super) const IMPATIENT: Wishes<'_> =
    Wishes { scheduler: "unreachable_after = \"3 seconds\"", mesh: "", no_address: false };

type Running = BTreeMap<(String, u64), Vec<Alive>>;

/// Who runs on a host, of all that run.
fn on(host: &str, all: &Running) -> Running {
    let there = all.iter().filter(|(_, it)| it.iter().all(|it| it.host == host));
    there.map(|(instance, alive)| (instance.clone(), alive.clone())).collect()
}

#[test]
fn fifty_instances_spread_over_five_agents_and_are_gone_when_they_are_killed() {
    let mut mesh = Mesh::of(1, 5, Wishes::default());
    mesh.gets("spread", 50);
    let all = mesh.alive();
    for host in mesh.names() {
        let count = on(&host, &all).len();
        assert!((6..=11).contains(&count), "{count} of 50 are on {host}: {all:?}");
    }
    assert!(mesh.kill_job("spread"));
    mesh.is_whole();
    assert_eq!(mesh.alive(), Running::new());
}

#[test]
fn a_host_that_is_cut_off_for_less_than_the_policy_keeps_all_that_it_has() {
    let mut mesh = Mesh::of(1, 3, Wishes::default());
    mesh.gets("before", 12);
    let before = mesh.alive();
    mesh.cut_off("a2");
    // Its silence is noticed, and nothing is done about it.
    eventually("a2 is away", || mesh.is("a2", "away").then_some(()));
    assert!(mesh.create("meanwhile", 4));
    stays("nobody moves", 5, || {
        before.iter().all(|(it, alive)| mesh.alive().get(it) == Some(alive))
    });
    mesh.heal();
    mesh.all_are_up();
    mesh.is_whole();
    let after = mesh.alive();
    for (instance, alive) in &before {
        assert_eq!(after.get(instance), Some(alive), "{instance:?} was started again");
    }
}

#[test]
fn a_host_that_is_cut_off_for_more_than_the_policy_is_replaced_and_then_ends_what_was() {
    let mut mesh = Mesh::of(1, 4, IMPATIENT);
    assert!(mesh.create("replaced", 20));
    // These may wait for their host.
    let waits = |spec: &mut serde_json::Value| {
        spec["partition_policy"] = json!({ "reschedule": false });
    };
    assert!(mesh.create_with("waits", 10, waits));
    mesh.is_whole();
    let before = on("a2", &mesh.alive());
    let (waiting, moving): (Running, Running) =
        before.clone().into_iter().partition(|((job, _), _)| job == "waits");
    assert!(!waiting.is_empty() && !moving.is_empty(), "{before:?}");
    mesh.cut_off("a2");
    eventually("whoever may moves is replaced", || {
        let alive = mesh.alive();
        moving.keys().all(|it| alive[it].len() == 2).then_some(())
    });
    // Who is cut off goes on: nobody there can know that it was replaced.
    let meanwhile = mesh.alive();
    for (instance, alive) in &before {
        assert!(meanwhile[instance].contains(&alive[0]), "{instance:?} has ended");
    }
    mesh.heal();
    mesh.is_whole();
    let after = mesh.alive();
    for (instance, alive) in &waiting {
        assert_eq!(after.get(instance), Some(alive), "{instance:?} was started again");
    }
    for (instance, alive) in &moving {
        assert_ne!(after.get(instance), Some(alive), "{instance:?} runs on where it was");
    }
}

#[test]
fn a_host_that_may_not_be_alone_for_longer_ends_what_it_has() {
    let mut mesh =
        Mesh::of(1, 3, Wishes { mesh: ", isolated_max = \"20 seconds\"", ..Wishes::default() });
    mesh.gets("fleeting", 9);
    let before = on("a2", &mesh.alive());
    assert!(!before.is_empty());
    mesh.cut_off("a2");
    // Long before it is given up: nobody else could say that it has nothing any more.
    eventually("a2 has nothing any more", || on("a2", &mesh.alive()).is_empty().then_some(()));
    assert!(!mesh.is("a2", "unreachable"));
    mesh.heal();
    mesh.all_are_up();
    mesh.is_whole();
}

#[test]
fn a_host_that_hears_nothing_or_is_not_heard_is_a_host_that_is_cut_off() {
    let mut mesh = Mesh::of(1, 3, IMPATIENT);
    mesh.gets("half-deaf", 12);
    for (host, from, to) in [("a2", "a2", "s1"), ("a3", "s1", "a3")] {
        mesh.cut_one_way(&[from], &[to]);
        eventually("it is given up", || mesh.is(host, "unreachable").then_some(()));
        assert!(mesh.create(&format!("without-{host}"), 3));
        mesh.heal();
        mesh.all_are_up();
        mesh.is_whole();
    }
}

#[test]
fn jobs_start_and_end_though_a_third_of_all_is_lost_and_the_rest_is_late() {
    let mut mesh = Mesh::of(1, 3, Wishes::default());
    mesh.gets("fair", 8);
    mesh.weather(30, 300);
    assert!(mesh.create("foul", 12));
    assert!(mesh.kill_job("fair"));
    mesh.is_whole();
    mesh.weather(0, 0);
    mesh.is_whole();
}

#[test]
fn whatever_process_is_killed_nothing_acknowledged_is_lost() {
    let mut mesh = Mesh::of(1, 3, Wishes::default());
    mesh.gets("steady", 12);
    let names = mesh.names();
    for round in 0..8 {
        let name = mesh.chance.one_of(&names).clone();
        let what = mesh.chance.within(0..3);
        if what == 0 {
            mesh.kill_a_shepherd(&name);
        } else {
            mesh.kill_agent(&name);
        }
        // If it was the scheduler, nobody answers, and it may or may not be done later.
        mesh.create(&format!("round{round}"), 2);
        if what != 0 {
            mesh.start(&name);
        }
        mesh.answers("s1");
    }
    mesh.all_are_up();
    mesh.is_whole();
}

#[test]
fn a_full_disk_stops_the_scheduler_and_loses_nothing() {
    let mut mesh = Mesh::prepared(1, 2, Wishes::default());
    mesh.have_small_disk("s1");
    mesh.start_all();
    mesh.gets("before", 6);
    mesh.fill_disk("s1");
    // Whatever it said yes to has to be there later.
    let mut number = 0;
    eventually("it can say yes no more", || {
        number += 1;
        (!mesh.create(&format!("full{number}"), 1)).then_some(())
    });
    mesh.recover_disk("s1");
    mesh.all_are_up();
    mesh.gets("after", 3);
}

#[test]
fn all_agents_are_started_again_at_once_and_nobody_notices() {
    let mut mesh = Mesh::of(1, 4, Wishes::default());
    mesh.gets("steady", 20);
    let before = mesh.alive();
    mesh.restart_all_at_once();
    mesh.answers("s1");
    mesh.all_are_up();
    mesh.is_whole();
    assert_eq!(mesh.alive(), before);
}

#[test]
fn all_machines_lose_their_power_at_once_and_all_that_ran_runs_again() {
    let mut mesh = Mesh::of(1, 4, Wishes::default());
    assert!(mesh.create("steady", 20));
    assert!(mesh.create("gone", 5));
    assert!(mesh.kill_job("gone"));
    mesh.is_whole();
    let names = mesh.names();
    for name in &names {
        mesh.power_off(name);
    }
    let names = mesh.chance.shuffled(names);
    for name in &names {
        mesh.power_on(name);
    }
    mesh.answers("s1");
    mesh.all_are_up();
    mesh.is_whole();
}

#[test]
fn clocks_that_are_hours_wrong_harm_nobody() {
    let mut mesh = Mesh::prepared(1, 3, Wishes::default());
    mesh.set_clock("a2", 3 * 3600);
    mesh.set_clock("a3", -3 * 3600);
    mesh.start_all();
    mesh.gets("skewed", 12);
    let before = mesh.alive();
    for host in ["a2", "a3"] {
        assert!(!on(host, &before).is_empty(), "nobody runs on {host}: {before:?}");
        mesh.kill_agent(host);
        mesh.start(host);
    }
    mesh.all_are_up();
    mesh.is_whole();
    assert_eq!(mesh.alive(), before);
    // A clock that is set back while the scheduler is away is no reason to stop.
    mesh.kill_agent("s1");
    mesh.set_clock("s1", -600);
    mesh.start("s1");
    mesh.answers("s1");
    mesh.all_are_up();
    assert!(mesh.create("later", 4));
    assert!(mesh.kill_job("skewed"));
    mesh.is_whole();
}
