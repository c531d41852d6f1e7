//! What is known of a job that runs by the clock.

use std::{sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};

use super::{Schedule, Zone};
use crate::machine::Timestamp;

/// When a job runs by the clock, as its configuration says it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rule {
    pub schedule: Schedule,
    /// `None`: the cluster's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<Zone>,
    pub collision: Collision,
    pub catch_up: CatchUp,
}

/// What happens to a run that is due while the one before it still runs.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Collision {
    /// The old one is ended, and when it has ended the new one starts.
    #[default]
    KillExisting,
    /// There is no new one.
    CancelNew,
}

/// What happens to runs that were due while there was no scheduler.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CatchUp {
    /// They are missed.
    #[default]
    None,
    /// The last of them is made up for.
    Latest,
    /// The last [`CATCH_UP_MAX`] of them are, one after the other.
    All,
}

/// Who was away for long does not come back to an avalanche.
pub const CATCH_UP_MAX: usize = 100;

/// How late a run is still in time: as late as a schedule can tell.
pub const IN_TIME: Duration = Duration::from_secs(60);

/// How much is known of what became of earlier times.
pub const KEPT_FIRINGS: usize = 20;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Timetable {
    /// Since when there is one without interruption; its runs are numbered from there.
    pub born_at: Timestamp,
    /// When its newest template and rule came, and from whom.
    pub scheduled_at: Timestamp,
    pub by: String,
    /// Which of its templates it is: they are numbered from 1.
    pub template: u32,
    pub instances: u32,
    pub rule: Rule,
    /// The clock that it goes by.
    pub zone: Zone,
    /// Whatever was due until then has been dealt with.
    pub dealt: Timestamp,
    /// The newest run's; 0 before the first.
    pub number: u32,
    pub state: State,
    /// What became of the times until now, oldest first. Shared, since all of it is copied whenever
    /// something happens.
    pub firings: Arc<Vec<Firing>>,
    /// How many there were in all.
    pub fired: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum State {
    /// It waits for its time.
    Idle,
    /// This run waits until the one before it has ended.
    Waiting {
        run: Run,
        since: Timestamp,
        /// Whether that one was asked to end.
        kills: bool,
        look_at: Timestamp,
        look_ms: u64,
    },
    /// Its job is told to start this run.
    Launching { run: Run, retry_at: Timestamp, retry_ms: u64 },
}

/// A run that is to be.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Run {
    pub number: u32,
    /// When it was due, or asked for.
    pub at: Timestamp,
    /// Who asked for it; nobody, if it was due.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
}

/// What became of a time that was due, or of several in a row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Firing {
    pub at: Timestamp,
    /// The last one, if there was more than one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    pub fate: Fate,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "fate", rename_all = "snake_case")]
pub enum Fate {
    Started { number: u32, at: Timestamp },
    Skipped { why: Skip },
    Missed,
}

/// Why a time that was due was not used.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Skip {
    /// The run before it had not ended.
    Collided,
    /// Another run was waiting already for the end of the one before it.
    OneWaits,
}

impl Collision {
    pub fn name(self) -> &'static str {
        match self {
            Self::KillExisting => "KILL_EXISTING",
            Self::CancelNew => "CANCEL_NEW",
        }
    }
}

impl CatchUp {
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Latest => "latest",
            Self::All => "all",
        }
    }
}

impl Timetable {
    /// When the next run is due, after whatever was dealt with.
    pub fn next(&self) -> Option<Timestamp> {
        self.zone.next(&self.rule.schedule, self.dealt)
    }

    /// The next times after `now`.
    pub fn upcoming(&self, now: Timestamp, count: usize) -> Vec<Timestamp> {
        self.zone.all(&self.rule.schedule, now.max(self.dealt)).take(count).collect()
    }

    /// The run that is on its way.
    pub fn coming(&self) -> Option<&Run> {
        match &self.state {
            State::Idle => None,
            State::Waiting { run, .. } | State::Launching { run, .. } => Some(run),
        }
    }

    pub(super) fn newest_due(&self, until: Timestamp, most: usize) -> Vec<Timestamp> {
        self.zone.newest(&self.rule.schedule, (self.dealt, until), most)
    }

    pub(super) fn tell(&mut self, firing: Firing) {
        let mut firings = self.firings.to_vec();
        firings.push(firing);
        firings.drain(..firings.len().saturating_sub(KEPT_FIRINGS));
        self.firings = Arc::new(firings);
        self.fired += 1;
    }

    /// Says the same of everything that was due after `dealt` and up to `until`.
    pub(super) fn pass_over(&mut self, until: Timestamp, fate: &Fate) {
        let (Some(first), Some(&last)) = (self.next(), self.newest_due(until, 1).last()) else {
            return;
        };
        let until = (first < last).then_some(last);
        self.tell(Firing { at: first, until, by: None, fate: fate.clone() });
        self.dealt = last;
    }
}

impl Firing {
    /// What became of it, in a few words.
    pub fn words(&self) -> &'static str {
        match self.fate {
            Fate::Started { .. } => "started",
            Fate::Skipped { why: Skip::Collided } => "skipped, the run before it had not ended",
            Fate::Skipped { why: Skip::OneWaits } => "skipped, another run was waiting to start",
            Fate::Missed => "missed, there was no scheduler",
        }
    }
}
