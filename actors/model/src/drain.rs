//! Who may leave a host that is being drained, and what the others wait for.
//!
//! One decision looks at all such hosts at once, so that two of them do not break the promise that
//! was made to one job together. It looks at what is, not at what was done before: a scheduler that
//! was killed in the middle goes on by looking. Only what was asked and is not in the view yet, and
//! what coordinators said, is its caller's to remember.
//!
//! Updates that keep to their jobs' policies ask here too: an instance that makes way for another is
//! missed no less than one whose host is emptied.
//!
//! Whoever has been placed on a host while that became empty leaves at once: it came last, and
//! nobody counts on it yet.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::{
    host::Mode,
    ids::{Attempt, HostId, TaskKey, UpdateKey},
    machine::Timestamp,
    sla::Rules,
    task::Status,
    update::Update,
    view::{HostView, View},
};

mod consent;
mod crew;
#[cfg(test)]
mod tests;
mod verdict;

pub use consent::{Consent, Consents, Inquiry};
use verdict::{Judge, Verdict};

/// What its caller knows beyond the view.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    pub now: Timestamp,
    pub rules: &'a Rules,
    /// Who was asked to leave, and may not have heard of it yet.
    pub asked: &'a BTreeMap<TaskKey, Attempt>,
    pub consents: &'a Consents,
    /// Updates that end running instances only as their jobs' policies allow.
    pub updates: &'a BTreeSet<UpdateKey>,
}

/// What to do now, and what to wait for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    pub leave: Vec<Leave>,
    /// Who may end for an update.
    pub permits: Vec<Permit>,
    pub inquire: Vec<Inquiry>,
    /// Where nothing is left, and since when it was to be so.
    pub emptied: Vec<(HostId, Timestamp)>,
    /// For each host that is being drained: who is still there.
    pub waits: BTreeMap<HostId, Vec<Wait>>,
    /// When to look again if nothing happens first.
    pub look_at: Option<Timestamp>,
}

/// It should go now.
#[derive(Clone, Debug, PartialEq)]
pub struct Leave {
    pub task: TaskKey,
    pub attempt: Attempt,
    pub message: String,
}

/// It may end for this update.
#[derive(Clone, Debug, PartialEq)]
pub struct Permit {
    pub update: UpdateKey,
    pub task: TaskKey,
    pub attempt: Attempt,
}

/// Why a task is still there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Wait {
    pub task: TaskKey,
    /// A sentence.
    pub reason: String,
    /// When that may have changed, if time alone can change it.
    pub until: Option<Timestamp>,
}

const MESSAGE: &str = "Draining machine for maintenance";
const FORCED: &str = "Draining machine for maintenance, whose deadline has come";

/// `hosts` are those that may be drained; others among them are left alone. The first that an
/// operator asked for comes first.
pub fn plan<'a>(
    view: &View,
    hosts: impl IntoIterator<Item = &'a HostId>,
    known: Known<'_>,
) -> Plan {
    let mut plan = Plan::default();
    let mut judge = Judge::new(view, known);
    let hosts = hosts.into_iter().filter_map(|it| view.hosts.get(it));
    let mut draining: Vec<_> = hosts.filter_map(|it| Some((since(it)?, it))).collect();
    draining.sort_by_key(|(since, it)| (*since, it.host.id.clone()));
    for (since, host) in draining {
        plan.host(since, host, &mut judge);
    }
    for update in known.updates.iter().filter_map(|it| view.updates.get(it)) {
        plan.update(&update.update, &mut judge);
    }
    plan
}

/// Whether it is still to be decided if this attempt may leave one of `hosts`.
pub fn is_undecided(
    view: &View,
    hosts: &BTreeSet<HostId>,
    task: &TaskKey,
    attempt: Attempt,
) -> bool {
    let run = view.task_of(task).and_then(|it| it.run.as_ref()).filter(|it| it.attempt == attempt);
    run.is_some_and(|it| {
        let is_there = it.state.placement().is_some_and(|at| hosts.contains(&at.host));
        let status = it.state.status();
        let waits = || waits_for_permit(view, task);
        (is_there || waits()) && status.is_active() && !status.is_leaving()
    })
}

/// Whether the job's update would end it, and may not yet.
fn waits_for_permit(view: &View, task: &TaskKey) -> bool {
    let work = view.active_update(&task.job).and_then(|it| it.roll.working.get(&task.instance));
    work.is_some_and(|it| !it.may_end)
}

/// Since when nothing should be there.
fn since(host: &HostView) -> Option<Timestamp> {
    match &host.host.mode {
        Mode::Draining { since, .. } | Mode::Drained { since } => Some(*since),
        Mode::None | Mode::Scheduled { .. } => None,
    }
}

impl Plan {
    fn host(&mut self, since: Timestamp, host: &HostView, judge: &mut Judge<'_>) {
        let id = &host.host.id;
        let is_draining = matches!(host.host.mode, Mode::Draining { .. });
        if host.tasks.is_empty() {
            if is_draining {
                self.emptied.push((id.clone(), since));
            }
            return;
        }
        let forced_at = host.host.mode.deadline();
        let waits: Vec<Wait> =
            host.tasks.iter().filter_map(|it| self.task(it, host, judge)).collect();
        let times = waits.iter().filter_map(|it| it.until).chain(forced_at);
        let next = times.filter(|it| *it > judge.known.now).min();
        self.look_at = [self.look_at, next].into_iter().flatten().min();
        if is_draining {
            self.waits.insert(id.clone(), waits);
        }
    }

    /// Whom an update may end. Who is leaving anyway, or is not there any more, may go.
    fn update(&mut self, update: &Update, judge: &mut Judge<'_>) {
        let working = update.roll.working.iter();
        for (instance, _) in working.filter(|(_, it)| !it.may_end) {
            let task = update.key.job.task(*instance);
            let run = judge.view.task_of(&task).and_then(|it| it.run.as_ref());
            let verdict = run.map(|run| judge.judge_for(update, &task, run));
            match verdict {
                None | Some(Verdict::Leave { .. }) => {
                    let attempt = run.map_or(Attempt(0), |it| it.attempt);
                    let update = update.key.clone();
                    self.permits.push(Permit { update, task, attempt });
                }
                Some(Verdict::Leaving(_)) => {}
                Some(Verdict::Inquire(inquiry)) => self.inquire.push(inquiry),
                Some(Verdict::Stay { until, .. }) => {
                    let next = until.filter(|it| *it > judge.known.now);
                    self.look_at = [self.look_at, next].into_iter().flatten().min();
                }
            }
        }
    }

    /// What this one waits for.
    fn task(&mut self, key: &TaskKey, host: &HostView, judge: &mut Judge<'_>) -> Option<Wait> {
        let run = judge.view.task_of(key)?.run.as_ref()?;
        let wait = |reason, until| Some(Wait { task: key.clone(), reason, until });
        match judge.judge(key, run, &host.host.mode) {
            Verdict::Leaving(status) => wait(leaving(status), None),
            Verdict::Leave { forced } => {
                let message = if forced { FORCED } else { MESSAGE }.to_owned();
                self.leave.push(Leave { task: key.clone(), attempt: run.attempt, message });
                wait(leaving(run.state.status()), None)
            }
            Verdict::Inquire(inquiry) => {
                self.inquire.push(inquiry);
                wait("Its coordinator is being asked".into(), None)
            }
            Verdict::Stay { why, until } => wait(why, until),
        }
    }
}

fn leaving(status: Status) -> String {
    format!("It is leaving, and {status} as yet")
}
