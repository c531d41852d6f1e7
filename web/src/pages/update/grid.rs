//! Every instance of an update as one square: how each is, and whose turn comes together.
//!
//! A page has them as one letter each and the groups as ranges, so that 10,000 are a few kilobytes;
//! the script draws them. Who cannot see that reads the same from the legend.

use std::collections::{BTreeMap, BTreeSet};

use airglow_model::{
    ids::ConfigId,
    instances::InstanceSet,
    machine::Timestamp,
    task::{Status, Task},
    update::{Direction, Strategy, Update},
    view::{JobView, UpdateView},
};

use crate::{api::UpdateBatch, pages::format::Look, updates::batches};

/// More groups than this are not seen as groups any more.
const GROUPS_MAX: usize = 1200;
/// Longer lists of instances than this are cut.
const LISTED: usize = 400;
const BRIEF: usize = 48;

/// How an instance is, for somebody who watches the update.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Cell {
    Waiting,
    Held,
    Replaced,
    Unplaced,
    Starting,
    Watched,
    Done,
    Restored,
    /// Its turn had not come when the update turned back.
    Untouched,
    Failed,
    /// The update ended in the middle of it.
    Left,
}

/// Those in one state.
pub(super) struct Legend {
    pub(super) letter: char,
    pub(super) look: Look,
    pub(super) count: usize,
    pub(super) instances: String,
}

/// Those whose turn comes together.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) stage: Stage,
    pub(super) instances: InstanceSet,
    pub(super) at: Option<Timestamp>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Stage {
    Over,
    Now,
    Next,
    /// Nothing had to be done with them.
    Right,
    /// There are no batches: all are one.
    All,
}

pub(super) struct Grid {
    /// One letter an instance, group by group.
    pub(super) cells: String,
    pub(super) groups: Vec<Group>,
    pub(super) legend: Vec<Legend>,
    pub(super) total: usize,
}

impl Cell {
    fn letter(self) -> char {
        match self {
            Self::Waiting => 'w',
            Self::Held => 'h',
            Self::Replaced => 'e',
            Self::Unplaced => 'p',
            Self::Starting => 's',
            Self::Watched => 'r',
            Self::Done => 'd',
            Self::Restored => 'b',
            Self::Untouched => 'u',
            Self::Failed => 'f',
            Self::Left => 'l',
        }
    }

    fn look(self, is_active: bool) -> Look {
        let (name, class, glyph) = match self {
            Self::Waiting if is_active => ("waiting for its turn", "idle", "○"),
            Self::Waiting => ("left alone", "idle", "○"),
            Self::Held => ("held back by the SLA", "waiting", "◇"),
            Self::Replaced => ("being replaced", "ending", "◐"),
            Self::Unplaced => ("without a place", "waiting", "◌"),
            Self::Starting => ("starting", "starting", "◔"),
            Self::Watched => ("running, watched", "running", "◉"),
            Self::Done => ("done", "finished", "✓"),
            Self::Restored => ("turned back", "lost", "↺"),
            Self::Untouched => ("never changed", "killed", "·"),
            Self::Failed => ("failed", "failed", "✕"),
            Self::Left => ("left in the middle", "killed", "◐"),
        };
        Look { name, class, glyph }
    }

    fn of(job: Option<&JobView>, update: &Update, begun: &BTreeSet<u32>, instance: u32) -> Self {
        let roll = &update.roll;
        if roll.failed.contains_key(&instance) {
            return Self::Failed;
        }
        let Some(work) = roll.working.get(&instance) else {
            return match roll.direction {
                _ if roll.idle.contains(instance) => Self::Waiting,
                Direction::Forward => Self::Done,
                Direction::Back if begun.contains(&instance) => Self::Restored,
                Direction::Back => Self::Untouched,
            };
        };
        if !update.status.is_active() {
            return Self::Left;
        }
        if !work.may_end {
            return Self::Held;
        }
        let is_unplaced = job.is_some_and(|it| it.pending.contains_key(&instance));
        let task = job.and_then(|it| it.tasks.get(&instance)).filter(|it| it.is_active());
        Self::of_work(task, update.desired(instance), is_unplaced)
    }

    fn of_work(task: Option<&Task>, desired: Option<ConfigId>, is_unplaced: bool) -> Self {
        let Some(run) = task.and_then(|it| it.run.as_ref()) else {
            return if desired.is_some() { Self::Starting } else { Self::Replaced };
        };
        if Some(run.config) != desired {
            return Self::Replaced;
        }
        match run.state.status() {
            Status::Pending if is_unplaced => Self::Unplaced,
            Status::Throttled | Status::Pending | Status::Assigned | Status::Starting => {
                Self::Starting
            }
            Status::Running => Self::Watched,
            Status::Killing
            | Status::Restarting
            | Status::Preempting
            | Status::Draining
            | Status::Partitioned
            | Status::Finished
            | Status::Failed
            | Status::Killed
            | Status::Lost => Self::Replaced,
        }
    }
}

impl Stage {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Over => "over",
            Self::Now => "now",
            Self::Next => "next",
            Self::Right => "right",
            Self::All => "all",
        }
    }

    pub(super) fn look(self) -> Look {
        let (name, class, glyph) = match self {
            Self::Over => ("done", "finished", "✓"),
            Self::Now => ("in work", "running", "●"),
            Self::Next => ("waiting", "idle", "○"),
            Self::Right => ("nothing to do", "killed", "–"),
            Self::All => ("all", "running", "●"),
        };
        Look { name, class, glyph }
    }
}

impl Grid {
    pub(super) fn of(job: Option<&JobView>, it: &UpdateView) -> Self {
        let batches = batches(it);
        let begun: BTreeSet<u32> = batches.iter().flat_map(|it| it.instances.iter()).collect();
        let groups = groups(&it.update, batches);
        let mut by_cell: BTreeMap<Cell, Vec<u32>> = BTreeMap::new();
        let mut cells = String::new();
        for instance in groups.iter().flat_map(|it| it.instances.iter()) {
            let cell = Cell::of(job, &it.update, &begun, instance);
            cells.push(cell.letter());
            by_cell.entry(cell).or_default().push(instance);
        }
        let is_active = it.update.status.is_active();
        let legend = |(cell, instances): (Cell, Vec<u32>)| Legend {
            letter: cell.letter(),
            look: cell.look(is_active),
            count: instances.len(),
            instances: cut(&instances.into_iter().collect(), LISTED),
        };
        let legend = by_cell.into_iter().map(legend).collect();
        Self { total: cells.len(), cells, groups, legend }
    }

    /// `over:0-9 now:10-19 next:20-29`.
    pub(super) fn ranges(&self) -> String {
        let groups: Vec<_> =
            self.groups.iter().map(|it| format!("{}:{}", it.stage.name(), it.instances)).collect();
        groups.join(" ")
    }

    pub(super) fn has_batches(&self) -> bool {
        self.groups.iter().any(|it| it.stage != Stage::All)
    }
}

/// `instance 3`, `5 instances 0-3,7`, as far as it fits into a line.
pub(super) fn brief(instances: &InstanceSet) -> String {
    match instances.len() {
        1 => format!("instance {instances}"),
        count => format!("{count} instances {}", cut(instances, BRIEF)),
    }
}

fn cut(instances: &InstanceSet, most: usize) -> String {
    let text = instances.to_string();
    if text.len() <= most {
        return text;
    }
    let end = text[..most].rfind(',').unwrap_or(most);
    format!("{} and more", &text[..end])
}

/// Those that were begun together, then those that will be.
fn groups(update: &Update, batches: Vec<UpdateBatch>) -> Vec<Group> {
    let scope = update.scope();
    let one = |instances| vec![Group { stage: Stage::All, instances, at: None }];
    match update.settings.strategy {
        Strategy::Queue { .. } => return one(scope),
        Strategy::Batch { .. } | Strategy::VariableBatch { .. } => {}
    }
    let begun = batches.into_iter().map(|UpdateBatch { at, instances, over }| Group {
        stage: if over { Stage::Over } else { Stage::Now },
        instances,
        at: Some(at),
    });
    let mut groups: Vec<_> = begun.collect();
    let known = groups.iter().fold(update.roll.idle.clone(), |all, it| all.union(&it.instances));
    let planned = planned(update);
    if groups.len() + planned.len() > GROUPS_MAX {
        return one(scope);
    }
    let right = scope.difference(&known);
    if !right.is_empty() {
        groups.push(Group { stage: Stage::Right, instances: right, at: None });
    }
    groups.extend(planned);
    groups
}

/// The batches to come, if everything goes well.
fn planned(update: &Update) -> Vec<Group> {
    let mut roll = update.roll.clone();
    roll.working.clear();
    let mut groups = Vec::new();
    while !roll.idle.is_empty() && groups.len() <= GROUPS_MAX {
        let next: InstanceSet = roll.next_group(&update.settings.strategy).into_iter().collect();
        if next.is_empty() {
            break;
        }
        roll.idle = roll.idle.difference(&next);
        groups.push(Group { stage: Stage::Next, instances: next, at: None });
    }
    groups
}

#[cfg(test)]
mod tests;
