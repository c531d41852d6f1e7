//! How a cluster decides, as its operator writes it.

use std::time::Duration;

use airglow_model::{preemption::Preemption, quota};
use anyhow::{Context, Result};
use serde::Deserialize;

use crate::units;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct QuotaTable {
    enforce: Option<bool>,
}

impl QuotaTable {
    pub(super) fn read(&self) -> quota::Rules {
        let usual = quota::Rules::default();
        quota::Rules { enforce: self.enforce.unwrap_or(usual.enforce) }
    }
}

/// Times are as in `"3 minutes"`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct PreemptionTable {
    enabled: Option<bool>,
    delay: Option<String>,
    every: Option<String>,
    reservation: Option<String>,
}

impl PreemptionTable {
    pub(super) fn read(&self) -> Result<Preemption> {
        let usual = Preemption::default();
        Ok(Preemption {
            enabled: self.enabled.unwrap_or(usual.enabled),
            delay: time("scheduler.preemption.delay", &self.delay, usual.delay)?,
            every: time("scheduler.preemption.every", &self.every, usual.every)?,
            reservation: time(
                "scheduler.preemption.reservation",
                &self.reservation,
                usual.reservation,
            )?,
        })
    }
}

fn time(name: &'static str, written: &Option<String>, usual: Duration) -> Result<Duration> {
    written.as_deref().map_or(Ok(usual), units::duration).context(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_said_is_the_usual() {
        assert_eq!(QuotaTable::default().read(), quota::Rules::default());
        assert_eq!(PreemptionTable::default().read().unwrap(), Preemption::default());
    }

    #[test]
    fn what_is_said_counts() {
        let table: PreemptionTable =
            toml::from_str("enabled = false\ndelay = '5 minutes'\nevery = '10s'").unwrap();
        let read = table.read().unwrap();
        assert!(!read.enabled);
        let secs = [read.delay, read.every, read.reservation].map(|it| it.as_secs());
        assert_eq!(secs, [300, 10, Preemption::default().reservation.as_secs()]);
        let bad: PreemptionTable = toml::from_str("reservation = 'soon'").unwrap();
        let error = bad.read().unwrap_err();
        assert!(
            format!("{error:#}").starts_with("scheduler.preemption.reservation: "),
            "{error:#}"
        );
    }
}
