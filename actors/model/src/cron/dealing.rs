//! What a timetable does with a time that has come: the decisions between two states of an entry.

use std::{sync::Arc, time::Duration};

use super::{
    Before, CATCH_UP_MAX, CatchUp, Collision, Fate, Firing, IN_TIME, Run, Skip, State, Timetable,
};
use crate::{job, machine::Timestamp};

/// How long the first wait for an end, or for an answer, takes; each further one is twice as long.
const FIRST_WAIT: Duration = Duration::from_secs(5);
const WAIT_MAX: Duration = Duration::from_secs(60);

impl Timetable {
    pub(super) fn fires(&self, number: u32) -> job::Fired {
        job::Fired { born_at: self.born_at, number, template: self.template }
    }

    /// Deals with the newest time that is due and in time; with older ones as the rule says.
    pub(super) fn due(&mut self, now: Timestamp, before: Before) -> Option<()> {
        let most = if self.rule.catch_up == CatchUp::All { CATCH_UP_MAX } else { 1 };
        let at = *self.newest_due(now, most).first()?;
        self.pass_over(Timestamp(at.0 - 1), &Fate::Missed);
        let is_late = IN_TIME < now.since(at);
        if is_late && self.rule.catch_up == CatchUp::None {
            self.miss(at);
        } else {
            self.dealt = at;
            self.fire(now, at, None, before);
        }
        Some(())
    }

    /// Together with those that were missed just before it.
    fn miss(&mut self, at: Timestamp) {
        let last = self.firings.last().filter(|it| it.fate == Fate::Missed);
        let is_same = last.is_some_and(|it| it.until.unwrap_or(it.at) == self.dealt);
        self.dealt = at;
        if is_same {
            let mut firings = self.firings.to_vec();
            firings.iter_mut().last().into_iter().for_each(|it| it.until = Some(at));
            self.firings = Arc::new(firings);
        } else {
            self.tell(Firing { at, until: None, by: None, fate: Fate::Missed });
        }
    }

    pub(super) fn fire(
        &mut self,
        now: Timestamp,
        at: Timestamp,
        by: Option<String>,
        before: Before,
    ) {
        let waits = self.takes_turns(now, at, by.is_none());
        let run = Run { number: self.number + 1, at, by };
        match (before, self.rule.collision) {
            (Before::Over, _) => self.launch(now, run),
            (Before::Active, Collision::CancelNew) if !waits => {
                let fate = Fate::Skipped { why: Skip::Collided };
                self.tell(Firing { at, until: None, by: run.by, fate });
            }
            (Before::Active, Collision::KillExisting | Collision::CancelNew) => {
                self.number = run.number;
                let look_ms = millis(FIRST_WAIT);
                let (since, look_at) = (now, now + FIRST_WAIT);
                self.state = State::Waiting { run, since, kills: !waits, look_at, look_ms };
            }
        }
    }

    /// Whether this time is not to disturb the run before, nor to be dropped because of it: one of
    /// them makes up for a time that was missed, and every one of those was asked for.
    fn takes_turns(&self, now: Timestamp, at: Timestamp, is_due: bool) -> bool {
        let made_up = |it: &Firing| match it.fate {
            Fate::Started { at: started_at, .. } => IN_TIME < started_at.since(it.at),
            Fate::Skipped { .. } | Fate::Missed => false,
        };
        let is_late = IN_TIME < now.since(at) || self.firings.last().is_some_and(made_up);
        self.rule.catch_up == CatchUp::All && is_due && is_late
    }

    pub(super) fn launch(&mut self, now: Timestamp, run: Run) {
        self.number = run.number;
        let (retry_at, retry_ms) = (now + FIRST_WAIT, millis(FIRST_WAIT));
        self.state = State::Launching { run, retry_at, retry_ms };
    }

    /// Times that came while a run waited are covered by it, unless each was asked for.
    pub(super) fn make_way(&mut self, now: Timestamp) {
        if self.rule.catch_up != CatchUp::All {
            self.pass_over(now, &Fate::Skipped { why: Skip::OneWaits });
        }
    }

    pub(super) fn wait_longer(&mut self, now: Timestamp) {
        match &mut self.state {
            State::Waiting { look_at: at, look_ms: ms, .. }
            | State::Launching { retry_at: at, retry_ms: ms, .. } => {
                *ms = (*ms * 2).min(millis(WAIT_MAX));
                *at = now + Duration::from_millis(*ms);
            }
            State::Idle => {}
        }
    }
}

fn millis(duration: Duration) -> u64 {
    Timestamp::from(duration).0
}
