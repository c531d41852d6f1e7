use std::sync::Arc;

use serde_json::json;

use super::*;
use crate::{
    spec::{JobSpec, Limits},
    tier::Tier,
};

/// Cores, MB and MB.
fn resources((cores, ram_mb, disk_mb): (u64, u64, u64)) -> Resources {
    Resources { cpu_milli: cores * 1000, ram_mb, disk_mb, gpus: 0 }
}

fn all(amount: u64) -> Resources {
    resources((amount, amount, amount))
}

fn config(each: Resources, production: bool, dedicated: bool) -> Arc<TaskConfig> {
    let constraints = if dedicated { json!({"dedicated": "www/any"}) } else { json!({}) };
    let spec: JobSpec = serde_json::from_value(json!({
        "cluster": "c", "role": "www", "name": "web", "constraints": constraints,
        "task": {
            "name": "web",
            "processes": [{"name": "p", "cmdline": "true"}],
            "resources": {"cpu": 1.0, "ram": 1 << 20, "disk": 1 << 20},
        },
    }))
    .unwrap();
    let config = spec.check(&Limits::usual("c")).unwrap().config;
    let class = Tier { preemptible: !production, revocable: false };
    Arc::new(TaskConfig { resources: each, class, ..config })
}

fn prod(amount: u64) -> Arc<TaskConfig> {
    config(all(amount), true, false)
}

fn part(config: &TaskConfig, count: u64) -> Part<'_> {
    Part { config, count }
}

/// Whether a role with these claims and this quota may have one more instance, or by how much not.
fn may_have(claims: &[Claim<'_>], quota: u64, more: &TaskConfig) -> String {
    let before = consumption(claims.iter().map(Claim::consumption));
    let after = before.plus(Claim::Instances(vec![part(more, 1)]).consumption());
    match check(all(quota), before, after) {
        Ok(()) => "yes".into(),
        Err(short) => short.iter().map(Short::to_string).collect::<Vec<_>>().join("; "),
    }
}

#[test]
fn each_kind_of_work_has_its_bucket_and_gpus_have_none() {
    for (production, dedicated) in [(true, false), (false, false), (true, true), (false, true)] {
        let config = config(Resources { gpus: 7, ..all(2) }, production, dedicated);
        let used = Claim::Instances(vec![part(&config, 3)]).consumption();
        let buckets = [
            ((true, false), used.prod_shared),
            ((false, false), used.nonprod_shared),
            ((true, true), used.prod_dedicated),
            ((false, true), used.nonprod_dedicated),
        ];
        for (bucket, amount) in buckets {
            let here = bucket == (production, dedicated);
            assert_eq!(amount, if here { all(6) } else { Resources::default() }, "{bucket:?}");
        }
    }
}

#[test]
fn s37_a_cron_job_keeps_room_for_its_next_firing() {
    let template = prod(4);
    let cron = |running| {
        let running = vec![part(&template, running)];
        Claim::Cron { template: part(&template, 1), running }
    };
    assert_eq!(cron(0).consumption().prod_shared, all(4));
    assert_eq!(cron(1).consumption().prod_shared, all(4), "a run takes the room that was kept");
    assert_eq!(cron(2).consumption().prod_shared, all(8), "two runs overlap");
    let refused = may_have(&[cron(0)], 5, &prod(2));
    assert!(refused.starts_with("CPU quota exceeded by 1.00 core(s)"), "{refused}");
    assert_eq!(may_have(&[cron(0)], 5, &prod(1)), "yes");

    let dedicated = config(all(4), true, true);
    let cron = Claim::Cron { template: part(&dedicated, 1), running: vec![] };
    assert_eq!(cron.consumption().prod_shared, all(0), "it brings its own hosts");
    assert_eq!(cron.consumption().prod_dedicated, all(4));
}

#[test]
fn s38_a_job_under_update_counts_as_the_larger_of_its_sides() {
    let (foo, old, new) = (prod(2), prod(1), prod(2));
    let claims = [
        Claim::Instances(vec![part(&foo, 1)]),
        Claim::Update { others: vec![], before: vec![part(&old, 1)], after: vec![part(&new, 1)] },
    ];
    let used = consumption(claims.iter().map(Claim::consumption));
    assert_eq!(used.prod_shared, all(4));
    assert_eq!(may_have(&claims, 5, &prod(1)), "yes");
    assert_ne!(may_have(&claims, 5, &prod(2)), "yes");
}

#[test]
fn each_side_of_an_update_counts_where_it_belongs_and_each_resource_by_itself() {
    let update = |others: &[(&TaskConfig, u64)], before: &TaskConfig, after: &TaskConfig| {
        let others = others.iter().map(|(config, count)| part(config, *count)).collect();
        Claim::Update { others, before: vec![part(before, 1)], after: vec![part(after, 1)] }
            .consumption()
    };
    let gives_way = config(all(5), false, false);
    let used = update(&[], &prod(3), &gives_way);
    assert_eq!((used.prod_shared, used.nonprod_shared), (all(3), all(5)));

    let more_cpu = config(resources((3, 1, 1)), true, false);
    let more_ram = config(resources((1, 3, 1)), true, false);
    let used = update(&[(&prod(1), 2)], &more_cpu, &more_ram);
    assert_eq!(used.prod_shared, resources((5, 5, 3)), "the instances out of its scope add to it");
}

#[test]
fn who_has_more_than_allowed_may_still_grow_where_there_is_room() {
    let over = Claim::Instances(vec![]).consumption();
    let before = Consumption { prod_shared: resources((9, 1, 1)), ..over };
    let grows = |by| Consumption { prod_shared: before.prod_shared.plus(resources(by)), ..before };
    assert_eq!(check(all(4), before, before), Ok(()));
    assert_eq!(check(all(4), before, grows((0, 1, 1))), Ok(()));
    let short = vec![Short { what: What::Cpu, by: 6000 }];
    assert_eq!(check(all(4), before, grows((1, 1, 1))), Err(short));
}

#[test]
fn what_is_missing_is_told_in_words() {
    for (what, by, text) in [
        (What::Cpu, 1000, "CPU quota exceeded by 1.00 core(s)"),
        (What::Cpu, 12_350, "CPU quota exceeded by 12.35 core(s)"),
        (What::Cpu, 1, "CPU quota exceeded by 0.001 core(s)"),
        (What::Ram, 12, "RAM quota exceeded by 12 MB"),
        (What::Disk, 1, "disk quota exceeded by 1 MB"),
    ] {
        assert_eq!(Short { what, by }.to_string(), text);
    }
}
