//! What an operator can decide about a cluster's decisions. Every default is safe.

use std::time::Duration;

use crate::{
    audit, backup, cron::Zone, host, matching::Scheduling, preemption::Preemption, pruning::Keep,
    quota, sla, webhook::Hook,
};

/// All of it. A scheduler is told once, when it starts.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Policy {
    pub preemption: Preemption,
    pub quota: quota::Rules,
    pub scheduling: Scheduling,
    pub history: Keep,
    pub sla: sla::Rules,
    pub hosts: host::Rules,
    pub audit: audit::Keep,
    /// Whom to tell what happens.
    pub webhooks: Vec<Hook>,
    /// By which jobs run that name no other.
    pub clock: Zone,
    /// How long a certificate is good for, if that is to be another time than usual.
    pub certificate_life: Option<Duration>,
    pub backup: backup::Plan,
}
