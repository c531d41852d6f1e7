//! Whole updates, as stories.

use super::*;

pub(super) fn settings() -> Settings {
    Settings {
        strategy: Strategy::Queue { size: 1 },
        watch_ms: 2000,
        failures_of_instance_max: 0,
        failed_instances_max: 0,
        rollback_on_failure: true,
        pulse_ms: None,
        sla_aware: false,
        pending_ms_max: None,
        canary: None,
    }
}
