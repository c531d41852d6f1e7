//! Makes backups: now and then, and when somebody asks. One at a time, on a thread that may take as
//! long as the disk does.
//!
//! One that cannot be made stops nobody. It is said, counted and shown, and tried again.

use std::{path::PathBuf, thread::Builder, time::Duration};

use actix::prelude::*;
use airglow_kit::{Incarnation, Lifeline, identity::Authority, now};
use airglow_model::backup::{Manifest, Plan};
use airglow_store::{Backup, FILE, Shelf, Store};
use tokio::{
    sync::{mpsc, oneshot},
    task::spawn_blocking,
    time::sleep,
};

use crate::{
    Backups,
    handle::AUTHORITY,
    root::{Soil, chain},
};

pub(crate) struct Archivist {
    /// Until it is started.
    work: Option<Work>,
    asks: mpsc::UnboundedSender<Reply>,
    asked: Option<mpsc::UnboundedReceiver<Reply>>,
    _lifeline: Lifeline<Incarnation>,
}

/// What making a backup takes.
#[derive(Clone, Debug)]
pub(crate) struct Work {
    cluster: String,
    plan: Plan,
    shelf: Shelf,
    store: Store,
    /// The folder that the cluster's authority is in.
    authority: PathBuf,
    backups: Backups,
}

type Reply = oneshot::Sender<Result<Backup, String>>;

/// Make one now, whether or not there is anything new.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct MakeBackup(pub(crate) Reply);

impl Archivist {
    pub(crate) fn new(work: Work, lifeline: Lifeline<Incarnation>) -> Self {
        let (asks, asked) = mpsc::unbounded_channel();
        Self { work: Some(work), asks, asked: Some(asked), _lifeline: lifeline }
    }
}

impl Actor for Archivist {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        if let (Some(work), Some(asked)) = (self.work.take(), self.asked.take()) {
            ctx.spawn(work.for_ever(asked).into_actor(self));
        }
    }
}

impl Handler<MakeBackup> for Archivist {
    type Result = ();

    fn handle(&mut self, MakeBackup(reply): MakeBackup, _: &mut Self::Context) {
        // It works as long as this actor lives.
        self.asks.send(reply).ok();
    }
}

impl Work {
    pub(crate) fn of(Soil { cluster, policy, store, stats, data, .. }: &Soil) -> Self {
        let plan = policy.backup.clone();
        let folder = plan.folder.clone().unwrap_or_else(|| data.clone());
        Self {
            cluster: cluster.clone(),
            plan,
            shelf: Shelf { folder, database: data.join(FILE) },
            store: store.clone(),
            authority: data.join(AUTHORITY),
            backups: stats.backups.clone(),
        }
    }

    async fn for_ever(self, mut asked: mpsc::UnboundedReceiver<Reply>) {
        let mut wait = self.until_due().await;
        loop {
            let reply = tokio::select! {
                Some(reply) = asked.recv() => Some(reply),
                () = pause(wait) => None,
            };
            let made = self.clone().make_apart(reply.is_some()).await;
            wait = match &made {
                Ok(_) => self.plan.every,
                Err(why) => {
                    tracing::error!(%why, "no backup was made");
                    self.backups.failed(why.clone(), now());
                    self.plan.wait_after_failure()
                }
            };
            if let Some(reply) = reply {
                // Whoever asked may not wait any more.
                reply.send(made).ok();
            }
        }
    }

    /// On a thread of its own, for which nobody waits who comes to his end meanwhile: whoever ceases
    /// to lead has to do so at once.
    async fn make_apart(self, is_asked_for: bool) -> Result<Backup, String> {
        let (tell, made) = oneshot::channel();
        let work = move || tell.send(self.make(is_asked_for)).map_err(drop).unwrap_or_default();
        let thread = Builder::new().name("backup".into()).spawn(work);
        thread.map_err(|error| format!("there is no thread to make it: {error}"))?;
        made.await.unwrap_or_else(|_| Err("making it crashed; this is a bug".into()))
    }

    async fn until_due(&self) -> Option<Duration> {
        let shelf = self.shelf.clone();
        let listed = spawn_blocking(move || shelf.list()).await;
        let ours = |it: &Backup| it.name.cluster == self.cluster;
        // If the folder cannot be read, making one will say why.
        let backups = listed.ok().and_then(Result::ok).unwrap_or_default();
        let newest = backups.iter().rev().find(|it| ours(it)).map(|it| it.name.at);
        self.plan.wait(newest, now())
    }

    fn make(&self, is_asked_for: bool) -> Result<Backup, String> {
        match self.newest_if_nothing_is_new() {
            Some(newest) if !is_asked_for => {
                self.backups.has(&newest, now());
                Ok(newest)
            }
            Some(_) | None => self.make_new(),
        }
    }

    fn make_new(&self) -> Result<Backup, String> {
        let began = now();
        let authority = Authority::export(&self.authority).map_err(|it| chain(&it))?;
        let authority = authority.ok_or("the cluster's authority is not in its folder")?;
        let version = env!("CARGO_PKG_VERSION").to_owned();
        let manifest = Manifest { cluster: self.cluster.clone(), at: began, version };
        let made = self.shelf.make(&self.store, &manifest, &authority);
        let backup = made.map_err(|it| chain(&it))?;
        self.backups.made(&backup, now().since(began), now());
        tracing::info!(path = %backup.path.display(), bytes = backup.bytes, "backed up");
        if let Err(error) = self.shelf.prune(&self.plan, &backup.name) {
            let why = format!("old backups are still there: {}", chain(&error));
            tracing::error!(%why, "backups fill the disk");
            self.backups.failed(why, now());
        }
        Ok(backup)
    }

    fn newest_if_nothing_is_new(&self) -> Option<Backup> {
        let backups = self.shelf.list().ok()?;
        let newest = backups.into_iter().rev().find(|it| it.name.cluster == self.cluster)?;
        (self.store.seq().ok()? == newest.name.seq).then_some(newest)
    }
}

async fn pause(wait: Option<Duration>) {
    match wait {
        Some(wait) => sleep(wait).await,
        None => std::future::pending().await,
    }
}
