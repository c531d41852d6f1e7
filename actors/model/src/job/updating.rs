//! What a job makes of its update's words.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Event, Job};
use crate::{
    config::TaskConfig,
    ids::{ConfigId, UpdateId},
    instances::InstanceSet,
    machine::Timestamp,
    update::{Demand, Direction, Update},
};

/// Its update alone may change it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Updating {
    pub id: UpdateId,
    /// Where the update went when it last asked for something.
    pub direction: Direction,
    /// Which configurations it may still ask for.
    pub(super) configs: Vec<ConfigId>,
}

impl Job {
    /// The job after something of an update's, unless that is not its update, or no news.
    pub(super) fn updated(&self, now: Timestamp, event: &Event) -> Option<Self> {
        let mut next = self.settled();
        match event {
            Event::UpdateBegun { update, config } if self.updating.is_none() => {
                next.begin(now, update, config.clone());
            }
            Event::Demanded(demand) if self.obeys(demand) => {
                next.meet(demand);
                if next == self.settled() {
                    return None;
                }
            }
            Event::Released { update, newest } => {
                self.updating.as_ref().filter(|it| it.id == *update)?;
                next.updating = None;
                next.config = newest.unwrap_or(self.config);
            }
            Event::UpdateBegun { .. }
            | Event::Demanded(_)
            | Event::Created { .. }
            | Event::Added { .. }
            | Event::Fired { .. }
            | Event::KillAsked { .. }
            | Event::Over { .. }
            | Event::Unused { .. }
            | Event::Forgotten { .. } => return None,
        }
        Some(next)
    }

    fn begin(&mut self, now: Timestamp, update: &Update, config: Option<Arc<TaskConfig>>) {
        if self.generation == 0 {
            (self.created_at, self.by) = (now, update.by.clone());
        }
        if self.wanted.is_empty() {
            // What is left of an earlier life has ended, and nothing is to follow it.
            self.config = update.target.as_ref().map_or(self.config, |it| it.config);
        }
        self.newest = if config.is_some() { self.next_config() } else { self.newest };
        self.generation += 1;
        self.arriving = config;
        self.updating = Some(Updating {
            id: update.key.id.clone(),
            direction: Direction::Forward,
            configs: update.configs().collect(),
        });
        self.beginning = Some(Box::new(update.clone()));
    }

    /// What is demanded and is not so already.
    fn meet(&mut self, demand: &Demand) {
        let Demand { update, direction, wanted, unwanted } = demand;
        if let Some(updating) = self.updating.as_mut().filter(|it| it.direction != *direction) {
            updating.direction = *direction;
            self.generation += 1;
        }
        for side in wanted {
            let has = self.wanted.iter().filter(|it| it.config == side.config);
            let has = has.fold(InstanceSet::default(), |all, it| all.union(&it.instances));
            let instances = side.instances.difference(&has);
            if !instances.is_empty() {
                self.want_as(&instances, side.config, Some(&update.id));
            }
        }
        let instances = unwanted.intersection(&self.all_wanted());
        if !instances.is_empty() {
            self.end(&instances, &killed_for(&update.id));
        }
    }

    /// Whether this update may say what the job should be.
    fn obeys(&self, demand: &Demand) -> bool {
        self.updating.as_ref().is_some_and(|it| {
            let turns = it.direction == Direction::Back && demand.direction == Direction::Forward;
            it.id == demand.update.id && !turns
        })
    }
}

/// What an instance is told that has to end for an update.
pub(super) fn killed_for(update: &UpdateId) -> String {
    format!("Killed for job update {update}")
}
