use super::*;

/// From second 5 on, when the task is killed.
fn killed(task: &str, processes: &str, within_ms: Option<u64>) -> String {
    let mut play = Play::new(task, processes);
    play.begin().until(5).kill(within_ms).until(1000);
    play.log.split_once("leaving\n").map_or(String::new(), |(_, after)| after.to_owned())
}

#[test]
fn e10_a_task_is_asked_by_one_request_after_the_other_and_then_by_signals() {
    assert_told(
        &killed("farewells=heard,heard", "a : 1000+\n f final : 1+", None),
        "5s POST /leave1\n 10s POST /leave2\n 15s cleaning\n 15s finalizing\n 15s f/0
         16s over\n 16s Killed: Instructed to kill task.",
    );
}

#[test]
fn e10_who_does_as_it_was_asked_is_not_asked_further() {
    assert_told(
        &killed("farewells=heard,heard", "a : 7+\n f final : 1+", None),
        "5s POST /leave1\n 7s finalizing\n 7s f/0
         8s over\n 8s Killed: Instructed to kill task.",
    );
}

#[test]
fn e10_nobody_waits_for_who_does_not_answer() {
    assert_told(
        &killed("farewells=deaf,heard", "a : 1000+", None),
        "5s POST /leave1\n 5s POST /leave2\n 10s cleaning
         10s over\n 10s Killed: Instructed to kill task.",
    );
    assert_told(
        &killed("farewells=deaf,deaf", "a : 1000+", None),
        "5s POST /leave1\n 5s POST /leave2\n 5s cleaning
         5s over\n 5s Killed: Instructed to kill task.",
    );
}

#[test]
fn nobody_waits_for_ever_for_whoever_says_the_farewell() {
    assert_told(
        &killed("farewells=mute", "a : 1000+", None),
        "5s POST /leave1\n 10s cleaning\n 10s over\n 10s Killed: Instructed to kill task.",
    );
}

#[test]
fn e10_a_task_with_nothing_to_ask_gets_signals_at_once() {
    let mut play = Play::new("", "a : 1000+");
    play.begin().until(5).kill(None).until(1000);
    assert_told(
        &play.log,
        "0s active\n 0s a/0\n 5s cleaning\n 5s over\n 5s Killed: Instructed to kill task.",
    );
}

#[test]
fn nothing_starts_while_the_task_is_leaving() {
    let told =
        killed("farewells=heard a<c", "a : 6+\n b : 8+\n c : 1+\n d daemon wait=0 : 6+", None);
    assert_told(&told, "5s POST /leave1\n 8s over\n 8s Killed: Instructed to kill task.");
}

#[test]
fn a_task_of_which_nothing_runs_just_then_is_not_asked() {
    let mut play = Play::new("farewells=heard", "a daemon wait=60 : 1+");
    play.begin().until(5).kill(None).until(1000);
    assert_told(&play.log, "0s active\n 0s a/0\n 5s over\n 5s Killed: Instructed to kill task.");
}

#[test]
fn what_ended_processes_left_behind_may_answer_as_well() {
    let mut play = Play::new("farewells=heard", "a : 1+\n b daemon wait=60 : 1+");
    play.begin();
    play.leave_behind("a");
    play.until(3).kill(None);
    assert_eq!(play.run.stage.name(), "leaving");
    play.tell(&Event::Gone);
    assert!(play.run.is_over());
}

#[test]
fn all_that_ends_a_task_from_outside_asks_it_first() {
    let ends = [
        Event::Unhealthy { reason: "no".into() },
        Event::Exceeded { message: "too much".into() },
        Event::KillAsked { message: "away".into(), within_ms: None },
    ];
    for end in ends {
        let mut play = Play::new("checked farewells=heard", "a : 100+");
        play.begin();
        play.tell(&end);
        assert_eq!(play.run.stage.name(), "leaving", "{end:?}");
    }
}

#[test]
fn a_task_that_ends_by_itself_is_not_asked() {
    let failed = story("farewells=heard", "a : 1-\n b : 100+");
    assert!(!failed.contains("POST"), "{failed}");
}

#[test]
fn whoever_is_in_a_hurry_leaves_the_requests_out() {
    let mut play = Play::new("farewells=heard,heard", "a stubborn : 1000+");
    play.begin().until(5).kill(Some(7000)).until(1000);
    assert_told(
        &play.log,
        "0s active\n 0s a/0\n 5s cleaning
         12s ending\n 12s over\n 12s Killed: Instructed to kill task.",
    );
}

#[test]
fn a_hurry_may_come_later_and_is_never_taken_back() {
    let mut play = Play::new("farewells=heard,heard", "a stubborn : 1000+");
    play.begin().kill(None).until(2).kill(Some(4000)).until(3).kill(Some(60_000)).until(1000);
    assert_told(
        &play.log,
        "0s active\n 0s a/0\n 0s leaving\n 0s POST /leave1\n 2s cleaning
         6s ending\n 6s over\n 6s Killed: Instructed to kill task.",
    );
}

#[test]
fn an_answer_that_nobody_waits_for_changes_nothing() {
    let said = |step| Event::FarewellSaid { step, answered: true };
    let mut play = Play::new("farewells=heard,mute", "a : 100+");
    play.begin();
    assert!(play.run.step(play.now, &said(0)).is_err(), "nobody asked");
    play.kill(None);
    assert!(play.run.step(play.now, &said(0)).is_err(), "it has answered");
    play.until(6);
    assert!(play.run.step(play.now, &said(0)).is_err(), "that was the one before");
    assert!(play.run.step(play.now, &said(1)).is_ok());
}

#[test]
fn a_task_that_is_leaving_is_asked_again_after_a_crash_until_it_has_answered() {
    let mut play = Play::new("farewells=mute", "a : 100+");
    play.begin().kill(None);
    assert!(play.run.effects().contains(&Effect::Farewell { step: 0 }));
    play.tell(&Event::FarewellSaid { step: 0, answered: true });
    assert!(!play.run.effects().contains(&Effect::Farewell { step: 0 }));
}
