use super::*;
use crate::{
    config::Ports,
    ids::{UpdateId, UpdateKey},
    job::{Job, Unwanted, Wanted},
    machine::Machine,
    record::{Change, Committed, Record, RecordKey},
    task::{Event, Placement, Policy},
    update::{self, Update, UpdateEvent},
    wire::RunState,
};

const MINUTE: Duration = Duration::from_secs(60);

fn key() -> JobKey {
    JobKey::new("www", "prod", "hello")
}

fn set(text: &str) -> InstanceSet {
    text.parse().unwrap_or_default()
}

fn slot(instance: u32, events: &[Event]) -> Task {
    let step = |task: Task, event: &Event| task.step(Timestamp(7), event).unwrap();
    events.iter().fold(Task::unborn(key().task(instance)), step)
}

fn wanted(config: u32) -> Event {
    Event::Wanted {
        config: ConfigId(config),
        generation: 1,
        policy: Policy::default(),
        message: String::new(),
    }
}

fn placed() -> Event {
    let at = Placement { host: "a1".into(), ports: Ports::new() };
    Event::Placed { attempt: Attempt(1), at }
}

fn said(state: RunState) -> Event {
    Event::Reported { attempt: Attempt(1), state, message: String::new() }
}

fn killed() -> Event {
    Event::KillAsked { generation: 1, message: String::new() }
}

/// 0 has finished, 1 runs, 2 was killed before it ran, 3 was never born, 4 is wanted anew, 5 is
/// still to be born.
fn view() -> View {
    let mut job = Job::unborn(key());
    (job.generation, job.config) = (2, ConfigId(3));
    let demand = |instances, config, generation| Wanted {
        instances: set(instances),
        config: ConfigId(config),
        generation,
        update: None,
    };
    job.wanted = vec![demand("0-1", 2, 1), demand("4-5", 3, 2)];
    let message = String::new();
    job.unwanted = vec![Unwanted { instances: set("2-3"), generation: 1, message }];
    let slots = [
        slot(0, &[wanted(2), placed(), said(RunState::Finished)]),
        slot(1, &[wanted(2), placed(), said(RunState::Running)]),
        slot(2, &[wanted(2), killed()]),
        slot(4, &[wanted(2), placed(), said(RunState::Failed)]),
    ];
    let job = Change { key: RecordKey::Job(key()), record: Some(Record::Job(job)) };
    let changes = [job].into_iter().chain(slots.iter().flat_map(|it| it.changes(None)));
    let mut view = View::default();
    view.apply(&Committed { seq: 1, changes: changes.collect() });
    view
}

/// How the sweep goes when it looks at `most` slots at a time.
fn sweep(view: &View, most: usize) -> (Vec<Found>, usize) {
    let (mut sweep, mut found, mut looks) = (Sweep::default(), Vec::new(), 0);
    loop {
        looks += 1;
        match sweep.step(view, most) {
            Step::More => {}
            Step::Job(job) => found.push(job),
            Step::Done => return (found, looks),
        }
    }
}

fn at(minutes: u32) -> Timestamp {
    Timestamp(0) + minutes * MINUTE
}

/// A job whose slots have ended at these minutes, and that many runs more are in its history.
fn job(ended: &[u32], history: u32) -> Found {
    let slot = |(instance, &minutes)| EndedSlot { at: at(minutes), instance, attempt: Attempt(1) };
    Found {
        job: key(),
        generation: 1,
        ended: (0..).zip(ended).map(slot).collect(),
        absent: InstanceSet::default(),
        history,
        idle: BTreeSet::new(),
        is_over: false,
    }
}

#[test]
fn only_what_has_ended_and_is_not_wanted_again_is_found() {
    let view = view();
    let (found, _) = sweep(&view, 100);
    let [job] = found.as_slice() else { panic!("{found:?}") };
    let slots: Vec<_> = job.ended.iter().map(|it| (it.instance, it.at.0)).collect();
    assert_eq!(slots, [(2, 0), (0, 7)]);
    assert_eq!((job.absent.to_string().as_str(), job.generation), ("3", 2));
    assert!(!job.is_over, "something runs");
    for most in 1..5 {
        let (pieces, looks) = sweep(&view, most);
        assert_eq!(pieces, found);
        assert_eq!(looks, 4 / most + 2, "{most} at a time");
    }
}

#[test]
fn the_newest_are_kept_for_a_while_and_all_for_an_hour() {
    let keep = Keep { per_job: 3, ..Keep::default() };
    let now = at(2 * 24 * 60);
    let ago = |minutes: u32| 2 * 24 * 60 - minutes;
    let old = ago(2 * 24 * 60);
    for (what, slots, history, due) in [
        ("few and young", vec![ago(5)], vec![ago(90), ago(80)], (0, 0)),
        ("too many, all young", vec![ago(9), ago(8), ago(7)], vec![ago(59), ago(58)], (0, 0)),
        ("too many by two", vec![ago(80), ago(70)], vec![ago(90), ago(75), ago(5)], (1, 1)),
        ("too old", vec![old], vec![old, ago(5)], (1, 1)),
        ("too old by a moment less", vec![old + 1], vec![old + 1], (0, 0)),
        ("without a run", vec![0, 0, ago(5)], vec![ago(4)], (2, 0)),
    ] {
        let found = job(&slots, u32::try_from(history.len()).unwrap());
        let history: Vec<_> = history.into_iter().map(at).collect();
        assert_eq!(found.due(&keep, now, &history), due, "{what}");
    }
}

#[test]
fn the_history_is_not_read_before_something_of_it_may_go() {
    let keep = Keep { per_job: 3, ..Keep::default() };
    let found = |history| job(&[10, 20], history);
    let due = |history, minutes| found(history).history_is_due(&keep, at(minutes), at(15));
    assert!(!due(1, 15 + 60), "three are kept");
    assert!(!due(3, 15 + 59), "it is young");
    assert!(due(3, 15 + 60));
    assert!(due(1, 15 + 48 * 60), "two days are enough");
}

#[test]
fn what_seems_useless_goes_when_it_has_been_so_for_long() {
    let keep = Keep::default();
    let mut doubts = Doubts::default();
    let configs = |ids: &[u32]| ids.iter().copied().map(ConfigId).collect::<BTreeSet<_>>();
    let found = |generation, idle: &[u32]| Found { generation, idle: configs(idle), ..job(&[], 0) };
    let over = |generation| Found { is_over: true, ..found(generation, &[]) };
    let gone = |doubts: &mut Doubts, found: &Found, minutes| {
        let useless = doubts.about(found, &keep, at(minutes));
        (useless.is_over, useless.configs.iter().map(|it| it.0).collect::<Vec<_>>())
    };
    assert_eq!(gone(&mut doubts, &found(1, &[1, 2]), 0), (false, vec![]));
    assert_eq!(gone(&mut doubts, &found(1, &[1]), 50), (false, vec![]), "a slot has 2 again");
    assert_eq!(gone(&mut doubts, &found(1, &[1, 2]), 60), (false, vec![1]));
    doubts.defer(&key(), ConfigId(1), at(60));
    assert_eq!(gone(&mut doubts, &found(1, &[1, 2]), 119), (false, vec![]));
    assert_eq!(gone(&mut doubts, &found(1, &[1, 2]), 120), (false, vec![1, 2]));
    assert_eq!(gone(&mut doubts, &over(1), 200), (false, vec![]));
    assert_eq!(gone(&mut doubts, &over(2), 260), (false, vec![]), "it was wanted in between");
    assert_eq!(gone(&mut doubts, &over(2), 320), (true, vec![]));
    assert_eq!(gone(&mut doubts, &found(2, &[]), 321), (false, vec![]));
    assert_eq!(gone(&mut doubts, &over(2), 322), (false, vec![]), "that begins anew");
}

/// Updates of jobs that have instances, and one of a job that has none.
fn updates_of_jobs() -> View {
    let mut view = View::default();
    let mut jobs = Vec::new();
    for (name, id, at, status) in [
        ("job1", "u1", 123, update::Status::RollingBack),
        ("job1", "u2", 124, update::Status::RolledBack),
        ("job1", "u3", 125, update::Status::Aborted),
        ("job1", "u4", 126, update::Status::RolledForward),
        ("job2", "u5", 123, update::Status::RolledForward),
        ("job2", "u6", 125, update::Status::Failed),
        ("job2", "u7", 126, update::Status::RollingForward),
        ("job3", "u8", 126, update::Status::RolledForward),
    ] {
        let job = JobKey::new("www", "prod", name);
        let key = UpdateKey { job: job.clone(), id: UpdateId(id.into()) };
        let (at, by, message) = (Timestamp(at), String::new(), String::new());
        let events = vec![UpdateEvent { at, status, by, message }];
        let update = Update { created_at: at, status, events, ..Update::unborn(key.clone()) };
        jobs.push(Change {
            key: RecordKey::Update(key),
            record: Some(Record::Update(Box::new(update))),
        });
        if name != "job3" {
            let task = Task::unborn(job.task(0)).step(Timestamp(1), &wanted(1)).unwrap();
            jobs.extend(task.changes(None));
        }
    }
    view.apply(&Committed { seq: 1, changes: jobs });
    view
}

#[test]
fn s68_updates_that_ended_are_kept_for_a_while_and_not_too_many_of_a_job() {
    let view = updates_of_jobs();
    for (most, cut, expected) in [
        (3, 0, "u8"),
        (2, 0, "u2 u8"),
        (1, 0, "u2 u3 u5 u8"),
        (9, 126, "u2 u3 u5 u6 u8"),
        (0, 0, "u2 u3 u4 u5 u6 u8"),
    ] {
        let age = Duration::from_millis(1000 - cut);
        let keep = Keep { updates_per_job: most, updates_age: age, ..Keep::default() };
        let mut gone: Vec<_> =
            updates(&view, &keep, Timestamp(1000)).iter().map(|it| it.id.to_string()).collect();
        gone.sort_unstable();
        assert_eq!(gone.join(" "), expected, "{most} {cut}");
    }
}
