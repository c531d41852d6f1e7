use std::{collections::BTreeSet, net::Ipv4Addr};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use super::*;
use crate::{
    identity::{Authority, Identity, JoinToken, Role},
    outbox::Outbox,
};

const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// A cluster of one scheduler, and whoever comes.
struct Cluster {
    authority: Arc<Authority>,
    listener: Listener,
    _folder: tempfile::TempDir,
}

impl Cluster {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let authority = Arc::new(Authority::open_or_create(folder.path(), "test").unwrap());
        let scheduler = authority.issue(Role::Scheduler, "s1").unwrap();
        let listener = Listener::bind(LOOPBACK, &scheduler, Arc::clone(&authority)).await.unwrap();
        Self { authority, listener, _folder: folder }
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

type Texts = (Sender<String>, Receiver<String>);

fn whole_chain(error: &dyn std::error::Error) -> String {
    let source = error.source().map_or_else(String::new, |it| format!(": {}", whole_chain(it)));
    format!("{error}{source}")
}

#[tokio::test]
async fn a_host_joins_with_the_token_and_is_known_by_its_name() {
    let mut cluster = Cluster::new().await;
    let pasted: JoinToken = cluster.authority.token().to_string().parse().unwrap();
    let identity = join(cluster.addr(), &pasted, "rack-1.example").await.unwrap();
    assert_eq!((identity.name(), identity.role()), ("rack-1.example", Role::Agent));

    let (link, (peer, other)) =
        tokio::join!(dial(cluster.addr(), &identity), cluster.listener.accept());
    assert_eq!((peer.name.as_str(), peer.role), ("rack-1.example", Role::Agent));
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
    let right = cluster.authority.token().clone();
    let text = right.to_string();
    let (public, secret) = text.rsplit_once('-').unwrap();
    let flipped = secret.chars().rev().collect::<String>();
    let wrong: JoinToken = format!("{public}-{flipped}").parse().unwrap();
    let refused = join(cluster.addr(), &wrong, "h1").await.unwrap_err();
    assert!(refused.to_string().ends_with("refuses: the join token is wrong"), "{refused}");
    let refused = join(cluster.addr(), &right, "h/1").await.unwrap_err();
    assert!(matches!(refused, LinkError::Refused { .. }), "{refused}");
}

#[tokio::test]
async fn the_token_is_not_shown_to_another_cluster() {
    let (ours, other) = (Cluster::new().await, Cluster::new().await);
    let error = join(other.addr(), ours.authority.token(), "h1").await.unwrap_err();
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
}

#[tokio::test]
async fn an_agent_cannot_pass_for_a_scheduler() {
    let cluster = Cluster::new().await;
    let agent = cluster.agent("airglow-scheduler");
    let impostor = Listener::bind(LOOPBACK, &agent, Arc::clone(&cluster.authority)).await.unwrap();
    let victim = cluster.agent("h1");
    let error = dial(impostor.local_addr(), &victim).await.unwrap_err();
    assert!(matches!(error, LinkError::OtherCluster { .. }), "{}", whole_chain(&error));
    let error = join(impostor.local_addr(), cluster.authority.token(), "h2").await.unwrap_err();
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
    cluster.link("h1").await;

    let mut answer = Vec::new();
    // An alert, and the end, however the connection ends.
    silent[0].read_to_end(&mut answer).await.ok();
    assert!(answer.len() < 100, "{answer:?}");
}

#[tokio::test]
async fn a_stranger_may_say_little_and_must_be_quick() {
    let cluster = Cluster::new().await;
    let stranger = || async {
        let config = crate::identity::joining(cluster.authority.token()).unwrap();
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
    let printed =
        format!("{:?} {:?}", authority.token(), authority.issue(Role::Agent, "h").unwrap());
    let secret = authority.token().secret();
    assert!(!printed.contains(&secret) && !printed.contains("PRIVATE"), "{printed}");
}
