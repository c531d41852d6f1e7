//! How a job has been doing, in numbers.

use std::{collections::BTreeMap, time::Duration};

use crate::{
    ids::TaskKey,
    machine::Timestamp,
    task::{Run, State, Status, TaskEvent},
};

/// What somebody wants to know.
#[derive(Clone, Debug, PartialEq)]
pub struct Wanted {
    pub now: Timestamp,
    /// How far to look back.
    pub window: Duration,
    /// Of instances, from 0 to 100.
    pub percentiles: Vec<f64>,
    pub durations: Vec<Duration>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Figures {
    /// Medians of how long it took from PENDING to ASSIGNED, to STARTING and to RUNNING, of runs
    /// that came there within the window and are active yet; 0 if none did.
    pub mtta_ms: f64,
    pub mtts_ms: f64,
    pub mttr_ms: f64,
    /// For each percentile: for how long so many of those that run have been up at least.
    pub uptimes_ms: Vec<(f64, f64)>,
    /// For each duration: which part of the active instances has been up for at least so long.
    pub up_counts: Vec<(Duration, f64)>,
    /// How much of the instances' time within the window was not lost by the platform's doing.
    pub platform_uptime_percent: f64,
}

/// What figures are made of. Several jobs' together make those of all of them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Samples {
    /// How long it took from PENDING to ASSIGNED, to STARTING, and to RUNNING.
    waits_ms: [Vec<u64>; 3],
    /// For how long those that run have been up.
    ages_ms: Vec<u64>,
    /// How many instances have not ended.
    active: usize,
    time: Times,
}

/// The time of instances, in milliseconds, as far as it counts.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Times {
    up: u64,
    down: u64,
}

impl Wanted {
    /// The shares of instances and the times that Aurora looked at, over a day.
    pub fn usual(now: Timestamp) -> Self {
        const DAY_SECS: u64 = 86_400;
        let durations = [60, 600, 3600, DAY_SECS, 7 * DAY_SECS];
        Self {
            now,
            window: Duration::from_secs(DAY_SECS),
            percentiles: vec![50.0, 75.0, 90.0, 95.0, 99.0],
            durations: durations.map(Duration::from_secs).into(),
        }
    }
}

impl Figures {
    /// `current` are the slots' runs, and `ended` those before them; one may be among both.
    pub fn of(current: &[(TaskKey, Run)], ended: &[(TaskKey, Run)], wanted: &Wanted) -> Self {
        Samples::of(current, ended, wanted).figures(wanted)
    }
}

impl Samples {
    /// The same of what figures are made of.
    pub fn of(current: &[(TaskKey, Run)], ended: &[(TaskKey, Run)], wanted: &Wanted) -> Self {
        let Wanted { now, window, .. } = *wanted;
        let from = Timestamp(now.0.saturating_sub(Timestamp::from(window).0));
        let active =
            || current.iter().map(|(_, run)| run).filter(|it| it.state.status().is_active());
        let waits = |status| active().filter_map(|it| wait(it, status, from)).collect::<Vec<_>>();
        let running = active().filter(|it| matches!(it.state, State::Running { .. }));
        let ages = running.filter_map(|it| {
            let since = last(&it.events, Status::Running)?.at;
            Some(Timestamp::from(now.since(since)).0)
        });
        Self {
            waits_ms: [Status::Assigned, Status::Starting, Status::Running].map(waits),
            ages_ms: ages.collect(),
            active: active().count(),
            time: times(&histories(current, ended), from, now),
        }
    }

    pub fn add(&mut self, other: Self) {
        for (all, waits) in self.waits_ms.iter_mut().zip(other.waits_ms) {
            all.extend(waits);
        }
        self.ages_ms.extend(other.ages_ms);
        self.active += other.active;
        self.time.up += other.time.up;
        self.time.down += other.time.down;
    }

    pub fn figures(&self, wanted: &Wanted) -> Figures {
        let [mtta_ms, mtts_ms, mttr_ms] =
            self.waits_ms.each_ref().map(|it| percentile(&ascending(it), 50.0));
        let ages = ascending(&self.ages_ms);
        let up_for = |duration: &Duration| {
            let short = ages.partition_point(|it| Duration::from_millis(*it) < *duration);
            (*duration, share(ages.len() - short, self.active))
        };
        Figures {
            mtta_ms,
            mtts_ms,
            mttr_ms,
            uptimes_ms: wanted.percentiles.iter().map(|&it| (it, percentile(&ages, it))).collect(),
            up_counts: wanted.durations.iter().map(up_for).collect(),
            platform_uptime_percent: self.time.percent_up(),
        }
    }
}

impl Times {
    fn percent_up(self) -> f64 {
        let all = self.up + self.down;
        if all == 0 { 100.0 } else { self.up as f64 * 100.0 / all as f64 }
    }
}

fn ascending(values: &[u64]) -> Vec<u64> {
    let mut values = values.to_vec();
    values.sort_unstable();
    values
}

fn share(part: usize, all: usize) -> f64 {
    if all == 0 { 0.0 } else { part as f64 * 100.0 / all as f64 }
}

/// What `percent` of them reach or exceed, between neighbours in proportion; 0 if there are none.
fn percentile(ascending: &[u64], percent: f64) -> f64 {
    let Some(most) = ascending.len().checked_sub(1) else { return 0.0 };
    let place = (1.0 - percent / 100.0).clamp(0.0, 1.0) * most as f64;
    #[expect(clippy::cast_possible_truncation, reason = "it is a place in the list")]
    let below = place.floor() as usize;
    let (low, high) = (ascending[below] as f64, ascending[(below + 1).min(most)] as f64);
    low + (high - low) * (place - below as f64)
}

fn last(events: &[TaskEvent], status: Status) -> Option<&TaskEvent> {
    events.iter().rev().find(|it| it.status == status)
}

/// How long it took a run to come so far, if it did since `from`.
fn wait(run: &Run, status: Status, from: Timestamp) -> Option<u64> {
    let there = last(&run.events, status).filter(|it| from <= it.at)?.at;
    let pending = last(&run.events, Status::Pending)?.at;
    Some(Timestamp::from(there.since(pending)).0)
}

/// What happened to each instance, in order.
fn histories<'a>(
    current: &'a [(TaskKey, Run)],
    ended: &'a [(TaskKey, Run)],
) -> BTreeMap<u32, Vec<&'a TaskEvent>> {
    let mut runs: BTreeMap<u32, BTreeMap<u32, &Run>> = BTreeMap::new();
    for (task, run) in current.iter().chain(ended) {
        runs.entry(task.instance).or_default().insert(run.attempt.0, run);
    }
    let events = |runs: BTreeMap<u32, &'a Run>| {
        let mut events: Vec<_> = runs.into_values().flat_map(|it| &it.events).collect();
        events.sort_by_key(|it| it.at);
        events
    };
    runs.into_iter().map(|(instance, runs)| (instance, events(runs))).collect()
}

/// How an instance's time counts.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Time {
    Up,
    /// By the platform's doing.
    Down,
    /// Nobody meant it to be up, or it has itself to blame.
    Removed,
}

impl Time {
    fn after(self, status: Status) -> Self {
        match status {
            Status::Running | Status::Partitioned => Self::Up,
            Status::Lost | Status::Draining | Status::Preempting => Self::Down,
            Status::Killed if self == Self::Up => Self::Down,
            Status::Killed => self,
            Status::Pending | Status::Assigned | Status::Starting if self == Self::Down => self,
            Status::Pending
            | Status::Assigned
            | Status::Starting
            | Status::Throttled
            | Status::Finished
            | Status::Restarting
            | Status::Failed
            | Status::Killing => Self::Removed,
        }
    }
}

fn times(histories: &BTreeMap<u32, Vec<&TaskEvent>>, from: Timestamp, to: Timestamp) -> Times {
    let mut times = Times::default();
    for events in histories.values() {
        let (mut time, mut since) = (Time::Removed, from);
        let ends = events.iter().map(|it| (it.at.max(from).min(to), Some(it.status)));
        for (until, status) in ends.chain([(to, None)]) {
            let took = Timestamp::from(until.since(since)).0;
            match time {
                Time::Up => times.up += took,
                Time::Down => times.down += took,
                Time::Removed => {}
            }
            since = until;
            time = status.map_or(time, |it| time.after(it));
        }
    }
    times
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        ids::{Attempt, ConfigId, JobKey},
        task::Placement,
    };

    /// What happened to one attempt, and when, in seconds; it is as it was last.
    fn run(instance: u32, attempt: u32, events: &[(u64, Status)]) -> (TaskKey, Run) {
        let task = JobKey::new("www", "prod", "web").task(instance);
        let at = Placement { host: "h".into(), ports: BTreeMap::new() };
        let runs = events.last().unwrap().1 == Status::Running;
        let state = if runs { State::Running { at } } else { State::Killed { at } };
        let event = |&(secs, status)| TaskEvent {
            at: Timestamp(secs * 1000),
            status,
            message: String::new(),
        };
        let run = Run {
            id: task.task_id(Timestamp(1), Attempt(attempt)),
            attempt: Attempt(attempt),
            config: ConfigId(1),
            ancestor: None,
            failures: 0,
            penalty_ms: 0,
            times_partitioned: 0,
            state,
            events: events.iter().map(event).collect(),
            exits: 0,
            exit: None,
        };
        (task, run)
    }

    fn wanted(now: u64, window: u64) -> Wanted {
        Wanted {
            now: Timestamp(now * 1000),
            window: Duration::from_secs(window),
            percentiles: vec![50.0, 75.0, 90.0, 95.0, 99.0, 99.9],
            durations: [10, 60, 600].map(Duration::from_secs).into(),
        }
    }

    fn thousandths(figures: &Figures) -> Vec<f64> {
        figures.uptimes_ms.iter().map(|(_, ms)| ms.round() / 1000.0).collect()
    }

    #[test]
    fn s62_an_uptime_is_what_so_many_instances_reach() {
        let aged = |instance, age: u64| run(instance, 1, &[(1000 - age, Status::Running)]);
        let hundred: Vec<_> = (1..=100).map(|age| aged(u32::try_from(age).unwrap(), age)).collect();
        let figures = Figures::of(&hundred, &[], &wanted(1000, 60));
        assert_eq!(thousandths(&figures)[..5], [50.5, 25.75, 10.9, 5.95, 1.99]);
        let counts: Vec<_> = figures.up_counts.iter().map(|it| it.1).collect();
        assert_eq!(counts, [91.0, 41.0, 0.0]);

        let four: Vec<_> = (0..).zip([90, 30, 70, 60]).map(|(it, age)| aged(it, age)).collect();
        let figures = Figures::of(&four, &[], &wanted(1000, 60));
        assert_eq!(thousandths(&figures), [65.0, 52.5, 39.0, 34.5, 30.9, 30.09]);
        let none = Figures::of(&[], &[], &wanted(1000, 60));
        assert_eq!((thousandths(&none), none.platform_uptime_percent), (vec![0.0; 6], 100.0));
    }

    #[test]
    fn s64_only_what_the_platform_did_counts_against_it() {
        use Status::{Assigned, Draining, Killed, Killing, Lost, Pending, Running, Starting};
        let percent = |ended: &[(u64, Status)], current: &[(u64, Status)]| {
            let ended = [run(0, 1, ended)];
            let current: Vec<_> =
                [current].into_iter().filter(|it| !it.is_empty()).map(|it| run(0, 2, it)).collect();
            Figures::of(&current, &ended, &wanted(500, 400)).platform_uptime_percent
        };
        let next = [(320, Pending), (330, Assigned), (340, Starting), (400, Running)];
        assert_eq!(percent(&[(50, Running), (300, Lost)], &next), 75.0);
        assert_eq!(percent(&[(50, Running), (300, Killed)], &[]), 50.0);
        assert_eq!(percent(&[(50, Running), (300, Killing), (301, Killed)], &[]), 100.0);
        let drained = [(50, Running), (300, Draining), (310, Killed)];
        assert_eq!(percent(&drained, &next), 75.0);
    }

    #[test]
    fn a_median_is_of_those_who_came_there_lately() {
        use Status::{Assigned, Pending, Running, Starting};
        let one = |instance, begun, wait| {
            run(
                instance,
                1,
                &[
                    (begun, Pending),
                    (begun + wait, Assigned),
                    (begun + 2 * wait, Starting),
                    (begun + 3 * wait, Running),
                ],
            )
        };
        let runs = [one(0, 960, 2), one(1, 970, 4), one(2, 10, 100), one(3, 930, 20)];
        let figures = Figures::of(&runs, &[], &wanted(1000, 60));
        assert_eq!([figures.mtta_ms, figures.mtts_ms, figures.mttr_ms], [4000.0, 8000.0, 12_000.0],);
    }

    #[test]
    fn several_jobs_together_are_as_one_with_the_instances_of_all() {
        use Status::{Assigned, Lost, Pending, Running, Starting};
        let one = |instance, wait| {
            let begun = 960;
            let events = [
                (begun, Pending),
                (begun + wait, Assigned),
                (begun + 2 * wait, Starting),
                (begun + 3 * wait, Running),
            ];
            run(instance, 2, &events)
        };
        let (first, second) = ([one(0, 1), one(1, 5)], [one(2, 9)]);
        let ended = [run(2, 1, &[(900, Running), (950, Lost)])];
        let wanted = wanted(1000, 100);
        let mut together = Samples::of(&first, &[], &wanted);
        together.add(Samples::of(&second, &ended, &wanted));
        let all = [&first[..], &second].concat();
        assert_eq!(together.figures(&wanted), Figures::of(&all, &ended, &wanted));
        let mut nothing = Samples::default();
        nothing.add(Samples::default());
        assert_eq!(nothing.figures(&wanted), Figures::of(&[], &[], &wanted));
    }
}
