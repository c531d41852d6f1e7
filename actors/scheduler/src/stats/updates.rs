//! What becomes of updates, counted.

use airglow_model::update::Update;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};

#[derive(Clone, Debug, Default)]
pub(crate) struct Updates {
    transitions: Family<Entered, Counter>,
    instances: Family<Acted, Counter>,
}

#[derive(Clone, Debug, Eq, PartialEq, Hash, EncodeLabelSet)]
struct Entered {
    status: &'static str,
}

#[derive(Clone, Debug, Eq, PartialEq, Hash, EncodeLabelSet)]
struct Acted {
    action: &'static str,
}

impl Updates {
    /// An update has become `after`.
    pub(crate) fn stepped(&self, before: &Update, after: &Update) {
        for event in after.events.iter().skip(before.events.len()) {
            self.transitions.get_or_create(&Entered { status: event.status.name() }).inc();
        }
        for event in after.news() {
            self.instances.get_or_create(&Acted { action: event.action.name() }).inc();
        }
    }

    pub(super) fn register(&self, registry: &mut Registry) {
        let help = "Updates that came to be in a status";
        registry.register("update_transitions", help, self.transitions.clone());
        let help = "What became of instances in updates";
        registry.register("update_instance_transitions", help, self.instances.clone());
    }
}
