//! What may be forgotten, and when.
//!
//! Of each job the newest ended runs are kept for a while, whether they are in the history or
//! still their slots' last ones. What is forgotten leaves in this order, and each step is on disk
//! before the next is begun, so a crash between two of them loses nothing and repeats nothing:
//!
//! | what goes | only after |
//! |---|---|
//! | a run in the history | it is old enough |
//! | a slot with its last run | that is old enough, and its job's record wants the instance no more |
//! | an update | it has ended, and is old enough, one of too many, or of a job that has no instances |
//! | a configuration | no demand, no slot, no kept run and no kept update has it |
//! | a job | there is nothing of it but its record and its configurations |
//!
//! A slot that went before its job had given it up would be wanted, and begin anew: a job that has
//! finished would run again. Configurations and jobs go only after they have been found useless for
//! as long as anything is kept at least: what was said to an instance before may still be on its way.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Bound,
    time::Duration,
};

use crate::{
    ids::{Attempt, ConfigId, JobKey, UpdateKey},
    instances::InstanceSet,
    machine::Timestamp,
    task::{Status, Task},
    view::{JobView, View},
};

/// How much of what has ended is kept.
#[derive(Clone, Debug, PartialEq)]
pub struct Keep {
    /// No run is kept longer than this after its end.
    pub age: Duration,
    /// How many ended runs of a job are kept.
    pub per_job: u32,
    /// Whatever the number, a run is kept for so long after its end.
    pub at_least: Duration,
    /// No update is kept longer than this after its end.
    pub updates_age: Duration,
    /// How many ended updates of a job are kept.
    pub updates_per_job: u32,
    /// How often everything is gone through.
    pub every: Duration,
}

impl Default for Keep {
    fn default() -> Self {
        const HOUR: Duration = Duration::from_secs(60 * 60);
        Self {
            age: 48 * HOUR,
            per_job: 100,
            at_least: HOUR,
            updates_age: 30 * 24 * HOUR,
            updates_per_job: 10,
            every: Duration::from_secs(60),
        }
    }
}

impl Keep {
    /// Of `count` ended runs, whether the one that `older` others precede may go.
    pub fn may_go(&self, now: Timestamp, ended_at: Timestamp, older: u64, count: u64) -> bool {
        let is_surplus = older + u64::from(self.per_job) < count;
        let age = if is_surplus { self.at_least } else { self.age.max(self.at_least) };
        ended_at + age <= now
    }
}

/// What somebody wants forgotten before its time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Selection {
    pub role: Option<String>,
    pub environment: Option<String>,
    pub name: Option<String>,
    /// None of them means any.
    pub statuses: BTreeSet<Status>,
    /// No more runs than this.
    pub limit: Option<u64>,
}

impl Selection {
    pub fn is_of(&self, job: &JobKey) -> bool {
        let is = |asked: &Option<String>, it: &str| asked.as_ref().is_none_or(|asked| asked == it);
        is(&self.role, &job.role)
            && is(&self.environment, &job.environment)
            && is(&self.name, &job.name)
    }

    /// Whether every ended run is meant.
    pub fn takes_any(&self) -> bool {
        self.statuses.is_empty()
    }

    /// Of a run that has ended; there may be none.
    pub fn takes(&self, status: Option<Status>) -> bool {
        status.is_some_and(|it| self.takes_any() || self.statuses.contains(&it))
    }
}

/// A slot whose last run is over, and which has done all that its job wants of it.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct EndedSlot {
    /// When its last run ended. A slot that has none has nothing to tell.
    pub at: Timestamp,
    pub instance: u32,
    pub attempt: Attempt,
}

/// What there is of one job that may be forgotten some day.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    pub job: JobKey,
    /// Which of the job's demands the ended slots have met.
    pub generation: u32,
    /// Oldest first.
    pub ended: Vec<EndedSlot>,
    /// Instances that should not exist, and do not.
    pub absent: InstanceSet,
    /// How many runs are in the history.
    pub history: u32,
    /// Configurations that neither the job nor a slot needs; a run in the history may.
    pub idle: BTreeSet<ConfigId>,
    /// Whether there is nothing but its record, its configurations, and maybe history.
    pub is_over: bool,
}

/// Goes through all jobs of a view, a piece at a time, while the view goes on changing.
#[derive(Debug, Default)]
pub struct Sweep {
    /// The job that was last finished with.
    after: Option<JobKey>,
    job: Option<Found>,
    /// From which instance it goes on.
    next: u32,
}

/// What one look has come to.
#[derive(Debug, PartialEq)]
pub enum Step {
    /// There is more of this job.
    More,
    Job(Found),
    Done,
}

impl Sweep {
    /// Looks at no more than `most` slots.
    pub fn step(&mut self, view: &View, most: usize) -> Step {
        let current = self.job.take().and_then(|it| Some((view.jobs.get(&it.job)?, it)));
        let (job, mut found) = match current {
            Some(current) => current,
            None => {
                let after = self.after.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
                let next = view.jobs.range::<JobKey, _>((after, Bound::Unbounded)).next();
                let Some((key, job)) = next else { return Step::Done };
                (self.after, self.next) = (Some(key.clone()), 0);
                (job, Found::of(key.clone(), job, view))
            }
        };
        let mut seen = Vec::new();
        for (&instance, task) in job.tasks.range(self.next..).take(most) {
            seen.push(instance);
            found.look_at(task, job.unborn.contains(instance));
        }
        self.next = seen.last().map_or(0, |it| it.saturating_add(1));
        let is_all = seen.len() < most;
        if !found.absent.is_empty() {
            found.absent = found.absent.difference(&seen.into_iter().collect());
        }
        if !is_all {
            self.job = Some(found);
            return Step::More;
        }
        found.is_over &= found.ended.is_empty();
        found.ended.sort_unstable();
        Step::Job(found)
    }
}

impl Found {
    fn of(key: JobKey, job: &JobView, view: &View) -> Self {
        let record = &job.job;
        let mut idle: BTreeSet<_> = job.configs.keys().copied().collect();
        idle.remove(&record.config);
        for wanted in &record.wanted {
            idle.remove(&wanted.config);
        }
        let mut has_updates = false;
        for update in view.updates_of(&key) {
            has_updates = true;
            for config in update.update.configs() {
                idle.remove(&config);
            }
        }
        let unwanted = record.unwanted.iter();
        Self {
            job: key,
            generation: record.generation,
            ended: Vec::new(),
            absent: unwanted.fold(InstanceSet::default(), |all, it| all.union(&it.instances)),
            history: job.history,
            idle,
            is_over: record.generation > 0 && record.wanted.is_empty() && !has_updates,
        }
    }

    /// `is_wanted`: it has not heard of its job's newest demand yet.
    fn look_at(&mut self, slot: &Task, is_wanted: bool) {
        if let Some(run) = &slot.run {
            self.idle.remove(&run.config);
        }
        if slot.is_active() || is_wanted {
            self.is_over = false;
            return;
        }
        self.ended.push(EndedSlot {
            at: slot.ended_at().unwrap_or_default(),
            instance: slot.key.instance,
            attempt: slot.attempt,
        });
    }

    /// How many ended runs there are of it.
    pub fn count(&self) -> u64 {
        u64::from(self.history) + self.ended.len() as u64
    }

    /// When the next run of its history may go, if it is the oldest and ended `at` that time.
    pub fn history_is_due(&self, keep: &Keep, now: Timestamp, at: Timestamp) -> bool {
        let older = self.ended.partition_point(|slot| slot.at < at);
        keep.may_go(now, at, older as u64, self.count())
    }

    /// How many of the oldest slots, and of the oldest runs of the history, may go now. `history`:
    /// when those ended, oldest first; maybe not of all, but then none after them may go.
    pub fn due(&self, keep: &Keep, now: Timestamp, history: &[Timestamp]) -> (usize, usize) {
        let (mut slots, mut runs) = (0, 0);
        loop {
            let slot = self.ended.get(slots).map(|it| it.at);
            let run = history.get(runs).copied();
            let Some(oldest) = slot.into_iter().chain(run).min() else { break };
            // A slot without a run is no history, so it only looks as old as time.
            let is_vacant = slot == Some(Timestamp::default());
            let older = (slots + runs) as u64;
            if !is_vacant && !keep.may_go(now, oldest, older, self.count()) {
                break;
            }
            if slot == Some(oldest) { slots += 1 } else { runs += 1 }
        }
        (slots, runs)
    }
}

/// Which updates may go. Those that have not ended never do.
pub fn updates(view: &View, keep: &Keep, now: Timestamp) -> Vec<UpdateKey> {
    let mut ended: BTreeMap<&JobKey, Vec<(Timestamp, &UpdateKey)>> = BTreeMap::new();
    for (key, it) in view.updates.iter().filter(|(_, it)| !it.update.status.is_active()) {
        ended.entry(&key.job).or_default().push((it.update.modified_at(), key));
    }
    let mut due = Vec::new();
    for (job, mut of_job) in ended {
        of_job.sort_unstable_by(|one, other| other.cmp(one));
        let is_empty = view.jobs.get(job).is_none_or(|it| it.tasks.is_empty() && !it.is_active());
        let most = usize::try_from(keep.updates_per_job).unwrap_or(usize::MAX);
        let goes =
            |(i, at): (usize, Timestamp)| is_empty || most <= i || at + keep.updates_age < now;
        let all = of_job.into_iter().enumerate();
        due.extend(all.filter(|(i, (at, _))| goes((*i, *at))).map(|(_, (_, key))| key.clone()));
    }
    due
}

/// What seemed useless, and since when.
#[derive(Debug, Default)]
pub struct Doubts {
    jobs: BTreeMap<JobKey, Doubt>,
}

#[derive(Debug)]
struct Doubt {
    /// A job that was asked for something since is another one.
    generation: u32,
    over: Option<Timestamp>,
    idle: BTreeMap<ConfigId, Timestamp>,
}

/// What has been useless for long enough.
#[derive(Debug, Default, PartialEq)]
pub struct Useless {
    pub is_over: bool,
    pub configs: Vec<ConfigId>,
}

impl Doubts {
    /// `found` is how the job is now.
    pub fn about(&mut self, found: &Found, keep: &Keep, now: Timestamp) -> Useless {
        let is_over = found.is_over && found.history == 0;
        if found.idle.is_empty() && !is_over {
            self.jobs.remove(&found.job);
            return Useless::default();
        }
        let generation = found.generation;
        let new = || Doubt { generation, over: None, idle: BTreeMap::new() };
        let doubt = self.jobs.entry(found.job.clone()).or_insert_with(new);
        if doubt.generation != generation {
            *doubt = new();
        }
        doubt.over = is_over.then(|| doubt.over.unwrap_or(now));
        doubt.idle.retain(|config, _| found.idle.contains(config));
        for config in &found.idle {
            doubt.idle.entry(*config).or_insert(now);
        }
        let is_old = |since: Timestamp| since + keep.at_least <= now;
        let old = doubt.idle.iter().filter(|(_, since)| is_old(**since));
        Useless {
            is_over: doubt.over.is_some_and(is_old),
            configs: old.map(|(config, _)| *config).collect(),
        }
    }

    /// Some run in the history had this configuration, so there will be no doubt for a while.
    pub fn defer(&mut self, job: &JobKey, config: ConfigId, now: Timestamp) {
        if let Some(doubt) = self.jobs.get_mut(job) {
            doubt.idle.insert(config, now);
        }
    }

    /// Of jobs that are gone there is no doubt.
    pub fn settle(&mut self, job: &JobKey) {
        self.jobs.remove(job);
    }
}

#[cfg(test)]
mod tests;
