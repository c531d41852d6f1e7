//! What holds whatever happens, in whatever order.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::{BTreeMap, BTreeSet};

use airglow_model::{
    config::{Kind, Ports, TaskConfig},
    ids::{Attempt, ConfigId, HostId, JobKey, TaskId},
    instances::InstanceSet,
    machine::{Machine, Timestamp},
    matching::{Group, Offer, PortPool, place},
    record::{Record, RecordKey},
    resources::{Attributes, Constraint, Demand, Resources},
    spec::PartitionPolicy,
    task::{Event, Placement, Policy, Run, Status, Task},
    tier::Tier,
    wire::RunState,
};
use proptest::{collection::vec, option, prelude::*};
use serde_json::json;

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
            config: ConfigId(1),
            generation,
            policy,
        }),
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
        1 => Just(Event::DrainAsked { message: message() }),
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
        Event::HostForgot { .. } => Event::HostForgot { attempt },
        Event::Wanted { .. }
        | Event::KillAsked { .. }
        | Event::RestartAsked { .. }
        | Event::DrainAsked { .. }
        | Event::HostUnreachable { .. }
        | Event::TimedOut => event,
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
        let first = ((0, Event::Wanted { config: ConfigId(1), generation: 1, policy }), 0);
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
        let wanted = Event::Wanted { config: ConfigId(1), generation: 1, policy };
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

    #[test]
    fn plans_keep_to_what_there_is_and_leave_nothing_that_fits(
        seed in any::<u64>(),
        hosts in vec((0..5_u64, 0..3_u32, 0..6_u16, any::<bool>()), 0..8),
        jobs in vec((1..3_u64, 0..3_usize, option::of(1..4_u32), 0..30_u32), 0..5),
    ) {
        check_plan(seed, &hosts, &jobs);
    }
}

/// `hosts`: cores, rack, ports, up. `jobs`: cores, ports, limit for each rack, instances.
fn check_plan(seed: u64, hosts: &[(u64, u32, u16, bool)], jobs: &[(u64, usize, Option<u32>, u32)]) {
    let ids: Vec<HostId> = (0..hosts.len()).map(|it| HostId(format!("h{it}").into())).collect();
    let racks: Vec<Attributes> = hosts
        .iter()
        .map(|&(_, rack, ..)| [("rack".to_owned(), [format!("r{rack}")].into())].into())
        .collect();
    let cores = |count: u64| Resources { cpu_milli: count * 1000, ..Resources::default() };
    let offers: Vec<Offer<'_>> = (0..hosts.len())
        .map(|it| Offer {
            host: &ids[it],
            attributes: &racks[it],
            capacity: cores(hosts[it].0),
            free: cores(hosts[it].0),
            free_ports: PortPool::new(&[(1, hosts[it].2)], &BTreeSet::new()),
            up: hosts[it].3,
        })
        .collect();
    let configs: Vec<TaskConfig> = jobs
        .iter()
        .enumerate()
        .map(|(it, &(cpus, ports, limit, _))| TaskConfig {
            resources: cores(cpus),
            ports: (0..ports).map(|it| it.to_string()).collect(),
            constraints: limit
                .map(|it| Constraint { attribute: "rack".into(), demand: Demand::Limit(it) })
                .into_iter()
                .collect(),
            ..config(&format!("job{it}"))
        })
        .collect();
    let waiting: Vec<Vec<u32>> = jobs.iter().map(|it| (0..it.3).collect()).collect();
    let placed = BTreeMap::new();
    let groups: Vec<Group<'_>> = (0..jobs.len())
        .map(|it| Group {
            job: &configs[it].job,
            config: &configs[it],
            tasks: &waiting[it],
            since: Timestamp(0),
            placed: &placed,
        })
        .collect();

    let plan = place(seed, &groups, &offers);

    let mut cpus: Vec<u64> = hosts.iter().map(|it| it.0).collect();
    let mut ports: Vec<BTreeSet<u16>> = hosts.iter().map(|it| (1..=it.2).collect()).collect();
    let mut on_rack: BTreeMap<(usize, u32), u32> = BTreeMap::new();
    let mut left: Vec<BTreeSet<u32>> = jobs.iter().map(|it| (0..it.3).collect()).collect();
    for (task, at) in &plan.assign {
        let host = ids.iter().position(|it| *it == at.host).unwrap();
        let job = configs.iter().position(|it| it.job == task.job).unwrap();
        assert!(hosts[host].3, "nothing goes to a host that is down");
        assert!(left[job].remove(&task.instance), "an instance is placed once");
        cpus[host] = cpus[host].checked_sub(jobs[job].0).expect("no more cores than there are");
        assert_eq!(at.ports.len(), jobs[job].1);
        assert!(at.ports.values().all(|it| ports[host].remove(it)), "a port is given out once");
        *on_rack.entry((job, hosts[host].1)).or_default() += 1;
    }
    for (job, &(needs, port_count, limit, _)) in jobs.iter().enumerate() {
        let on = |rack| on_rack.get(&(job, rack)).copied().unwrap_or(0);
        let limit = limit.unwrap_or(u32::MAX);
        assert!(on_rack.iter().all(|(&(it, _), &count)| it != job || count <= limit));
        let why = plan.waiting.iter().find(|(group, _)| *group == job);
        assert_eq!(why.is_some(), !left[job].is_empty(), "who waits is told why");
        let fits = |host: usize| {
            let (_, rack, _, up) = hosts[host];
            up && needs <= cpus[host] && port_count <= ports[host].len() && on(rack) < limit
        };
        assert!(left[job].is_empty() || !(0..hosts.len()).any(fits), "nobody waits who would fit");
    }
}

fn config(name: &str) -> TaskConfig {
    let resources = json!({ "cpu": 1.0, "ram": 1 << 20, "disk": 1 << 20 });
    let process = json!({ "name": name, "cmdline": "true" });
    let task = json!({ "name": name, "processes": [process], "resources": resources });
    let spec = json!({ "cluster": "c", "role": "www", "name": name, "task": task });
    TaskConfig {
        job: JobKey::new("www", "devel", name),
        kind: Kind::Adhoc,
        resources: Resources::default(),
        ports: BTreeSet::new(),
        constraints: Vec::new(),
        tier: "preemptible".into(),
        class: Tier::default(),
        priority: 0,
        max_task_failures: 1,
        spec: serde_json::from_value(spec).unwrap(),
    }
}
