//! How far updates have come, as lists and bars show it.

use std::borrow::Borrow;

use airglow_model::{
    machine::Timestamp,
    update::{Direction, Status},
    view::UpdateView,
};

use super::format::Look;
use crate::{
    api::{UpdateProgress, UpdateSummary},
    updates,
};

/// One update in a list or on its job's page.
pub(crate) struct Moving {
    pub(crate) it: UpdateSummary,
    pub(crate) look: Look,
    /// The last thing that anybody said, or why it turned back.
    pub(crate) said: String,
}

impl Moving {
    pub(crate) fn new(view: &UpdateView) -> Self {
        let it = updates::summary(view);
        let said = view.update.events.iter().rev().find(|it| !it.message.is_empty());
        let said = said.map(|it| it.message.clone()).unwrap_or_default();
        Self { look: status(&it.status), it, said }
    }

    pub(crate) fn bar(&self) -> Vec<(&'static str, f64, f64)> {
        bar(self.it.progress, self.it.direction)
    }

    /// `148 of 240`.
    pub(crate) fn text(&self) -> String {
        format!("{} of {}", self.it.progress.done, self.it.progress.total)
    }

    /// `, 1 failed, 13 in work`, or nothing.
    pub(crate) fn besides(&self) -> String {
        let UpdateProgress { failed, working, .. } = self.it.progress;
        let besides = [(failed, "failed"), (working, "in work")].into_iter();
        besides.filter(|it| it.0 > 0).map(|(count, how)| format!(", {count} {how}")).collect()
    }

    /// Where its clock stands, or stopped.
    pub(crate) fn ended_at(&self, now: impl Borrow<Timestamp>) -> Timestamp {
        if self.it.active { *now.borrow() } else { self.it.modified_at }
    }
}

pub(crate) fn status(status: &Status) -> Look {
    let (name, class, glyph) = match status {
        Status::RollingForward => ("Rolling forward", "running", "▸"),
        Status::RollForwardPaused => ("Paused", "waiting", "‖"),
        Status::RollForwardAwaitingPulse => ("Waiting for a pulse", "waiting", "○"),
        Status::RollingBack => ("Rolling back", "ending", "◂"),
        Status::RollBackPaused => ("Paused on its way back", "waiting", "‖"),
        Status::RollBackAwaitingPulse => ("Waiting for a pulse to go back", "waiting", "○"),
        Status::RolledForward => ("Rolled forward", "finished", "✓"),
        Status::RolledBack => ("Rolled back", "lost", "↺"),
        Status::Aborted => ("Aborted", "killed", "■"),
        Status::Error => ("Ended by an error", "failed", "✕"),
        Status::Failed => ("Failed", "failed", "✕"),
    };
    Look { name, class, glyph }
}

/// The parts of a bar of 100, with where each begins. It grows from the left; whoever goes back has
/// one that grows from the right.
fn bar(it: UpdateProgress, direction: Direction) -> Vec<(&'static str, f64, f64)> {
    let done = match direction {
        Direction::Forward => "finished",
        Direction::Back => "lost",
    };
    let parts = [(done, it.done), ("failed", it.failed), ("running", it.working)];
    let all = it.total.max(1) as f64;
    let mut begin = 0.0;
    let mut bar = Vec::new();
    for (class, count) in parts.into_iter().filter(|(_, count)| *count > 0) {
        let width = hundredths(count as f64 * 100.0 / all);
        let at = match direction {
            Direction::Forward => begin,
            Direction::Back => 100.0 - begin - width,
        };
        bar.push((class, hundredths(at), width));
        begin += width;
    }
    bar
}

fn hundredths(it: f64) -> f64 {
    (it * 100.0).round() / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_grows_in_the_direction_that_an_update_goes() {
        let it = UpdateProgress { total: 10, waiting: 4, working: 2, done: 3, failed: 1 };
        let forward = [("finished", 0.0, 30.0), ("failed", 30.0, 10.0), ("running", 40.0, 20.0)];
        assert_eq!(bar(it, Direction::Forward), forward);
        let back = [("lost", 70.0, 30.0), ("failed", 60.0, 10.0), ("running", 40.0, 20.0)];
        assert_eq!(bar(it, Direction::Back), back);
        assert_eq!(bar(UpdateProgress::default(), Direction::Back), []);
    }

    #[test]
    fn every_status_has_words_and_those_that_end_differ_in_shape() {
        let names: std::collections::BTreeSet<_> =
            Status::ALL.iter().map(|it| status(it).name).collect();
        assert_eq!(names.len(), Status::ALL.len());
        let ended = Status::ALL.iter().filter(|it| !it.is_active() && **it != Status::Error);
        let shapes: std::collections::BTreeSet<_> = ended.map(|it| status(it).glyph).collect();
        assert_eq!(shapes.len(), 4);
    }
}
