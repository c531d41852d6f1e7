//! Where to find those who are alive now.
//!
//! Addresses die with their actors, and whole branches of the tree are started again. So nobody
//! outside a branch keeps one: they look it up here, where each branch leaves its own.

use std::sync::{Arc, PoisonError, RwLock};

use actix::Addr;
use airglow_store::Scribe;

use crate::{
    admission::Admission,
    archivist::Archivist,
    courier::Courier,
    gatekeeper::Gatekeeper,
    host::Hosts,
    hosts::{Sessions, Switchboard},
    job::Jobs,
    matchmaker::Matchmaker,
    pruner::Pruner,
    task::Tasks,
    update::Updates,
};

/// Clones are the same lines.
#[derive(Clone, Default)]
pub(crate) struct Lines(Arc<RwLock<Current>>);

#[derive(Default)]
struct Current {
    entities: Option<Entities>,
    sessions: Option<Addr<Sessions>>,
    pruner: Option<Addr<Pruner>>,
    courier: Option<Addr<Courier>>,
    archivist: Option<Addr<Archivist>>,
}

#[derive(Clone)]
pub(crate) struct Entities {
    pub(crate) admission: Addr<Admission>,
    pub(crate) matchmaker: Addr<Matchmaker>,
    pub(crate) switchboard: Addr<Switchboard>,
    pub(crate) tasks: Addr<Tasks>,
    pub(crate) jobs: Addr<Jobs>,
    pub(crate) hosts: Addr<Hosts>,
    pub(crate) updates: Addr<Updates>,
    pub(crate) gatekeeper: Addr<Gatekeeper>,
    pub(crate) scribe: Scribe,
}

impl Lines {
    pub(crate) fn entities(&self) -> Option<Entities> {
        self.read(|it| it.entities.clone())
    }

    pub(crate) fn sessions(&self) -> Option<Addr<Sessions>> {
        self.read(|it| it.sessions.clone())
    }

    pub(crate) fn have(&self, entities: Entities) {
        self.write(|it| it.entities = Some(entities));
    }

    pub(crate) fn have_sessions(&self, sessions: Addr<Sessions>) {
        self.write(|it| it.sessions = Some(sessions));
    }

    pub(crate) fn pruner(&self) -> Option<Addr<Pruner>> {
        self.read(|it| it.pruner.clone())
    }

    pub(crate) fn have_pruner(&self, pruner: Addr<Pruner>) {
        self.write(|it| it.pruner = Some(pruner));
    }

    /// Nobody looks for it, but it would end with its last address.
    pub(crate) fn have_courier(&self, courier: Addr<Courier>) {
        self.write(|it| it.courier = Some(courier));
    }

    pub(crate) fn archivist(&self) -> Option<Addr<Archivist>> {
        self.read(|it| it.archivist.clone())
    }

    pub(crate) fn have_archivist(&self, archivist: Addr<Archivist>) {
        self.write(|it| it.archivist = Some(archivist));
    }

    /// Nobody is to be found any more.
    pub(crate) fn cut(&self) {
        self.write(|it| *it = Current::default());
    }

    fn read<R>(&self, read: impl FnOnce(&Current) -> R) -> R {
        read(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn write(&self, write: impl FnOnce(&mut Current)) {
        write(&mut self.0.write().unwrap_or_else(PoisonError::into_inner));
    }
}
