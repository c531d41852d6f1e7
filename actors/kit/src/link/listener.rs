//! The end that is called.
//!
//! Everybody in the network can knock, so a stranger gets little: a few seconds, a few kilobytes,
//! and a place among [`MOST_KNOCKING`], of which each address may have some. When those are taken,
//! callers wait in the kernel's queue until somebody has proved who it is or has run out of time.
//! Nobody's slowness holds up anybody else, and whoever fails again and again is hung up on.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use airglow_model::{
    ids::{HostId, MachineId},
    joining::{Purpose, Refusal},
};
use rustls::{AlertDescription, Error};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::mpsc,
    task::{AbortHandle, JoinSet},
    time::{Instant, MissedTickBehavior, interval, sleep, timeout},
};
use tokio_rustls::TlsAcceptor;

use super::{
    Join, Link, PATIENCE, Verdict,
    dial::has_expired,
    refusals::{Crowd, EVERY, Ledger, Reason},
};
use crate::{
    identity::{Authority, Bearer, Identity, IdentityError, Role, bearer, random},
    now,
};

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
    pub machine: Option<MachineId>,
    pub addr: SocketAddr,
    /// Where it called.
    pub called: SocketAddr,
}

/// Somebody without a certificate, and what it has to show for itself.
#[derive(Debug)]
pub struct Stranger<'a> {
    pub name: HostId,
    pub machine: MachineId,
    /// A join token's.
    pub secret: &'a str,
}

/// What cannot be seen from a certificate, or has none: who may come in all the same.
pub trait Doorkeeper: Send + Sync {
    /// # Errors
    /// Why it may not join.
    fn admit(&self, stranger: &Stranger<'_>) -> Result<Purpose, Refusal>;

    /// # Errors
    /// Why it may not come in, although it has a certificate.
    fn let_in(&self, peer: &Peer) -> Result<(), Refusal>;

    /// Somebody stays outside.
    fn turned_away(&self, reason: Reason);
}

/// Nobody joins; whoever has a certificate comes in.
impl Doorkeeper for () {
    fn admit(&self, _: &Stranger<'_>) -> Result<Purpose, Refusal> {
        Err(Refusal::NotYet)
    }

    fn let_in(&self, _: &Peer) -> Result<(), Refusal> {
        Ok(())
    }

    fn turned_away(&self, _: Reason) {}
}

/// How many may be proving who they are.
const MOST_KNOCKING: usize = 256;

/// The clock may be set, so when one's own certificate is due is looked at now and then.
const LONGEST_NAP: Duration = Duration::from_secs(60);

impl Listener {
    /// Must be called within a tokio runtime, which then does the listening. The certificate of
    /// `identity` is renewed as long as it listens.
    pub async fn bind(
        addr: SocketAddr,
        identity: &Identity,
        authority: Arc<Authority>,
        keeper: Arc<dyn Doorkeeper>,
    ) -> io::Result<Self> {
        let acceptor = Mutex::new(acceptor(identity).map_err(io::Error::other)?);
        let socket = TcpListener::bind(addr).await?;
        let local_addr = socket.local_addr()?;
        let (crowd, ledger) = (Mutex::default(), Mutex::default());
        let door = Arc::new(Door { acceptor, authority, keeper, crowd, ledger });
        let (admitted, arrived) = mpsc::channel(1);
        let identity = identity.clone();
        let listening = tokio::spawn(async move {
            let renewing = tokio::spawn(stay_certified(Arc::clone(&door), identity));
            let _renewing = AbortOnDrop(renewing.abort_handle());
            listen(socket, door, admitted).await;
        });
        Ok(Self { local_addr, arrived, listening: listening.abort_handle() })
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

struct AbortOnDrop(AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Peer {
    fn new(bearer: Bearer, addr: SocketAddr, called: SocketAddr) -> Self {
        let Bearer { name, role, machine } = bearer;
        Self { name, role, machine, addr, called }
    }

    /// Which machine that is; older certificates do not say it.
    pub fn machine(&self) -> MachineId {
        let unnamed = || MachineId::unnamed(&HostId::from(self.name.as_str()));
        self.machine.clone().unwrap_or_else(unnamed)
    }
}

fn acceptor(identity: &Identity) -> Result<TlsAcceptor, IdentityError> {
    Ok(TlsAcceptor::from(Arc::new(identity.answering()?)))
}

/// Nobody who is connected notices: certificates are looked at once.
async fn stay_certified(door: Arc<Door>, mut identity: Identity) {
    loop {
        sleep(identity.renew_at().since(now()).min(LONGEST_NAP).max(Duration::from_millis(100)))
            .await;
        if now() < identity.renew_at() {
            continue;
        }
        // One that is from before machines had ids is renewed as it is, once.
        let machine = identity.bearer().machine.clone();
        let bearer = Bearer {
            machine: machine.or_else(|| Some(MachineId::random(random()))),
            ..identity.bearer().clone()
        };
        let renewed = door.authority.issue_to(&bearer).and_then(|it| Ok((acceptor(&it)?, it)));
        match renewed {
            Ok((acceptor, renewed)) => {
                tracing::info!("the scheduler's certificate was renewed");
                *locked(&door.acceptor) = acceptor;
                identity = renewed;
            }
            Err(error) => {
                tracing::error!(%error, "cannot renew the scheduler's certificate, trying again");
                sleep(LONGEST_NAP).await;
            }
        }
    }
}

async fn listen(socket: TcpListener, door: Arc<Door>, admitted: mpsc::Sender<(Peer, Link)>) {
    let mut knocking = JoinSet::new();
    let mut summary = interval(EVERY);
    summary.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            Some(_) = knocking.join_next() => {}
            _ = summary.tick() => door.sum_up(),
            caller = socket.accept(), if knocking.len() < MOST_KNOCKING => match caller {
                Ok((stream, addr)) => {
                    if locked(&door.crowd).begins(Instant::now(), addr.ip()) {
                        let (door, admitted) = (Arc::clone(&door), admitted.clone());
                        knocking.spawn(async move { door.answer(stream, addr, admitted).await });
                    } else {
                        let why = "too many connections of this address fail, or are not proved yet";
                        door.turn_away(addr, Reason::TooMany, why);
                    }
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
    acceptor: Mutex<TlsAcceptor>,
    authority: Arc<Authority>,
    keeper: Arc<dyn Doorkeeper>,
    crowd: Mutex<Crowd>,
    ledger: Mutex<Ledger>,
}

/// Nothing that is done under these locks can be left half done.
fn locked<T>(it: &Mutex<T>) -> MutexGuard<'_, T> {
    it.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Why somebody stays outside.
struct Outside(Reason, String);

impl Outside {
    fn garbage(error: &io::Error) -> Self {
        Self(Reason::Garbage, format!("what it says makes no sense here: {error}"))
    }

    /// What went wrong before anybody was heard.
    fn untrusted(error: &io::Error) -> Self {
        if has_expired(error) {
            let why = "its certificate has expired: start its agent once with a token";
            return Self(Reason::ExpiredCertificate, why.to_owned());
        }
        match error.get_ref().and_then(|it| it.downcast_ref::<Error>()) {
            Some(Error::InvalidCertificate(why)) => {
                let why = format!("its certificate is not of this cluster: {why}");
                Self(Reason::ForeignCertificate, why)
            }
            Some(Error::AlertReceived(
                AlertDescription::UnknownCA
                | AlertDescription::BadCertificate
                | AlertDescription::CertificateUnknown
                // Another authority of the same name.
                | AlertDescription::DecryptError,
            )) => Self(
                Reason::ForeignCertificate,
                "it does not believe this cluster: it belongs to another".to_owned(),
            ),
            Some(_) | None => Self::garbage(error),
        }
    }
}

impl From<&Refusal> for Outside {
    fn from(refusal: &Refusal) -> Self {
        Self(refusal.into(), refusal.to_string())
    }
}

impl Door {
    async fn answer(
        &self,
        stream: TcpStream,
        addr: SocketAddr,
        admitted: mpsc::Sender<(Peer, Link)>,
    ) {
        let late = || Outside(Reason::Slow, "it takes too long to say who it is".to_owned());
        let greeted = timeout(PATIENCE, self.greet(stream, addr)).await;
        let greeted = greeted.unwrap_or_else(|_| Err(late()));
        locked(&self.crowd).ends(addr.ip(), greeted.is_err());
        match greeted {
            // If nobody listens any more, the link ends here.
            Ok(Some(arrival)) => drop(admitted.send(arrival).await),
            Ok(None) => {}
            Err(Outside(reason, why)) => self.turn_away(addr, reason, &why),
        }
    }

    fn turn_away(&self, addr: SocketAddr, reason: Reason, why: &str) {
        self.keeper.turned_away(reason);
        if locked(&self.ledger).tells(reason) {
            tracing::warn!(%addr, %reason, why, "a connection was refused");
        }
    }

    fn sum_up(&self) {
        locked(&self.crowd).settle(Instant::now());
        if let Some(summary) = locked(&self.ledger).summary() {
            tracing::warn!("connections were refused: {summary}");
        }
    }

    /// Whoever has a certificate, or `None` after having dealt with somebody who has not.
    async fn greet(
        &self,
        stream: TcpStream,
        addr: SocketAddr,
    ) -> Result<Option<(Peer, Link)>, Outside> {
        stream.set_nodelay(true).map_err(|error| Outside::garbage(&error))?;
        let called = stream.local_addr().map_err(|error| Outside::garbage(&error))?;
        let acceptor = locked(&self.acceptor).clone();
        let tls = acceptor.accept(stream).await.map_err(|error| Outside::untrusted(&error))?;
        let shown = tls.get_ref().1.peer_certificates().and_then(<[_]>::first).map(bearer);
        let mut link = Link::with_stranger(tls.into());
        let bearer = match shown {
            None => return self.admit(link, addr).await.map(|()| None),
            Some(None) => {
                let why = "a certificate of this cluster that names nobody".to_owned();
                return Err(Outside(Reason::ForeignCertificate, why));
            }
            Some(Some(bearer)) => bearer,
        };
        let peer = Peer::new(bearer, addr, called);
        if let Err(refusal) = self.keeper.let_in(&peer) {
            // Whether or not it hears why.
            link.say(&Verdict::of(&refusal)).await.ok();
            let Outside(reason, why) = (&refusal).into();
            return Err(Outside(reason, format!("{}: {why}", peer.name)));
        }
        let welcome = link.say(&Verdict::Welcome).await;
        welcome.map_err(|error| Outside::garbage(&error))?;
        Ok(Some((peer, link.trusted())))
    }

    async fn admit(&self, mut link: Link, addr: SocketAddr) -> Result<(), Outside> {
        let garbage = |error: io::Error| Outside::garbage(&error);
        let Join { name, machine, secret, request } = link.hear().await.map_err(garbage)?;
        // Agents that are older than this know nothing of machines.
        let machine = machine.unwrap_or_else(|| MachineId::random(random()));
        let stranger = Stranger { name: HostId::from(name.as_str()), machine, secret: &secret };
        match self.keeper.admit(&stranger) {
            Ok(purpose) => {
                let machine = Some(stranger.machine);
                let verdict = self.grant(purpose, name.clone(), machine, &request)?;
                let who = purpose.name();
                tracing::info!(%addr, name, "a machine has joined the cluster as {who}");
                link.say(&verdict).await.map_err(garbage)
            }
            Err(refusal) => {
                link.say(&Verdict::of(&refusal)).await.ok();
                let Outside(reason, why) = (&refusal).into();
                Err(Outside(reason, format!("{} wants to join: {why}", printable(&name))))
            }
        }
    }

    fn grant(
        &self,
        purpose: Purpose,
        name: String,
        machine: Option<MachineId>,
        request: &str,
    ) -> Result<Verdict, Outside> {
        let role = match purpose {
            Purpose::Agent => Role::Agent,
            Purpose::Scheduler => Role::Scheduler,
        };
        let chain = self.authority.grant(&Bearer { name, role, machine }, request);
        let chain = chain.map_err(|error| Outside(Reason::Garbage, error.to_string()))?;
        Ok(match purpose {
            Purpose::Agent => Verdict::Granted(chain),
            Purpose::Scheduler => {
                let authority = self.authority.keys().pem().to_owned();
                Verdict::Trusted { chain, authority }
            }
        })
    }
}

/// As much of a stranger's word as fits into a line.
fn printable(name: &str) -> String {
    name.chars().take(64).flat_map(char::escape_debug).collect()
}
