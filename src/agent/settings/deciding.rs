//! What an agent that is the scheduler is told: what jobs may ask for, and how it decides.

use std::{fs, path::PathBuf, time::Duration};

use airglow_model::{policy::Policy, spec::Limits, tier::Tiers};
use anyhow::{Context, Result, anyhow, bail};
use serde::Deserialize;

use super::{
    policy::{self, time},
    webhooks,
};

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct SchedulerTable {
    tasks_per_job_max: Option<u32>,
    gpus_allowed: Option<bool>,
    /// A file in the form of Aurora's `tiers.json`.
    tiers: Option<PathBuf>,
    /// How URLs of jobs' SLA coordinators may begin.
    coordinator_urls: Option<Vec<String>>,
    /// The clock of cron jobs that name none: `UTC`.
    cron_timezone: Option<String>,
    /// For how long the certificates of agents and schedulers are good: 30.
    certificate_days: Option<f64>,
    /// After how long without a word a host's tasks count as partitioned: `75 seconds`.
    unreachable_after: Option<String>,
    placement: policy::PlacementTable,
    quota: policy::QuotaTable,
    preemption: policy::PreemptionTable,
    history: policy::HistoryTable,
    sla: policy::SlaTable,
    audit: webhooks::AuditTable,
    webhooks: Vec<webhooks::WebhookTable>,
}

/// What decisions rest on, besides what there is.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    pub(crate) limits: Limits,
    pub(crate) policy: Policy,
}

impl Rules {
    /// Those of a cluster whose operator says nothing.
    pub(crate) fn usual(cluster: &str) -> Self {
        Self { limits: Limits::usual(cluster), policy: Policy::default() }
    }
}

impl SchedulerTable {
    pub(super) fn read(self, cluster: &str) -> Result<Rules> {
        let usual = Rules::usual(cluster);
        let tasks_per_job_max = self.tasks_per_job_max.unwrap_or(usual.limits.tasks_per_job_max);
        if tasks_per_job_max == 0 {
            bail!("scheduler.tasks_per_job_max is how many instances a job may have, not 0");
        }
        let limits = Limits {
            cluster: usual.limits.cluster,
            tasks_per_job_max,
            tiers: self.tiers.map_or(Ok(usual.limits.tiers), tiers).context("scheduler.tiers")?,
            gpus_allowed: self.gpus_allowed.unwrap_or(usual.limits.gpus_allowed),
            coordinator_urls: self.coordinator_urls.map(coordinators).transpose()?,
        };
        let mut policy = usual.policy;
        policy.scheduling = self.placement.read()?;
        policy.quota = self.quota.read();
        policy.preemption = self.preemption.read()?;
        policy.history = self.history.read()?;
        policy.sla = self.sla.read()?;
        let patience = policy.hosts.unreachable_after;
        policy.hosts.unreachable_after =
            time("scheduler.unreachable_after", &self.unreachable_after, patience)?;
        policy.audit = self.audit.read()?;
        policy.webhooks = webhooks::read(self.webhooks)?;
        if let Some(name) = self.cron_timezone {
            policy.clock = name.parse().map_err(|why| anyhow!("scheduler.cron_timezone: {why}"))?;
        }
        policy.certificate_life =
            self.certificate_days.map(life).transpose().context("scheduler.certificate_days")?;
        Ok(Rules { limits, policy })
    }
}

/// Parts of a day are for those who want to see a renewal.
fn life(days: f64) -> Result<Duration> {
    const MOST: f64 = 3650.0;
    if !(0.0 < days && days <= MOST) {
        bail!("it is a number of days, above 0 and no more than {MOST}, not {days}");
    }
    Ok(Duration::from_secs_f64(days * 24.0 * 60.0 * 60.0))
}

/// The scheduler speaks HTTP, and to nothing that is not named with its scheme.
fn coordinators(urls: Vec<String>) -> Result<Vec<String>> {
    let is_url = |it: &&String| it.starts_with("http://") || it.starts_with("https://");
    match urls.iter().find(|it| !is_url(it)) {
        Some(bad) => {
            bail!("scheduler.coordinator_urls: {bad:?} begins with no http:// or https://")
        }
        None => Ok(urls),
    }
}

fn tiers(file: PathBuf) -> Result<Tiers> {
    let named = file.display();
    let text = fs::read_to_string(&file).with_context(|| format!("cannot read {named}"))?;
    Tiers::read(&text).map_err(|why| anyhow!("{named} does not tell which tiers there are: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(toml: &str) -> Result<Rules> {
        toml::from_str::<SchedulerTable>(toml).unwrap().read("west")
    }

    #[test]
    fn nothing_said_is_the_usual() {
        let rules = read("").unwrap();
        assert_eq!(rules.limits, Limits::usual("west"));
        assert_eq!(rules.policy, Policy::default());
    }

    #[test]
    fn what_jobs_may_ask_for_is_the_operators() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("tiers.json");
        let text =
            r#"{"default": "only", "tiers": {"only": {"preemptible": false, "revocable": false}}}"#;
        fs::write(&file, text).unwrap();
        let toml = format!(
            "tasks_per_job_max = 7\ngpus_allowed = true\ncoordinator_urls = ['http://a/']\n\
             tiers = {:?}",
            file.display()
        );
        let Limits { tasks_per_job_max, gpus_allowed, tiers, coordinator_urls, .. } =
            read(&toml).unwrap().limits;
        assert_eq!(coordinator_urls, Some(vec!["http://a/".to_owned()]));
        assert_eq!((tasks_per_job_max, gpus_allowed), (7, true));
        assert!(tiers.get("only").is_some() && tiers.get("preferred").is_none());
    }

    #[test]
    fn how_the_cluster_decides_is_the_operators() {
        let policy = read("unreachable_after = '5 s'\n[quota]\nenforce = true").unwrap().policy;
        assert!(policy.quota.enforce);
        assert_eq!(policy.hosts.unreachable_after.as_secs(), 5);
    }

    #[test]
    fn what_is_wrong_is_told_with_the_settings_name() {
        let dir = tempfile::tempdir().unwrap();
        let bad = dir.path().join("bad.json");
        fs::write(&bad, r#"{"default": "x", "tiers": {}}"#).unwrap();
        for (toml, told) in [
            ("tasks_per_job_max = 0".into(), "scheduler.tasks_per_job_max"),
            ("unreachable_after = 'soon'".into(), "scheduler.unreachable_after"),
            ("coordinator_urls = ['a']".into(), "scheduler.coordinator_urls"),
            ("tiers = '/nowhere.json'".into(), "/nowhere.json"),
            (format!("tiers = {:?}", bad.display()), "the default, 'x', is none of the tiers"),
        ] {
            let error = read(&toml).unwrap_err();
            assert!(format!("{error:#}").contains(told), "{toml}: {error:#}");
        }
    }
}
