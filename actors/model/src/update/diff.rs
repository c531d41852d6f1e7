//! What an update of a job would come to.

use std::collections::BTreeMap;

use super::{Order, Side};
use crate::{config::TaskConfig, ids::ConfigId, instances::InstanceSet, view::JobView};

/// What changes, and what does not.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Diff {
    pub order: Order,
    pub unchanged: InstanceSet,
    /// What those that change or go have.
    pub initial: Vec<Side>,
    /// The configuration that is wanted, if the job has had it before.
    pub known: Option<ConfigId>,
    /// Those that were named and are neither there nor wanted.
    pub unheard_of: InstanceSet,
}

impl Diff {
    /// From a job as it is (`None`: there is none) to `count` instances of `config`; if `only` some
    /// are meant, the others stay as they are.
    pub fn of(
        job: Option<&JobView>,
        config: &TaskConfig,
        count: u32,
        only: Option<&InstanceSet>,
    ) -> Self {
        let current = job.map(current).unwrap_or_default();
        let same =
            |id: &ConfigId| job.and_then(|it| it.configs.get(id)).is_some_and(|it| **it == *config);
        let wanted = InstanceSet::first(count);
        let there: InstanceSet =
            current.values().fold(InstanceSet::default(), |all, it| all.union(it));
        let right = current.iter().filter(|(id, _)| same(id)).map(|(_, it)| it);
        let right = right.fold(InstanceSet::default(), |all, it| all.union(it));
        let meant =
            |it: &InstanceSet| only.map_or_else(|| it.clone(), |only| it.intersection(only));
        let order = Order {
            create: meant(&wanted.difference(&there)),
            update: meant(&wanted.intersection(&there).difference(&right)),
            remove: meant(&there.difference(&wanted)),
        };
        let leaving = order.update.union(&order.remove);
        let initial = current.iter().filter_map(|(config, instances)| {
            let instances = instances.intersection(&leaving);
            (!instances.is_empty()).then_some(Side { config: *config, instances })
        });
        let known = job.into_iter().flat_map(|it| it.configs.keys().rev().copied());
        let all = there.union(&wanted);
        Self {
            unchanged: all.difference(&order.all()),
            initial: initial.collect(),
            known: known.into_iter().find(same),
            unheard_of: only.map_or_else(InstanceSet::default, |it| it.difference(&all)),
            order,
        }
    }

    pub fn is_empty(&self) -> bool {
        self.order.all().is_empty()
    }
}

/// Who is there or about to be, by what it has or will have.
fn current(job: &JobView) -> BTreeMap<ConfigId, InstanceSet> {
    let mut current: BTreeMap<ConfigId, Vec<u32>> = BTreeMap::new();
    for task in job.tasks.values().filter(|it| it.is_active()) {
        let config = task.next.or(task.run.as_ref().map(|it| it.config));
        current.entry(config.unwrap_or_default()).or_default().push(task.key.instance);
    }
    for wanted in &job.job.wanted {
        let unborn = wanted.instances.intersection(&job.unborn);
        current.entry(wanted.config).or_default().extend(unborn.iter());
    }
    current.retain(|_, it| !it.is_empty());
    current.into_iter().map(|(config, it)| (config, it.into_iter().collect())).collect()
}
