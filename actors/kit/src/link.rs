//! One connection of the mesh: JSON in frames, over mutual TLS.
//!
//! A link carries messages in order until it ends, and it ends whenever anything is wrong: the
//! other end is silent for too long, does not keep up, or says something that cannot be read.
//! Nothing is repaired here; whoever uses it makes a new link and sends again what matters (see
//! [`crate::outbox`]). So there is one way out of every trouble, and it is exercised by every
//! restart.
//!
//! Who dials proves who it is before it is heard. Whoever cannot may do one thing, which the
//! [`Listener`] deals with by itself: show a join token and ask for a certificate.

mod dial;
mod listener;
mod refusals;

use std::{io, marker::PhantomData, net::SocketAddr, pin::Pin, sync::Arc, time::Duration};

use airglow_model::{ids::MachineId, joining::Refusal};
use futures_util::{
    SinkExt, StreamExt,
    stream::{SplitSink, SplitStream},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio::{
    net::TcpStream,
    sync::{Notify, Semaphore, mpsc},
    task::AbortHandle,
    time::{Instant, Sleep, sleep, timeout},
};
use tokio_rustls::TlsStream;
use tokio_util::{
    bytes::Bytes,
    codec::{Framed, LengthDelimitedCodec},
};

pub use dial::{Joined, dial, join};
pub use listener::{Doorkeeper, Listener, Peer, Stranger};
pub use refusals::Reason;

use crate::identity::IdentityError;

/// A link on which nothing has been heard for this long has ended.
pub const SILENCE: Duration = Duration::from_secs(15);

/// So whoever uses a link says something at least this often.
pub const HEARTBEAT: Duration = Duration::from_secs(5);

/// The longest message, in bytes of JSON.
pub const LONGEST: usize = 16 << 20;

/// The longest message of somebody unknown: a name, a secret and a request for a certificate.
const LONGEST_OF_STRANGERS: usize = 16 << 10;

/// How many bytes may wait to be sent before the other end counts as not keeping up.
const MOST_WAITING: usize = 64 << 20;

/// Whoever has much to say goes on when this many bytes could be added, and leaves the rest to
/// those who cannot wait.
const ROOM: usize = MOST_WAITING / 2;

/// How long connecting, proving who one is, and joining may take, each.
const PATIENCE: Duration = Duration::from_secs(5);

type Frames = Framed<TlsStream<TcpStream>, LengthDelimitedCodec>;

/// A connection to somebody who has proved who it is.
#[derive(Debug)]
pub struct Link {
    frames: Frames,
}

/// Clones are the same end. When the last is dropped, what was queued is sent and the link closed.
#[derive(Debug)]
pub struct Sender<Tx> {
    queue: mpsc::UnboundedSender<Bytes>,
    room: Arc<Room>,
    says: PhantomData<fn(&Tx)>,
}

/// For what waits to be sent.
#[derive(Debug)]
struct Room {
    bytes: Semaphore,
    grew: Notify,
}

/// When it is dropped the link ends, whatever is still queued.
#[derive(Debug)]
pub struct Receiver<Rx> {
    frames: SplitStream<Frames>,
    silence: Pin<Box<Sleep>>,
    writer: AbortHandle,
    hears: PhantomData<fn() -> Rx>,
}

/// This was not sent. Unless it was too long, the link is of no more use: make a new one.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Unsent {
    #[error("the link has ended")]
    Ended,
    #[error("the other end does not keep up")]
    Behind,
    #[error("a message of {0} bytes is too long for any link")]
    TooLong(usize),
}

/// Why there is no link, or no more.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    #[error("cannot connect to {addr}")]
    Connect {
        addr: SocketAddr,
        #[source]
        source: io::Error,
    },
    #[error("{addr} does not answer")]
    Slow { addr: SocketAddr },
    #[error("the scheduler at {addr} belongs to another cluster")]
    OtherCluster {
        addr: SocketAddr,
        #[source]
        source: io::Error,
    },
    #[error("no secure connection to {addr}")]
    Insecure {
        addr: SocketAddr,
        #[source]
        source: io::Error,
    },
    #[error("the scheduler at {addr} refuses: {why}")]
    Refused { addr: SocketAddr, why: String },
    #[error(
        "the scheduler at {addr} does not accept this certificate: if the cluster was made anew, \
         join it again"
    )]
    Unwelcome {
        addr: SocketAddr,
        #[source]
        source: Option<io::Error>,
    },
    #[error(
        "the certificate of this machine has expired: start its agent once more with a token \
         (`airglow admin token show` prints one)"
    )]
    Expired { addr: SocketAddr },
    #[error(
        "the certificate of the scheduler at {addr} has expired, if this machine's clock is right"
    )]
    Overdue { addr: SocketAddr },
    #[error("the scheduler at {addr} refuses: {why}")]
    Removed { addr: SocketAddr, why: String },
    #[error("the link broke")]
    Broken(#[source] io::Error),
    #[error("nothing was heard for {} s", SILENCE.as_secs())]
    Silent,
    #[error("something was heard that is no message")]
    Garbled(#[source] serde_json::Error),
    #[error("no use of one's own certificate")]
    Identity(#[from] IdentityError),
}

/// The only words of somebody without a certificate.
#[derive(Serialize, Deserialize)]
struct Join {
    name: String,
    /// Agents that are older than this do not say it.
    #[serde(default)]
    machine: Option<MachineId>,
    secret: String,
    request: String,
}

/// The scheduler's first words.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Verdict {
    /// To somebody with a certificate. In TLS 1.3 whoever dials would not know otherwise.
    Welcome,
    /// To somebody who joins: the certificate, and the authority's.
    Granted(String),
    /// To a scheduler that joins: that, and the authority itself.
    Trusted {
        chain: String,
        authority: String,
    },
    Refused(String),
    /// To somebody who may not come back.
    Removed(String),
}

impl Verdict {
    fn of(refusal: &Refusal) -> Self {
        match refusal {
            Refusal::Removed { .. } => Self::Removed(refusal.to_string()),
            Refusal::WrongToken
            | Refusal::ReplacedToken
            | Refusal::ExpiredToken
            | Refusal::BadName
            | Refusal::NameTaken(_)
            | Refusal::NotYet => Self::Refused(refusal.to_string()),
        }
    }
}

impl Link {
    fn with_stranger(stream: TlsStream<TcpStream>) -> Self {
        let codec =
            LengthDelimitedCodec::builder().max_frame_length(LONGEST_OF_STRANGERS).new_codec();
        Self { frames: Framed::new(stream, codec) }
    }

    fn trusted(mut self) -> Self {
        self.frames.codec_mut().set_max_frame_length(LONGEST);
        self
    }

    async fn say(&mut self, message: &impl Serialize) -> io::Result<()> {
        let frame = serde_json::to_vec(message).map_err(io::Error::other)?;
        self.frames.send(Bytes::from(frame)).await
    }

    async fn hear<T: DeserializeOwned>(&mut self) -> io::Result<T> {
        let frame = self.frames.next().await.ok_or(io::ErrorKind::UnexpectedEof)??;
        serde_json::from_slice(&frame).map_err(io::Error::other)
    }

    /// Must be called within a tokio runtime, which then does the sending.
    pub fn split<Tx, Rx>(self) -> (Sender<Tx>, Receiver<Rx>)
    where
        Tx: Serialize,
        Rx: DeserializeOwned,
    {
        let (sink, frames) = self.frames.split();
        let (queue, queued) = mpsc::unbounded_channel();
        let room = Arc::new(Room { bytes: Semaphore::new(MOST_WAITING), grew: Notify::new() });
        let writer = tokio::spawn(write(sink, queued, Arc::clone(&room))).abort_handle();
        let silence = Box::pin(sleep(SILENCE));
        (
            Sender { queue, room, says: PhantomData },
            Receiver { frames, silence, writer, hears: PhantomData },
        )
    }
}

/// Sends what is queued, many frames at a time, until nobody can queue any more.
async fn write(
    mut sink: SplitSink<Frames, Bytes>,
    mut queued: mpsc::UnboundedReceiver<Bytes>,
    room: Arc<Room>,
) {
    const AT_ONCE: usize = 64;
    let mut batch = Vec::with_capacity(AT_ONCE);
    while 0 < queued.recv_many(&mut batch, AT_ONCE).await {
        let bytes = batch.iter().map(Bytes::len).sum();
        let send = async {
            for frame in batch.drain(..) {
                sink.feed(frame).await?;
            }
            sink.flush().await
        };
        // Whoever takes nothing for as long as that is as good as gone; our receiver will tell.
        let Ok(Ok(())) = timeout(SILENCE, send).await else { return };
        room.bytes.add_permits(bytes);
        room.grew.notify_waiters();
    }
    // If that fails or takes long, the other end finds out by itself.
    timeout(PATIENCE, sink.close()).await.ok();
}

impl<Tx: Serialize> Sender<Tx> {
    /// Queues it; waits for nothing.
    pub fn send(&self, message: &Tx) -> Result<(), Unsent> {
        let frame = serde_json::to_vec(message).expect("every message can be written as JSON");
        let length = frame.len();
        if LONGEST < length {
            return Err(Unsent::TooLong(length));
        }
        let bytes = u32::try_from(length).expect("the longest frame is shorter");
        let room = self.room.bytes.try_acquire_many(bytes).map_err(|_| Unsent::Behind)?;
        self.queue.send(frame.into()).map_err(|_| Unsent::Ended)?;
        // The writer gives it back.
        room.forget();
        Ok(())
    }
}

impl<Tx> Sender<Tx> {
    /// Whether whoever has much to say may go on.
    pub fn has_room(&self) -> bool {
        ROOM <= self.room.bytes.available_permits()
    }

    /// Waits until it [has room](Self::has_room); for ever, if the link ends before.
    pub async fn room(&self) {
        loop {
            let grew = self.room.grew.notified();
            if self.has_room() {
                return;
            }
            grew.await;
        }
    }
}

impl<Tx> Clone for Sender<Tx> {
    fn clone(&self) -> Self {
        Self { queue: self.queue.clone(), room: Arc::clone(&self.room), says: PhantomData }
    }
}

impl<Rx: DeserializeOwned> Receiver<Rx> {
    /// The next message; `None` if the other end has closed the link. Nothing is lost if this is
    /// cancelled.
    pub async fn next(&mut self) -> Result<Option<Rx>, LinkError> {
        tokio::select! {
            biased;
            frame = self.frames.next() => match frame {
                None => Ok(None),
                Some(Err(error)) => Err(LinkError::Broken(error)),
                Some(Ok(frame)) => {
                    self.silence.as_mut().reset(Instant::now() + SILENCE);
                    serde_json::from_slice(&frame).map(Some).map_err(LinkError::Garbled)
                }
            },
            () = &mut self.silence => Err(LinkError::Silent),
        }
    }
}

/// Says one last thing, and waits until the other end has hung up, though not for long: a link that
/// is just dropped loses what is queued.
pub async fn part<Tx: Serialize, Rx: DeserializeOwned>(
    says: Sender<Tx>,
    mut hears: Receiver<Rx>,
    last: &Tx,
) {
    if says.send(last).is_err() {
        return;
    }
    drop(says);
    let heard = async { while let Ok(Some(_)) = hears.next().await {} };
    timeout(PATIENCE, heard).await.ok();
}

impl<Rx> Drop for Receiver<Rx> {
    fn drop(&mut self) {
        self.writer.abort();
    }
}

#[cfg(test)]
mod tests;
