//! Whose turn it is to hear of what.
//!
//! Roles take turns, and within a role its jobs, a few instances at a time. So what one has to say
//! to 100,000 instances makes nobody else wait for more than a turn. The words for one job keep
//! their order.

use std::{
    collections::{BTreeMap, VecDeque},
    ops::Bound::{Excluded, Unbounded},
};

use airglow_model::{ids::JobKey, instances::InstanceSet};

/// What waits to be said: to instances of jobs, by role.
pub(super) struct Turns<W> {
    roles: BTreeMap<String, Role<W>>,
    /// Who had the last turn.
    last: Option<String>,
    /// How many are still to be told something, once for each word.
    len: u64,
}

struct Role<W> {
    jobs: BTreeMap<JobKey, VecDeque<(InstanceSet, W)>>,
    last: Option<JobKey>,
}

impl<W: Clone> Turns<W> {
    pub(super) fn new() -> Self {
        Self { roles: BTreeMap::new(), last: None, len: 0 }
    }

    pub(super) fn len(&self) -> u64 {
        self.len
    }

    pub(super) fn is_empty(&self) -> bool {
        self.roles.is_empty()
    }

    pub(super) fn push(&mut self, job: JobKey, instances: InstanceSet, word: W) {
        if instances.is_empty() {
            return;
        }
        self.len += instances.len();
        let nobody = || Role { jobs: BTreeMap::new(), last: None };
        let role = self.roles.entry(job.role.clone()).or_insert_with(nobody);
        role.jobs.entry(job).or_default().push_back((instances, word));
    }

    /// The next turn: a word, and at most `most` of those that it is for.
    pub(super) fn next(&mut self, most: u32) -> Option<(JobKey, InstanceSet, W)> {
        let name = after(&self.roles, self.last.as_ref())?;
        let role = self.roles.get_mut(&name)?;
        let job = after(&role.jobs, role.last.as_ref())?;
        let words = role.jobs.get_mut(&job)?;
        let (instances, word) = words.front_mut()?;
        let (turn, word) = (instances.take_first(most), word.clone());
        if instances.is_empty() {
            words.pop_front();
        }
        if words.is_empty() {
            role.jobs.remove(&job);
        }
        role.last = Some(job.clone());
        if role.jobs.is_empty() {
            self.roles.remove(&name);
        }
        self.last = Some(name);
        self.len -= turn.len();
        Some((job, turn, word))
    }
}

/// The first key after `last`, or of all.
fn after<K: Clone + Ord, V>(all: &BTreeMap<K, V>, last: Option<&K>) -> Option<K> {
    let next = last.and_then(|last| all.range((Excluded(last), Unbounded)).next());
    next.or_else(|| all.first_key_value()).map(|(key, _)| key.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turns(turns: &mut Turns<&str>, most: u32) -> String {
        let mut said = Vec::new();
        while let Some((job, instances, word)) = turns.next(most) {
            said.push(format!("{}/{} {instances} {word}", job.role, job.name));
        }
        said.join(", ")
    }

    fn push(
        turns: &mut Turns<&'static str>,
        (role, name): (&str, &str),
        count: u32,
        word: &'static str,
    ) {
        turns.push(JobKey::new(role, "prod", name), InstanceSet::first(count), word);
    }

    #[test]
    fn a_small_role_waits_for_one_turn_of_a_large_one() {
        let mut all = Turns::new();
        push(&mut all, ("large", "a"), 5, "be");
        push(&mut all, ("large", "b"), 3, "be");
        push(&mut all, ("small", "c"), 2, "be");
        assert_eq!(all.len(), 10);
        assert_eq!(
            turns(&mut all, 2),
            "large/a 0-1 be, small/c 0-1 be, large/b 0-1 be, large/a 2-3 be, large/b 2 be, \
             large/a 4 be"
        );
        assert_eq!((all.is_empty(), all.len()), (true, 0));
    }

    #[test]
    fn a_job_hears_its_words_in_their_order() {
        let mut all = Turns::new();
        push(&mut all, ("www", "a"), 3, "be");
        push(&mut all, ("www", "a"), 3, "end");
        push(&mut all, ("www", "b"), 0, "be");
        assert_eq!(turns(&mut all, 2), "www/a 0-1 be, www/a 2 be, www/a 0-1 end, www/a 2 end");
    }
}
