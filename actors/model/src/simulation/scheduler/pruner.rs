//! Forgets what is old, each thing only after what has to go before it is on disk.

use std::collections::{BTreeMap, BTreeSet};

use super::{Ask, Mail, Out, Receipt, Settled, Word};
use crate::{
    ids::{Attempt, ConfigId, JobKey, TaskId, TaskKey},
    instances::InstanceSet,
    job,
    machine::Timestamp,
    pruning::{Doubts, Found, Keep, Step, Sweep},
    record::{Change, RecordKey},
    task,
    view::View,
};

/// A run in the history.
#[derive(Clone, Debug)]
pub(in crate::simulation) struct Kept {
    pub(in crate::simulation) ended_at: Timestamp,
    pub(in crate::simulation) task: TaskKey,
    pub(in crate::simulation) id: TaskId,
    pub(in crate::simulation) config: ConfigId,
}

#[derive(Clone, Debug)]
pub(in crate::simulation) enum ToPruner {
    Tick,
    /// Each job's history, oldest first.
    Sweep(BTreeMap<JobKey, Vec<Kept>>),
    /// Its job has given up these slots, or had done so.
    GivenUp(JobKey, Vec<(u32, Attempt)>),
    Done,
}

pub(super) struct Pruner {
    keep: Keep,
    doubts: Doubts,
}

impl Pruner {
    pub(super) fn new(keep: Keep) -> Self {
        Self { keep, doubts: Doubts::default() }
    }

    pub(super) fn read(&mut self, word: ToPruner, view: &View, out: &mut Out) {
        match word {
            ToPruner::Tick => {
                out.asks.push(Ask::ReadHistory);
                out.later(out.now() + self.keep.every, Mail::Pruner(ToPruner::Tick));
            }
            ToPruner::Sweep(mut history) => {
                let mut sweep = Sweep::default();
                loop {
                    match sweep.step(view, usize::MAX) {
                        Step::More => {}
                        Step::Done => break,
                        Step::Job(found) => {
                            let kept = history.remove(&found.job).unwrap_or_default();
                            self.tidy(found, &kept, view, out);
                        }
                    }
                }
            }
            ToPruner::GivenUp(job, slots) => {
                for (instance, attempt) in slots {
                    let event = task::Event::Pruned { attempt };
                    out.send(Mail::Task(job.task(instance), Word::Happened(event, None)));
                }
            }
            ToPruner::Done => {}
        }
    }

    fn tidy(&mut self, mut found: Found, kept: &[Kept], view: &View, out: &mut Out) {
        let (now, job) = (out.now(), found.job.clone());
        let ends: Vec<_> = kept.iter().map(|it| it.ended_at).collect();
        let (slots, runs) = found.due(&self.keep, now, &ends);
        let gone = kept[..runs].iter().map(|it| Change {
            key: RecordKey::History(it.task.clone(), it.id.clone()),
            record: None,
        });
        if runs > 0 {
            out.commit(gone.collect(), Mail::Pruner(ToPruner::Done));
        }
        found.history = found.history.saturating_sub(u32::try_from(runs).unwrap_or(u32::MAX));
        let slots: Vec<_> =
            found.ended.drain(..slots).map(|it| (it.instance, it.attempt)).collect();
        let ended: InstanceSet = slots.iter().map(|it| it.0).collect();
        let instances = ended.union(&found.absent);
        if !instances.is_empty() {
            let event = job::Event::Over { instances, generation: found.generation };
            let receipt = Some(Receipt::Over(job.clone(), slots));
            out.send(Mail::Job(job.clone(), Word::Happened(event, receipt)));
        }
        let useless = self.doubts.about(&found, &self.keep, now);
        let tell = |event, out: &mut Out| {
            out.send(Mail::Job(job.clone(), Word::Happened(event, None)));
        };
        if useless.is_over {
            let job = view.jobs.get(&job).filter(|it| it.tasks.is_empty() && it.history == 0);
            if let Some(job) = job {
                let configs = job.configs.keys().copied().collect();
                tell(job::Event::Forgotten { configs }, out);
            }
        } else {
            let used: BTreeSet<_> = kept[runs..].iter().map(|it| it.config).collect();
            let (used, configs): (Vec<_>, Vec<_>) =
                useless.configs.into_iter().partition(|it| used.contains(it));
            used.into_iter().for_each(|it| self.doubts.defer(&job, it, now));
            if !configs.is_empty() {
                tell(job::Event::Unused { configs }, out);
            }
        }
    }
}

/// What a job's answer means for slots that it should have given up.
pub(super) fn heard(job: JobKey, slots: Vec<(u32, Attempt)>, how: &Settled) -> ToPruner {
    match how {
        Settled::Committed | Settled::Rejected(_) => ToPruner::GivenUp(job, slots),
        Settled::Lost => ToPruner::Done,
    }
}
