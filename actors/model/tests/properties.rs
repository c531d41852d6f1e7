//! What holds whatever happens, in whatever order.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::{BTreeMap, BTreeSet};

use airglow_model::{
    config::Ports,
    ids::{Attempt, ConfigId, HostId, JobKey, TaskId},
    instances::InstanceSet,
    machine::{Machine, Timestamp},
    record::{Record, RecordKey},
    spec::PartitionPolicy,
    task::{Event, Placement, Policy, Run, Status, Task},
    wire::RunState,
};
use proptest::{collection::vec, option, prelude::*};

fn run_state() -> impl Strategy<Value = RunState> {
    prop_oneof![
        Just(RunState::Starting),
        Just(RunState::Running),
        Just(RunState::Finished),
        Just(RunState::Failed),
        Just(RunState::Killed),
        Just(RunState::Lost),
    ]
}

fn policy() -> impl Strategy<Value = Policy> {
    let partition = (any::<bool>(), -1..100_i64)
        .prop_map(|(reschedule, delay_secs)| PartitionPolicy { reschedule, delay_secs });
    (any::<bool>(), -1..4_i64, option::of(partition)).prop_map(
        |(service, max_task_failures, partition)| Policy { service, max_task_failures, partition },
    )
}

fn host() -> impl Strategy<Value = HostId> {
    prop_oneof![4 => Just("a1".into()), 1 => Just("b2".into())]
}

/// Something that may happen to a task. Most of it is about the current attempt, which `0` stands
/// for; other numbers are how many attempts ago it was news.
fn event() -> impl Strategy<Value = (u32, Event)> {
    let message = String::new;
    let ago = prop_oneof![8 => Just(0), 1 => 1..3_u32];
    let event = prop_oneof![
        2 => (0..6_u32, policy()).prop_map(|(generation, policy)| Event::Wanted {
            config: ConfigId(1 + generation % 2),
            generation,
            policy, message: String::new() }),
        6 => host().prop_map(|host| Event::Placed {
            attempt: Attempt(0),
            at: Placement { host, ports: Ports::new() },
        }),
        12 => run_state().prop_map(move |state| Event::Reported {
            attempt: Attempt(0),
            state,
            message: message(),
        }),
        1 => (0..6_u32).prop_map(move |generation| Event::KillAsked { generation, message: message() }),
        2 => Just(Event::RestartAsked { message: message() }),
        1 => Just(Event::PreemptAsked { attempt: Attempt(0), message: message() }),
        1 => Just(Event::DrainAsked { attempt: Attempt(0), message: message() }),
        3 => host().prop_map(|host| Event::HostUnreachable { host }),
        1 => Just(Event::HostForgot { attempt: Attempt(0) }),
        4 => Just(Event::TimedOut),
    ];
    (ago, event)
}

/// The event as news of the attempt of so many attempts ago.
fn dated(event: Event, task: &Task, ago: u32) -> Event {
    let attempt = Attempt(task.attempt.0.saturating_sub(ago));
    match event {
        Event::Placed { at, .. } => Event::Placed { attempt, at },
        Event::Reported { state, message, .. } => Event::Reported { attempt, state, message },
        Event::PreemptAsked { message, .. } => Event::PreemptAsked { attempt, message },
        Event::DrainAsked { message, .. } => Event::DrainAsked { attempt, message },
        Event::HostForgot { .. } => Event::HostForgot { attempt },
        Event::Wanted { .. }
        | Event::KillAsked { .. }
        | Event::RestartAsked { .. }
        | Event::HostUnreachable { .. }
        | Event::TimedOut
        | Event::Pruned { .. } => event,
    }
}

/// What has become of a slot, by its records.
#[derive(Default)]
struct Chronicle {
    ended: BTreeMap<TaskId, Run>,
    /// The attempt that was killed on request, if nothing has been wanted since.
    killed: Option<Attempt>,
}

impl Chronicle {
    fn write(&mut self, before: &Task, event: &Event, after: &Task) {
        let mut records = 0;
        for change in after.changes(Some(before)) {
            match (change.key, change.record) {
                (RecordKey::Task(_), Some(Record::Task(task))) => {
                    let text = serde_json::to_string(&task).unwrap();
                    assert_eq!(serde_json::from_str::<Task>(&text).unwrap(), task);
                    records += 1;
                }
                (RecordKey::History(_, id), Some(Record::History(run))) => {
                    assert!(!run.state.status().is_active(), "history is of what has ended");
                    assert!(self.ended.insert(id, run).is_none(), "an attempt ends once");
                }
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(records, 1);
        if matches!(event, Event::KillAsked { .. }) {
            self.killed = Some(after.attempt);
        } else if matches!(event, Event::Wanted { .. }) {
            self.killed = None;
        }
        if let Some(run) = &after.run {
            assert!(!self.ended.contains_key(&run.id), "an attempt that has ended does not return");
            assert_eq!(run.attempt, after.attempt);
        }
        assert!(self.killed.is_none_or(|it| it == after.attempt), "killed means not again");
    }
}

proptest! {
    #[test]
    fn a_slot_has_one_life_at_a_time(policy in policy(), script in vec((event(), 0..400_u64), 0..60)) {
        let mut task = Task::unborn(JobKey::new("www", "prod", "web").task(0));
        let mut chronicle = Chronicle::default();
        let first = ((0, Event::Wanted { config: ConfigId(1), generation: 1, policy, message: String::new() }), 0);
        let mut now = Timestamp(1);
        for ((ago, event), seconds) in std::iter::once(first).chain(script) {
            now = Timestamp(now.0 + seconds * 1000);
            let event = dated(event, &task, ago);
            if let Ok(next) = task.step(now, &event) {
                chronicle.write(&task, &event, &next);
                task = next;
            }
        }
        // What it waits for comes, and so on until it waits for nothing more: no clock runs for ever.
        for _ in 0..1000 {
            let Some((at, event)) = task.deadline() else { break };
            now = now.max(at);
            let next = task.step(now, &event).expect("a deadline that has come means something");
            chronicle.write(&task, &event, &next);
            task = next;
        }
        prop_assert!(task.deadline().is_none());
    }

    #[test]
    fn no_more_runs_fail_than_may(limit in 1..6_i64, ends in vec(run_state(), 0..80)) {
        let mut task = Task::unborn(JobKey::new("www", "prod", "web").task(0));
        let policy = Policy { service: false, max_task_failures: limit, partition: None };
        let wanted = Event::Wanted { config: ConfigId(1), generation: 1, policy, message: String::new() };
        task = task.step(Timestamp(0), &wanted).unwrap();
        let mut failed = 0;
        for (hour, state) in ends.into_iter().enumerate() {
            let now = Timestamp(3_600_000 * u64::try_from(hour).unwrap());
            let attempt = task.attempt;
            let at = Placement { host: "a1".into(), ports: Ports::new() };
            let message = String::new();
            for event in [
                Event::TimedOut,
                Event::Placed { attempt, at },
                Event::Reported { attempt, state, message },
            ] {
                let Ok(next) = task.step(now, &event) else { continue };
                failed += i64::from(matches!(event, Event::Reported { state: RunState::Failed, .. }));
                task = next;
            }
        }
        prop_assert!(failed <= limit);
        prop_assert_eq!(failed == limit, task.status() == Some(Status::Failed));
    }

    #[test]
    fn instance_sets_are_sets(a in vec((0..50_u32, 0..6_u32), 0..8), b in vec((0..50_u32, 0..6_u32), 0..8)) {
        let ranges = |it: &[(u32, u32)]| it.iter().map(|&(from, len)| (from, from + len)).collect();
        let each = |set: &InstanceSet| set.iter().collect::<BTreeSet<u32>>();
        let (a, b): (InstanceSet, InstanceSet) = (ranges(&a), ranges(&b));
        let (as_set, bs_set) = (each(&a), each(&b));
        prop_assert_eq!(each(&a.union(&b)), &as_set | &bs_set);
        prop_assert_eq!(each(&a.difference(&b)), &as_set - &bs_set);
        prop_assert_eq!(each(&a.intersection(&b)), &as_set & &bs_set);
        prop_assert_eq!(a.len(), u64::try_from(as_set.len()).unwrap());
        prop_assert_eq!(a.last(), as_set.last().copied());
        prop_assert!((0..60).all(|it| a.contains(it) == as_set.contains(&it)));
        prop_assert_eq!(&as_set.into_iter().collect::<InstanceSet>(), &a, "one way to write a set");
        if !a.is_empty() {
            prop_assert_eq!(a.to_string().parse::<InstanceSet>().unwrap(), a);
        }
    }
}
