//! How instances are updated, watched, moved and boxed.

use super::{Complaints, DEDICATED, PREFERRED};
use crate::{
    spec::{Canary, Container, HealthCheckConfig, JobSpec, SlaPolicy, UpdateStrategy},
    tier::Tier,
};

/// A job with fewer instances cannot lose one without an outage, so an SLA means nothing for it.
const INSTANCES_FOR_SLA_MIN: i64 = 20;
const SLA_DURATION_SECS_MAX: i64 = 2 * 60 * 60;
/// The one that comes with the agent.
const EXECUTOR: &str = "AuroraExecutor";

impl Complaints {
    pub(super) fn policies(&mut self, job: &JobSpec, tier: Tier, instances: u32) {
        self.update_config(job);
        if 0 < instances {
            self.failures(job);
        }
        self.strategy(job);
        self.health(&job.health_check_config);
        if let Some(http) = &job.lifecycle.http {
            let at = "/lifecycle/http";
            self.not_negative(
                format!("{at}/graceful_shutdown_wait_secs"),
                http.graceful_shutdown_wait_secs,
            );
            self.not_negative(format!("{at}/shutdown_wait_secs"), http.shutdown_wait_secs);
        }
        if let Some(policy) = &job.sla_policy {
            self.sla(policy, job.instances, tier);
        }
        if let Some(container) = &job.container {
            self.container(container);
        }
        let executor = &job.executor_config.name;
        if executor != EXECUTOR {
            let detail = format!("There is no executor {executor} here, only {EXECUTOR}");
            self.add("/executor_config/name", detail);
        }
    }

    fn update_config(&mut self, job: &JobSpec) {
        let update = &job.update_config;
        if update.batch_size <= 0 {
            self.add("/update_config/batch_size", "Batch size should be greater than 0");
        }
        if update.watch_secs < 0 {
            let detail = "Watch seconds should be greater than or equal to 0";
            self.add("/update_config/watch_secs", detail);
        }
        if update.pulse_interval_secs.is_some_and(|it| it < 60) {
            let detail = "Pulse interval seconds must be at least 60 seconds.";
            self.add("/update_config/pulse_interval_secs", detail);
        }
        if update.max_per_shard_failures < 0 {
            let detail = "Failures of an instance cannot be fewer than 0";
            self.add("/update_config/max_per_shard_failures", detail);
        }
        if update.max_total_failures < 0 {
            let detail = "Failed instances cannot be fewer than 0";
            self.add("/update_config/max_total_failures", detail);
        }
        if update.max_pending_secs.is_some_and(|it| it <= 0) {
            let detail = "Give the seconds that an instance may wait for a place, or leave it out";
            self.add("/update_config/max_pending_secs", detail);
        }
        if update.sla_aware && job.sla_policy.is_none() {
            let detail = "An update can keep to an SLA policy only if the job has one";
            self.add("/update_config/sla_aware", detail);
        }
        if let Some(canary) = &update.canary {
            self.canary(canary, job);
        }
    }

    fn canary(&mut self, canary: &Canary, job: &JobSpec) {
        let at = "/update_config/canary";
        if canary.instances <= 0 {
            self.add(format!("{at}/instances"), "At least one instance has to go first");
        } else if job.instances <= canary.instances && job.instances > 0 {
            let detail = format!(
                "Of {} instances {} are to go first, and nobody is left to compare them with",
                job.instances, canary.instances
            );
            self.add(format!("{at}/instances"), detail);
        }
        if canary.watch_secs < 0 {
            self.add(format!("{at}/watch_secs"), "Seconds cannot be fewer than 0");
        }
        if !["pause", "rollback"].contains(&canary.on_worse.as_str()) {
            let detail = format!("Give pause or rollback, not {}", canary.on_worse);
            self.add(format!("{at}/on_worse"), detail);
        }
    }

    /// How many failures an update bears, for as many instances as there are.
    fn failures(&mut self, job: &JobSpec) {
        let (failures, instances) = (job.update_config.max_total_failures, job.instances);
        if instances <= failures {
            let detail =
                format!("Must be less than the number of instances, {instances}, got {failures}");
            self.add("/update_config/max_total_failures", detail);
        }
        // A big job on hosts of its own meets failing hosts in every update.
        let least = instances * 2 / 100;
        if job.constraints.contains_key(DEDICATED) && failures < least {
            let detail = format!(
                "Must be at least 2 % of the instances of a dedicated job, {least}, got {failures}"
            );
            self.add("/update_config/max_total_failures", detail);
        }
    }

    fn strategy(&mut self, job: &JobSpec) {
        let Some(strategy) = &job.update_config.update_strategy else { return };
        let at = "/update_config/update_strategy";
        if job.update_config.batch_size > 1 {
            let detail =
                "Ambiguous update configuration. Give the batch size in the update strategy only.";
            self.add(at, detail);
        }
        if job.update_config.wait_for_batch_completion {
            let detail = "Ambiguous update configuration. Instead of wait_for_batch_completion, use a \
                          BatchUpdateStrategy.";
            self.add(at, detail);
        }
        let positive = "Batch size should be greater than 0";
        match strategy {
            UpdateStrategy::Queue { batch_size } | UpdateStrategy::Batch { batch_size, .. } => {
                if *batch_size <= 0 {
                    self.add(format!("{at}/batch_size"), positive);
                }
            }
            UpdateStrategy::VariableBatch { batch_sizes, .. } => {
                if batch_sizes.is_empty() {
                    self.add(format!("{at}/batch_sizes"), "At least one batch size is needed");
                }
                for (i, _) in batch_sizes.iter().enumerate().filter(|(_, size)| **size <= 0) {
                    self.add(format!("{at}/batch_sizes/{i}"), positive);
                }
            }
        }
    }

    fn health(&mut self, health: &HealthCheckConfig) {
        let at = "/health_check_config";
        let mut not_negative = |name: &str, value: f64| {
            if value < 0.0 {
                let detail = format!(
                    "Invalid value ({value}) specified for {name}. Value cannot be less than 0."
                );
                self.add(format!("{at}/{name}"), detail);
            }
        };
        not_negative("initial_interval_secs", health.initial_interval_secs);
        not_negative("interval_secs", health.interval_secs);
        not_negative("timeout_secs", health.timeout_secs);
        self.not_negative(
            format!("{at}/max_consecutive_failures"),
            health.max_consecutive_failures,
        );
        self.not_negative(
            format!("{at}/min_consecutive_successes"),
            health.min_consecutive_successes,
        );
        if let Some(http) = &health.health_checker.http {
            let pointer = format!("{at}/health_checker/http/expected_response_code");
            self.not_negative(pointer, http.expected_response_code);
        }
        let shell = health.health_checker.shell.as_ref();
        if shell.is_some_and(|it| it.shell_command.trim().is_empty()) {
            let pointer = format!("{at}/health_checker/shell/shell_command");
            self.add(pointer, "A shell health check has a command");
        }
    }

    fn sla(&mut self, policy: &SlaPolicy, instances: i64, tier: Tier) {
        let at = "/sla_policy";
        if !tier.is_production() {
            let detail = format!(
                "Only jobs that nothing preempts have an SLA: those of tier {PREFERRED}, say"
            );
            self.add(at, detail);
        }
        let (field, duration_secs, leaves_none) = match policy {
            SlaPolicy::Coordinator { .. } => return,
            SlaPolicy::Percentage { percentage, duration_secs } => {
                if !(0.0..=100.0).contains(percentage) {
                    let detail = format!("A percentage is between 0 and 100, got {percentage}");
                    return self.add(format!("{at}/percentage"), detail);
                }
                #[expect(clippy::cast_precision_loss, reason = "there are some thousand at most")]
                let may_be_down = instances as f64 * (100.0 - percentage) / 100.0;
                ("percentage", *duration_secs, may_be_down < 1.0)
            }
            SlaPolicy::Count { count, duration_secs } => {
                ("count", *duration_secs, instances - count < 1)
            }
        };
        if instances < INSTANCES_FOR_SLA_MIN {
            let detail =
                format!("An SLA needs at least {INSTANCES_FOR_SLA_MIN} instances, got {instances}");
            self.add(at, detail);
        } else if leaves_none {
            let detail = "Leaves no instance that may be down, so no host could ever be maintained";
            self.add(format!("{at}/{field}"), detail);
        }
        if !(0..=SLA_DURATION_SECS_MAX).contains(&duration_secs) {
            let detail =
                format!("Must be between 0 and {SLA_DURATION_SECS_MAX}, got {duration_secs}");
            self.add(format!("{at}/duration_secs"), detail);
        }
    }

    /// The language knows containers; this cluster does not have them.
    fn container(&mut self, container: &Container) {
        match container {
            Container::Docker { .. } => {
                self.add(
                    "/container/docker",
                    "Docker containers are not available on this cluster",
                );
            }
            Container::Mesos { image, volumes } => {
                if image.is_some() {
                    let detail = "Container images are not available on this cluster";
                    self.add("/container/mesos/image", detail);
                }
                if !volumes.is_empty() {
                    let detail = "Container volumes are not available on this cluster";
                    self.add("/container/mesos/volumes", detail);
                }
            }
        }
    }
}
