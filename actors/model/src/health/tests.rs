use std::time::Duration;

use proptest::prelude::*;

use super::*;

/// `initial` seconds of grace, a check every 10.
fn pace(initial: u64, failures: u32, successes: u32) -> Pace {
    Pace {
        initial_interval: Duration::from_secs(initial),
        interval: Duration::from_secs(10),
        timeout: Duration::from_secs(1),
        max_consecutive_failures: failures,
        min_consecutive_successes: successes,
    }
}

/// What each check makes of it, `S` succeeding and `F` failing: `starting`, `healthy`, or the reason
/// why it is unhealthy; with the failures in a row, if there are any.
fn story(mut health: Health, checks: &str) -> String {
    let mut told = Vec::new();
    for check in checks.chars() {
        health = health.checked(check == 'S', "reason");
        let verdict = match &health.verdict {
            Verdict::Starting => "starting",
            Verdict::Healthy => "healthy",
            Verdict::Unhealthy { reason } => reason,
        };
        told.push(match health.consecutive_failures {
            0 => verdict.to_owned(),
            failures => format!("{verdict} {failures}"),
        });
    }
    told.join(", ")
}

fn new(initial: u64, failures: u32, successes: u32) -> Health {
    Health::new(&pace(initial, failures, successes))
}

#[test]
fn h1_one_success_is_enough() {
    assert_eq!(story(new(20, 0, 1), "S"), "healthy");
}

#[test]
fn h2_a_failure_at_first_is_forgiven() {
    assert_eq!(story(new(20, 0, 1), "FS"), "starting, healthy");
}

#[test]
fn h4_who_fails_beyond_the_grace_is_unhealthy() {
    assert_eq!(story(new(20, 0, 1), "FFF"), "starting, starting, reason 1");
}

#[test]
fn h5_who_fails_no_longer_than_the_grace_becomes_healthy() {
    assert_eq!(story(new(20, 0, 1), "FFS"), "starting, starting, healthy");
}

#[test]
fn h7_without_grace_the_first_failure_counts() {
    assert_eq!(story(new(0, 0, 1), "F"), "reason 1");
}

#[test]
fn h8_who_was_healthy_fails_when_too_many_checks_in_a_row_did() {
    let told = story(new(15, 2, 2), "SSFFF");
    assert_eq!(told, "starting, healthy, healthy 1, healthy 2, reason 3");
    let told = story(new(15, 2, 2), "SSFFSFF");
    assert_eq!(told, "starting, healthy, healthy 1, healthy 2, healthy, healthy 1, healthy 2");
}

#[test]
fn h10_failures_beyond_the_grace_count_though_there_are_attempts_left() {
    assert_eq!(story(new(15, 1, 2), "FFFF"), "starting, starting, starting 1, reason 2");
}

#[test]
fn h11_who_never_succeeds_often_enough_in_a_row_runs_out_of_attempts() {
    let late = "Not enough successful health checks in time.";
    let (passed, failed) = ("starting", "starting 1");
    // Of nine attempts the second is forgiven, and the tenth shows that there are no more.
    assert_eq!(
        story(new(15, 5, 2), "SFSFSFSFSF"),
        [
            passed,
            passed,
            passed,
            failed,
            passed,
            failed,
            passed,
            failed,
            passed,
            &format!("{late} 1")
        ]
        .join(", ")
    );
    assert!(story(new(15, 5, 2), "SFSFSFSFSS").ends_with("starting, healthy"));
}

#[test]
fn who_can_no_longer_succeed_often_enough_is_not_waited_for() {
    // Seven attempts, of which five have to succeed in a row: the third must not fail.
    let told = story(new(10, 1, 5), "SSF");
    assert_eq!(told, "starting, starting, reason 1");
    assert_eq!(story(new(10, 1, 5), "FFS"), "starting, starting 1, starting");
    assert!(story(new(10, 1, 5), "FFSSSSS").ends_with("healthy"));
}

#[test]
fn failures_within_the_grace_are_forgiven_even_to_the_healthy() {
    assert_eq!(story(new(30, 0, 1), "SFFF"), "healthy, healthy, healthy, reason 1");
}

#[test]
fn there_is_no_way_back_from_being_unhealthy() {
    assert_eq!(story(new(0, 0, 1), "FSS"), "reason 1, reason 1, reason 1");
}

#[test]
fn who_was_healthy_before_the_agent_restarted_still_is_and_is_not_forgiven_again() {
    let resumed = Health::resumed(&pace(30, 1, 3));
    assert_eq!(resumed.verdict(), &Verdict::Healthy);
    assert_eq!(story(resumed.clone(), "FS"), "healthy 1, healthy");
    assert_eq!(story(resumed, "FF"), "healthy 1, reason 2");
}

#[test]
fn nobody_is_healthy_before_a_check_succeeded() {
    assert_eq!(new(0, 0, 0).verdict(), &Verdict::Starting);
    assert_eq!(story(new(10, 0, 0), "FS"), "starting, healthy");
}

#[test]
fn the_largest_numbers_are_just_large() {
    let forever = Pace {
        initial_interval: Duration::MAX,
        interval: Duration::ZERO,
        ..pace(0, u32::MAX, u32::MAX)
    };
    assert_eq!(story(Health::new(&forever), "FSF"), "starting, starting, starting");
    assert_eq!(story(Health::resumed(&forever), "F"), "healthy 1");
}

#[test]
fn successes_and_failures_in_a_row_are_counted() {
    let health = "SSFS".chars().fold(new(0, 3, 9), |it, check| it.checked(check == 'S', ""));
    assert_eq!((health.consecutive_successes(), health.consecutive_failures()), (1, 0));
}

proptest! {
    #[test]
    fn whatever_the_checks_say(
        (initial, failures, successes) in (0..60_u64, 0..5_u32, 0..5_u32),
        checks in prop::collection::vec(any::<bool>(), 1..60),
    ) {
        let mut health = new(initial, failures, successes);
        let patience = initial.div_ceil(10) + u64::from(failures + successes) + 1;
        for (number, is_success) in (1..).zip(checks) {
            let next = health.checked(is_success, "reason");
            prop_assert!(next.consecutive_successes == 0 || next.consecutive_failures == 0);
            match (&health.verdict, &next.verdict) {
                (Verdict::Unhealthy { .. }, after) => prop_assert_eq!(&health.verdict, after),
                (Verdict::Healthy, after) => prop_assert_ne!(after, &Verdict::Starting),
                (Verdict::Starting, Verdict::Healthy) => prop_assert!(is_success),
                (Verdict::Starting, Verdict::Starting) => prop_assert!(number < patience),
                (Verdict::Starting, Verdict::Unhealthy { .. }) => {}
            }
            health = next;
        }
    }

    #[test]
    fn who_always_succeeds_is_healthy_as_soon_as_was_asked(
        (initial, failures, successes) in (0..60_u64, 0..5_u32, 0..5_u32),
    ) {
        let needed = successes.max(1) as usize;
        let told = story(new(initial, failures, successes), &"S".repeat(needed));
        prop_assert_eq!(told, "starting, ".repeat(needed - 1) + "healthy");
    }
}
