//! Some go first, and are compared with the others.

use super::*;

fn with_canaries(rollback: bool) -> Scene {
    let canary = Canary { instances: 2, watch_ms: 10_000, rollback };
    Scene::of(
        6,
        Settings {
            strategy: Strategy::Queue { size: 4 },
            failures_of_instance_max: 9,
            canary: Some(canary),
            ..settings()
        },
    )
}

#[test]
fn canaries_that_do_as_well_as_the_others_are_followed_by_them() {
    let mut scene = with_canaries(false);
    scene.goes_on(5);
    assert_eq!(scene.tale(), "0 UPDATING, 1 UPDATING, 0 UPDATED, 1 UPDATED");
    // One of the others exits, and so does a canary: two of six are no worse than one of two.
    scene.exits(3);
    scene.is(3, task::Status::Running);
    scene.goes_on(16);
    let tale = scene.tale();
    assert!(tale.ends_with("ROLLED_FORWARD"), "{tale}");
}

#[test]
fn canaries_that_do_worse_stop_the_update_and_it_can_go_on_all_the_same() {
    let mut scene = with_canaries(false);
    scene.goes_on(5);
    scene.tale();
    scene.exits(1);
    scene.look();
    assert_eq!(
        scene.tale(),
        "ROLL_FORWARD_PAUSED: Canaries (0-1) do worse: 1 of 2 ended by themselves, 0 of the other 4"
    );
    scene.is(1, task::Status::Running);
    assert!(scene.happens(&Event::ResumeAsked(asked("it was the network"))));
    scene.goes_on(3);
    let tale = scene.tale();
    assert!(tale.starts_with("ROLLING_FORWARD: it was the network, 2 UPDATING"), "{tale}");
}

#[test]
fn or_send_it_back() {
    let mut scene = with_canaries(true);
    scene.goes_on(4);
    scene.tale();
    scene.is(1, task::Status::Starting);
    scene.goes_on(12);
    let tale = scene.tale();
    assert!(
        tale.starts_with(
            "ROLLING_BACK: Canaries (0-1) do worse: 1 of 2 are RUNNING, 4 of the other 4"
        ),
        "{tale}"
    );
    assert_eq!(scene.configs(), "0=1 1=1 2=1 3=1 4=1 5=1");
}
