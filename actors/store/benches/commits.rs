//! What grouping commits is worth: the same commits by one writer that waits for each, and by many.

use airglow_model::{
    host::Host,
    ids::HostId,
    record::{Change, Record, RecordKey},
};
use airglow_store::{FILE, Feed, ReadModel, Scribe, Store};
use divan::{Bencher, counter::ItemsCount};
use tokio::{runtime, sync::oneshot, task::JoinSet};

fn main() {
    divan::main();
}

const COMMITS: usize = 1024;

#[divan::bench(args = [1, 8, 64, 512], sample_count = 10, sample_size = 1)]
fn commits(bencher: Bencher<'_, '_>, writers: usize) {
    let folder = tempfile::tempdir().expect("there is room for a folder");
    let store = Store::open(&folder.path().join(FILE)).expect("there was nothing before");
    let view = ReadModel::load(&store).expect("it is empty");
    let (failed, _) = oneshot::channel();
    let scribe = Scribe::start(store, view, Feed::new(0), vec![], failed);
    let runtime = runtime::Builder::new_current_thread().build().expect("there is room for one");
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
    let runtime = runtime::Builder::new_current_thread().build().expect("there is room for one");
    runtime.block_on(scribe.commit(changes)).expect("the disk has room");
    drop(scribe);
    // It says nothing, and drops its end when it has closed the file.
    runtime.block_on(failed).expect_err("nothing failed");
}
