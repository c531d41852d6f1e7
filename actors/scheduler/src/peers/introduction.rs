//! How a scheduler comes to share the records of others, and says where it is to be found.
//!
//! It asks again and again: those who are asked may be starting, looking for a leader, or busy with
//! bringing this one up to date.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use airglow_kit::link::LinkError;
use tokio::time::{sleep, timeout};

use super::{Ask, Asked, House, Said, Told, Ways};

/// How long somebody may think about the question.
const PATIENCE: Duration = Duration::from_secs(5);
const AGAIN_AFTER: Duration = Duration::from_millis(300);

/// Comes back when the others know of this scheduler, or with why they do not want it.
pub(crate) async fn introduce(
    house: Arc<House>,
    ways: Ways,
    join: Vec<SocketAddr>,
) -> Result<(), String> {
    let mut said_why = String::new();
    let mut hint = None;
    loop {
        let Some(replica) = house.replica() else { return Ok(()) };
        let (standing, id) = (replica.standing(), replica.id());
        if standing.leads {
            // It leads, so it is one of them.
            if replica.admit(id, house.me.clone(), true).await.is_ok() {
                return Ok(());
            }
        }
        let was_one = replica.has_belonged();
        drop(replica);
        let known =
            hint.take().into_iter().chain(house.acquaintances()).chain(join.iter().copied());
        let known: Vec<_> = known.collect();
        if known.is_empty() && !was_one && said_why.is_empty() {
            said_why = "it is not known where the others are: say --join HOST:PORT".to_owned();
            tracing::warn!("cannot ask to share the records: {said_why}");
        }
        for addr in known {
            let (member, cluster) = (house.me.clone(), house.cluster.clone());
            let asked = Asked::Join { id, member, cluster, was_one };
            match ask(&ways, addr, asked).await {
                Ok(Said::Joined) => return Ok(()),
                Ok(Said::Refused(why)) => return Err(why),
                Ok(Said::Elsewhere(leader)) => {
                    hint = Some(leader);
                    break;
                }
                Ok(Said::Wait) => break,
                Ok(Said::Raft(_) | Said::Nobody) => {}
                Err(error) => {
                    let why = error.to_string();
                    if said_why != why {
                        tracing::info!(%addr, why, "cannot ask to share the records, trying again");
                        said_why = why;
                    }
                }
            }
        }
        sleep(AGAIN_AFTER).await;
    }
}

async fn ask(ways: &Ways, addr: SocketAddr, what: Asked) -> Result<Said, LinkError> {
    let (says, mut hears) = ways.dial(addr).await?.split::<Ask, Told>();
    // Should it not be sent, the link has ended, and the receiver says so.
    says.send(&Ask { number: 1, what }).ok();
    let slow = LinkError::Slow { addr };
    let told = timeout(PATIENCE, hears.next()).await.map_err(|_| slow)??;
    told.map(|it| it.what).ok_or(LinkError::Slow { addr })
}
