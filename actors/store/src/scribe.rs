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
enum Request {
    Commit { changes: Vec<Change>, reply: oneshot::Sender<u64> },
    Note(Note),
}

struct Desk<T> {
    store: Store,
    view: ReadModel,
    feed: Feed,
    hooks: Vec<Hook>,
    line: Line,
    /// Hears of each transaction.
    tell_of: T,
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
        let (requests, inbox) = mpsc::channel();
        let line = Line::default();
        let desk = Desk { store, view, feed, hooks, line: line.clone(), tell_of };
        let work = move || {
            // The unwind is not survived, only told: nothing of the desk is used after it.
            let end = catch_unwind(AssertUnwindSafe(|| desk.work(&inbox)));
            drop((desk, inbox));
            if let Err(error) = end.unwrap_or(Err(StoreError::Panicked)) {
                tracing::error!(error = ?error, "the store stops");
                // If nobody wants to know, everybody has gone already.
                failed.send(error).ok();
            }
        };
        thread::Builder::new()
            .name("scribe".to_owned())
            .spawn(work)
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
    fn work(&self, inbox: &mpsc::Receiver<Request>) -> Result<(), StoreError> {
        let mut seq = self.store.seq()?;
        while let Ok(first) = inbox.recv() {
            let mut batch: Vec<_> =
                iter::once(first).chain(inbox.try_iter()).take(MOST_AT_ONCE).collect();
            self.announce(seq, &mut batch);
            let commits = batch.iter().filter_map(Request::changes);
            let (count, began) = (commits.clone().count(), Instant::now());
            self.store.write(seq, commits)?;
            if count > 0 {
                (self.tell_of)(Written { commits: count, took: began.elapsed() });
            }
            let written = batch.len();
            for request in batch {
                seq = self.tell(seq, request);
            }
            self.line.0.fetch_sub(written, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Adds to each transaction after `seq` what is to be told of it.
    fn announce(&self, mut seq: u64, batch: &mut [Request]) {
        if self.hooks.is_empty() {
            return;
        }
        self.view.read(|view| {
            let mut announcer = Announcer::new(&self.hooks, view);
            for changes in batch.iter_mut().filter_map(Request::changes_mut) {
                seq += 1;
                changes.extend(announcer.announce(seq, changes));
            }
        });
    }

    /// What is on disk becomes true for everybody. The newest transaction's number after it.
    fn tell(&self, seq: u64, request: Request) -> u64 {
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

    fn publish(&self, seq: u64, changes: Vec<Change>) -> u64 {
        let committed = Committed { seq, changes };
        self.view.apply(&committed);
        self.feed.publish(News { seq, what: What::Committed(committed.changes) });
        seq
    }
}

impl Request {
    fn changes(&self) -> Option<&[Change]> {
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
    use std::{
        fs::File,
        io,
        sync::{
            Arc, Mutex,
            atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
        },
    };

    use airglow_model::{
        host::Host,
        ids::{JobKey, TaskId},
        machine::Timestamp,
        record::{Record, RecordKey},
    };
    use redb::{Database, StorageBackend};

    use super::*;
    use crate::{disk::Disk, store};

    /// A disk whose fsyncs are counted and can be held up, and which can be full.
    #[derive(Debug)]
    struct Bench {
        disk: Disk,
        levers: Arc<Levers>,
    }

    #[derive(Debug, Default)]
    struct Levers {
        fsyncs: AtomicU64,
        hold: Mutex<()>,
        full: AtomicBool,
    }

    impl StorageBackend for Bench {
        fn len(&self) -> io::Result<u64> {
            self.disk.len()
        }

        fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
            self.disk.read(offset, out)
        }

        fn set_len(&self, len: u64) -> io::Result<()> {
            self.disk.set_len(len)
        }

        fn sync_data(&self) -> io::Result<()> {
            drop(self.levers.hold.lock());
            self.levers.fsyncs.fetch_add(1, Relaxed);
            self.disk.sync_data()
        }

        fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
            if self.levers.full.load(Relaxed) {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.disk.write(offset, data)
        }
    }

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
            let file: File = tempfile::tempfile().unwrap();
            let levers = Arc::new(Levers::default());
            let bench = Bench { disk: Disk(file), levers: Arc::clone(&levers) };
            let database = Database::builder().create_with_backend(bench).unwrap();
            store::lay_out(&database).unwrap();
            let store = Store::on(database);
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
