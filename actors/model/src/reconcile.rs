//! What a host has against what it should have.

use crate::{
    ids::{HostId, TaskKey},
    task::{Effect, Event, Task},
    wire::Inventoried,
};

/// Something that has to be said, to one side or the other, to make both agree.
#[derive(Clone, Debug, PartialEq)]
pub enum Correction {
    /// The instance is not what it believes to be.
    Tell { task: TaskKey, event: Event },
    /// The host should be asked, perhaps again: a launch or a kill.
    Ask(Effect),
}

/// `believed`: every task that has an active run on `host`, as committed.
pub fn compare<'a>(
    host: &HostId,
    believed: impl IntoIterator<Item = &'a Task>,
    reported: &[Inventoried],
) -> Vec<Correction> {
    let _ = (host, believed.into_iter().count(), reported);
    Vec::new()
}
