//! What an update may be, in the order in which Aurora finds fault.

use std::sync::Arc;

use super::{Admitted, Refusal, Rules, admit_balance, fits};
use crate::{
    config::{Kind, TaskConfig},
    instances::InstanceSet,
    job,
    quota::Balance,
    update::{Diff, Request, Update},
    view::{JobView, View},
};

#[cfg(test)]
mod tests;

/// An update that nothing speaks against, before it begins.
#[derive(Clone, Debug, PartialEq)]
pub struct Updated {
    pub update: Update,
    /// The configuration, if the job has never had it.
    pub config: Option<Arc<TaskConfig>>,
    /// Those that are as they should be already, and those that are not meant.
    pub unchanged: InstanceSet,
    /// What the role would have.
    pub balance: Balance,
}

pub(super) fn admit(
    view: &View,
    config: Arc<TaskConfig>,
    count: u32,
    request: Request,
    rules: Rules,
) -> Result<Admitted, Refusal> {
    let Some(Updated { update, config, .. }) = draft(view, config, count, request, rules)? else {
        return Ok(Admitted::Nothing);
    };
    let scope = update.scope();
    Ok(Admitted::Job(job::Event::UpdateBegun { update: Box::new(update), config }, scope))
}

/// What an update would come to; `None`: there is nothing to do.
///
/// # Errors
/// Why it may not begin.
pub fn draft(
    view: &View,
    config: Arc<TaskConfig>,
    count: u32,
    request: Request,
    rules: Rules,
) -> Result<Option<Updated>, Refusal> {
    let key = request.key.job.clone();
    if let Some(update) = view.jobs.get(&key).and_then(JobView::updating) {
        return Err(Refusal::Updating(update));
    }
    if config.kind != Kind::Service {
        return Err(Refusal::NotUpdatable(key));
    }
    let failures = u64::from(request.settings.failures_of_instance_max) * u64::from(count);
    let allowed = u64::from(rules.instances_max) * FAILURES_PER_INSTANCE;
    if allowed < failures {
        return Err(Refusal::TooManyFailures { job: key, failures, allowed });
    }
    let job = view.jobs.get(&key);
    let diff = Diff::of(job, &config, count, request.only.as_ref());
    if !diff.unheard_of.is_empty() {
        return Err(Refusal::UnheardOf { job: key, instances: diff.unheard_of });
    }
    if diff.is_empty() {
        return Ok(None);
    }
    let there = diff.unchanged.union(&diff.order.create).union(&diff.order.update);
    fits(&key, there.len(), rules.instances_max)?;
    let next = || job.map_or(crate::ids::ConfigId(1), |it| it.job.next_config());
    let (id, is_new) = diff.known.map_or_else(|| (next(), true), |id| (id, false));
    let unchanged = diff.unchanged.clone();
    let update = request.begin(diff, id);
    let balance = Balance::of(view, &key.role, rules.quota).with_update(view, &update, &config);
    admit_balance(&key.role, &balance)?;
    let is_new = is_new && update.target.is_some();
    Ok(Some(Updated { update, config: is_new.then_some(config), unchanged, balance }))
}

/// The original allows five failures for each instance that a job may have.
const FAILURES_PER_INSTANCE: u64 = 5;
