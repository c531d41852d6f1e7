//! The protocol's questions to other members, put to whoever carries them.

use std::{fs::File, future::Future, pin::Pin, sync::Arc, time::Duration};

use base64::{Engine, prelude::BASE64_STANDARD};
use openraft::{
    Snapshot, Vote,
    error::{
        Fatal, NetworkError, RPCError, RaftError, ReplicationClosed, StreamingError, Unreachable,
    },
    network::{Backoff, RPCOption, RaftNetwork, RaftNetworkFactory},
    raft::{
        AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, VoteRequest, VoteResponse,
    },
};
use tokio::{task::spawn_blocking, time::timeout};

use super::{
    Crowd,
    picture::read_piece,
    types::{Answer, Asked, Member, Piece, Question, Said, Types},
};

/// How members reach each other.
pub trait Peers: Send + Sync + 'static {
    /// For questions to this one, one after the other.
    fn line(&self, to: &Member) -> Box<dyn PeerLine>;
}

/// Whoever asks may lose patience and ask something else; the answer to what was asked before is of
/// no interest then.
pub trait PeerLine: Send + Sync {
    fn ask(&mut self, question: Question) -> Asking<'_>;
}

/// The answer, or why there is none.
pub type Asking<'a> = Pin<Box<dyn Future<Output = Result<Answer, String>> + Send + 'a>>;

/// How much of a picture travels at once.
const PIECE: usize = 1 << 20;

/// How long a piece may take. The last one is answered when everything has been written.
const PATIENCE: Duration = Duration::from_secs(10);
const PATIENCE_AT_LAST: Duration = Duration::from_secs(600);

/// How soon somebody is tried again who could not be reached.
const AGAIN_AFTER: Duration = Duration::from_millis(200);

pub(crate) struct Network {
    pub(crate) peers: Arc<dyn Peers>,
    pub(crate) crowd: Arc<Crowd>,
}

pub(crate) struct Wire {
    line: Box<dyn PeerLine>,
    crowd: Arc<Crowd>,
}

type Unheard = RPCError<u64, Member, RaftError<u64>>;

impl RaftNetworkFactory<Types> for Network {
    type Network = Wire;

    async fn new_client(&mut self, _: u64, member: &Member) -> Wire {
        Wire { line: self.peers.line(member), crowd: Arc::clone(&self.crowd) }
    }
}

impl Wire {
    async fn ask(&mut self, asked: Asked) -> Result<Said, Unreachable> {
        let answer = self.line.ask(Question(asked)).await;
        match answer.map_err(|why| unreachable(&why))?.0 {
            Said::Failed(why) => Err(unreachable(&why)),
            Said::Removed => {
                self.crowd.is_removed();
                Err(unreachable("this scheduler has been removed from the cluster"))
            }
            said @ (Said::Append(_) | Said::Vote(_) | Said::Piece(_)) => Ok(said),
        }
    }

    async fn send_all(
        &mut self,
        vote: Vote<u64>,
        snapshot: Snapshot<Types>,
    ) -> Result<SnapshotResponse<u64>, StreamingError<Types, Fatal<u64>>> {
        let Snapshot { meta, snapshot: picture } = snapshot;
        let folder = self.crowd.folder.clone();
        let file = spawn_blocking(move || picture.develop(&folder).and_then(rewound)).await;
        let file = file.unwrap_or(Err(crate::StoreError::Panicked));
        let file = Arc::new(file.map_err(|error| broken(&error))?);
        let mut offset = 0;
        loop {
            let source = Arc::clone(&file);
            let piece = spawn_blocking(move || read_piece(&source, PIECE)).await;
            let piece = piece.map_err(|error| broken(&error))?.map_err(|error| broken(&error))?;
            let is_last = piece.len() < PIECE;
            let data = BASE64_STANDARD.encode(&piece);
            let question = Piece { vote, meta: meta.clone(), offset, data, is_last };
            let patience = if is_last { PATIENCE_AT_LAST } else { PATIENCE };
            let said = timeout(patience, self.ask(Asked::Piece(Box::new(question)))).await;
            let said = said.map_err(|_| unreachable("a piece of a copy was not answered"))??;
            let Said::Piece(newest) = said else { return Err(beside_the_point().into()) };
            if is_last || vote < newest {
                return Ok(SnapshotResponse::new(newest));
            }
            offset += piece.len() as u64;
        }
    }
}

impl RaftNetwork<Types> for Wire {
    async fn append_entries(
        &mut self,
        request: AppendEntriesRequest<Types>,
        _: RPCOption,
    ) -> Result<AppendEntriesResponse<u64>, Unheard> {
        match self.ask(Asked::Append(request)).await? {
            Said::Append(response) => Ok(response),
            Said::Vote(_) | Said::Piece(_) | Said::Removed | Said::Failed(_) => {
                Err(beside_the_point().into())
            }
        }
    }

    async fn vote(
        &mut self,
        request: VoteRequest<u64>,
        _: RPCOption,
    ) -> Result<VoteResponse<u64>, Unheard> {
        match self.ask(Asked::Vote(request)).await? {
            Said::Vote(response) => Ok(response),
            Said::Append(_) | Said::Piece(_) | Said::Removed | Said::Failed(_) => {
                Err(beside_the_point().into())
            }
        }
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote<u64>,
        snapshot: Snapshot<Types>,
        cancel: impl Future<Output = ReplicationClosed> + Send + 'static,
        _: RPCOption,
    ) -> Result<SnapshotResponse<u64>, StreamingError<Types, Fatal<u64>>> {
        tokio::select! {
            closed = cancel => Err(closed.into()),
            sent = self.send_all(vote, snapshot) => sent,
        }
    }

    fn backoff(&self) -> Backoff {
        Backoff::new(std::iter::repeat(AGAIN_AFTER))
    }
}

fn rewound(mut file: File) -> Result<File, crate::StoreError> {
    use std::io::Seek;
    file.rewind().map_err(redb::Error::Io)?;
    Ok(file)
}

fn unreachable(why: &str) -> Unreachable {
    Unreachable::new(&std::io::Error::other(why.to_owned()))
}

fn beside_the_point() -> Unreachable {
    unreachable("it answers something else")
}

/// Not the network is, but whoever is to be tried again is tried again.
fn broken(error: &(impl std::error::Error + 'static)) -> NetworkError {
    NetworkError::new(error)
}
