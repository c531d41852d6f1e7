use std::collections::BTreeSet;

use serde_json::json;

use super::*;
use crate::{config::Kind, resources::Constraint, tier::Tier};

/// `www/prod/NAME` with instances of one core and 512 MB each.
fn config(name: &str) -> TaskConfig {
    let resources = json!({ "cpu": 1.0, "ram": 512 << 20, "disk": 1 << 20 });
    let process = json!({ "name": name, "cmdline": "true" });
    let task = json!({ "name": name, "processes": [process], "resources": resources });
    let spec =
        json!({ "cluster": "c", "role": "www", "environment": "prod", "name": name, "task": task });
    TaskConfig {
        job: JobKey::new("www", "prod", name),
        kind: Kind::Service,
        resources: Resources { cpu_milli: 1000, ram_mb: 512, disk_mb: 1, gpus: 0 },
        ports: BTreeSet::new(),
        constraints: Vec::new(),
        tier: "preemptible".into(),
        class: Tier { preemptible: true, revocable: false },
        priority: 0,
        max_task_failures: 1,
        spec: serde_json::from_value(spec).unwrap(),
    }
}

fn demanding(constraints: &[(&str, &str)]) -> TaskConfig {
    let constraints =
        constraints.iter().map(|&(name, text)| Constraint::parse(name, text).unwrap()).collect();
    TaskConfig { constraints, ..config("web") }
}

fn with_ports(names: &[&str]) -> TaskConfig {
    TaskConfig { ports: names.iter().map(|&it| it.to_owned()).collect(), ..config("web") }
}

/// A host with four cores, of which `cores` are free, and much of everything else.
struct Host {
    id: HostId,
    attributes: Attributes,
    cores: u64,
    ports: Vec<(u16, u16)>,
    up: bool,
}

fn host(name: &str, cores: u64, attributes: &[(&str, &str)]) -> Host {
    let attributes = attributes
        .iter()
        .map(|&(name, value)| (name.to_owned(), BTreeSet::from([value.to_owned()])))
        .collect();
    Host { id: name.into(), attributes, cores, ports: vec![], up: true }
}

fn offer(host: &Host) -> Offer<'_> {
    let capacity = Resources { cpu_milli: 4000, ram_mb: 8192, disk_mb: 10_000, gpus: 0 };
    Offer {
        host: &host.id,
        attributes: &host.attributes,
        capacity,
        free: Resources { cpu_milli: host.cores * 1000, ..capacity },
        free_ports: PortPool::new(&host.ports, &BTreeSet::new()),
        up: host.up,
    }
}

/// The plan for groups of waiting instances, in words.
fn plan(groups: &[(&TaskConfig, &[u32])], hosts: &[Host]) -> String {
    planned(groups, &BTreeMap::new(), hosts)
}

fn planned(
    groups: &[(&TaskConfig, &[u32])],
    placed: &BTreeMap<HostId, u32>,
    hosts: &[Host],
) -> String {
    let since = Timestamp(0);
    let groups: Vec<_> = groups
        .iter()
        .map(|&(config, tasks)| Group { job: &config.job, config, tasks, since, placed })
        .collect();
    let offers: Vec<_> = hosts.iter().map(offer).collect();
    let plan = place(0, &groups, &offers);
    let mut text = String::new();
    for (task, at) in &plan.assign {
        let ports: String = at.ports.iter().map(|(name, port)| format!(" {name}={port}")).collect();
        text += &format!("{}/{} → {}{ports}\n", task.job.name, task.instance, at.host);
    }
    for (group, why) in &plan.waiting {
        text += &format!("group {group} waits:");
        for (veto, count) in &why.vetoes {
            text += &format!(" {veto} ({count} of {});", why.hosts);
        }
        match &why.nearest {
            Some((host, lack)) => text += &format!(" {host} {lack}\n"),
            None => text += " there is no host\n",
        }
    }
    text
}

#[test]
fn a_job_is_spread_and_what_is_left_is_told_what_the_nearest_host_lacks() {
    let hosts = [host("a", 2, &[]), host("b", 1, &[]), host("c", 0, &[])];
    assert_eq!(
        plan(&[(&config("web"), &[0, 1, 2, 3])], &hosts),
        "\
web/0 → a
web/1 → b
web/2 → a
group 0 waits: Insufficient: CPU (3 of 3); a needs 1 more core: 0 free of 4
"
    );
}

#[test]
fn the_host_with_fewest_of_the_job_is_next() {
    let hosts = [host("a", 4, &[]), host("b", 4, &[]), host("c", 4, &[])];
    let placed = BTreeMap::from([("a".into(), 2), ("b".into(), 1)]);
    assert_eq!(
        planned(&[(&config("web"), &[3, 4, 5])], &placed, &hosts),
        "\
web/3 → c
web/4 → b
web/5 → c
"
    );
}

#[test]
fn groups_take_turns() {
    let hosts: Vec<_> = (0..6).map(|it| host(&format!("h{it}"), 4, &[])).collect();
    let big: Vec<u32> = (0..1000).collect();
    let text = plan(&[(&config("big"), &big), (&config("small"), &[0, 1])], &hosts);
    assert_eq!(text.matches("big/").count(), 22);
    assert_eq!(text.matches("small/").count(), 2);
}

#[test]
fn constraints_are_met_or_named() {
    let hosts = [
        host("a", 4, &[("rack", "r1"), ("host", "a")]),
        host("b", 4, &[("rack", "r2"), ("host", "b")]),
        host("c", 4, &[("host", "c")]),
    ];
    let on = |constraints: &[(&str, &str)]| plan(&[(&demanding(constraints), &[0, 1])], &hosts);
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

group 0 waits: Constraint not satisfied: rack (2 of 3); Constraint not satisfied: host (1 of 3); a has host a, not b or c

web/0 → a
group 0 waits: Constraint not satisfied: rack (2 of 3); Limit not satisfied: host (1 of 3); a has host a, where the job has as many instances as it may

web/0 → b
group 0 waits: Constraint not satisfied: host (1 of 3); Constraint not satisfied: rack (1 of 3); Limit not satisfied: rack (1 of 3); a has host a, which is ruled out
"
    );
}

#[test]
fn limits_count_the_whole_job_within_a_round_and_hosts_that_are_down() {
    let mut hosts: Vec<_> = ["r1", "r1", "r2", "r2", "r3"]
        .iter()
        .enumerate()
        .map(|(it, rack)| host(&format!("h{it}"), 4, &[("rack", rack)]))
        .collect();
    hosts[4].up = false;
    let limited = demanding(&[("rack", "limit:2")]);
    let placed = BTreeMap::from([("h4".into(), 2), ("h0".into(), 1), ("gone".into(), 9)]);
    // The same job with an older configuration, which has no limit but counts.
    let older = config("web");
    assert_eq!(
        planned(&[(&older, &[0]), (&limited, &[1, 2, 3])], &placed, &hosts),
        "\
web/0 → h1
web/1 → h2
web/2 → h3
group 1 waits: Limit not satisfied: rack (4 of 5); Host is down (1 of 5); h0 has rack r1, where the job has as many instances as it may
"
    );
}

#[test]
fn a_dedicated_host_is_for_those_who_ask_for_it() {
    let hosts = [host("a", 4, &[("dedicated", "www/web")])];
    assert_eq!(
        plan(&[(&config("other"), &[0]), (&demanding(&[("dedicated", "www/web")]), &[0])], &hosts),
        "\
web/0 → a
group 0 waits: Host is dedicated (1 of 1); a has dedicated www/web, and is for those who ask for it
"
    );
}

#[test]
fn ports_are_given_out_once_and_can_run_short() {
    let mut hosts = [host("a", 4, &[])];
    hosts[0].ports = vec![(31000, 31004)];
    assert_eq!(
        plan(&[(&with_ports(&["admin", "http"]), &[0, 1, 2])], &hosts),
        "\
web/0 → a admin=31000 http=31001
web/1 → a admin=31003 http=31004
group 0 waits: Insufficient: ports (1 of 1); a needs 1 more port: 1 free
"
    );
}

#[test]
fn reasons_are_counted_and_a_host_that_is_down_is_one() {
    let mut down = host("a", 4, &[]);
    down.up = false;
    let huge = TaskConfig {
        resources: Resources { cpu_milli: 20_500, ram_mb: 9216, disk_mb: 1, gpus: 1 },
        ..config("huge")
    };
    let hosts = [down, host("b", 1, &[]), host("c", 3, &[])];
    assert_eq!(
        plan(&[(&huge, &[0])], &hosts) + &plan(&[(&huge, &[0])], &[]),
        "\
group 0 waits: Insufficient: CPU (2 of 3); Insufficient: RAM (2 of 3); Insufficient: GPU (2 of 3); Host is down (1 of 3); c needs 17.5 more cores: 3 free of 4; needs 1024 MB more RAM: 8192 MB free of 8192; needs 1 more GPU: 0 free of 0
group 0 waits: there is no host
"
    );
}

#[test]
fn the_seed_decides_where_to_begin() {
    let hosts = [host("a", 4, &[]), host("b", 4, &[]), host("c", 4, &[])];
    let offers: Vec<_> = hosts.iter().map(offer).collect();
    let config = config("web");
    let placed = BTreeMap::new();
    let group = Group {
        job: &config.job,
        config: &config,
        tasks: &[0],
        since: Timestamp(0),
        placed: &placed,
    };
    let first =
        |seed| place(seed, std::slice::from_ref(&group), &offers).assign[0].1.host.to_string();
    assert_eq!([0, 1, 2, 3].map(first), ["a", "b", "c", "a"]);
}

#[test]
fn a_hundred_thousand_instances_find_their_place_on_ten_thousand_hosts() {
    let hosts: Vec<_> = (0..10_000)
        .map(|it| {
            let (id, rack) = (format!("h{it:05}"), format!("r{}", it % 100));
            host(&id, 8, &[("rack", &rack), ("host", &id)])
        })
        .collect();
    let offers: Vec<_> = hosts.iter().map(offer).collect();
    let config = demanding(&[("host", "limit:10"), ("rack", "limit:900")]);
    let config =
        TaskConfig { resources: Resources { cpu_milli: 500, ..config.resources }, ..config };
    let (tasks, placed): (Vec<u32>, _) = ((0..100_000).collect(), BTreeMap::new());
    let (job, config) = (&config.job, &config);
    let groups = [Group { job, config, tasks: &tasks, since: Timestamp(0), placed: &placed }];
    let plan = place(7, &groups, &offers);
    assert_eq!(plan.assign.len(), 90_000, "nine hundred in each of a hundred racks");
    let mut on_host: BTreeMap<&HostId, u32> = BTreeMap::new();
    for (_, at) in &plan.assign {
        *on_host.entry(&at.host).or_default() += 1;
    }
    assert!(on_host.values().all(|&it| it == 9), "and they are spread");
}
