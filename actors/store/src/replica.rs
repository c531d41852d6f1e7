//! One of several schedulers that have the same records: what most of them have on disk is true.
//!
//! ```text
//!   entities ──commit──►  Scribe ──one entry of the log──► openraft ──► the other members' logs
//!   (where one leads)       ▲                                  │ most have it on disk
//!                           │                                  ▼
//!                           └──ack── ReadModel, Feed ◄── Records, in every member
//! ```
//! Raft itself is a library; here is where it keeps things ([`ledger`]), what an entry means
//! ([`records`]), and who speaks for whom. The scribe has the same face as where one scheduler is
//! alone, but only for a [`Reign`]: as soon as another may lead, everybody who still waits is told
//! that nothing is known, and nobody is heard any more. A batch names the commit that it builds on, so
//! what was decided in one reign cannot become true in another. One batch is on its way at a time,
//! and the next has whatever came in meanwhile: so there is as much to an entry as there has to be.

use std::{
    collections::BTreeMap,
    fmt,
    fs::File,
    os::unix::fs::FileExt,
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use airglow_model::view::View;
use base64::{Engine, prelude::BASE64_STANDARD};
use openraft::{ServerState, Snapshot};
use tokio::{
    runtime::Handle,
    sync::{oneshot, watch},
    task::spawn_blocking,
    time::{Instant, timeout},
};

mod keeping;
pub(crate) mod ledger;
mod members;
mod network;
pub(crate) mod picture;
mod records;
mod reign;
mod types;

pub use members::{Lag, Unchanged};
pub use network::{Asking, PeerLine, Peers};
pub use reign::{NotLeading, Reign};
pub use types::{Answer, Member, Question};

use crate::{Feed, ReadModel, Store, StoreError};
use picture::Picture;
use records::Proposed;
use types::{Asked, Metrics, Piece, Raft, Said};

/// How often a leader is heard at least.
const HEARTBEAT: Duration = Duration::from_millis(250);

/// Whoever has not heard a leader for [`LEASE`] and something between these two thinks that there
/// is none.
const PATIENCE_LEAST: Duration = Duration::from_millis(800);
const PATIENCE_MOST: Duration = Duration::from_millis(1600);

/// Whoever has heard a leader votes for nobody else for this long.
const LEASE: Duration = PATIENCE_MOST;

/// A leader that most have not answered for this long stops being one by itself. Nobody else can
/// be one yet: that takes a vote after the lease, of somebody who waited for longer.
const GRACE: Duration = LEASE.saturating_add(PATIENCE_LEAST).saturating_sub(HEARTBEAT);

/// What a member needs to be one.
pub struct Setting {
    pub store: Store,
    /// Where copies of all records are made, for as long as they travel.
    pub folder: PathBuf,
    pub view: ReadModel,
    pub feed: Feed,
    /// What a view is folded into, if it has to be made anew.
    pub empty: View,
    /// As [`Store::membership`] has it.
    pub id: u64,
    pub peers: Arc<dyn Peers>,
}

/// Clones are the same member. It stops being there with the last.
#[derive(Clone)]
pub struct Replica {
    here: Arc<Here>,
}

struct Here {
    id: u64,
    raft: Raft,
    runtime: Handle,
    store: Store,
    proposed: Proposed,
    public: crate::scribe::Public,
    number: AtomicU64,
    /// Taken for as long as a reign's scribe is at work: there is one at a time.
    seat: Arc<tokio::sync::Mutex<()>>,
    receiving: tokio::sync::Mutex<Option<Receiving>>,
    crowd: Arc<Crowd>,
    /// When it was last heard how things are.
    heard_at: Arc<Mutex<Instant>>,
    /// Dropped when all is to end.
    _stop: oneshot::Sender<()>,
}

/// What concerns a member's place among the others.
#[derive(Debug)]
pub(crate) struct Crowd {
    folder: PathBuf,
    removed: AtomicBool,
}

impl Crowd {
    fn is_removed(&self) {
        self.removed.store(true, Ordering::Relaxed);
    }
}

/// A copy of all records that is on its way here.
struct Receiving {
    snapshot_id: String,
    length: u64,
    file: Arc<File>,
}

/// Who leads, as far as this member knows.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Standing {
    /// This one, and most of the others have said so lately.
    pub leads: bool,
    pub leader: Option<(u64, Member)>,
    /// Of Raft.
    pub term: u64,
    pub place: Place,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Place {
    /// The others do not know it yet.
    Outside,
    Member,
    /// It was a member and is not any more.
    Removed,
}

impl fmt::Debug for Replica {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replica").field("id", &self.here.id).finish_non_exhaustive()
    }
}

impl Replica {
    /// `failed` hears why, if it has to stop before its last handle is dropped: then it answers
    /// nobody any more, so that another can lead. When it is dropped without a word, all has ended
    /// and the store is let go of. Blocks until it is there.
    pub fn start(
        setting: Setting,
        failed: oneshot::Sender<StoreError>,
    ) -> Result<Self, StoreError> {
        keeping::start(setting, failed)
    }

    pub fn id(&self) -> u64 {
        self.here.id
    }

    pub fn standing(&self) -> Standing {
        self.standing_by(&self.metrics().borrow())
    }

    /// Waits until that may be another than before, but not for long.
    pub async fn news(&self) {
        const NOT_FOR_LONG: Duration = Duration::from_millis(100);
        let mut metrics = self.metrics();
        // Else whatever happened since the member was started would be news for ever.
        metrics.mark_unchanged();
        // It takes a runtime's clock, so the caller's.
        timeout(NOT_FOR_LONG, metrics.changed()).await.ok();
    }

    /// What another member asks; to be called within a tokio runtime.
    pub async fn answer(&self, question: Question) -> Answer {
        let raft = &self.here.raft;
        let said = match question.0 {
            Asked::Append(request) => raft.append_entries(request).await.map(Said::Append),
            Asked::Vote(request) if self.has_missed_its_end(&request) => Ok(Said::Removed),
            Asked::Vote(request) => raft.vote(request).await.map(Said::Vote),
            Asked::Piece(piece) => return Answer(self.receive(*piece).await),
        };
        Answer(said.unwrap_or_else(|error| Said::Failed(error.to_string())))
    }

    fn metrics(&self) -> watch::Receiver<Metrics> {
        self.here.raft.metrics()
    }

    fn standing_by(&self, metrics: &Metrics) -> Standing {
        let id = self.here.id;
        let membership = metrics.membership_config.membership();
        let leader =
            metrics.current_leader.and_then(|it| Some((it, membership.get_node(&it)?.clone())));
        let is_in = membership.get_node(&id).is_some();
        let is_settled =
            metrics.membership_config.log_id().as_ref() <= metrics.last_applied.as_ref();
        // One that is being removed leads until most of the others know.
        let leads = (is_in || !is_settled)
            && metrics.state == ServerState::Leader
            && metrics.current_leader == Some(id)
            && metrics.running_state.is_ok()
            && self.is_acknowledged(metrics);
        let place = match (is_in, metrics.last_applied) {
            _ if self.here.crowd.removed.load(Ordering::Relaxed) => Place::Removed,
            (true, _) => Place::Member,
            (false, Some(_)) if is_settled && self.has_belonged() => Place::Removed,
            // A copy of the records may be from before it was let in.
            (false, _) => Place::Outside,
        };
        Standing { leads, leader, term: metrics.current_term, place }
    }

    /// Whether it knows itself as one of the members, or as one that was.
    pub fn has_belonged(&self) -> bool {
        // A store that cannot be read has said so already.
        self.here.store.has_belonged().unwrap_or(false)
    }

    /// Whether most of the others have heard it lately enough.
    fn is_acknowledged(&self, metrics: &Metrics) -> bool {
        let heard_at = *self.here.heard_at.lock().unwrap_or_else(PoisonError::into_inner);
        let since = metrics.millis_since_quorum_ack.map(Duration::from_millis);
        since.is_some_and(|it| it + heard_at.elapsed() < GRACE)
    }

    /// Whoever wants a vote, was removed, and has not heard of it: its log ends before that.
    fn has_missed_its_end(&self, request: &openraft::raft::VoteRequest<u64>) -> bool {
        let metrics = self.metrics();
        let metrics = metrics.borrow();
        let membership = &metrics.membership_config;
        let Some(candidate) = request.vote.leader_id().voted_for() else { return false };
        let is_settled = membership.log_id().as_ref() <= metrics.last_applied.as_ref();
        membership.log_id().is_some()
            && is_settled
            && membership.membership().get_node(&candidate).is_none()
            && request.last_log_id.as_ref() < membership.log_id().as_ref()
    }

    async fn receive(&self, piece: Piece) -> Said {
        match self.take_piece(piece).await {
            Ok(said) => said,
            Err(why) => Said::Failed(why),
        }
    }

    async fn take_piece(&self, piece: Piece) -> Result<Said, String> {
        let mut receiving = self.here.receiving.lock().await;
        let own = self.metrics().borrow().vote;
        if piece.vote < own {
            return Ok(Said::Piece(own));
        }
        let data = BASE64_STANDARD.decode(&piece.data).map_err(|it| it.to_string())?;
        if piece.offset == 0 {
            let folder = self.here.crowd.folder.clone();
            let file = run(move || tempfile::tempfile_in(folder)).await?;
            let snapshot_id = piece.meta.snapshot_id.clone();
            *receiving = Some(Receiving { snapshot_id, length: 0, file: Arc::new(file) });
        }
        let Some(so_far) = receiving.as_mut() else { return Err("it begins in the middle".into()) };
        if (&so_far.snapshot_id, so_far.length) != (&piece.meta.snapshot_id, piece.offset) {
            return Err("there is a piece missing".into());
        }
        so_far.length += data.len() as u64;
        let (file, offset) = (Arc::clone(&so_far.file), piece.offset);
        run(move || file.write_all_at(&data, offset)).await?;
        if !piece.is_last {
            return Ok(Said::Piece(own));
        }
        let file = receiving.take().map(|it| it.file).ok_or("it has gone")?;
        let picture = run(move || file.try_clone().map(Picture::received)).await?;
        let picture = picture.map_err(|error| error.to_string())?;
        let snapshot = Snapshot { meta: piece.meta, snapshot: Box::new(picture) };
        let installed = self.here.raft.install_full_snapshot(piece.vote, snapshot).await;
        installed.map(|it| Said::Piece(it.vote)).map_err(|error| error.to_string())
    }
}

/// What blocks, elsewhere.
async fn run<T: Send + 'static>(
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> Result<T, String> {
    match spawn_blocking(work).await {
        Ok(done) => done.map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    }
}

/// How far a leader knows each of the others to be.
type Progress = BTreeMap<u64, Option<openraft::LogId<u64>>>;

#[cfg(test)]
mod tests;
