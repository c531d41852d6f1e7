//! Hosts as operators list them: on the command line, or one a line in a file.

use std::{collections::BTreeSet, path::PathBuf};

use super::{Code, Failure};
use crate::cli::listed::lines;

/// Exactly one of them.
#[derive(clap::Args)]
#[group(required = true, multiple = false)]
pub(crate) struct HostList {
    /// Hosts, separated by commas
    #[arg(long, value_delimiter = ',')]
    hosts: Vec<String>,
    /// A file with a host a line
    #[arg(long, value_name = "FILE")]
    filename: Option<PathBuf>,
}

impl HostList {
    /// In order, each once.
    pub(crate) fn read(&self) -> Result<Vec<String>, Failure> {
        let hosts = self.filename.as_deref().map_or_else(|| Ok(self.hosts.clone()), lines)?;
        let mut seen = BTreeSet::new();
        let hosts: Vec<String> = hosts.into_iter().filter(|it| seen.insert(it.clone())).collect();
        if hosts.is_empty() {
            return Err(Failure::new(Code::InvalidParameter, "No hosts are given"));
        }
        Ok(hosts)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        hosts: HostList,
    }

    #[test]
    fn hosts_are_listed_here_or_in_a_file() {
        let read = |args: &[&str]| Line::try_parse_from(args).map(|it| it.hosts.read().unwrap());
        assert_eq!(read(&["x", "--hosts", "b,a,b"]).unwrap(), ["b", "a"]);
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("hosts");
        fs::write(&file, "a1\na2\n").unwrap();
        let file = file.to_str().unwrap();
        assert_eq!(read(&["x", "--filename", file]).unwrap(), ["a1", "a2"]);
        assert!(read(&["x"]).is_err());
        assert!(read(&["x", "--hosts", "a", "--filename", file]).is_err());
    }
}
