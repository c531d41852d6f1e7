//! Waiting instances of one job with one configuration.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use super::{memory::Memory, pool::Pool, scheduling::Scheduling};
use crate::{
    config::TaskConfig,
    ids::{Attempt, ConfigId, JobKey},
    machine::Timestamp,
    view::Pending,
};

#[derive(Clone, Debug)]
pub(super) struct Group {
    pub(super) config: Arc<TaskConfig>,
    pub(super) waiting: BTreeMap<u32, Attempt>,
    /// Since when the first of them waits.
    pub(super) since: Timestamp,
    pub(super) memory: Memory,
    /// Nothing suits it, as long as nothing heals.
    pub(super) is_stuck: bool,
    told: Option<Told>,
}

pub(super) type GroupKey = (JobKey, ConfigId);

/// Why they wait, as was last told, and whether somebody has joined them since.
#[derive(Clone, Debug)]
struct Told {
    why: Arc<Pending>,
    at: Timestamp,
    /// What the pool was like then, by its own count.
    changes: u64,
    to_all: bool,
}

/// The reason for waiting is told again, if it has changed, no more often than this.
const TELL_EVERY: Duration = Duration::from_secs(1);

impl Group {
    pub(super) fn new(
        config: Arc<TaskConfig>,
        since: Timestamp,
        pool: &Pool,
        scheduling: &Scheduling,
    ) -> Self {
        let memory = Memory::of(&config, pool, scheduling);
        Self { config, waiting: BTreeMap::new(), since, memory, is_stuck: false, told: None }
    }

    pub(super) fn join(&mut self, now: Timestamp, instance: u32, attempt: Attempt) {
        if self.waiting.is_empty() {
            self.since = now;
            self.told = None;
        }
        self.waiting.insert(instance, attempt);
        if let Some(told) = &mut self.told {
            told.to_all = false;
        }
    }

    /// Whether looking may be of use. It is prepared for that then.
    pub(super) fn may_look(&mut self, pool: &Pool, scheduling: &Scheduling) -> bool {
        if self.waiting.is_empty() || self.is_stuck && self.memory.is_current(pool) {
            return false;
        }
        self.catch_up(pool, scheduling);
        true
    }

    pub(super) fn catch_up(&mut self, pool: &Pool, scheduling: &Scheduling) {
        if !self.memory.keeps_up(&self.config, pool) {
            self.memory = Memory::of(&self.config, pool, scheduling);
        }
    }

    /// From when on it is to be told why it waits: nothing if it knows, or is not waiting in vain.
    pub(super) fn tell_at(&self, pool: &Pool) -> Option<Timestamp> {
        if !self.is_stuck || self.waiting.is_empty() {
            return None;
        }
        let Some(told) = &self.told else { return Some(Timestamp(0)) };
        let is_old = !told.to_all || told.changes != pool.changes();
        is_old.then(|| told.at + TELL_EVERY)
    }

    /// What is to be told now: nothing if everybody knows.
    pub(super) fn tell(
        &mut self,
        now: Timestamp,
        pool: &Pool,
        why: Pending,
    ) -> Option<Arc<Pending>> {
        let known = self.told.take();
        let (is_news, why) = match known {
            Some(told) if *told.why == why => (!told.to_all, told.why),
            Some(_) | None => (true, Arc::new(why)),
        };
        self.told = Some(Told { why: why.clone(), at: now, changes: pool.changes(), to_all: true });
        is_news.then_some(why)
    }
}
