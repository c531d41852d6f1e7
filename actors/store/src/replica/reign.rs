//! The time in which this member leads.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use airglow_model::{record::Change, webhook::Hook};
use tokio::{
    sync::Notify,
    time::{Instant, timeout},
};

use super::{
    Here, Replica,
    types::{Batch, Outcome},
};
use crate::{
    Scribe, Written,
    scribe::{Counter, Request},
    store::write,
};

/// How long an entry may wait to be true before nobody believes in it.
const PATIENCE: Duration = Duration::from_secs(10);

/// How much an entry has if it is not a single commit, in bytes of JSON.
const ENTRY: usize = 1 << 20;

/// What a commit cannot be longer than: nothing could carry it to the others.
const COMMIT_MOST: usize = 10 << 20;

/// This member does not lead, or not any more.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("this scheduler does not lead")]
pub struct NotLeading;

/// While it lasts, the scribe that came with it is heard. It ends when it is dropped, too.
pub struct Reign {
    replica: Replica,
    term: u64,
    over: Arc<Over>,
}

#[derive(Default)]
struct Over {
    is_over: AtomicBool,
    told: Notify,
}

impl Over {
    fn tell(&self) {
        self.is_over.store(true, Ordering::SeqCst);
        self.told.notify_waiters();
    }

    fn is_told(&self) -> bool {
        self.is_over.load(Ordering::SeqCst)
    }

    async fn wait(&self) {
        let told = self.told.notified();
        if !self.is_told() {
            told.await;
        }
    }
}

impl Replica {
    /// Begins to lead, if this is the member to do so: everything that was ever acknowledged is in
    /// the view when this answers. To be called within a tokio runtime.
    pub async fn lead(
        &self,
        hooks: Vec<Hook>,
        tell_of: impl Fn(Written) + Send + 'static,
    ) -> Result<(Scribe, Reign), NotLeading> {
        let standing = self.standing();
        if !standing.leads {
            return Err(NotLeading);
        }
        let over = Arc::new(Over::default());
        // The scribe of the last reign may be about to find out that it is over.
        let seat = Arc::clone(&self.here.seat).lock_owned().await;
        // Nothing: it is there to come after everything that came before.
        let turn = self.here.batch(None, "[]");
        let Ok(Ok(Outcome::Done(seq))) = timeout(PATIENCE, self.here.propose(turn)).await else {
            return Err(NotLeading);
        };
        if !self.standing().leads || self.standing().term != standing.term {
            return Err(NotLeading);
        }
        let (replica, term) = (self.clone(), standing.term);
        let throne = Throne { replica, term, over: Arc::clone(&over) };
        let work = move |counter| {
            // It is over whatever ends it, a panic too.
            let _over = TellsAtItsEnd(Arc::clone(&throne.over));
            throne.work(seq, &counter);
            drop(seat);
        };
        let replica = self.clone();
        self.here.runtime.spawn(async move {
            if let Err(why) = replica.finish_change().await {
                tracing::info!(%why, "the members are still being changed");
            }
        });
        let scribe = Scribe::on_a_thread(hooks, tell_of, work);
        Ok((scribe, Reign { replica: self.clone(), term: standing.term, over }))
    }
}

impl Reign {
    /// Waits until this member does not lead any more. To be called within a tokio runtime.
    pub async fn ended(&self) {
        ended(&self.replica, self.term, &self.over).await;
    }
}

/// Everybody who takes part in a reign looks by himself whether it is over.
async fn ended(replica: &Replica, term: u64, over: &Over) {
    loop {
        let standing = replica.standing();
        if over.is_told() || !standing.leads || standing.term != term {
            over.tell();
            return;
        }
        tokio::select! {
            () = over.wait() => {}
            () = replica.news() => {}
        }
    }
}

struct TellsAtItsEnd(Arc<Over>);

impl Drop for TellsAtItsEnd {
    fn drop(&mut self) {
        self.0.tell();
    }
}

impl Drop for Reign {
    fn drop(&mut self) {
        self.over.tell();
    }
}

/// Where requests are heard during a reign, on a thread.
struct Throne {
    replica: Replica,
    term: u64,
    over: Arc<Over>,
}

impl Throne {
    fn work<T: Fn(Written)>(&self, mut seq: u64, counter: &Counter<T>) {
        while let Some(batch) = counter.next(seq, &self.replica.here.public.view) {
            let (served, began) = (batch.len(), Instant::now());
            let commits = batch.iter().filter_map(Request::changes).count();
            let Ok(newest) = self.serve(seq, batch) else { return };
            seq = newest;
            counter.written(commits, began);
            counter.served(served);
        }
    }

    /// Those whose commits are not true by the end of this are told that nothing is known, by
    /// whoever dropped them.
    fn serve(&self, mut seq: u64, batch: Vec<Request>) -> Result<u64, NotLeading> {
        for Piece { requests, commits } in pieces(batch) {
            if self.over.is_told() {
                return Err(NotLeading);
            }
            seq = match commits {
                None => {
                    requests.into_iter().fold(seq, |seq, it| self.replica.here.public.tell(seq, it))
                }
                Some(commits) => self.propose(seq, requests, &commits)?,
            };
        }
        Ok(seq)
    }

    fn propose(&self, seq: u64, requests: Vec<Request>, commits: &str) -> Result<u64, NotLeading> {
        let here = &self.replica.here;
        let batch = here.batch(Some(seq), commits);
        here.proposed.put(&batch, requests);
        let outcome = here.runtime.block_on(async {
            tokio::select! {
                biased;
                outcome = here.propose(batch) => outcome,
                () = ended(&self.replica, self.term, &self.over) => Err(NotLeading),
            }
        });
        here.proposed.take_back();
        match outcome? {
            Outcome::Done(newest) => Ok(newest),
            Outcome::Overtaken => Err(NotLeading),
        }
    }
}

impl Here {
    fn batch(&self, after: Option<u64>, commits: &str) -> Batch {
        let number = self.number.fetch_add(1, Ordering::Relaxed);
        Batch { by: self.id, number, after, commits: commits.into() }
    }

    async fn propose(&self, batch: Batch) -> Result<Outcome, NotLeading> {
        match self.raft.client_write(batch).await {
            Ok(response) => Ok(response.data),
            Err(error) => {
                tracing::debug!(%error, "not committed");
                Err(NotLeading)
            }
        }
    }
}

/// What goes into one entry, in order.
struct Piece {
    requests: Vec<Request>,
    /// The changes of all commits, as JSON; nothing if there are none.
    commits: Option<String>,
}

/// No longer than an entry should be.
fn pieces(batch: Vec<Request>) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let (mut requests, mut commits) = (Vec::new(), String::new());
    let finish = |requests: &mut Vec<Request>, commits: &mut String| {
        let commits = std::mem::take(commits);
        let commits = (!commits.is_empty()).then(|| format!("[{commits}]"));
        Piece { requests: std::mem::take(requests), commits }
    };
    for request in batch {
        if let Some(changes) = request.changes() {
            let text = text_of(changes);
            if COMMIT_MOST < text.len() {
                tracing::error!(
                    bytes = text.len(),
                    "a commit is too long for the other schedulers"
                );
                continue;
            }
            if !commits.is_empty() && ENTRY < commits.len() + text.len() {
                pieces.push(finish(&mut requests, &mut commits));
            }
            if !commits.is_empty() {
                commits.push(',');
            }
            commits.push_str(&text);
        }
        requests.push(request);
    }
    pieces.push(finish(&mut requests, &mut commits));
    pieces
}

fn text_of(changes: &[Change]) -> String {
    String::from_utf8(write(&changes)).expect("JSON is text")
}
