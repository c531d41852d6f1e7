//! How a cluster decides, as its operator writes it.

use std::time::Duration;

use airglow_model::{
    matching::{Order, Scheduling},
    policy::Policy,
    preemption::Preemption,
    pruning::Keep,
    quota, sla,
};
use anyhow::{Context, Result, bail};
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

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct PlacementTable {
    /// An attribute, or `none`.
    spread: Option<String>,
    order: Option<Vec<Order>>,
    update_affinity: Option<bool>,
    reservation_hold: Option<String>,
    revocable_ram: Option<bool>,
}

impl PlacementTable {
    pub(super) fn read(self) -> Result<Scheduling> {
        let usual = Scheduling::default();
        let hold = "scheduler.placement.reservation_hold";
        let spread = match self.spread.as_deref() {
            None => usual.spread,
            Some("none") => None,
            Some(attribute) => Some(attribute.to_owned()),
        };
        Ok(Scheduling {
            spread,
            order: self.order.unwrap_or(usual.order),
            update_affinity: self.update_affinity.unwrap_or(usual.update_affinity),
            reservation_hold: time(hold, &self.reservation_hold, usual.reservation_hold)?,
            revocable_ram: self.revocable_ram.unwrap_or(usual.revocable_ram),
        })
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

/// What is kept of runs and updates that have ended.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct HistoryTable {
    age_max: Option<String>,
    runs_per_job_max: Option<u32>,
    age_min: Option<String>,
    updates_age_max: Option<String>,
    updates_per_job_max: Option<u32>,
}

impl HistoryTable {
    pub(super) fn read(&self) -> Result<Keep> {
        let usual = Keep::default();
        Ok(Keep {
            age: time("scheduler.history.age_max", &self.age_max, usual.age)?,
            per_job: self.runs_per_job_max.unwrap_or(usual.per_job),
            at_least: time("scheduler.history.age_min", &self.age_min, usual.at_least)?,
            updates_age: time(
                "scheduler.history.updates_age_max",
                &self.updates_age_max,
                usual.updates_age,
            )?,
            updates_per_job: self.updates_per_job_max.unwrap_or(usual.updates_per_job),
            ..usual
        })
    }
}

/// How drains and the like look at jobs' SLA policies.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct SlaTable {
    instances_min: Option<u64>,
    nonproduction: Option<bool>,
    coordinator_timeout: Option<String>,
    coordinators_max: Option<usize>,
    refresh: Option<String>,
}

impl SlaTable {
    pub(super) fn read(&self) -> Result<sla::Rules> {
        let usual = sla::Rules::default();
        let coordinators_max = self.coordinators_max.unwrap_or(usual.coordinators_max);
        if coordinators_max == 0 {
            bail!("scheduler.sla.coordinators_max is how many are asked at a time, not 0");
        }
        Ok(sla::Rules {
            instances_min: self.instances_min.unwrap_or(usual.instances_min),
            nonproduction: self.nonproduction.unwrap_or(usual.nonproduction),
            coordinator_timeout: time(
                "scheduler.sla.coordinator_timeout",
                &self.coordinator_timeout,
                usual.coordinator_timeout,
            )?,
            coordinators_max,
            refresh: time("scheduler.sla.refresh", &self.refresh, usual.refresh)?,
        })
    }
}

/// What of it a simulated scheduler goes by.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct SimulatedTable {
    placement: PlacementTable,
    quota: QuotaTable,
    preemption: PreemptionTable,
    sla: SlaTable,
}

impl SimulatedTable {
    pub(crate) fn read(self) -> Result<Policy> {
        Ok(Policy {
            scheduling: self.placement.read()?,
            quota: self.quota.read(),
            preemption: self.preemption.read()?,
            sla: self.sla.read()?,
            ..Policy::default()
        })
    }
}

pub(super) fn time(
    name: &'static str,
    written: &Option<String>,
    usual: Duration,
) -> Result<Duration> {
    written.as_deref().map_or(Ok(usual), units::duration).context(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_said_is_the_usual() {
        assert_eq!(PlacementTable::default().read().unwrap(), Scheduling::default());
        assert_eq!(QuotaTable::default().read(), quota::Rules::default());
        assert_eq!(HistoryTable::default().read().unwrap(), Keep::default());
        assert_eq!(SlaTable::default().read().unwrap(), sla::Rules::default());
        assert_eq!(PreemptionTable::default().read().unwrap(), Preemption::default());
    }

    #[test]
    fn what_is_kept_and_promised_is_the_operators() {
        let table: HistoryTable =
            toml::from_str("age_max = '1 week'\nruns_per_job_max = 7\nage_min = '0s'").unwrap();
        let Keep { age, per_job, at_least, .. } = table.read().unwrap();
        assert_eq!((age.as_secs(), per_job, at_least.as_secs()), (604_800, 7, 0));
        let table: SlaTable =
            toml::from_str("instances_min = 2\ncoordinator_timeout = '5s'\nrefresh = '9s'")
                .unwrap();
        let read = table.read().unwrap();
        assert_eq!((read.instances_min, read.coordinator_timeout.as_secs()), (2, 5));
        assert_eq!(read.refresh.as_secs(), 9);
        let bad: SlaTable = toml::from_str("coordinators_max = 0").unwrap();
        assert!(bad.read().unwrap_err().to_string().contains("scheduler.sla.coordinators_max"));
    }

    #[test]
    fn what_is_said_counts() {
        let spread = |toml| toml::from_str::<PlacementTable>(toml).unwrap().read().unwrap().spread;
        assert_eq!(spread("spread = 'rack'").as_deref(), Some("rack"));
        assert_eq!(spread("spread = 'none'"), None);
        let table: PlacementTable = toml::from_str(
            "order = ['ram', 'random']\nupdate_affinity = true\nreservation_hold = '1 minute'\nrevocable_ram = true",
        )
        .unwrap();
        let expected = Scheduling {
            order: vec![Order::Ram, Order::Random],
            update_affinity: true,
            reservation_hold: Duration::from_secs(60),
            revocable_ram: true,
            ..Scheduling::default()
        };
        assert_eq!(table.read().unwrap(), expected);
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
