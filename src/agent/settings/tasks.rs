//! What an agent is told of how tasks run: as whom, kept from what, and what becomes of their
//! output and their sandboxes.

use airglow_executor::{Isolation, RunAs};
use airglow_model::{
    retention::Retention,
    spec::{LoggerSpec, RotatePolicy},
};
use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::units::{self, Bytes};

/// Without a word root's tasks are their roles', since nobody else's could be.
pub(super) fn run_as(written: Option<&str>, is_root: bool) -> Result<RunAs> {
    match written {
        Some("oneself") => Ok(RunAs::Oneself),
        Some("role") if is_root => Ok(RunAs::Role),
        Some("role") => bail!("run_as = \"role\" is for root only: nobody else may act for others"),
        Some(other) => bail!("run_as is \"role\" or \"oneself\", not \"{other}\""),
        None if is_root => Ok(RunAs::Role),
        None => Ok(RunAs::Oneself),
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct IsolationTable {
    cgroups: Option<bool>,
    namespaces: Option<bool>,
    pids_max: Option<u64>,
}

impl IsolationTable {
    pub(super) fn read(&self) -> Result<Isolation> {
        let usual = Isolation::default();
        let pids_max = self.pids_max.unwrap_or(usual.pids_max);
        if pids_max == 0 {
            bail!("isolation.pids_max is how many processes and threads a task may have, not 0");
        }
        Ok(Isolation {
            cgroups: self.cgroups.unwrap_or(usual.cgroups),
            namespaces: self.namespaces.unwrap_or(usual.namespaces),
            pids_max,
        })
    }
}

/// For processes that do not say it themselves.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct LoggerTable {
    destination: Option<String>,
    mode: Option<String>,
    /// `"100 MB"`, or bytes.
    log_size: Option<Bytes>,
    backups: Option<i64>,
}

impl LoggerTable {
    pub(super) fn read(self) -> Result<LoggerSpec> {
        let usual = LoggerSpec::default();
        let destination = self.destination.unwrap_or(usual.destination);
        if !["file", "console", "both", "none"].contains(&destination.as_str()) {
            bail!("logger.destination is file, console, both or none, not {destination}");
        }
        let mode = self.mode.unwrap_or(usual.mode);
        if !["standard", "rotate"].contains(&mode.as_str()) {
            bail!("logger.mode is standard or rotate, not {mode}");
        }
        let mut rotate = usual_rotation();
        if let Some(size) = self.log_size {
            rotate.log_size = size.read().context("logger.log_size")?;
        }
        rotate.backups = self.backups.unwrap_or(rotate.backups);
        if rotate.log_size <= 0 {
            bail!("logger.log_size cannot be less than one byte");
        }
        if rotate.backups <= 0 {
            bail!("logger.backups cannot be less than one");
        }
        Ok(LoggerSpec { destination, mode, rotate: Some(rotate) })
    }
}

fn usual_rotation() -> RotatePolicy {
    serde_json::from_str("{}").expect("everything in it has a default")
}

/// Those of tasks that are over.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct SandboxesTable {
    /// `"7 days"`
    age_max: Option<String>,
    count_max: Option<usize>,
    /// A share of the disk, from 0 to 1.
    free_min: Option<f64>,
}

impl SandboxesTable {
    pub(super) fn read(&self) -> Result<Retention> {
        let usual = Retention::default();
        let age_max = self.age_max.as_deref().map(units::duration).transpose();
        let free_min = self.free_min.unwrap_or(usual.free_min);
        if !(0.0..1.0).contains(&free_min) {
            bail!(
                "sandboxes.free_min is the share of the disk to keep free, such as 0.1, not {free_min}"
            );
        }
        Ok(Retention {
            age_max: age_max.context("sandboxes.age_max")?.unwrap_or(usual.age_max),
            count_max: self.count_max.unwrap_or(usual.count_max),
            free_min,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn nothing_said_is_the_usual() {
        let isolation = IsolationTable::default().read().unwrap();
        assert!(isolation.cgroups && isolation.namespaces && isolation.pids_max == 4096);
        assert_eq!(SandboxesTable::default().read().unwrap(), Retention::default());
        let logger = LoggerTable::default().read().unwrap();
        assert_eq!((logger.destination.as_str(), logger.mode.as_str()), ("file", "standard"));
        assert_eq!(logger.rotate, Some(usual_rotation()));
    }

    #[test]
    fn what_is_said_counts() {
        let logger: LoggerTable =
            toml::from_str("mode = 'rotate'\nlog_size = '1.5 MB'\nbackups = 2").unwrap();
        let rotate = logger.read().unwrap().rotate.unwrap();
        assert_eq!((rotate.log_size, rotate.backups), (3 << 19, 2));
        let bytes: LoggerTable = toml::from_str("log_size = 70").unwrap();
        assert_eq!(bytes.read().unwrap().rotate.unwrap().log_size, 70);
        let sandboxes: SandboxesTable =
            toml::from_str("age_max = '36 hours'\ncount_max = 0\nfree_min = 0.25").unwrap();
        let kept = sandboxes.read().unwrap();
        assert_eq!(kept.age_max, Duration::from_secs(36 * 3600));
        assert_eq!((kept.count_max, kept.free_min), (0, 0.25));
    }

    #[test]
    fn only_root_acts_for_others() {
        assert_eq!(run_as(None, true).unwrap(), RunAs::Role);
        assert_eq!(run_as(None, false).unwrap(), RunAs::Oneself);
        assert_eq!(run_as(Some("oneself"), true).unwrap(), RunAs::Oneself);
        assert!(run_as(Some("role"), false).is_err());
        assert!(run_as(Some("both"), true).is_err());
    }
}
