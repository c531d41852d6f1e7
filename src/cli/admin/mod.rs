//! `airglow admin`: what an operator types, as `aurora_admin` had it, one file for each subject.
//!
//! Verbs are spelled as there, too (`set_quota`), and whatever fails exits with 1.

use super::{
    Global, Outcome,
    exit::{Code, Failure},
    host, screen,
};

mod api_token;
mod audit;
mod cluster;
mod host_list;
mod hosts;
mod members;
mod prune;
mod query;
mod quota;
mod reconcile;
mod restore;
mod safety;
mod snapshot;
mod token;
mod user;

#[derive(clap::Subcommand)]
pub(crate) enum Verb {
    /// List tasks, one a line, in a format of one's own
    Query(query::Args),
    /// Print what clusters.json says of a cluster
    #[command(alias = "get_cluster_config")]
    GetClusterConfig(cluster::ConfigArgs),
    /// Print where a cluster's scheduler answers
    #[command(alias = "get_scheduler")]
    GetScheduler { cluster: String },
    /// Say how much production work on shared hosts a role may have
    #[command(alias = "set_quota")]
    SetQuota(quota::Args),
    /// Let a role have so much more
    #[command(alias = "increase_quota")]
    IncreaseQuota(quota::Args),
    /// Forget runs that have ended
    #[command(alias = "prune_tasks")]
    PruneTasks(prune::Args),
    /// Ask hosts what they have, and correct what differs
    #[command(alias = "reconcile_tasks")]
    ReconcileTasks(reconcile::Args),
    /// Show or replace the tokens that let machines join
    #[command(subcommand, arg_required_else_help = true)]
    Token(token::Verb),
    /// Back up the cluster's memory, while everything goes on
    #[command(alias = "scheduler_backup_now", alias = "scheduler_snapshot")]
    Snapshot(snapshot::Args),
    /// Put a cluster's memory back, on its scheduler's machine
    #[command(subcommand, arg_required_else_help = true)]
    Restore(restore::Verb),
    /// Show and change which schedulers share the cluster's records
    Members(members::Args),
    /// Show who did what
    Audit(audit::Args),
    /// Say who may use the API, and for what
    #[command(subcommand, arg_required_else_help = true)]
    User(user::Verb),
    /// Make and revoke what programs show to the API
    #[command(subcommand, arg_required_else_help = true)]
    ApiToken(api_token::Verb),
    /// Show hosts' maintenance
    #[command(alias = "host_status")]
    HostStatus(hosts::Named),
    /// Announce maintenance of hosts
    #[command(alias = "host_deactivate")]
    HostDeactivate(hosts::Named),
    /// End hosts' maintenance
    #[command(alias = "host_activate")]
    HostActivate(hosts::Named),
    /// Move everything away from hosts, as fast as their jobs' promises allow
    #[command(alias = "host_drain", alias = "sla_host_drain", visible_alias = "sla-host-drain")]
    HostDrain(hosts::DrainArgs),
    /// List the hosts that could go without a job going below its share of instances
    #[command(alias = "sla_list_safe_domain")]
    SlaListSafeDomain(safety::ListArgs),
    /// Tell what would become of the jobs on some hosts if these went
    #[command(alias = "sla_probe_hosts")]
    SlaProbeHosts(safety::ProbeArgs),
}

pub(crate) fn run(verb: Verb, global: &Global) -> Outcome {
    let done = match verb {
        Verb::Query(args) => query::run(&args, global),
        Verb::GetClusterConfig(args) => cluster::config(&args, global),
        Verb::GetScheduler { cluster } => cluster::scheduler(&cluster, global),
        Verb::SetQuota(args) => quota::set(&args, global),
        Verb::IncreaseQuota(args) => quota::increase(&args, global),
        Verb::PruneTasks(args) => prune::run(&args, global),
        Verb::ReconcileTasks(args) => reconcile::run(&args, global),
        Verb::Token(verb) => token::run(&verb, global),
        Verb::Snapshot(args) => snapshot::run(&args, global),
        Verb::Restore(verb) => restore::run(&verb, global),
        Verb::Members(args) => members::run(&args, global),
        Verb::Audit(args) => audit::run(&args, global),
        Verb::User(verb) => user::run(verb, global),
        Verb::ApiToken(verb) => api_token::run(verb, global),
        Verb::HostStatus(named) => {
            named.find(global).and_then(|it| host::status::show(&it.look()?, global))
        }
        Verb::HostDeactivate(named) => {
            named.find(global).and_then(|it| host::maintenance::announce(&it, global))
        }
        Verb::HostActivate(named) => {
            named.find(global).and_then(|it| host::maintenance::end(&it, global))
        }
        Verb::HostDrain(args) => hosts::drain(&args, global),
        Verb::SlaListSafeDomain(args) => safety::list(&args, global),
        Verb::SlaProbeHosts(args) => safety::probe(&args, global),
    };
    done.map_err(|failure| failure.known_as(Code::Fatal))
}
