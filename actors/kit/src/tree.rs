//! Fixed children, and who shares whose fate.
//!
//! A *branch* is a group of actors on a thread of its own. They know each other's addresses, so
//! they live and die together (OTP's `one_for_all`): when one ends, the thread is stopped, which
//! ends the others wherever they are, and the branch starts again. Branches may know those before
//! them, so those after it start again as well (`rest_for_one`). Stopping the thread, instead of
//! asking each actor to stop, is what makes sure that no actor of the old branch does anything
//! after the first of the new one has started. The price: a branch that starts must not wait for
//! anything on the tree's own thread, which waits for the branch.

use std::{
    collections::BTreeMap,
    pin::Pin,
    sync::{Arc, mpsc},
};

use actix::{WeakRecipient, prelude::*};
use airglow_model::restart::{Budget, Intensity};

use crate::{Exit, Exited, Lifeline, now};

/// Starts its branches in order, and restarts them.
pub struct Tree {
    branches: Vec<Branch>,
    running: BTreeMap<usize, Running>,
    intensity: Intensity,
    budget: Budget,
    incarnation: u64,
    gave_up: Option<GiveUp>,
}

type GiveUp = Box<dyn FnOnce(String)>;

pub struct Branch {
    name: &'static str,
    start: StartBranch,
}

type StartBranch = Arc<dyn Fn(Fate) -> Pin<Box<dyn Future<Output = ()>>> + Send + Sync>;

struct Running {
    arbiter: Arbiter,
    incarnation: u64,
}

/// What the actors of a branch share.
#[derive(Clone, Debug)]
pub struct Fate {
    key: Incarnation,
    tree: WeakRecipient<Exited<Incarnation>>,
}

/// Which branch, and which of its lives: the end of an earlier one is no news.
pub type Incarnation = (usize, u64);

/// Answered when every branch has been started.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Grown;

/// Ends the branches, the last one first, and then the tree.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Fell;

impl Branch {
    /// `start` runs on the branch's thread, and gives each actor that it starts a lifeline. The
    /// next branch starts when it is done.
    pub fn new<F>(name: &'static str, start: impl Fn(Fate) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = ()> + 'static,
    {
        Self { name, start: Arc::new(move |fate| Box::pin(start(fate))) }
    }
}

impl Fate {
    pub fn lifeline(&self) -> Lifeline<Incarnation> {
        Lifeline::new(self.key, self.tree.clone())
    }
}

impl Tree {
    /// `gave_up` is told, once, what crashed once too often; by then everything has been stopped.
    pub fn new(
        intensity: Intensity,
        branches: Vec<Branch>,
        gave_up: impl FnOnce(String) + 'static,
    ) -> Self {
        Self {
            branches,
            running: BTreeMap::new(),
            intensity,
            budget: Budget::default(),
            incarnation: 0,
            gave_up: Some(Box::new(gave_up)),
        }
    }

    /// Starts this branch and those after it.
    fn grow(&mut self, from: usize, ctx: &Context<Self>) {
        for index in from..self.branches.len() {
            self.incarnation += 1;
            let fate = Fate {
                key: (index, self.incarnation),
                tree: ctx.address().recipient().downgrade(),
            };
            let arbiter = Arbiter::new();
            let start = self.branches[index].start.clone();
            let (started, is_started) = mpsc::channel();
            arbiter.spawn_fn(move || {
                actix_rt::spawn(async move {
                    start(fate).await;
                    started.send(()).ok();
                });
            });
            let incarnation = self.incarnation;
            self.running.insert(index, Running { arbiter, incarnation });
            if let Err(mpsc::RecvError) = is_started.recv() {
                let exit = Exit::Crashed("it cannot start".into());
                ctx.address().do_send(Exited { key: (index, incarnation), exit });
                return;
            }
        }
    }

    /// Ends this branch and those after it, the last one first.
    fn fell(&mut self, from: usize) {
        for (_, Running { arbiter, .. }) in self.running.split_off(&from).into_iter().rev() {
            arbiter.stop();
            if arbiter.join().is_err() {
                tracing::error!("a thread of the tree panicked while it was stopped");
            }
        }
    }
}

impl Actor for Tree {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        // An actor whose thread is stopped before its first turn is still told that it starts.
        if ctx.state() == ActorState::Running {
            self.grow(0, ctx);
        }
    }

    fn stopped(&mut self, _: &mut Self::Context) {
        self.fell(0);
    }
}

impl Handler<Exited<Incarnation>> for Tree {
    type Result = ();

    fn handle(&mut self, Exited { key, exit }: Exited<Incarnation>, ctx: &mut Context<Self>) {
        let (index, incarnation) = key;
        if self.running.get(&index).is_none_or(|it| it.incarnation != incarnation) {
            return;
        }
        let name = self.branches[index].name;
        let why = match exit {
            Exit::Crashed(why) => why,
            Exit::Normal => "it ended by itself".to_owned(),
        };
        if self.budget.spend(now(), self.intensity) {
            tracing::error!(name, why, "crashed, restarting it and what depends on it");
            self.fell(index);
            self.grow(index, ctx);
        } else {
            tracing::error!(name, why, "keeps crashing, giving up");
            self.fell(0);
            if let Some(gave_up) = self.gave_up.take() {
                gave_up(format!("{name} keeps crashing: {why}"));
            }
            ctx.stop();
        }
    }
}

impl Handler<Grown> for Tree {
    type Result = ();

    fn handle(&mut self, _: Grown, _: &mut Self::Context) {}
}

impl Handler<Fell> for Tree {
    type Result = ();

    fn handle(&mut self, _: Fell, ctx: &mut Self::Context) {
        self.fell(0);
        ctx.stop();
    }
}

#[cfg(test)]
mod tests;
