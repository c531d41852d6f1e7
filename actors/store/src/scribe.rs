//! The one writer. It lives on a thread of its own, because an fsync is not for sharing.
//!
//! Whatever is asked for during one fsync goes to disk with the next: no timer, nothing to tune.
//! There is no bound on how much may be waiting, because every entity waits for its own commit
//! before it asks for another.
//!
//! What receivers of webhooks are to be told is written by the same transaction as what it is about.
//!
//! It has no way of carrying on without a disk, and does not look for one: if a transaction fails,
//! nobody in it is acknowledged, the reason goes to whoever started the scribe, and it stops. What
//! was acknowledged before is on the disk, and a restart goes on from there.

use std::{
    iter,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

use airglow_model::{
    record::{Change, Committed},
    view::Note,
    webhook::{Announcer, Hook},
};
use tokio::{sync::oneshot, time::Instant};

use crate::{Feed, News, ReadModel, Store, StoreError, What};

/// Clones are the same scribe. It ends with the last of them.
#[derive(Clone, Debug)]
pub struct Scribe {
    requests: mpsc::Sender<Request>,
    line: Line,
}

/// How long the line is of those who wait for the disk. Whoever only looks at it keeps no scribe
/// alive.
#[derive(Clone, Debug, Default)]
pub struct Line(Arc<AtomicUsize>);

/// A transaction that is on disk.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Written {
    /// How many commits share it.
    pub commits: usize,
    /// How long it took, fsync and all.
    pub took: Duration,
}

/// The scribe has stopped. Whether this was written will be known after a restart.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the store has stopped")]
pub struct Gone;

#[derive(Debug)]
pub(crate) enum Request {
    Commit { changes: Vec<Change>, reply: oneshot::Sender<u64> },
    Note(Note),
}

/// What everybody knows of what is on disk.
#[derive(Clone, Debug)]
pub(crate) struct Public {
    pub(crate) view: ReadModel,
    pub(crate) feed: Feed,
}

/// Where requests come in, and what is added to them.
pub(crate) struct Counter<T> {
    pub(crate) inbox: mpsc::Receiver<Request>,
    pub(crate) line: Line,
    pub(crate) hooks: Vec<Hook>,
    /// Hears of each transaction.
    pub(crate) tell_of: T,
}

struct Desk<T> {
    store: Store,
    public: Public,
    counter: Counter<T>,
}

impl Line {
    /// How much has been asked for and is not on disk yet.
    pub fn len(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// So that those who came first need not wait for ever.
const MOST_AT_ONCE: usize = 4096;

impl Scribe {
    /// `failed` hears why, if it ever has to stop before its last handle is dropped. When it is
    /// dropped without a word, the scribe has ended and let go of the store.
    pub fn start(
        store: Store,
        view: ReadModel,
        feed: Feed,
        hooks: Vec<Hook>,
        failed: oneshot::Sender<StoreError>,
    ) -> Self {
        Self::start_telling((store, view, feed), hooks, failed, |_| {})
    }

    /// The same; and `tell_of` hears of each transaction, on the scribe's thread.
    pub fn start_telling(
        (store, view, feed): (Store, ReadModel, Feed),
        hooks: Vec<Hook>,
        failed: oneshot::Sender<StoreError>,
        tell_of: impl Fn(Written) + Send + 'static,
    ) -> Self {
        let work = move |counter| {
            let desk = Desk { store, public: Public { view, feed }, counter };
            // The unwind is not survived, only told: nothing of the desk is used after it.
            let end = catch_unwind(AssertUnwindSafe(|| desk.work()));
            drop(desk);
            if let Err(error) = end.unwrap_or(Err(StoreError::Panicked)) {
                tracing::error!(error = ?error, "the store stops");
                // If nobody wants to know, everybody has gone already.
                failed.send(error).ok();
            }
        };
        Self::on_a_thread(hooks, tell_of, work)
    }

    /// Whoever asks is heard at the counter.
    pub(crate) fn on_a_thread<T: Fn(Written) + Send + 'static>(
        hooks: Vec<Hook>,
        tell_of: T,
        work: impl FnOnce(Counter<T>) + Send + 'static,
    ) -> Self {
        let (requests, inbox) = mpsc::channel();
        let line = Line::default();
        let counter = Counter { inbox, line: line.clone(), hooks, tell_of };
        thread::Builder::new()
            .name("scribe".to_owned())
            .spawn(move || work(counter))
            .expect("there is room for one more thread");
        Self { requests, line }
    }

    /// All of `changes` or none of them, in the order of the calls. Resolves to the transaction's
    /// number once it is on disk and in the view; without changes, to the newest number when
    /// everything before it is.
    pub fn commit(
        &self,
        changes: Vec<Change>,
    ) -> impl Future<Output = Result<u64, Gone>> + Send + use<> {
        let (reply, acked) = oneshot::channel();
        self.ask(Request::Commit { changes, reply });
        async { acked.await.map_err(|_| Gone) }
    }

    /// Into the view and the feed, in order with the commits, but not onto the disk. Senders see
    /// to it that there are not too many.
    pub fn note(&self, note: Note) {
        self.ask(Request::Note(note));
    }

    /// How much has been asked for and is not on disk yet.
    pub fn waiting(&self) -> usize {
        self.line.len()
    }

    /// For whoever looks at that again and again.
    pub fn line(&self) -> Line {
        self.line.clone()
    }

    fn ask(&self, request: Request) {
        self.line.0.fetch_add(1, Ordering::Relaxed);
        // A scribe that is gone drops the reply, which says so.
        self.requests.send(request).ok();
    }
}

impl<T: Fn(Written)> Desk<T> {
    fn work(&self) -> Result<(), StoreError> {
        let mut seq = self.store.seq()?;
        while let Some(batch) = self.counter.next(seq, &self.public.view) {
            let commits = batch.iter().filter_map(Request::changes);
            let (count, began) = (commits.clone().count(), Instant::now());
            self.store.write(seq, commits)?;
            self.counter.written(count, began);
            let written = batch.len();
            for request in batch {
                seq = self.public.tell(seq, request);
            }
            self.counter.served(written);
        }
        Ok(())
    }
}

impl<T: Fn(Written)> Counter<T> {
    /// Whatever has come in, as soon as something has, and what is to be told of it if `seq` is the
    /// newest transaction. `None`: nobody can ask any more.
    pub(crate) fn next(&self, seq: u64, view: &ReadModel) -> Option<Vec<Request>> {
        let first = self.inbox.recv().ok()?;
        let more = self.inbox.try_iter();
        let mut batch: Vec<_> = iter::once(first).chain(more).take(MOST_AT_ONCE).collect();
        self.announce(seq, view, &mut batch);
        Some(batch)
    }

    pub(crate) fn written(&self, commits: usize, began: Instant) {
        if commits > 0 {
            (self.tell_of)(Written { commits, took: began.elapsed() });
        }
    }

    pub(crate) fn served(&self, requests: usize) {
        self.line.0.fetch_sub(requests, Ordering::Relaxed);
    }

    /// Adds to each transaction after `seq` what is to be told of it.
    fn announce(&self, mut seq: u64, view: &ReadModel, batch: &mut [Request]) {
        if self.hooks.is_empty() {
            return;
        }
        view.read(|view| {
            let mut announcer = Announcer::new(&self.hooks, view);
            for changes in batch.iter_mut().filter_map(Request::changes_mut) {
                seq += 1;
                changes.extend(announcer.announce(seq, changes));
            }
        });
    }
}

impl Public {
    /// What is on disk becomes true for everybody. The newest transaction's number after it.
    pub(crate) fn tell(&self, seq: u64, request: Request) -> u64 {
        match request {
            Request::Note(note) => {
                let seq = self.view.note(note.clone());
                self.feed.publish(News { seq, what: What::Note(note) });
                seq
            }
            Request::Commit { changes, reply } => {
                let seq = if changes.is_empty() { seq } else { self.publish(seq + 1, changes) };
                // Whoever asked may have died meanwhile; its successor reads the record.
                reply.send(seq).ok();
                seq
            }
        }
    }

    pub(crate) fn publish(&self, seq: u64, changes: Vec<Change>) -> u64 {
        let committed = Committed { seq, changes };
        self.view.apply(&committed);
        self.feed.publish(News { seq, what: What::Committed(committed.changes) });
        seq
    }
}

impl Request {
    pub(crate) fn changes(&self) -> Option<&[Change]> {
        match self {
            Self::Commit { changes, .. } if !changes.is_empty() => Some(changes),
            Self::Commit { .. } | Self::Note(_) => None,
        }
    }

    fn changes_mut(&mut self) -> Option<&mut Vec<Change>> {
        match self {
            Self::Commit { changes, .. } if !changes.is_empty() => Some(changes),
            Self::Commit { .. } | Self::Note(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex, atomic::Ordering::Relaxed};

    use airglow_model::{
        host::Host,
        ids::{JobKey, TaskId},
        machine::Timestamp,
        record::{Record, RecordKey},
    };

    use super::*;
    use crate::bench::{self, Levers};

    struct Desktop {
        scribe: Scribe,
        written: Arc<Mutex<Vec<Written>>>,
        store: Store,
        view: ReadModel,
        feed: Feed,
        failed: oneshot::Receiver<StoreError>,
        levers: Arc<Levers>,
    }

    impl Desktop {
        fn new() -> Self {
            let (store, levers) = bench::store();
            let (view, feed) = (ReadModel::load(&store).unwrap(), Feed::new(0));
            let (on_failure, failed) = oneshot::channel();
            let written = Arc::<Mutex<Vec<_>>>::default();
            let heard = Arc::clone(&written);
            let books = (store.clone(), view.clone(), feed.clone());
            let tell_of = move |it| heard.lock().unwrap().push(it);
            let scribe = Scribe::start_telling(books, vec![], on_failure, tell_of);
            Self { scribe, written, store, view, feed, failed, levers }
        }

        fn fsyncs(&self) -> u64 {
            self.levers.fsyncs.load(Relaxed)
        }
    }

    fn host(name: &str) -> Vec<Change> {
        let record = Some(Record::Host(Host::unknown(name.into())));
        vec![Change { key: RecordKey::Host(name.into()), record }]
    }

    #[tokio::test]
    async fn whoever_is_acknowledged_finds_it_everywhere() {
        let desk = Desktop::new();
        for seq in 1..=3 {
            let name = format!("h{seq}");
            assert_eq!(desk.scribe.commit(host(&name)).await, Ok(seq));
            assert_eq!(desk.view.read(|view| (view.seq, view.hosts.len() as u64)), (seq, seq));
            let news = desk.feed.since(seq - 1).unwrap();
            assert_eq!(*news[0], News { seq, what: What::Committed(host(&name)) });
            assert_eq!(
                (desk.store.seq().unwrap(), desk.store.records().unwrap().len()),
                (seq, usize::try_from(seq).unwrap())
            );
        }
        assert_eq!(desk.scribe.commit(Vec::new()).await, Ok(3), "nothing to do");
    }

    #[tokio::test]
    async fn what_comes_in_during_one_fsync_shares_the_next() {
        let desk = Desktop::new();
        let before = desk.fsyncs();
        desk.scribe.commit(host("alone")).await.unwrap();
        let each = desk.fsyncs() - before;

        let held = desk.levers.hold.lock().unwrap();
        let acks: Vec<_> = (0..500).map(|i| desk.scribe.commit(host(&format!("h{i}")))).collect();
        drop(held);
        for (ack, seq) in acks.into_iter().zip(2..) {
            assert_eq!(ack.await, Ok(seq), "in the order of the calls");
        }
        let more = desk.fsyncs() - before - each;
        assert!(more <= 2 * each, "{more} fsyncs for 500 commits; one takes {each}");
        assert!(desk.scribe.commit(Vec::new()).await.is_ok(), "no transaction for nothing");
        let written = desk.written.lock().unwrap();
        assert_eq!(written.iter().map(|it| it.commits).sum::<usize>(), 501);
        assert!(written.len() <= 3 && written.iter().all(|it| it.took > Duration::ZERO));
    }

    #[tokio::test]
    async fn notes_keep_their_place_among_commits() {
        let desk = Desktop::new();
        let heard = |at| Note::Heard { host: "h".into(), at: Timestamp(at), skew_ms: None };
        let first = desk.scribe.commit(host("h"));
        desk.scribe.note(heard(17));
        let second = desk.scribe.commit(host("i"));
        assert_eq!((first.await, second.await), (Ok(1), Ok(2)));
        let news: Vec<_> = desk.feed.since(0).unwrap().iter().map(|it| it.seq).collect();
        assert_eq!(news, [1, 1, 2]);
        assert_eq!(*desk.feed.since(0).unwrap()[1], News { seq: 1, what: What::Note(heard(17)) });
        let heard_at = desk.view.read(|view| view.hosts[&"h".into()].heard_at);
        assert_eq!(heard_at, Timestamp(17));
    }

    #[tokio::test]
    async fn on_a_full_disk_nobody_is_acknowledged() {
        let desk = Desktop::new();
        desk.scribe.commit(host("before")).await.unwrap();
        desk.levers.full.store(true, Relaxed);
        assert_eq!(desk.scribe.commit(host("lost")).await, Err(Gone));
        let error = desk.failed.await.unwrap();
        assert!(matches!(error, StoreError::Full(_)), "{error:?}");
        assert_eq!(desk.scribe.commit(host("late")).await, Err(Gone));
        assert_eq!(desk.view.read(|view| (view.seq, view.hosts.len())), (1, 1));
        assert_eq!(desk.feed.since(1).unwrap(), []);
    }

    #[tokio::test]
    async fn a_bug_is_reported_like_a_broken_disk() {
        let desk = Desktop::new();
        let task = JobKey::new("www", "prod", "hello").task(0);
        let mut nonsense = host("h");
        nonsense[0].key = RecordKey::History(task, TaskId("x".into()));
        assert_eq!(desk.scribe.commit(nonsense).await, Err(Gone));
        assert!(matches!(desk.failed.await, Ok(StoreError::Panicked)));
    }

    #[tokio::test]
    async fn it_ends_with_its_last_handle_and_lets_go_of_the_store() {
        let Desktop { scribe, store, failed, .. } = Desktop::new();
        let pending = scribe.clone().commit(host("h"));
        drop(scribe);
        assert_eq!(pending.await, Ok(1));
        assert!(failed.await.is_err(), "there was nothing to complain about");
        assert_eq!(store.handles(), 1);
    }
}
