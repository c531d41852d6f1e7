//! Forgets what is old, as `airglow_model::pruning` says, in small pieces and in its own time.
//!
//! Every record is deleted by its owner: runs in the history by this actor, a slot by its task, a
//! configuration by its job. Here they are only told, one after the other, and what comes next is
//! not begun before what must come first is on disk.

use std::{collections::BTreeMap, rc::Rc, time::Duration};

use actix::prelude::*;
use airglow_kit::{Incarnation, Lifeline, To, now};
use airglow_model::{
    audit,
    ids::{ConfigId, JobKey},
    instances::InstanceSet,
    job,
    machine::Timestamp,
    pruning::{self, Doubts, EndedSlot, Found, Keep, Selection, Step, Sweep, Useless},
    record::{Change, RecordKey},
    task::{self, Status},
    update,
    view::View,
};
use airglow_store::{Kept, ReadModel, Scribe, Store, StoreError};
use tokio::{
    sync::{Mutex, mpsc, oneshot},
    time::sleep,
};

use crate::{
    Stats,
    job::Jobs,
    lines::Entities,
    messages::{Happened, Receipt, Registered, Settled},
    task::Tasks,
    update::Updates,
};

pub(crate) struct Pruner {
    work: Rc<Work>,
    _lifeline: Lifeline<Incarnation>,
}

pub(crate) struct Work {
    keep: Keep,
    audit: audit::Keep,
    view: ReadModel,
    scribe: Scribe,
    store: Store,
    jobs: Addr<Jobs>,
    tasks: Addr<Tasks>,
    updates: Addr<Updates>,
    stats: Stats,
    /// A run is deleted from the history once, since the view counts how many are left.
    turn: Mutex<()>,
}

/// Forget this now. The answer is how many runs that were.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Prune {
    pub(crate) what: Selection,
    pub(crate) reply: oneshot::Sender<Result<u64, StoreError>>,
}

/// What is remembered from one sweep to the next.
#[derive(Default)]
struct Memory {
    doubts: Doubts,
    /// When the oldest run in a job's history ended, where that is known.
    oldest: BTreeMap<JobKey, Timestamp>,
}

/// How many slots are looked at while the view is held.
const LOOKED_AT: usize = 2048;

/// How many are forgotten before others have their turn at the disk.
const AT_ONCE: usize = 512;

const PAUSE: Duration = Duration::from_millis(5);

impl Pruner {
    pub(crate) fn new(work: Work, lifeline: Lifeline<Incarnation>) -> Self {
        Self { work: Rc::new(work), _lifeline: lifeline }
    }
}

impl Actor for Pruner {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let work = Rc::clone(&self.work);
        ctx.spawn(async move { work.sweep_for_ever().await }.into_actor(self));
    }
}

impl Handler<Prune> for Pruner {
    type Result = ();

    fn handle(&mut self, Prune { what, reply }: Prune, ctx: &mut Self::Context) {
        let work = Rc::clone(&self.work);
        // Whoever asked may not wait any more; it is done all the same.
        let prune = async move { drop(reply.send(work.prune(&what).await)) };
        ctx.spawn(prune.into_actor(self));
    }
}

impl Work {
    pub(crate) fn new(
        (keep, audit): (Keep, audit::Keep),
        (view, scribe, store): (ReadModel, Scribe, Store),
        Entities { jobs, tasks, updates, .. }: Entities,
        stats: Stats,
    ) -> Self {
        Self {
            keep,
            audit,
            view,
            scribe,
            store,
            jobs,
            tasks,
            updates,
            stats,
            turn: Mutex::default(),
        }
    }

    async fn sweep_for_ever(&self) {
        let mut memory = Memory::default();
        loop {
            sleep(self.keep.every).await;
            let swept = self.sweep(&mut memory).await;
            let thinned = self.thin_out_audit().await;
            if let Err(error) = swept.and(thinned) {
                tracing::error!(error = &error as &dyn std::error::Error, "cannot prune");
            }
        }
    }

    async fn sweep(&self, memory: &mut Memory) -> Result<(), StoreError> {
        for update in self.view.read(|view| pruning::updates(view, &self.keep, now())) {
            self.updates.do_send(To(update, Happened(update::Event::Pruned)));
        }
        let (mut sweep, mut jobs) = (Sweep::default(), 0);
        loop {
            match self.look(&mut sweep).await {
                Step::Done => return Ok(()),
                Step::More => sleep(PAUSE).await,
                Step::Job(found) => {
                    self.tidy(found, memory).await?;
                    jobs += 1;
                    if jobs % AT_ONCE == 0 {
                        sleep(PAUSE).await;
                    }
                }
            }
        }
    }

    async fn thin_out_audit(&self) -> Result<(), StoreError> {
        loop {
            let old = self.store.old_audit(&self.audit, now(), AT_ONCE)?;
            let forget = |number| Change { key: RecordKey::Audit(number), record: None };
            let changes: Vec<_> = old.into_iter().map(forget).collect();
            if changes.is_empty() || self.scribe.commit(changes).await.is_err() {
                return Ok(());
            }
            sleep(PAUSE).await;
        }
    }

    async fn look(&self, sweep: &mut Sweep) -> Step {
        tokio::task::yield_now().await;
        self.view.read(|view| sweep.step(view, LOOKED_AT))
    }

    async fn tidy(&self, mut found: Found, memory: &mut Memory) -> Result<(), StoreError> {
        let job = found.job.clone();
        while self.thin_out(&mut found, memory).await? {
            sleep(PAUSE).await;
        }
        let Useless { is_over, configs } = memory.doubts.about(&found, &self.keep, now());
        if is_over {
            if self.forget_job(&job).await {
                memory.doubts.settle(&job);
            }
        } else if !configs.is_empty() {
            self.forget_configs(&job, configs, &mut memory.doubts).await?;
        }
        Ok(())
    }

    /// Forgets a few of the oldest. Whether there may be more.
    async fn thin_out(&self, found: &mut Found, memory: &mut Memory) -> Result<bool, StoreError> {
        let (job, at) = (found.job.clone(), now());
        let known = memory.oldest.get(&job).copied().filter(|_| found.history > 0);
        let known = known.filter(|oldest| !found.history_is_due(&self.keep, at, *oldest));
        let kept = match known {
            None if found.history > 0 => self.store.oldest(&job, None, AT_ONCE)?,
            Some(_) | None => Vec::new(),
        };
        let ends: Vec<_> = kept.iter().map(|it| it.ended_at).chain(known).collect();
        let (slots, runs) = found.due(&self.keep, at, &ends);
        match ends.get(runs) {
            Some(oldest) => memory.oldest.insert(job.clone(), *oldest),
            None => memory.oldest.remove(&job),
        };
        self.forget_runs(&kept[..runs]).await?;
        found.history = found.history.saturating_sub(u32::try_from(runs).unwrap_or(u32::MAX));
        let gone: Vec<_> = found.ended.drain(..slots.min(AT_ONCE)).collect();
        let absent = std::mem::take(&mut found.absent);
        self.forget_slots(&job, found.generation, &gone, &absent).await;
        Ok(slots > AT_ONCE || runs == AT_ONCE)
    }

    /// How many of these were still there.
    async fn forget_runs(&self, runs: &[Kept]) -> Result<u64, StoreError> {
        let _turn = self.turn.lock().await;
        let mut changes = Vec::new();
        for Kept { task, id, .. } in runs {
            if self.store.has_run(id)? {
                let key = RecordKey::History(task.clone(), id.clone());
                changes.push(Change { key, record: None });
            }
        }
        let count = changes.len() as u64;
        if changes.is_empty() || self.scribe.commit(changes).await.is_err() {
            return Ok(0);
        }
        self.stats.pruned.inc_by(count);
        Ok(count)
    }

    /// The job first gives up what has ended: nobody may be wanted and forgotten. How many slots
    /// were forgotten that had a run to tell of.
    async fn forget_slots(
        &self,
        job: &JobKey,
        generation: u32,
        slots: &[EndedSlot],
        absent: &InstanceSet,
    ) -> u64 {
        let ended: InstanceSet = slots.iter().map(|it| it.instance).collect();
        let instances = ended.union(absent);
        if instances.is_empty() {
            return 0;
        }
        match self.tell_job(job, job::Event::Over { instances, generation }).await {
            // It is rejected by a job that has nothing to say about them.
            Settled::Committed | Settled::Rejected(_) => {}
            Settled::Lost => return 0,
        }
        let (settle, mut settled) = mpsc::unbounded_channel();
        for slot in slots {
            let (settle, is_run) = (settle.clone(), slot.at > Timestamp::default());
            let receipt = Receipt::new(move |how| {
                settle.send(is_run && how == Settled::Committed).ok();
            });
            let event = task::Event::Pruned { attempt: slot.attempt };
            self.tasks.do_send(To(job.task(slot.instance), Registered { event, receipt }));
        }
        drop(settle);
        let mut count = 0;
        while let Some(is_run) = settled.recv().await {
            count += u64::from(is_run);
        }
        self.stats.pruned.inc_by(count);
        count
    }

    async fn forget_configs(
        &self,
        job: &JobKey,
        configs: Vec<ConfigId>,
        doubts: &mut Doubts,
    ) -> Result<(), StoreError> {
        // Read after the slots were looked at: a run goes from its slot to the history, not back.
        let in_history = self.store.configs_of_ended(job)?;
        let (used, configs): (Vec<_>, _) =
            configs.into_iter().partition(|it| in_history.contains(it));
        for config in used {
            doubts.defer(job, config, now());
        }
        if !configs.is_empty() {
            self.tell_job(job, job::Event::Unused { configs }).await;
        }
        Ok(())
    }

    async fn forget_job(&self, job: &JobKey) -> bool {
        let configs = self.view.read(|view| {
            let job = view.jobs.get(job).filter(|it| it.tasks.is_empty() && it.history == 0)?;
            Some(job.configs.keys().copied().collect())
        });
        let Some(configs) = configs else { return false };
        self.tell_job(job, job::Event::Forgotten { configs }).await == Settled::Committed
    }

    async fn tell_job(&self, job: &JobKey, event: job::Event) -> Settled {
        let (receipt, settled) = Receipt::awaited();
        self.jobs.do_send(To(job.clone(), Registered { event, receipt }));
        settled.await
    }

    async fn prune(&self, what: &Selection) -> Result<u64, StoreError> {
        let mut sweep = Sweep::default();
        let mut left = what.limit.unwrap_or(u64::MAX);
        let all = left;
        while left > 0 {
            match self.look(&mut sweep).await {
                Step::Done => break,
                Step::More => sleep(PAUSE).await,
                Step::Job(found) if what.is_of(&found.job) => {
                    left -= self.prune_history(&found.job, what, left).await?;
                    left -= self.prune_slots(&found, what, left).await;
                }
                Step::Job(_) => {}
            }
        }
        Ok(all - left)
    }

    async fn prune_history(
        &self,
        job: &JobKey,
        what: &Selection,
        most: u64,
    ) -> Result<u64, StoreError> {
        let (mut pruned, mut after) = (0, None);
        while pruned < most {
            let kept = self.store.oldest(job, after.as_ref(), AT_ONCE)?;
            let mut chosen = Vec::new();
            for run in &kept {
                if what.takes_any() || what.takes(self.status_of(run)?) {
                    chosen.push(run.clone());
                }
            }
            chosen.truncate(usize::try_from(most - pruned).unwrap_or(usize::MAX));
            pruned += self.forget_runs(&chosen).await?;
            after = kept.last().cloned();
            if after.is_none() {
                break;
            }
        }
        Ok(pruned)
    }

    fn status_of(&self, run: &Kept) -> Result<Option<Status>, StoreError> {
        Ok(self.store.run(&run.id)?.map(|(_, run)| run.state.status()))
    }

    async fn prune_slots(&self, found: &Found, what: &Selection, most: u64) -> u64 {
        let status = |view: &View, slot: &EndedSlot| {
            let task = view.task_of(&found.job.task(slot.instance));
            task.filter(|it| it.attempt == slot.attempt)?.status()
        };
        let chosen: Vec<_> = self.view.read(|view| {
            let chosen = found.ended.iter().filter(|it| what.takes(status(view, it)));
            chosen.take(usize::try_from(most).unwrap_or(usize::MAX)).copied().collect()
        });
        let mut pruned = 0;
        for slots in chosen.chunks(AT_ONCE) {
            let none = InstanceSet::default();
            pruned += self.forget_slots(&found.job, found.generation, slots, &none).await;
        }
        pruned
    }
}
