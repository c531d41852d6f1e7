//! A host that is asked says what it has, and what differs is corrected.

use airglow_kit::link::LONGEST;
use airglow_model::{ids::HostId, task::Status};

use crate::{Cluster, fake::capacity, job, until};

#[tokio::test]
async fn what_differs_is_found_when_somebody_asks() {
    let cluster = Cluster::start();
    let host = cluster.host("h1", capacity(4));
    host.desk.known().deaf_for = 2;
    cluster.create(2).await;
    cluster.until_all(Status::Assigned, 2).await;
    until(|| host.desk.known().deaf_for == 0, || "launches that get lost".into()).await;
    assert_eq!(cluster.scheduler.reconcile(Some(HostId::from("h2"))).await, Ok(0));
    assert_eq!(cluster.count(Status::Running), 0);
    assert_eq!(cluster.scheduler.reconcile(None).await, Ok(1));
    cluster.until_all(Status::Running, 2).await;
    assert_eq!(host.desk.known().connections, 1);
}

/// A host is to hear more than a link can hold, and the connection stays.
#[tokio::test]
async fn a_host_with_much_to_do_hears_all_of_it_on_one_connection() {
    let cluster = Cluster::start();
    let host = cluster.host("h1", capacity(4));
    host.desk.known().deaf_for = 17;
    let big = "x".repeat(LONGEST / 4);
    cluster.scheduler.create(job(17, &big, 0.1), "somebody").await.unwrap();
    until(|| host.desk.known().deaf_for == 0, || "launches that get lost".into()).await;
    assert_eq!(host.desk.known().connections, 1);
    host.desk.hang_up();
    cluster.until_all(Status::Running, 17).await;
    assert_eq!(host.desk.known().connections, 2);
}
