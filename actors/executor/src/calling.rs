//! Calling schedulers, one after the other, until one that leads has been found; and again when its
//! link has ended.
//!
//! Nothing that is said on a link reaches the uplink before the scheduler has said that it leads and
//! has been found fit to.

use std::{
    collections::{BTreeMap, VecDeque},
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use actix::{WeakAddr, prelude::*};
use airglow_kit::{
    discovery::Search,
    link::{self, LinkError, Receiver, Sender},
};
use airglow_model::{
    allegiance::{Unfit, pause},
    discovery::Sought,
    wire::{Hello, PROTOCOLS, ToExecutor, ToScheduler, Welcome},
};

use crate::{Contact, book::Book, known::Known, uplink::Uplink};

/// The version of the protocol that both ends of a link speak.
pub(crate) type SpokenVersion = u32;

/// What the uplink hears.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) enum Line {
    /// A scheduler leads and is obeyed from now on.
    Connected(Sender<ToScheduler>, SpokenVersion),
    Heard(ToExecutor),
    Disconnected,
    /// A scheduler says that this host was removed.
    Removed,
}

pub(crate) struct Caller {
    known: Arc<Known>,
    contact: Arc<Contact>,
    book: Book,
    uplink: WeakAddr<Uplink>,
    /// In a row.
    failures: u32,
    /// Who is still to be called in this round.
    candidates: VecDeque<SocketAddr>,
    /// How often in a row one has said that another leads.
    sent_on: u32,
    /// What has been said of each, so that it is said once and not for as long as it lasts.
    complaints: BTreeMap<SocketAddr, String>,
    /// In the local network, once those that are known have failed for a while.
    search: Option<Search>,
}

/// How a call ended.
#[derive(Debug, thiserror::Error)]
enum End {
    #[error("nobody is here any more")]
    Unwanted,
    #[error(transparent)]
    Unreached(LinkError),
    #[error("it is called again, with another certificate")]
    Renewed,
    #[error("it does not lead")]
    Elsewhere { leader: Option<SocketAddr> },
    #[error("it refuses: {0}")]
    Refused(String),
    #[error("{0}")]
    Unfit(Unfit),
    #[error("it does not say who it is, but {0}")]
    Unmannered(String),
    /// After it had been obeyed.
    #[error("{0}")]
    Over(String),
}

/// As long as schedulers choose who leads, there is no use in waiting for long.
const FAILURES_MAX_IN_ELECTIONS: u32 = 4;

/// Schedulers may send whoever calls on to each other, but not for ever.
const SENT_ON_MAX: u32 = 3;

/// How long others may take to answer.
const LOOK_FOR: Duration = Duration::from_secs(5);

/// Known schedulers that restart are back before this; then others are looked for.
const FAILURES_BEFORE_A_SEARCH: u32 = 4;

impl Caller {
    pub(crate) fn new(known: Arc<Known>, contact: Arc<Contact>, uplink: WeakAddr<Uplink>) -> Self {
        let (authority, cluster) =
            (contact.certificate.identity().pin(), contact.cluster.as_deref());
        let book = Book::open(&known.data, &authority, cluster);
        Self {
            known,
            contact,
            book,
            uplink,
            failures: 0,
            candidates: VecDeque::new(),
            sent_on: 0,
            complaints: BTreeMap::new(),
            search: None,
        }
    }

    /// Until the uplink is gone.
    pub(crate) async fn stay_connected(mut self) {
        loop {
            let addr = self.next().await;
            let end = self.call(addr).await;
            if matches!(end, End::Unwanted) {
                return;
            }
            if let Some(pause) = self.bear(addr, &end) {
                tokio::time::sleep(pause).await;
            }
        }
    }

    /// Whom to call now.
    async fn next(&mut self) -> SocketAddr {
        loop {
            if let Some(addr) = self.candidates.pop_front() {
                return addr;
            }
            let given = &self.contact.schedulers;
            let seen = self.search.as_ref().map(Search::seen).unwrap_or_default();
            let found = self.contact.sought.as_ref().map(|it| it.addrs(&seen)).unwrap_or_default();
            let candidates = self.book.allegiance().candidates(&[&given[..], &found].concat());
            self.candidates = candidates.into();
            if self.candidates.is_empty() || FAILURES_BEFORE_A_SEARCH <= self.failures {
                self.look_around().await;
            }
        }
    }

    /// Once all that are known have failed.
    async fn look_around(&mut self) {
        let Some(sought) = self.contact.sought.clone() else {
            if self.candidates.is_empty() {
                self.complain_of_all("knows of no scheduler: say --join HOST:PORT".to_owned());
                tokio::time::sleep(LOOK_FOR).await;
            }
            return;
        };
        let Some(search) = &self.search else { return self.start_search(&sought).await };
        if self.candidates.is_empty() {
            tokio::time::timeout(LOOK_FOR, search.find(&sought)).await.ok();
        }
        let seen = search.seen();
        if sought.addrs(&seen).is_empty() {
            self.complain_of_all(sought.in_vain(&seen));
        }
    }

    async fn start_search(&mut self, sought: &Sought) {
        match Search::start() {
            Ok(search) => {
                tracing::info!("looks for schedulers of {sought} in the local network");
                self.search = Some(search);
            }
            Err(error) => {
                self.complain_of_all(error.to_string());
                tokio::time::sleep(LOOK_FOR).await;
            }
        }
    }

    /// What to do after that: how long to wait, if at all.
    fn bear(&mut self, addr: SocketAddr, end: &End) -> Option<Duration> {
        match end {
            End::Over(_) | End::Unwanted => {
                tracing::warn!(%addr, %end, "the link to the scheduler has ended");
                (self.failures, self.sent_on, self.candidates) = (0, 0, VecDeque::new());
                self.complaints.clear();
            }
            End::Renewed => self.candidates.push_front(addr),
            End::Elsewhere { leader } => {
                tracing::debug!(%addr, ?leader, "another scheduler leads");
                self.sent_on += 1;
                if let Some(leader) = leader.filter(|_| self.sent_on <= SENT_ON_MAX) {
                    self.candidates.push_front(leader);
                    return None;
                }
                self.sent_on = 0;
                self.failures = self.failures.min(FAILURES_MAX_IN_ELECTIONS - 1);
            }
            End::Unreached(_) | End::Refused(_) | End::Unfit(_) | End::Unmannered(_) => {
                let complaint = end.to_string();
                if self.complaints.get(&addr) == Some(&complaint) {
                    tracing::debug!(%addr, %end, "still no scheduler to obey");
                } else {
                    tracing::warn!(%addr, %end, "no scheduler to obey, and goes on trying");
                    self.complaints.insert(addr, complaint);
                }
            }
        }
        self.failures += 1;
        Some(pause(&self.known.id, self.failures))
    }

    /// Of nobody in particular.
    fn complain_of_all(&mut self, complaint: String) {
        const NOBODY: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);
        if self.complaints.get(&NOBODY) != Some(&complaint) {
            tracing::warn!("{complaint}");
            self.complaints.insert(NOBODY, complaint);
        }
    }

    /// As long as it lasts.
    async fn call(&mut self, addr: SocketAddr) -> End {
        let link = match link::dial(addr, &self.contact.certificate.identity()).await {
            Ok(link) => link,
            Err(error) => return self.unreached(error).await,
        };
        let (says, mut hears) = link.split::<ToScheduler, ToExecutor>();
        let hello = ToScheduler::Hello(self.hello());
        if let Err(unsent) = says.send(&hello) {
            return End::Unmannered(unsent.to_string());
        }
        let welcome = match self.first_word(&mut hears).await {
            Ok(welcome) => welcome,
            Err(end) => return end,
        };
        if let Err(unfit) = self.book.welcomed(addr, &welcome) {
            return End::Unfit(unfit);
        }
        self.search = None;
        let Welcome { cluster, protocol, term, .. } = welcome;
        tracing::info!(%addr, cluster, protocol, term, "connected to a scheduler");
        self.pass_on((says, protocol), hears).await
    }

    /// Whoever was away for so long that its certificate has expired may join again.
    async fn unreached(&self, error: LinkError) -> End {
        let renewed = if let LinkError::Expired { addr } = &error {
            self.contact.certificate.join_again(*addr).await
        } else {
            Err(error)
        };
        let Err(error) = renewed else {
            tracing::info!("joined again, since the certificate had expired");
            return End::Renewed;
        };
        if matches!(error, LinkError::Removed { .. })
            && let Some(uplink) = self.uplink.upgrade()
        {
            uplink.do_send(Line::Removed);
        }
        End::Unreached(error)
    }

    async fn first_word(&mut self, hears: &mut Receiver<ToExecutor>) -> Result<Welcome, End> {
        let unmannered = |why: &str| Err(End::Unmannered(why.to_owned()));
        match hears.next().await {
            Ok(Some(ToExecutor::Welcome(it))) if PROTOCOLS.has(it.protocol) => Ok(it),
            Ok(Some(ToExecutor::Welcome(Welcome { protocol, .. }))) => {
                unmannered(&format!("that both speak version {protocol}, which is wrong"))
            }
            Ok(Some(ToExecutor::Elsewhere { leader, schedulers })) => {
                self.book.directed(leader, &schedulers);
                Err(End::Elsewhere { leader })
            }
            Ok(Some(ToExecutor::Refused { why })) => Err(End::Refused(why)),
            Ok(Some(
                ToExecutor::Ack { .. }
                | ToExecutor::Launch(_)
                | ToExecutor::Kill { .. }
                | ToExecutor::Ask { .. }
                | ToExecutor::TakeStock
                | ToExecutor::Renewed { .. }
                | ToExecutor::Pong
                | ToExecutor::Unknown,
            )) => unmannered("begins to give orders"),
            Ok(None) => unmannered("hangs up"),
            Err(error) => unmannered(&error.to_string()),
        }
    }

    async fn pass_on(
        &self,
        (says, spoken): (Sender<ToScheduler>, SpokenVersion),
        mut hears: Receiver<ToExecutor>,
    ) -> End {
        let Some(uplink) = self.uplink.upgrade() else { return End::Unwanted };
        uplink.do_send(Line::Connected(says, spoken));
        let end = loop {
            match hears.next().await {
                Ok(Some(message)) => uplink.do_send(Line::Heard(message)),
                Ok(None) => break "the scheduler closed it".to_owned(),
                Err(error) => break error.to_string(),
            }
        };
        uplink.do_send(Line::Disconnected);
        End::Over(end)
    }

    fn hello(&self) -> Hello {
        let Known { id, attributes, capacity, .. } = &*self.known;
        Hello {
            attributes: attributes.clone(),
            capacity: capacity.clone(),
            term: self.book.allegiance().term,
            isolated_max_secs: self.contact.isolated_max.map(|it| it.as_secs()),
            ..Hello::of(id.clone(), env!("CARGO_PKG_VERSION"))
        }
    }
}
