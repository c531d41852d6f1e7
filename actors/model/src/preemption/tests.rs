use serde_json::json;

use super::*;
use crate::{
    ids::JobKey,
    spec::{JobSpec, Limits},
    tier::Tier,
};

fn config(role: &str, preemptible: bool, priority: i64) -> TaskConfig {
    let spec: JobSpec = serde_json::from_value(json!({
        "cluster": "c", "role": role, "name": "web",
        "task": {
            "name": "web",
            "processes": [{"name": "p", "cmdline": "true"}],
            "resources": {"cpu": 1.0, "ram": 1 << 20, "disk": 1 << 20},
        },
    }))
    .unwrap();
    let config = spec.check(&Limits::usual("c")).unwrap().config;
    let (class, job) = (Tier { preemptible, revocable: false }, JobKey::new(role, "devel", "web"));
    TaskConfig { class, job, priority, ..config }
}

#[test]
fn s31_tiers_count_everywhere_and_priority_within_a_role() {
    let (firm, soft) = (false, true);
    for (pending, running, may) in [
        (("www", firm, 0), ("www", soft, 0), true),
        (("www", firm, 0), ("ads", soft, 99), true),
        (("www", soft, 99), ("www", firm, 0), false),
        (("www", soft, 10), ("www", soft, 5), true),
        (("www", firm, 10), ("www", firm, 5), true),
        (("www", firm, 5), ("www", firm, 5), false),
        (("www", firm, 5), ("www", firm, 10), false),
        (("www", firm, 10), ("ads", firm, 5), false),
        (("www", soft, 10), ("ads", soft, 5), false),
    ] {
        let [waits, has] = [pending, running].map(|(role, tier, it)| config(role, tier, it));
        assert_eq!(may_preempt(&waits, &has), may, "{pending:?} {running:?}");
    }
}

/// Cores, MB.
fn room(cores: u64, ram_mb: u64) -> Room {
    let resources = Resources { cpu_milli: cores * 1000, ram_mb, ..Resources::default() };
    Room { resources, ..Room::default() }
}

#[test]
fn as_little_goes_as_makes_room() {
    let nothing = room(0, 0);
    let (small, big) = (room(1, 512), room(4, 4096));
    for (needs, slack, running, expected) in [
        (room(2, 1024), nothing, vec![small, small, big], Some(vec![2])),
        // What is free counts.
        (room(2, 1024), room(1, 512), vec![small, small], Some(vec![0])),
        (room(2, 1024), nothing, vec![small, small], Some(vec![0, 1])),
        (room(2, 1024), nothing, vec![small], None),
        (room(2, 1024), room(2, 1024), vec![small], None),
        (room(2, 1024), nothing, vec![], None),
        // The first in the order turns out to be of no use.
        (room(2, 4096), nothing, vec![room(4, 512), room(2, 4096)], Some(vec![1])),
        (room(5, 4096), nothing, vec![room(4, 512), room(2, 4096)], Some(vec![0, 1])),
    ] {
        assert_eq!(victims(needs, slack, &running), expected, "{needs:?} {slack:?} {running:?}");
    }
}

#[test]
fn ports_and_the_places_that_a_limit_leaves_are_room_too() {
    let room = |ports, places| Room { ports, places, ..Room::default() };
    let needs = room(2, 1);
    assert_eq!(victims(needs, room(1, 1), &[room(0, 0), room(1, 0)]), Some(vec![1]));
    assert_eq!(victims(needs, room(5, 0), &[room(9, 0), room(0, 1)]), Some(vec![1]));
    assert_eq!(victims(needs, room(5, 0), &[room(9, 0)]), None);
}
