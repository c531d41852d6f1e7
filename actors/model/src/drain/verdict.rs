//! What is to become of one task.

use std::collections::BTreeMap;

use super::{
    Inquiry, Known,
    consent::{Line, line},
    crew::Crew,
};
use crate::{
    config::TaskConfig,
    host::Mode,
    ids::{Attempt, JobKey, TaskKey},
    machine::Timestamp,
    sla::Need,
    spec::SlaPolicy,
    task::{Run, Status},
    update::Update,
    view::{JobView, View},
};

pub(super) enum Verdict {
    /// It has been asked to end, by anybody.
    Leaving(Status),
    Leave {
        forced: bool,
    },
    Inquire(Inquiry),
    Stay {
        why: String,
        until: Option<Timestamp>,
    },
}

/// Judges one after the other: whoever has been let go counts for nobody after it.
pub(super) struct Judge<'a> {
    pub(super) view: &'a View,
    pub(super) known: Known<'a>,
    crews: BTreeMap<JobKey, Crew>,
    /// Who has been let go, now or before.
    gone: BTreeMap<TaskKey, Attempt>,
    consents: super::Consents,
}

impl<'a> Judge<'a> {
    pub(super) fn new(view: &'a View, known: Known<'a>) -> Self {
        let (gone, consents) = (known.asked.clone(), known.consents.clone());
        Self { view, known, crews: BTreeMap::new(), gone, consents }
    }

    pub(super) fn judge(&mut self, key: &TaskKey, run: &Run, mode: &Mode) -> Verdict {
        let status = run.state.status();
        if status.is_leaving() || self.known.asked.get(key) == Some(&run.attempt) {
            return Verdict::Leaving(status);
        }
        let quarantined = &self.view.quarantined;
        if !quarantined.is_empty() && quarantined.contains_key(&key.to_string()) {
            let why = "The scheduler has left it alone, because it kept crashing over it".into();
            return Verdict::Stay { why, until: None };
        }
        let verdict = self.may_leave(key, run, mode);
        self.count(key, run, &verdict);
        verdict
    }

    /// Who is let go counts for nobody after it.
    fn count(&mut self, key: &TaskKey, run: &Run, verdict: &Verdict) {
        if !matches!(verdict, Verdict::Leave { .. }) {
            return;
        }
        match self.crews.get_mut(&key.job) {
            Some(crew) => crew.leaves(run),
            None => _ = self.gone.insert(key.clone(), run.attempt),
        }
    }

    /// What is to become of one that an update would end.
    pub(super) fn judge_for(&mut self, update: &Update, key: &TaskKey, run: &Run) -> Verdict {
        let status = run.state.status();
        if self.known.asked.get(key) == Some(&run.attempt) {
            return Verdict::Leaving(status);
        }
        if status.is_leaving() || !status.is_active() || run.state.placement().is_none() {
            return Verdict::Leave { forced: false };
        }
        let verdict = self.may_end(update, key, run);
        self.count(key, run, &verdict);
        verdict
    }

    /// Forward it is the new configuration's policy that counts, back the one's that comes back.
    fn may_end(&mut self, update: &Update, key: &TaskKey, run: &Run) -> Verdict {
        let view = self.view;
        let Some(job) = view.jobs.get(&key.job) else { return Verdict::Leave { forced: false } };
        let next = update.desired(key.instance).unwrap_or(run.config);
        let policy = job.configs.get(&next).and_then(|it| it.spec.sla_policy.as_ref());
        let found = policy.and_then(|it| Some((it, job.configs.get(&run.config)?)));
        let Some((policy, config)) = found else { return Verdict::Leave { forced: false } };
        self.weigh(key, (job, run, config), policy, None)
    }

    /// By a policy.
    fn weigh(
        &mut self,
        key: &TaskKey,
        (job, run, config): (&JobView, &Run, &TaskConfig),
        policy: &SlaPolicy,
        forced_at: Option<Timestamp>,
    ) -> Verdict {
        if let SlaPolicy::Coordinator { coordinator_url, status_key } = policy {
            return self.ask(Inquiry {
                task: key.clone(),
                attempt: run.attempt,
                url: coordinator_url.clone(),
                status_key: status_key.clone(),
                forced_at,
                spec: Box::new(config.spec.clone()),
            });
        }
        let rules = self.known.rules;
        let has_say = config.class.is_production() || rules.nonproduction;
        if !has_say || job.active_count() < rules.instances_min {
            return Verdict::Leave { forced: false };
        }
        self.check(job, run, policy)
    }

    fn may_leave(&mut self, key: &TaskKey, run: &Run, mode: &Mode) -> Verdict {
        let Mode::Draining { request, .. } = mode else { return Verdict::Leave { forced: false } };
        let forced_at = mode.deadline();
        if forced_at.is_some_and(|it| it <= self.known.now) {
            return Verdict::Leave { forced: request.timeout_secs > 0 };
        }
        let view = self.view;
        let found =
            view.jobs.get(&key.job).and_then(|job| Some((job, job.configs.get(&run.config)?)));
        let Some((job, config)) = found else { return Verdict::Leave { forced: false } };
        let policy = config.spec.sla_policy.as_ref().unwrap_or(&request.policy);
        self.weigh(key, (job, run, config), policy, forced_at)
    }

    fn check(&mut self, job: &JobView, run: &Run, policy: &SlaPolicy) -> Verdict {
        let (now, gone) = (self.known.now, &self.gone);
        let key = &job.job.key;
        let update = self.view.active_update(key);
        let crew = self.crews.entry(key.clone()).or_insert_with(|| Crew::of(job, update, gone));
        let active = crew.active;
        let Some((need, duration)) = Need::of(policy, active) else {
            return Verdict::Leave { forced: false };
        };
        let others = crew.others_up(now, run, duration);
        if others >= need.fewest {
            return Verdict::Leave { forced: false };
        }
        let up = match duration.as_secs() {
            0 => "are up".to_owned(),
            secs if secs.is_multiple_of(60) => format!("have been up for {} min", secs / 60),
            secs => format!("have been up for {secs} s"),
        };
        let why = format!(
            "Without it {others} of {active} instances of {key} {up}, and at least {need} have to be"
        );
        Verdict::Stay { why, until: crew.enough_at(run, need, duration) }
    }

    fn ask(&mut self, inquiry: Inquiry) -> Verdict {
        let of = (inquiry.task.clone(), inquiry.attempt);
        match line(self.known.now, self.known.rules, &self.consents, &of, &inquiry.url) {
            Line::Granted => Verdict::Leave { forced: false },
            Line::Waits(why, until) => Verdict::Stay { why, until },
            Line::Free => {
                let asked = super::Consent::Asked { url: inquiry.url.clone() };
                self.consents.insert(of, asked);
                Verdict::Inquire(inquiry)
            }
        }
    }
}
