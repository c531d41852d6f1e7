//! How many connections there may be, from one address and in all, and how long each may take to say
//! what it wants. Nobody can keep everybody else out by just holding on.
//!
//! How large a request may be is bounded elsewhere: its head by the framework (128 KiB and 96
//! headers), its body by [`crate::BODY_MAX`].

use std::{
    any::Any,
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    os::fd::AsFd,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use actix_tls::accept::rustls_0_23::TlsStream;
use actix_web::{dev::Extensions, rt::net::TcpStream};
use rustix::net::{Shutdown, shutdown};

use crate::access::network;

/// A browser has six, and a hundred people may share an address.
const FROM_ONE_ADDRESS: u32 = 512;

/// In all, for each of the workers. Those beyond wait in the kernel's queue.
pub(crate) const OF_ONE_WORKER: usize = 2048;

/// How long it may take to agree about keys, and to send a request's head.
pub(crate) const HANDSHAKE: Duration = Duration::from_secs(5);
pub(crate) const HEAD: Duration = Duration::from_secs(10);

/// What is known of a connection as long as it is open.
pub(crate) struct Line {
    /// Which of this machine's addresses was called.
    pub(crate) local: Option<SocketAddr>,
    _seat: Option<Seat>,
}

/// Who has how many.
#[derive(Debug, Default)]
pub(crate) struct Seats(Mutex<BTreeMap<IpAddr, u32>>);

struct Seat {
    seats: Arc<Seats>,
    of: IpAddr,
}

impl Seats {
    /// `None`: whoever that is has enough. This machine's own may have as many as they like: it may
    /// be a proxy for others.
    fn take(self: &Arc<Self>, of: IpAddr) -> Option<Seat> {
        let of = network(of);
        let mut taken = self.taken();
        let count = taken.entry(of).or_default();
        if *count >= FROM_ONE_ADDRESS && !of.is_loopback() {
            return None;
        }
        *count += 1;
        Some(Seat { seats: self.clone(), of })
    }

    fn taken(&self) -> MutexGuard<'_, BTreeMap<IpAddr, u32>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.seats.taken();
        let count = taken.get_mut(&self.of).map(|it| {
            *it -= 1;
            *it
        });
        if count == Some(0) {
            taken.remove(&self.of);
        }
    }
}

/// What the server asks about each new connection.
pub(crate) fn watch(seats: Arc<Seats>) -> impl Fn(&dyn Any, &mut Extensions) + Send + Sync {
    move |stream, known| {
        let tls = stream.downcast_ref::<TlsStream<TcpStream>>();
        let tcp = tls.map(|it| it.get_ref().0).or_else(|| stream.downcast_ref::<TcpStream>());
        let Some(tcp) = tcp else { return };
        let peer = tcp.peer_addr().ok().map(|it| it.ip().to_canonical());
        let seat = peer.and_then(|it| seats.take(it));
        if seat.is_none() {
            tracing::warn!(?peer, "an address has too many connections, and gets no more");
            // It is read as the end, and closed.
            shutdown(tcp.as_fd(), Shutdown::Both).ok();
        }
        known.insert(Line { local: tcp.local_addr().ok(), _seat: seat });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_so_many_and_gives_them_back() {
        let seats = Arc::new(Seats::default());
        let from = |text: &str| seats.take(text.parse().unwrap());
        let taken: Vec<_> = (0..FROM_ONE_ADDRESS).map(|_| from("10.0.0.1").unwrap()).collect();
        assert!(from("10.0.0.1").is_none() && from("10.0.0.2").is_some());
        let local: Vec<_> = (0..=FROM_ONE_ADDRESS).map(|_| from("127.0.0.1")).collect();
        assert!(local.iter().all(Option::is_some));
        drop((taken, local));
        assert!(from("10.0.0.1").is_some());
        assert!(seats.taken().is_empty(), "nobody is remembered who has none");
    }
}
