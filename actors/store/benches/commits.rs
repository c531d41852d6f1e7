//! What grouping commits is worth: the same commits by one writer that waits for each, and by many;
//! and what sharing the records costs, with three schedulers that write to the same disk.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use airglow_model::{
    host::Host,
    ids::HostId,
    record::{Change, Record, RecordKey},
    view::View,
};
use airglow_store::{
    Asking, FILE, Feed, Member, PeerLine, Peers, Question, ReadModel, Reign, Replica, Scribe,
    Setting, Store,
};
use divan::{Bencher, counter::ItemsCount};
use tempfile::TempDir;
use tokio::{
    runtime::{self, Runtime},
    sync::oneshot,
    task::JoinSet,
    time::Instant,
};

fn main() {
    divan::main();
    if std::env::args().any(|it| it == "--bench") {
        latencies();
    }
}

const COMMITS: usize = 1024;

#[divan::bench(args = [1, 8, 64, 512], sample_count = 10, sample_size = 1)]
fn commits(bencher: Bencher<'_, '_>, writers: usize) {
    let alone = Alone::new();
    measure(bencher, &alone.scribe, writers);
}

#[divan::bench(args = [1, 8, 64, 128, 512], sample_count = 10, sample_size = 1)]
fn commits_of_three(bencher: Bencher<'_, '_>, writers: usize) {
    let three = Three::new();
    measure(bencher, &three.scribe, writers);
}

fn measure(bencher: Bencher<'_, '_>, scribe: &Scribe, writers: usize) {
    let runtime = clock();
    bencher.counter(ItemsCount::new(COMMITS)).bench_local(|| {
        runtime.block_on(async {
            let mut work = JoinSet::new();
            for writer in 0..writers {
                let scribe = scribe.clone();
                work.spawn(async move {
                    for i in 0..COMMITS / writers {
                        let change = change(&format!("host-{writer}-{i}"));
                        scribe.commit(vec![change]).await.expect("the disk has room");
                    }
                });
            }
            work.join_all().await;
        });
    });
}

/// How long somebody waits who is the only one, in the middle and at worst but one in a hundred.
#[expect(clippy::print_stdout, reason = "it is what a benchmark is for")]
fn latencies() {
    let (alone, three) = (Alone::new(), Three::new());
    for (who, scribe) in [("alone", &alone.scribe), ("of three", &three.scribe)] {
        let runtime = clock();
        let one = |i: u32| {
            let began = Instant::now();
            let commit = scribe.commit(vec![change(&format!("host-{i}"))]);
            runtime.block_on(commit).expect("the disk has room");
            began.elapsed()
        };
        let mut took: Vec<_> = (0..1000).map(one).collect();
        took.sort();
        println!("{who}: a commit takes {:.2?}, or {:.2?} (p99)", took[500], took[990]);
    }
}

fn clock() -> Runtime {
    runtime::Builder::new_current_thread().enable_time().build().expect("there is room for one")
}

struct Alone {
    scribe: Scribe,
    _folder: TempDir,
}

impl Alone {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("there is room for a folder");
        let store = Store::open(&folder.path().join(FILE)).expect("there was nothing before");
        let view = ReadModel::load(&store).expect("it is empty");
        let (failed, _) = oneshot::channel();
        let scribe = Scribe::start(store, view, Feed::new(0), vec![], failed);
        Self { scribe, _folder: folder }
    }
}

/// Three members in one process, each with a database of its own on the same disk.
struct Three {
    scribe: Scribe,
    _reign: Reign,
    _members: Street,
    _folder: TempDir,
}

type Street = Arc<Mutex<BTreeMap<SocketAddr, Replica>>>;

impl Three {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("there is room for a folder");
        let street = Street::default();
        for id in 1..=3 {
            let replica = start(id, &folder, &street);
            street.lock().expect("nobody panics").insert(member(id).mesh, replica);
        }
        let leader = street.lock().expect("nobody panics")[&member(1).mesh].clone();
        let runtime = clock();
        let (scribe, reign) = runtime.block_on(async {
            for id in 1..=3 {
                while leader.admit(id, member(id), false).await.is_err() {
                    leader.news().await;
                }
            }
            loop {
                match leader.lead(vec![], |_| {}).await {
                    Ok(leading) => return leading,
                    Err(_) => leader.news().await,
                }
            }
        });
        Self { scribe, _reign: reign, _members: street, _folder: folder }
    }
}

fn start(id: u64, folder: &TempDir, street: &Street) -> Replica {
    let path = folder.path().join(format!("{id}-{FILE}"));
    let store = Store::open(&path).expect("there was nothing before");
    if id == 1 {
        store.found(id, member(id)).expect("the disk has room");
    } else {
        store.enlist(id).expect("the disk has room");
    }
    let view = ReadModel::load(&store).expect("it is empty");
    let (failed, _) = oneshot::channel();
    let setting = Setting {
        store,
        folder: folder.path().to_owned(),
        view,
        feed: Feed::new(0),
        empty: View::default(),
        id,
        peers: Arc::new(Door(Arc::clone(street))),
    };
    Replica::start(setting, failed).expect("the disk has room")
}

fn member(id: u64) -> Member {
    let mesh = SocketAddr::from(([127, 0, 0, 1], 8000 + u16::try_from(id).expect("there are few")));
    Member { name: format!("s{id}"), mesh, api: String::new() }
}

struct Door(Street);

impl Peers for Door {
    fn line(&self, to: &Member) -> Box<dyn PeerLine> {
        Box::new(Walk { to: to.mesh, street: Arc::clone(&self.0) })
    }
}

struct Walk {
    to: SocketAddr,
    street: Street,
}

impl PeerLine for Walk {
    fn ask(&mut self, question: Question) -> Asking<'_> {
        Box::pin(async move {
            // As it would travel.
            let text = serde_json::to_vec(&question).map_err(|it| it.to_string())?;
            let question = serde_json::from_slice(&text).map_err(|it| it.to_string())?;
            let other = self.street.lock().expect("nobody panics").get(&self.to).cloned();
            Ok(other.ok_or("nobody is there")?.answer(question).await)
        })
    }
}

/// About as long as a task's record.
fn change(name: &str) -> Change {
    let id = HostId::from(name);
    let host = Host { version: "x".repeat(400), ..Host::unknown(id.clone()) };
    Change { key: RecordKey::Host(id), record: Some(Record::Host(host)) }
}

#[divan::bench(args = [100_000], sample_count = 3, sample_size = 1)]
fn opening(bencher: Bencher<'_, '_>, records: usize) {
    let folder = tempfile::tempdir().expect("there is room for a folder");
    let path = folder.path().join(FILE);
    fill(&path, records);
    bencher.counter(ItemsCount::new(records)).bench_local(|| {
        let store = Store::open(&path).expect("nobody else has it");
        ReadModel::load(&store).expect("it is sound")
    });
}

fn fill(path: &std::path::Path, records: usize) {
    let store = Store::open(path).expect("there was nothing before");
    let (on_failure, failed) = oneshot::channel();
    let scribe =
        Scribe::start(store, ReadModel::new(Default::default()), Feed::new(0), vec![], on_failure);
    let changes = (0..records).map(|i| change(&format!("host-{i}"))).collect();
    let runtime = clock();
    runtime.block_on(scribe.commit(changes)).expect("the disk has room");
    drop(scribe);
    // It says nothing, and drops its end when it has closed the file.
    runtime.block_on(failed).expect_err("nothing failed");
}
