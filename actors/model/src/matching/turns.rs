//! Who is next: roles take turns, so that no big job keeps all others waiting. Within a role those
//! with the highest priority come first, and among them groups take turns.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, VecDeque},
};

use super::group::GroupKey;

/// Everybody who takes part in a round.
#[derive(Debug)]
pub(super) struct Turns {
    roles: VecDeque<Role>,
}

#[derive(Debug)]
struct Role {
    name: String,
    /// The highest priority first. No queue is empty.
    queues: BTreeMap<Reverse<i64>, VecDeque<GroupKey>>,
}

/// Whose turn it was last: the next round goes on after them.
#[derive(Clone, Debug, Default)]
pub(super) struct LastTurns {
    role: Option<String>,
    groups: BTreeMap<String, GroupKey>,
}

/// How many instances may be placed before it is somebody else's turn.
pub(super) const TURN: usize = 16;

impl Turns {
    /// `groups`: with their priorities, sorted by key.
    pub(super) fn new<'a>(
        groups: impl Iterator<Item = (&'a GroupKey, i64)>,
        last: &mut LastTurns,
    ) -> Self {
        let mut roles: VecDeque<Role> = VecDeque::new();
        for (key, priority) in groups {
            let name = &key.0.role;
            if roles.back().is_none_or(|it| it.name != *name) {
                roles.push_back(Role { name: name.to_string(), queues: BTreeMap::new() });
            }
            let role = roles.back_mut().expect("it was just entered");
            role.queues.entry(Reverse(priority)).or_default().push_back(key.clone());
        }
        last.groups.retain(|it, _| roles.iter().any(|role| role.name == *it));
        for role in &mut roles {
            let Some(after) = last.groups.get(&role.name) else { continue };
            for queue in role.queues.values_mut() {
                let first = queue.partition_point(|it| it <= after);
                queue.rotate_left(first % queue.len());
            }
        }
        if let Some(after) = &last.role {
            let first = roles.partition_point(|it| it.name <= *after);
            roles.rotate_left(first.checked_rem(roles.len()).unwrap_or(0));
        }
        Self { roles }
    }

    pub(super) fn next(&self) -> Option<GroupKey> {
        self.roles.front()?.queues.first_key_value()?.1.front().cloned()
    }

    /// Whoever was next has had its turn, and may want another.
    pub(super) fn done(&mut self, again: bool, last: &mut LastTurns) {
        let Some(mut role) = self.roles.pop_front() else { return };
        let Some(mut queue) = role.queues.first_entry() else { return };
        if let Some(key) = queue.get_mut().pop_front() {
            last.role = Some(role.name.clone());
            last.groups.insert(role.name.clone(), key.clone());
            if again {
                queue.get_mut().push_back(key);
            }
        }
        if queue.get().is_empty() {
            queue.remove();
        }
        if !role.queues.is_empty() {
            self.roles.push_back(role);
        }
    }
}
