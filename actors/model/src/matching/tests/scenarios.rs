//! Scenarios by their numbers, and what an operator can choose.

use super::scene::*;
use crate::{
    config::TaskConfig,
    host::{Host, Mode},
    ids::{Attempt, ConfigId},
    machine::Timestamp,
    matching::{Order, Scheduling, VetoKind, reservations::For},
    preemption::Preemption,
    resources::Resources,
    spec::SlaPolicy,
    tier::Tier,
};

fn of_cores(cpu_milli: u64) -> TaskConfig {
    let config = config("web");
    TaskConfig { resources: Resources { cpu_milli, ..config.resources }, ..config }
}

fn draining(host: Host) -> Host {
    let policy = SlaPolicy::Percentage { percentage: 95.0, duration_secs: 1800 };
    let request = crate::host::DrainRequest { policy, timeout_secs: 1, by: "ada".into() };
    in_mode(host, Mode::Draining { since: Timestamp(0), request })
}

fn scheduled(host: Host) -> Host {
    in_mode(host, Mode::Scheduled { since: Timestamp(0) })
}

/// Where instances go, one after the other.
fn places(scene: &mut Scene, config: &TaskConfig, count: u32) -> Vec<String> {
    scene.seek(config, 0..count);
    let mut placed = scene.round();
    placed.sort_by_key(|it| it.task.instance);
    placed.into_iter().map(|it| it.at.host.to_string()).collect()
}

fn packing(order: Order) -> Scheduling {
    Scheduling { spread: None, order: vec![order], ..Scheduling::default() }
}

/// Scenario 22.
#[test]
fn s22_a_dedicated_host_is_nothing_for_others() {
    let hosts = [host("a", 4, &[("dedicated", "www/web")])];
    let text = story(&[(&config("web"), &[0])], &hosts);
    assert!(text.starts_with("web/0 waits: Host is dedicated (1 of 1)"), "{text}");
}

/// Scenario 25.
#[test]
fn s25_a_host_without_the_attribute_meets_a_negation_and_no_limit() {
    let hosts = [host("a", 4, &[])];
    assert_eq!(story(&[(&demanding(&[("rack", "!r1")]), &[0])], &hosts), "web/0 → a\n");
    let text = story(&[(&demanding(&[("rack", "limit:1")]), &[0])], &hosts);
    assert!(text.starts_with("web/0 waits: Constraint not satisfied: rack (1 of 1)"), "{text}");
}

/// Scenario 26.
#[test]
fn s26_hosts_awaiting_maintenance_come_last_and_those_in_it_never() {
    let hosts = [
        draining(host("draining", 9, &[])),
        scheduled(host("scheduled", 2, &[])),
        host("usual", 2, &[]),
    ];
    let mut scene = Scene::new(&hosts);
    let places = places(&mut scene, &config("web"), 5);
    assert_eq!(places, ["usual", "usual", "scheduled", "scheduled"]);
    let text = scene.story();
    assert!(text.contains("Host is draining for maintenance (1 of 3)"), "{text}");
    // It is given back.
    scene.host(&host("draining", 9, &[]));
    assert_eq!(scene.round().len(), 1);
}

/// Scenario 28.
#[test]
fn s28_the_fullest_host_that_suits_is_first() {
    let hosts = [host("eight", 8, &[]), host("four", 4, &[]), host("two", 2, &[])];
    let mut scene = Scene::with(packing(Order::Cpu), &hosts);
    let places = places(&mut scene, &config("web"), 7);
    assert_eq!(places, ["two", "two", "four", "four", "four", "four", "eight"]);
}

/// Scenario 29.
#[test]
fn s29_ports_run_short_and_shortages_are_scored() {
    let mut hosts = [host("a", 4, &[])];
    hosts[0].capacity.ports = vec![(31000, 31000)];
    let text = story(&[(&with_ports(&["admin", "http"]), &[0])], &hosts);
    assert!(text.starts_with("web/0 waits: Insufficient: ports (1 of 1)"), "{text}");
    for (short, score) in [(17_000, 1000), (1000, 62), (1, 1)] {
        assert_eq!(crate::matching::veto::score_of_cores(short), score);
    }
}

#[test]
fn an_instance_waits_for_the_host_that_is_kept_for_it() {
    let web = of_cores(1000);
    let mut scene = Scene::new(&[host("a", 1, &[]), host("b", 1, &[])]);
    scene.put(&config("other"), 1, 0, "b");
    scene.matchmaker.pool.reserve(&"b".into(), For::Instance(web.job.task(0)), Timestamp(9));
    scene.seek(&web, 0..2);
    let placed = scene.round();
    assert_eq!((placed.len(), &placed[0].task, &*placed[0].at.host.0), (1, &web.job.task(1), "a"));
    scene.end(&config("other").job.task(0));
    let placed = scene.round();
    assert_eq!((placed.len(), &placed[0].task, &*placed[0].at.host.0), (1, &web.job.task(0), "b"));
}

#[test]
fn who_restarts_comes_back_to_its_host_if_the_operator_wants_that() {
    for (update_affinity, stays) in [(true, true), (false, false)] {
        let scheduling = Scheduling { update_affinity, ..Scheduling::default() };
        let hosts: Vec<_> = (0..9).map(|it| host(&format!("h{it}"), 4, &[])).collect();
        let mut scene = Scene::with(scheduling, &hosts);
        let web = config("web");
        let before = places(&mut scene, &web, 1);
        // Others come, and where it was is not where it would go now.
        scene.restart(&web.job.task(0));
        scene.matchmaker.catch_up(&scene.view);
        let (first, other) = (before[0].as_str(), config("other"));
        scene.put(&web, 1, 7, first);
        scene.seek(&other, 0..9);
        scene.again(&web.job.task(0));
        let placed = scene.round();
        let it = placed.iter().find(|it| it.task == web.job.task(0)).unwrap();
        assert_eq!(it.at.host.to_string() == before[0], stays);
        assert_eq!(scene.matchmaker.numbers().reserved, 0);
    }
}

#[test]
fn instances_spread_over_whatever_the_operator_says() {
    let hosts: Vec<_> = (0..6)
        .map(|it| host(&format!("h{it}"), 9, &[("rack", if it < 4 { "r1" } else { "r2" })]))
        .chain([host("alone", 9, &[])])
        .collect();
    let scheduling = Scheduling { spread: Some("rack".into()), ..Scheduling::default() };
    let mut scene = Scene::with(scheduling, &hosts);
    places(&mut scene, &config("web"), 8);
    let on = |names: &[&str]| {
        let spread = scene.spread(&config("web"));
        names.iter().map(|&it| spread.get(&it.into()).copied().unwrap_or(0)).collect::<Vec<_>>()
    };
    // Two or three in each rack and in none; within a rack on each host.
    let mut racks = [on(&["h0", "h1", "h2", "h3"]), on(&["h4", "h5"]), on(&["alone"])]
        .map(|it| it.iter().sum::<u32>());
    racks.sort_unstable();
    assert_eq!(racks, [2, 3, 3]);
    assert!(on(&["h0", "h1", "h2", "h3"]).iter().all(|&it| it <= 1));
    assert!(on(&["h4", "h5"]).iter().all(|&it| (1..=2).contains(&it)));
}

#[test]
fn a_revocable_task_takes_its_cores_from_what_can_be_taken_back() {
    let class = Tier { preemptible: true, revocable: true };
    let revocable = TaskConfig { class, ..config("spare") };
    let mut generous = host("a", 1, &[]);
    generous.capacity.revocable = Resources { cpu_milli: 2000, ..Resources::default() };
    let mut scene = Scene::new(&[generous]);
    scene.seek(&revocable, 0..3);
    scene.seek(&config("firm"), 0..1);
    assert_eq!(
        scene.story(),
        "\
firm/0 → a
spare/0 → a
spare/1 → a
spare/2 waits: Insufficient: revocable CPU (1 of 1); a needs 1 more revocable core: 0 free of 2
"
    );
    let host = &scene.view.hosts[&"a".into()];
    assert_eq!((host.used.cpu_milli, host.revocable_used.cpu_milli), (1000, 2000));
}

#[test]
fn memory_that_can_be_taken_back_is_counted_where_an_operator_wants_it() {
    let class = Tier { preemptible: true, revocable: true };
    let revocable = TaskConfig { class, ..config("spare") };
    let mut generous = host("a", 1, &[]);
    generous.capacity.revocable =
        Resources { cpu_milli: 2000, ram_mb: 1024, ..Resources::default() };
    for (revocable_ram, firm, spare) in [(false, 1024, 0), (true, 0, 1024)] {
        let scheduling = Scheduling { revocable_ram, ..Scheduling::default() };
        let mut scene = Scene::with(scheduling, std::slice::from_ref(&generous));
        scene.seek(&revocable, 0..2);
        assert_eq!(scene.round().len(), 2);
        let host = &scene.view.hosts[&"a".into()];
        assert_eq!((host.used.ram_mb, host.revocable_used.ram_mb), (firm, spare));
        assert_eq!(host.free().ram_mb, 8192 - firm);
        let pool = scene.matchmaker.pool();
        assert_eq!(pool.seat(pool.find(&"a".into()).unwrap()).free.ram_mb, 8192 - firm);
    }
}

#[test]
fn cores_that_can_be_taken_back_are_made_free_by_who_has_some() {
    let class = Tier { preemptible: true, revocable: true };
    let revocable = TaskConfig { class, ..config("spare") };
    let mut generous = host("a", 1, &[]);
    generous.capacity.revocable = Resources { cpu_milli: 1000, ..Resources::default() };
    for (seeker, leaves) in [
        (TaskConfig { class: Tier::default(), ..config("web") }, Some("firm")),
        (TaskConfig { priority: 9, ..revocable.clone() }, Some("spare")),
        (TaskConfig { class: Tier::default(), ..of_cores(2000) }, None),
    ] {
        let seeker = TaskConfig { job: config("new").job, ..seeker };
        let mut scene = Scene::new(&[generous.clone()]);
        scene.put(&config("firm"), 1, 0, "a");
        scene.put(&revocable, 1, 0, "a");
        scene.seek(&seeker, [0]);
        assert_eq!(scene.round(), []);
        scene.now = Timestamp(180_000);
        let victims = scene.matchmaker.preempt(scene.now, &scene.view, &Preemption::default());
        let names: Vec<_> = victims.iter().map(|it| it.task.job.name.as_str()).collect();
        assert_eq!(names, Vec::from_iter(leaves), "{seeker:?}");
    }
}

/// What is said would help, for each kind of reason.
#[test]
fn each_reason_says_what_would_help() {
    let help = |config: &TaskConfig, hosts: &[Host]| {
        let mut scene = Scene::new(hosts);
        if let Some(full) = hosts.iter().find(|it| &*it.id.0 == "full") {
            (0..4).for_each(|it| scene.put(&super::scene::config("old"), 1, it, &full.id.0));
        }
        scene.seek(config, 0..1);
        assert_eq!(scene.round(), []);
        let (_, _, why) = scene.matchmaker.reasons(Timestamp(1)).remove(0);
        let lines = why.vetoes.iter().map(|it| format!("{}: {}\n", it.kind.name(), it.help));
        lines.collect::<String>()
    };
    let huge = TaskConfig {
        resources: Resources { cpu_milli: 20_500, ram_mb: 9216, disk_mb: 1, gpus: 0 },
        ..config("huge")
    };
    let text = [
        help(&config("web"), &[host("full", 4, &[])]),
        help(&of_cores(2500), &[host("full", 4, &[]), host("small", 2, &[])]),
        help(&huge, &[host("a", 4, &[]), host("b", 8, &[])]),
        help(&config("web"), &[host("a", 4, &[("dedicated", "ads/web")])]),
        help(&config("web"), &[down(host("a", 4, &[])), draining(host("b", 4, &[]))]),
        help(&demanding(&[("rack", "r3,r4")]), &[host("a", 4, &[("rack", "r1")])]),
        help(&demanding(&[("rack", "r3")]), &[host("a", 4, &[])]),
        help(&demanding(&[("rack", "!r1")]), &[host("a", 4, &[("rack", "r1")])]),
        help(&demanding(&[("rack", "limit:1")]), &[host("a", 4, &[])]),
        help(&with_ports(&["http"]), &[host("a", 4, &[])]),
    ]
    .concat();
    assert_eq!(
        text,
        "\
cpu: It has enough in all, but it is taken: free 1 more core there
cpu: One of them has enough in all, but it is taken: free 2.5 more cores there, or ask for no more than 2 cores
cpu: The largest of them has 8 cores in all: ask for no more than that
ram: The largest of them has 8192 MB in all: ask for no more than that
dedicated: They are kept for jobs with the constraint 'dedicated': ads/web
down: Nothing is heard of a: start the agent there
maintenance: When maintenance is over, `airglow host activate` gives back b
constraint: They have rack r1: allow that, or add hosts with r3 or r4
constraint: None of them has any rack: give rack r3 to some
constraint: Allow rack r1, or add hosts without it
constraint: Without rack nothing can be limited by it: give them one
ports: The largest of them has 0 ports in all: ask for no more than that
"
    );
    assert_eq!(VetoKind::Cpu.name(), "cpu");
}

#[test]
fn a_double_tells_what_happens_next() {
    let hosts: Vec<_> = (0..70).map(|it| host(&format!("h{it}"), 3, &[])).collect();
    let mut scene = Scene::new(&hosts);
    scene.seek(&config("old"), 0..50);
    scene.round();
    scene.seek(&config("underway"), 0..20);
    scene.matchmaker.catch_up(&scene.view);
    let underway = scene.matchmaker.round(scene.now);
    let web = config("web");
    let told = |scene: &Scene| {
        let mut double = scene.matchmaker.double();
        for instance in 0..200 {
            let task = web.job.task(instance);
            double.want(scene.now, task, Attempt(1), (ConfigId(1), &web.clone().into()));
        }
        (double.play_out(scene.now), double.reasons(scene.now))
    };
    let (placed, reasons) = told(&scene);
    assert_eq!((placed.clone(), reasons.clone()), told(&scene));
    underway.iter().for_each(|it| scene.accept(it));
    scene.seek(&web, 0..200);
    assert_eq!(scene.round(), placed);
    assert_eq!(placed.len(), 140);
    assert_eq!(reasons[0].1.to_string(), "140-199");
    assert_eq!(scene.matchmaker.reasons(scene.now), reasons);
}
