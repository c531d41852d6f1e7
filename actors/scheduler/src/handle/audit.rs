//! What becomes of deeds is written down: before they are done, and when they are.

use std::sync::atomic::{AtomicU64, Ordering};

use airglow_kit::now;
use airglow_model::{
    audit::{Entry, Filter, Outcome},
    record::{Change, Record, RecordKey},
};
use airglow_store::StoreError;

use super::{Scheduler, not_now};
use crate::Refusal;

/// A deed that is written down and not done yet.
#[must_use = "what comes of it has to be written down too"]
#[derive(Debug)]
pub struct Intent(Vec<(u64, Entry)>);

/// Those of the audit trail's entries.
#[derive(Debug)]
pub(super) struct Numbers {
    /// Of the first entry since this scheduler began to decide.
    first: AtomicU64,
    next: AtomicU64,
}

impl Numbers {
    pub(super) fn after(last: u64) -> Self {
        Self { first: AtomicU64::new(last + 1), next: AtomicU64::new(last + 1) }
    }

    /// If it cannot be read, the numbers are as before: the store says so to whoever writes, too.
    pub(super) fn begin_after(&self, last: Result<u64, StoreError>) {
        let Ok(last) = last else { return };
        self.first.store(last + 1, Ordering::Relaxed);
        self.next.store(last + 1, Ordering::Relaxed);
    }
}

impl Scheduler {
    /// Writes down what somebody wants. Nothing of it may be done before this answers.
    pub async fn intend(&self, entries: Vec<Entry>) -> Result<Intent, Refusal> {
        let count = entries.len() as u64;
        let first = self.inner.audit.next.fetch_add(count, Ordering::Relaxed);
        let intent = Intent((first..).zip(entries).collect());
        self.write(&intent).await?;
        Ok(intent)
    }

    /// Writes down what has come of it: nothing, and why, or what was wanted.
    pub async fn conclude(
        &self,
        Intent(mut entries): Intent,
        refused: Option<&str>,
    ) -> Result<(), Refusal> {
        let at = now();
        for (_, entry) in &mut entries {
            entry.outcome = match refused {
                Some(why) => Outcome::Refused { at, why: why.to_owned() },
                None => Outcome::Done { at },
            };
        }
        self.write(&Intent(entries)).await
    }

    /// The newest `limit` entries that fit, of those before this number, newest first.
    pub fn audit(
        &self,
        filter: &Filter,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<(u64, Entry)>, StoreError> {
        self.inner.store().map_or(Ok(Vec::new()), |it| it.audit(filter, before, limit))
    }

    /// Whether an entry without an outcome is one that nobody will conclude any more.
    pub fn is_forsaken(&self, number: u64) -> bool {
        number < self.inner.audit.first.load(Ordering::Relaxed)
    }

    async fn write(&self, Intent(entries): &Intent) -> Result<(), Refusal> {
        let change = |(number, entry): &(u64, Entry)| Change {
            key: RecordKey::Audit(*number),
            record: Some(Record::Audit(entry.clone())),
        };
        let scribe = self.inner.lines.entities().ok_or_else(not_now)?.scribe;
        let commit = scribe.commit(entries.iter().map(change).collect());
        drop(scribe);
        commit.await.map(drop).map_err(|_| Refusal::unknown())
    }
}
