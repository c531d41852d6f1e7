use std::{collections::BTreeSet, net::Ipv4Addr, os::unix::fs::PermissionsExt as _, sync::Mutex};

use airglow_model::{
    host::Host,
    ids::HostId,
    joining::{self, Applicant, Purpose, Refusal, Removal, Tokens},
    machine::Timestamp,
    record::{Change, Committed, Record, RecordKey},
    view::View,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpSocket},
};

use super::*;
use crate::{
    identity::{Authority, Bearer, Identity, JoinToken, Role},
    now,
    outbox::Outbox,
};

const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// A cluster of one scheduler, and whoever comes.
struct Cluster {
    authority: Arc<Authority>,
    listener: Listener,
    keeper: Arc<Keeper>,
    folder: tempfile::TempDir,
}

/// Decides by a view, as a scheduler does.
struct Keeper {
    authority: Arc<Authority>,
    view: Mutex<View>,
    turned_away: Mutex<Vec<Reason>>,
}

impl Keeper {
    fn commit(&self, key: RecordKey, record: Record) {
        let changes = vec![Change { key, record: Some(record) }];
        self.view.lock().unwrap().apply(&Committed { seq: 1, changes });
    }

    fn tokens(&self) -> Tokens {
        self.view.lock().unwrap().tokens.clone().unwrap()
    }

    fn rotate(&self, purpose: Purpose, lasts: Option<Duration>) {
        let tokens = self.tokens().rotated(purpose, now(), lasts);
        self.commit(RecordKey::Tokens, Record::Tokens(tokens));
    }

    /// Why whoever was refused since the last time was.
    fn refused(&self) -> Vec<Reason> {
        std::mem::take(&mut self.turned_away.lock().unwrap())
    }
}

impl Doorkeeper for Keeper {
    fn admit(&self, stranger: &Stranger<'_>) -> Result<Purpose, Refusal> {
        let view = self.view.lock().unwrap();
        let shown = self.authority.recognize(stranger.secret, view.tokens.as_ref().unwrap());
        let (name, machine) = (stranger.name.clone(), stranger.machine.clone());
        joining::admit(&view, now(), &Applicant { name, machine, shown })
    }

    fn let_in(&self, peer: &Peer) -> Result<(), Refusal> {
        let name = HostId::from(peer.name.as_str());
        joining::may_be(&self.view.lock().unwrap(), &name, peer.machine.as_ref())
    }

    fn turned_away(&self, reason: Reason) {
        self.turned_away.lock().unwrap().push(reason);
    }
}

impl Cluster {
    async fn new() -> Self {
        Self::whose_certificates_live(crate::identity::LIFE).await
    }

    async fn whose_certificates_live(life: Duration) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::open_or_create(folder.path(), "test").unwrap().living(life);
        let authority = Arc::new(authority);
        let (view, turned_away) = (Mutex::new(View::default()), Mutex::default());
        let keeper = Arc::new(Keeper { authority: Arc::clone(&authority), view, turned_away });
        keeper.commit(RecordKey::Tokens, Record::Tokens(Tokens::first(now(), None)));
        let (scheduler, kept) = (bearer(Role::Scheduler, "s1"), Arc::clone(&keeper));
        let scheduler = authority.issue_to(&scheduler).unwrap();
        let listener = Listener::bind(LOOPBACK, &scheduler, Arc::clone(&authority), kept);
        Self { authority, listener: listener.await.unwrap(), keeper, folder }
    }

    fn token(&self, purpose: Purpose) -> JoinToken {
        self.authority.token(purpose, self.keeper.tokens().of(purpose).number)
    }

    /// A machine that is called `name` joins with the agents' token.
    async fn join(&self, name: &str, machine: &str) -> Result<Joined, LinkError> {
        join(self.addr(), &self.token(Purpose::Agent), name, &machine.into()).await
    }

    fn addr(&self) -> SocketAddr {
        self.listener.local_addr()
    }

    fn agent(&self, name: &str) -> Identity {
        self.authority.issue(Role::Agent, name).unwrap()
    }

    /// Both ends of a link to somebody new.
    async fn link(&mut self, name: &str) -> (Link, Link) {
        let agent = self.agent(name);
        let (dialed, (peer, accepted)) =
            tokio::join!(dial(self.addr(), &agent), self.listener.accept());
        assert_eq!((peer.name.as_str(), peer.role), (name, Role::Agent));
        (dialed.unwrap(), accepted)
    }
}

fn bearer(role: Role, name: &str) -> Bearer {
    Bearer { name: name.to_owned(), role, machine: Some(format!("machine-{name}").as_str().into()) }
}

type Texts = (Sender<String>, Receiver<String>);

fn whole_chain(error: &dyn std::error::Error) -> String {
    let source = error.source().map_or_else(String::new, |it| format!(": {}", whole_chain(it)));
    format!("{error}{source}")
}

#[tokio::test]
async fn a_host_joins_with_the_token_and_is_known_by_its_name() {
    let mut cluster = Cluster::new().await;
    let pasted: JoinToken = cluster.token(Purpose::Agent).to_string().parse().unwrap();
    let joined = join(cluster.addr(), &pasted, "rack-1.example", &"m1".into()).await.unwrap();
    let Joined { identity, authority: None } = joined else { panic!("it is no scheduler") };
    assert_eq!((identity.name(), identity.role()), ("rack-1.example", Role::Agent));

    let (link, (peer, other)) =
        tokio::join!(dial(cluster.addr(), &identity), cluster.listener.accept());
    assert_eq!((peer.name.as_str(), peer.role), ("rack-1.example", Role::Agent));
    assert_eq!(peer.machine, Some("m1".into()));
    let (here, mut hears): Texts = link.unwrap().split();
    let (there, mut heard): Texts = other.split();
    here.send(&"hello".to_owned()).unwrap();
    assert_eq!(heard.next().await.unwrap().as_deref(), Some("hello"));
    there.send(&"welcome".to_owned()).unwrap();
    assert_eq!(hears.next().await.unwrap().as_deref(), Some("welcome"));
}

#[tokio::test]
async fn a_wrong_token_is_refused_and_a_bad_name_too() {
    let cluster = Cluster::new().await;
    let right = cluster.token(Purpose::Agent);
    let text = right.to_string();
    let (public, secret) = text.rsplit_once('-').unwrap();
    let flipped = secret.chars().rev().collect::<String>();
    let wrong: JoinToken = format!("{public}-{flipped}").parse().unwrap();
    let refused = join(cluster.addr(), &wrong, "h1", &"m1".into()).await.unwrap_err();
    assert!(refused.to_string().ends_with("refuses: the join token is wrong"), "{refused}");
    let refused = cluster.join("h/1", "m1").await.unwrap_err();
    assert!(matches!(refused, LinkError::Refused { .. }), "{refused}");
    assert_eq!(cluster.keeper.refused(), [Reason::Token, Reason::Name]);
}

#[tokio::test]
async fn a_token_that_was_replaced_or_has_expired_says_what_to_do() {
    let cluster = Cluster::new().await;
    let old = cluster.token(Purpose::Agent);
    cluster.keeper.rotate(Purpose::Agent, Some(Duration::ZERO));
    let refused = join(cluster.addr(), &old, "h1", &"m1".into()).await.unwrap_err();
    assert!(refused.to_string().contains("`airglow admin token show`"), "{refused}");
    let refused = cluster.join("h1", "m1").await.unwrap_err();
    assert!(refused.to_string().contains("`airglow admin token rotate`"), "{refused}");
    cluster.keeper.rotate(Purpose::Agent, Some(Duration::from_secs(60)));
    cluster.join("h1", "m1").await.unwrap();
    assert_eq!(cluster.keeper.refused(), [Reason::Token, Reason::Token]);
}

#[tokio::test]
async fn a_scheduler_that_joins_is_as_good_as_the_first() {
    let cluster = Cluster::new().await;
    let token = cluster.token(Purpose::Scheduler);
    let joined = join(cluster.addr(), &token, "s2", &"m2".into()).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (kept, keys) = (folder.path().join("identity"), folder.path().join("authority"));
    joined.authority.unwrap().save(&keys).unwrap();
    joined.identity.save(&kept).unwrap();
    let identity = Identity::load(&kept).unwrap().unwrap();
    assert_eq!((identity.name(), identity.role()), ("s2", Role::Scheduler));
    for file in [kept.join("identity.pem"), keys.join("authority.pem")] {
        let mode = file.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{}", file.display());
    }

    // An agent that the second has certified is welcome at the first.
    let second = Authority::open_or_create(&keys, "test").unwrap();
    let agent = second.issue_to(&bearer(Role::Agent, "h1")).unwrap();
    dial(cluster.addr(), &agent).await.unwrap();
    // And agents believe the second, with the very certificate that it was given.
    let keeper = Arc::clone(&cluster.keeper);
    let listener = Listener::bind(LOOPBACK, &identity, Arc::new(second), keeper).await.unwrap();
    dial(listener.local_addr(), &cluster.agent("h2")).await.unwrap();
}

#[tokio::test]
async fn a_name_is_one_machines_and_whoever_was_removed_stays_away() {
    let cluster = Cluster::new().await;
    let first = cluster.join("h1", "m1").await.unwrap().identity;
    let host = Host { machine: Some("m1".into()), ..Host::unknown("h1".into()) };
    cluster.keeper.commit(RecordKey::Host("h1".into()), Record::Host(host));
    let refused = cluster.join("h1", "m2").await.unwrap_err();
    assert!(refused.to_string().contains("`airglow host remove h1`"), "{refused}");
    // It has lost its certificate, for example.
    cluster.join("h1", "m1").await.unwrap();
    dial(cluster.addr(), &first).await.unwrap();

    let removal = Removal { host: "h1".into(), at: Timestamp(1) };
    cluster.keeper.commit(RecordKey::Removal("m1".into()), Record::Removal(removal));
    let refused = dial(cluster.addr(), &first).await.unwrap_err();
    assert!(matches!(refused, LinkError::Removed { .. }), "{refused}");
    let refused = cluster.join("h9", "m1").await.unwrap_err();
    assert!(matches!(refused, LinkError::Removed { .. }), "{refused}");
    assert_eq!(cluster.keeper.refused(), [Reason::Name, Reason::Removed, Reason::Removed]);
}

#[tokio::test]
async fn a_certificate_that_was_renewed_in_time_goes_on_and_one_that_was_not_is_refused() {
    let mut cluster = Cluster::whose_certificates_live(Duration::from_secs(3)).await;
    let first = cluster.join("h1", "m1").await.unwrap().identity;
    let (link, (peer, _other)) =
        tokio::join!(dial(cluster.addr(), &first), cluster.listener.accept());
    let _link = link.unwrap();
    let request = crate::identity::Request::new("h1").unwrap();
    // What a scheduler answers over a link that is there.
    let renew = |by: &Authority| {
        let Peer { name, role, machine, .. } = peer;
        by.grant(&Bearer { name, role, machine }, request.pem()).unwrap()
    };
    let longer = Authority::open_or_create(cluster.folder.path(), "test").unwrap();
    let chain = renew(&longer);
    let renewed = request.renewed(&chain, &first).unwrap();

    // To the end of its last second.
    while !first.has_expired(Timestamp(now().0 - 1000)) {
        sleep(Duration::from_millis(50)).await;
    }
    cluster.keeper.refused();
    let error = dial(cluster.addr(), &first).await.unwrap_err();
    assert!(matches!(error, LinkError::Expired { .. }), "{}", whole_chain(&error));
    assert!(error.to_string().contains("once more with a token"), "{error}");
    // The scheduler's own has been renewed meanwhile, or nobody would get that far.
    dial(cluster.addr(), &renewed).await.unwrap();
    cluster.join("h1", "m1").await.unwrap();
    assert_eq!(cluster.keeper.refused(), [Reason::ExpiredCertificate]);
}

/// Everything that somebody has said to a scheduler when it joined.
async fn recorded(cluster: &Cluster) -> Vec<u8> {
    let relay = TcpListener::bind(LOOPBACK).await.unwrap();
    let (addr, to) = (relay.local_addr().unwrap(), cluster.addr());
    let relaying = tokio::spawn(async move {
        let (caller, _) = relay.accept().await.unwrap();
        let (mut from_caller, mut to_caller) = caller.into_split();
        let (mut from_us, mut to_us) = TcpStream::connect(to).await.unwrap().into_split();
        let answers = tokio::spawn(async move {
            tokio::io::copy(&mut from_us, &mut to_caller).await.ok();
        });
        let (mut said, mut piece) = (Vec::new(), [0; 4096]);
        while let Ok(bytes @ 1..) = from_caller.read(&mut piece).await {
            said.extend_from_slice(&piece[..bytes]);
            to_us.write_all(&piece[..bytes]).await.unwrap();
        }
        answers.abort();
        said
    });
    join(addr, &cluster.token(Purpose::Agent), "h1", &"m1".into()).await.unwrap();
    relaying.await.unwrap()
}

#[tokio::test]
async fn a_join_that_is_said_once_more_by_somebody_else_is_refused() {
    let cluster = Cluster::new().await;
    let said = recorded(&cluster).await;
    assert!(said.len() > 500, "{}", said.len());
    let mut again = TcpStream::connect(cluster.addr()).await.unwrap();
    again.write_all(&said).await.unwrap();
    let mut answer = Vec::new();
    again.read_to_end(&mut answer).await.ok();
    while cluster.keeper.turned_away.lock().unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
    assert_eq!(cluster.keeper.refused(), [Reason::Garbage]);
}

/// A connection from an address of its own.
async fn connect_from(last: u8, to: SocketAddr) -> io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::from(([127, 0, 0, last], 0)))?;
    socket.connect(to).await
}

#[tokio::test]
async fn a_flood_from_one_address_is_cut_short_and_others_get_in() {
    let mut cluster = Cluster::new().await;
    let addr = cluster.addr();
    let flood = tokio::spawn(async move {
        let mut connected = 0;
        for _ in 0..1000 {
            let Ok(mut stream) = connect_from(66, addr).await else { continue };
            connected += 1;
            stream.write_all(b"GET / HTTP/1.1\r\n\r\n").await.ok();
        }
        connected
    });
    for i in 0..10 {
        cluster.link(&format!("h{i}")).await;
    }
    let connected = flood.await.unwrap();
    cluster.link("h10").await;
    while cluster.keeper.turned_away.lock().unwrap().len() < connected {
        sleep(Duration::from_millis(10)).await;
    }
    let refused = cluster.keeper.refused();
    let cut_short = refused.iter().filter(|&&it| it == Reason::TooMany).count();
    assert!(cut_short > 500, "{cut_short}");
    assert!(refused.contains(&Reason::Garbage));
}

#[tokio::test]
async fn the_token_is_not_shown_to_another_cluster() {
    let (ours, other) = (Cluster::new().await, Cluster::new().await);
    let token = ours.token(Purpose::Agent);
    let error = join(other.addr(), &token, "h1", &"m1".into()).await.unwrap_err();
    assert!(matches!(error, LinkError::OtherCluster { .. }), "{}", whole_chain(&error));
}

#[tokio::test]
async fn clusters_do_not_take_each_others_hosts() {
    let (ours, other) = (Cluster::new().await, Cluster::new().await);
    let error = dial(other.addr(), &ours.agent("h1")).await.unwrap_err();
    assert!(matches!(error, LinkError::OtherCluster { .. }), "{}", whole_chain(&error));

    // An agent that believes the other cluster's authority, but has a certificate of ours.
    let theirs = other.agent("h1");
    let mixed = ours.agent("h1").of_another_authority(&theirs);
    let error = dial(other.addr(), &mixed).await.unwrap_err();
    assert!(matches!(error, LinkError::Unwelcome { .. }), "{}", whole_chain(&error));
    assert_eq!(other.keeper.refused(), [Reason::ForeignCertificate, Reason::ForeignCertificate]);
}

#[tokio::test]
async fn an_agent_cannot_pass_for_a_scheduler() {
    let cluster = Cluster::new().await;
    let agent = cluster.agent("airglow-scheduler");
    let authority = Arc::clone(&cluster.authority);
    let impostor = Listener::bind(LOOPBACK, &agent, authority, Arc::new(())).await.unwrap();
    let victim = cluster.agent("h1");
    let error = dial(impostor.local_addr(), &victim).await.unwrap_err();
    assert!(matches!(error, LinkError::OtherCluster { .. }), "{}", whole_chain(&error));
    let token = cluster.token(Purpose::Agent);
    let error = join(impostor.local_addr(), &token, "h2", &"m2".into()).await.unwrap_err();
    assert!(matches!(error, LinkError::OtherCluster { .. }), "{}", whole_chain(&error));
}

#[tokio::test]
async fn schedulers_link_with_each_other() {
    let mut cluster = Cluster::new().await;
    let second = cluster.authority.issue(Role::Scheduler, "s2").unwrap();
    let (link, (peer, _)) = tokio::join!(dial(cluster.addr(), &second), cluster.listener.accept());
    assert!(link.is_ok());
    assert_eq!((peer.name.as_str(), peer.role), ("s2", Role::Scheduler));
}

#[tokio::test]
async fn neither_garbage_nor_silence_keeps_anybody_out() {
    let mut cluster = Cluster::new().await;
    let mut silent = Vec::new();
    for i in 0..100 {
        let mut stream = TcpStream::connect(cluster.addr()).await.unwrap();
        match i % 3 {
            0 => stream.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap(),
            1 => stream.write_all(&[0xff; 5000]).await.unwrap(),
            _ => {}
        }
        silent.push(stream);
    }
    // Whoever shares an address with them may have to knock again.
    let (agent, addr) = (cluster.agent("h1"), cluster.addr());
    let knocking = async {
        while let Err(error) = dial(addr, &agent).await {
            assert!(!matches!(error, LinkError::OtherCluster { .. }), "{error}");
            sleep(Duration::from_millis(10)).await;
        }
    };
    let ((), (peer, _)) = tokio::join!(knocking, cluster.listener.accept());
    assert_eq!(peer.name, "h1");

    let mut answer = Vec::new();
    // An alert, and the end, however the connection ends.
    silent[0].read_to_end(&mut answer).await.ok();
    assert!(answer.len() < 100, "{answer:?}");
}

#[tokio::test]
async fn a_stranger_may_say_little_and_must_be_quick() {
    let cluster = Cluster::new().await;
    let stranger = || async {
        let config = crate::identity::joining(&cluster.token(Purpose::Agent)).unwrap();
        let stream = TcpStream::connect(cluster.addr()).await.unwrap();
        let tls = tokio_rustls::TlsConnector::from(Arc::new(config));
        tls.connect(crate::identity::server_name(), stream).await.unwrap()
    };
    let mut long = stranger().await;
    long.write_all(&u32::try_from(LONGEST_OF_STRANGERS + 1).unwrap().to_be_bytes()).await.unwrap();
    long.flush().await.unwrap();
    assert_eq!(long.read(&mut [0; 16]).await.unwrap_or(0), 0, "it should have been cut off");

    let mut slow = stranger().await;
    slow.write_all(&100u32.to_be_bytes()).await.unwrap();
    tokio::time::pause();
    assert_eq!(slow.read(&mut [0; 16]).await.unwrap_or(0), 0, "it should have been cut off");
}

#[tokio::test]
async fn whoever_does_not_answer_is_given_up() {
    let cluster = Cluster::new().await;
    let deaf = TcpListener::bind(LOOPBACK).await.unwrap();
    let (addr, agent) = (deaf.local_addr().unwrap(), cluster.agent("h1"));
    tokio::time::pause();
    let error = dial(addr, &agent).await.unwrap_err();
    assert!(matches!(error, LinkError::Slow { .. }), "{error}");
    drop(deaf);
    tokio::time::resume();
    let error = dial(addr, &agent).await.unwrap_err();
    assert!(matches!(error, LinkError::Connect { .. }), "{error}");
}

#[tokio::test]
async fn a_message_that_is_too_long_does_not_get_far() {
    let mut cluster = Cluster::new().await;
    let (mut dialed, accepted) = cluster.link("h1").await;
    let (sender, mut receiver): Texts = accepted.split();
    let long = "x".repeat(LONGEST);
    assert_eq!(sender.send(&long), Err(Unsent::TooLong(LONGEST + 2)));
    sender.send(&"short".to_owned()).unwrap();

    // Somebody who does not check.
    dialed.frames.codec_mut().set_max_frame_length(2 * LONGEST);
    assert_eq!(dialed.hear::<String>().await.unwrap(), "short");
    let error = tokio::select! {
        biased;
        heard = receiver.next() => heard.unwrap_err(),
        said = dialed.say(&long) => panic!("that was taken: {said:?}"),
    };
    assert!(matches!(error, LinkError::Broken(_)), "{error}");
}

#[tokio::test]
async fn nonsense_ends_a_link() {
    let mut cluster = Cluster::new().await;
    let (mut dialed, accepted) = cluster.link("h1").await;
    let (_sender, mut receiver) = accepted.split::<String, String>();
    dialed.say(&17).await.unwrap();
    let error = receiver.next().await.unwrap_err();
    assert!(matches!(error, LinkError::Garbled(_)), "{error}");
}

#[tokio::test]
async fn silence_ends_a_link_however_often_it_is_looked_at() {
    let mut cluster = Cluster::new().await;
    let (_dialed, accepted) = cluster.link("h1").await;
    tokio::time::pause();
    let (_sender, mut receiver) = accepted.split::<String, String>();
    let begin = Instant::now();
    let error = loop {
        match timeout(HEARTBEAT, receiver.next()).await {
            Ok(end) => break end.unwrap_err(),
            Err(_) => assert!(begin.elapsed() <= 2 * SILENCE, "nobody noticed"),
        }
    };
    assert!(matches!(error, LinkError::Silent), "{error}");
}

#[tokio::test]
async fn both_ends_learn_of_the_end() {
    let mut cluster = Cluster::new().await;
    let (dialed, accepted) = cluster.link("h1").await;
    let (here, mut hears): Texts = dialed.split();
    let (there, heard): Texts = accepted.split();
    drop(heard);
    // Ended politely or not, nothing more is heard, and soon nothing can be sent.
    assert!(!matches!(hears.next().await, Ok(Some(_))));
    drop(hears);
    for end in [here, there] {
        while end.send(&String::new()).is_ok() {
            tokio::task::yield_now().await;
        }
        assert_eq!(end.send(&String::new()), Err(Unsent::Ended));
    }
}

#[tokio::test]
async fn what_was_queued_is_sent_before_a_link_is_closed() {
    let mut cluster = Cluster::new().await;
    let (dialed, accepted) = cluster.link("h1").await;
    let (here, _hears): Texts = dialed.split();
    let (_there, mut heard): Texts = accepted.split();
    for i in 0..1000 {
        here.send(&i.to_string()).unwrap();
    }
    drop(here);
    for i in 0..1000 {
        assert_eq!(heard.next().await.unwrap(), Some(i.to_string()));
    }
    assert_eq!(heard.next().await.unwrap(), None);
}

#[tokio::test]
async fn last_words_arrive_whatever_the_other_end_is_saying() {
    let mut cluster = Cluster::new().await;
    let (dialed, accepted) = cluster.link("h1").await;
    let (here, mut hears): Texts = dialed.split();
    let (says, heard): Texts = accepted.split();
    for i in 0..1000 {
        here.send(&i.to_string()).unwrap();
    }
    let parting = tokio::spawn(async move { part(says, heard, &"farewell".to_owned()).await });
    assert_eq!(hears.next().await.unwrap().as_deref(), Some("farewell"));
    assert_eq!(hears.next().await.unwrap(), None);
    drop((here, hears));
    parting.await.unwrap();
}

#[tokio::test]
async fn whoever_does_not_keep_up_is_not_waited_for() {
    let mut cluster = Cluster::new().await;
    let (_dialed, accepted) = cluster.link("h1").await;
    let (sender, _receiver): Texts = accepted.split();
    let long = "x".repeat(LONGEST - 2);
    let unsent = loop {
        if let Err(unsent) = sender.send(&long) {
            break unsent;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(unsent, Unsent::Behind);
}

/// The scheduler is away now and then, and forgets what it has not acknowledged.
#[tokio::test]
async fn statuses_survive_reconnects() {
    let mut cluster = Cluster::new().await;
    let agent = cluster.agent("h1");
    let addr = cluster.addr();
    let reporter = tokio::spawn(async move {
        let mut outbox = Outbox::after(0);
        for item in 1..=50u64 {
            outbox.push(item * 10);
        }
        while !outbox.is_empty() {
            let Ok(link) = dial(addr, &agent).await else { continue };
            let (sender, mut receiver) = link.split::<(u64, u64), u64>();
            for (seq, &item) in outbox.pending() {
                sender.send(&(seq, item)).unwrap();
            }
            while !outbox.is_empty()
                && let Ok(Some(seq)) = receiver.next().await
            {
                outbox.ack(seq);
            }
        }
    });
    let mut kept = BTreeSet::new();
    while kept.len() < 50 {
        let (_, link) = cluster.listener.accept().await;
        let (sender, mut receiver) = link.split::<u64, (u64, u64)>();
        for _ in 0..7 {
            let Ok(Some((seq, item))) = receiver.next().await else { break };
            assert_eq!(item, seq * 10);
            kept.insert(seq);
            sender.send(&seq).unwrap();
        }
        drop(sender);
        // The acknowledgements arrive before the link ends.
        while let Ok(Some(_)) = receiver.next().await {}
    }
    assert_eq!(kept, (1..=50).collect());
    reporter.await.unwrap();
}

#[test]
fn nothing_secret_is_printed() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::open_or_create(folder.path(), "test").unwrap();
    let token = authority.token(Purpose::Agent, 1);
    let printed = format!("{token:?} {:?}", authority.issue(Role::Agent, "h").unwrap());
    let secret = token.secret();
    assert!(!printed.contains(&secret) && !printed.contains("PRIVATE"), "{printed}");
}
