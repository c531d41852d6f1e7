//! Updates, as the view keeps them.

use std::collections::BTreeMap;

use super::{JobView, UpdateView, View};
use crate::{
    ids::{JobKey, UpdateId, UpdateKey},
    record::{Record, RecordKey},
    update::Update,
};

pub(super) fn change(
    updates: &mut BTreeMap<UpdateKey, UpdateView>,
    key: &RecordKey,
    record: Option<&Record>,
) {
    match (key, record) {
        (RecordKey::Update(key), Some(Record::Update(update))) => match updates.get_mut(key) {
            Some(known) => known.update = (**update).clone(),
            None => {
                let view = UpdateView { update: (**update).clone(), lots: BTreeMap::new() };
                updates.insert(key.clone(), view);
            }
        },
        (RecordKey::Update(key), None) => {
            updates.remove(key);
        }
        // An update is born before anything happens to its instances, and its name sorts first.
        (RecordKey::UpdateEvents(key, lot), Some(Record::UpdateEvents(events))) => {
            if let Some(update) = updates.get_mut(key) {
                update.lots.insert(*lot, events.clone());
            }
        }
        (RecordKey::UpdateEvents(key, lot), None) => {
            if let Some(update) = updates.get_mut(key) {
                update.lots.remove(lot);
            }
        }
        (key, record) => unreachable!("{key} is no place for {record:?}"),
    }
}

impl View {
    /// A job's updates that are remembered, in no order that means anything.
    pub fn updates_of(&self, job: &JobKey) -> impl Iterator<Item = &UpdateView> {
        let first = UpdateKey { job: job.clone(), id: UpdateId("".into()) };
        let all = self.updates.range(first..);
        all.take_while(move |(key, _)| key.job == *job).map(|(_, it)| it)
    }

    /// The one that has not ended.
    pub fn active_update(&self, job: &JobKey) -> Option<&Update> {
        let key = self.jobs.get(job)?.updating()?;
        Some(&self.updates.get(&key)?.update)
    }
}

impl JobView {
    /// Which update alone may change it.
    pub fn updating(&self) -> Option<UpdateKey> {
        let id = self.job.updating.as_ref()?.id.clone();
        Some(UpdateKey { job: self.job.key.clone(), id })
    }
}
