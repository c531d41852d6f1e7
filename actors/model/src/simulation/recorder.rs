//! Watches a simulated cluster and counts what people want to know afterwards.

use std::{collections::BTreeMap, time::Duration};

use super::{
    News, World,
    report::{Drain, JobReport, Line, Report},
};
use crate::{
    host::{Contact, Mode},
    ids::{HostId, JobKey, TaskKey},
    machine::Timestamp,
    record::{Record, RecordKey},
    resources::Resources,
    task::{Status, Task},
    view::{HostView, JobView, Pending, View},
};

pub(super) struct Recorder {
    start: Timestamp,
    lasts: Duration,
    lines: Vec<Line>,
    next_line: u64,
    statuses: BTreeMap<TaskKey, Seen>,
    counts: BTreeMap<Status, u64>,
    jobs: BTreeMap<JobKey, Counts>,
    drains: Vec<Drain>,
    refused: Vec<String>,
}

/// A slot, as it was seen last.
#[derive(Clone, Copy)]
struct Seen {
    status: Status,
    pending_since: Option<Timestamp>,
}

#[derive(Default)]
struct Counts {
    waits_ms: Vec<u64>,
    ends: BTreeMap<Status, u64>,
}

/// How many lines the table of a report has, besides the first.
const LINES: u64 = 24;

impl Recorder {
    pub(super) fn new(start: Timestamp, lasts: Duration) -> Self {
        Self {
            start,
            lasts,
            lines: Vec::new(),
            next_line: 0,
            statuses: BTreeMap::new(),
            counts: BTreeMap::new(),
            jobs: BTreeMap::new(),
            drains: Vec::new(),
            refused: Vec::new(),
        }
    }

    /// Until nothing more happens before then.
    pub(super) fn watch_until(&mut self, world: &mut World, end: Timestamp) {
        let end = end.min(self.start + self.lasts);
        loop {
            let next = world.next_at().filter(|&it| it <= end);
            let is_due = |at: Timestamp| next.map_or(at <= end, |next| at < next);
            while let Some(at) = self.line_at().filter(|&at| is_due(at)) {
                self.line(world, at);
            }
            if next.is_none() {
                break;
            }
            world.step();
            self.listen(world);
        }
        world.run_until(end);
    }

    pub(super) fn refused(&mut self, at: Timestamp, why: String) {
        let since = at.since(self.start);
        self.refused.push(format!("{}  {why}", super::report::clock(since)));
    }

    fn line_at(&self) -> Option<Timestamp> {
        let part = u64::try_from(self.lasts.as_millis()).unwrap_or(u64::MAX) / LINES;
        let after = Duration::from_millis(part.saturating_mul(self.next_line));
        (self.next_line <= LINES).then(|| self.start + after)
    }

    fn line(&mut self, world: &World, at: Timestamp) {
        self.next_line += 1;
        let count = |status| self.counts.get(&status).copied().unwrap_or(0);
        let active = self.counts.iter().filter(|(it, _)| it.is_active());
        let (running, pending) = (count(Status::Running), count(Status::Pending));
        let (hosts, capacity, used) = world.view().map(hosts).unwrap_or_default();
        self.lines.push(Line {
            at_secs: at.since(self.start).as_secs(),
            hosts,
            running,
            pending,
            other: active.map(|(_, count)| count).sum::<u64>() - running - pending,
            cpu_percent: percent(used.cpu_milli, capacity.cpu_milli),
            ram_percent: percent(used.ram_mb, capacity.ram_mb),
        });
    }

    fn listen(&mut self, world: &mut World) {
        let now = world.now();
        for news in world.take_news() {
            match news {
                News::Committed(change) => match (change.key, change.record) {
                    (RecordKey::Task(key), Some(Record::Task(task))) => {
                        self.task(now, key, Some(&task));
                    }
                    (RecordKey::Task(key), None) => self.task(now, key, None),
                    (RecordKey::History(key, _), Some(Record::History(run))) => {
                        let counts = self.jobs.entry(key.job).or_default();
                        for event in run.events.iter().filter(|it| counts_as_end(it.status)) {
                            *counts.ends.entry(event.status).or_default() += 1;
                        }
                    }
                    (RecordKey::Host(id), Some(Record::Host(host))) => {
                        self.drain(now, &id, &host.mode);
                    }
                    (_, _) => {}
                },
                News::Answered { about, answer: Err(refusal) } => {
                    self.refused(now, format!("{about}: {refusal}"));
                }
                News::Answered { .. } | News::Settled { .. } | News::Launched { .. } => {}
            }
        }
    }

    fn task(&mut self, now: Timestamp, key: TaskKey, task: Option<&Task>) {
        let before = self.statuses.get(&key).copied();
        if let Some(seen) = before {
            let count = self.counts.entry(seen.status).or_default();
            *count = count.saturating_sub(1);
        }
        let Some(status) = task.and_then(Task::status) else {
            self.statuses.remove(&key);
            return;
        };
        *self.counts.entry(status).or_default() += 1;
        let mut pending_since = before.and_then(|it| it.pending_since);
        match status {
            Status::Pending => _ = pending_since.get_or_insert(now),
            Status::Assigned => {
                if let Some(since) = pending_since.take() {
                    let wait = Timestamp::from(now.since(since)).0;
                    self.jobs.entry(key.job.clone()).or_default().waits_ms.push(wait);
                }
            }
            Status::Throttled
            | Status::Starting
            | Status::Running
            | Status::Killing
            | Status::Restarting
            | Status::Preempting
            | Status::Draining
            | Status::Partitioned
            | Status::Finished
            | Status::Failed
            | Status::Killed
            | Status::Lost => pending_since = None,
        }
        self.statuses.insert(key, Seen { status, pending_since });
    }

    fn drain(&mut self, now: Timestamp, id: &HostId, mode: &Mode) {
        let open = |it: &&mut Drain| it.host == *id && it.took_secs.is_none();
        let open = self.drains.iter_mut().find(open);
        let at_secs = now.since(self.start).as_secs();
        match (mode, open) {
            (Mode::Draining { .. }, None) => {
                self.drains.push(Drain { host: id.clone(), at_secs, took_secs: None, left: 0 });
            }
            (Mode::Drained { .. }, Some(drain)) => {
                drain.took_secs = Some(at_secs.saturating_sub(drain.at_secs));
            }
            (_, _) => {}
        }
    }

    pub(super) fn report(mut self, world: &World, seed: u64) -> Report {
        let nobody = View::default();
        let view = world.view().unwrap_or(&nobody);
        for drain in &mut self.drains {
            let left = view.hosts.get(&drain.host).map_or(0, |it| it.tasks.len());
            drain.left = u64::try_from(left).unwrap_or(u64::MAX);
        }
        let jobs = view.jobs.iter().map(|(key, job)| {
            let count = |status| job.counts.get(&status).copied().unwrap_or(0);
            let mut counts = self.jobs.remove(key).unwrap_or_default();
            counts.waits_ms.sort_unstable();
            for task in job.tasks.values() {
                let run = task.run.as_ref().into_iter().flat_map(|it| &it.events);
                for event in run.filter(|it| counts_as_end(it.status)) {
                    *counts.ends.entry(event.status).or_default() += 1;
                }
            }
            let ends = |status| counts.ends.get(&status).copied().unwrap_or(0);
            let placed = counts.waits_ms.len();
            JobReport {
                job: key.to_string(),
                active: job.active_count(),
                running: count(Status::Running),
                pending: count(Status::Pending),
                placed: u64::try_from(placed).unwrap_or(u64::MAX),
                wait_ms_median: counts.waits_ms.get(placed / 2).copied(),
                wait_ms_longest: counts.waits_ms.last().copied(),
                finished: ends(Status::Finished),
                failed: ends(Status::Failed),
                lost: ends(Status::Lost),
                preempted: ends(Status::Preempting),
                drained: ends(Status::Draining),
                why: why(job),
            }
        });
        Report {
            seed,
            lasts_secs: self.lasts.as_secs(),
            jobs: jobs.collect(),
            lines: self.lines,
            drains: self.drains,
            refused: self.refused,
        }
    }
}

/// A sentence for each reason, that which excludes most hosts first.
fn why(job: &JobView) -> Vec<String> {
    let mut reasons: Vec<&Pending> = job.pending.values().map(|it| &**it).collect();
    reasons.dedup();
    let words = |it: &Pending| {
        let all = it.hosts;
        it.vetoes.iter().map(|it| format!("{} on {} of {all} hosts", it.reason, it.hosts)).collect()
    };
    let all: Vec<Vec<String>> = reasons.into_iter().map(words).collect();
    all.concat()
}

fn counts_as_end(status: Status) -> bool {
    matches!(
        status,
        Status::Finished | Status::Failed | Status::Lost | Status::Preempting | Status::Draining
    )
}

/// How many hosts are up, what they have, and what is taken of it.
fn hosts(view: &View) -> (u64, Resources, Resources) {
    let up = view.hosts.values().filter(|it| matches!(it.host.contact, Contact::Up { .. }));
    let add = |(count, has, used): (u64, Resources, Resources), it: &HostView| {
        (count + 1, has.plus(it.host.capacity.resources), used.plus(it.used))
    };
    up.fold(Default::default(), add)
}

fn percent(part: u64, whole: u64) -> u64 {
    part.saturating_mul(100).checked_div(whole).unwrap_or(0)
}
