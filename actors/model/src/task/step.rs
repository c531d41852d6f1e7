//! Where events lead. The match is the documentation; below it are only the verbs that it uses.
//!
//! It is Aurora's table with two differences. A run that ends while its host is silent is followed
//! by another on the same terms as any: a service that finishes, whatever was killed. And whoever
//! is given up as lost is asked to end, whatever led there, so that nothing comes back later.

use std::time::Duration;

use super::{
    Effect, Event, Placement, Policy, Run, State, Status, Task, TaskEvent,
    penalty::{self, Backoff},
};
use crate::{
    ids::{Attempt, ConfigId},
    machine::{Machine, Rejected, Timestamp},
    record::{Change, Record, RecordKey},
    wire::RunState,
};

/// How long a run may be on its way from one state to the next before it counts as lost.
pub const TRANSIENT_FOR: Duration = Duration::from_secs(5 * 60);

/// A kill that shows no result is asked for again.
const KILL_RETRY: Backoff =
    Backoff { first: Duration::from_secs(15), most: Duration::from_secs(5 * 60) };

pub(super) const TIMED_OUT: &str = "Task timed out";
const SILENT_TOO_LONG: &str = "Task partitioned for too long";
const OUT_OF_REACH: &str = "It was to end, and its host cannot be reached";
const FORGOTTEN: &str = "Its host does not know of it";

impl Machine for Task {
    type Event = Event;
    type Effect = Effect;

    #[rustfmt::skip] // One arm is one rule, and the rules want to be seen together.
    #[expect(clippy::too_many_lines, reason = "the whole table is in one place")]
    fn step(&self, now: Timestamp, event: &Event) -> Result<Self, Rejected> {
        use {Event as E, RunState as R, State as S};

        let rejected = Rejected { state: self.state_name(), event: event.name() };
        if !self.is_meant_by(event) {
            return Err(rejected);
        }
        let slot = Self { ended: None, ..self.clone() };
        let until = now + TRANSIENT_FOR;
        let has_next = self.next.is_some();
        let next = match (self.run.as_ref().map(|run| &run.state), event) {
            // From being wanted to having a place.
            (None | Some(S::Finished { .. } | S::Failed { .. } | S::Killed { .. } | S::Lost { .. }),
             E::Wanted { config, generation, policy, .. }) if *generation > self.generation =>
                slot.meet(*generation, policy).begin(now, *config),
            // It is wanted otherwise than it is. Who has no place yet has nothing to end.
            (Some(S::Throttled { .. } | S::Pending),
             E::Wanted { config, generation, policy, .. }) if *generation > self.generation =>
                slot.meet(*generation, policy).become_another(now, *config),
            (Some(S::Assigned { at, .. } | S::Starting { at } | S::Running { at }),
             E::Wanted { config, generation, policy, message }) if *generation > self.generation =>
                slot.meet(*generation, policy).make_way(now, at, *config, message),
            (Some(S::Partitioned { at, .. }),
             E::Wanted { config, generation, policy, message }) if *generation > self.generation =>
                slot.meet(*generation, policy).make_way_unheard(now, at, *config, message),
            (Some(S::Killing { .. }),
             E::Wanted { config, generation, policy, .. }) if *generation > self.generation =>
                slot.meet(*generation, policy).then(Some(*config)),
            (Some(S::Restarting { .. } | S::Preempting { .. } | S::Draining { .. }),
             E::Wanted { config, generation, policy, .. }) if *generation > self.generation =>
                slot.meet(*generation, policy).then_another(*config),
            (Some(S::Throttled { until }), E::TimedOut) if *until <= now =>
                slot.enter(now, S::Pending, ""),
            (Some(S::Pending), E::Placed { at, .. }) =>
                slot.enter(now, S::Assigned { at: at.clone(), until }, ""),

            // Its host's word on a run that is meant to be.
            (Some(S::Assigned { at, .. } | S::Partitioned { at, .. }),
             E::Reported { state: state @ R::Starting, message, .. })
            | (Some(S::Assigned { at, .. } | S::Starting { at } | S::Partitioned { at, .. }),
             E::Reported { state: state @ R::Running, message, .. }) =>
                slot.enter(now, told(*state, at), message),
            (Some(S::Assigned { at, .. } | S::Starting { at } | S::Running { at }
                | S::Partitioned { at, .. }),
             E::Reported { state: R::Finished, message, .. }) =>
                slot.enter(now, S::Finished { at: at.clone() }, message)
                    .follow_if(self.policy.service, now),
            (Some(S::Assigned { at, .. } | S::Starting { at } | S::Running { at }
                | S::Partitioned { at, .. }),
             E::Reported { state: R::Failed, message, .. }) =>
                slot.enter(now, S::Failed { at: at.clone() }, message)
                    .follow_if(self.may_fail_again(), now),
            (Some(S::Assigned { at, .. } | S::Starting { at } | S::Running { at }
                | S::Partitioned { at, .. }),
             E::Reported { state: state @ (R::Killed | R::Lost), message, .. }) =>
                slot.enter(now, told(*state, at), message).follow(now),

            // Nobody's word on it.
            (Some(S::Assigned { at, until }), E::TimedOut) if *until <= now =>
                slot.lose(now, at, TIMED_OUT).follow(now),
            (Some(S::Starting { at } | S::Running { at }), E::HostUnreachable { .. }) =>
                slot.part(now, at),
            (Some(S::Starting { at } | S::Running { at } | S::Partitioned { at, .. }),
             E::HostForgot { .. }) =>
                slot.lose(now, at, FORGOTTEN).follow(now),
            (Some(S::Partitioned { at, until: Some(until) }), E::TimedOut) if *until <= now =>
                slot.lose(now, at, SILENT_TOO_LONG).follow(now),

            // It should end for good. Who has no place yet has nothing to tell.
            (Some(S::Throttled { .. } | S::Pending), E::KillAsked { .. }) =>
                slot.vanish(),
            (Some(S::Assigned { at, .. } | S::Starting { at } | S::Running { at }
                | S::Restarting { at, .. } | S::Preempting { at, .. } | S::Draining { at, .. }),
             E::KillAsked { message, .. }) =>
                slot.kill(now, at, message),
            (Some(S::Partitioned { at, .. }), E::KillAsked { message, .. }) =>
                slot.kill(now, at, message).lose(now, at, OUT_OF_REACH),
            (Some(S::Killing { .. }), E::KillAsked { .. }) if self.next.is_some() =>
                slot.then(None),
            (Some(S::Killing { at, until, retry_at, retry_ms }), E::TimedOut)
                if *retry_at <= now && now < *until =>
                slot.kill_again(now, at, *until, *retry_ms),
            (Some(S::Killing { at, .. }),
             E::Reported { state, message, .. }) if state.is_terminal() =>
                slot.enter(now, told(*state, at), message).follow_if(has_next, now),
            (Some(S::Killing { at, .. }), E::HostForgot { .. }) =>
                slot.lose(now, at, FORGOTTEN).follow_if(has_next, now),
            (Some(S::Killing { at, .. }), E::HostUnreachable { .. }) =>
                slot.part(now, at).lose(now, at, OUT_OF_REACH).follow_if(has_next, now),
            (Some(S::Killing { at, until, .. }), E::TimedOut) if *until <= now =>
                slot.lose(now, at, TIMED_OUT).follow_if(has_next, now),

            // It should end to be run again, however it ends.
            (Some(S::Assigned { at, .. } | S::Starting { at } | S::Running { at }),
             E::RestartAsked { message }) =>
                slot.enter(now, S::Restarting { at: at.clone(), until }, message),
            (Some(S::Assigned { at, .. } | S::Starting { at } | S::Running { at }),
             E::PreemptAsked { message, .. }) =>
                slot.enter(now, S::Preempting { at: at.clone(), until }, message),
            (Some(S::Assigned { at, .. } | S::Starting { at } | S::Running { at }),
             E::DrainAsked { message, .. }) =>
                slot.enter(now, S::Draining { at: at.clone(), until }, message),
            (Some(S::Partitioned { at, .. }), E::RestartAsked { message }) =>
                slot.enter(now, S::Restarting { at: at.clone(), until }, message)
                    .lose(now, at, OUT_OF_REACH).follow(now),
            (Some(S::Partitioned { at, .. }), E::PreemptAsked { message, .. }) =>
                slot.enter(now, S::Preempting { at: at.clone(), until }, message)
                    .lose(now, at, OUT_OF_REACH).follow(now),
            (Some(S::Partitioned { at, .. }), E::DrainAsked { message, .. }) =>
                slot.enter(now, S::Draining { at: at.clone(), until }, message)
                    .lose(now, at, OUT_OF_REACH).follow(now),
            (Some(S::Restarting { at, .. } | S::Preempting { at, .. } | S::Draining { at, .. }),
             E::Reported { state, message, .. }) if state.is_terminal() =>
                slot.enter(now, told(*state, at), message).follow(now),
            (Some(S::Restarting { at, .. } | S::Preempting { at, .. } | S::Draining { at, .. }),
             E::HostForgot { .. }) =>
                slot.lose(now, at, FORGOTTEN).follow(now),
            (Some(S::Restarting { at, .. } | S::Preempting { at, .. } | S::Draining { at, .. }),
             E::HostUnreachable { .. }) =>
                slot.part(now, at).lose(now, at, OUT_OF_REACH).follow(now),
            (Some(S::Restarting { at, until } | S::Preempting { at, until }
                | S::Draining { at, until }),
             E::TimedOut) if *until <= now =>
                slot.lose(now, at, TIMED_OUT).follow(now),

            // It has ended, and long ago.
            (None | Some(S::Finished { .. } | S::Failed { .. } | S::Killed { .. } | S::Lost { .. }),
             E::Pruned { .. }) if self.generation > 0 =>
                Self::unborn(self.key.clone()),

            (_, _) => return Err(rejected),
        };
        Ok(next)
    }

    fn effects(&self) -> Vec<Effect> {
        let kill = |at: &Placement, run: &Run| Effect::Kill {
            host: at.host.clone(),
            id: run.id.clone(),
            reason: run.why().to_owned(),
        };
        let asks = |run: &Run| match &run.state {
            State::Pending => Some(Effect::Seek { attempt: run.attempt, config: run.config }),
            State::Assigned { at, .. } => Some(Effect::Launch {
                at: at.clone(),
                id: run.id.clone(),
                attempt: run.attempt,
                config: run.config,
            }),
            State::Killing { at, .. }
            | State::Restarting { at, .. }
            | State::Preempting { at, .. }
            | State::Draining { at, .. }
            | State::Lost { at } => Some(kill(at, run)),
            State::Throttled { .. }
            | State::Starting { .. }
            | State::Running { .. }
            | State::Partitioned { .. }
            | State::Finished { .. }
            | State::Failed { .. }
            | State::Killed { .. } => None,
        };
        self.ended.as_deref().into_iter().chain(&self.run).filter_map(asks).collect()
    }

    fn deadline(&self) -> Option<(Timestamp, Event)> {
        let at = match self.run.as_ref()?.state {
            State::Throttled { until }
            | State::Assigned { until, .. }
            | State::Restarting { until, .. }
            | State::Preempting { until, .. }
            | State::Draining { until, .. } => until,
            State::Killing { until, retry_at, .. } => until.min(retry_at),
            State::Partitioned { until, .. } => until?,
            State::Pending
            | State::Starting { .. }
            | State::Running { .. }
            | State::Finished { .. }
            | State::Failed { .. }
            | State::Killed { .. }
            | State::Lost { .. } => return None,
        };
        Some((at, Event::TimedOut))
    }

    fn changes(&self, _: Option<&Self>) -> Vec<Change> {
        let history = self.ended.as_deref().map(|run| Change {
            key: RecordKey::History(self.key.clone(), run.id.clone()),
            record: Some(Record::History(run.clone())),
        });
        let task = Change {
            key: RecordKey::Task(self.key.clone()),
            record: (self.generation > 0)
                .then(|| Record::Task(Self { ended: None, ..self.clone() })),
        };
        history.into_iter().chain([task]).collect()
    }
}

/// What its host's word makes of a run.
fn told(state: RunState, at: &Placement) -> State {
    let at = at.clone();
    match state {
        RunState::Starting => State::Starting { at },
        RunState::Running => State::Running { at },
        RunState::Finished => State::Finished { at },
        RunState::Failed => State::Failed { at },
        RunState::Killed => State::Killed { at },
        RunState::Lost => State::Lost { at },
    }
}

/// What the match asks of a slot.
impl Task {
    /// The event is about what is there now, not about an older run or where that was.
    fn is_meant_by(&self, event: &Event) -> bool {
        match event {
            Event::Placed { attempt, .. }
            | Event::Reported { attempt, .. }
            | Event::PreemptAsked { attempt, .. }
            | Event::DrainAsked { attempt, .. }
            | Event::HostForgot { attempt }
            | Event::Pruned { attempt } => *attempt == self.attempt,
            Event::HostUnreachable { host } => self.run.as_ref().is_some_and(|it| it.is_on(host)),
            Event::KillAsked { generation, .. } => self.generation <= *generation,
            Event::Wanted { .. } | Event::RestartAsked { .. } | Event::TimedOut => true,
        }
    }

    /// After the current run, if that failed too.
    fn may_fail_again(&self) -> bool {
        let failures = self.run.as_ref().map_or(0, |run| i64::from(run.failures));
        let limit = self.policy.max_task_failures;
        self.policy.service || limit == -1 || failures + 1 < limit
    }

    pub(super) fn state_name(&self) -> &'static str {
        match self.status() {
            Some(status) => status.name(),
            None if self.generation == 0 => "unborn",
            None => "vacant",
        }
    }
}

/// What the match makes of a slot.
impl Task {
    /// From now on it is what the job's newest demand says.
    fn meet(mut self, generation: u32, policy: &Policy) -> Self {
        self.generation = generation;
        self.policy = policy.clone();
        self
    }

    /// The first run of a line.
    fn begin(mut self, now: Timestamp, config: ConfigId) -> Self {
        if self.attempt == Attempt(0) {
            self.born_at = now;
        }
        self.next = None;
        self.ended = self.run.take().map(Box::new);
        self.run = Some(self.new_run(config));
        self.enter(now, State::Pending, "")
    }

    /// One that has no place yet has nothing to tell of what it would have been.
    fn become_another(mut self, now: Timestamp, config: ConfigId) -> Self {
        if self.has(config) {
            return self;
        }
        self.run = None;
        self.begin(now, config)
    }

    /// Ends what runs, to be another after it.
    fn make_way(mut self, now: Timestamp, at: &Placement, config: ConfigId, why: &str) -> Self {
        if self.has(config) {
            return self;
        }
        self.next = Some(config);
        self.kill(now, at, why)
    }

    /// The same where nothing is heard of what runs.
    fn make_way_unheard(self, now: Timestamp, at: &Placement, config: ConfigId, why: &str) -> Self {
        let slot = self.make_way(now, at, config, why);
        if slot.next.is_none() {
            return slot;
        }
        slot.lose(now, at, OUT_OF_REACH).follow(now)
    }

    /// What comes after the run that is ending.
    fn then(self, next: Option<ConfigId>) -> Self {
        Self { next, ..self }
    }

    /// The same of one that would be followed by another of its kind anyway.
    fn then_another(self, config: ConfigId) -> Self {
        let next = (!self.has(config)).then_some(config);
        self.then(next)
    }

    fn has(&self, config: ConfigId) -> bool {
        self.run.as_ref().is_some_and(|it| it.config == config)
    }

    /// Another run in place of the one that just ended: another of its line, unless the job wants
    /// something else by now.
    fn follow(mut self, now: Timestamp) -> Self {
        if let Some(config) = self.next.take() {
            return self.begin(now, config);
        }
        let ended = self.run.take().expect("only a run that ended is followed by another");
        let penalty = penalty::after(&ended);
        let failed = matches!(ended.state, State::Failed { .. }) && !ended.was_asked_to_end();
        self.run = Some(Run {
            ancestor: Some(ended.id.clone()),
            failures: ended.failures + u32::from(failed),
            exits: ended.exits + u32::from(ended.has_exited()),
            exit: ended.last_exit(),
            penalty_ms: Timestamp::from(penalty).0,
            ..self.new_run(ended.config)
        });
        self.ended = Some(Box::new(ended));
        if penalty.is_zero() {
            return self.enter(now, State::Pending, "Rescheduled");
        }
        let why = format!("Rescheduled, penalized for {} ms for flapping", penalty.as_millis());
        self.enter(now, State::Throttled { until: now + penalty }, &why)
    }

    fn follow_if(self, wanted: bool, now: Timestamp) -> Self {
        if wanted { self.follow(now) } else { self }
    }

    fn new_run(&mut self, config: ConfigId) -> Run {
        self.attempt = Attempt(self.attempt.0 + 1);
        Run {
            id: self.key.task_id(self.born_at, self.attempt),
            attempt: self.attempt,
            config,
            ancestor: None,
            failures: 0,
            exits: 0,
            exit: None,
            penalty_ms: 0,
            times_partitioned: 0,
            state: State::Pending,
            events: Vec::new(),
        }
    }

    fn enter(mut self, now: Timestamp, state: State, message: &str) -> Self {
        let run = self.current_run();
        run.events.push(TaskEvent { at: now, status: state.status(), message: message.into() });
        run.state = state;
        self
    }

    fn lose(self, now: Timestamp, at: &Placement, why: &str) -> Self {
        self.enter(now, State::Lost { at: at.clone() }, why)
    }

    /// Going to and fro between silence and life leaves one trace, not one for each time.
    fn part(mut self, now: Timestamp, at: &Placement) -> Self {
        let until = match &self.policy.partition {
            None => Some(now),
            Some(policy) => policy
                .reschedule
                .then(|| now + Duration::from_secs(policy.delay_secs.try_into().unwrap_or(0))),
        };
        let run = self.current_run();
        run.times_partitioned += 1;
        if let [.., before, parted, back] = run.events.as_slice()
            && parted.status == Status::Partitioned
            && before.status == back.status
        {
            run.events.truncate(run.events.len() - 2);
        }
        self.enter(now, State::Partitioned { at: at.clone(), until }, "")
    }

    fn kill(mut self, now: Timestamp, at: &Placement, message: &str) -> Self {
        let killing = killing(now, self.current_run(), at, now + TRANSIENT_FOR, 0);
        self.enter(now, killing, message)
    }

    /// Nothing has happened that is worth an event; but with every step the state's effects are
    /// asked for again.
    fn kill_again(
        mut self,
        now: Timestamp,
        at: &Placement,
        until: Timestamp,
        last_ms: u64,
    ) -> Self {
        let run = self.current_run();
        run.state = killing(now, run, at, until, last_ms);
        self
    }

    fn vanish(self) -> Self {
        Self { run: None, next: None, ..self }
    }

    fn current_run(&mut self) -> &mut Run {
        self.run.as_mut().expect("a state is the state of a run")
    }
}

fn killing(now: Timestamp, run: &Run, at: &Placement, until: Timestamp, last_ms: u64) -> State {
    let wait = KILL_RETRY.after(Duration::from_millis(last_ms), &run.id);
    State::Killing {
        at: at.clone(),
        until,
        retry_at: now + wait,
        retry_ms: Timestamp::from(wait).0,
    }
}

impl Event {
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Wanted { .. } => "wanted",
            Self::Placed { .. } => "placed",
            Self::Reported { state: RunState::Starting, .. } => "said to be starting",
            Self::Reported { state: RunState::Running, .. } => "said to be running",
            Self::Reported { state: RunState::Finished, .. } => "said to have finished",
            Self::Reported { state: RunState::Failed, .. } => "said to have failed",
            Self::Reported { state: RunState::Killed, .. } => "said to be killed",
            Self::Reported { state: RunState::Lost, .. } => "said to be lost",
            Self::KillAsked { .. } => "kill asked",
            Self::RestartAsked { .. } => "restart asked",
            Self::PreemptAsked { .. } => "preempt asked",
            Self::DrainAsked { .. } => "drain asked",
            Self::HostUnreachable { .. } => "host unreachable",
            Self::HostForgot { .. } => "host forgot",
            Self::TimedOut => "timed out",
            Self::Pruned { .. } => "pruned",
        }
    }
}
