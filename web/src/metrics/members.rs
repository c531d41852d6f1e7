//! How this scheduler stands among others: each answers for itself, leader or not.

use std::fmt;

use airglow_scheduler::{Progress, Scheduler, Standing};
use prometheus_client::{collector::Collector, encoding::DescriptorEncoder};

use super::cluster::{Labels, Numbers, count};

pub(super) struct Members(pub(super) Scheduler);

impl fmt::Debug for Members {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Members").finish_non_exhaustive()
    }
}

impl Collector for Members {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let mut numbers = Numbers::default();
        let mut add = |name, help, labels: Labels, amount: u64| {
            numbers.add(name, help, labels, count(amount));
        };
        let leads = self.0.standing() == Standing::Leads;
        add("leader", "Whether this scheduler decides", vec![], leads.into());
        if let Some(Progress { term, log, applied }) = self.0.progress() {
            add("raft_term", "How often schedulers have begun to elect a leader", vec![], term);
            add("raft_log_index", "The newest entry of the log on this disk", vec![], log);
            add("raft_applied_index", "The newest entry that is true here", vec![], applied);
            for member in self.0.members() {
                let labels = || vec![("scheduler", member.member.name.clone())];
                let help = "Schedulers that share the records, and whether their word counts";
                add("raft_voter", help, labels(), member.votes.into());
                if let Some(behind) = member.entries {
                    let help = "Entries that a scheduler has not confirmed, as the leader knows";
                    add("raft_replication_lag", help, labels(), behind);
                }
            }
        }
        numbers.encode(&mut encoder)
    }
}
