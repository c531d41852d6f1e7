use std::time::Duration;

use super::*;

const AGE_MAX: u64 = 10_000;

/// Of two at once, after 100, 200, 400 … up to 500 ms.
fn pace() -> Pace {
    Pace {
        at_once: 2,
        retry_after: (Duration::from_millis(100), Duration::from_millis(500)),
        waiting_max: 5,
        age_max: Duration::from_millis(AGE_MAX),
        ..Pace::default()
    }
}

/// Notices by number, of jobs by name: `1a 2b 3a`.
fn queue(notices: &str) -> Queue {
    let mut queue = Queue::new(pace());
    for notice in notices.split_whitespace() {
        let (number, job) = notice.split_at(notice.len() - 1);
        let number: u64 = number.parse().unwrap();
        queue.add(id(number), &JobKey::new("www", "prod", job), Timestamp(number));
    }
    queue
}

fn id(seq: u64) -> NoticeId {
    NoticeId { seq, index: 0 }
}

fn sent(queue: &mut Queue, now: u64) -> Vec<u64> {
    std::iter::from_fn(|| queue.next(Timestamp(now))).map(|it| it.seq).collect()
}

#[test]
fn of_each_job_one_is_on_its_way_and_of_all_only_so_many() {
    let mut queue = queue("1a 2a 3b 4c 5a");
    assert_eq!(sent(&mut queue, 9), [1, 3]);
    assert_eq!(sent(&mut queue, 9), [0; 0]);
    queue.delivered(id(3));
    assert_eq!(sent(&mut queue, 9), [4]);
    queue.delivered(id(1));
    assert_eq!(sent(&mut queue, 9), [2]);
    queue.delivered(id(4));
    queue.delivered(id(2));
    assert_eq!(sent(&mut queue, 9), [5]);
    queue.delivered(id(5));
    assert!(queue.is_empty() && queue.lines.is_empty() && queue.due.is_empty());
    assert_eq!(queue.look_at(), None);
}

#[test]
fn who_is_not_taken_waits_longer_each_time_and_delays_its_own_job_only() {
    let mut queue = queue("1a 2a 3b 4b");
    let mut now = 10;
    assert_eq!(sent(&mut queue, now), [1, 3]);
    queue.delivered(id(3));
    for pause in [100, 200, 400, 500, 500] {
        queue.failed(id(1), Timestamp(now));
        now += pause;
        let early: Vec<_> = sent(&mut queue, now - 1).into_iter().collect();
        early.iter().for_each(|it| queue.delivered(id(*it)));
        assert!(!early.contains(&1), "{early:?} before {pause} ms were over");
        assert_eq!(queue.look_at(), Some(Timestamp(now)));
        assert_eq!(sent(&mut queue, now), [1]);
    }
    queue.delivered(id(1));
    assert_eq!(sent(&mut queue, now), [2], "at once, and the others have gone");
    queue.failed(id(2), Timestamp(now));
    assert_eq!(queue.look_at(), Some(Timestamp(now + 100)), "it begins anew");
}

#[test]
fn too_many_are_the_oldest_that_are_not_on_their_way() {
    let mut queue = queue("1a 2a 3b 4c 5c 6c 7a");
    assert_eq!(sent(&mut queue, 9), [1, 3]);
    let dropped: Vec<_> = queue.give_up(Timestamp(9)).iter().map(|it| it.seq).collect();
    assert_eq!((dropped, queue.len()), (vec![2, 4], 5));
    queue.delivered(id(1));
    queue.delivered(id(3));
    assert_eq!(sent(&mut queue, 9), [5, 7]);
}

#[test]
fn what_nobody_takes_is_dropped_when_it_is_too_old() {
    let mut queue = queue("1a 2a 3b");
    assert_eq!(sent(&mut queue, 9), [1, 3]);
    queue.failed(id(1), Timestamp(9));
    queue.failed(id(3), Timestamp(9));
    let give_up = |queue: &mut Queue, now| {
        queue.give_up(Timestamp(now)).iter().map(|it| it.seq).collect::<Vec<_>>()
    };
    assert_eq!(give_up(&mut queue, AGE_MAX), [0; 0]);
    assert_eq!(give_up(&mut queue, AGE_MAX + 2), [1, 2]);
    assert_eq!(sent(&mut queue, AGE_MAX + 2), [3]);
    assert_eq!(give_up(&mut queue, AGE_MAX + 3), [0; 0], "it is on its way");
    queue.failed(id(3), Timestamp(AGE_MAX + 3));
    assert_eq!(queue.look_at(), Some(Timestamp(AGE_MAX + 3)));
    assert_eq!(give_up(&mut queue, AGE_MAX + 3), [3]);
    assert!(queue.lines.is_empty() && queue.due.is_empty());
}
