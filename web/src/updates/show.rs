//! From the view to what the API tells of updates. Pure, and quick: nothing here waits while the view
//! is held.

use std::collections::{BTreeMap, BTreeSet};

use airglow_model::{
    forecast,
    ids::UpdateKey,
    machine::Timestamp,
    task::Task,
    update::{self, Action, Direction, Side, Update},
    view::{JobView, UpdateView, View},
};

use crate::{
    api::{
        ConfigDiff, InstanceEvent, UpdateBatch, UpdateDetail, UpdateEvent, UpdateInstance,
        UpdateProgress, UpdateSide, UpdateStage, UpdateSummary,
    },
    show,
};

pub(crate) fn summary(UpdateView { update, .. }: &UpdateView) -> UpdateSummary {
    let UpdateKey { job, id } = &update.key;
    UpdateSummary {
        role: job.role.clone(),
        environment: job.environment.clone(),
        name: job.name.clone(),
        id: id.to_string(),
        status: update.status,
        active: update.status.is_active(),
        direction: update.roll.direction,
        user: update.by.clone(),
        created_at: update.created_at,
        modified_at: update.modified_at(),
        message: update.events.last().map(|it| it.message.clone()).unwrap_or_default(),
        progress: progress(update),
        url: format!("/update/{}", update.key),
    }
}

fn progress(update: &Update) -> UpdateProgress {
    let roll = &update.roll;
    UpdateProgress {
        total: roll.order.all().len(),
        waiting: roll.idle.len(),
        working: roll.working.len() as u64,
        done: roll.done.len(),
        failed: roll.failed.len() as u64,
    }
}

pub(crate) fn detail(view: &View, it: &UpdateView) -> UpdateDetail {
    let (update, job) = (&it.update, view.jobs.get(&it.update.key.job));
    let scope = update.scope();
    let pending = job.into_iter().flat_map(|job| {
        let waiting = job.pending.keys().filter(|it| scope.contains(**it));
        waiting.filter_map(|instance| show::pending_task(job, *instance))
    });
    UpdateDetail {
        instance_events: events(it).map(instance_event).collect(),
        instances: scope.iter().map(|instance| self::instance(job, update, instance)).collect(),
        batches: batches(it),
        pending: pending.collect(),
        ..outline(view, it)
    }
}

/// All but what there is more of with every instance.
pub(crate) fn outline(view: &View, it: &UpdateView) -> UpdateDetail {
    let (update, job) = (&it.update, view.jobs.get(&it.update.key.job));
    let order = &update.roll.order;
    UpdateDetail {
        summary: summary(it),
        settings: update.settings.clone(),
        metadata: update.metadata.clone(),
        target: update.target.as_ref().map(|it| side(job, it)),
        initial: update.initial.iter().map(|it| side(job, it)).collect(),
        add: order.create.clone(),
        update: order.update.clone(),
        remove: order.remove.clone(),
        configs: job.map(|job| differences(job, update)).unwrap_or_default(),
        events: update.events.iter().map(event).collect(),
        instance_events: Vec::new(),
        instances: Vec::new(),
        batches: Vec::new(),
        pending: Vec::new(),
        pulse_due_at: update.pulse_due_at(),
    }
}

fn side(job: Option<&JobView>, Side { config, instances }: &Side) -> UpdateSide {
    let written = job.and_then(|it| it.configs.get(config)).map(|it| it.spec.clone());
    UpdateSide { config: config.0, instances: instances.clone(), job: written }
}

/// From each configuration of those that change to the new one.
fn differences(job: &JobView, update: &Update) -> Vec<ConfigDiff> {
    let Some(target) = update.target.as_ref().and_then(|it| job.configs.get(&it.config)) else {
        return Vec::new();
    };
    let differences = forecast::update_differences(job, update, target);
    differences.into_iter().map(ConfigDiff::from).collect()
}

fn event(it: &update::UpdateEvent) -> UpdateEvent {
    let (user, message) = (it.by.clone(), it.message.clone());
    UpdateEvent { at: it.at, status: it.status, user, message }
}

fn events(it: &UpdateView) -> impl Iterator<Item = &update::InstanceEvent> {
    it.lots.values().flat_map(|it| it.iter())
}

fn instance_event(it: &update::InstanceEvent) -> InstanceEvent {
    let update::InstanceEvent { at, instance, action, message } = it.clone();
    InstanceEvent { at, instance, action, message }
}

fn instance(job: Option<&JobView>, update: &Update, instance: u32) -> UpdateInstance {
    let roll = &update.roll;
    let failure = roll.failed.get(&instance);
    let stage = if failure.is_some() {
        UpdateStage::Failed
    } else if roll.working.contains_key(&instance) {
        UpdateStage::Working
    } else if roll.idle.contains(instance) {
        UpdateStage::Waiting
    } else {
        UpdateStage::Done
    };
    let task = job.and_then(|it| it.tasks.get(&instance)).filter(|it| it.is_active());
    let run = task.and_then(|it| it.run.as_ref());
    UpdateInstance {
        instance,
        stage,
        status: task.and_then(Task::status),
        config: run.map(|it| it.config.0),
        task_id: run.map(|it| it.id.to_string()),
        host: task.and_then(Task::placement).map(|it| it.host.to_string()),
        since: run.and_then(|it| it.events.last()).map(|it| it.at),
        why: failure.map(|it| it.why.clone()).or_else(|| waits_for(job, instance)),
        failed_task_id: failure.and_then(|it| it.task.as_ref()).map(ToString::to_string),
    }
}

/// Why it has no place.
fn waits_for(job: Option<&JobView>, instance: u32) -> Option<String> {
    let pending = job?.pending.get(&instance)?;
    pending.vetoes.first().map(|it| it.reason.clone())
}

/// Those whose turns came at the same time, in the direction that it goes. A turn comes once, even
/// if more is told of it later.
pub(crate) fn batches(it: &UpdateView) -> Vec<UpdateBatch> {
    let roll = &it.update.roll;
    let begins = match roll.direction {
        Direction::Forward => Action::Updating,
        Direction::Back => Action::RollingBack,
    };
    let mut begun: BTreeMap<Timestamp, Vec<u32>> = BTreeMap::new();
    let mut known = BTreeSet::new();
    for event in events(it).filter(|it| it.action == begins) {
        if known.insert(event.instance) {
            begun.entry(event.at).or_default().push(event.instance);
        }
    }
    let batch = |(at, instances): (Timestamp, Vec<u32>)| UpdateBatch {
        at,
        over: !instances.iter().any(|it| roll.working.contains_key(it)),
        instances: instances.into_iter().collect(),
    };
    begun.into_iter().map(batch).collect()
}
