//! What a job that wakes up can read in its update's record: what was said to it may have been lost
//! with whoever it was before.

use super::{Event, Job};
use crate::{ids::UpdateKey, machine::Machine, update::Effect, view::View};

impl Job {
    pub fn overheard(&self, view: &View) -> Option<Event> {
        let update = self.updating.as_ref()?.id.clone();
        let key = UpdateKey { job: self.key.clone(), id: update.clone() };
        let effects = view.updates.get(&key)?.update.effects();
        effects.into_iter().find_map(|effect| match effect {
            Effect::Demand(demand) => Some(Event::Demanded(demand)),
            Effect::Release { newest } => Some(Event::Released { update: update.clone(), newest }),
            Effect::AskToEnd => None,
        })
    }
}
