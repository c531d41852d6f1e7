//! What the machines' effects mean: whose mail they are.

use super::{Mail, Out, Receipt, ToDrainer, ToMatchmaker, ToSwitchboard, Word, entity::Role};
use crate::{
    cron::{self, Entry},
    host::{self, Host},
    ids::{HostId, JobKey, TaskKey},
    instances::InstanceSet,
    job::{self, Job},
    machine::Machine,
    task::{self, Effect, State, Task},
    view::View,
};

impl Role for Task {
    type Key = TaskKey;

    fn unborn(key: TaskKey) -> Self {
        Self::unborn(key)
    }

    fn recall(view: &View, key: &TaskKey) -> Option<Self> {
        view.task_of(key).cloned()
    }

    fn overheard(&self, view: &View) -> Option<task::Event> {
        self.overheard(view)
    }

    fn act(&self, before: Option<&Self>, view: &View, out: &mut Out) {
        for effect in self.effects() {
            match effect {
                Effect::Seek { attempt, config } => {
                    let seek = ToMatchmaker::Seek(self.key.clone(), attempt, config);
                    out.send(Mail::Matchmaker(seek));
                }
                Effect::Launch { .. } | Effect::Kill { .. } => {
                    if let Some((host, order)) = effect.order(view) {
                        out.send(Mail::Switchboard(ToSwitchboard::Tell(host, order)));
                    }
                }
            }
        }
        let Some(before) = before else { return };
        if waits(before) && !waits(self) && !occupies(self) {
            out.send(Mail::Matchmaker(ToMatchmaker::Withdraw(self.key.clone())));
        }
        if occupies(before) && !occupies(self) {
            out.send(Mail::Matchmaker(ToMatchmaker::Look));
        }
    }

    fn mail(key: TaskKey, word: Word<task::Event>) -> Mail {
        Mail::Task(key, word)
    }
}

fn waits(task: &Task) -> bool {
    task.run.as_ref().is_some_and(|it| it.state == State::Pending)
}

fn occupies(task: &Task) -> bool {
    task.is_active() && task.placement().is_some()
}

impl Role for Job {
    type Key = JobKey;

    fn unborn(key: JobKey) -> Self {
        Self::unborn(key)
    }

    fn recall(view: &View, key: &JobKey) -> Option<Self> {
        view.jobs.get(key).map(|it| it.job.clone())
    }

    fn overheard(&self, view: &View) -> Option<job::Event> {
        self.overheard(view)
    }

    fn act(&self, before: Option<&Self>, view: &View, out: &mut Out) {
        let told = before.map(Machine::effects).unwrap_or_default();
        for effect in self.effects() {
            let news = effect.news(&told);
            if news.is_empty() {
                continue;
            }
            let event = match &effect {
                job::Effect::Ensure(demand) => {
                    let config =
                        view.jobs.get(&self.key).and_then(|it| it.configs.get(&demand.config));
                    demand.event(config.expect("a demand is committed with its configuration"))
                }
                job::Effect::Kill(end) => end.event(),
            };
            out.send(Mail::Each(self.key.clone(), news, event, effect));
        }
    }

    fn mail(key: JobKey, word: Word<job::Event>) -> Mail {
        Mail::Job(key, word)
    }
}

impl Role for Entry {
    type Key = JobKey;

    fn unborn(key: JobKey) -> Self {
        Self::unscheduled(key)
    }

    fn recall(view: &View, key: &JobKey) -> Option<Self> {
        Self::recall(view, key)
    }

    fn overheard(&self, view: &View) -> Option<cron::Event> {
        self.overheard(view)
    }

    fn informed(event: cron::Event, key: &JobKey, view: &View) -> cron::Event {
        event.seeing(key, view).unwrap_or(event)
    }

    fn is_patient() -> bool {
        false
    }

    fn act(&self, _: Option<&Self>, view: &View, out: &mut Out) {
        let Some(job) = view.jobs.get(&self.key) else { return };
        for effect in self.effects() {
            match effect {
                cron::Effect::Watch => out.send(Mail::Watch(self.key.clone())),
                cron::Effect::Kill { message } => {
                    let event = job::Event::KillAsked { instances: job.active(), message };
                    out.send(Mail::Job(self.key.clone(), Word::Happened(event, None)));
                }
                cron::Effect::Launch { run, instances, by } => {
                    let config = job.template.clone();
                    let config = config.expect("a timetable is committed with its template");
                    let instances = InstanceSet::first(instances);
                    let event = job::Event::Fired { run, config, instances, by };
                    let receipt = Receipt::Fired(self.key.clone(), run);
                    out.send(Mail::Job(self.key.clone(), Word::Happened(event, Some(receipt))));
                }
            }
        }
    }

    fn mail(key: JobKey, word: Word<cron::Event>) -> Mail {
        Mail::Cron(key, word)
    }
}

impl Role for Host {
    type Key = HostId;

    fn unborn(key: HostId) -> Self {
        Self::unknown(key)
    }

    fn recall(view: &View, key: &HostId) -> Option<Self> {
        view.hosts.get(key).map(|it| it.host.clone())
    }

    fn act(&self, before: Option<&Self>, view: &View, out: &mut Out) {
        if before.is_none() {
            out.send(Mail::Switchboard(ToSwitchboard::Repeat(self.id.clone())));
        }
        if self.mode.is_to_be_empty() {
            out.send(Mail::Drainer(ToDrainer::Drains(self.id.clone())));
        }
        for effect in self.effects() {
            match effect {
                host::Effect::Offer | host::Effect::Rescind => {
                    out.send(Mail::Matchmaker(ToMatchmaker::Look));
                }
                host::Effect::Partition => {
                    let there = view.hosts.get(&self.id).into_iter().flat_map(|it| &it.tasks);
                    let event = task::Event::HostUnreachable { host: self.id.clone() };
                    out.send(Mail::There(there.cloned().collect(), event));
                }
                host::Effect::Abandon => {
                    let there = view.hosts.get(&self.id).into_iter().flat_map(|it| &it.tasks);
                    for task in there.filter_map(|it| view.task_of(it)) {
                        if let Some(event) = task.abandoned(view) {
                            out.send(Mail::There([task.key.clone()].into(), event));
                        }
                    }
                }
            }
        }
    }

    fn mail(key: HostId, word: Word<host::Event>) -> Mail {
        Mail::Host(key, word)
    }
}
