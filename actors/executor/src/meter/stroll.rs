//! Whose sandboxes are to be walked through, and a worker's turn at that.

use std::{collections::VecDeque, path::PathBuf, time::Duration};

use airglow_model::ids::TaskId;
use tokio::time::Instant;

use super::{
    pace::STRIDE,
    walk::{Walk, Walked},
};

/// One after the other; the first may have been begun.
#[derive(Default)]
pub(super) struct Strolls(VecDeque<Stroll>);

pub(super) struct Stroll {
    pub(super) id: TaskId,
    pub(super) sandbox: PathBuf,
    /// With more bytes than that there is no need to know how many.
    pub(super) enough: u64,
    pub(super) walk: Option<Walk>,
}

/// What a turn came to.
pub(super) struct Turn {
    pub(super) left: Strolls,
    /// Without a number if there is no sandbox.
    pub(super) ended: Vec<(TaskId, Option<Walked>)>,
    pub(super) took: Duration,
}

impl Strolls {
    pub(super) fn push(&mut self, stroll: Stroll) {
        self.0.push_back(stroll);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Who came while a turn was being taken waits behind who was there.
    pub(super) fn append(&mut self, mut others: Self) {
        self.0.append(&mut others.0);
    }

    pub(super) fn keep(&mut self, is_wanted: impl Fn(&TaskId) -> bool) {
        self.0.retain(|it| is_wanted(&it.id));
    }

    /// For workers, who have other things to do as well: a turn is short.
    pub(super) fn take_turn(mut self) -> Turn {
        let began = Instant::now();
        let mut ended = Vec::new();
        while let Some(stroll) = self.0.front_mut() {
            let patience = STRIDE.saturating_sub(began.elapsed());
            if patience.is_zero() {
                break;
            }
            match stroll.go_on(patience) {
                Some(walked) => ended.push((stroll.id.clone(), walked)),
                None => break,
            }
            self.0.pop_front();
        }
        Turn { left: self, ended, took: began.elapsed() }
    }
}

impl Stroll {
    /// `None` if there is more to see, and `Some(None)` if there is nothing at all.
    fn go_on(&mut self, patience: Duration) -> Option<Option<Walked>> {
        if self.walk.is_none() {
            self.walk = Walk::begin(&self.sandbox, self.enough).ok();
        }
        match &mut self.walk {
            Some(walk) => walk.go_on(patience).map(Some),
            None => Some(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn everybody_has_a_turn_and_a_long_walk_several() {
        let data = tempfile::tempdir().unwrap();
        let mut strolls = Strolls::default();
        for (name, files) in [("large", 30_000), ("none", 0), ("small", 1)] {
            let sandbox = data.path().join(name);
            if 0 < files {
                fs::create_dir(&sandbox).unwrap();
            }
            (0..files).for_each(|it| fs::write(sandbox.join(it.to_string()), "").unwrap());
            let id = TaskId(name.into());
            strolls.push(Stroll { id, sandbox, enough: u64::MAX, walk: None });
        }
        let mut turns = 0;
        let mut ended = Vec::new();
        while !strolls.is_empty() {
            let turn = strolls.take_turn();
            (strolls, turns) = (turn.left, turns + 1);
            ended.extend(turn.ended.into_iter().map(|(id, it)| (id.0, it.is_some())));
        }
        let expected = [("large", true), ("none", false), ("small", true)];
        assert_eq!(ended, expected.map(|(name, is_there)| (name.into(), is_there)));
        assert!(1 < turns, "30,000 files take longer than one turn");
    }
}
