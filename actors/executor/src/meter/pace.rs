//! How often to look. Looking costs, and is not what the machine is there for.

use std::time::Duration;

use airglow_model::retention::Disk;

const SECOND: Duration = Duration::from_secs(1);

/// How often the actor wakes up while there are tasks, and what it then does is decided here.
pub(super) const TICK: Duration = SECOND;

const SOON: Duration = Duration::from_secs(5);
const LATE: Duration = Duration::from_secs(60);

/// How long after a look through all processes the next is due: a fiftieth of a core at most.
pub(super) fn until_next_scan(took: Duration) -> Duration {
    (took * 50).clamp(SOON, LATE)
}

/// How long after a walk through a sandbox the next is due: a hundredth of a core, or, where that
/// is more than a minute, a twentieth: nobody fills the disk by having a million files.
pub(super) fn until_next_walk(took: Duration) -> Duration {
    (took * 100).clamp(SOON, LATE).max(took * 20)
}

/// The longest that a worker walks before it asks whether to go on.
pub(super) const STRIDE: Duration = Duration::from_millis(20);

/// All walks together take a twentieth of a core, however many sandboxes there are; half of one
/// while the disk is filling up.
pub(super) fn rest(took: Duration, is_urgent: bool) -> Duration {
    if is_urgent { took } else { took * 19 }
}

/// At this pace there would soon be nothing left, or a hundredth of all of it went at once.
pub(super) fn is_filling_up(before: Disk, now: Disk, passed: Duration) -> bool {
    let went = before.free.saturating_sub(now.free) as f64;
    let pace = went / passed.max(TICK).as_secs_f64();
    let lasts = LATE.as_secs_f64();
    0.0 < went && ((now.free as f64) < pace * lasts || now.size as f64 / 100.0 < went)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn the_more_it_costs_the_less_often_it_is_done() {
        let scans = [ms(0), ms(100), ms(200), ms(10_000)].map(until_next_scan);
        assert_eq!(scans, [ms(5_000), ms(5_000), ms(10_000), ms(60_000)]);
        let walks = [ms(0), ms(50), ms(100), ms(600), ms(3_000), ms(6_000)].map(until_next_walk);
        let expected = [5_000, 5_000, 10_000, 60_000, 60_000, 120_000].map(ms);
        assert_eq!(walks, expected);
        assert_eq!(rest(ms(20), false), ms(380));
        assert_eq!(rest(ms(20), true), ms(20));
    }

    #[test]
    fn a_disk_that_is_filling_up_is_noticed() {
        let disk = |free| Disk { size: 1000, free };
        let is_filling_up = |before, now| is_filling_up(disk(before), disk(now), SECOND);
        assert!(!is_filling_up(500, 500));
        assert!(!is_filling_up(500, 600));
        assert!(!is_filling_up(900, 895));
        assert!(is_filling_up(900, 889), "more than a hundredth");
        assert!(is_filling_up(200, 195), "40 seconds are left");
        assert!(!is_filling_up(0, 0));
    }
}
