//! The end of what is left of a task, without its shepherd's help, and whether or not there is one.

use crate::{cgroups::Group, folder::TaskFolder, herd::Register, pids};

/// Returns whether the task was nobody's until now. Then it will never be anybody's.
pub(crate) fn end(folder: &TaskFolder, group: Option<&Group>) -> bool {
    // Where it has begun there is nothing to be written, so that a full disk keeps nobody alive.
    let was_nobodys = folder.claim_for_nobody().unwrap_or(false);
    let register = Register::read(folder).map(|(it, _)| it).unwrap_or_default();
    for main in register.alive().values() {
        pids::kill_tree(*main);
    }
    if let Some(shepherd) = register.shepherd {
        pids::kill_tree(shepherd);
        if !register.has_namespaces {
            pids::kill_session_of(shepherd);
        }
    }
    if let Some(group) = group {
        group.kill();
    }
    was_nobodys
}
