//! Forward and back.

use super::*;

#[test]
fn s41_instances_are_updated_one_after_the_other() {
    let mut scene = Scene::of(3, settings());
    scene.look();
    assert_eq!((scene.tale(), scene.demands()), ("0 UPDATING".into(), "0=2".into()));
    scene.obey();
    scene.look();
    assert_eq!((scene.tale(), scene.demands()), (String::new(), "0=2".into()));
    scene.goes_on(7);
    assert_eq!(
        scene.tale(),
        "0 UPDATED, 1 UPDATING, 1 UPDATED, 2 UPDATING, 2 UPDATED, ROLLED_FORWARD"
    );
    assert_eq!(scene.configs(), "0=2 1=2 2=2");
    assert_eq!(scene.update.effects(), [Effect::Release { newest: Some(ConfigId(NEW)) }]);
}

#[test]
fn s43_who_is_not_wanted_any_more_goes_last() {
    let mut scene = Scene::new("0-2", ["", "0", "1-2"], settings());
    scene.goes_on(6);
    let tale =
        "0 UPDATING, 0 UPDATED, 1 UPDATING, 1 UPDATED, 2 UPDATING, 2 UPDATED, ROLLED_FORWARD";
    assert_eq!((scene.tale(), scene.configs()), (tale.into(), "0=2".into()));
    let mut scene = Scene::new("0-2", ["", "", "1-2"], settings());
    assert_eq!(scene.update.target, None);
    scene.goes_on(2);
    assert_eq!(scene.configs(), "0=1");
    assert_eq!(scene.update.effects(), [Effect::Release { newest: None }]);
}

#[test]
fn s47_creation_change_removal_and_back_the_other_way_round() {
    let mut scene = Scene::new("0,2,4-6", ["1,3", "0,2", "4-6"], settings());
    scene.goes_on(11);
    let begun = |tale: &str, action: &str| {
        let all = tale.split(", ").filter_map(|it| it.strip_suffix(action));
        all.collect::<Vec<_>>().join(" ")
    };
    assert_eq!(begun(&scene.tale(), " UPDATING"), "1 3 0 2 4 5 6");
    assert_eq!(scene.configs(), "0=2 1=2 2=2 3=2");

    let mut scene = Scene::new("0,2,4-6", ["1,3", "0,2", "4-6"], settings());
    while scene.there.contains_key(&5) {
        scene.goes_on(1);
    }
    scene.tale();
    assert!(scene.happens(&Event::RollbackAsked(asked("no"))));
    scene.goes_on(16);
    let tale = scene.tale();
    assert!(tale.starts_with("ROLLING_BACK: no") && tale.ends_with("ROLLED_BACK"), "{tale}");
    assert_eq!(begun(&tale, " ROLLING_BACK"), "5 4 2 0 3 1");
    assert_eq!(scene.configs(), "0=1 2=1 4=1 5=1 6=1");
    assert_eq!(scene.update.effects(), [Effect::Release { newest: None }]);
}

#[test]
fn s48_one_that_fails_is_undone_and_what_was_not_touched_is_left_alone() {
    let mut scene = Scene::of(4, settings());
    scene.goes_on(3);
    assert_eq!(scene.tale(), "0 UPDATING, 0 UPDATED, 1 UPDATING");
    scene.exits(1);
    scene.look();
    assert_eq!(
        scene.tale(),
        "1 UPDATE_FAILED: exited (FAILED: exit code 1), ROLLING_BACK: Latest failure: instance 1 \
         exited (FAILED: exit code 1)., 1 ROLLING_BACK"
    );
    scene.goes_on(6);
    assert_eq!(scene.tale(), "1 ROLLED_BACK, 0 ROLLING_BACK, 0 ROLLED_BACK, ROLLED_BACK");
    assert_eq!(scene.configs(), "0=1 1=1 2=1 3=1");
}

#[test]
fn s49_or_it_stays_as_it_is() {
    let mut scene = Scene::of(3, Settings { rollback_on_failure: false, ..settings() });
    scene.goes_on(3);
    scene.exits(1);
    scene.look();
    let tale = scene.tale();
    assert!(tale.ends_with("FAILED: Latest failure: instance 1 exited (FAILED: exit code 1)."));
    assert_eq!(scene.configs(), "0=2 1=2 2=1");
    assert_eq!(scene.update.effects(), [Effect::Release { newest: None }]);
}

#[test]
fn s50_an_instance_may_fail_as_often_as_was_said_and_pauses_do_not_forgive() {
    let lenient = || Settings { failures_of_instance_max: 1, ..settings() };
    let mut scene = Scene::of(1, lenient());
    scene.goes_on(1);
    scene.exits(0);
    scene.look();
    scene.is(0, task::Status::Running);
    scene.goes_on(2);
    assert_eq!(scene.tale(), "0 UPDATING, 0 UPDATED, ROLLED_FORWARD");

    let mut scene = Scene::of(1, lenient());
    scene.goes_on(1);
    scene.exits(0);
    scene.look();
    assert!(scene.happens(&Event::PauseAsked(asked(""))));
    assert!(scene.happens(&Event::ResumeAsked(asked(""))));
    // As after a crash: only what was written is known.
    scene.update = Update { news: vec![], look_at: None, ..scene.update };
    scene.exits(0);
    scene.look();
    let tale = scene.tale();
    assert!(tale.contains("0 UPDATE_FAILED"), "{tale}");
}

#[test]
fn failed_instances_are_tolerated_as_many_as_was_said() {
    let mut scene = Scene::of(3, Settings { failed_instances_max: 1, ..settings() });
    scene.goes_on(1);
    scene.exits(0);
    scene.goes_on(7);
    let tale = scene.tale();
    assert!(tale.ends_with("1 UPDATED, 2 UPDATING, 2 UPDATED, ROLLED_FORWARD"), "{tale}");
    assert_eq!(scene.update.roll.failed.keys().collect::<Vec<_>>(), [&0]);
}

#[test]
fn a_rollback_that_fails_is_the_end_of_it() {
    let mut scene = Scene::of(2, settings());
    scene.goes_on(1);
    assert!(scene.happens(&Event::RollbackAsked(asked("no"))));
    scene.goes_on(1);
    scene.exits(0);
    scene.goes_on(1);
    let tale = scene.tale();
    assert!(tale.contains("0 ROLLBACK_FAILED: exited (FAILED: exit code 1)"), "{tale}");
    assert!(tale.contains("FAILED: Latest failure: instance 0"), "{tale}");
}

#[test]
fn what_failed_before_its_turn_is_forgiven() {
    let mut scene = Scene::of(1, settings());
    scene.goes_on(1);
    assert!(scene.happens(&Event::RollbackAsked(asked("no"))));
    scene.goes_on(1);
    // It has the old configuration again, under which it had exited before it was touched.
    let mut other = Scene::of(1, settings());
    other.exits(0);
    other.is(0, task::Status::Running);
    assert!(other.happens(&Event::RollbackAsked(asked("no"))));
    other.goes_on(3);
    assert!(other.tale().ends_with("ROLLED_BACK"));
}

#[test]
fn s52_a_batch_is_waited_for_and_whoever_watches_is_asked_before_the_next() {
    let strategy = Strategy::VariableBatch { sizes: vec![1, 2, 3], autopause: true };
    let mut scene = Scene::of(6, Settings { strategy, ..settings() });
    scene.goes_on(5);
    assert_eq!(scene.tale(), "0 UPDATING, 0 UPDATED, ROLL_FORWARD_PAUSED: Update auto paused");
    assert!(scene.happens(&Event::ResumeAsked(asked("good"))));
    scene.goes_on(5);
    assert_eq!(
        scene.tale(),
        "ROLLING_FORWARD: good, 1 UPDATING, 2 UPDATING, 1 UPDATED, 2 UPDATED, \
         ROLL_FORWARD_PAUSED: Update auto paused"
    );
    assert!(scene.happens(&Event::ResumeAsked(asked(""))));
    scene.goes_on(5);
    let tale = scene.tale();
    assert!(tale.ends_with("3 UPDATED, 4 UPDATED, 5 UPDATED, ROLLED_FORWARD"), "{tale}");
}

#[test]
fn a_group_that_is_right_already_is_passed_over() {
    let mut scene = Scene::of(4, settings());
    for instance in 0..3 {
        scene.run(instance, NEW);
    }
    scene.now = scene.now + Duration::from_secs(9);
    scene.look();
    assert_eq!((scene.tale(), scene.demands()), ("3 UPDATING".into(), "3=2".into()));
}

#[test]
fn s53_a_coordinated_update_goes_on_as_long_as_pulses_come() {
    let mut scene = Scene::of(2, Settings { pulse_ms: Some(10_000), ..settings() });
    assert_eq!(scene.update.status, Status::RollForwardAwaitingPulse);
    scene.goes_on(2);
    assert_eq!((scene.tale(), scene.demands()), (String::new(), "nothing".into()));
    assert!(scene.happens(&Event::Pulsed));
    scene.look();
    assert_eq!(scene.tale(), "ROLLING_FORWARD, 0 UPDATING");
    let due = scene.now + Duration::from_secs(10);
    assert_eq!(scene.update.deadline(), Some((due, Event::Look)));
    scene.now = due;
    scene.look();
    assert_eq!(
        scene.tale(),
        "ROLL_FORWARD_AWAITING_PULSE: Pulses from external service have timed out."
    );
    assert!(scene.happens(&Event::PauseAsked(asked(""))));
    assert!(scene.happens(&Event::Pulsed));
    assert_eq!(scene.update.status, Status::RollForwardPaused);
    scene.now = scene.now + Duration::from_secs(10);
    assert!(scene.happens(&Event::ResumeAsked(asked(""))));
    assert_eq!(scene.update.status, Status::RollForwardAwaitingPulse);
    assert!(scene.happens(&Event::Pulsed));
    scene.goes_on(9);
    assert_eq!(scene.update.status, Status::RolledForward);
    assert!(!scene.happens(&Event::Pulsed));
}

#[test]
fn s58_one_without_a_place_is_waited_for_unless_that_was_limited() {
    for (pending_ms_max, status) in
        [(None, Status::RollingForward), (Some(60_000), Status::RollingBack)]
    {
        let mut scene = Scene::of(2, Settings { pending_ms_max, ..settings() });
        scene.look();
        scene.run(0, NEW);
        scene.is(0, task::Status::Pending);
        scene.look();
        scene.now = scene.now + Duration::from_secs(9 * 3600);
        scene.look();
        assert_eq!(scene.update.status, status);
    }
}

#[test]
fn running_instances_wait_until_they_may_end() {
    let mut scene = Scene::new(
        "0-1",
        ["2", "0-1", ""],
        Settings { strategy: Strategy::Queue { size: 3 }, sla_aware: true, ..settings() },
    );
    scene.look();
    assert_eq!(scene.demands(), "2=2");
    let tale = scene.tale();
    assert!(tale.ends_with("0 UPDATING: Checking SLA before continuing., 1 UPDATING: Checking SLA before continuing."), "{tale}");
    assert!(scene.update.effects().contains(&Effect::AskToEnd));
    assert!(!scene.happens(&Event::Permitted(set("2"))));
    assert!(scene.happens(&Event::Permitted(set("1-2"))));
    assert_eq!(scene.demands(), "1-2=2");
    assert_eq!(scene.tale(), "1 UPDATING: SLA check passed, continuing.");
}
