//! What waits for one receiver, and who is next.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

use super::{NoticeId, Pace};
use crate::{ids::JobKey, machine::Timestamp};

#[cfg(test)]
mod tests;

/// One line for each job. Whoever is first in a line holds up that line only.
#[derive(Clone, Debug)]
pub struct Queue {
    pace: Pace,
    lines: BTreeMap<JobKey, Line>,
    /// All that wait, oldest first.
    waiting: BTreeMap<NoticeId, (JobKey, Timestamp)>,
    /// The first of each line that is not on its way, and when it may be.
    due: BTreeSet<(Timestamp, NoticeId)>,
    under_way: BTreeSet<NoticeId>,
}

#[derive(Clone, Debug, Default)]
struct Line {
    notices: VecDeque<NoticeId>,
    /// How often its first was not taken, and then the first after that.
    failures: u32,
    not_before: Timestamp,
}

impl Queue {
    pub fn new(pace: Pace) -> Self {
        Self {
            pace,
            lines: BTreeMap::new(),
            waiting: BTreeMap::new(),
            due: BTreeSet::new(),
            under_way: BTreeSet::new(),
        }
    }

    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Something that happened `at` is to be told; it is newer than all that was added before.
    pub fn add(&mut self, id: NoticeId, job: &JobKey, at: Timestamp) {
        self.waiting.insert(id, (job.clone(), at));
        let line = self.lines.entry(job.clone()).or_default();
        line.notices.push_back(id);
        if line.notices.len() == 1 {
            self.due.insert((line.not_before, id));
        }
    }

    /// What is to be sent now, if anything. It is on its way from then on.
    pub fn next(&mut self, now: Timestamp) -> Option<NoticeId> {
        let &(at, id) = self.due.first()?;
        if at > now || self.under_way.len() >= self.pace.at_once {
            return None;
        }
        self.due.remove(&(at, id));
        self.under_way.insert(id);
        Some(id)
    }

    /// When there may be something to do that nobody will say: send, or give up.
    pub fn look_at(&self) -> Option<Timestamp> {
        let send = self.due.first().map(|(at, _)| *at);
        let send = send.filter(|_| self.under_way.len() < self.pace.at_once);
        let give_up = self.waiting.values().next().map(|(_, at)| *at + self.pace.age_max);
        // Whoever is too old and on its way is looked at when that has come to an end.
        let give_up = give_up.filter(|_| self.under_way.is_empty());
        send.into_iter().chain(give_up).min()
    }

    /// The receiver has it.
    pub fn delivered(&mut self, id: NoticeId) {
        if let Some(line) = self.line_of(id) {
            (line.failures, line.not_before) = (0, Timestamp::default());
        }
        self.remove(id);
    }

    /// The receiver has not taken it: it stays the first of its line, and waits.
    pub fn failed(&mut self, id: NoticeId, now: Timestamp) {
        self.under_way.remove(&id);
        let pause = self.pace.retry_after;
        let Some(line) = self.line_of(id) else { return };
        line.not_before = now + back_off(pause, line.failures);
        line.failures = line.failures.saturating_add(1);
        let due = (line.not_before, id);
        self.due.insert(due);
    }

    /// Those that are too old, and the oldest of too many, are dropped; nothing that is on its way.
    pub fn give_up(&mut self, now: Timestamp) -> Vec<NoticeId> {
        let surplus = self.waiting.len().saturating_sub(self.pace.waiting_max);
        let idle = self.waiting.iter().filter(|(id, _)| !self.under_way.contains(id));
        let age_max = self.pace.age_max;
        let is_hopeless = |nth: usize, at: Timestamp| nth < surplus || at + age_max <= now;
        let hopeless = idle.enumerate().take_while(|(nth, (_, (_, at)))| is_hopeless(*nth, *at));
        let hopeless: Vec<_> = hopeless.map(|(_, (id, _))| *id).collect();
        hopeless.iter().for_each(|id| self.remove(*id));
        hopeless
    }

    fn line_of(&mut self, id: NoticeId) -> Option<&mut Line> {
        let (job, _) = self.waiting.get(&id)?;
        self.lines.get_mut(job)
    }

    fn remove(&mut self, id: NoticeId) {
        self.under_way.remove(&id);
        let Some((job, _)) = self.waiting.remove(&id) else { return };
        let Some(line) = self.lines.get_mut(&job) else { return };
        if line.notices.front() != Some(&id) {
            return line.notices.retain(|it| *it != id);
        }
        line.notices.pop_front();
        self.due.remove(&(line.not_before, id));
        match line.notices.front() {
            Some(next) => _ = self.due.insert((line.not_before, *next)),
            None => _ = self.lines.remove(&job),
        }
    }
}

/// After so many failures before this one.
fn back_off((least, most): (Duration, Duration), failures: u32) -> Duration {
    least.saturating_mul(1_u32.checked_shl(failures).unwrap_or(u32::MAX)).min(most)
}
