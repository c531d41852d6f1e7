//! `airglow host`: the machines of a cluster, and maintenance of them.

use std::path::PathBuf;

use airglow_web::api::HostSummary;

use super::{
    Global, Outcome, Session,
    exit::{Code, Failure},
    key::HostKey,
    listed, screen,
};

pub(crate) mod drain;
mod list;
pub(crate) mod maintenance;
mod removal;
pub(crate) mod status;

#[derive(clap::Subcommand)]
pub(crate) enum Verb {
    /// List the machines of a cluster
    List {
        /// Without a name: the cluster of the agent on this machine
        cluster: Option<String>,
    },
    /// Show hosts' maintenance, and how far draining them is
    Status(Named),
    /// Announce maintenance: other hosts are preferred from now on
    Maintenance(Named),
    /// Move everything away from hosts, no faster than its jobs can bear
    Drain(drain::Args),
    /// End hosts' maintenance
    Activate(Named),
    /// Make hosts no part of the cluster any more: their machines may not come back
    Remove(removal::Args),
    /// Let a machine that was removed come back
    Readmit(removal::ReadmitArgs),
}

/// Hosts of one cluster, as a user names them.
#[derive(clap::Args)]
pub(crate) struct Named {
    /// Without CLUSTER: that of the agent on this machine
    #[arg(value_name = "[CLUSTER/]HOST", required_unless_present = "filename")]
    hosts: Vec<HostKey>,
    /// A file with a host a line
    #[arg(long, value_name = "FILE")]
    filename: Option<PathBuf>,
}

pub(crate) fn run(verb: Verb, global: &Global) -> Outcome {
    match verb {
        Verb::List { cluster } => list::run(cluster.as_deref(), global),
        Verb::Status(named) => status::run(&named.find(global)?, global),
        Verb::Maintenance(named) => maintenance::announce(&named.find(global)?, global),
        Verb::Drain(args) => drain::run(&args, global),
        Verb::Activate(named) => maintenance::end(&named.find(global)?, global),
        Verb::Remove(args) => removal::remove(&args, global),
        Verb::Readmit(args) => removal::readmit(&args, global),
    }
}

/// Some hosts, and whom to ask about them.
pub(crate) struct Hosts {
    pub(crate) session: Session,
    pub(crate) names: Vec<String>,
}

impl Named {
    pub(crate) fn find(&self, global: &Global) -> Result<Hosts, Failure> {
        let (cluster, names) = self.read()?;
        Hosts::find(global.cluster_session(cluster.as_deref())?, names)
    }

    /// Their cluster, if it is named, and their names.
    fn read(&self) -> Result<(Option<String>, Vec<String>), Failure> {
        let mut hosts = self.hosts.clone();
        for line in self.filename.as_deref().map(listed::lines).transpose()?.unwrap_or_default() {
            hosts.push(line.parse().map_err(|why| Failure::new(Code::InvalidParameter, why))?);
        }
        let Some(cluster) = hosts.first().map(|it| it.cluster.clone()) else {
            return Err(Failure::new(Code::InvalidParameter, "No hosts are given"));
        };
        if hosts.iter().any(|it| it.cluster != cluster) {
            let message = "These hosts are not all of one cluster";
            return Err(Failure::new(Code::InvalidParameter, message));
        }
        Ok((cluster, hosts.into_iter().map(|it| it.host).collect()))
    }
}

impl Hosts {
    /// # Errors
    /// The cluster lacks one of them: then nothing is done to the others either.
    pub(crate) fn find(session: Session, mut names: Vec<String>) -> Result<Self, Failure> {
        let mut seen = std::collections::BTreeSet::new();
        names.retain(|it| seen.insert(it.clone()));
        let hosts = Self { session, names };
        hosts.look().map(|_| hosts)
    }

    /// As they are now, in the order in which they were named.
    pub(crate) fn look(&self) -> Result<Vec<HostSummary>, Failure> {
        let all = self.session.client.hosts()?;
        let find = |name: &String| {
            let found = all.iter().find(|it| it.host == *name);
            found.cloned().ok_or_else(|| {
                Failure::new(Code::InvalidParameter, format!("There is no host {name}"))
                    .hint("`airglow host list` shows which there are")
            })
        };
        self.names.iter().map(find).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(hosts: &[&str]) -> Result<(Option<String>, Vec<String>), Failure> {
        let hosts = hosts.iter().map(|it| it.parse().unwrap()).collect();
        Named { hosts, filename: None }.read()
    }

    #[test]
    fn hosts_are_of_one_cluster() {
        assert_eq!(named(&["a", "b"]).unwrap(), (None, vec!["a".into(), "b".into()]));
        let (cluster, hosts) = named(&["west/a", "west/b"]).unwrap();
        assert_eq!((cluster.as_deref(), hosts.len()), (Some("west"), 2));
        for bad in [&["west/a", "east/b"][..], &["west/a", "b"], &[]] {
            assert_eq!(named(bad).unwrap_err().code(), Some(Code::InvalidParameter), "{bad:?}");
        }
    }
}
