//! Whether canaries do worse than those that are as they were.
//!
//! Worse is who ends by itself more often while both are watched, or, at the end, who is up in
//! smaller numbers. A check of health that fails too often ends an instance, so that counts too.

use super::{Sight, roll::Trial};
use crate::{instances::InstanceSet, machine::Timestamp, task::Status};

/// How some instances do.
#[derive(Clone, Copy, Debug, Default)]
struct Health {
    instances: u64,
    up: u64,
    exits: u64,
}

impl Trial {
    /// All canaries are up, or were a moment ago: from now on they are compared.
    pub(super) fn begun(self, now: Timestamp, others: &InstanceSet, sight: &Sight) -> Self {
        if self.since.is_some() {
            return self;
        }
        let all = self.canaries.iter().chain(others.iter());
        let exits = all.filter_map(|it| Some((it, sight.seen.get(&it)?.exits))).collect();
        Self { since: Some(now), exits, ..self }
    }

    fn health(&self, of: &InstanceSet, sight: &Sight) -> Health {
        let mut health = Health::default();
        for instance in of.iter() {
            // One that was not there then was there to be compared with nothing.
            let Some(before) = self.exits.get(&instance) else { continue };
            let seen = sight.seen.get(&instance);
            health.instances += 1;
            health.up += u64::from(seen.is_some_and(|it| it.status == Status::Running));
            health.exits += u64::from(seen.map_or(0, |it| it.exits.saturating_sub(*before)));
        }
        health
    }
}

/// # Errors
/// How they do worse, in words.
pub(super) fn compare(
    trial: &Trial,
    others: &InstanceSet,
    sight: &Sight,
    is_over: bool,
) -> Result<(), String> {
    let (new, old) = (trial.health(&trial.canaries, sight), trial.health(others, sight));
    let canaries = &trial.canaries;
    if old.exits * new.instances < new.exits * old.instances.max(1) {
        return Err(format!(
            "Canaries ({canaries}) do worse: {} of {} ended by themselves, {} of the other {}",
            new.exits, new.instances, old.exits, old.instances
        ));
    }
    let least = if old.instances == 0 { new.instances } else { old.up * new.instances };
    if is_over && new.up * old.instances.max(1) < least {
        return Err(format!(
            "Canaries ({canaries}) do worse: {} of {} are RUNNING, {} of the other {}",
            new.up, new.instances, old.up, old.instances
        ));
    }
    Ok(())
}
