use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

mod world;

use world::{World, host, job};

/// A forecast in words.
fn told(it: &Forecast) -> String {
    let (from, to) = it.diff.instances;
    let mut text = format!("{}: {from} → {to}\n", it.key.name);
    if let Some(refusal) = &it.refusal {
        text += &format!("  refused: {refusal}\n");
    }
    for config in &it.diff.configs {
        text += &format!("  unlike {} of {}:", config.from.0, config.instances);
        let pointers = config.differences.iter().map(|it| format!(" {}", it.pointer));
        text += &(pointers.collect::<String>() + "\n");
    }
    for (host, share) in &it.placements {
        text += &format!("  {host}: {}\n", share.instances);
    }
    for (who, why) in &it.pending {
        let vetoes: Vec<_> =
            why.vetoes.iter().map(|it| format!("{} ({})", it.reason, it.hosts)).collect();
        text += &format!("  {who} waits: {}\n", vetoes.join(", "));
    }
    for (task, host) in &it.preempted.tasks {
        text += &format!("  {task} leaves {host} after {} s\n", it.preempted.after.as_secs());
    }
    let cores = |it: crate::quota::Consumption| it.prod_shared.cpu_milli / 1000;
    text + &format!("  cores: {} → {}\n", cores(it.quota.before), cores(it.quota.after))
}

fn all(forecasts: &[Forecast]) -> String {
    forecasts.iter().map(told).collect()
}

fn production() -> (&'static str, Value) {
    ("/tier", json!("preferred"))
}

#[test]
fn what_fits_is_placed_and_what_does_not_says_why() {
    let world = World::new(&[host("a", 2, "r1"), host("b", 1, "r2")]);
    let forecasts = world.forecast(&[job("web", 4, &[]), job("api", 1, &[])]);
    assert_eq!(
        all(&forecasts),
        "\
web: 0 → 4
  a: 0,2
  b: 1
  3 waits: Insufficient: CPU (2)
  cores: 0 → 0
api: 0 → 1
  0 waits: Insufficient: CPU (2)
  cores: 0 → 0
"
    );
}

#[test]
fn who_would_have_to_give_way_is_named() {
    let mut world = World::new(&[host("a", 1, "r1"), host("b", 1, "r2")]);
    world.create(&job("batch", 2, &[])).unwrap();
    let forecasts = world.forecast(&[job("web", 1, &[production()]), job("more", 1, &[])]);
    assert_eq!(
        all(&forecasts),
        "\
web: 0 → 1
  0 waits: Insufficient: CPU (2)
  www/prod/batch/0 leaves a after 180 s
  cores: 0 → 1
more: 0 → 1
  0 waits: Insufficient: CPU (2)
  cores: 1 → 1
"
    );
}

#[test]
fn a_job_that_is_there_is_compared_and_refused() {
    let mut world = World::new(&[host("a", 9, "r1")]);
    world.create(&job("web", 3, &[])).unwrap();
    let other =
        job("web", 5, &[("/task/processes/0/cmdline", json!("walk")), ("/priority", json!(2))]);
    let active = all(&world.forecast(std::slice::from_ref(&other)));
    world.end(&other.key);
    let ended = all(&world.forecast(&[other]));
    assert_eq!(
        format!("{active}{ended}"),
        "\
web: 3 → 5
  refused: job www/prod/web is already active
  unlike 1 of 0-2: /priority /task/processes/0/cmdline
  cores: 0 → 0
web: 0 → 5
  unlike 1 of : /priority /task/processes/0/cmdline
  a: 0-4
  cores: 0 → 0
"
    );
}

#[test]
fn a_quota_counts_everything_that_was_asked_for_before() {
    let mut world = World::new(&[host("a", 9, "r1")]);
    world.quota("www", 4);
    world.create(&job("old", 1, &[production()])).unwrap();
    let jobs = [
        job("one", 2, &[production()]),
        job("two", 2, &[production()]),
        job("three", 1, &[production()]),
        job("free", 2, &[]),
        job("many", 60, &[]),
    ];
    assert_eq!(
        all(&world.forecast(&jobs)),
        "\
one: 0 → 2
  a: 0-1
  cores: 1 → 3
two: 0 → 2
  refused: role www may not have that: CPU quota exceeded by 1.00 core(s). Ask for less, end \
something, take a tier that gives way to others, or have the role's quota increased
  cores: 3 → 5
three: 0 → 1
  a: 0
  cores: 3 → 4
free: 0 → 2
  a: 0-1
  cores: 4 → 4
many: 0 → 60
  refused: job www/prod/many would have 60 instances, and 50 are allowed
  cores: 4 → 4
"
    );
}

fn any_job() -> impl Strategy<Value = config::Job> {
    let constraints = prop::sample::select(vec![
        json!({}),
        json!({"rack": "r0,r1"}),
        json!({"rack": "!r2"}),
        json!({"rack": "limit:3"}),
        json!({"host": "limit:1"}),
        json!({"host": "limit:2", "rack": "r1"}),
    ]);
    let command = prop::sample::select(vec![
        "run",
        "run {{thermos.ports[http]}}",
        "run {{thermos.ports[a]}} {{thermos.ports[b]}} {{thermos.ports[c]}}",
    ]);
    let cores = prop::sample::select(vec![0.5, 1.0, 2.0]);
    let name = prop::sample::select(vec!["a", "b", "c", "d"]);
    let needs = (constraints, command, cores, 0..3_i64, any::<bool>());
    (name, 1..25_u32, needs).prop_map(|(name, count, needs)| {
        let (constraints, command, cores, priority, is_production) = needs;
        let mut how = vec![
            ("/constraints", constraints),
            ("/task/processes/0/cmdline", json!(command)),
            ("/task/resources/cpu", json!(cores)),
            ("/priority", json!(priority)),
        ];
        how.extend(is_production.then(production));
        job(name, count, &how)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// Whatever runs already and however it got there, in whatever strides instances ask for
    /// places: what was forecast is what happens.
    #[test]
    fn what_was_forecast_is_what_happens(
        shapes in prop::collection::vec((1..6_u64, 0..4_u8), 1..40),
        jobs in prop::collection::vec((any_job(), any::<bool>()), 1..8),
        stride in 1..40_usize,
    ) {
        let hosts = shapes.iter().enumerate();
        let hosts: Vec<_> = hosts
            .map(|(it, (cores, rack))| host(&format!("h{it}"), *cores, &format!("r{rack}")))
            .collect();
        let mut world = World::new(&hosts);
        world.stride = stride;
        world.quota("www", 20);
        for (job, ends) in jobs {
            if ends {
                world.end(&job.key);
            }
            let forecast = world.forecast(std::slice::from_ref(&job)).remove(0);
            prop_assert_eq!(world.create(&job).err(), forecast.refusal.clone());
            if forecast.refusal.is_none() {
                prop_assert_eq!(world.placements(&job.key), forecast.placements);
                let waiting = forecast.pending.iter();
                let waiting = waiting.fold(InstanceSet::default(), |all, it| all.union(&it.0));
                prop_assert_eq!(world.waiting(&job.key), waiting);
            }
        }
    }
}
