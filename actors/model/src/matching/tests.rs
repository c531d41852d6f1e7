use std::collections::{BTreeMap, BTreeSet};

use self::scene::*;
use super::Placed;
use crate::{
    config::TaskConfig,
    host::Mode,
    ids::{ConfigId, HostId},
    machine::Timestamp,
    record::{Change, RecordKey},
    resources::Resources,
};

mod preempting;
mod properties;
mod scenarios;
mod scene;

#[test]
fn a_job_is_spread_and_what_is_left_is_told_what_the_nearest_host_lacks() {
    let hosts = [host("a", 2, &[]), host("b", 1, &[]), host("c", 0, &[])];
    assert_eq!(
        story(&[(&config("web"), &[0, 1, 2, 3])], &hosts),
        "\
web/0 → a
web/1 → b
web/2 → a
web/3 waits: Insufficient: CPU (3 of 3); a needs 1 more core: 0 free of 2
"
    );
}

#[test]
fn the_host_with_fewest_of_the_job_is_next() {
    let hosts = ["a", "b", "c"].map(|it| host(it, 9, &[]));
    let mut scene = Scene::new(&hosts);
    let web = config("web");
    for (instance, host) in [(0, "a"), (1, "a"), (2, "b")] {
        scene.put(&web, 1, instance, host);
    }
    scene.seek(&web, 3..9);
    scene.round();
    let three: BTreeMap<HostId, u32> = ["a", "b", "c"].map(|it| (it.into(), 3)).into();
    assert_eq!(scene.spread(&web), three);
}

#[test]
fn constraints_are_met_or_named() {
    let hosts = [
        host("a", 4, &[("rack", "r1"), ("host", "a")]),
        host("b", 4, &[("rack", "r2"), ("host", "b")]),
        host("c", 4, &[]),
    ];
    let on = |constraints: &[(&str, &str)]| story(&[(&demanding(constraints), &[0, 1])], &hosts);
    let text = [
        on(&[("rack", "r2,r3")]),
        // Who has no rack is in none of these.
        on(&[("rack", "!r1,r2")]),
        on(&[("rack", "r1"), ("host", "b,c")]),
        on(&[("rack", "r1"), ("host", "limit:1")]),
        // But a limit needs something to count by.
        on(&[("rack", "limit:1"), ("host", "!a")]),
    ]
    .join("\n");
    assert_eq!(
        text,
        "\
web/0 → b
web/1 → b

web/0 → c
web/1 → c

web/0-1 waits: Constraint not satisfied: rack (2 of 3); Constraint not satisfied: host (1 of 3); a has host a, not b or c

web/0 → a
web/1 waits: Constraint not satisfied: rack (2 of 3); Limit not satisfied: host (1 of 3); a has host a, where the job has as many instances as it may

web/0 → b
web/1 waits: Constraint not satisfied: host (1 of 3); Constraint not satisfied: rack (1 of 3); Limit not satisfied: rack (1 of 3); a has host a, which is ruled out
"
    );
}

#[test]
fn limits_count_the_whole_job_and_hosts_that_are_down() {
    let mut hosts: Vec<_> = ["r1", "r1", "r2", "r2", "r3"]
        .iter()
        .enumerate()
        .map(|(it, rack)| host(&format!("h{it}"), 4, &[("rack", rack)]))
        .collect();
    hosts[4] = down(hosts[4].clone());
    let limited = demanding(&[("rack", "limit:2")]);
    let mut scene = Scene::new(&hosts);
    // The same job with an older configuration, which has no limit but counts.
    for (instance, host) in [(10, "h4"), (11, "h4"), (12, "h0")] {
        scene.put(&config("web"), 1, instance, host);
    }
    scene.seek_as(&limited, 2, 0..4);
    let text = scene.story();
    assert!(text.ends_with("web/3 waits: Limit not satisfied: rack (4 of 5); Host is down (1 of 5); h0 has rack r1, where the job has as many instances as it may\n"), "{text}");
    assert_eq!(scene.spread(&limited).values().sum::<u32>(), 6);
    // When one leaves, there is room for one where it was.
    scene.end(&limited.job.task(12));
    let placed = scene.round();
    let racks: Vec<_> = placed.iter().map(|it| it.at.host.0.to_string()).collect();
    assert!(matches!(racks[..], [ref it] if it == "h0" || it == "h1"), "{racks:?}");
}

#[test]
fn a_dedicated_host_is_for_those_who_ask_for_it() {
    let hosts = [host("a", 4, &[("dedicated", "www/web")])];
    assert_eq!(
        story(&[(&config("other"), &[0]), (&demanding(&[("dedicated", "www/web")]), &[0])], &hosts),
        "\
web/0 → a
other/0 waits: Host is dedicated (1 of 1); a has dedicated www/web, and is for those who ask for it
"
    );
}

#[test]
fn ports_are_given_out_once_and_can_run_short() {
    let mut hosts = [host("a", 4, &[])];
    hosts[0].capacity.ports = vec![(31000, 31004)];
    let web = with_ports(&["admin", "http"]);
    let mut scene = Scene::new(&hosts);
    scene.seek(&web, 0..3);
    let placed = scene.round();
    let ports: BTreeSet<u16> = placed.iter().flat_map(|it| it.at.ports.values().copied()).collect();
    assert_eq!((placed.len(), ports.len()), (2, 4));
    let text = scene.story();
    assert_eq!(
        text,
        "web/2 waits: Insufficient: ports (1 of 1); a needs 1 more port: 1 free of 5\n"
    );
    scene.end(&web.job.task(0));
    assert_eq!(scene.round().len(), 1);
}

#[test]
fn reasons_are_counted_and_a_host_that_is_down_or_in_maintenance_is_one() {
    let huge = TaskConfig {
        resources: Resources { cpu_milli: 20_500, ram_mb: 9216, disk_mb: 1, gpus: 1 },
        ..config("huge")
    };
    let since = Timestamp(0);
    let hosts = [
        down(host("a", 4, &[])),
        host("b", 1, &[]),
        host("c", 3, &[]),
        in_mode(host("d", 40, &[]), Mode::Drained { since }),
    ];
    assert_eq!(
        story(&[(&huge, &[0])], &hosts) + &story(&[(&huge, &[0])], &[]),
        "\
huge/0 waits: Insufficient: CPU (2 of 4); Insufficient: RAM (2 of 4); Insufficient: GPU (2 of 4); Host is down (1 of 4); Host is drained for maintenance (1 of 4); c needs 17.5 more cores: 3 free of 3; needs 1024 MB more RAM: 8192 MB free of 8192; needs 1 more GPU: 0 free of 0
huge/0 waits: there is no host
"
    );
}

#[test]
fn what_is_on_its_way_is_taken_and_what_has_arrived_is_not_taken_twice() {
    let mut scene = Scene::new(&[host("a", 2, &[])]);
    let web = config("web");
    scene.seek(&web, 0..1);
    let [first] = <[_; 1]>::try_from(scene.matchmaker.round(Timestamp(1))).unwrap();
    // On its way: there is room for one more.
    scene.seek(&web, 1..3);
    assert_eq!(scene.matchmaker.round(Timestamp(2)).len(), 1);
    // Arrived, and the answer is still on its way: the same.
    let placed = crate::task::Event::Placed { attempt: first.attempt, at: first.at.clone() };
    scene.tell(&first.task, &placed);
    assert_eq!(scene.round(), []);
    scene.matchmaker.answered(&first.task, first.attempt);
    assert_eq!(scene.round(), []);
    // It leaves, and the other one has not wanted its place after all.
    scene.end(&first.task);
    scene.matchmaker.answered(&web.job.task(1), attempt(1));
    assert_eq!(scene.round().len(), 1);
    assert_eq!(scene.matchmaker.numbers().waiting, 0);
    scene.seek(&web, 1..2);
    assert_eq!(scene.round().len(), 1);
}

#[test]
fn whoever_has_missed_too_much_still_knows_what_is_on_its_way() {
    let (web, host) = (config("web"), host("a", 2, &[]));
    let mut scene = Scene::new(std::slice::from_ref(&host));
    scene.seek(&web, [0]);
    let given = scene.matchmaker.round(scene.now);
    // The view shows it before its answer comes, and then so much that nobody remembers all of it.
    let placed = crate::task::Event::Placed { attempt: attempt(1), at: given[0].at.clone() };
    scene.tell(&given[0].task, &placed);
    (0..=1 << 16).for_each(|_| scene.host(&host));
    scene.seek(&web, [1, 2]);
    assert_eq!(scene.round().len(), 1);
    scene.matchmaker.answered(&given[0].task, attempt(1));
    assert_eq!(scene.round().len(), 0);
}

#[test]
fn a_job_that_was_forgotten_and_created_again_is_what_it_is_now() {
    let mut scene = Scene::new(&[host("a", 4, &[])]);
    scene.seek(&config("web"), [0]);
    let [Placed { task, .. }] = <[_; 1]>::try_from(scene.round()).unwrap();
    scene.end(&task);
    let gone = [RecordKey::Task(task), RecordKey::Config(config("web").job, ConfigId(1))];
    scene.commit(gone.map(|key| Change { key, record: None }).into());
    scene.seek(
        &TaskConfig {
            resources: Resources { cpu_milli: 9000, ..config("web").resources },
            ..config("web")
        },
        [0],
    );
    assert_eq!(scene.round(), [], "there are only four cores");
}

#[test]
fn roles_take_turns_and_within_a_role_priority_comes_first() {
    let hosts: Vec<_> = (0..6).map(|it| host(&format!("h{it}"), 4, &[])).collect();
    let urgent = TaskConfig { priority: 5, ..config("urgent") };
    let mut scene = Scene::new(&hosts);
    scene.seek(&config("big"), 0..1000);
    scene.seek(&urgent, 0..2);
    scene.seek(&of_role("batch", "small"), 0..20);
    let order: Vec<_> = scene.round().iter().map(|it| it.task.job.name.to_string()).collect();
    let mut turns = order.clone();
    turns.dedup();
    assert_eq!(turns, ["small", "urgent", "small", "big"]);
    assert_eq!(order.iter().filter(|&it| it == "small").count(), 20);
}

#[test]
fn the_choice_depends_on_the_job_and_not_on_how_often_was_looked() {
    let hosts: Vec<_> = (0..40).map(|it| host(&format!("h{it}"), 4, &[])).collect();
    let first = |job: &TaskConfig, rounds: u32, backwards: bool| {
        let mut hosts = hosts.clone();
        if backwards {
            hosts.reverse();
        }
        let mut scene = Scene::new(&hosts);
        (0..rounds).for_each(|_| assert_eq!(scene.round(), []));
        scene.seek(job, 0..1);
        scene.round()[0].at.host.clone()
    };
    let web = config("web");
    assert_eq!(first(&web, 0, false), first(&web, 7, true));
    let places: BTreeSet<_> =
        (0..20).map(|it| first(&config(&format!("job{it}")), 0, false)).collect();
    assert!(places.len() > 8, "jobs of one instance do not all go to the same host: {places:?}");
}

#[test]
fn a_hundred_thousand_instances_find_their_place_on_ten_thousand_hosts() {
    let hosts: Vec<_> = (0..10_000)
        .map(|it| {
            let (id, rack) = (format!("h{it:05}"), format!("r{}", it % 100));
            host(&id, 8, &[("rack", &rack), ("host", &id)])
        })
        .collect();
    let web = demanding(&[("host", "limit:10"), ("rack", "limit:900")]);
    let web = TaskConfig { resources: Resources { cpu_milli: 500, ..web.resources }, ..web };
    let mut scene = Scene::new(&hosts);
    scene.seek(&web, 0..100_000);
    while !scene.round().is_empty() {}
    let on_host = scene.spread(&web);
    assert_eq!(on_host.values().sum::<u32>(), 90_000, "nine hundred in each of a hundred racks");
    assert!(on_host.values().all(|&it| it == 9), "and they are spread");
}
