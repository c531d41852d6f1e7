//! One receiver: what waits for it, and how it has been doing.

use airglow_kit::now;
use airglow_model::{
    machine::Timestamp,
    webhook::{Hook, Notice, NoticeId, Queue},
};

use super::delivery::{self, Address};
use crate::Stats;

pub(super) struct Post {
    pub(super) hook: Hook,
    pub(super) queue: Queue,
    address: Address,
    /// It did not take the last one that it was told.
    is_down: bool,
    /// It was said already that something is dropped, since it last took anything.
    drops: bool,
}

impl Post {
    pub(super) fn new(hook: Hook, stats: &Stats) -> Self {
        stats.notices.know(&hook.name);
        let queue = Queue::new(hook.pace.clone());
        Self { address: Address::new(&hook), queue, hook, is_down: false, drops: false }
    }

    /// What nobody has taken for too long, or of which there is too much.
    pub(super) fn give_up(&mut self, at: Timestamp) -> Vec<NoticeId> {
        let hopeless = self.queue.give_up(at);
        if !hopeless.is_empty() && !std::mem::replace(&mut self.drops, true) {
            let waiting = self.queue.len();
            tracing::warn!(webhook = %self.hook.name, waiting, "too much waits, so the oldest is dropped");
        }
        hopeless
    }

    pub(super) fn send(
        &self,
        id: NoticeId,
        notice: Notice,
        tell: impl FnOnce(Result<(), String>) + Send + 'static,
    ) {
        delivery::send(&self.address, id, notice, tell);
    }

    /// Whether that was the end of it.
    pub(super) fn answered(&mut self, id: NoticeId, answer: Result<(), String>) -> bool {
        let webhook = &self.hook.name;
        match answer {
            Ok(()) => {
                if std::mem::take(&mut self.is_down) {
                    tracing::info!(%webhook, "takes what it is told again");
                }
                self.drops = false;
                self.queue.delivered(id);
                true
            }
            Err(why) => {
                if std::mem::replace(&mut self.is_down, true) {
                    tracing::debug!(%webhook, %id, %why, "does not take what it is told");
                } else {
                    tracing::warn!(%webhook, %why, "does not take what it is told; it will be told again");
                }
                self.queue.failed(id, now());
                false
            }
        }
    }
}
