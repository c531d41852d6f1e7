//! This host's certificate, which is followed by another in time, and what it does if it is not
//! wanted any more.

use std::time::Duration;

use actix::prelude::*;
use airglow_kit::{To, identity::Request, now};
use airglow_model::{run::Event, wire::ToScheduler};

use super::Uplink;
use crate::{calling::SpokenVersion, runner::Happened};

/// How long it is at least, and at most, until the certificate is looked at again; and how long
/// one waits for another.
const SHORTEST_LOOK: Duration = Duration::from_millis(100);
const LONGEST_LOOK: Duration = Duration::from_secs(60);
const LOOK_AGAIN: Duration = Duration::from_secs(10);

/// Schedulers that speak an older version hang up on whoever asks.
const RENEWS_SINCE: SpokenVersion = 2;

impl Uplink {
    /// Asks for another certificate if this one is due.
    pub(super) fn ask_for_renewal(&mut self) {
        let can = self.link.is_some() && RENEWS_SINCE <= self.spoken;
        if !can || now() < self.contact.certificate.renew_at() {
            return;
        }
        let request = match Request::new(&self.known.id.0) {
            Ok(request) => request,
            Err(error) => return tracing::error!(%error, "cannot ask for another certificate"),
        };
        let machine = self.contact.certificate.machine();
        let renew = ToScheduler::Renew { machine, request: request.pem().to_owned() };
        self.renewing = Some(request);
        self.say(&renew);
    }

    /// Again and again: there may be no answer, and the clock may be set.
    pub(super) fn stay_certified(&mut self, ctx: &mut Context<Self>) {
        self.ask_for_renewal();
        let wait = match self.contact.certificate.renew_at().since(now()) {
            Duration::ZERO => LOOK_AGAIN,
            wait => wait.clamp(SHORTEST_LOOK, LONGEST_LOOK),
        };
        ctx.run_later(wait, Self::stay_certified);
    }

    pub(super) fn renewed(&mut self, chain: String, ctx: &mut Context<Self>) {
        let Some(request) = self.renewing.take() else { return };
        let certificate = self.contact.certificate.clone();
        let kept = self.known.workers.run(move || certificate.renewed(request, &chain));
        ctx.spawn(kept.into_actor(self).map(|kept, _, _| match kept {
            Ok(()) => tracing::info!("this host's certificate was renewed"),
            Err(error) => tracing::error!(%error, "cannot renew this host's certificate"),
        }));
    }

    /// This host is no part of the cluster any more, and others run what it ran.
    pub(super) fn evict(&self) {
        for task in self.inventory.all().filter(|it| !it.state.is_terminal()) {
            let message = "This host was removed from the cluster.".to_owned();
            let asked = Event::KillAsked { message, within_ms: None };
            self.runners.do_send(To(task.task_id.clone(), Happened(vec![asked])));
        }
    }
}
