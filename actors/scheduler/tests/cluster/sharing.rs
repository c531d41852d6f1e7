//! Schedulers that share their records, each with its own folder and mesh, in one process.

use std::{fs, path::Path};

use airglow_model::{ids::JobKey, policy::Policy};
use airglow_scheduler::{
    Config, Member, Past, Peering, Refusal, Scheduler, Standing, StartError, recruit,
};
use tempfile::TempDir;

use crate::{ANY, job_of, limits, until};

struct Node {
    name: &'static str,
    data: TempDir,
    scheduler: Scheduler,
}

impl Node {
    /// The first of a cluster.
    fn first() -> Self {
        let data = tempfile::tempdir().unwrap();
        let scheduler = start(data.path(), "s1", None).unwrap();
        Self { name: "s1", data, scheduler }
    }

    /// One that has been given the authority of `first`, and asks to be one of them.
    fn beside(first: &Self, name: &'static str) -> Self {
        let data = tempfile::tempdir().unwrap();
        trust(first.data.path(), data.path());
        let scheduler = start(data.path(), name, Some(first)).unwrap();
        Self { name, data, scheduler }
    }

    fn leads(&self) -> bool {
        self.scheduler.standing() == Standing::Leads
    }

    fn voters(&self) -> usize {
        self.scheduler.members().iter().filter(|it| it.votes).count()
    }

    async fn create(&self, role: &str) -> Result<(), Refusal> {
        self.scheduler.create(job_of(role, 1, "echo", 0.1), "somebody").await
    }

    fn roles(&self) -> Vec<String> {
        let role = |it: &JobKey| it.role.to_string();
        self.scheduler.view().read(|view| view.jobs.keys().map(role).collect())
    }
}

fn trust(from: &Path, to: &Path) {
    let (from, to) = (from.join("authority"), to.join("authority"));
    fs::create_dir_all(&to).unwrap();
    for file in fs::read_dir(from).unwrap().flatten() {
        fs::copy(file.path(), to.join(file.file_name())).unwrap();
    }
}

fn start(data: &Path, name: &str, join: Option<&Node>) -> Result<Scheduler, StartError> {
    start_as(data, (name, "test"), join)
}

fn start_as(
    data: &Path,
    (name, cluster): (&str, &str),
    join: Option<&Node>,
) -> Result<Scheduler, StartError> {
    let config = Config {
        data: data.to_owned(),
        cluster: cluster.to_owned(),
        mesh: ANY.parse().unwrap(),
        limits: limits(),
        policy: Policy::default(),
    };
    let peering = Peering {
        name: name.to_owned(),
        ip: None,
        api: format!("http://{name}.localhost"),
        join: join.into_iter().map(|it| it.scheduler.mesh_addr()).collect(),
    };
    if join.is_some() {
        assert_ne!(recruit(data)?, Past::Own);
    }
    Scheduler::start_among(config, peering)
}

async fn three() -> Vec<Node> {
    let first = Node::first();
    first.create("before").await.unwrap();
    let nodes = ["s2", "s3"].map(|name| Node::beside(&first, name));
    let nodes: Vec<_> = [first].into_iter().chain(nodes).collect();
    let all_vote = || nodes.iter().all(|it| it.voters() == 3);
    until(all_vote, || format!("{:?}", nodes[0].scheduler.members())).await;
    nodes
}

async fn leader(nodes: &[Node]) -> usize {
    let leads = || nodes.iter().position(Node::leads);
    until(|| leads().is_some(), || "a leader".to_owned()).await;
    leads().unwrap()
}

async fn all_have(nodes: &[Node], roles: &[&str]) {
    let have = || nodes.iter().all(|it| it.roles() == roles);
    until(have, || nodes.iter().map(|it| format!("{:?} ", it.roles())).collect()).await;
}

#[tokio::test]
async fn what_one_scheduler_decided_alone_goes_on_among_three() {
    let nodes = three().await;
    let first = leader(&nodes).await;
    nodes[first].create("one").await.unwrap();
    all_have(&nodes, &["before", "one"]).await;

    let follower = &nodes[(first + 1) % 3];
    let Standing::Follows(Some(Member { name, api, .. })) = follower.scheduler.standing() else {
        panic!("{:?}", follower.scheduler.standing());
    };
    assert_eq!((name.as_str(), api), (nodes[first].name, format!("http://{name}.localhost")));
    let refused = follower.create("nobody").await;
    assert!(matches!(refused, Err(Refusal::NotNow(_))), "{refused:?}");

    nodes[first].scheduler.stop();
    let rest: Vec<_> =
        nodes.into_iter().enumerate().filter(|(i, _)| *i != first).map(|(_, it)| it).collect();
    let second = leader(&rest).await;
    assert_eq!(rest[second].roles(), ["before", "one"], "nothing is lost, and known at once");
    rest[second].create("two").await.unwrap();
    all_have(&rest, &["before", "one", "two"]).await;
}

#[tokio::test]
async fn without_most_of_the_others_nothing_is_decided() {
    let nodes = three().await;
    let first = leader(&nodes).await;
    for (index, node) in nodes.iter().enumerate() {
        if index != first {
            node.scheduler.stop();
        }
    }
    let last = &nodes[first];
    until(|| !last.leads(), || "an end of its reign".to_owned()).await;
    let refused = last.create("nobody").await;
    // Those who decide may still be about to fall, and then nobody knows.
    let is_no = matches!(refused, Err(Refusal::NotNow(_) | Refusal::Unknown(_)));
    assert!(is_no, "{refused:?}");
    assert_eq!(last.roles(), ["before"]);
}

#[tokio::test]
async fn a_member_is_found_again_where_it_is_after_its_restart() {
    let mut nodes = three().await;
    let first = leader(&nodes).await;
    let away = (first + 1) % 3;
    nodes[away].scheduler.stop();
    nodes[first].create("meanwhile").await.unwrap();
    // Without being told whom to join: its own records say who the others are. Its port is another.
    nodes[away].scheduler = start(nodes[away].data.path(), nodes[away].name, None).unwrap();
    let mesh = nodes[away].scheduler.mesh_addr();
    let known = || {
        let knows = |node: &Node| node.scheduler.members().iter().any(|it| it.member.mesh == mesh);
        nodes.iter().all(knows)
    };
    until(known, || format!("{:?}", nodes[first].scheduler.members())).await;
    all_have(&nodes, &["before", "meanwhile"]).await;
}

#[tokio::test]
async fn whoever_is_removed_stops_and_says_why() {
    let nodes = three().await;
    let first = leader(&nodes).await;
    let gone = &nodes[(first + 1) % 3];
    let refused = nodes[first].scheduler.dismiss("nobody").await;
    assert_eq!(refused, Err(Refusal::NoSuchMember("nobody".to_owned())));
    nodes[first].scheduler.dismiss(gone.name).await.unwrap();
    let failure = gone.scheduler.failed().await;
    assert!(failure.to_string().contains("removed from the cluster"), "{failure}");
    until(|| nodes[first].voters() == 2, || "two".to_owned()).await;
}

#[tokio::test]
async fn the_leader_may_be_removed_and_another_one_leads() {
    let mut nodes = three().await;
    let gone = nodes.swap_remove(leader(&nodes).await);
    gone.create("one").await.unwrap();
    gone.scheduler.dismiss(gone.name).await.unwrap();
    let failure = gone.scheduler.failed().await;
    assert!(failure.to_string().contains("removed from the cluster"), "{failure}");
    let next = leader(&nodes).await;
    nodes[next].create("two").await.unwrap();
    assert_eq!(nodes[next].voters(), 2);
    all_have(&nodes, &["before", "one", "two"]).await;
}

#[tokio::test]
async fn a_scheduler_of_another_name_is_told_what_the_cluster_is_called() {
    let first = Node::first();
    let data = tempfile::tempdir().unwrap();
    trust(first.data.path(), data.path());
    let other = start_as(data.path(), ("s2", "west"), Some(&first)).unwrap();
    let failure = other.failed().await;
    assert!(failure.to_string().contains("is called test, not west"), "{failure}");
}

#[tokio::test]
async fn a_scheduler_with_records_of_its_own_joins_nobody() {
    let other = Node::first();
    other.create("own").await.unwrap();
    other.scheduler.stop();
    assert_eq!(recruit(other.data.path()).unwrap(), Past::Own);
    let again = start(other.data.path(), "s1", None).unwrap();
    assert_eq!(again.view().read(|it| it.jobs.len()), 1, "nothing was changed");
}
