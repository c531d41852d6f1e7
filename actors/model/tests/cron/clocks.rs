//! Clocks that are set forward and back. Each line: a schedule, and what the clock shows when it is
//! due, with its distance from UTC, so that the two passes of an hour can be told apart.

use airglow_model::machine::Timestamp;

use crate::{at, schedule, zone};

/// What is due after `from`, for as long as `hours`, by that clock.
fn due(clock: &str, text: &str, from: &str, hours: u64) -> String {
    let (clock, schedule, from) = (zone(clock), schedule(text), at(from));
    let until = Timestamp(from.0 + hours * 3_600_000);
    let all = clock.all(&schedule, from).take_while(|it| *it <= until);
    let shown = |it: Timestamp| {
        let at = jiff::Timestamp::from_millisecond(i64::try_from(it.0).unwrap()).unwrap();
        let zoned = at.in_tz(clock.name()).unwrap();
        zoned.strftime("%d %H:%M%:z").to_string()
    };
    all.map(shown).collect::<Vec<_>>().join(", ")
}

#[test]
fn berlin_skips_an_hour() {
    // 2027-03-28: 02:00+01 becomes 03:00+02.
    let due = |text| due("Europe/Berlin", text, "2027-03-27T23:00:00Z", 4);
    assert_eq!(due("30 2 * * *"), "28 03:00+02:00");
    assert_eq!(due("*/15 2 * * *"), "28 03:00+02:00");
    assert_eq!(
        due("0,30 1-3 * * *"),
        "28 01:00+01:00, 28 01:30+01:00, 28 03:00+02:00, 28 03:30+02:00"
    );
    assert_eq!(
        due("30 1-4 * * *"),
        "28 01:30+01:00, 28 03:00+02:00, 28 03:30+02:00, 28 04:30+02:00"
    );
    assert_eq!(due("0 */2 * * *"), "28 03:00+02:00, 28 04:00+02:00");
    assert_eq!(due("0 3 * * *"), "28 03:00+02:00");
    assert_eq!(
        due("*/30 * * * *"),
        "28 00:30+01:00, 28 01:00+01:00, 28 01:30+01:00, 28 03:00+02:00, \
        28 03:30+02:00, 28 04:00+02:00, 28 04:30+02:00, 28 05:00+02:00"
    );
    assert_eq!(due("15 * * * *"), "28 00:15+01:00, 28 01:15+01:00, 28 03:15+02:00, 28 04:15+02:00");
    assert_eq!(due("30 2 28 3 *"), "28 03:00+02:00");
    assert_eq!(due("30 2 29 3 *"), "");
}

#[test]
fn berlin_repeats_an_hour() {
    // 2027-10-31: 03:00+02 becomes 02:00+01.
    let due = |text| due("Europe/Berlin", text, "2027-10-30T22:30:00Z", 4);
    assert_eq!(due("30 2 * * *"), "31 02:30+02:00");
    assert_eq!(due("*/20 2 * * *"), "31 02:00+02:00, 31 02:20+02:00, 31 02:40+02:00");
    assert_eq!(due("0 2,3 * * *"), "31 02:00+02:00, 31 03:00+01:00");
    assert_eq!(due("0 * * * *"), "31 01:00+02:00, 31 02:00+02:00, 31 02:00+01:00, 31 03:00+01:00");
    assert_eq!(
        due("*/30 * * * *"),
        "31 01:00+02:00, 31 01:30+02:00, 31 02:00+02:00, 31 02:30+02:00, \
        31 02:00+01:00, 31 02:30+01:00, 31 03:00+01:00, 31 03:30+01:00"
    );
    // From within the second pass.
    let late = |text| super::clocks::due("Europe/Berlin", text, "2027-10-31T01:10:00Z", 2);
    assert_eq!(late("30 2 * * *"), "");
    assert_eq!(late("30 * * * *"), "31 02:30+01:00, 31 03:30+01:00");
}

#[test]
fn new_york_skips_and_repeats_an_hour() {
    // 2027-03-14: 02:00-05 becomes 03:00-04; 2027-11-07: 02:00-04 becomes 01:00-05.
    let spring = |text| due("America/New_York", text, "2027-03-14T05:00:00Z", 4);
    assert_eq!(spring("15 2 * * *"), "14 03:00-04:00");
    assert_eq!(spring("0 2-4 * * SUN"), "14 03:00-04:00, 14 04:00-04:00");
    assert_eq!(
        spring("45 * * * *"),
        "14 00:45-05:00, 14 01:45-05:00, 14 03:45-04:00, 14 04:45-04:00"
    );
    let autumn = |text| due("America/New_York", text, "2027-11-07T04:30:00Z", 3);
    assert_eq!(autumn("30 1 * * *"), "07 01:30-04:00");
    assert_eq!(autumn("*/30 1 * * *"), "07 01:00-04:00, 07 01:30-04:00");
    assert_eq!(autumn("0 * * * *"), "07 01:00-04:00, 07 01:00-05:00, 07 02:00-05:00");
}

#[test]
fn lord_howe_sets_its_clock_by_half_an_hour() {
    // 2027-10-03: 02:00+10:30 becomes 02:30+11; 2027-04-04: 02:00+11 becomes 01:30+10:30.
    let spring = |text| due("Australia/Lord_Howe", text, "2027-10-02T14:00:00Z", 3);
    assert_eq!(spring("15 2 * * *"), "03 02:30+11:00");
    assert_eq!(spring("0,30 2 * * *"), "03 02:30+11:00");
    assert_eq!(
        spring("*/15 * * * *"),
        "03 00:45+10:30, 03 01:00+10:30, 03 01:15+10:30, 03 01:30+10:30, \
        03 01:45+10:30, 03 02:30+11:00, 03 02:45+11:00, 03 03:00+11:00, 03 03:15+11:00, 03 03:30+11:00, \
        03 03:45+11:00, 03 04:00+11:00"
    );
    let autumn = |text| due("Australia/Lord_Howe", text, "2027-04-03T14:00:00Z", 2);
    assert_eq!(autumn("45 1 * * *"), "04 01:45+11:00");
    assert_eq!(
        autumn("*/15 * * * *"),
        "04 01:15+11:00, 04 01:30+11:00, 04 01:45+11:00, 04 01:30+10:30, \
        04 01:45+10:30, 04 02:00+10:30, 04 02:15+10:30, 04 02:30+10:30"
    );
}

#[test]
fn a_day_without_a_midnight_begins_when_it_begins() {
    // 2018-11-04 in São Paulo and 2027-03-28 in Beirut begin at 01:00.
    let daily = |clock, from| due(clock, "@daily", from, 49);
    assert_eq!(
        daily("America/Sao_Paulo", "2018-11-03T04:00:00Z"),
        "04 01:00-02:00, 05 00:00-02:00"
    );
    assert_eq!(daily("Asia/Beirut", "2027-03-27T00:00:00Z"), "28 01:00+03:00, 29 00:00+03:00");
    assert_eq!(due("Asia/Beirut", "30 0 28 3 *", "2027-03-27T00:00:00Z", 48), "28 01:00+03:00");
    assert_eq!(due("Asia/Beirut", "0 0 * * SUN", "2027-03-27T00:00:00Z", 48), "28 01:00+03:00");
    // The evening before is told apart from the day that begins: it repeats its last hour.
    assert_eq!(due("Asia/Beirut", "30 23 * * *", "2027-10-30T18:00:00Z", 8), "30 23:30+03:00");
    assert_eq!(due("Asia/Beirut", "0 0 * * *", "2027-10-30T18:00:00Z", 8), "31 00:00+02:00");
}

#[test]
fn a_day_that_was_left_out_is_made_up_for_at_the_start_of_the_next() {
    // Samoa had no 2011-12-30.
    let due = |text| due("Pacific/Apia", text, "2011-12-29T12:00:00Z", 48);
    assert_eq!(due("0 9 * * *"), "29 09:00-10:00, 31 00:00+14:00, 31 09:00+14:00");
    assert_eq!(due("0 9 30 12 *"), "31 00:00+14:00");
}
