//! The end that is called.
//!
//! Everybody in the network can knock, so a stranger gets little: a few seconds, a few kilobytes,
//! and a place among [`MOST_KNOCKING`]. When those are taken, callers wait in the kernel's queue
//! until somebody has proved who it is or has run out of time. Nobody's slowness holds up
//! anybody else.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    net::{TcpListener, TcpStream},
    sync::mpsc,
    task::{AbortHandle, JoinSet},
    time::{sleep, timeout},
};
use tokio_rustls::TlsAcceptor;

use super::{Join, Link, PATIENCE, Verdict};
use crate::identity::{Authority, Identity, Role, bearer};

/// Where links arrive. When it is dropped no more do; those that have arrived go on.
#[derive(Debug)]
pub struct Listener {
    local_addr: SocketAddr,
    arrived: mpsc::Receiver<(Peer, Link)>,
    listening: AbortHandle,
}

/// Who is at the other end, by its certificate.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Peer {
    pub name: String,
    pub role: Role,
    pub addr: SocketAddr,
}

/// How many may be proving who they are.
const MOST_KNOCKING: usize = 256;

impl Listener {
    /// Must be called within a tokio runtime, which then does the listening.
    pub async fn bind(
        addr: SocketAddr,
        identity: &Identity,
        authority: Arc<Authority>,
    ) -> io::Result<Self> {
        let config = identity.answering().map_err(io::Error::other)?;
        let socket = TcpListener::bind(addr).await?;
        let local_addr = socket.local_addr()?;
        let door = Arc::new(Door { acceptor: TlsAcceptor::from(Arc::new(config)), authority });
        let (admitted, arrived) = mpsc::channel(1);
        let listening = tokio::spawn(listen(socket, door, admitted)).abort_handle();
        Ok(Self { local_addr, arrived, listening })
    }

    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// The next peer that has proved who it is. Nothing is lost if this is cancelled.
    pub async fn accept(&mut self) -> (Peer, Link) {
        self.arrived.recv().await.expect("the listening ends with its listener")
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

async fn listen(socket: TcpListener, door: Arc<Door>, admitted: mpsc::Sender<(Peer, Link)>) {
    let mut knocking = JoinSet::new();
    loop {
        tokio::select! {
            Some(_) = knocking.join_next() => {}
            caller = socket.accept(), if knocking.len() < MOST_KNOCKING => match caller {
                Ok((stream, addr)) => {
                    let (door, admitted) = (Arc::clone(&door), admitted.clone());
                    knocking.spawn(async move { door.answer(stream, addr, admitted).await });
                }
                Err(error) => {
                    // Usually too many open files; some will be closed.
                    tracing::warn!(%error, "cannot accept a connection, trying again");
                    sleep(Duration::from_millis(200)).await;
                }
            },
        }
    }
}

struct Door {
    acceptor: TlsAcceptor,
    authority: Arc<Authority>,
}

impl Door {
    async fn answer(
        &self,
        stream: TcpStream,
        addr: SocketAddr,
        admitted: mpsc::Sender<(Peer, Link)>,
    ) {
        match timeout(PATIENCE, self.greet(stream, addr)).await {
            // If nobody listens any more, the link ends here.
            Ok(Ok(Some(arrival))) => drop(admitted.send(arrival).await),
            Ok(Ok(None)) => {}
            Ok(Err(error)) => tracing::debug!(%addr, %error, "somebody did not get in"),
            Err(_) => tracing::debug!(%addr, "somebody took too long to get in"),
        }
    }

    /// Whoever has a certificate, or `None` after having dealt with somebody who has not.
    async fn greet(&self, stream: TcpStream, addr: SocketAddr) -> io::Result<Option<(Peer, Link)>> {
        stream.set_nodelay(true)?;
        let tls = self.acceptor.accept(stream).await?;
        let shown = tls.get_ref().1.peer_certificates().and_then(<[_]>::first).map(bearer);
        let mut link = Link::with_stranger(tls.into());
        match shown {
            None => self.admit(link, addr).await.map(|()| None),
            Some(None) => Err(io::Error::other("a certificate of ours that names nobody")),
            Some(Some((role, name))) => {
                link.say(&Verdict::Welcome).await?;
                Ok(Some((Peer { name, role, addr }, link.trusted())))
            }
        }
    }

    async fn admit(&self, mut link: Link, addr: SocketAddr) -> io::Result<()> {
        let Join { name, secret, request } = link.hear().await?;
        let verdict = match self.authority.admit(&secret, &name, &request) {
            Ok(chain) => {
                tracing::info!(%addr, name, "a host has joined the cluster");
                Verdict::Granted(chain)
            }
            Err(refusal) => {
                tracing::warn!(%addr, name, %refusal, "a host may not join the cluster");
                Verdict::Refused(refusal.to_string())
            }
        };
        link.say(&verdict).await
    }
}
