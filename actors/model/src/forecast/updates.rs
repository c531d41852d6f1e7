//! What an update would come to: which instances, and whether what is new finds a place once what it
//! replaces has made room.

use std::{collections::BTreeMap, sync::Arc};

use super::{ConfigDiff, Share, differences_between, shares};
use crate::{
    admission::{Refusal, Rules, Updated, draft_update},
    config::TaskConfig,
    ids::{Attempt, HostId},
    instances::InstanceSet,
    machine::Timestamp,
    matching::Matchmaker,
    quota::Balance,
    update::{Direction, Order, Request, Roll, Side, Update},
    view::{JobView, Pending, Stay, View},
};

#[derive(Clone, Debug, Default, PartialEq)]
pub struct UpdateForecast {
    pub order: Order,
    pub unchanged: InstanceSet,
    pub placements: BTreeMap<HostId, Share>,
    /// Who would find no place, and why.
    pub pending: Vec<(InstanceSet, Arc<Pending>)>,
    /// From each configuration of those that change.
    pub configs: Vec<ConfigDiff>,
    /// Its role's.
    pub quota: Balance,
}

/// All of it but who would be where.
#[derive(Clone, Debug)]
pub struct UpdateDraft {
    forecast: UpdateForecast,
    update: Update,
    config: Arc<TaskConfig>,
    /// Where those are that change.
    stays: BTreeMap<u32, Stay>,
    /// The newest attempt of each that is there or was.
    attempts: BTreeMap<u32, Attempt>,
}

/// What an update would come to; `None`: there is nothing to do.
///
/// # Errors
/// Why it could not begin.
pub fn draft(
    view: &View,
    rules: Rules,
    config: Arc<TaskConfig>,
    count: u32,
    request: Request,
) -> Result<Option<UpdateDraft>, Refusal> {
    let drafted = draft_update(view, config.clone(), count, request, rules)?;
    let Some(Updated { update, unchanged, balance, .. }) = drafted else { return Ok(None) };
    let job = view.jobs.get(&update.key.job);
    let order = update.roll.order.clone();
    let configs = job.map(|job| differences(job, &update, &config)).unwrap_or_default();
    let tasks = || job.into_iter().flat_map(|it| it.tasks.values());
    let changing = tasks().filter(|it| order.update.contains(it.key.instance));
    let stays = changing.filter_map(|it| Some((it.key.instance, view.stay_of(&it.key)?)));
    let stays = stays.collect();
    let attempts = tasks().map(|it| (it.key.instance, it.attempt)).collect();
    let forecast =
        UpdateForecast { order, unchanged, configs, quota: balance, ..UpdateForecast::default() };
    Ok(Some(UpdateDraft { forecast, update, config, stays, attempts }))
}

/// From each configuration of those that an update changes to `config`, which they come to have.
pub fn differences(job: &JobView, update: &Update, config: &TaskConfig) -> Vec<ConfigDiff> {
    let diff = |side: &Side| {
        let instances = side.instances.intersection(&update.roll.order.update);
        let from = job.configs.get(&side.config).filter(|_| !instances.is_empty())?;
        let differences = differences_between(from, config);
        Some(ConfigDiff { from: side.config, instances, differences })
    };
    update.initial.iter().filter_map(diff).collect()
}

impl UpdateDraft {
    /// Who would be where, by a matchmaker that has caught up with the view of the draft, and that
    /// is not used for anything but forecasts after this.
    pub fn play_out(self, matchmaker: &mut Matchmaker, now: Timestamp) -> UpdateForecast {
        let Self { mut forecast, update, config, stays, attempts } = self;
        let key = &update.key.job;
        let Some(id) = update.target.as_ref().map(|it| it.config) else { return forecast };
        let mut roll = Roll::new(Direction::Forward, update.roll.order.clone());
        roll.idle = roll.order.create.union(&roll.order.update);
        let mut placed = Vec::new();
        while !roll.idle.is_empty() {
            let group = roll.next_group(&update.settings.strategy);
            for instance in group {
                roll.idle = roll.idle.difference(&InstanceSet::range(instance, instance));
                if let Some(stay) = stays.get(&instance) {
                    matchmaker.vacate(stay);
                }
                let attempt = attempts.get(&instance).map_or(0, |it| it.0) + 1;
                let task = key.task(instance);
                matchmaker.want(now, task, Attempt(attempt), (id, &config));
            }
            placed.extend(matchmaker.play_out(now).into_iter().filter(|it| it.task.job == *key));
        }
        let reasons = matchmaker.reasons(now).into_iter().filter(|it| it.0 == *key);
        forecast.pending = reasons.map(|(_, who, why)| (who, why)).collect();
        forecast.placements = shares(placed);
        forecast
    }
}
