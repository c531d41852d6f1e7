//! The records of a member: what the log says, made true in the order in which it says so.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use airglow_model::{record::Change, view::View};
use openraft::{
    EntryPayload, RaftSnapshotBuilder, Snapshot, SnapshotMeta, StoredMembership,
    storage::RaftStateMachine,
};
use redb::{ReadableDatabase, WriteTransaction};
use tokio::task::spawn_blocking;

use super::{
    ledger::{self, Trouble},
    picture::Picture,
    types::{Applied, Batch, Entry, Failure, Member, Outcome, Types},
};
use crate::{
    Store, StoreError,
    scribe::{Public, Request},
    store::{self, read},
};

/// Clones are the same records.
#[derive(Clone)]
pub(crate) struct Records {
    pub(crate) store: Store,
    pub(crate) public: Public,
    /// What a view is folded into.
    pub(crate) empty: View,
    pub(crate) proposed: Proposed,
    pub(crate) trouble: Trouble,
}

/// What this member has proposed and not heard of yet: its askers are told by whoever makes it true,
/// in their order. There is one batch at most.
#[derive(Clone, Debug, Default)]
pub(crate) struct Proposed(Arc<Mutex<Option<Proposal>>>);

#[derive(Debug)]
struct Proposal {
    by: u64,
    number: u64,
    requests: Vec<Request>,
}

impl Proposed {
    pub(crate) fn put(&self, batch: &Batch, requests: Vec<Request>) {
        let Batch { by, number, .. } = *batch;
        *self.slot() = Some(Proposal { by, number, requests });
    }

    /// Nobody will be told of it any more, or somebody has been.
    pub(crate) fn take_back(&self) {
        *self.slot() = None;
    }

    fn take(&self, batch: &Batch) -> Option<Vec<Request>> {
        let is_it = |it: &mut Proposal| (it.by, it.number) == (batch.by, batch.number);
        self.slot().take_if(is_it).map(|it| it.requests)
    }

    fn slot(&self) -> MutexGuard<'_, Option<Proposal>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What has to be told of an entry, once it is written.
enum Telling {
    /// To those who asked here, and to everybody.
    Ours(Vec<Request>),
    Theirs(Vec<Vec<Change>>),
}

impl fmt::Debug for Records {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Records").finish_non_exhaustive()
    }
}

impl Records {
    fn apply_all(&self, entries: Vec<Entry>) -> Result<Vec<Outcome>, StoreError> {
        let before = self.store.seq()?;
        let (mut seq, mut applied) = (before, self.store.applied()?);
        let tx = self.store.following()?;
        let (mut outcomes, mut tellings) = (Vec::new(), Vec::new());
        for Entry { log_id, payload } in entries {
            applied.last = Some(log_id);
            outcomes.push(match payload {
                EntryPayload::Blank => Outcome::Done(seq),
                EntryPayload::Membership(membership) => {
                    applied.membership = StoredMembership::new(Some(log_id), membership);
                    Outcome::Done(seq)
                }
                EntryPayload::Normal(batch) if batch.after.is_some_and(|it| it != seq) => {
                    Outcome::Overtaken
                }
                EntryPayload::Normal(batch) => {
                    let (telling, newest) = self.make_true(&tx, seq, &batch)?;
                    tellings.push(telling);
                    seq = newest;
                    Outcome::Done(seq)
                }
            });
        }
        ledger::apply_to(&tx, &applied)?;
        tx.commit()?;
        self.tell(before, tellings);
        Ok(outcomes)
    }

    fn make_true(
        &self,
        tx: &WriteTransaction,
        seq: u64,
        batch: &Batch,
    ) -> Result<(Telling, u64), StoreError> {
        if let Some(requests) = self.proposed.take(batch) {
            let commits = requests.iter().filter_map(Request::changes);
            let seq = store::write_into(tx, seq, commits)?;
            return Ok((Telling::Ours(requests), seq));
        }
        let commits: Vec<Vec<Change>> = read("a batch of commits", batch.commits.as_bytes())?;
        let seq = store::write_into(tx, seq, commits.iter().map(Vec::as_slice))?;
        Ok((Telling::Theirs(commits), seq))
    }

    fn tell(&self, mut seq: u64, tellings: Vec<Telling>) {
        for telling in tellings {
            match telling {
                Telling::Ours(requests) => {
                    for request in requests {
                        seq = self.public.tell(seq, request);
                    }
                }
                Telling::Theirs(commits) => {
                    for changes in commits {
                        seq = self.public.publish(seq + 1, changes);
                    }
                }
            }
        }
    }

    fn install(
        &self,
        meta: SnapshotMeta<u64, Member>,
        picture: &Picture,
    ) -> Result<(), StoreError> {
        let tx = self.store.durable()?;
        let applied = Applied { last: meta.last_log_id, membership: meta.last_membership };
        picture.replace(&tx, &applied)?;
        tx.commit()?;
        let seq = self.public.view.reload(self.empty.clone(), &self.store)?;
        self.public.feed.begin_after(seq);
        Ok(())
    }

    fn picture(&self) -> Result<Snapshot<Types>, StoreError> {
        let seen = self.store.database.begin_read()?;
        let Applied { last, membership } = ledger::applied(&seen)?;
        let meta = SnapshotMeta {
            last_log_id: last,
            last_membership: membership,
            snapshot_id: last.map_or_else(String::new, |it| it.to_string()),
        };
        Ok(Snapshot { meta, snapshot: Box::new(Picture::taken(seen)) })
    }

    /// Off the runtime's threads, which have heartbeats to send.
    async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, Failure> {
        let this = self.clone();
        let done = spawn_blocking(move || work(&this)).await;
        self.trouble.tell(done.unwrap_or(Err(StoreError::Panicked)))
    }
}

impl RaftStateMachine<Types> for Records {
    type SnapshotBuilder = Self;

    async fn applied_state(
        &mut self,
    ) -> Result<(Option<openraft::LogId<u64>>, StoredMembership<u64, Member>), Failure> {
        let applied = self.trouble.tell(self.store.applied())?;
        Ok((applied.last, applied.membership))
    }

    async fn apply<I>(&mut self, entries: I) -> Result<Vec<Outcome>, Failure>
    where
        I: IntoIterator<Item = Entry> + Send,
        I::IntoIter: Send,
    {
        let entries: Vec<_> = entries.into_iter().collect();
        self.work(move |this| this.apply_all(entries)).await
    }

    async fn get_snapshot_builder(&mut self) -> Self {
        self.clone()
    }

    async fn begin_receiving_snapshot(&mut self) -> Result<Box<Picture>, Failure> {
        Ok(Box::default())
    }

    async fn install_snapshot(
        &mut self,
        meta: &SnapshotMeta<u64, Member>,
        picture: Box<Picture>,
    ) -> Result<(), Failure> {
        let meta = meta.clone();
        self.work(move |this| this.install(meta, &picture)).await
    }

    /// The newest there can be, and none before there is anything.
    async fn get_current_snapshot(&mut self) -> Result<Option<Snapshot<Types>>, Failure> {
        let picture = self.trouble.tell(self.picture())?;
        Ok(picture.meta.last_log_id.is_some().then_some(picture))
    }
}

impl RaftSnapshotBuilder<Types> for Records {
    async fn build_snapshot(&mut self) -> Result<Snapshot<Types>, Failure> {
        self.trouble.tell(self.picture())
    }
}
