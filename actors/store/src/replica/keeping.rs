//! A member's life: its threads, and its end.

use std::{
    sync::{Arc, Mutex, PoisonError, atomic::AtomicBool, mpsc},
    thread,
    time::Duration,
};

use openraft::{Config, SnapshotPolicy};
use tokio::{
    runtime::{Builder, Runtime},
    sync::oneshot,
    time::Instant,
};

use super::{
    Crowd, HEARTBEAT, Here, PATIENCE_LEAST, PATIENCE_MOST, Replica, Setting,
    ledger::{Ledger, Trouble},
    network::Network,
    records::{Proposed, Records},
    types::Raft,
};
use crate::{StoreError, scribe::Public};

/// After so many entries the log is cut, and so many are kept for those who are not far behind.
const ENTRIES_MOST: u64 = 5_000;
const ENTRIES_KEPT: u64 = 1_000;

/// How much is read of a log that somebody has to be told; see also how much is told at once.
const TOLD_AT_ONCE: u64 = 256;

/// How long those may take who are at work when it ends.
const END_WITHIN: Duration = Duration::from_secs(10);

pub(super) fn start(
    setting: Setting,
    failed: oneshot::Sender<StoreError>,
) -> Result<Replica, StoreError> {
    // Two threads, so that heartbeats go out while the other one is busy with a large entry.
    let mut runtime = Builder::new_multi_thread();
    runtime.worker_threads(2).thread_name("replica").enable_all();
    let runtime = runtime.build().map_err(redb::Error::Io)?;
    let (ready, is_ready) = mpsc::channel();
    let work = move || {
        let error = runtime.block_on(live(setting, &runtime, ready));
        // Whoever still writes has the store open.
        runtime.shutdown_timeout(END_WITHIN);
        if let Some(error) = error {
            tracing::error!(error = ?error, "the store stops");
            // If nobody wants to know, everybody has gone already.
            failed.send(error).ok();
        }
    };
    let thread = thread::Builder::new().name("replica-keeper".to_owned());
    thread.spawn(work).map_err(redb::Error::Io)?;
    is_ready.recv().unwrap_or(Err(StoreError::Panicked))
}

/// Until nobody needs it, or why it cannot go on.
async fn live(
    setting: Setting,
    runtime: &Runtime,
    ready: mpsc::Sender<Result<Replica, StoreError>>,
) -> Option<StoreError> {
    let trouble = Trouble::default();
    let (stop, stopped) = oneshot::channel();
    let raft = match begin(setting, runtime, &trouble, stop).await {
        Ok(replica) => {
            let raft = replica.here.raft.clone();
            ready.send(Ok(replica)).ok();
            raft
        }
        Err(error) => {
            ready.send(Err(error)).ok();
            return None;
        }
    };
    drop(ready);
    let broke = tokio::select! {
        _ = stopped => false,
        () = breaks(&raft) => true,
    };
    if let Err(error) = raft.shutdown().await {
        tracing::error!(%error, "a part of the replica panicked");
    }
    broke.then(|| trouble.take().unwrap_or(StoreError::Panicked))
}

async fn begin(
    setting: Setting,
    runtime: &Runtime,
    trouble: &Trouble,
    stop: oneshot::Sender<()>,
) -> Result<Replica, StoreError> {
    let Setting { store, folder, view, feed, empty, id, peers } = setting;
    let (public, proposed) = (Public { view, feed }, Proposed::default());
    let records = Records {
        store: store.clone(),
        public: public.clone(),
        empty,
        proposed: proposed.clone(),
        trouble: trouble.clone(),
    };
    let crowd = Arc::new(Crowd { folder, removed: AtomicBool::new(false) });
    let network = Network { peers, crowd: Arc::clone(&crowd) };
    let applied = store.applied()?.last.map_or(0, |it| it.index);
    let ledger = Ledger::new(store.clone(), trouble.clone());
    let raft = Raft::new(id, Arc::new(config()), network, ledger, records).await;
    let raft = raft.map_err(|error| {
        tracing::error!(%error, "the replica cannot start");
        trouble.take().unwrap_or(StoreError::Panicked)
    })?;
    // The library counts from here on when it decides to cut the log.
    if let Some(old) = applied.checked_sub(ENTRIES_KEPT) {
        raft.trigger().purge_log(old).await.ok();
    }
    let heard_at = Arc::new(Mutex::new(Instant::now()));
    runtime.spawn(listen(raft.clone(), Arc::clone(&heard_at)));
    let here = Here {
        id,
        raft,
        runtime: runtime.handle().clone(),
        store,
        proposed,
        public,
        number: Default::default(),
        seat: Default::default(),
        receiving: Default::default(),
        crowd,
        heard_at,
        _stop: stop,
    };
    Ok(Replica { here: Arc::new(here) })
}

fn config() -> Config {
    let millis = |it: Duration| u64::try_from(it.as_millis()).expect("it is a moment");
    Config {
        cluster_name: "airglow".to_owned(),
        heartbeat_interval: millis(HEARTBEAT),
        election_timeout_min: millis(PATIENCE_LEAST),
        election_timeout_max: millis(PATIENCE_MOST),
        max_payload_entries: TOLD_AT_ONCE,
        replication_lag_threshold: ENTRIES_MOST,
        snapshot_policy: SnapshotPolicy::LogsSinceLast(ENTRIES_MOST),
        max_in_snapshot_log_to_keep: ENTRIES_KEPT,
        ..Config::default()
    }
}

/// Notes when there was something to hear, so that old news are known to be old.
async fn listen(raft: Raft, heard_at: Arc<Mutex<Instant>>) {
    let mut metrics = raft.metrics();
    drop(raft);
    while metrics.changed().await.is_ok() {
        metrics.mark_unchanged();
        *heard_at.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }
}

/// Comes back when it has stopped by itself.
async fn breaks(raft: &Raft) {
    let mut metrics = raft.metrics();
    metrics.wait_for(|it| it.running_state.is_err()).await.ok();
}
