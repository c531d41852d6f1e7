//! A task's effects, as the switchboard passes them on.

use airglow_model::{task::Effect, view::View};

use super::Tell;

/// `None`: not for a host, or about a run that is over and forgotten.
pub(crate) fn order(view: &View, effect: Effect) -> Option<Tell> {
    effect.order(view).map(|(host, order)| Tell { host, order })
}
