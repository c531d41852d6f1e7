//! What receivers of webhooks were told, each by its name.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

#[derive(Clone, Debug, Default)]
pub(crate) struct Notices {
    delivered: Family<Receiver, Counter>,
    failed: Family<Receiver, Counter>,
    dropped: Family<Receiver, Counter>,
    waiting: Family<Receiver, Gauge>,
}

#[derive(Clone, Debug, Eq, PartialEq, Hash, EncodeLabelSet)]
struct Receiver {
    webhook: String,
}

impl Notices {
    /// Shown from now on, even if nothing ever happens to it.
    pub(crate) fn know(&self, webhook: &str) {
        let receiver = receiver(webhook);
        drop(self.delivered.get_or_create(&receiver));
        drop(self.failed.get_or_create(&receiver));
        drop(self.dropped.get_or_create(&receiver));
        drop(self.waiting.get_or_create(&receiver));
    }

    /// It was told something, and has taken it or not.
    pub(crate) fn answered(&self, webhook: &str, is_taken: bool) {
        let counted = if is_taken { &self.delivered } else { &self.failed };
        counted.get_or_create(&receiver(webhook)).inc();
    }

    pub(crate) fn dropped(&self, webhook: &str, count: usize) {
        self.dropped.get_or_create(&receiver(webhook)).inc_by(count as u64);
    }

    pub(crate) fn waiting(&self, webhook: &str, count: usize) {
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        self.waiting.get_or_create(&receiver(webhook)).set(count);
    }

    pub(super) fn register(&self, registry: &mut Registry) {
        let it = self;
        let help = "Notices that a webhook has taken";
        registry.register("webhook_delivered", help, it.delivered.clone());
        let help = "Attempts to tell a webhook that it did not take";
        registry.register("webhook_failed", help, it.failed.clone());
        let help = "Notices that a webhook will never get";
        registry.register("webhook_dropped", help, it.dropped.clone());
        let help = "Notices that wait for a webhook";
        registry.register("webhook_waiting", help, it.waiting.clone());
    }
}

fn receiver(webhook: &str) -> Receiver {
    Receiver { webhook: webhook.to_owned() }
}
