//! Where links arrive, on a thread of its own.
//!
//! Other schedulers are answered right here, since they think that whoever is silent for a second is
//! gone, and a scheduler that begins or ceases to lead is busy for longer. Hosts go on to whoever
//! leads.

use std::{
    io,
    net::SocketAddr,
    sync::Arc,
    thread::{self, JoinHandle},
};

use airglow_kit::{
    identity::Role,
    link::{Link, Listener, Peer},
};
use tokio::{
    runtime::{Builder, Handle},
    sync::{mpsc, oneshot},
};

use super::House;

/// It is closed when it is dropped, and with it every link that came through it.
pub(crate) struct Gate {
    local_addr: SocketAddr,
    arrived: mpsc::Receiver<(Peer, Link)>,
    runtime: Handle,
    open: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Gate {
    /// Comes back when others can connect; with what they find here.
    pub(crate) fn open(
        listen: impl Future<Output = io::Result<Listener>> + Send + 'static,
        house: impl FnOnce(SocketAddr) -> Arc<House> + Send + 'static,
    ) -> io::Result<(Self, Arc<House>)> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (ready, is_ready) = std::sync::mpsc::channel();
        let (open, closed) = oneshot::channel::<()>();
        let (admitted, arrived) = mpsc::channel(16);
        let work = async move {
            let mut listener = match listen.await {
                Ok(listener) => listener,
                Err(error) => return ready.send(Err(error)).unwrap_or_default(),
            };
            let local_addr = listener.local_addr();
            let house = house(local_addr);
            ready.send(Ok((local_addr, Arc::clone(&house)))).unwrap_or_default();
            tokio::select! {
                () = let_in(&mut listener, &house, &admitted) => {}
                _ = closed => {}
            }
        };
        let thread = thread::Builder::new().name("mesh".into());
        let thread = Some(thread.spawn(move || runtime.block_on(work))?);
        let (local_addr, house) = is_ready.recv().expect("it says whether it could listen")?;
        let gate = Self { local_addr, arrived, runtime: handle, open: Some(open), thread };
        Ok((gate, house))
    }

    pub(crate) fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// The thread's, for what must not wait for anybody else.
    pub(crate) fn runtime(&self) -> &Handle {
        &self.runtime
    }

    /// The next host that has proved who it is. Nothing is lost if this is cancelled.
    pub(crate) async fn arrival(&mut self) -> (Peer, Link) {
        match self.arrived.recv().await {
            Some(arrival) => arrival,
            // The thread has ended, which it only does when this is dropped.
            None => std::future::pending().await,
        }
    }
}

/// Whoever listens there next finds that nobody does any more.
impl Drop for Gate {
    fn drop(&mut self) {
        drop(self.open.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the mesh's thread panicked");
        }
    }
}

async fn let_in(
    listener: &mut Listener,
    house: &Arc<House>,
    admitted: &mpsc::Sender<(Peer, Link)>,
) {
    loop {
        let (peer, link) = listener.accept().await;
        match peer.role {
            Role::Scheduler => {
                let house = Arc::clone(house);
                tokio::spawn(async move {
                    if let Err(error) = house.serve(link).await {
                        tracing::debug!(name = peer.name, %error, "a scheduler has hung up");
                    }
                });
            }
            // When it is full nobody has been at home for a while; the host comes again.
            Role::Agent => drop(admitted.try_send((peer, link))),
        }
    }
}
