//! The one that says which join tokens are good.
//!
//! A token's secret is made from the authority's key and the number of its generation, so what is
//! on disk says who may join, and lets nobody.

use std::{sync::Arc, time::Duration};

use actix::prelude::*;
use airglow_kit::{Incarnation, Lifeline, identity::Authority, now};
use airglow_model::{
    joining::{Purpose, Tokens},
    record::{Change, Record, RecordKey},
};
use airglow_store::{Gone, ReadModel, Scribe};
use tokio::sync::oneshot;

use crate::{Refusal, handle::not_now, root::Soil};

pub(crate) struct Gatekeeper {
    view: ReadModel,
    scribe: Scribe,
    _lifeline: Lifeline<Incarnation>,
}

/// Tokens of this purpose that were shown to anybody are good for nothing from now on, and there is
/// another, which may be good for some time only.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Rotate {
    pub(crate) purpose: Purpose,
    pub(crate) lasts: Option<Duration>,
    pub(crate) reply: oneshot::Sender<Result<Tokens, Refusal>>,
}

impl Gatekeeper {
    pub(crate) fn new(
        (view, scribe): (ReadModel, Scribe),
        lifeline: Lifeline<Incarnation>,
    ) -> Self {
        Self { view, scribe, _lifeline: lifeline }
    }
}

impl Actor for Gatekeeper {
    type Context = Context<Self>;
}

impl Handler<Rotate> for Gatekeeper {
    type Result = ();

    fn handle(&mut self, Rotate { purpose, lasts, reply }: Rotate, ctx: &mut Self::Context) {
        let Some(tokens) = self.view.read(|view| view.tokens.clone()) else {
            // Whoever asked may not wait any more.
            return drop(reply.send(Err(not_now())));
        };
        let next = tokens.rotated(purpose, now(), lasts);
        let commit = self.scribe.commit(vec![decided(next.clone())]);
        // The next one starts from this one.
        ctx.wait(commit.into_actor(self).map(move |committed, _, _| {
            let answer = committed.map(|_| next).map_err(|Gone| Refusal::unknown());
            drop(reply.send(answer));
        }));
    }
}

fn decided(tokens: Tokens) -> Change {
    Change { key: RecordKey::Tokens, record: Some(Record::Tokens(tokens)) }
}

/// Nobody can join before this. Whether all is well with the store.
pub(crate) async fn decide(soil: &Soil) -> bool {
    let Soil { view, scribe, authority, former, .. } = soil;
    let known = view.read(|view| view.tokens.clone());
    let tokens = match known {
        Some(tokens) => tokens,
        None => {
            let first = Tokens::first(now(), former.clone());
            if scribe.commit(vec![decided(first.clone())]).await.is_err() {
                return false;
            }
            first
        }
    };
    publish(authority, tokens).await;
    true
}

/// Leaves the agents' token in the file where people look for it.
pub(crate) async fn publish(authority: &Arc<Authority>, tokens: Tokens) {
    let authority = Arc::clone(authority);
    let published = tokio::task::spawn_blocking(move || authority.publish(&tokens)).await;
    if let Ok(Err(error)) = published {
        let error: &dyn std::error::Error = &error;
        tracing::error!(error, "the file join-token does not have the agents' token");
    }
}
