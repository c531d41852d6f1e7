//! Connections that came to nothing, counted.

use airglow_kit::link::Reason;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};

#[derive(Clone, Debug)]
pub(crate) struct Refusals(Family<Refused, Counter>);

#[derive(Clone, Debug, Eq, PartialEq, Hash, EncodeLabelSet)]
struct Refused {
    reason: &'static str,
}

impl Default for Refusals {
    /// Every reason is there from the beginning, so that whoever watches sees the first.
    fn default() -> Self {
        let refusals = Self(Family::default());
        for reason in Reason::ALL {
            drop(refusals.0.get_or_create(&Refused { reason: reason.name() }));
        }
        refusals
    }
}

impl Refusals {
    pub(crate) fn count(&self, reason: Reason) {
        self.0.get_or_create(&Refused { reason: reason.name() }).inc();
    }

    pub(super) fn register(&self, registry: &mut Registry) {
        let help = "Connections to the mesh that were refused";
        registry.register("refused_connections", help, self.0.clone());
    }
}
