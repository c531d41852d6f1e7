//! How often a scheduler has begun to lead, and that this one has.
//!
//! Hosts remember the latest term that they have heard of and obey no earlier one. So the first
//! thing that whoever begins to lead commits is a new term, before anything is said to any host.
//! Should a host have heard of a later one nevertheless, then this scheduler has been replaced, and
//! its commit will fail, or its records are older than what hosts remember, because they were put
//! back from a copy; then a term that is later still makes it their leader again.

use airglow_model::record::{Change, Record, RecordKey};
use airglow_store::{Gone, ReadModel, Scribe};
use tokio::sync::Mutex;

/// A new one, once it is on disk.
pub(crate) async fn begin(scribe: &Scribe, view: &ReadModel) -> Result<u64, Gone> {
    commit(scribe, view.read(|it| it.term) + 1).await
}

/// The term in which a scheduler's sessions speak.
pub(crate) struct Term {
    current: Mutex<u64>,
    scribe: Scribe,
}

/// No term can be later than what a host says it has heard of.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Unsurpassed;

/// A host that has heard of terms that far away has heard nonsense: nobody has led so often. Without
/// this it could use up all there are.
const SURPASSED_MAX: u64 = 1 << 32;

impl Term {
    pub(crate) fn new(current: u64, scribe: Scribe) -> Self {
        Self { current: Mutex::new(current), scribe }
    }

    /// The current one; a new one that is later than what a host has `heard` of, if it would not
    /// obey the current one.
    pub(crate) async fn for_host(&self, heard: u64) -> Result<u64, Unsurpassed> {
        let mut current = self.current.lock().await;
        if heard <= *current {
            return Ok(*current);
        }
        if SURPASSED_MAX < heard - *current {
            return Err(Unsurpassed);
        }
        tracing::warn!(heard, current = *current, "a host has heard of a later term");
        *current = commit(&self.scribe, heard + 1).await.map_err(|Gone| Unsurpassed)?;
        Ok(*current)
    }
}

async fn commit(scribe: &Scribe, term: u64) -> Result<u64, Gone> {
    let change = Change { key: RecordKey::Term, record: Some(Record::Term(term)) };
    scribe.commit(vec![change]).await.map(|_| term)
}
