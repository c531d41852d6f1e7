//! How the cluster's memory is backed up, as its operator writes it.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use airglow_model::backup::Plan;
use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::units;

/// `[backup]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct BackupTable {
    /// As in `"1 hour"`, or `never`.
    every: Option<String>,
    keep: Option<usize>,
    folder: Option<PathBuf>,
}

const EVERY: Duration = Duration::from_secs(60 * 60);

/// Beside the scheduler's folder, which may be lost or moved aside.
const FOLDER: &str = "backups";

impl BackupTable {
    pub(super) fn read(self, data: &Path) -> Result<Plan> {
        let every = match self.every.as_deref() {
            None => Some(EVERY),
            Some("never") => None,
            Some(text) => Some(units::duration(text).context("backup.every")?),
        };
        if every.is_some_and(|it| it < Duration::from_secs(1)) {
            bail!("backup.every is a second or more, or \"never\"");
        }
        let keep = self.keep.unwrap_or(Plan::default().keep);
        if keep == 0 {
            bail!("backup.keep is how many are kept, not 0; every = \"never\" makes none");
        }
        let folder = self.folder.unwrap_or_else(|| data.join(FOLDER));
        Ok(Plan { every, keep, folder: Some(folder) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(toml: &str) -> Result<Plan> {
        toml::from_str::<BackupTable>(toml).unwrap().read(Path::new("/data"))
    }

    #[test]
    fn nothing_said_is_a_backup_every_hour_for_a_day() {
        let plan = read("").unwrap();
        assert_eq!((plan.every, plan.keep), (Some(EVERY), 24));
        assert_eq!(plan.folder, Some("/data/backups".into()));
        assert_eq!(read("every = \"never\"").unwrap().every, None);
        let said = read("every = \"10 minutes\"\nkeep = 3\nfolder = \"/mnt/b\"").unwrap();
        let ten = Some(Duration::from_secs(600));
        assert_eq!(said, Plan { every: ten, keep: 3, folder: Some("/mnt/b".into()) });
    }

    #[test]
    fn what_is_wrong_is_told_with_the_settings_name() {
        for (toml, told) in [
            ("every = \"often\"", "backup.every"),
            ("every = \"0 s\"", "backup.every is a second or more"),
            ("keep = 0", "backup.keep"),
        ] {
            let error = read(toml).unwrap_err();
            assert!(format!("{error:#}").contains(told), "{toml}: {error:#}");
        }
    }
}
