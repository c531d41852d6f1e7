use std::time::Duration;

use super::*;
use crate::{
    ids::JobKey,
    machine::Machine,
    record::{Record, RecordKey},
    spec::PartitionPolicy,
    wire::RunState,
};

const MINUTE: u64 = 60_000;
const HOUR: u64 = 60 * MINUTE;

/// A slot, its clock, and what has happened to it so far, in words.
struct Tale {
    now: u64,
    task: Task,
    text: String,
}

impl Tale {
    fn of(policy: Policy) -> Self {
        let key = JobKey::new("www", "prod", "hello").task(0);
        let mut tale = Self { now: 0, task: Task::unborn(key), text: String::new() };
        tale.happens(&Event::Wanted {
            config: ConfigId(1),
            generation: 1,
            policy,
            message: String::new(),
        });
        tale
    }

    /// One that has been running for an hour.
    fn running(policy: Policy) -> Self {
        let mut tale = Self::of(policy);
        tale.place().say(RunState::Running).wait(HOUR);
        tale.text.clear();
        tale
    }

    fn happens(&mut self, event: &Event) -> &mut Self {
        let before = self.task.state_name();
        match self.task.step(Timestamp(self.now), event) {
            Ok(next) => {
                self.text += &format!("{before} --{}--> {}\n", event.name(), describe(&next));
                self.task = next;
            }
            Err(_) => self.text += &format!("{before} --{}--> rejected\n", event.name()),
        }
        self
    }

    fn place(&mut self) -> &mut Self {
        let attempt = self.task.attempt;
        self.happens(&Event::Placed { attempt, at: place("a1") })
    }

    fn say(&mut self, state: RunState) -> &mut Self {
        let attempt = self.task.attempt;
        self.happens(&Event::Reported { attempt, state, message: String::new() })
    }

    fn kill(&mut self) -> &mut Self {
        self.kill_as_of(self.task.generation)
    }

    fn kill_as_of(&mut self, generation: u32) -> &mut Self {
        self.happens(&Event::KillAsked { generation, message: "by ada".into() })
    }

    fn lose_sight(&mut self) -> &mut Self {
        self.happens(&Event::HostUnreachable { host: "a1".into() })
    }

    fn wait(&mut self, millis: u64) -> &mut Self {
        self.now += millis;
        self
    }

    /// Lets the time pass until the state's deadline, and says how long that took.
    fn deadline(&mut self) -> &mut Self {
        let (at, event) = self.task.deadline().expect("this state waits for something");
        let seconds = Duration::from_millis(at.0 - self.now).as_secs();
        self.text += &format!("({seconds} s) ");
        self.now = at.0;
        self.happens(&event)
    }

    fn run(&self) -> &Run {
        self.task.run.as_ref().unwrap()
    }
}

fn place(host: &str) -> Placement {
    Placement { host: host.into(), ports: Ports::new() }
}

fn describe(task: &Task) -> String {
    let state = task.state_name();
    let ended = task.ended.as_ref().map(|run| format!("{} and ", run.state.status()));
    let effects: Vec<_> = task.effects().iter().map(brief).collect();
    let effects =
        if effects.is_empty() { String::new() } else { format!(" [{}]", effects.join(", ")) };
    format!("{}{state}{effects}", ended.unwrap_or_default())
}

fn brief(effect: &Effect) -> String {
    let number = |id: &TaskId| id.0.rsplit('-').next().unwrap().to_owned();
    match effect {
        Effect::Seek { attempt, .. } => format!("seek {}", attempt.0),
        Effect::Launch { at, id, .. } => format!("launch {} on {}", number(id), at.host),
        Effect::Kill { host, id, reason } => format!("kill {} on {host}: {reason:?}", number(id)),
    }
}

fn service() -> Policy {
    Policy { service: true, max_task_failures: 1, partition: None }
}

fn adhoc(max_task_failures: i64) -> Policy {
    Policy { service: false, max_task_failures, partition: None }
}

fn statuses(run: &Run) -> Vec<&'static str> {
    run.events.iter().map(|it| it.status.name()).collect()
}

/// Every state meets every event. A new one stops compiling next to it: an event in [`columns`],
/// a state in [`State::status`].
#[test]
fn the_whole_table() {
    let mut table = format!("{:12}", "a service");
    for (name, _) in columns() {
        table += &format!("{name:6}");
    }
    for state in rows() {
        let task = in_state(state);
        table += &format!("\n{:12}", task.state_name());
        for (_, event) in columns() {
            let next = task.step(Timestamp(HOUR), &event);
            let cell = match next {
                Err(_) => "-".to_owned(),
                Ok(Task { ended: Some(ended), .. }) if task.is_active() => {
                    format!("{:.4}+", ended.state.status())
                }
                Ok(Task { run: None, .. }) => "gone".to_owned(),
                Ok(next) => format!("{:.4}", next.state_name()),
            };
            table += &format!("{cell:6}");
        }
    }
    let table: String = table.lines().map(|line| format!("{}\n", line.trim_end())).collect();
    // `+`: and another run takes its place at once. `late`: its deadline has come.
    assert_eq!(
        table,
        "\
a service   want  other place strt  runs  fini  fail  killd lost  kill  rstrt pree  drain silnt forgt late  prune
vacant      PEND  PEND  -     -     -     -     -     -     -     -     -     -     -     -     -     -     gone
THROTTLED   THRO  PEND  -     -     -     -     -     -     -     gone  -     -     -     -     -     PEND  -
PENDING     PEND  PEND  ASSI  -     -     -     -     -     -     gone  -     -     -     -     -     -     -
ASSIGNED    ASSI  KILL  -     STAR  RUNN  FINI+ FAIL+ KILL+ LOST+ KILL  REST  PREE  DRAI  -     -     LOST+ -
STARTING    STAR  KILL  -     -     RUNN  FINI+ FAIL+ KILL+ LOST+ KILL  REST  PREE  DRAI  PART  LOST+ -     -
RUNNING     RUNN  KILL  -     -     -     FINI+ FAIL+ KILL+ LOST+ KILL  REST  PREE  DRAI  PART  LOST+ -     -
PARTITIONED PART  LOST+ -     STAR  RUNN  FINI+ FAIL+ KILL+ LOST+ LOST  LOST+ LOST+ LOST+ -     LOST+ LOST+ -
KILLING     KILL  KILL  -     -     -     FINI  FAIL  KILL  LOST  -     -     -     -     LOST  LOST  LOST  -
RESTARTING  REST  REST  -     -     -     FINI+ FAIL+ KILL+ LOST+ KILL  -     -     -     LOST+ LOST+ LOST+ -
PREEMPTING  PREE  PREE  -     -     -     FINI+ FAIL+ KILL+ LOST+ KILL  -     -     -     LOST+ LOST+ LOST+ -
DRAINING    DRAI  DRAI  -     -     -     FINI+ FAIL+ KILL+ LOST+ KILL  -     -     -     LOST+ LOST+ LOST+ -
FINISHED    PEND  PEND  -     -     -     -     -     -     -     -     -     -     -     -     -     -     gone
FAILED      PEND  PEND  -     -     -     -     -     -     -     -     -     -     -     -     -     -     gone
KILLED      PEND  PEND  -     -     -     -     -     -     -     -     -     -     -     -     -     -     gone
LOST        PEND  PEND  -     -     -     -     -     -     -     -     -     -     -     -     -     -     gone
"
    );
}

/// Whoever was told to end in order to be another is that after its end, however it comes.
#[test]
fn who_makes_way_for_another_is_followed_by_it() {
    let at = || place("a1");
    let until = Timestamp(0);
    let killing = State::Killing { at: at(), until, retry_at: until, retry_ms: 0 };
    let leaving = [
        killing.clone(),
        State::Restarting { at: at(), until },
        State::Preempting { at: at(), until },
        State::Draining { at: at(), until },
    ];
    for state in leaving {
        let task = Task { next: Some(ConfigId(2)), ..in_state(Some(state.clone())) };
        for (name, event) in columns() {
            if !["fini", "fail", "killd", "lost", "silnt", "forgt", "late"].contains(&name) {
                continue;
            }
            let next = task.step(Timestamp(HOUR), &event).unwrap();
            let run = next.run.as_ref().unwrap();
            let found = (run.config, run.state.status(), run.attempt, run.failures, next.next);
            let what = format!("{name} while {}", state.status());
            assert_eq!(found, (ConfigId(2), Status::Pending, Attempt(2), 0, None), "{what}");
            assert!(next.ended.is_some(), "{what}");
        }
    }
    let unwanted = Event::KillAsked { generation: 9, message: String::new() };
    let task = Task { next: Some(ConfigId(2)), ..in_state(Some(killing)) };
    let ends = task.step(Timestamp(HOUR), &unwanted).unwrap();
    assert_eq!((ends.status(), ends.next), (Some(Status::Killing), None));
}

/// What an update counts: ends that nobody asked for, of runs with one configuration.
#[test]
fn a_line_remembers_how_it_ended_by_itself() {
    let mut tale = Tale::of(service());
    for (attempt, state) in [(1, RunState::Failed), (2, RunState::Finished), (3, RunState::Lost)] {
        let attempt = Attempt(attempt);
        tale.task.run.as_mut().unwrap().state = State::Running { at: place("a1") };
        tale.happens(&Event::Reported { attempt, state, message: format!("{attempt:?}") });
    }
    let run = tale.task.run.as_ref().unwrap();
    let exit = run.exit.as_deref().unwrap();
    assert_eq!((run.exits, exit.status, &*exit.message), (2, Status::Finished, "Attempt(2)"));
    let (policy, message) = (service(), String::new());
    tale.task.run.as_mut().unwrap().state = State::Pending;
    tale.happens(&Event::Wanted { config: ConfigId(2), generation: 2, policy, message });
    let run = tale.task.run.as_ref().unwrap();
    assert_eq!((run.config, run.exits, &run.exit), (ConfigId(2), 0, &None));
}

fn rows() -> Vec<Option<State>> {
    let at = || place("a1");
    let until = Timestamp(0);
    vec![
        None,
        Some(State::Throttled { until }),
        Some(State::Pending),
        Some(State::Assigned { at: at(), until }),
        Some(State::Starting { at: at() }),
        Some(State::Running { at: at() }),
        Some(State::Partitioned { at: at(), until: Some(until) }),
        Some(State::Killing { at: at(), until, retry_at: until, retry_ms: 0 }),
        Some(State::Restarting { at: at(), until }),
        Some(State::Preempting { at: at(), until }),
        Some(State::Draining { at: at(), until }),
        Some(State::Finished { at: at() }),
        Some(State::Failed { at: at() }),
        Some(State::Killed { at: at() }),
        Some(State::Lost { at: at() }),
    ]
}

fn in_state(state: Option<State>) -> Task {
    let mut task = Tale::of(service()).task;
    match state {
        Some(state) => task.run.as_mut().unwrap().state = state,
        None => task.run = None,
    }
    task
}

fn columns() -> Vec<(&'static str, Event)> {
    let attempt = Attempt(1);
    let message = String::new;
    let said = |state| Event::Reported { attempt, state, message: message() };
    let events = vec![
        Event::Wanted {
            config: ConfigId(1),
            generation: 2,
            policy: service(),
            message: String::new(),
        },
        Event::Wanted {
            config: ConfigId(2),
            generation: 2,
            policy: service(),
            message: "for an update".into(),
        },
        Event::Placed { attempt, at: place("a1") },
        said(RunState::Starting),
        said(RunState::Running),
        said(RunState::Finished),
        said(RunState::Failed),
        said(RunState::Killed),
        said(RunState::Lost),
        Event::KillAsked { generation: 1, message: message() },
        Event::RestartAsked { message: message() },
        Event::PreemptAsked { attempt, message: message() },
        Event::DrainAsked { attempt, message: message() },
        Event::HostUnreachable { host: "a1".into() },
        Event::HostForgot { attempt },
        Event::TimedOut,
        Event::Pruned { attempt },
    ];
    let name = |event: &Event| match event {
        Event::Wanted { config: ConfigId(1), .. } => "want",
        Event::Wanted { .. } => "other",
        Event::Placed { .. } => "place",
        Event::Reported { state: RunState::Starting, .. } => "strt",
        Event::Reported { state: RunState::Running, .. } => "runs",
        Event::Reported { state: RunState::Finished, .. } => "fini",
        Event::Reported { state: RunState::Failed, .. } => "fail",
        Event::Reported { state: RunState::Killed, .. } => "killd",
        Event::Reported { state: RunState::Lost, .. } => "lost",
        Event::KillAsked { .. } => "kill",
        Event::RestartAsked { .. } => "rstrt",
        Event::PreemptAsked { .. } => "pree",
        Event::DrainAsked { .. } => "drain",
        Event::HostUnreachable { .. } => "silnt",
        Event::HostForgot { .. } => "forgt",
        Event::TimedOut => "late",
        Event::Pruned { .. } => "prune",
    };
    events.into_iter().map(|event| (name(&event), event)).collect()
}

#[test]
fn s1_a_service_that_finishes_runs_again_and_its_past_is_history_by_the_same_commit() {
    let mut tale = Tale::of(service());
    tale.place().say(RunState::Starting).say(RunState::Running).wait(HOUR).say(RunState::Finished);
    assert_eq!(
        tale.text,
        "\
unborn --wanted--> PENDING [seek 1]
PENDING --placed--> ASSIGNED [launch 1 on a1]
ASSIGNED --said to be starting--> STARTING
STARTING --said to be running--> RUNNING
RUNNING --said to have finished--> FINISHED and PENDING [seek 2]
"
    );
    let old = JobKey::new("www", "prod", "hello").task(0).task_id(Timestamp(0), Attempt(1));
    assert_eq!(tale.run().ancestor.as_ref(), Some(&old));
    assert_eq!(tale.run().events[0].message, "Rescheduled");
    let changes = tale.task.changes(None);
    assert_eq!(changes[0].key, RecordKey::History(tale.task.key.clone(), old));
    let Some(Record::History(past)) = &changes[0].record else { panic!("{:?}", changes[0]) };
    assert_eq!(statuses(past), ["PENDING", "ASSIGNED", "STARTING", "RUNNING", "FINISHED"]);
    assert_eq!(changes[1].key, RecordKey::Task(tale.task.key.clone()));
}

#[test]
fn s2_what_follows_each_end_of_each_kind() {
    let follows = |policy: Policy, end| {
        let mut tale = Tale::running(policy);
        tale.say(end).task.is_active()
    };
    let ends = [RunState::Finished, RunState::Failed, RunState::Killed, RunState::Lost];
    assert_eq!(ends.map(|it| follows(service(), it)), [true, true, true, true]);
    assert_eq!(ends.map(|it| follows(adhoc(1), it)), [false, false, true, true]);
    assert_eq!(ends.map(|it| follows(adhoc(2), it)), [false, true, true, true]);
    assert_eq!(ends.map(|it| follows(adhoc(-1), it)), [false, true, true, true]);
}

#[test]
fn s4_with_n_task_failures_allowed_n_runs_fail() {
    for limit in [1, 2, 10] {
        let mut tale = Tale::of(adhoc(limit));
        let mut failed = 0;
        while tale.task.is_active() {
            // Neither what is lost nor what its host killed counts.
            for end in [RunState::Lost, RunState::Killed, RunState::Failed] {
                tale.place().say(RunState::Running).wait(HOUR).say(end);
            }
            failed += 1;
        }
        assert_eq!(failed, limit);
        assert_eq!(tale.task.status(), Some(Status::Failed));
    }
}

#[test]
fn s5_without_a_limit_any_number_of_runs_may_fail() {
    let mut tale = Tale::running(adhoc(-1));
    tale.task.run.as_mut().unwrap().failures = 1000;
    tale.say(RunState::Failed);
    assert_eq!((tale.task.status(), tale.run().failures), (Some(Status::Pending), 1001));
}

#[test]
fn s7_who_is_killed_before_there_was_a_place_leaves_no_trace() {
    let mut tale = Tale::of(service());
    tale.kill();
    tale.happens(&Event::Placed { attempt: Attempt(1), at: place("a1") });
    let policy = service();
    tale.happens(&Event::Wanted {
        config: ConfigId(1),
        generation: 1,
        policy: policy.clone(),
        message: String::new(),
    });
    tale.happens(&Event::Wanted {
        config: ConfigId(2),
        generation: 2,
        policy,
        message: String::new(),
    });
    tale.happens(&Event::Placed { attempt: Attempt(1), at: place("a1") });
    assert_eq!(
        tale.text,
        "\
unborn --wanted--> PENDING [seek 1]
PENDING --kill asked--> vacant
vacant --placed--> rejected
vacant --wanted--> rejected
vacant --wanted--> PENDING [seek 2]
PENDING --placed--> rejected
"
    );
}

#[test]
fn a_kill_that_comes_late_does_not_end_what_has_been_wanted_since() {
    let mut tale = Tale::of(service());
    tale.kill();
    tale.happens(&Event::Wanted {
        config: ConfigId(1),
        generation: 2,
        policy: service(),
        message: String::new(),
    });
    tale.kill_as_of(1).place().kill_as_of(1).kill_as_of(2);
    assert_eq!(
        tale.text,
        "\
unborn --wanted--> PENDING [seek 1]
PENDING --kill asked--> vacant
vacant --wanted--> PENDING [seek 2]
PENDING --kill asked--> rejected
PENDING --placed--> ASSIGNED [launch 2 on a1]
ASSIGNED --kill asked--> rejected
ASSIGNED --kill asked--> KILLING [kill 2 on a1: \"by ada\"]
"
    );
}

#[test]
fn s13_a_kill_without_an_answer_is_repeated_and_given_up_after_five_minutes() {
    let mut tale = Tale::running(service());
    tale.kill();
    while tale.task.is_active() {
        tale.deadline();
    }
    assert_eq!(
        tale.text,
        "\
RUNNING --kill asked--> KILLING [kill 1 on a1: \"by ada\"]
(16 s) KILLING --timed out--> KILLING [kill 1 on a1: \"by ada\"]
(28 s) KILLING --timed out--> KILLING [kill 1 on a1: \"by ada\"]
(48 s) KILLING --timed out--> KILLING [kill 1 on a1: \"by ada\"]
(89 s) KILLING --timed out--> KILLING [kill 1 on a1: \"by ada\"]
(116 s) KILLING --timed out--> LOST [kill 1 on a1: \"Task timed out\"]
"
    );
    assert_eq!(tale.now - HOUR, 5 * MINUTE);
    assert_eq!(
        statuses(tale.run()),
        ["PENDING", "ASSIGNED", "RUNNING", "KILLING", "LOST"],
        "that it was asked again is no news"
    );
}

#[test]
fn s8_who_was_killed_stays_so_whatever_its_host_says_later() {
    let mut tale = Tale::running(service());
    tale.kill().say(RunState::Running).say(RunState::Killed);
    tale.say(RunState::Running).kill().happens(&Event::TimedOut);
    assert_eq!(
        tale.text,
        "\
RUNNING --kill asked--> KILLING [kill 1 on a1: \"by ada\"]
KILLING --said to be running--> rejected
KILLING --said to be killed--> KILLED
KILLED --said to be running--> rejected
KILLED --kill asked--> rejected
KILLED --timed out--> rejected
"
    );
}

#[test]
fn s11_a_restart_runs_even_what_had_its_one_go_and_counts_no_failure() {
    let mut tale = Tale::running(adhoc(1));
    for end in [RunState::Failed, RunState::Finished] {
        tale.happens(&Event::RestartAsked { message: "by ada".into() }).say(end);
        assert_eq!(tale.run().failures, 0);
        tale.place().say(RunState::Running).wait(HOUR);
    }
    assert_eq!(
        tale.text,
        "\
RUNNING --restart asked--> RESTARTING [kill 1 on a1: \"by ada\"]
RESTARTING --said to have failed--> FAILED and PENDING [seek 2]
PENDING --placed--> ASSIGNED [launch 2 on a1]
ASSIGNED --said to be running--> RUNNING
RUNNING --restart asked--> RESTARTING [kill 2 on a1: \"by ada\"]
RESTARTING --said to have finished--> FINISHED and PENDING [seek 3]
PENDING --placed--> ASSIGNED [launch 3 on a1]
ASSIGNED --said to be running--> RUNNING
"
    );
}

#[test]
fn a_launch_without_an_answer_is_lost_and_asked_to_end_in_case_it_comes_late() {
    let mut tale = Tale::of(service());
    tale.place().deadline();
    assert_eq!(
        tale.text,
        "\
unborn --wanted--> PENDING [seek 1]
PENDING --placed--> ASSIGNED [launch 1 on a1]
(300 s) ASSIGNED --timed out--> LOST and PENDING [kill 1 on a1: \"Task timed out\", seek 2]
"
    );
}

#[test]
fn s19_the_wait_of_what_keeps_failing_grows_up_to_five_minutes() {
    let mut tale = Tale::of(service());
    let mut waits = Vec::new();
    for _ in 0..8 {
        tale.place().say(RunState::Running).wait(10_000).say(RunState::Failed);
        waits.push(tale.run().penalty_ms / 1000);
        tale.deadline();
    }
    assert_eq!(waits, [33, 59, 65, 97, 186, 272, 300, 300], "seconds");
    assert_eq!(tale.run().failures, 8);
    assert_eq!(tale.run().events[0].message, "Rescheduled, penalized for 300000 ms for flapping");
    // One that lasts is forgiven all of it.
    tale.place().say(RunState::Running).wait(HOUR).say(RunState::Failed);
    assert_eq!((tale.run().penalty_ms, tale.task.status()), (0, Some(Status::Pending)));
}

#[test]
fn s20_nobody_waits_who_ran_for_long_or_was_asked_to_end() {
    let penalty = |tell: &dyn Fn(&mut Tale)| {
        let mut tale = Tale::of(service());
        tale.place().say(RunState::Running);
        tell(&mut tale);
        (tale.task.attempt.0, tale.run().penalty_ms > 0)
    };
    let asked = |event: Event| {
        penalty(&move |tale| {
            tale.wait(10_000).happens(&event).say(RunState::Failed);
        })
    };
    let message = String::new;
    assert_eq!(penalty(&|tale| _ = tale.wait(10_000).say(RunState::Failed)), (2, true));
    assert_eq!(penalty(&|tale| _ = tale.wait(5 * MINUTE).say(RunState::Failed)), (2, false));
    assert_eq!(asked(Event::RestartAsked { message: message() }), (2, false));
    assert_eq!(asked(Event::PreemptAsked { attempt: Attempt(1), message: message() }), (2, false));
    assert_eq!(asked(Event::DrainAsked { attempt: Attempt(1), message: message() }), (2, false));
    // A short silence does not make an old run look young, and being given up is not its doing.
    let silence = |tale: &mut Tale| _ = tale.wait(HOUR).lose_sight().say(RunState::Running);
    assert_eq!(
        penalty(&|tale| {
            silence(tale);
            tale.wait(10_000).say(RunState::Failed);
        }),
        (2, false)
    );
    assert_eq!(
        penalty(&|tale| {
            tale.wait(10_000).lose_sight().deadline();
        }),
        (2, false)
    );
}

#[test]
fn s14_s16_a_silent_host_is_waited_for_as_long_as_the_policy_says() {
    let partition = |reschedule, delay_secs| {
        let policy = PartitionPolicy { reschedule, delay_secs };
        let mut tale = Tale::running(Policy { partition: Some(policy), ..service() });
        tale.lose_sight();
        tale
    };
    let mut tale = partition(true, 60);
    tale.happens(&Event::TimedOut).deadline();
    let mut soon = Tale::running(service());
    soon.lose_sight().deadline();
    assert_eq!(
        tale.text + &soon.text,
        "\
RUNNING --host unreachable--> PARTITIONED
PARTITIONED --timed out--> rejected
(60 s) PARTITIONED --timed out--> LOST and PENDING [kill 1 on a1: \"Task partitioned for too long\", seek 2]
RUNNING --host unreachable--> PARTITIONED
(0 s) PARTITIONED --timed out--> LOST and PENDING [kill 1 on a1: \"Task partitioned for too long\", seek 2]
"
    );
    assert_eq!(partition(false, 0).task.deadline(), None);
}

#[test]
fn a_host_that_comes_and_goes_leaves_one_trace_for_each_state_it_came_back_to() {
    let mut tale = Tale::of(service());
    tale.place().say(RunState::Starting);
    for _ in 0..5 {
        tale.lose_sight().say(RunState::Running);
    }
    tale.lose_sight();
    assert_eq!(
        statuses(tale.run()),
        ["PENDING", "ASSIGNED", "STARTING", "PARTITIONED", "RUNNING", "PARTITIONED"]
    );
    assert_eq!(tale.run().times_partitioned, 6);
}

#[test]
fn s17_what_is_asked_of_a_silent_host_counts_as_lost_at_once() {
    let mut killed = Tale::running(service());
    killed.lose_sight().kill();
    let mut restarted = Tale::running(service());
    restarted.lose_sight().happens(&Event::RestartAsked { message: "by ada".into() });
    let mut silent_then = Tale::running(service());
    silent_then.kill().lose_sight();
    let mut drained_then = Tale::running(service());
    let drain = Event::DrainAsked { attempt: Attempt(1), message: "by ada".into() };
    drained_then.happens(&drain).lose_sight();
    assert_eq!(
        [killed.text.as_str(), &restarted.text, &silent_then.text, &drained_then.text].concat(),
        "\
RUNNING --host unreachable--> PARTITIONED
PARTITIONED --kill asked--> LOST [kill 1 on a1: \"It was to end, and its host cannot be reached\"]
RUNNING --host unreachable--> PARTITIONED
PARTITIONED --restart asked--> LOST and PENDING [kill 1 on a1: \"It was to end, and its host cannot be reached\", seek 2]
RUNNING --kill asked--> KILLING [kill 1 on a1: \"by ada\"]
KILLING --host unreachable--> LOST [kill 1 on a1: \"It was to end, and its host cannot be reached\"]
RUNNING --drain asked--> DRAINING [kill 1 on a1: \"by ada\"]
DRAINING --host unreachable--> LOST and PENDING [kill 1 on a1: \"It was to end, and its host cannot be reached\", seek 2]
"
    );
    assert_eq!(statuses(killed.run())[2..], ["RUNNING", "PARTITIONED", "KILLING", "LOST"]);
}

#[test]
fn news_of_another_attempt_or_another_host_is_not_about_this_run() {
    let mut tale = Tale::running(service());
    tale.happens(&Event::HostUnreachable { host: "b2".into() });
    tale.happens(&Event::HostForgot { attempt: Attempt(7) });
    tale.happens(&Event::Reported {
        attempt: Attempt(0),
        state: RunState::Failed,
        message: String::new(),
    });
    assert_eq!(tale.text.matches("rejected").count(), 3, "{}", tale.text);
}

#[test]
fn s10_an_attempt_that_should_not_be_is_asked_to_end() {
    let mut tale = Tale::running(service());
    let old = tale.run().id.clone();
    let stray = |tale: &Tale, state| {
        tale.task.stray(&"a1".into(), &old, state).map(|effect| brief(&effect))
    };
    assert_eq!(stray(&tale, RunState::Running), None);
    tale.say(RunState::Lost);
    assert_eq!(stray(&tale, RunState::Running).unwrap(), "kill 1 on a1: \"It has been given up\"");
    assert_eq!(stray(&tale, RunState::Killed), None, "it has ended");
    let unheard_of = Task::unborn(tale.task.key.clone());
    assert!(unheard_of.stray(&"a1".into(), &old, RunState::Starting).is_some());
}
