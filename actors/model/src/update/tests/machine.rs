//! The whole table.

use super::*;

/// An update that is in this status.
fn in_status(status: Status) -> Update {
    let mut update = Scene::of(2, settings()).update;
    update.status = status;
    let is_back = matches!(
        status,
        Status::RollingBack | Status::RollBackPaused | Status::RollBackAwaitingPulse
    );
    if is_back {
        update.roll = Roll::new(Direction::Back, update.roll.order);
    }
    update
}

#[test]
fn the_whole_table() {
    let events = [
        Event::Look,
        Event::Looked(Sight::default()),
        Event::Permitted(set("0")),
        Event::PauseAsked(asked("")),
        Event::ResumeAsked(asked("")),
        Event::AbortAsked(asked("")),
        Event::RollbackAsked(asked("")),
        Event::Pulsed,
        Event::Pruned,
    ];
    let mut table = String::new();
    for status in Status::ALL {
        let update = in_status(status);
        let next = events.each_ref().map(|event| match update.step(Timestamp(9), event) {
            Ok(next) if next.events.is_empty() => "gone",
            Ok(next) => next.status.name(),
            Err(_) => "-",
        });
        table += &format!("{status:27} {}\n", next.join(" "));
    }
    assert_eq!(
        table,
        "\
ROLLING_FORWARD             - ROLLING_FORWARD - ROLL_FORWARD_PAUSED ROLLING_FORWARD ABORTED ROLLING_BACK ROLLING_FORWARD -
ROLL_FORWARD_PAUSED         - - - ROLL_FORWARD_PAUSED ROLLING_FORWARD ABORTED ROLLING_BACK ROLL_FORWARD_PAUSED -
ROLL_FORWARD_AWAITING_PULSE - - - ROLL_FORWARD_PAUSED - ABORTED ROLLING_BACK ROLLING_FORWARD -
ROLLING_BACK                - ROLLING_BACK - ROLL_BACK_PAUSED ROLLING_BACK ABORTED ROLLING_BACK ROLLING_BACK -
ROLL_BACK_PAUSED            - - - ROLL_BACK_PAUSED ROLLING_BACK ABORTED ROLLING_BACK ROLL_BACK_PAUSED -
ROLL_BACK_AWAITING_PULSE    - - - ROLL_BACK_PAUSED - ABORTED ROLLING_BACK ROLLING_BACK -
ROLLED_FORWARD              - - - - - - - - gone
ROLLED_BACK                 - - - - - - - - gone
ABORTED                     - - - - - - - - gone
ERROR                       - - - - - - - - gone
FAILED                      - - - - - - - - gone
"
    );
}

#[test]
fn what_may_follow_what_is_as_in_aurora() {
    let table = Status::ALL.map(|from| {
        let next = Status::ALL.into_iter().filter(|to| from.may_become(*to));
        format!("{from}: {}", next.map(Status::name).collect::<Vec<_>>().join(" "))
    });
    assert_eq!(
        table[..6].join("\n"),
        "\
ROLLING_FORWARD: ROLL_FORWARD_PAUSED ROLL_FORWARD_AWAITING_PULSE ROLLING_BACK ROLLED_FORWARD ABORTED ERROR FAILED
ROLL_FORWARD_PAUSED: ROLLING_FORWARD ROLL_FORWARD_AWAITING_PULSE ROLLING_BACK ABORTED ERROR
ROLL_FORWARD_AWAITING_PULSE: ROLLING_FORWARD ROLL_FORWARD_PAUSED ROLLING_BACK ABORTED ERROR
ROLLING_BACK: ROLL_BACK_PAUSED ROLL_BACK_AWAITING_PULSE ROLLED_BACK ABORTED ERROR FAILED
ROLL_BACK_PAUSED: ROLLING_BACK ROLL_BACK_AWAITING_PULSE ABORTED ERROR
ROLL_BACK_AWAITING_PULSE: ROLLING_BACK ROLL_BACK_PAUSED ABORTED ERROR"
    );
    assert!(table[6..].iter().all(|it| it.ends_with(": ")));
}

#[test]
fn s56_what_has_ended_cannot_be_rolled_back_and_what_is_paused_can() {
    let mut scene = Scene::of(1, settings());
    scene.goes_on(3);
    assert_eq!(scene.update.status, Status::RolledForward);
    let refused = scene.update.step(scene.now, &Event::RollbackAsked(asked(""))).unwrap_err();
    assert_eq!(refused.to_string(), "rollback does not apply to something ROLLED_FORWARD");
    let mut scene = Scene::of(2, settings());
    scene.goes_on(1);
    assert!(scene.happens(&Event::PauseAsked(asked(""))));
    assert!(scene.happens(&Event::RollbackAsked(asked(""))));
    scene.goes_on(4);
    assert_eq!((scene.update.status, scene.configs()), (Status::RolledBack, "0=1 1=1".into()));
}

#[test]
fn nothing_is_written_unless_something_is_otherwise() {
    let mut scene = Scene::of(2, settings());
    scene.look();
    let before = scene.update.clone();
    scene.obey();
    scene.look();
    // It watches, which nobody has to remember.
    assert_ne!(scene.update, before);
    assert!(scene.update.changes(Some(&before)).is_empty());
}

#[test]
fn what_is_forgotten_takes_its_events_with_it() {
    let mut scene = Scene::of(2, settings());
    scene.goes_on(5);
    let lots = scene.update.lots;
    let gone = scene.update.step(scene.now, &Event::Pruned).unwrap();
    let changes = gone.changes(Some(&scene.update));
    assert!(changes.iter().all(|it| it.record.is_none()));
    assert_eq!((changes.len(), gone.effects()), (lots as usize + 1, vec![]));
}
