//! A job that runs by the clock, as a machine.
//!
//! ```text
//!                  scheduled                due, asked            the old run is over, if there is one
//!   (unscheduled) ───────────► IDLE ─────────────────────► WAITING ─────────────────► LAUNCHING
//!         ▲                     ▲ │ ▲                       (only after a collision)      │
//!         └──── descheduled ────┘ └─┘ skipped, missed                                     │
//!                               └──────────────────── its job has started it ─────────────┘
//! ```
//! One thing at a time: a run on its way is settled before the next time is looked at. `dealt` says
//! how far it is, and moves with the very commit that settles a time, so nothing is due twice and
//! nothing is overlooked, however long nobody was there.
//!
//! A run has a number, and its job starts no number twice: so the order is repeated until the job
//! says that it has it.
//!
//! Whether the run before has ended is another record's news. Whoever feeds the events looks it up
//! ([`Event::seeing`]) and says so with the event; what has ended stays so until the next launch,
//! so it cannot be stale in a way that matters.

use std::sync::Arc;

use super::{Fate, Firing, Rule, Run, Skip, State, Timetable, Zone};
use crate::{
    config::TaskConfig,
    ids::JobKey,
    job,
    machine::{Machine, Rejected, Timestamp},
    record::{Change, Record, RecordKey},
    view::View,
};

#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    pub key: JobKey,
    pub timetable: Option<Timetable>,
    /// The template that came with the last step, on its way to the store.
    arriving: Option<Arc<TaskConfig>>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    Scheduled(Box<Order>),
    Descheduled,
    /// The next time has come.
    Due(Before),
    StartAsked {
        by: String,
        before: Before,
    },
    /// Time to see whether the run before has ended.
    Looked(Before),
    /// The job has been told to start this run, and it is on its disk.
    Launched {
        number: u32,
    },
    /// The job has not said so for a while.
    Unanswered,
    /// The cluster's clock is another one now.
    Rezoned(Zone),
}

/// What somebody schedules.
#[derive(Clone, Debug, PartialEq)]
pub struct Order {
    pub config: Arc<TaskConfig>,
    pub instances: u32,
    pub rule: Rule,
    /// The rule's, or the cluster's.
    pub zone: Zone,
    pub by: String,
}

/// The run before this one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Before {
    Active,
    Over,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Say when the job has nothing active any more.
    Watch,
    /// End whatever the job has.
    Kill { message: String },
    /// Start this run, unless it has been started.
    Launch { run: job::Fired, instances: u32, by: String },
}

/// What operators count.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Counts {
    /// Times that were dealt with, by a run or not.
    pub triggers: u64,
    /// Of those, how many found the run before active.
    pub collisions: u64,
    pub missed: u64,
    pub concurrent: u64,
}

impl Entry {
    pub fn unscheduled(key: JobKey) -> Self {
        Self { key, timetable: None, arriving: None }
    }

    pub fn recall(view: &View, key: &JobKey) -> Option<Self> {
        let timetable = view.jobs.get(key)?.cron.clone()?;
        Some(Self { key: key.clone(), timetable: Some(timetable), arriving: None })
    }

    /// What others' records say that it does not know.
    pub fn overheard(&self, view: &View) -> Option<Event> {
        let timetable = self.timetable.as_ref()?;
        match &timetable.state {
            State::Idle => None,
            State::Waiting { .. } => {
                let over = Before::of(&self.key, view) == Before::Over;
                over.then_some(Event::Looked(Before::Over))
            }
            State::Launching { run, .. } => {
                let fired = timetable.fires(run.number);
                let started =
                    view.jobs.get(&self.key)?.job.fired.is_some_and(|it| fired.is_no_later(it));
                started.then_some(Event::Launched { number: run.number })
            }
        }
    }

    /// What has happened since it was `before`, for those who count.
    pub fn counts_since(&self, before: &Self) -> Counts {
        let (Some(new), Some(old)) = (&self.timetable, &before.timetable) else {
            return Counts::default();
        };
        let mut counts = Counts::default();
        let told = usize::try_from(new.fired.saturating_sub(old.fired)).unwrap_or(usize::MAX);
        for firing in new.firings.iter().rev().take(told) {
            match firing.fate {
                Fate::Started { .. } => {}
                Fate::Missed => counts.missed += 1,
                Fate::Skipped { why: Skip::OneWaits } => counts.concurrent += 1,
                Fate::Skipped { why: Skip::Collided } => {
                    counts.triggers += 1;
                    counts.collisions += 1;
                }
            }
        }
        if old.coming().is_none() && new.coming().is_some() {
            counts.triggers += 1;
            counts.collisions += u64::from(matches!(new.state, State::Waiting { .. }));
        }
        counts
    }

    pub(super) fn name(&self) -> &'static str {
        match self.timetable.as_ref().map(|it| &it.state) {
            None => "unscheduled",
            Some(State::Idle) => "idle",
            Some(State::Waiting { .. }) => "waiting",
            Some(State::Launching { .. }) => "launching",
        }
    }
}

impl Event {
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Scheduled(_) => "scheduled",
            Self::Descheduled => "descheduled",
            Self::Due(_) => "due",
            Self::StartAsked { .. } => "start asked",
            Self::Looked(_) => "looked",
            Self::Launched { .. } => "launched",
            Self::Unanswered => "unanswered",
            Self::Rezoned(_) => "rezoned",
        }
    }

    /// The same, with what is to be seen of the run before, if that matters to it.
    pub fn seeing(&self, key: &JobKey, view: &View) -> Option<Self> {
        let before = || Before::of(key, view);
        match self {
            Self::Due(_) => Some(Self::Due(before())),
            Self::StartAsked { by, .. } => {
                Some(Self::StartAsked { by: by.clone(), before: before() })
            }
            Self::Looked(_) => Some(Self::Looked(before())),
            Self::Scheduled(_)
            | Self::Descheduled
            | Self::Launched { .. }
            | Self::Unanswered
            | Self::Rezoned(_) => None,
        }
    }
}

impl Before {
    pub fn of(key: &JobKey, view: &View) -> Self {
        let is_active = view.jobs.get(key).is_some_and(|it| it.is_active());
        if is_active { Self::Active } else { Self::Over }
    }
}

impl Machine for Entry {
    type Event = Event;
    type Effect = Effect;

    fn step(&self, now: Timestamp, event: &Event) -> Result<Self, Rejected> {
        let rejected = || Rejected { state: self.name(), event: event.name() };
        if let Event::Scheduled(order) = event {
            return Ok(self.scheduled(now, order));
        }
        let mut next = self.timetable.clone().ok_or_else(rejected)?;
        match (&next.state, event) {
            (_, Event::Descheduled) => return Ok(Self::unscheduled(self.key.clone())),
            (_, Event::Rezoned(zone)) if next.rule.zone.is_none() && next.zone != *zone => {
                next.zone = zone.clone();
            }
            (State::Idle, Event::Due(before)) => next.due(now, *before).ok_or_else(rejected)?,
            (State::Idle, Event::StartAsked { by, before }) => {
                next.fire(now, now, Some(by.clone()), *before);
            }
            (State::Waiting { run, .. }, Event::Looked(Before::Over)) => {
                let run = run.clone();
                next.make_way(now);
                next.launch(now, run);
            }
            (State::Waiting { look_at, .. }, Event::Looked(Before::Active)) if *look_at <= now => {
                next.wait_longer(now);
            }
            (State::Launching { run, .. }, Event::Launched { number }) if run.number == *number => {
                let Run { number, at, by } = run.clone();
                let fate = Fate::Started { number, at: now };
                next.tell(Firing { at, until: None, by, fate });
                next.state = State::Idle;
            }
            (State::Launching { retry_at, .. }, Event::Unanswered) if *retry_at <= now => {
                next.wait_longer(now);
            }
            _ => return Err(rejected()),
        }
        Ok(Self { key: self.key.clone(), timetable: Some(next), arriving: None })
    }

    fn effects(&self) -> Vec<Effect> {
        let Some(timetable) = &self.timetable else { return Vec::new() };
        match &timetable.state {
            State::Idle => Vec::new(),
            State::Waiting { kills: false, .. } => vec![Effect::Watch],
            State::Waiting { kills: true, .. } => {
                vec![Effect::Watch, Effect::Kill { message: KILLED.to_owned() }]
            }
            State::Launching { run, .. } => vec![Effect::Launch {
                run: timetable.fires(run.number),
                instances: timetable.instances,
                by: run.by.clone().unwrap_or_else(|| timetable.by.clone()),
            }],
        }
    }

    fn deadline(&self) -> Option<(Timestamp, Event)> {
        let timetable = self.timetable.as_ref()?;
        match &timetable.state {
            State::Idle => timetable.next().map(|at| (at, Event::Due(Before::Active))),
            State::Waiting { look_at, .. } => Some((*look_at, Event::Looked(Before::Active))),
            State::Launching { retry_at, .. } => Some((*retry_at, Event::Unanswered)),
        }
    }

    fn changes(&self, _: Option<&Self>) -> Vec<Change> {
        let arriving = self.arriving.clone().map(Record::Template);
        let template = Change { key: RecordKey::Template(self.key.clone()), record: arriving };
        let gone = self.timetable.is_none();
        let timetable = Change {
            key: RecordKey::Cron(self.key.clone()),
            record: self.timetable.clone().map(Record::Cron),
        };
        let template = (gone || template.record.is_some()).then_some(template);
        template.into_iter().chain([timetable]).collect()
    }
}

/// As Aurora said it.
const KILLED: &str = "Killed by cronScheduler";

impl Entry {
    fn scheduled(&self, now: Timestamp, order: &Order) -> Self {
        let Order { config, instances, rule, zone, by } = order.clone();
        let old = self.timetable.clone();
        // What is due by the same clock stays due, even at the very moment of an order.
        let is_same = |it: &Timetable| it.rule.schedule == rule.schedule && it.zone == zone;
        let dealt = old.as_ref().filter(|it| is_same(it)).map_or(now, |it| it.dealt);
        let timetable = Timetable {
            born_at: old.as_ref().map_or(now, |it| it.born_at),
            scheduled_at: now,
            by,
            template: old.as_ref().map_or(0, |it| it.template) + 1,
            instances,
            rule,
            zone,
            dealt,
            number: old.as_ref().map_or(0, |it| it.number),
            state: old.as_ref().map_or(State::Idle, |it| it.state.clone()),
            fired: old.as_ref().map_or(0, |it| it.fired),
            firings: old.map(|it| it.firings).unwrap_or_default(),
        };
        Self { key: self.key.clone(), timetable: Some(timetable), arriving: Some(config) }
    }
}
