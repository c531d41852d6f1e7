use super::*;

fn reports(run: &Run) -> String {
    let effects = run.effects();
    let Effect::Report { state, message } = &effects[0] else { panic!("{effects:?}") };
    format!("{state:?} {message}")
}

fn unhealthy() -> Event {
    Event::Unhealthy { reason: "nobody answers".into() }
}

#[test]
fn e1_a_task_without_a_check_is_assumed_healthy_as_soon_as_it_runs() {
    let mut play = Play::new("", "a : 1+");
    assert_eq!(reports(&play.run), "Starting ");
    play.begin();
    assert_eq!(reports(&play.run), "Running No health-check defined, task is assumed healthy.");
    assert!(!play.run.effects().contains(&Effect::Check));
    play.until(9);
    assert_eq!(reports(&play.run), "Finished Task finished.");
}

#[test]
fn h1_a_task_with_a_check_is_starting_until_it_is_healthy() {
    let mut play = Play::new("checked", "a : 100+");
    assert!(!play.run.effects().contains(&Effect::Check), "there is nothing to be checked yet");
    play.begin().until(5);
    assert_eq!(reports(&play.run), "Starting ");
    assert!(play.run.effects().contains(&Effect::Check));
    assert!(!play.run.has_been_healthy());
    play.tell(&Event::Healthy);
    assert_eq!(reports(&play.run), "Running Task is healthy.");
    assert!(play.run.effects().contains(&Effect::Check), "it is looked after for all its life");
    assert!(play.run.has_been_healthy());
    assert!(play.run.step(play.now, &Event::Healthy).is_err(), "this is no news");
}

#[test]
fn e1_a_short_task_is_over_before_it_was_healthy() {
    let mut play = Play::new("checked", "a : 1+\n f final : 1+");
    play.begin();
    play.until(1);
    assert_eq!(play.run.stage.name(), "finalizing");
    assert_eq!(reports(&play.run), "Starting ");
    assert!(!play.run.effects().contains(&Effect::Check));
    play.until(9);
    assert_eq!(reports(&play.run), "Finished Task finished.");
}

#[test]
fn h4_an_unhealthy_task_is_ended_and_has_failed() {
    for was_healthy in [false, true] {
        let mut play = Play::new("checked", "a : 100+\n f final : 1+");
        play.begin().until(5);
        if was_healthy {
            play.tell(&Event::Healthy);
        }
        play.tell(&unhealthy());
        play.until(100);
        assert_told(
            &play.log,
            "0s active\n 0s a/0\n 5s cleaning\n 5s finalizing\n 5s f/0
             6s over\n 6s Failed: Failed health check! nobody answers",
        );
    }
}

#[test]
fn late_news_of_health_changes_nothing() {
    let mut play = Play::new("checked", "a stubborn : 100+");
    play.begin().until(5).kill(None);
    assert!(play.run.step(play.now, &unhealthy()).is_err());
    assert!(play.run.step(play.now, &Event::Healthy).is_err());
    let mut unchecked = Play::new("", "a : 100+");
    unchecked.begin();
    assert!(unchecked.run.step(unchecked.now, &unhealthy()).is_err());
    assert!(unchecked.run.step(unchecked.now, &Event::Healthy).is_err());
}

#[test]
fn e8_a_task_that_takes_more_than_its_share_is_ended_and_says_why() {
    let message = "Disk limit exceeded.  Reserved 128 bytes vs used 256 bytes.".to_owned();
    let mut play = Play::new("", "a : 100+\n b daemon : 1+\n f final : 1+");
    play.begin();
    play.tell(&Event::Exceeded { message: message.clone() });
    play.until(100);
    assert!(play.log.contains("0s finalizing\n"), "{}", play.log);
    assert!(play.log.ends_with(&format!("Failed: {message}\n")), "{}", play.log);
}

#[test]
fn finalizers_have_their_turn_in_a_full_sandbox_but_may_not_fill_it() {
    let excess = Event::Exceeded { message: "Disk limit exceeded.".into() };
    let processes = "a : 100+\n f final stubborn : 100+";
    // It still is too full: that is why it ends.
    let mut full = Play::new("", processes);
    full.begin();
    full.tell(&excess);
    full.until(1);
    assert_eq!(full.run.stage.name(), "finalizing");
    assert!(full.run.step(full.now, &excess).is_err());
    // It was killed for another reason, and now somebody fills it.
    let mut filled = Play::new("", processes);
    filled.begin().kill(None).until(1);
    filled.tell(&excess);
    filled.until(2);
    assert!(filled.log.ends_with("Killed: Instructed to kill task.\n"), "{}", filled.log);
    assert!(filled.log.contains("ending\n"), "{}", filled.log);
}
