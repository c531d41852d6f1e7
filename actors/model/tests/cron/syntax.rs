//! What is understood, under one name, and what is refused, with a sentence that helps.

use airglow_model::cron::{Schedule, Zone};

use crate::{at, schedule, zone};

#[test]
fn schedules_that_mean_the_same_have_one_canonical_text() {
    for (text, canonical) in [
        ("* * * * *", "* * * * *"),
        ("0-59 0-23 1-31 1-12 0-6", "* * * * *"),
        ("*/1 * * * *", "* * * * *"),
        ("*, *, *, *, *,", "* * * * *"),
        (",5, 0 * * *", "5 0 * * *"),
        ("  0   0 \t * * * ", "0 0 * * *"),
        ("*/15 * * * *", "0,15,30,45 * * * *"),
        ("5/15 * * * *", "5,20,35,50 * * * *"),
        ("1-5,3-9,20 * * * *", "1-9,20 * * * *"),
        ("59,58,57,0 23 * * *", "0,57-59 23 * * *"),
        ("0 0 * JAN-MAR,jun *", "0 0 * 1-3,6 *"),
        ("0 0 * NOV-FEB *", "0 0 * 1-2,11-12 *"),
        ("0 0 * * 7", "0 0 * * 0"),
        ("0 0 * * SUN", "0 0 * * 0"),
        ("0 0 * * 5-7", "0 0 * * 0,5-6"),
        ("0 0 * * fri-mon", "0 0 * * 0-1,5-6"),
        ("0 0 * * MON-SUN", "0 0 * * *"),
        ("0 0 * * 0-7", "0 0 * * *"),
        ("0 0 * * 6-6", "0 0 * * 6"),
        ("0 0 13 * FRI", "0 0 13 * 5"),
        ("0 0 */2 * *", "0 0 1,3,5,7,9,11,13,15,17,19,21,23,25,27,29,31 * *"),
        // A leading star says that both have to match, so it stays.
        ("0 0 */2 * MON", "0 0 */2 * 1"),
        ("0 0 */10,5 * MON", "0 0 */10,5 * 1"),
        ("0 0 1-7 * */2", "0 0 1-7 * */2"),
        ("@hourly", "0 * * * *"),
        ("@daily", "0 0 * * *"),
        ("@Midnight", "0 0 * * *"),
        ("@weekly", "0 0 * * 0"),
        ("@monthly", "0 0 1 * *"),
        ("@yearly", "0 0 1 1 *"),
        ("@annually", "0 0 1 1 *"),
    ] {
        let read = schedule(text);
        assert_eq!(read.canonical(), canonical, "{text}");
        assert_eq!(schedule(canonical).canonical(), canonical, "{text}");
        let texts = text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(read.text(), texts);
        let (utc, start) = (zone("UTC"), at("2027-01-01T00:00:00Z"));
        let due = |it: &Schedule| utc.all(it, start).take(5).collect::<Vec<_>>();
        assert_eq!(due(&read), due(&schedule(canonical)), "{text}");
    }
}

/// As it always has: people write "the first Monday of a month" in that way.
#[test]
fn a_day_field_that_begins_with_a_star_restricts_the_other() {
    let due = |text| {
        let (utc, schedule) = (zone("UTC"), schedule(text));
        let all = utc.all(&schedule, at("2027-01-01T00:00:00Z")).take(3);
        all.map(|it| utc.shows(it)[..10].to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(due("0 0 */30 * SUN"), ["2027-01-31", "2027-08-01", "2027-10-31"]);
    assert_eq!(due("0 0 1,31 * SUN"), ["2027-01-03", "2027-01-10", "2027-01-17"]);
}

#[test]
fn what_makes_no_sense_is_refused_and_what_to_write_is_said() {
    let mistakes = [
        ("", "this has none: write '0 * * * *' for hourly"),
        (
            "* * * *",
            "has 4 field(s): write five (minute, hour, day of the month, month and day of the week), and * for any",
        ),
        (
            "0 0 * * * *",
            "has 6 field(s): write five (minute, hour, day of the month, month and day of the week); there are no seconds and no years",
        ),
        ("0 0 * * * * 2027", "has 7 field(s)"),
        ("60 * * * *", "The minutes cannot be '60': write 0 to 59, or * for any"),
        ("-1 * * * *", "The minutes cannot be ''"),
        ("+5 * * * *", "The minutes cannot be '+5'"),
        ("* 24 * * *", "The hours cannot be '24': write 0 to 23"),
        ("* * 0 * *", "The days of the month cannot be '0': write 1 to 31"),
        ("* * 32 * *", "The days of the month cannot be '32'"),
        ("* * * 13 *", "The months cannot be '13': write 1 to 12, or JAN to DEC, or * for any"),
        ("* * * * 8", "The days of the week cannot be '8': write 0 to 7, or SUN to SAT"),
        ("* * * * MONDAY", "The days of the week cannot be 'MONDAY'"),
        ("* MON * * *", "The hours cannot be 'MON'"),
        ("? * * * *", "The minutes cannot be '?'"),
        ("* * L * *", "The days of the month cannot be 'L'"),
        ("* * * * 5#3", "The days of the week cannot be '5#3'"),
        ("1-2-3 * * * *", "The minutes cannot be '2-3'"),
        ("*-5 * * * *", "The minutes cannot be '*'"),
        (", * * * *", "The minutes ',' are none: write * for any"),
        ("*/0 * * * *", "the step is 0: write */1 for each"),
        ("*/x * * * *", "the step 'x' is no number"),
        ("*/ * * * *", "the step '' is no number"),
        ("*/5/5 * * * *", "the step '5/5' is no number"),
        ("0-59/60 * * * *", "the step of 60 leaves one value: write that one, or a step up to 59"),
        ("* */24 * * *", "the step of 24 leaves one value"),
        ("* * */31 * *", "the step of 31 leaves one value"),
        ("* * * * */7", "the step of 7 leaves one value"),
        ("50-10 * * * *", "The minutes '50-10' run backwards: write 50-59,0-10"),
        ("* 22-2 * * *", "The hours '22-2' run backwards: write 22-23,0-2"),
        ("* * * * 5-1", "The days of the week '5-1' run backwards: write 5-6,0-1"),
        ("0 0 31 2 *", "'0 0 31 2 *' never comes"),
        ("0 0 30 FEB *", "there is no such day in FEB; write one that there is"),
        ("0 0 31 4,6,9,11 *", "there is no such day in APR, JUN, SEP, NOV;"),
        ("0 0 31 2 */2", "never comes"),
        ("@reboot", "'@reboot' is no schedule: write one of @hourly, @daily"),
        ("@every 5m", "'@every 5m' is no schedule"),
    ];
    for (text, expected) in mistakes {
        let mistake = text.parse::<Schedule>().expect_err(text);
        assert!(mistake.contains(expected), "{text}: {mistake}");
    }
}

#[test]
fn a_day_that_seldom_comes_is_found_and_there_is_always_a_next_time() {
    let utc = zone("UTC");
    for (text, after, next) in [
        ("0 0 29 2 *", "2096-03-01T00:00:00Z", "2104-02-29T00:00:00Z"),
        ("0 0 29 2 */6", "2027-01-01T00:00:00Z", "2032-02-29T00:00:00Z"),
        ("0 0 31 2 MON", "2027-01-01T00:00:00Z", "2027-02-01T00:00:00Z"),
        ("59 23 31 12 *", "2027-12-31T23:59:00Z", "2028-12-31T23:59:00Z"),
    ] {
        assert_eq!(utc.next(&schedule(text), at(after)), Some(at(next)), "{text}");
    }
    let end = at("9999-12-30T22:00:00Z");
    assert_eq!(utc.next(&schedule("0 0 1 1 *"), end), None, "the calendar ends");
}

#[test]
fn a_clock_is_known_by_its_name_and_a_wrong_one_is_corrected() {
    for (name, known) in
        [("UTC", "UTC"), ("utc", "UTC"), ("GMT", "GMT"), ("europe/berlin", "Europe/Berlin")]
    {
        assert_eq!(zone(name).name(), known);
        assert_eq!(zone(zone(name).name()), zone(name));
    }
    let mistake = "Europe/Berlni".parse::<Zone>().unwrap_err();
    assert!(mistake.contains("did you mean Europe/Berlin?"), "{mistake}");
    assert!("".parse::<Zone>().is_err() && "CEST+3".parse::<Zone>().is_err());
}

#[test]
fn schedules_and_clocks_are_kept_as_text() {
    let kept =
        serde_json::to_string(&(schedule("5/15 * * * MON-SUN"), zone("Asia/Tokyo"))).unwrap();
    assert_eq!(kept, r#"["5/15 * * * MON-SUN","Asia/Tokyo"]"#);
    let read: (Schedule, Zone) = serde_json::from_str(&kept).unwrap();
    assert_eq!(read, (schedule("5/15 * * * MON-SUN"), zone("Asia/Tokyo")));
    assert!(serde_json::from_str::<Schedule>("\"0 0 31 2 *\"").is_err());
}
