//! Where events lead. The match is the documentation; below it are only the verbs that it uses.

use std::time::Duration;

use super::{
    Action, Asked, Demand, Direction, Effect, Event, Failure, InstanceEvent, Roll, Seen, Side,
    Sight, Status, Update, UpdateEvent, Verdict, Work, evaluate, roll::Trial, trial,
};
use crate::{
    instances::InstanceSet,
    machine::{Machine, Rejected, Timestamp},
    record::{Change, Record, RecordKey},
};

pub(super) const TIMED_OUT: &str = "Pulses from external service have timed out.";
const AUTOPAUSED: &str = "Update auto paused";
const CHECKING: &str = "Checking SLA before continuing.";
const PASSED: &str = "SLA check passed, continuing.";

impl Machine for Update {
    type Event = Event;
    type Effect = Effect;

    #[rustfmt::skip] // One arm is one rule, and the rules want to be seen together.
    fn step(&self, now: Timestamp, event: &Event) -> Result<Self, Rejected> {
        use {Event as E, Status as S};

        let rejected = Rejected { state: self.status.name(), event: event.name() };
        let update = Self { news: Vec::new(), ..self.clone() };
        let direction = self.roll.direction;
        let next = match (self.status, event) {
            (S::RollingForward | S::RollingBack, E::Looked(sight)) =>
                update.look(now, sight),

            (S::RollingForward | S::RollingBack, E::Permitted(instances))
                if self.asks_about(instances) =>
                update.permit(now, instances),

            (S::RollingForward | S::RollingBack | S::RollForwardAwaitingPulse
                | S::RollBackAwaitingPulse, E::PauseAsked(asked)) =>
                update.enter(now, direction.paused(), asked),
            (S::RollForwardPaused | S::RollBackPaused, E::ResumeAsked(asked)) =>
                update.resume(now, asked),
            (S::RollForwardPaused | S::RollBackPaused, E::PauseAsked(_))
            | (S::RollingForward | S::RollingBack, E::ResumeAsked(_))
            | (S::RollingBack, E::RollbackAsked(_)) =>
                update,
            (S::RollingForward | S::RollForwardPaused | S::RollForwardAwaitingPulse,
             E::RollbackAsked(asked)) =>
                update.roll_back(now, asked),
            (S::RollBackPaused | S::RollBackAwaitingPulse, E::RollbackAsked(asked)) =>
                update.resume(now, asked),
            (S::RollingForward | S::RollForwardPaused | S::RollForwardAwaitingPulse
                | S::RollingBack | S::RollBackPaused | S::RollBackAwaitingPulse,
             E::AbortAsked(asked)) =>
                update.enter(now, S::Aborted, asked),

            (S::RollForwardAwaitingPulse | S::RollBackAwaitingPulse, E::Pulsed) =>
                update.pulsed(now).enter(now, direction.rolling(), &Asked::default()),
            (S::RollingForward | S::RollingBack | S::RollForwardPaused | S::RollBackPaused,
             E::Pulsed) if self.settings.pulse_ms.is_some() =>
                update.pulsed(now),
            // Somebody takes care of one that can take care of itself.
            (S::RollingForward | S::RollingBack | S::RollForwardPaused | S::RollBackPaused,
             E::Pulsed) =>
                update,

            (S::RolledForward | S::RolledBack | S::Aborted | S::Error | S::Failed, E::Pruned) =>
                update.gone(),

            (_, _) => return Err(rejected),
        };
        let is_news = matches!(event, Event::Looked(_));
        if is_news && next == (Self { news: Vec::new(), ..self.clone() }) {
            return Err(rejected);
        }
        Ok(next.numbered())
    }

    fn effects(&self) -> Vec<Effect> {
        if self.is_gone() {
            return Vec::new();
        }
        if !self.status.is_active() {
            return vec![Effect::Release { newest: self.newest() }];
        }
        let asks = self.asks_to_end();
        let begun = self.roll.working.iter().filter(|(_, work)| work.may_end);
        let mut unwanted: InstanceSet = begun.map(|(instance, _)| *instance).collect();
        let mut wanted = Vec::new();
        for side in self.sides(self.roll.direction) {
            let instances = side.instances.intersection(&unwanted);
            if !instances.is_empty() {
                unwanted = unwanted.difference(&instances);
                wanted.push(Side { config: side.config, instances });
            }
        }
        let nothing = wanted.is_empty() && unwanted.is_empty();
        let (update, direction) = (self.key.clone(), self.roll.direction);
        let demand = || Effect::Demand(Demand { update, direction, wanted, unwanted });
        let demand = (!nothing).then(demand);
        demand.into_iter().chain(asks.then_some(Effect::AskToEnd)).collect()
    }

    fn deadline(&self) -> Option<(Timestamp, Event)> {
        self.look_at.filter(|_| self.status.is_rolling()).map(|at| (at, Event::Look))
    }

    fn changes(&self, before: Option<&Self>) -> Vec<Change> {
        let record = |it: &Self| Self { news: Vec::new(), look_at: None, ..it.clone() };
        let key = || RecordKey::Update(self.key.clone());
        if self.is_gone() {
            let lots = before.map_or(0, |it| it.lots);
            let lots = (1..=lots).map(|lot| RecordKey::UpdateEvents(self.key.clone(), lot));
            return lots.chain([key()]).map(|key| Change { key, record: None }).collect();
        }
        let new = record(self);
        if before.is_some_and(|it| record(it) == new) {
            return Vec::new();
        }
        let events = (!self.news.is_empty()).then(|| Change {
            key: RecordKey::UpdateEvents(self.key.clone(), self.lots),
            record: Some(Record::UpdateEvents(self.news.clone().into())),
        });
        let update = Change { key: key(), record: Some(Record::Update(Box::new(new))) };
        events.into_iter().chain([update]).collect()
    }
}

/// What the match asks of an update.
impl Update {
    /// Whether pulses are needed and have not come for too long.
    fn is_overdue(&self, now: Timestamp) -> bool {
        self.due_at().is_some_and(|it| it.is_none_or(|it| it <= now))
    }

    /// When the next pulse has to have come: before anything else, if there was none.
    fn due_at(&self) -> Option<Option<Timestamp>> {
        let every = Duration::from_millis(self.settings.pulse_ms?);
        Some(self.pulsed_at.map(|it| it + every))
    }

    fn asks_about(&self, instances: &InstanceSet) -> bool {
        let mut waiting = self.roll.working.iter().filter(|(_, it)| !it.may_end);
        waiting.any(|(instance, _)| instances.contains(*instance))
    }

    /// What instances that are added get after it.
    fn newest(&self) -> Option<crate::ids::ConfigId> {
        let target = self.target.as_ref().map(|it| it.config);
        target.filter(|_| self.status == Status::RolledForward)
    }

    fn is_gone(&self) -> bool {
        self.events.is_empty()
    }
}

/// What the match makes of an update.
impl Update {
    /// Not there any more.
    pub(crate) fn gone(mut self) -> Self {
        self.events.clear();
        self
    }

    fn enter(mut self, at: Timestamp, status: Status, asked: &Asked) -> Self {
        debug_assert!(self.status.may_become(status), "{} to {status}", self.status);
        self.status = status;
        let Asked { by, message } = asked.clone();
        self.events.push(UpdateEvent { at, status, by, message });
        self
    }

    fn enter_because(self, at: Timestamp, status: Status, message: String) -> Self {
        self.enter(at, status, &Asked { by: String::new(), message })
    }

    fn pulsed(mut self, now: Timestamp) -> Self {
        self.pulsed_at = Some(now);
        self
    }

    fn resume(mut self, now: Timestamp, asked: &Asked) -> Self {
        self.roll.cleared = true;
        let direction = self.roll.direction;
        let waits = self.is_overdue(now) && self.status != direction.awaiting_pulse();
        let status = if waits { direction.awaiting_pulse() } else { direction.rolling() };
        self.enter(now, status, asked)
    }

    fn roll_back(mut self, now: Timestamp, asked: &Asked) -> Self {
        self.roll = Roll::new(Direction::Back, self.roll.order);
        self.look_at = None;
        self.enter(now, Status::RollingBack, asked)
    }

    /// The news of this step are the store's next lot.
    fn numbered(mut self) -> Self {
        self.lots += u32::from(!self.news.is_empty());
        self
    }

    fn permit(mut self, now: Timestamp, instances: &InstanceSet) -> Self {
        let action = Action::begun(self.roll.direction);
        let waiting = self.roll.working.iter_mut().filter(|(_, it)| !it.may_end);
        for (instance, work) in waiting.filter(|(instance, _)| instances.contains(**instance)) {
            work.may_end = true;
            let message = PASSED.to_owned();
            self.news.push(InstanceEvent { at: now, instance: *instance, action, message });
        }
        self
    }

    fn look(mut self, now: Timestamp, sight: &Sight) -> Self {
        self.look_at = None;
        if self.is_overdue(now) {
            let status = self.roll.direction.awaiting_pulse();
            return self.enter_because(now, status, TIMED_OUT.into());
        }
        if let Some(Some(due)) = self.due_at() {
            self.look_until(Some(due));
        }
        self.settle(now, sight);
        self.go_on(now, sight)
    }

    fn look_until(&mut self, at: Option<Timestamp>) {
        self.look_at = [self.look_at, at].into_iter().flatten().min();
    }

    /// Finds out which of those that are worked on are done.
    fn settle(&mut self, now: Timestamp, sight: &Sight) {
        for (instance, work) in std::mem::take(&mut self.roll.working) {
            match self.judge(now, instance, Some(&work), sight) {
                Verdict::Done => {
                    self.finish(instance);
                    self.tell(now, instance, Action::done(self.roll.direction), "");
                }
                Verdict::Failed(failure) => {
                    let action = Action::failed(self.roll.direction);
                    self.tell(now, instance, action, &failure.why);
                    self.roll.failed.insert(instance, failure);
                }
                Verdict::Wait { until } => {
                    self.look_until(until);
                    self.roll.working.insert(instance, work);
                }
            }
        }
    }

    /// Begins with those that are next, if there is nothing to be said against it.
    fn go_on(mut self, now: Timestamp, sight: &Sight) -> Self {
        loop {
            let failed = u32::try_from(self.roll.failed.len()).unwrap_or(u32::MAX);
            if self.settings.failed_instances_max < failed {
                return self.fail(now);
            }
            if let Some(trial) = self.roll.trial.take() {
                match self.compare(now, trial, sight) {
                    Ok(()) => {}
                    Err(stopped) => return *stopped,
                }
            }
            if self.roll.is_over() && self.roll.trial.is_none() {
                let status = self.roll.direction.rolled();
                return self.enter(now, status, &Asked::default());
            }
            let group = self.next_group();
            if group.is_empty() {
                return self;
            }
            if !self.roll.cleared && self.pauses() {
                let status = self.roll.direction.paused();
                return self.enter_because(now, status, AUTOPAUSED.into());
            }
            self.begin_all(now, group, sight);
        }
    }

    fn pauses(&self) -> bool {
        self.roll.direction == Direction::Forward && self.settings.strategy.pauses()
    }

    fn next_group(&self) -> Vec<u32> {
        if self.roll.trial.is_some() {
            return Vec::new();
        }
        let progress = self.roll.progress();
        let count = match &self.settings.canary {
            Some(canary) if self.is_untried() => canary.instances,
            Some(_) | None => self.settings.strategy.next(progress),
        };
        self.roll.next(count)
    }

    /// Nothing of it has been begun yet.
    fn is_untried(&self) -> bool {
        let roll = &self.roll;
        let is_new = roll.working.is_empty() && roll.done.is_empty() && roll.failed.is_empty();
        roll.direction == Direction::Forward && is_new
    }

    fn begin_all(&mut self, now: Timestamp, group: Vec<u32>, sight: &Sight) {
        let is_trial = self.settings.canary.is_some() && self.is_untried();
        let canaries: InstanceSet = group.iter().copied().collect();
        for instance in group {
            self.begin(now, instance, sight);
        }
        if self.roll.working.is_empty() {
            return;
        }
        self.roll.cleared = false;
        if is_trial && !self.roll.idle.is_empty() {
            self.roll.trial = Some(Trial { canaries, since: None, exits: Default::default() });
        }
    }

    /// One that is as it should be already is done without a word.
    fn begin(&mut self, now: Timestamp, instance: u32, sight: &Sight) {
        self.roll.idle = self.roll.idle.difference(&InstanceSet::range(instance, instance));
        let until = match self.judge(now, instance, None, sight) {
            Verdict::Done => return self.finish(instance),
            Verdict::Failed(_) | Verdict::Wait { until: None } => None,
            Verdict::Wait { until } => until,
        };
        self.look_until(until);
        let seen = sight.seen.get(&instance);
        let is_right = seen.is_some_and(|it| Some(it.config) == self.desired(instance));
        let excused = seen.filter(|_| is_right).map_or(0, |it| it.exits);
        let ends = seen.is_some_and(|it| !is_right && it.is_placed());
        let may_end = !ends || !self.settings.sla_aware;
        let message = if may_end { "" } else { CHECKING };
        self.tell(now, instance, Action::begun(self.roll.direction), message);
        self.roll.working.insert(instance, Work { since: now, excused, may_end });
    }

    fn judge(&self, now: Timestamp, instance: u32, work: Option<&Work>, sight: &Sight) -> Verdict {
        let seen = sight.seen.get(&instance);
        evaluate(now, self.desired(instance), seen, work, &self.settings)
    }

    fn finish(&mut self, instance: u32) {
        self.roll.done = self.roll.done.union(&InstanceSet::range(instance, instance));
    }

    fn tell(&mut self, at: Timestamp, instance: u32, action: Action, message: &str) {
        self.news.push(InstanceEvent { at, instance, action, message: message.into() });
    }

    fn fail(self, now: Timestamp) -> Self {
        let latest = self.roll.failed.iter().max_by_key(|(instance, it)| (it.at, **instance));
        let (instance, Failure { why, .. }) = latest.expect("it fails because of failed instances");
        let message = format!("Latest failure: instance {instance} {why}.");
        if self.settings.rollback_on_failure && self.roll.direction == Direction::Forward {
            return self.roll_back(now, &Asked { by: String::new(), message });
        }
        self.enter_because(now, Status::Failed, message)
    }

    /// Looks how canaries do beside the others.
    fn compare(&mut self, now: Timestamp, trial: Trial, sight: &Sight) -> Result<(), Box<Self>> {
        if trial.canaries.iter().any(|it| self.roll.working.contains_key(&it)) {
            self.roll.trial = Some(trial);
            return Ok(());
        }
        let canary = self.settings.canary.clone().expect("a trial is one of canaries");
        let trial = trial.begun(now, &self.roll.idle, sight);
        let since = trial.since.expect("it has begun");
        let until = since + Duration::from_millis(canary.watch_ms);
        match trial::compare(&trial, &self.roll.idle, sight, until <= now) {
            Ok(()) if until <= now => Ok(()),
            Ok(()) => {
                self.look_until(Some(until));
                self.roll.trial = Some(trial);
                Ok(())
            }
            Err(message) => {
                let stopped = self.clone();
                let asked = Asked { by: String::new(), message };
                Err(Box::new(if canary.rollback {
                    stopped.roll_back(now, &asked)
                } else {
                    stopped.enter(now, Status::RollForwardPaused, &asked)
                }))
            }
        }
    }
}

impl Action {
    fn begun(direction: Direction) -> Self {
        match direction {
            Direction::Forward => Self::Updating,
            Direction::Back => Self::RollingBack,
        }
    }

    fn done(direction: Direction) -> Self {
        match direction {
            Direction::Forward => Self::Updated,
            Direction::Back => Self::RolledBack,
        }
    }

    fn failed(direction: Direction) -> Self {
        match direction {
            Direction::Forward => Self::UpdateFailed,
            Direction::Back => Self::RollbackFailed,
        }
    }
}

impl Seen {
    /// Whether something runs, or may run, that would be missed.
    fn is_placed(&self) -> bool {
        use crate::task::Status as S;
        !matches!(self.status, S::Throttled | S::Pending) && !self.status.is_leaving()
    }
}

impl Event {
    fn name(&self) -> &'static str {
        match self {
            Self::Look => "look",
            Self::Looked(_) => "looked",
            Self::Permitted(_) => "permitted",
            Self::PauseAsked(_) => "pause",
            Self::ResumeAsked(_) => "resume",
            Self::AbortAsked(_) => "abort",
            Self::RollbackAsked(_) => "rollback",
            Self::Pulsed => "pulse",
            Self::Pruned => "pruned",
        }
    }
}
