//! Several members in one process, whose links a test can cut.

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    sync::{Mutex, MutexGuard},
};

use airglow_model::{
    host::Host,
    ids::HostId,
    record::{Change, Record, RecordKey},
};
use openraft::testing::{StoreBuilder, Suite};
use tempfile::TempDir;

use super::{
    ledger::{Ledger, Trouble},
    network::Asking,
    records::Records,
    types::{Batch, Failure, Outcome, Types},
    *,
};
use crate::{
    Gone, Scribe,
    bench::{self, Levers},
    scribe::Public,
};

struct Shelf;

impl StoreBuilder<Types, Ledger, Records, ()> for Shelf {
    async fn build(&self) -> Result<((), Ledger, Records), Failure> {
        let (store, _) = bench::store();
        let trouble = Trouble::default();
        let view = ReadModel::load(&store).unwrap();
        let records = Records {
            store: store.clone(),
            public: Public { view, feed: Feed::new(0) },
            empty: View::default(),
            proposed: Proposed::default(),
            trouble: trouble.clone(),
        };
        Ok(((), Ledger::new(store, trouble), records))
    }
}

#[test]
fn the_library_finds_that_logs_and_records_are_kept_as_it_needs_them() {
    Suite::test_all(Shelf).unwrap();
}

/// Who can be asked, and who cannot reach whom.
#[derive(Clone, Default)]
struct Street(Arc<Mutex<Town>>);

#[derive(Default)]
struct Town {
    members: BTreeMap<SocketAddr, Replica>,
    cut: BTreeSet<u64>,
}

impl Street {
    fn town(&self) -> MutexGuard<'_, Town> {
        self.0.lock().unwrap()
    }

    /// Cut off from everybody, in both directions.
    fn cut(&self, id: u64) {
        self.town().cut.insert(id);
    }

    fn heal(&self) {
        self.town().cut.clear();
    }
}

/// One member's way to the others.
struct Door(u64, Street);

impl Peers for Door {
    fn line(&self, to: &Member) -> Box<dyn PeerLine> {
        Box::new(Walk { from: self.0, to: to.mesh, street: self.1.clone() })
    }
}

struct Walk {
    from: u64,
    to: SocketAddr,
    street: Street,
}

impl PeerLine for Walk {
    fn ask(&mut self, question: Question) -> Asking<'_> {
        Box::pin(async move {
            // As it would travel.
            let question = serde_json::from_slice(&serde_json::to_vec(&question).unwrap()).unwrap();
            let other = {
                let town = self.street.town();
                let other = town.members.get(&self.to).cloned().ok_or("nobody is there")?;
                if town.cut.contains(&self.from) || town.cut.contains(&other.id()) {
                    return Err("there is no way".to_owned());
                }
                other
            };
            let answer = other.answer(question).await;
            Ok(serde_json::from_slice(&serde_json::to_vec(&answer).unwrap()).unwrap())
        })
    }
}

struct Node {
    id: u64,
    member: Member,
    store: Store,
    levers: Arc<Levers>,
    replica: Option<Replica>,
    view: ReadModel,
    failed: oneshot::Receiver<StoreError>,
}

impl Node {
    fn replica(&self) -> &Replica {
        self.replica.as_ref().unwrap()
    }

    fn hosts(&self) -> Vec<String> {
        self.view.read(|view| view.hosts.keys().map(ToString::to_string).collect())
    }
}

struct Cluster {
    street: Street,
    nodes: Vec<Node>,
    folder: TempDir,
}

impl Cluster {
    /// One member, whose store was its own before and has one commit.
    async fn found() -> Self {
        let (store, levers) = bench::store();
        store.write(0, std::iter::once(host("first").as_slice())).unwrap();
        store.found(1, member(1)).unwrap();
        let street = Street::default();
        let folder = tempfile::tempdir().unwrap();
        let mut cluster = Self { street, nodes: vec![], folder };
        cluster.open(1, store, levers);
        cluster
    }

    async fn of(count: u64) -> Self {
        let mut cluster = Self::found().await;
        for id in 2..=count {
            cluster.join(id).await;
        }
        cluster
    }

    fn open(&mut self, id: u64, store: Store, levers: Arc<Levers>) {
        let node = self.start(id, store, levers);
        self.nodes.push(node);
    }

    fn start(&self, id: u64, store: Store, levers: Arc<Levers>) -> Node {
        let view = ReadModel::load(&store).unwrap();
        let (failing, failed) = oneshot::channel();
        let setting = Setting {
            store: store.clone(),
            folder: self.folder.path().to_owned(),
            view: view.clone(),
            feed: Feed::new(store.seq().unwrap()),
            empty: View::default(),
            id: store.membership().unwrap().unwrap(),
            peers: Arc::new(Door(id, self.street.clone())),
        };
        let replica = Replica::start(setting, failing).unwrap();
        let member = member(id);
        self.street.town().members.insert(member.mesh, replica.clone());
        Node { id, member, store, levers, replica: Some(replica), view, failed }
    }

    async fn join(&mut self, id: u64) {
        let (store, levers) = bench::store();
        store.enlist(id).unwrap();
        self.open(id, store, levers);
        self.admit(id).await;
    }

    async fn admit(&self, id: u64) {
        let member = member(id);
        eventually("a leader admits it", async || {
            let leader = self.nodes.iter().find(|it| it.replica().standing().leads)?;
            leader.replica().admit(id, member.clone(), false).await.ok()
        })
        .await;
    }

    fn node(&self, id: u64) -> &Node {
        self.nodes.iter().find(|it| it.id == id).unwrap()
    }

    /// Whoever can lead, does.
    async fn leader(&self) -> (u64, Scribe, Reign) {
        eventually("somebody leads", async || {
            for node in &self.nodes {
                let Some(replica) = &node.replica else { continue };
                if let Ok((scribe, reign)) = replica.lead(vec![], |_| {}).await {
                    return Some((node.id, scribe, reign));
                }
            }
            None
        })
        .await
    }

    /// As if its process had been killed.
    async fn kill(&mut self, id: u64) {
        let node = self.nodes.iter_mut().find(|it| it.id == id).unwrap();
        self.street.town().members.remove(&node.member.mesh);
        node.replica = None;
        let (_, gone) = oneshot::channel();
        let failed = std::mem::replace(&mut node.failed, gone);
        assert!(failed.await.is_err(), "there was nothing to complain about");
    }

    async fn restart(&mut self, id: u64) {
        let index = self.nodes.iter().position(|it| it.id == id).unwrap();
        let (store, levers) = (self.nodes[index].store.clone(), self.nodes[index].levers.clone());
        self.nodes[index] = self.start(id, store, levers);
    }

    /// Everybody who is there has this in the end.
    async fn all_know(&self, names: &BTreeSet<String>) {
        for node in self.nodes.iter().filter(|it| it.replica.is_some()) {
            eventually(&format!("{} knows everything", node.id), async || {
                let known: BTreeSet<_> = node.hosts().into_iter().collect();
                (known == *names).then_some(())
            })
            .await;
            let stored = node.store.records().unwrap().len();
            assert_eq!(stored, names.len(), "{} shows what it has", node.id);
        }
    }
}

async fn eventually<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    for _ in 0..6_000 {
        if let Some(answer) = ask().await {
            return answer;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("never: {what}");
}

fn member(id: u64) -> Member {
    let port = u16::try_from(id).unwrap();
    let mesh = SocketAddr::from(([127, 0, 0, 1], port));
    Member { name: format!("s{id}"), mesh, api: format!("http://127.0.0.1:1{port:03}") }
}

fn host(name: &str) -> Vec<Change> {
    let id = HostId::from(name);
    let record = Some(Record::Host(Host::unknown(id.clone())));
    vec![Change { key: RecordKey::Host(id), record }]
}

/// Commits these, all at once; what was acknowledged.
async fn commit(scribe: &Scribe, names: impl Iterator<Item = String>) -> BTreeSet<String> {
    let asked: Vec<_> = names.map(|name| (scribe.commit(host(&name)), name)).collect();
    let mut acknowledged = BTreeSet::new();
    for (ack, name) in asked {
        if ack.await.is_ok() {
            acknowledged.insert(name);
        }
    }
    acknowledged
}

fn names(prefix: &str, count: u32) -> impl Iterator<Item = String> + use<> {
    let prefix = prefix.to_owned();
    (0..count).map(move |i| format!("{prefix}{i:03}"))
}

#[tokio::test]
async fn what_was_one_schedulers_own_is_shared_with_those_who_join() {
    let cluster = Cluster::of(3).await;
    let (_, scribe, _reign) = cluster.leader().await;
    let mut all = commit(&scribe, names("a", 100)).await;
    assert_eq!(all.len(), 100);
    all.insert("first".to_owned());
    cluster.all_know(&all).await;
    let members = cluster.nodes[0].replica().members();
    let named: Vec<_> = members.iter().map(|it| (it.member.name.as_str(), it.votes)).collect();
    assert_eq!(named, [("s1", true), ("s2", true), ("s3", true)]);
}

#[tokio::test]
async fn nothing_acknowledged_is_lost_with_the_leader() {
    let mut cluster = Cluster::of(3).await;
    let mut all: BTreeSet<_> = ["first".to_owned()].into();
    for round in 0..3 {
        let (leader, scribe, reign) = cluster.leader().await;
        let before = commit(&scribe, names(&format!("r{round}-"), 50)).await;
        assert_eq!(before.len(), 50);
        all.extend(before);
        // It goes while many wait: whoever is acknowledged is not to be lost either.
        let late: Vec<_> = names(&format!("late{round}-"), 50)
            .map(|name| (scribe.commit(host(&name)), name))
            .collect();
        drop((scribe, reign));
        cluster.street.cut(leader);
        cluster.kill(leader).await;
        for (ack, name) in late {
            if ack.await.is_ok() {
                all.insert(name);
            }
        }
        let (next, _, _reign) = cluster.leader().await;
        assert_ne!(next, leader);
        let known: BTreeSet<_> = cluster.node(next).hosts().into_iter().collect();
        assert!(all.is_subset(&known), "missing: {:?}", all.difference(&known));
        all = known;
        cluster.street.heal();
        cluster.restart(leader).await;
    }
    let (_, scribe, _reign) = cluster.leader().await;
    all.extend(commit(&scribe, names("end", 1)).await);
    cluster.all_know(&all).await;
}

#[tokio::test]
async fn a_leader_that_is_cut_off_acknowledges_nothing_and_stops_leading() {
    let cluster = Cluster::of(3).await;
    let (old, scribe, reign) = cluster.leader().await;
    cluster.street.cut(old);
    let lost = scribe.commit(host("lost"));
    assert_eq!(lost.await, Err(Gone));
    reign.ended().await;
    assert_eq!(scribe.commit(host("late")).await, Err(Gone));
    assert_eq!(cluster.node(old).replica().lead(vec![], |_| {}).await.err(), Some(NotLeading));

    let (new, scribe, _reign) = cluster.leader().await;
    assert_ne!(new, old);
    let mut all = commit(&scribe, names("n", 20)).await;
    assert_eq!(all.len(), 20);
    all.insert("first".to_owned());
    cluster.street.heal();
    cluster.all_know(&all).await;
    let leader = cluster.node(old).replica().standing().leader;
    assert_eq!(leader.map(|(id, _)| id), Some(new));
}

#[tokio::test]
async fn what_was_decided_without_knowing_the_newest_commit_is_nothing() {
    let cluster = Cluster::of(1).await;
    let (_, scribe, _reign) = cluster.leader().await;
    scribe.commit(host("h")).await.unwrap();
    let raft = &cluster.nodes[0].replica().here.raft;
    let commits: Arc<str> = serde_json::to_string(&[host("stale")]).unwrap().into();
    let batch = |after| Batch { by: 9, number: 0, after: Some(after), commits: commits.clone() };
    let stale = raft.client_write(batch(1)).await.unwrap();
    assert_eq!(stale.data, Outcome::Overtaken);
    assert_eq!(cluster.nodes[0].hosts(), ["first", "h"]);
    let known = raft.client_write(batch(2)).await.unwrap();
    assert_eq!(known.data, Outcome::Done(3));
    // The scribe does not know it in turn, and there its reign ends.
    assert_eq!(scribe.commit(host("late")).await, Err(Gone));
    assert_eq!(cluster.nodes[0].hosts(), ["first", "h", "stale"]);
}

#[tokio::test]
async fn a_member_that_has_missed_too_much_gets_a_copy() {
    let mut cluster = Cluster::of(3).await;
    let (leader, scribe, _reign) = cluster.leader().await;
    let away = if leader == 3 { 2 } else { 3 };
    cluster.kill(away).await;
    let mut all: BTreeSet<_> = ["first".to_owned()].into();
    for i in 0..20 {
        all.extend(commit(&scribe, names(&format!("c{i}-"), 10)).await);
    }
    assert_eq!(all.len(), 201);
    // The log is cut as it would be after thousands of entries.
    for node in cluster.nodes.iter().filter(|it| it.replica.is_some()) {
        let raft = &node.replica().here.raft;
        let upto = raft.metrics().borrow().last_applied.unwrap().index;
        raft.trigger().snapshot().await.unwrap();
        let built = |it: &Metrics| it.snapshot.is_some_and(|it| upto <= it.index);
        raft.wait(Some(Duration::from_secs(60))).metrics(built, "a copy").await.unwrap();
        raft.trigger().purge_log(upto).await.unwrap();
        let cut = |it: &Metrics| it.purged.is_some_and(|it| upto <= it.index);
        raft.wait(Some(Duration::from_secs(60))).metrics(cut, "a cut").await.unwrap();
    }
    cluster.restart(away).await;
    cluster.all_know(&all).await;
    all.extend(commit(&scribe, names("d", 5)).await);
    cluster.all_know(&all).await;
}

#[tokio::test]
async fn members_come_and_go_and_the_leader_may_be_one_of_them() {
    let mut cluster = Cluster::of(2).await;
    let (leader, _, reign) = cluster.leader().await;
    let named = cluster.node(leader).replica().admit(9, member(leader), false).await;
    assert_eq!(named, Err(Unchanged::Named(format!("s{leader}"))));
    let unknown = cluster.node(leader).replica().dismiss("nobody").await;
    assert_eq!(unknown, Err(Unchanged::Unknown("nobody".to_owned())));
    cluster.join(3).await;

    cluster.node(leader).replica().dismiss(&member(leader).name).await.unwrap();
    reign.ended().await;
    eventually("it knows that it is none any more", async || {
        let place = cluster.node(leader).replica().standing().place;
        (place == Place::Removed).then_some(())
    })
    .await;
    let (next, scribe, _reign) = cluster.leader().await;
    assert_ne!(next, leader);
    scribe.commit(host("without")).await.unwrap();
    let again = cluster.node(next).replica().admit(leader, member(leader), true).await;
    assert_eq!(again, Err(Unchanged::Removed(format!("s{leader}"))));

    // One that does not hear it finds out when it wants to lead.
    let other = [1, 2, 3].into_iter().find(|id| ![leader, next].contains(id)).unwrap();
    cluster.street.cut(other);
    assert_eq!(
        cluster.node(next).replica().dismiss(&member(other).name).await,
        Err(Unchanged::NoQuorum),
        "of two members, both have to agree"
    );
}

#[tokio::test]
async fn where_a_member_is_to_be_found_can_change() {
    let cluster = Cluster::of(2).await;
    let (leader, ..) = cluster.leader().await;
    let moved = Member { api: "http://elsewhere:1".to_owned(), ..member(2) };
    cluster.node(leader).replica().admit(2, moved.clone(), true).await.unwrap();
    eventually("both know", async || {
        let knows = |node: &Node| node.replica().members().iter().any(|it| it.member == moved);
        cluster.nodes.iter().all(knows).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_leader_whose_disk_is_full_makes_way() {
    let mut cluster = Cluster::of(3).await;
    let (leader, scribe, _reign) = cluster.leader().await;
    let mut all = commit(&scribe, names("before", 10)).await;
    assert_eq!(all.len(), 10);
    cluster.node(leader).levers.full.store(true, Ordering::Relaxed);
    assert_eq!(scribe.commit(host("lost")).await, Err(Gone));
    let node = cluster.nodes.iter_mut().find(|it| it.id == leader).unwrap();
    let (_, gone) = oneshot::channel();
    let error = std::mem::replace(&mut node.failed, gone).await.unwrap();
    assert!(matches!(error, StoreError::Full(_)), "{error:?}");
    node.replica = None;
    cluster.street.town().members.remove(&member(leader).mesh);

    let (next, scribe, _reign) = cluster.leader().await;
    assert_ne!(next, leader);
    all.extend(commit(&scribe, names("after", 10)).await);
    assert_eq!(all.len(), 20);
    all.insert("first".to_owned());
    cluster.all_know(&all).await;
}

#[tokio::test]
async fn everything_may_stop_at_once_and_go_on() {
    let mut cluster = Cluster::of(3).await;
    let (_, scribe, reign) = cluster.leader().await;
    let mut all = commit(&scribe, names("a", 30)).await;
    all.insert("first".to_owned());
    drop((scribe, reign));
    for id in 1..=3 {
        cluster.kill(id).await;
    }
    for id in 1..=3 {
        cluster.restart(id).await;
    }
    let (_, scribe, _reign) = cluster.leader().await;
    all.extend(commit(&scribe, names("b", 30)).await);
    assert_eq!(all.len(), 61);
    cluster.all_know(&all).await;
}
