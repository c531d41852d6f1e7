use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::{config::Kind, ids::Attempt, job::Wanted, machine::Machine, task::State, tier::Tier};

fn key() -> JobKey {
    JobKey::new("www", "prod", "hello")
}

fn config(cpu_milli: u64) -> Arc<TaskConfig> {
    let spec = serde_json::from_value(json!({
        "cluster": "c", "role": "www", "environment": "prod", "name": "hello",
        "task": {
            "name": "hello",
            "processes": [{"name": "hello", "cmdline": "true"}],
            "resources": {"cpu": 1.0, "ram": 1_048_576, "disk": 1_048_576},
        },
    }))
    .unwrap();
    Arc::new(TaskConfig {
        job: key(),
        kind: Kind::Service,
        resources: Resources { cpu_milli, ram_mb: 1, disk_mb: 1, gpus: 0 },
        ports: BTreeSet::new(),
        constraints: vec![],
        tier: "preferred".into(),
        class: Tier::default(),
        priority: 0,
        max_task_failures: 1,
        spec,
    })
}

fn task(instance: u32, attempt: u32, generation: u32, state: State) -> Task {
    let key = key().task(instance);
    let run = Run {
        id: key.task_id(Timestamp(1), Attempt(attempt)),
        attempt: Attempt(attempt),
        config: ConfigId(1 + attempt % 2),
        ancestor: None,
        failures: 0,
        penalty_ms: 0,
        times_partitioned: 0,
        state,
        events: vec![],
        exits: 0,
        exit: None,
    };
    let attempt = Attempt(attempt);
    Task { attempt, generation, run: Some(run), ..Task::unborn(key) }
}

fn at(host: usize, port: u16) -> Placement {
    Placement {
        host: HostId(format!("h{host}").into()),
        ports: BTreeMap::from([("http".into(), port)]),
    }
}

fn put(task: Task) -> Change {
    Change { key: RecordKey::Task(task.key.clone()), record: Some(Record::Task(task)) }
}

fn configs() -> [Change; 2] {
    [(1, 100), (2, 250)].map(|(number, cpu_milli)| Change {
        key: RecordKey::Config(key(), ConfigId(number)),
        record: Some(Record::Config(config(cpu_milli))),
    })
}

fn wanting(generation: u32, instances: &str) -> Change {
    let mut job = Job::unborn(key());
    job.generation = generation;
    job.wanted = vec![Wanted {
        instances: instances.parse().unwrap(),
        config: ConfigId(1),
        generation,
        update: None,
    }];
    Change { key: RecordKey::Job(key()), record: Some(Record::Job(job)) }
}

fn fold(changes: impl IntoIterator<Item = Change>) -> View {
    let mut view = View::default();
    view.apply(&Committed { seq: 1, changes: changes.into_iter().collect() });
    view
}

#[test]
fn a_run_takes_its_place_from_placement_to_end() {
    let steps = [
        (State::Pending, 0),
        (State::Assigned { at: at(1, 31_000), until: Timestamp(9) }, 250),
        (State::Running { at: at(1, 31_000) }, 250),
        (State::Partitioned { at: at(1, 31_000), until: None }, 250),
        (State::Lost { at: at(1, 31_000) }, 0),
    ];
    let mut view = fold(configs());
    for (state, cpu_milli) in steps {
        view.apply(&Committed { seq: 2, changes: vec![put(task(0, 1, 1, state.clone()))] });
        let host = view.hosts.get(&HostId::from("h1"));
        assert_eq!(host.map_or(0, |it| it.used.cpu_milli), cpu_milli, "{state:?}");
        let is_there = cpu_milli > 0;
        assert_eq!(host.is_some_and(|it| it.ports_used.contains(&31_000)), is_there, "{state:?}");
        assert_eq!(host.is_some_and(|it| !it.tasks.is_empty()), is_there, "{state:?}");
        assert_eq!(view.jobs[&key()].placed.len(), usize::from(is_there), "{state:?}");
        assert_eq!(view.jobs[&key()].counts, BTreeMap::from([(state.status(), 1)]));
    }
}

#[test]
fn an_instance_counts_as_active_before_it_is_born() {
    let mut view = fold(configs().into_iter().chain([wanting(1, "0-2")]));
    let job = |view: &View| {
        let job = &view.jobs[&key()];
        (job.active().to_string(), job.unborn.to_string(), job.active_count())
    };
    assert_eq!(job(&view), ("0-2".into(), "0-2".into(), 3));
    view.apply(&Committed { seq: 2, changes: vec![put(task(1, 1, 1, State::Pending))] });
    assert_eq!(job(&view), ("0-2".into(), "0,2".into(), 3));
    let ended = State::Finished { at: at(0, 1) };
    view.apply(&Committed { seq: 3, changes: vec![put(task(1, 1, 1, ended))] });
    assert_eq!(job(&view), ("0,2".into(), "0,2".into(), 2));
    view.apply(&Committed { seq: 4, changes: vec![wanting(2, "1")] });
    assert_eq!(job(&view), ("1".into(), "1".into(), 1));
}

#[test]
fn the_reason_for_waiting_is_forgotten_when_the_wait_ends() {
    let mut view = fold(configs().into_iter().chain([put(task(0, 1, 1, State::Pending))]));
    let why = Arc::new(Pending { hosts: 3, ..Pending::default() });
    let note = |instances: &str| Note::Pending {
        job: key(),
        instances: instances.parse().unwrap(),
        why: why.clone(),
    };
    view.note(note("0-5"));
    assert_eq!(view.jobs[&key()].pending, BTreeMap::from([(0, why.clone())]));
    let assigned = State::Assigned { at: at(0, 1), until: Timestamp(9) };
    view.apply(&Committed { seq: 2, changes: vec![put(task(0, 1, 1, assigned))] });
    view.note(note("0"));
    assert!(view.jobs[&key()].pending.is_empty());
}

#[test]
fn processes_are_shown_of_the_current_run_only() {
    let first = task(0, 1, 1, State::Running { at: at(0, 1) });
    let id = |it: &Task| it.run.as_ref().unwrap().id.clone();
    let mut view = fold(configs().into_iter().chain([put(first.clone())]));
    let note = |it: &Task| Note::Processes {
        task: it.key.clone(),
        id: id(it),
        processes: Arc::new(vec![]),
    };
    view.note(note(&first));
    assert!(view.jobs[&key()].processes.contains_key(&id(&first)));
    let second = task(0, 2, 1, State::Pending);
    view.apply(&Committed { seq: 2, changes: vec![put(second.clone())] });
    view.note(note(&first));
    assert!(view.jobs[&key()].processes.is_empty());
    assert_eq!(view.slots, BTreeMap::from([(id(&second), second.key)]));
}

#[test]
fn a_job_without_a_record_is_gone() {
    let mut view = fold([wanting(1, "0"), put(task(0, 1, 1, State::Pending))]);
    let gone = |key| Change { key, record: None };
    let changes = vec![gone(RecordKey::Job(key())), gone(RecordKey::Task(key().task(0)))];
    view.apply(&Committed { seq: 2, changes });
    assert_eq!(view, View { seq: 2, ..View::default() });
}

/// A change as it might come, legal or not: the view's books must not depend on that.
fn any_change() -> impl Strategy<Value = Change> {
    let place = || (0_usize..3, 0_u32..4).prop_map(|(host, port)| (host, 31_000 + port));
    let state = (0_usize..6, place()).prop_map(|(which, (host, _))| (which, host));
    let slot = (0_u32..4, 1_u32..4, 1_u32..4, state).prop_map(|(instance, attempt, met, state)| {
        let (which, host) = state;
        // Two runs never share a port of a host.
        let at = at(host, 31_000 + u16::try_from(instance).unwrap());
        let until = Timestamp(9);
        let state = match which {
            0 => State::Pending,
            1 => State::Assigned { at, until },
            2 => State::Running { at },
            3 => State::Failed { at },
            4 => State::Throttled { until },
            _ => State::Partitioned { at, until: None },
        };
        put(task(instance, attempt, met, state))
    });
    let gone =
        (0_u32..4).prop_map(|it| Change { key: RecordKey::Task(key().task(it)), record: None });
    let host = (0_usize..3).prop_map(|it| {
        let id = HostId(format!("h{it}").into());
        let host = Host::unknown(id.clone());
        let (host, key) = (
            host.step(
                Timestamp(5),
                &crate::host::Event::Connected(crate::wire::Hello::of(id.clone(), "1")),
            )
            .unwrap(),
            RecordKey::Host(id),
        );
        Change { key, record: Some(Record::Host(host)) }
    });
    prop_oneof![6 => slot, 1 => gone, 1 => host]
}

proptest! {
    #[test]
    fn folding_step_by_step_is_folding_at_once(changes in prop::collection::vec(any_change(), 0..60)) {
        let jobs = [wanting(2, "0-2")];
        let stepwise = configs().into_iter().chain(jobs.clone()).chain(changes.clone());
        let mut view = View::default();
        for (seq, change) in (1..).zip(stepwise) {
            view.apply(&Committed { seq, changes: vec![change] });
        }
        let mut records: BTreeMap<RecordKey, Record> = BTreeMap::new();
        for Change { key, record } in configs().into_iter().chain(jobs).chain(changes) {
            match record {
                Some(record) => records.insert(key, record),
                None => records.remove(&key),
            };
        }
        let mut rebuilt = View::default();
        let changes = records
            .into_iter()
            .map(|(key, record)| Change { key, record: Some(record) })
            .collect();
        rebuilt.apply(&Committed { seq: view.seq, changes });
        // A host that has never introduced itself is shown as long as something is there.
        view.hosts.retain(|_, it| it.host.joined_at > Timestamp(0) || !it.tasks.is_empty());
        prop_assert_eq!(view, rebuilt);
    }
}
