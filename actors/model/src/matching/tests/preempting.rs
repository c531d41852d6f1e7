use std::time::Duration;

use super::scene::{Scene, config, demanding, host, of_role};
use crate::{
    config::TaskConfig, ids::TaskKey, machine::Timestamp, matching::Victim, preemption::Preemption,
    resources::Resources, task::Event, tier::Tier,
};

const MINUTE: Duration = Duration::from_secs(60);

/// What gives way to nobody.
fn firm(config: TaskConfig) -> TaskConfig {
    TaskConfig { class: Tier::default(), tier: "preferred".into(), ..config }
}

fn sized(config: TaskConfig, cores: u64, ram_mb: u64) -> TaskConfig {
    let resources = Resources { cpu_milli: cores * 1000, ram_mb, ..config.resources };
    TaskConfig { resources, ..config }
}

fn urgent(config: TaskConfig, priority: i64) -> TaskConfig {
    TaskConfig { priority, ..config }
}

impl Scene {
    fn wait(&mut self, minutes: u32) -> &mut Self {
        self.now = self.now + MINUTE * minutes;
        self
    }

    fn victims(&mut self) -> Vec<Victim> {
        self.matchmaker.preempt(self.now, &self.view, &Preemption::default())
    }

    /// Who has to give way, after a round in vain.
    fn preempt(&mut self) -> String {
        assert_eq!(self.round(), []);
        let victims = self.victims();
        let names = victims.iter().map(|it| format!("{}/{}", it.task.job.name, it.task.instance));
        names.collect::<Vec<_>>().join(" ")
    }

    /// It has been asked to give way, and has.
    fn yields(&mut self, task: &TaskKey) {
        let attempt = self.view.task_of(task).unwrap().attempt;
        self.tell(task, &Event::PreemptAsked { attempt, message: String::new() });
        let state = crate::wire::RunState::Killed;
        self.tell(task, &Event::Reported { attempt, state, message: String::new() });
    }
}

/// A host of four cores that is full of instances of one core.
fn full(tenant: &TaskConfig) -> Scene {
    let mut scene = Scene::new(&[host("h1", 4, &[])]);
    (0..4).for_each(|it| scene.put(tenant, 1, it, "h1"));
    scene
}

#[test]
fn s31_who_has_waited_for_long_takes_the_place_of_who_has_to_give_way() {
    let (soft, firm_one) = (config("batch"), firm(config("web")));
    for (tenant, seeker, leaves) in [
        (&soft, &firm_one, "batch/0"),
        (&soft, &firm(of_role("ads", "web")), "batch/0"),
        (&urgent(soft.clone(), 5), &urgent(config("web"), 10), "batch/0"),
        (&urgent(soft.clone(), 5), &urgent(config("web"), 5), ""),
        (&urgent(soft.clone(), 5), &urgent(of_role("ads", "web"), 10), ""),
        (&firm(soft.clone()), &urgent(config("web"), 10), ""),
        (&firm(soft.clone()), &firm_one, ""),
        (&firm(soft.clone()), &urgent(firm_one.clone(), 1), "batch/0"),
    ] {
        let mut scene = full(tenant);
        scene.seek(seeker, [0]);
        assert_eq!(scene.preempt(), "", "nobody has waited for long");
        assert_eq!(scene.wait(3).preempt(), leaves, "{tenant:?} {seeker:?}");
        assert_eq!(scene.wait(1).preempt(), "", "one place is enough");
    }
}

#[test]
fn s32_as_few_leave_as_make_room() {
    let mut scene = Scene::new(&[host("h1", 6, &[])]);
    let (small, big) = (sized(config("small"), 1, 512), sized(config("big"), 4, 4096));
    scene.put(&small, 1, 0, "h1");
    scene.put(&small, 1, 1, "h1");
    scene.put(&big, 1, 0, "h1");
    scene.seek(&firm(sized(config("web"), 2, 1024)), [0]);
    assert_eq!(scene.wait(3).preempt(), "big/0");
    assert_eq!(scene.matchmaker.numbers().preempted, [("preemptible".to_owned(), 1)].into());
}

#[test]
fn what_is_free_is_used_and_who_leaves_anyway_is_not_asked() {
    let mut scene = Scene::new(&[host("h1", 4, &[])]);
    (0..3).for_each(|it| scene.put(&config("batch"), 1, it, "h1"));
    let task = config("batch").job.task(0);
    scene.tell(&task, &Event::RestartAsked { message: String::new() });
    scene.seek(&firm(sized(config("web"), 2, 512)), [0]);
    assert_eq!(scene.wait(3).preempt(), "batch/1");

    let mut scene = full(&config("batch"));
    scene.seek(&firm(sized(config("web"), 5, 512)), [0]);
    assert_eq!(scene.wait(3).preempt(), "", "nobody leaves in vain");
}

#[test]
fn s34_a_place_that_was_made_is_kept_for_those_it_was_made_for() {
    let mut scene = full(&config("batch"));
    let (web, other) = (firm(config("web")), firm(config("other")));
    scene.seek(&web, [0]);
    assert_eq!(scene.wait(3).round(), []);
    let [victim] = <[_; 1]>::try_from(scene.victims()).unwrap();
    let id = scene.view.jobs[&web.job].tasks[&0].run.as_ref().unwrap().id.clone();
    assert_eq!(victim.message, format!("Preempting in favor of {id}"));
    assert_eq!(victim.attempt.0, 1);
    scene.yields(&victim.task);
    scene.seek(&other, [0]);
    let story = scene.story();
    assert!(story.contains("web/0 → h1\n"), "{story}");
    assert!(story.contains("other/0 waits: Insufficient: CPU"), "{story}");
}

#[test]
fn a_place_that_nobody_waits_for_any_more_is_anybodys() {
    let (web, other) = (firm(config("web")), firm(config("other")));
    let kept = || {
        let mut scene = full(&config("batch"));
        scene.seek(&web, [0]);
        assert_eq!(scene.wait(3).preempt(), "batch/0");
        scene
    };
    let mut scene = kept();
    scene.seek(&other, [0]);
    scene.matchmaker.withdraw(&web.job.task(0));
    scene.yields(&config("batch").job.task(0));
    assert!(scene.story().contains("other/0 → h1"));

    let mut scene = kept();
    scene.host(&host("h2", 1, &[]));
    assert!(scene.story().contains("web/0 → h2"));
    scene.seek(&other, [0]);
    scene.yields(&config("batch").job.task(0));
    assert!(scene.story().contains("other/0 → h1"));
}

#[test]
fn a_reservation_ends_when_its_time_is_up() {
    let mut scene = full(&config("batch"));
    let (web, other) = (firm(sized(config("web"), 2, 512)), firm(config("other")));
    scene.seek(&web, [0]);
    assert_eq!(scene.wait(3).preempt(), "batch/0 batch/1");
    scene.yields(&config("batch").job.task(0));
    scene.seek(&other, [0]);
    let story = scene.story();
    assert!(story.contains("other/0 waits: Host is reserved (1 of 1)"), "{story}");
    assert_eq!(scene.wait(2).round(), []);
    assert_eq!(scene.matchmaker.numbers().reserved, 1);
    assert!(scene.wait(1).story().contains("other/0 → h1"));
}

#[test]
fn whoever_gets_a_place_made_is_told_where_and_who_has_to_leave_it() {
    let mut scene = full(&config("batch"));
    scene.host(&host("h2", 1, &[]));
    scene.put(&firm(config("other")), 1, 0, "h2");
    let web = firm(sized(config("web"), 2, 512));
    scene.seek(&web, [0]);
    assert_eq!(scene.wait(3).preempt(), "batch/0 batch/1");
    let why = |scene: &mut Scene| {
        assert_eq!(scene.wait(1).round(), []);
        let told = scene.matchmaker.reasons(scene.now);
        let [(_, _, why)] = <[_; 1]>::try_from(told).unwrap();
        let places: Vec<_> = why.making.iter().map(|it| (&*it.host.0, it.ending.len())).collect();
        let vetoes: Vec<_> = why.vetoes.iter().map(|it| (it.reason.as_str(), it.hosts)).collect();
        format!("{places:?} {vetoes:?}")
    };
    let elsewhere = r#"[("Insufficient: CPU", 1)]"#;
    assert_eq!(why(&mut scene), format!(r#"[("h1", 2)] {elsewhere}"#));
    scene.yields(&config("batch").job.task(0));
    assert_eq!(why(&mut scene), format!(r#"[("h1", 1)] {elsewhere}"#));
    scene.yields(&config("batch").job.task(1));
    assert!(scene.story().contains("web/0 → h1"));

    let mut scene = full(&config("batch"));
    scene.seek(&web, [0]);
    assert_eq!(scene.wait(3).preempt(), "batch/0 batch/1");
    scene.host(&super::scene::down(host("h1", 4, &[])));
    assert_eq!(why(&mut scene), r#"[] [("Host is down", 1)]"#);
}

#[test]
fn dedicated_hosts_constraints_and_hosts_in_maintenance_are_respected() {
    let seeker = firm(demanding(&[("rack", "a")]));
    let tenant = config("batch");
    for (attributes, leaves) in [
        (vec![("rack", "a")], "batch/0"),
        (vec![("rack", "b")], ""),
        (vec![], ""),
        (vec![("rack", "a"), ("dedicated", "ads/any")], ""),
    ] {
        let mut scene = Scene::new(&[host("h1", 4, &attributes)]);
        (0..4).for_each(|it| scene.put(&tenant, 1, it, "h1"));
        scene.seek(&seeker, [0]);
        assert_eq!(scene.wait(3).preempt(), leaves, "{attributes:?}");
    }
    for host in [
        super::scene::down(host("h1", 4, &[])),
        super::scene::in_mode(
            host("h1", 4, &[]),
            crate::host::Mode::Drained { since: Timestamp(0) },
        ),
    ] {
        let mut scene = Scene::new(&[host]);
        (0..4).for_each(|it| scene.put(&tenant, 1, it, "h1"));
        scene.seek(&firm(config("web")), [0]);
        assert_eq!(scene.wait(3).preempt(), "");
    }
}

#[test]
fn a_limit_that_only_the_own_job_exhausts_is_no_obstacle_to_its_successor() {
    let old = demanding(&[("host", "limit:1")]);
    let new = firm(old.clone());
    let mut scene = Scene::new(&[host("h1", 4, &[])]);
    scene.put(&old, 1, 0, "h1");
    (0..3).for_each(|it| scene.put(&config("batch"), 1, it, "h1"));
    scene.seek_as(&new, 2, [1]);
    assert_eq!(scene.wait(3).preempt(), "web/0");
}

#[test]
fn groups_take_turns_and_every_host_is_made_free_once() {
    let hosts: Vec<_> = (0..4).map(|it| host(&format!("h{it}"), 1, &[])).collect();
    let mut scene = Scene::new(&hosts);
    (0..4).for_each(|it| scene.put(&config("batch"), 1, it, &format!("h{it}")));
    scene.seek(&firm(config("web")), 0..9);
    scene.seek(&firm(config("other")), [0]);
    assert_eq!(scene.wait(3).preempt().split(' ').count(), 4);
    let kept = |scene: &Scene, name| {
        let group = (config(name).job, crate::ids::ConfigId(1));
        scene.matchmaker.pool().reservations.of(&group)
    };
    assert_eq!((kept(&scene, "web"), kept(&scene, "other")), (3, 1));
    assert_eq!(scene.wait(1).preempt(), "");
}

#[test]
fn what_can_be_had_is_known_wherever_hosts_sit_down_again() {
    let mut scene = Scene::new(&[host("h0", 1, &[])]);
    scene.put(&config("batch"), 1, 0, "h0");
    scene.seek(&firm(config("web")), [0]);
    assert_eq!(scene.wait(3).preempt(), "batch/0");
    for it in 1..200 {
        scene.host(&host(&format!("h{it}"), 1, &[]));
        scene.put(&config("batch"), 1, it, &format!("h{it}"));
    }
    assert_eq!(scene.preempt(), "", "what is kept stays so");
    scene.seek(&firm(config("other")), 0..300);
    assert_eq!(scene.wait(3).preempt().split(' ').count(), 200);
}
