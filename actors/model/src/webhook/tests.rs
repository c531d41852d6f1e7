use super::*;
use crate::{
    ids::{Attempt, ConfigId, UpdateId},
    machine::Machine,
    record::Committed,
    task::{Event, Placement, Policy},
    update::UpdateEvent,
    wire::RunState,
};

fn job() -> JobKey {
    JobKey::new("www", "prod", "web")
}

fn hook(name: &str, filter: Filter) -> Hook {
    Hook {
        name: name.into(),
        url: "http://127.0.0.1/".into(),
        headers: vec![("x-key".into(), Secret("secret".into()))],
        filter,
        pace: Pace::default(),
    }
}

/// An instance's life, a transaction for each event; what was announced of each as text.
fn life(hooks: &[Hook], events: &[Event]) -> Vec<String> {
    let (mut view, mut task, mut told) = (View::default(), Task::unborn(job().task(0)), vec![]);
    for (seq, event) in (1..).zip(events) {
        let next = task.step(Timestamp(seq * 10), event).unwrap();
        let changes = next.changes(Some(&task));
        let notices = Announcer::new(hooks, &view).announce(seq, &changes);
        told.push(notices.iter().map(in_short).collect::<Vec<_>>().join(", "));
        view.apply(&Committed { seq, changes });
        task = next;
    }
    told
}

/// `a:PENDING>ASSIGNED`, with the number of the attempt if it is not the first.
fn in_short(change: &Change) -> String {
    let Some(Record::Notice(Notice { hook, news, .. })) = &change.record else {
        panic!("{change:?}")
    };
    match news {
        News::Task(TaskNews { task, old_state }) => {
            let old = old_state.map_or("", Status::name);
            let attempt =
                if task.attempt > 1 { format!("#{}", task.attempt) } else { String::new() };
            format!("{hook}:{old}>{}{attempt}", task.status)
        }
        News::Update(UpdateNews { status, old_status, message, user, .. }) => {
            let old = old_status.map_or("", update::Status::name);
            format!("{hook}:{old}>{status} {user} {message}")
        }
    }
}

fn service_that_fails() -> Vec<Event> {
    let at = Placement { host: "a1".into(), ports: Ports::new() };
    let attempt = Attempt(1);
    let policy = Policy { service: true, ..Policy::default() };
    let reported =
        |state, message: &str| Event::Reported { attempt, state, message: message.to_owned() };
    vec![
        Event::Wanted { config: ConfigId(1), generation: 1, policy, message: String::new() },
        Event::Placed { attempt, at },
        reported(RunState::Starting, ""),
        reported(RunState::Running, ""),
        reported(RunState::Failed, "it exited with 1"),
    ]
}

#[test]
fn every_state_is_told_with_the_one_before_it() {
    let told = life(&[hook("a", Filter::default())], &service_that_fails());
    assert_eq!(
        told,
        [
            "a:>PENDING",
            "a:PENDING>ASSIGNED",
            "a:ASSIGNED>STARTING",
            "a:STARTING>RUNNING",
            "a:RUNNING>FAILED, a:>THROTTLED#2",
        ]
    );
}

#[test]
fn each_receiver_hears_what_it_wants_to() {
    let of = |statuses: &[Status]| Filter {
        statuses: Some(statuses.iter().copied().collect()),
        ..Filter::default()
    };
    let others = Filter { roles: Some(["db".to_owned()].into()), ..Filter::default() };
    let updates = Filter { kinds: [Kind::Update].into(), ..Filter::default() };
    let hooks =
        [hook("a", of(&[Status::Running, Status::Failed])), hook("b", others), hook("c", updates)];
    let told = life(&hooks, &service_that_fails());
    assert_eq!(told, ["", "", "", "a:STARTING>RUNNING", "a:RUNNING>FAILED"]);
    assert_eq!(life(&[], &service_that_fails()).concat(), "");
}

#[test]
fn transactions_that_are_written_together_are_told_apart() {
    let hooks = [hook("a", Filter::default()), hook("b", Filter::default())];
    let view = View::default();
    let mut announcer = Announcer::new(&hooks, &view);
    let mut task = Task::unborn(job().task(0));
    let mut told = vec![];
    for (seq, event) in (7..).zip(service_that_fails()) {
        let next = task.step(Timestamp(seq), &event).unwrap();
        for change in announcer.announce(seq, &next.changes(Some(&task))) {
            let RecordKey::Notice(NoticeId { seq, index }) = change.key else { panic!() };
            told.push(format!("{seq}.{index} {}", in_short(&change)));
        }
        task = next;
    }
    assert_eq!(
        told[..4],
        ["7.0 a:>PENDING", "7.1 b:>PENDING", "8.0 a:PENDING>ASSIGNED", "8.1 b:PENDING>ASSIGNED"]
    );
    assert_eq!(told.last().unwrap(), "11.3 b:>THROTTLED#2");
}

#[test]
fn what_does_not_change_its_state_is_not_told() {
    let mut events = service_that_fails();
    events.truncate(4);
    let hooks = [hook("a", Filter::default())];
    let (mut view, mut task) = (View::default(), Task::unborn(job().task(0)));
    for (seq, event) in (1..).zip(&events) {
        let next = task.step(Timestamp(seq), event).unwrap();
        view.apply(&Committed { seq, changes: next.changes(Some(&task)) });
        task = next;
    }
    // It is wanted again, as it is.
    task.generation += 1;
    let changes = task.changes(None);
    assert_eq!(Announcer::new(&hooks, &view).announce(9, &changes), []);
}

#[test]
fn a_receiver_is_told_what_happened_then_and_no_secret_is_shown() {
    let hooks = [hook("a", Filter::default())];
    let view = View::default();
    let mut announcer = Announcer::new(&hooks, &view);
    let (mut task, mut last) = (Task::unborn(job().task(3)), vec![]);
    for (seq, event) in (1..).zip(service_that_fails()) {
        let next = task.step(Timestamp(seq * 10), &event).unwrap();
        last = announcer.announce(seq, &next.changes(Some(&task)));
        task = next;
    }
    let Some(Record::Notice(notice)) = &last[0].record else { panic!("{last:?}") };
    let body = serde_json::to_value(&notice.news).unwrap();
    assert_eq!((&body["kind"], &body["old_state"]), (&"task".into(), &"RUNNING".into()));
    let of_task = &body["task"];
    assert_eq!((&of_task["status"], &of_task["host"]), (&"FAILED".into(), &"a1".into()));
    assert_eq!((&of_task["since"], &of_task["instance"]), (&50.into(), &3.into()));
    assert_eq!(of_task["message"], "it exited with 1");
    assert_eq!(serde_json::from_value::<News>(body).unwrap(), notice.news);
    assert!(!format!("{hooks:?}").contains("secret\""), "{hooks:?}");
}

#[test]
fn an_update_is_told_each_time_that_it_turns() {
    let key = UpdateKey { job: job(), id: UpdateId("u1".into()) };
    let tasks_only = Filter { kinds: [Kind::Task].into(), ..Filter::default() };
    // What somebody wants to hear of tasks is no matter here.
    let statuses = Some([Status::Failed].into());
    let hooks = [hook("a", Filter { statuses, ..Filter::default() }), hook("b", tasks_only)];
    let event = |at, status, by: &str, message: &str| UpdateEvent {
        at: Timestamp(at),
        status,
        by: by.into(),
        message: message.into(),
    };
    let events = [
        event(5, update::Status::RollingForward, "ada", "faster"),
        event(6, update::Status::RollForwardPaused, "bob", "lunch"),
        event(7, update::Status::RollingForward, "bob", ""),
        event(8, update::Status::RolledForward, "", ""),
    ];
    let record = |count: usize| {
        let events = events[..count].to_vec();
        let update = Update { events, ..Update::unborn(key.clone()) };
        let record = Some(Record::Update(Box::new(update)));
        vec![Change { key: RecordKey::Update(key.clone()), record }]
    };
    let mut view = View::default();
    view.apply(&Committed { seq: 1, changes: record(1) });
    let began = Announcer::new(&hooks, &View::default()).announce(1, &record(1));
    assert_eq!(began.iter().map(in_short).collect::<Vec<_>>(), ["a:>ROLLING_FORWARD ada faster"]);
    let mut announcer = Announcer::new(&hooks, &view);
    let told = [(2, 1), (3, 3), (4, 3), (5, 4)]
        .map(|(seq, count)| announcer.announce(seq, &record(count)))
        .concat();
    assert_eq!(
        told.iter().map(in_short).collect::<Vec<_>>(),
        [
            "a:ROLLING_FORWARD>ROLL_FORWARD_PAUSED bob lunch",
            "a:ROLL_FORWARD_PAUSED>ROLLING_FORWARD bob ",
            "a:ROLLING_FORWARD>ROLLED_FORWARD  ",
        ]
    );
    let Some(Record::Notice(notice)) = &told[0].record else { panic!("{told:?}") };
    assert_eq!(notice.at, Timestamp(6));
    let body = serde_json::to_value(&notice.news).unwrap();
    let expected = serde_json::json!({
        "kind": "update",
        "update": {"role": "www", "environment": "prod", "name": "web", "id": "u1"},
        "status": "ROLL_FORWARD_PAUSED", "old_status": "ROLLING_FORWARD",
        "message": "lunch", "user": "bob",
    });
    assert_eq!(body, expected);
    assert_eq!(serde_json::from_value::<News>(body).unwrap(), notice.news);
}
