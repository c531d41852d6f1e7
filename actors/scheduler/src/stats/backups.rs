//! How backups went.

use std::{
    sync::{Arc, PoisonError, RwLock, atomic::AtomicU64},
    time::Duration,
};

use airglow_model::machine::Timestamp;
use airglow_store::Backup;
use prometheus_client::{
    metrics::{counter::Counter, gauge::Gauge},
    registry::Registry,
};

/// Clones count into the same numbers.
#[derive(Clone, Debug, Default)]
pub struct Backups {
    made: Counter,
    failed: Counter,
    succeeded_at: Gauge<f64, AtomicU64>,
    took: Gauge<f64, AtomicU64>,
    bytes: Gauge<f64, AtomicU64>,
    failure: Arc<RwLock<Option<BackupFailure>>>,
}

/// The last attempt failed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct BackupFailure {
    pub at: Timestamp,
    pub why: String,
}

impl Backups {
    /// Why the last attempt failed, if it did.
    pub fn failure(&self) -> Option<BackupFailure> {
        self.failure.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn made(&self, backup: &Backup, took: Duration, at: Timestamp) {
        self.made.inc();
        self.took.set(took.as_secs_f64());
        self.has(backup, at);
    }

    /// As of now this one has everything.
    pub(crate) fn has(&self, backup: &Backup, at: Timestamp) {
        self.succeeded_at.set(Duration::from_millis(at.0).as_secs_f64());
        #[expect(clippy::cast_precision_loss, reason = "Prometheus has no more")]
        self.bytes.set(backup.bytes as f64);
        self.remember(None);
    }

    pub(crate) fn failed(&self, why: String, at: Timestamp) {
        self.failed.inc();
        self.remember(Some(BackupFailure { at, why }));
    }

    fn remember(&self, failure: Option<BackupFailure>) {
        *self.failure.write().unwrap_or_else(PoisonError::into_inner) = failure;
    }

    pub(super) fn register(&self, registry: &mut Registry) {
        let it = self;
        registry.register("backups", "Backups made", it.made.clone());
        registry.register("backups_failed", "Backups that could not be made", it.failed.clone());
        let help = "When there was last a backup of everything, in seconds since 1970";
        registry.register("backup_succeeded_at_seconds", help, it.succeeded_at.clone());
        let help = "How long the last backup took";
        registry.register("backup_duration_seconds", help, it.took.clone());
        registry.register("backup_bytes", "How large the last backup is", it.bytes.clone());
    }
}

#[cfg(test)]
mod tests {
    use airglow_model::backup::Name;

    use super::*;

    #[test]
    fn a_failure_is_remembered_until_one_succeeds() {
        let backups = Backups::default();
        assert_eq!(backups.failure(), None);
        backups.failed("no room".into(), Timestamp(7));
        let failure = BackupFailure { at: Timestamp(7), why: "no room".into() };
        assert_eq!(backups.failure(), Some(failure));
        let backup = Backup { name: Name::new("w", Timestamp(8), 1), path: "x".into(), bytes: 9 };
        backups.made(&backup, Duration::from_secs(2), Timestamp(8_500));
        assert_eq!(backups.failure(), None);
        assert_eq!((backups.failed.get(), backups.made.get()), (1, 1));
        assert_eq!((backups.succeeded_at.get(), backups.took.get()), (8.5, 2.0));
    }
}
