//! What people ask for: one request of a role after the other, each seeing what the one before did.

use super::{Ask, Mail, Out, Receipt, Scheduler, Word};
use crate::{
    admission::{Admitted, Refusal, Wish, admit, admit_quota},
    ids::JobKey,
    instances::InstanceSet,
    quota::Quota,
    record::{Change, Record, RecordKey},
};

#[derive(Clone, Debug)]
pub(in crate::simulation) enum Request {
    Job(JobKey, Wish),
    Quota(String, Quota),
}

/// Of jobs, which instances are concerned.
pub(in crate::simulation) type Answer = Result<InstanceSet, Refusal>;

impl Request {
    pub(in crate::simulation) fn role(&self) -> &str {
        match self {
            Self::Job(job, _) => &job.role,
            Self::Quota(role, _) => role,
        }
    }
}

impl Scheduler {
    pub(super) fn request(&mut self, request: Request, out: &mut Out) {
        match self.under_way.get_mut(request.role()) {
            Some(queue) => queue.push_back(request),
            None => self.consider(request, out),
        }
    }

    /// A request of this role is settled.
    pub(super) fn done(&mut self, request: Request, answer: Answer, out: &mut Out) {
        let role = request.role().to_owned();
        out.asks.push(Ask::Answered(request, answer));
        let mut waiting = self.under_way.remove(&role).unwrap_or_default();
        while let Some(request) = waiting.pop_front() {
            self.consider(request, out);
            if let Some(queue) = self.under_way.get_mut(&role) {
                queue.append(&mut waiting);
                return;
            }
        }
    }

    fn consider(&mut self, request: Request, out: &mut Out) {
        match &request {
            Request::Job(job, wish) => match admit(&self.view, job, wish.clone(), self.rules) {
                Err(refusal) => out.asks.push(Ask::Answered(request, Err(refusal))),
                Ok(Admitted::Nothing) => {
                    out.asks.push(Ask::Answered(request, Ok(InstanceSet::default())));
                }
                Ok(Admitted::Tasks(event, instances)) => {
                    for instance in instances.iter() {
                        let word = Word::Happened(event.clone(), None);
                        out.send(Mail::Task(job.task(instance), word));
                    }
                    out.asks.push(Ask::Answered(request, Ok(instances)));
                }
                Ok(Admitted::Job(event, instances)) => {
                    self.under_way.entry(job.role.clone()).or_default();
                    let job = job.clone();
                    let receipt = Receipt::Request(request, instances);
                    out.send(Mail::Job(job, Word::Happened(event, Some(receipt))));
                }
                Ok(Admitted::Cron(event)) => {
                    self.under_way.entry(job.role.clone()).or_default();
                    let job = job.clone();
                    let receipt = Receipt::Request(request, InstanceSet::default());
                    out.send(Mail::Cron(job, Word::Happened(event, Some(receipt))));
                }
            },
            Request::Quota(role, quota) => match admit_quota(&self.view, role, quota) {
                Err(refusal) => out.asks.push(Ask::Answered(request, Err(refusal))),
                Ok(()) => {
                    self.under_way.entry(role.clone()).or_default();
                    let key = RecordKey::Quota(role.clone());
                    let change = Change { key, record: Some(Record::Quota(quota.clone())) };
                    out.commit(vec![change], Mail::Done(request, Ok(InstanceSet::default())));
                }
            },
        }
    }
}
