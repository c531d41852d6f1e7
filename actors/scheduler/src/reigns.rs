//! When this scheduler decides: always, as long as it is alone; while it leads, if it shares its
//! records with others.
//!
//! ```text
//!   alone ──somebody wants to join──► follows ◄──most of the others do not answer──┐
//!                                        └──is elected, knows all that was committed──► leads
//! ```
//! Everything that decides grows when a reign begins and falls when it ends, whole: what leads is
//! the same code as what is alone, started as after a crash. Nobody who was not answered by then is
//! told anything but that nothing is known.

use std::{net::SocketAddr, path::PathBuf, sync::Arc};

use airglow_kit::link::{self, Link, Peer};
use airglow_model::{
    view::View,
    webhook::Hook,
    wire::{ToExecutor, ToScheduler},
};
use airglow_store::{
    Feed, Member, Place, ReadModel, Replica, Scribe, Setting, Store, StoreError, Written,
};
use tokio::sync::{oneshot, watch};

use crate::{
    Failure, Stats,
    peers::{Gate, House, Ways, introduce},
    root::{Plant, chain, stand},
};

/// Whether this scheduler decides, and who does if not.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Standing {
    Leads,
    /// Another does, as far as it is known.
    Follows(Option<Member>),
}

/// Where it remembers.
pub(crate) enum Memory {
    /// In records of its own.
    Own(Scribe),
    /// In records that it shares with others.
    Shared(Replica),
}

/// What it takes to share records.
pub(crate) struct Sharing {
    pub(crate) house: Arc<House>,
    pub(crate) ways: Ways,
    pub(crate) join: Vec<SocketAddr>,
    pub(crate) folder: PathBuf,
    pub(crate) books: (Store, ReadModel, Feed),
    pub(crate) empty: View,
    pub(crate) hooks: Vec<Hook>,
    pub(crate) stats: Stats,
}

pub(crate) struct Reigns {
    pub(crate) plant: Plant,
    pub(crate) sharing: Sharing,
    pub(crate) gate: Gate,
    pub(crate) store_failed: oneshot::Receiver<StoreError>,
    pub(crate) stop: oneshot::Receiver<()>,
    pub(crate) standing: watch::Sender<Standing>,
}

/// Why something came to its end.
enum End {
    Told,
    Failed(Failure),
    /// Another one is to share the records.
    Wanted,
    /// The reign is over.
    Over,
}

impl Sharing {
    /// A member, by what the store says about that.
    pub(crate) fn replica(
        &self,
        id: u64,
    ) -> Result<(Replica, oneshot::Receiver<StoreError>), StoreError> {
        let (failing, failed) = oneshot::channel();
        let (store, view, feed) = self.books.clone();
        let peers = Arc::new(self.ways.clone());
        let (folder, empty) = (self.folder.clone(), self.empty.clone());
        let setting = Setting { store, folder, view, feed, empty, id, peers };
        Ok((Replica::start(setting, failing)?, failed))
    }
}

impl Reigns {
    /// Runs the scheduler until it is told to stop, or cannot go on and says why.
    pub(crate) async fn run(mut self, memory: Memory, ready: impl FnOnce()) -> Option<Failure> {
        let end = match memory {
            Memory::Shared(replica) => {
                ready();
                self.share(replica).await
            }
            Memory::Own(scribe) => match self.alone(scribe, ready).await {
                End::Wanted => match self.found().await {
                    Ok(replica) => self.share(replica).await,
                    Err(error) => End::Failed(Failure(chain(&error))),
                },
                end @ (End::Told | End::Failed(_) | End::Over) => end,
            },
        };
        let Self { plant, sharing, gate, store_failed, .. } = self;
        sharing.house.leave();
        drop((plant, sharing, gate));
        match end {
            End::Failed(failure) => Some(failure),
            End::Told | End::Wanted | End::Over => {
                // It ends when all who could ask anything have; then the database is closed.
                store_failed.await.ok();
                None
            }
        }
    }

    async fn alone(&mut self, scribe: Scribe, ready: impl FnOnce()) -> End {
        let Self { plant, sharing, gate, store_failed, stop, standing } = self;
        let soil = plant(scribe);
        let until = async {
            tokio::select! {
                _ = stop => End::Told,
                Ok(error) = store_failed => End::Failed(Failure(chain(&error))),
                () = sharing.house.is_wanted() => End::Wanted,
            }
        };
        let until = then_follows(until, standing);
        standing.send_replace(Standing::Leads);
        let end = stand(soil, gate, until, ready).await;
        standing.send_replace(Standing::Follows(None));
        end.unwrap_or_else(End::Failed)
    }

    /// Makes what was this scheduler's own the beginning of what it shares.
    async fn found(&mut self) -> Result<Replica, StoreError> {
        // The scribe ends with the last who could ask it, and has written everything by then.
        if let Ok(error) = (&mut self.store_failed).await {
            return Err(error);
        }
        tracing::info!("another scheduler wants to join, from now on records are shared");
        let id = number();
        self.sharing.books.0.found(id, self.sharing.house.me.clone())?;
        let (replica, failed) = self.sharing.replica(id)?;
        self.store_failed = failed;
        Ok(replica)
    }

    async fn share(&mut self, replica: Replica) -> End {
        self.sharing.house.have(replica.clone());
        let (refusing, mut refused) = oneshot::channel();
        let Sharing { house, ways, join, .. } = &self.sharing;
        let introduction = introduce(Arc::clone(house), ways.clone(), join.clone());
        let introduction = self.gate.runtime().spawn(async {
            if let Err(why) = introduction.await {
                // If nobody wants to know, it has ended.
                refusing.send(why).ok();
            }
        });
        let end = loop {
            match self.follow(&replica, &mut refused).await {
                End::Over => {}
                end @ (End::Told | End::Failed(_) | End::Wanted) => break end,
            }
            match self.lead(&replica).await {
                End::Over => {}
                end @ (End::Told | End::Failed(_) | End::Wanted) => break end,
            }
        };
        introduction.abort();
        end
    }

    /// Until this scheduler is to lead.
    async fn follow(&mut self, replica: &Replica, refused: &mut oneshot::Receiver<String>) -> End {
        let is_refused = "this scheduler may not share the records of the others: ";
        loop {
            let state = replica.standing();
            if state.leads {
                return End::Over;
            }
            if state.place == Place::Removed {
                return End::Failed(Failure(removed()));
            }
            if let Ok(why) = refused.try_recv() {
                return End::Failed(Failure(format!("{is_refused}{why}")));
            }
            let leader = state.leader.filter(|(id, _)| *id != replica.id()).map(|(_, it)| it);
            let now = Standing::Follows(leader.clone());
            self.standing.send_if_modified(|it| {
                let is_news = *it != now;
                it.clone_from(&now);
                is_news
            });
            tokio::select! {
                () = replica.news() => {}
                arrival = self.gate.arrival() => {
                    let schedulers = self.sharing.house.schedulers();
                    let leader = leader.map(|it| it.mesh);
                    self.gate.runtime().spawn(send_on(arrival, leader, schedulers));
                }
                _ = &mut self.stop => return End::Told,
                Ok(error) = &mut self.store_failed => return End::Failed(Failure(chain(&error))),
            }
        }
    }

    /// As long as it does.
    async fn lead(&mut self, replica: &Replica) -> End {
        let Self { plant, sharing, gate, store_failed, stop, standing } = self;
        let counted = sharing.stats.clone();
        let tell_of = move |it: Written| counted.written(it);
        let Ok((scribe, reign)) = replica.lead(sharing.hooks.clone(), tell_of).await else {
            // Somebody else does by now, or nobody.
            replica.news().await;
            return End::Over;
        };
        tracing::info!(term = replica.standing().term, "this scheduler leads");
        let soil = plant(scribe);
        let until = async {
            tokio::select! {
                _ = stop => End::Told,
                Ok(error) = store_failed => End::Failed(Failure(chain(&error))),
                () = reign.ended() => End::Over,
            }
        };
        let until = then_follows(until, standing);
        let grown = || drop(standing.send_replace(Standing::Leads));
        let end = stand(soil, gate, until, grown).await;
        standing.send_replace(Standing::Follows(None));
        drop(reign);
        tracing::info!("this scheduler leads no more");
        end.unwrap_or_else(End::Failed)
    }
}

/// Says that it decides no more before everything falls, which takes its time.
async fn then_follows(until: impl Future<Output = End>, standing: &watch::Sender<Standing>) -> End {
    let end = until.await;
    standing.send_replace(Standing::Follows(None));
    end
}

/// A host that has come to a scheduler that cannot help it.
async fn send_on(
    (peer, link): (Peer, Link),
    leader: Option<SocketAddr>,
    schedulers: Vec<SocketAddr>,
) {
    tracing::debug!(host = peer.name, ?leader, ?schedulers, "sent on");
    let (says, hears) = link.split::<ToExecutor, ToScheduler>();
    link::part(says, hears, &ToExecutor::Elsewhere { leader, schedulers }).await;
}

/// One that no other scheduler has.
pub(crate) fn number() -> u64 {
    u64::from_le_bytes(airglow_kit::identity::random())
}

fn removed() -> String {
    "this scheduler has been removed from the cluster: to have it join again, move its data folder's \
     `scheduler` away; else start the agent without --scheduler"
        .to_owned()
}
