//! Empties hosts that are to be maintained, in the pace of the policies.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use super::{Ask, Mail, Out, Receipt, Settled, Word};
use crate::{
    drain::{self, Consent, Consents, Inquiry, Known, Leave},
    host,
    ids::{Attempt, HostId, TaskKey},
    machine::Timestamp,
    sla::Rules,
    task,
    view::View,
};

#[derive(Clone, Debug)]
pub(in crate::simulation) enum ToDrainer {
    /// This host is being drained, or has been.
    Drains(HostId),
    /// Something has been committed.
    News,
    Look(u64),
    Answered(TaskKey, Attempt),
    /// Who was asked to leave may not have heard of it.
    Missed(TaskKey, Attempt),
    Advised(Box<Inquiry>, bool),
}

pub(super) struct Drainer {
    rules: Rules,
    hosts: BTreeSet<HostId>,
    asked: BTreeMap<TaskKey, Attempt>,
    consents: Consents,
    /// When it looks next, and which look counts.
    looks_at: Option<(Timestamp, u64)>,
}

const PAUSE: Duration = Duration::from_millis(20);
const LOOKOUT_MAX: Duration = Duration::from_secs(60);
const MISSED_FOR: Duration = Duration::from_secs(5);

impl Drainer {
    pub(super) fn new(rules: Rules) -> Self {
        let (hosts, asked, consents) = (BTreeSet::new(), BTreeMap::new(), Consents::new());
        Self { rules, hosts, asked, consents, looks_at: None }
    }

    pub(super) fn is_busy(&self) -> bool {
        !self.hosts.is_empty()
    }

    pub(super) fn read(&mut self, word: ToDrainer, view: &View, out: &mut Out) {
        match word {
            ToDrainer::Drains(host) => _ = self.hosts.insert(host),
            ToDrainer::News => {}
            ToDrainer::Look(serial) if self.looks_at.is_some_and(|it| it.1 == serial) => {
                self.looks_at = None;
                return self.look(view, out);
            }
            ToDrainer::Look(_) => return,
            ToDrainer::Answered(task, attempt) => {
                if self.asked.get(&task) == Some(&attempt) {
                    self.asked.remove(&task);
                }
            }
            ToDrainer::Missed(task, attempt) => {
                let answered = ToDrainer::Answered(task, attempt);
                return out.later(out.now() + MISSED_FOR, Mail::Drainer(answered));
            }
            ToDrainer::Advised(inquiry, may_go) => {
                let consent = if may_go {
                    Consent::Granted { url: inquiry.url }
                } else {
                    Consent::Refused { at: out.now(), why: "Its coordinator says no".into() }
                };
                self.consents.insert((inquiry.task, inquiry.attempt), consent);
            }
        }
        self.look_by(out.now() + PAUSE, out);
    }

    fn look(&mut self, view: &View, out: &mut Out) {
        let now = out.now();
        let is_to_be_empty =
            |it: &HostId| view.hosts.get(it).is_some_and(|it| it.host.mode.is_to_be_empty());
        self.hosts.retain(is_to_be_empty);
        self.consents
            .retain(|(task, attempt), _| drain::is_undecided(view, &self.hosts, task, *attempt));
        let (rules, asked, consents) = (&self.rules, &self.asked, &self.consents);
        let updates = &BTreeSet::new();
        let plan = drain::plan(view, &self.hosts, Known { now, rules, asked, consents, updates });
        for (host, since) in plan.emptied {
            let event = host::Event::Emptied { since };
            out.send(Mail::Host(host, Word::Happened(event, None)));
        }
        for Leave { task, attempt, message } in plan.leave {
            self.asked.insert(task.clone(), attempt);
            let event = task::Event::DrainAsked { attempt, message };
            let receipt = Receipt::Leave(task.clone(), attempt);
            out.send(Mail::Task(task, Word::Happened(event, Some(receipt))));
        }
        for inquiry in plan.inquire {
            let of = (inquiry.task.clone(), inquiry.attempt);
            self.consents.insert(of, Consent::Asked { url: inquiry.url.clone() });
            out.asks.push(Ask::Inquire(Box::new(inquiry)));
        }
        if self.is_busy() {
            let latest = now + LOOKOUT_MAX;
            self.look_by(plan.look_at.map_or(latest, |it| it.min(latest)), out);
        }
    }

    fn look_by(&mut self, at: Timestamp, out: &mut Out) {
        if self.is_busy() && self.looks_at.is_none_or(|(other, _)| at < other) {
            let serial = out.serial();
            self.looks_at = Some((at, serial));
            out.later(at.max(out.now()), Mail::Drainer(ToDrainer::Look(serial)));
        }
    }
}

/// What a receipt of somebody who was asked to leave says.
pub(super) fn heard(task: TaskKey, attempt: Attempt, how: &Settled) -> ToDrainer {
    match how {
        Settled::Committed | Settled::Rejected(_) => ToDrainer::Answered(task, attempt),
        Settled::Lost => ToDrainer::Missed(task, attempt),
    }
}
