//! `next_times.txt` was made by another program: `make_table.py` says how.

use crate::{at, schedule, zone};

#[test]
fn schedules_are_due_when_another_program_says() {
    let rows: Vec<_> =
        include_str!("next_times.txt").lines().filter(|it| !it.starts_with('#')).collect();
    assert!(rows.len() >= 220, "{}", rows.len());
    let mut wrong = Vec::new();
    for row in rows {
        let [clock, start, text, due] = row.split('\t').collect::<Vec<_>>()[..] else {
            panic!("{row}");
        };
        let expected: Vec<_> = due.split(' ').map(|it| at(&it.replace('Z', ":00Z"))).collect();
        assert_eq!(expected.len(), 10, "{row}");
        let (clock, schedule) = (zone(clock), schedule(text));
        let found: Vec<_> = clock.all(&schedule, at(start)).take(10).collect();
        if found != expected {
            wrong.push(format!("{row}\n  found {found:?}"));
        }
        let last = expected[9];
        assert_eq!(clock.newest(&schedule, (at(start), last), 99), expected, "{row}");
        assert_eq!(clock.newest(&schedule, (at(start), last), 3), expected[7..], "{row}");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
