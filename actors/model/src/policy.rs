//! What an operator can decide about a cluster's decisions. Every default is safe.

use crate::{
    audit, cron::Zone, matching::Scheduling, preemption::Preemption, pruning::Keep, quota, sla,
    webhook::Hook,
};

/// All of it. A scheduler is told once, when it starts.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Policy {
    pub preemption: Preemption,
    pub quota: quota::Rules,
    pub scheduling: Scheduling,
    pub history: Keep,
    pub sla: sla::Rules,
    pub audit: audit::Keep,
    /// Whom to tell what happens.
    pub webhooks: Vec<Hook>,
    /// By which jobs run that name no other.
    pub clock: Zone,
}
