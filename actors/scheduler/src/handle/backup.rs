//! Backups, asked for and listed.

use airglow_model::{admission::Refusal, backup::Plan};
use airglow_store::{Backup, BackupError, backups_in};
use tokio::sync::oneshot;

use super::{Scheduler, not_now};
use crate::{Backups, archivist::MakeBackup};

/// Why there is no new backup.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum NoBackup {
    #[error(transparent)]
    NotNow(#[from] Refusal),
    #[error("no backup was made: {0}")]
    Failed(String),
}

impl Scheduler {
    /// Makes a backup and reads it back, while everything goes on.
    pub async fn back_up(&self) -> Result<Backup, NoBackup> {
        let archivist = self.inner.lines.archivist().ok_or_else(not_now)?;
        let (reply, answer) = oneshot::channel();
        archivist.do_send(MakeBackup(reply));
        answer.await.map_err(|_| Refusal::unknown())?.map_err(NoBackup::Failed)
    }

    /// Those that are on this machine, oldest first. Reads the folder.
    pub fn backups(&self) -> Result<Vec<Backup>, BackupError> {
        self.backup_plan().folder.as_deref().map_or(Ok(vec![]), backups_in)
    }

    /// When they are made, where they are, and how many are kept.
    pub fn backup_plan(&self) -> &Plan {
        &self.inner.policy.backup
    }

    /// How making them went.
    pub fn backup_stats(&self) -> &Backups {
        &self.inner.stats.backups
    }
}
