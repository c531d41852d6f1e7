//! What is counted as it happens, because no record says it afterwards.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError, atomic::Ordering::Relaxed},
    time::Duration,
};

use airglow_model::{
    cron::{Counts, Entry},
    machine::Rejected,
    matching::Numbers,
    task::{Status, Task},
    wire::RunState,
};
use airglow_store::{Line, Written};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric},
    metrics::{
        MetricType,
        counter::Counter,
        family::Family,
        gauge::{ConstGauge, Gauge},
        histogram::{Histogram, exponential_buckets},
    },
    registry::{Registry, Unit},
};

use self::{door::Refusals, notices::Notices, updates::Updates};

mod backups;
mod door;
mod notices;
mod updates;

pub use backups::{BackupFailure, Backups};

/// Clones count into the same numbers.
#[derive(Clone, Debug)]
pub struct Stats {
    /// Ended runs that were forgotten.
    pub pruned: Counter,
    /// Runs that came to be in each state.
    transitions: Family<Entered, Counter>,
    /// Runs that ended otherwise than they were meant to, by whose they are.
    troubles: Family<Trouble, Counter>,
    timed_out: Counter,
    kill_retries: Counter,
    /// Events that made no sense in the state of whom they happened to.
    rejected: Family<Rejection, Counter>,
    /// What hosts said of their tasks, by the state that they named.
    reports: Family<Entered, Counter>,
    pub(crate) inventories: Counter,
    pub(crate) corrections: Counter,
    pub(crate) placed: Counter,
    round: Histogram,
    waiting_groups: Gauge,
    waiting: Gauge,
    given: Gauge,
    /// Hosts that were ruled out when it was explained why somebody waits.
    vetoes: Family<Vetoed, Counter>,
    /// Runs that had to give way, by the tier that they had.
    preempted: Family<OfTier, Counter>,
    reserved: Gauge,
    commit: Histogram,
    batch: Histogram,
    line: Arc<Mutex<Line>>,
    /// Instances that have asked for a place since the last round.
    pub(crate) arrivals: Gauge,
    /// Words that are to be said to instances.
    pub(crate) unsaid: Gauge,
    /// What receivers of webhooks are told.
    pub(crate) notices: Notices,
    pub(crate) updates: Updates,
    cron: Cron,
    refusals: Refusals,
    pub(crate) backups: Backups,
}

/// What became of jobs that run by the clock.
#[derive(Clone, Debug, Default)]
struct Cron {
    triggers: Counter,
    collisions: Counter,
    missed: Counter,
    concurrent: Counter,
    launch_failures: Counter,
}

#[derive(Clone, Debug, Eq, PartialEq, Hash, EncodeLabelSet)]
struct OfTier {
    tier: String,
}

/// How long lines are when somebody looks.
#[derive(Debug)]
struct Lines(Arc<Mutex<Line>>);

impl Collector for Lines {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner).len();
        let help = "Commits and notes that have been asked for and are not on disk yet";
        let gauge = ConstGauge::new(number(waiting));
        let encoder =
            encoder.encode_descriptor("commits_waiting", help, None, MetricType::Gauge)?;
        gauge.encode(encoder)
    }
}

#[derive(Clone, Debug, Eq, PartialEq, Hash, EncodeLabelSet)]
struct Vetoed {
    kind: &'static str,
}

#[derive(Clone, Debug, Eq, PartialEq, Hash, EncodeLabelSet)]
struct Entered {
    status: String,
}

#[derive(Clone, Debug, Eq, PartialEq, Hash, EncodeLabelSet)]
struct Trouble {
    role: String,
    status: &'static str,
}

#[derive(Clone, Debug, Eq, PartialEq, Hash, EncodeLabelSet)]
struct Rejection {
    event: &'static str,
}

impl Default for Stats {
    fn default() -> Self {
        let seconds = [0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0];
        Self {
            pruned: Counter::default(),
            transitions: Family::default(),
            troubles: Family::default(),
            timed_out: Counter::default(),
            kill_retries: Counter::default(),
            rejected: Family::default(),
            reports: Family::default(),
            inventories: Counter::default(),
            corrections: Counter::default(),
            placed: Counter::default(),
            round: Histogram::new(seconds),
            waiting_groups: Gauge::default(),
            waiting: Gauge::default(),
            given: Gauge::default(),
            vetoes: Family::default(),
            preempted: Family::default(),
            reserved: Gauge::default(),
            commit: Histogram::new(seconds),
            batch: Histogram::new(exponential_buckets(1.0, 4.0, 7)),
            line: Arc::default(),
            arrivals: Gauge::default(),
            unsaid: Gauge::default(),
            notices: Notices::default(),
            updates: Updates::default(),
            cron: Cron::default(),
            refusals: Refusals::default(),
            backups: Backups::default(),
        }
    }
}

impl Stats {
    /// An instance has become `after`.
    pub(crate) fn stepped(&self, before: &Task, after: &Task) {
        let was_killing = before.status() == Some(Status::Killing);
        if was_killing && after.status() == Some(Status::Killing) {
            self.kill_retries.inc();
        }
        for (status, has_timed_out) in after.entered_since(before) {
            let name = status.name();
            self.transitions.get_or_create(&Entered { status: name.into() }).inc();
            if matches!(status, Status::Failed | Status::Lost) {
                let role = after.key.job.role.clone();
                self.troubles.get_or_create(&Trouble { role, status: name }).inc();
            }
            self.timed_out.inc_by(u64::from(has_timed_out));
        }
    }

    /// The matchmaker has looked for places.
    pub(crate) fn round_took(&self, took: Duration, numbers: &Numbers) {
        self.round.observe(took.as_secs_f64());
        self.waiting.set(number(numbers.waiting));
        self.waiting_groups.set(number(numbers.waiting_groups));
        self.given.set(number(numbers.given));
        self.reserved.set(number(numbers.reserved));
        // They are counted where they happen, by a matchmaker that may be a new one.
        for (tier, &count) in &numbers.preempted {
            let tier = tier.clone();
            self.preempted.get_or_create(&OfTier { tier }).inner().store(count, Relaxed);
        }
        for (kind, &count) in &numbers.vetoes {
            let kind = kind.name();
            self.vetoes.get_or_create(&Vetoed { kind }).inner().store(count, Relaxed);
        }
    }

    /// A transaction is on disk.
    pub(crate) fn written(&self, Written { commits, took }: Written) {
        self.commit.observe(took.as_secs_f64());
        self.batch.observe(f64::from(u32::try_from(commits).unwrap_or(u32::MAX)));
    }

    /// This is the line of those who wait for that from now on.
    pub(crate) fn watch(&self, line: Line) {
        *self.line.lock().unwrap_or_else(PoisonError::into_inner) = line;
    }

    /// A job that runs by the clock has become `after`.
    pub(crate) fn fired(&self, before: &Entry, after: &Entry) {
        let Counts { triggers, collisions, missed, concurrent } = after.counts_since(before);
        self.cron.triggers.inc_by(triggers);
        self.cron.collisions.inc_by(collisions);
        self.cron.missed.inc_by(missed);
        self.cron.concurrent.inc_by(concurrent);
    }

    /// A job did not take the word that it should start a run.
    pub(crate) fn launch_failed(&self) {
        self.cron.launch_failures.inc();
    }

    /// Somebody did not get in.
    pub(crate) fn refused(&self, reason: airglow_kit::link::Reason) {
        self.refusals.count(reason);
    }

    /// Something happened to an entity that makes no sense to it.
    pub(crate) fn rejected(&self, rejected: &Rejected) {
        self.rejected.get_or_create(&Rejection { event: rejected.event }).inc();
    }

    /// A host said how one of its tasks is.
    pub(crate) fn reported(&self, state: RunState) {
        let status = format!("{state:?}").to_uppercase();
        self.reports.get_or_create(&Entered { status }).inc();
    }

    /// Shows them under the names that they go by.
    pub fn register(&self, registry: &mut Registry) {
        let it = self;
        registry.register("pruned_runs", "Ended runs forgotten", it.pruned.clone());
        let help = "Runs that came to be in a state";
        registry.register("task_transitions", help, it.transitions.clone());
        let help = "Runs that failed or were lost, by role";
        registry.register("task_troubles", help, it.troubles.clone());
        let help = "Runs lost because a state that passes did not";
        registry.register("timed_out_tasks", help, it.timed_out.clone());
        let help = "Kills asked for again because they showed no result";
        registry.register("kill_retries", help, it.kill_retries.clone());
        let help = "Events that made no sense in the state of whom they happened to";
        registry.register("rejected_events", help, it.rejected.clone());
        let help = "What hosts said of their tasks";
        registry.register("status_reports", help, it.reports.clone());
        let help = "Inventories of hosts that were compared with the records";
        registry.register("inventories", help, it.inventories.clone());
        let help = "Differences between a host and the records";
        registry.register("corrections", help, it.corrections.clone());
        registry.register("placements", "Instances that were found a place", it.placed.clone());
        let help = "How long rounds of finding places took";
        registry.register_with_unit("placement_round", help, Unit::Seconds, it.round.clone());
        let help = "Groups of alike instances that wait for a place";
        registry.register("waiting_groups", help, it.waiting_groups.clone());
        registry.register("waiting_tasks", "Instances that wait for a place", it.waiting.clone());
        let help = "Placements on their way to the disk";
        registry.register("placements_under_way", help, it.given.clone());
        let help = "Hosts ruled out, whenever it was explained why somebody waits";
        registry.register("placement_vetoes", help, it.vetoes.clone());
        let help = "Runs that had to give way, by the tier that they had";
        registry.register("preempted_tasks", help, it.preempted.clone());
        let help = "Hosts that are kept for somebody";
        registry.register("reserved_hosts", help, it.reserved.clone());
        self.register_lines(registry);
        it.notices.register(registry);
        it.updates.register(registry);
        it.cron.register(registry);
        it.refusals.register(registry);
        it.backups.register(registry);
    }

    /// Whoever waits for the disk, for the matchmaker's next look, or to be told something.
    fn register_lines(&self, registry: &mut Registry) {
        let help = "How long transactions took, fsync and all";
        registry.register_with_unit("commit", help, Unit::Seconds, self.commit.clone());
        registry.register("commit_batch", "Commits that shared a transaction", self.batch.clone());
        registry.register_collector(Box::new(Lines(Arc::clone(&self.line))));
        let help = "Instances that have asked for a place since the last round";
        registry.register("placement_arrivals", help, self.arrivals.clone());
        let help = "Instances that are still to be told what concerns them";
        registry.register("instances_untold", help, self.unsaid.clone());
    }
}

impl Cron {
    fn register(&self, registry: &mut Registry) {
        let help = "Times at which a cron job was due and dealt with, or started by hand";
        registry.register("cron_triggers", help, self.triggers.clone());
        let help = "Times at which the run before had not ended";
        registry.register("cron_collisions", help, self.collisions.clone());
        let help = "Stretches of time in which a cron job was due and there was no scheduler";
        registry.register("cron_missed", help, self.missed.clone());
        let help = "Stretches of time in which a cron job was due while a run waited already";
        registry.register("cron_concurrent_runs", help, self.concurrent.clone());
        let help = "Runs of cron jobs that did not start when they should, and were tried again";
        registry.register("cron_launch_failures", help, self.launch_failures.clone());
    }
}

pub(crate) fn number(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use airglow_model::{
        config::Ports,
        ids::{Attempt, ConfigId, JobKey},
        machine::{Machine, Timestamp},
        matching::VetoKind,
        task::{Event, Placement, Policy},
    };
    use prometheus_client::encoding::text;

    use super::*;

    #[test]
    fn what_happens_to_instances_is_counted() {
        let at = Placement { host: "a1".into(), ports: Ports::new() };
        let (attempt, config) = (Attempt(1), ConfigId(1));
        let policy = Policy { service: true, ..Policy::default() };
        let message = String::new;
        let story = [
            Event::Wanted { config, generation: 1, policy, message: message() },
            Event::Placed { attempt, at: at.clone() },
            Event::Reported { attempt, state: RunState::Failed, message: message() },
            Event::TimedOut,
            Event::Placed { attempt: Attempt(2), at },
            Event::KillAsked { generation: 1, message: message() },
            Event::TimedOut,
            Event::TimedOut,
        ];
        let stats = Stats::default();
        let mut task = Task::unborn(JobKey::new("www", "prod", "web").task(0));
        for event in story {
            let at = task.deadline().map_or(Timestamp(1), |(at, _)| at);
            let Ok(next) = task.step(at, &event) else { continue };
            stats.stepped(&task, &next);
            task = next;
        }
        while let Some((at, event)) = task.deadline() {
            let next = task.step(at, &event).unwrap();
            stats.stepped(&task, &next);
            task = next;
        }
        let text = printed(&stats);
        for line in [
            "airglow_task_transitions_total{status=\"ASSIGNED\"} 2",
            "airglow_task_transitions_total{status=\"FAILED\"} 1",
            "airglow_task_transitions_total{status=\"LOST\"} 1",
            "airglow_task_troubles_total{role=\"www\",status=\"FAILED\"} 1",
            "airglow_timed_out_tasks_total 1",
        ] {
            assert!(text.contains(line), "{line}: {text}");
        }
        assert!(stats.kill_retries.get() > 1, "{text}");
    }

    #[test]
    fn what_the_matchmaker_counts_is_shown_as_it_counts_it() {
        let stats = Stats::default();
        for looks in [3, 5] {
            let vetoes = [(VetoKind::Cpu, looks)].into();
            let preempted = [("preemptible".to_owned(), 2)].into();
            let numbers = Numbers { vetoes, preempted, reserved: 1, ..Numbers::default() };
            stats.round_took(Duration::from_millis(2), &numbers);
        }
        let text = printed(&stats);
        for line in [
            "airglow_placement_vetoes_total{kind=\"cpu\"} 5",
            "airglow_preempted_tasks_total{tier=\"preemptible\"} 2",
            "airglow_reserved_hosts 1",
            "airglow_placement_round_seconds_count 2",
        ] {
            assert!(text.contains(line), "{line}: {text}");
        }
    }

    #[test]
    fn what_the_disk_does_is_shown_with_who_waits_for_it() {
        let stats = Stats::default();
        stats.watch(Line::default());
        let took = Duration::from_millis(2);
        stats.written(Written { commits: 5, took });
        stats.written(Written { commits: 500, took });
        let text = printed(&stats);
        for line in [
            "airglow_commit_seconds_count 2",
            "airglow_commit_seconds_bucket{le=\"0.005\"} 2",
            "airglow_commit_batch_sum 505.0",
            "airglow_commit_batch_bucket{le=\"16.0\"} 1",
            "airglow_commits_waiting 0",
            "airglow_placement_arrivals 0",
            "airglow_instances_untold 0",
        ] {
            assert!(text.contains(line), "{line}: {text}");
        }
    }

    fn printed(stats: &Stats) -> String {
        let mut registry = Registry::with_prefix("airglow");
        stats.register(&mut registry);
        let mut text = String::new();
        text::encode(&mut text, &registry).unwrap();
        text
    }
}
