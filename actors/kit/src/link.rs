//! One connection of the mesh: framed JSON over mutual TLS.

use std::{io, marker::PhantomData, net::SocketAddr, sync::Arc, time::Duration};

use serde::{Serialize, de::DeserializeOwned};

use crate::identity::{Authority, Identity, IdentityError, JoinToken, Role};

/// A link on which nothing was heard for this long has ended. Whoever uses it says something
/// (`Ping`, `Pong`) at least every [`HEARTBEAT`].
pub const SILENCE: Duration = Duration::from_secs(15);
pub const HEARTBEAT: Duration = Duration::from_secs(5);

/// Where links arrive.
pub struct Listener {}

/// Who is at the other end, by its certificate.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Peer {
    pub name: String,
    pub role: Role,
    pub addr: SocketAddr,
}

pub struct Link {}

#[derive(Debug)]
pub struct Sender<Tx>(PhantomData<fn(Tx)>);

#[derive(Debug)]
pub struct Receiver<Rx>(PhantomData<fn() -> Rx>);

/// What was to be sent was not, and the link is of no more use: it has ended, or the other end does not
/// keep up with it. Drop it and make a new one.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the link has ended")]
pub struct Ended;

#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    #[error("cannot connect to {addr}")]
    Connect { addr: SocketAddr, #[source] source: io::Error },
    #[error("cannot join: {why}")]
    Refused { why: String },
    #[error("the link broke")]
    Broken(#[source] io::Error),
    #[error(transparent)]
    Identity(#[from] IdentityError),
}

impl Listener {
    pub async fn bind(
        addr: SocketAddr,
        identity: &Identity,
        authority: Arc<Authority>,
    ) -> io::Result<Self> {
        let _ = (addr, identity, authority);
        unimplemented!()
    }

    pub fn local_addr(&self) -> SocketAddr {
        unimplemented!()
    }

    /// The next peer that has proved who it is. Hosts that want to join are dealt with on the way.
    pub async fn accept(&mut self) -> (Peer, Link) {
        unimplemented!()
    }
}

/// A link to the scheduler at `addr`, which has accepted it.
pub async fn dial(addr: SocketAddr, identity: &Identity) -> Result<Link, LinkError> {
    let _ = (addr, identity);
    unimplemented!()
}

/// Makes a key, and has the scheduler at `addr` certify that it is agent `name`'s.
pub async fn join(addr: SocketAddr, token: &JoinToken, name: &str) -> Result<Identity, LinkError> {
    let _ = (addr, token, name);
    unimplemented!()
}

impl Link {
    /// Within a tokio runtime. The link ends when either half is dropped.
    pub fn split<Tx, Rx>(self) -> (Sender<Tx>, Receiver<Rx>)
    where
        Tx: Serialize + Send + 'static,
        Rx: DeserializeOwned,
    {
        unimplemented!()
    }
}

impl<Tx> Clone for Sender<Tx> {
    fn clone(&self) -> Self {
        Self(PhantomData)
    }
}

impl<Tx: Send + 'static> Sender<Tx> {
    /// Queues it; waits for nothing.
    pub fn send(&self, message: Tx) -> Result<(), Ended> {
        let _ = message;
        unimplemented!()
    }
}

impl<Rx: DeserializeOwned> Receiver<Rx> {
    /// The next message; `None` when the other end has closed the link. May be cancelled.
    pub async fn next(&mut self) -> Result<Option<Rx>, LinkError> {
        unimplemented!()
    }
}
