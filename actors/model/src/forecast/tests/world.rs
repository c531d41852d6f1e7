//! A cluster in which every wish comes true at once.

use serde_json::{Value, json};

use super::super::*;
use crate::{
    host::{Contact, Host},
    ids::HostId,
    quota::{self, Quota},
    record::{Change, Committed, Record, RecordKey},
    resources::Resources,
    spec::{JobSpec, Limits},
    task::Event,
    wire::RunState,
};

pub(super) const RULES: Rules = Rules { instances_max: 50, quota: quota::Rules { enforce: false } };

/// `www/prod/NAME` with instances of one core each and no ports, unless `how` says otherwise: a
/// list of places in the job and what is there.
pub(super) fn job(name: &str, instances: u32, how: &[(&str, Value)]) -> config::Job {
    let resources = json!({ "cpu": 1.0, "ram": 64 << 20, "disk": 16 << 20 });
    let process = json!({ "name": "p", "cmdline": "run" });
    let task = json!({ "name": name, "processes": [process], "resources": resources });
    let mut spec = json!({
        "cluster": "c", "role": "www", "environment": "prod", "name": name,
        "service": true, "instances": instances, "task": task,
    });
    for (pointer, value) in how {
        match spec.pointer_mut(pointer) {
            Some(place) => *place = value.clone(),
            None => spec[&pointer[1..]] = value.clone(),
        }
    }
    let limits = Limits { tasks_per_job_max: 100, ..Limits::usual("c") };
    serde_json::from_value::<JobSpec>(spec).unwrap().check(&limits).unwrap()
}

pub(super) fn host(name: &str, cores: u64, rack: &str) -> Host {
    let mut host = Host::unknown(name.into());
    host.attributes.insert("rack".into(), [rack.to_owned()].into());
    host.capacity.resources =
        Resources { cpu_milli: cores * 1000, ram_mb: 1024, disk_mb: 1024, gpus: 0 };
    host.capacity.ports = vec![(31_000, 31_009)];
    host.contact = Contact::Up { since: Timestamp(0) };
    host
}

pub(super) struct World {
    pub(super) view: View,
    matchmaker: Matchmaker,
    now: Timestamp,
    /// How many instances ask for places before there is a round.
    pub(super) stride: usize,
}

impl World {
    pub(super) fn new(hosts: &[Host]) -> Self {
        let (view, matchmaker) = (View::default(), Matchmaker::new(Default::default()));
        let mut world = Self { view, matchmaker, now: Timestamp(1), stride: 5 };
        hosts.iter().for_each(|it| world.commit(it.changes(None)));
        world
    }

    pub(super) fn quota(&mut self, role: &str, cores: u64) {
        let limit = Resources { cpu_milli: cores * 1000, ram_mb: 4096, disk_mb: 4096, gpus: 0 };
        let record = Record::Quota(Quota { limit, ..Quota::default() });
        self.commit(vec![Change { key: RecordKey::Quota(role.into()), record: Some(record) }]);
    }

    pub(super) fn forecast(&self, jobs: &[config::Job]) -> Vec<Forecast> {
        let mut double = self.matchmaker.double();
        double.catch_up(&self.view);
        let drafts = draft(&self.view, RULES, self.now, jobs);
        let mut forecasts = forecast(drafts, &mut double, self.now);
        preempt(&mut forecasts, &mut double, self.now, &self.view, &Preemption::default());
        forecasts
    }

    pub(super) fn create(&mut self, job: &config::Job) -> Result<(), Refusal> {
        self.now = Timestamp(self.now.0 + 10_000);
        let (config, instances) = (Arc::new(job.config.clone()), job.instances);
        let wish = Wish::Create { config: config.clone(), instances, by: "ada".into() };
        let Admitted::Job(event, _) = admit(&self.view, &job.key, wish, RULES)? else { panic!() };
        let known = self.view.jobs.get(&job.key).map(|it| it.job.clone());
        let next = known.unwrap_or_else(|| Job::unborn(job.key.clone())).step(self.now, &event);
        let next = next.unwrap();
        self.commit(next.changes(None));
        let wanted = &next.wanted[0];
        for (count, instance) in wanted.instances.iter().enumerate() {
            let key = job.key.task(instance);
            let slot = self.view.task_of(&key).cloned().unwrap_or_else(|| Task::unborn(key));
            let task = slot.step(self.now, &wanted.event(&config)).unwrap();
            self.commit(task.changes(Some(&slot)));
            let Some(Effect::Seek { attempt, config }) = task.effects().pop() else { panic!() };
            self.matchmaker.seek(self.now, task.key, attempt, config, &self.view);
            if count % self.stride == 0 {
                self.round();
            }
        }
        while self.round() {}
        Ok(())
    }

    /// Ends what runs of a job. Who waited may have what becomes free.
    pub(super) fn end(&mut self, key: &JobKey) {
        let Some(job) = self.view.jobs.get(key) else { return };
        let generation = job.job.generation;
        let active: Vec<_> = job.active().iter().map(|it| key.task(it)).collect();
        let kill = job::Event::KillAsked { instances: job.active(), message: String::new() };
        if let Ok(next) = job.job.step(self.now, &kill) {
            self.commit(next.changes(None));
        }
        for task in active {
            self.tell(&task, &Event::KillAsked { generation, message: String::new() });
            self.matchmaker.withdraw(&task);
            let attempt = self.view.task_of(&task).unwrap().attempt;
            let (state, message) = (RunState::Killed, String::new());
            self.tell(&task, &Event::Reported { attempt, state, message });
        }
        while self.round() {}
    }

    /// Where each of a job's instances is.
    pub(super) fn placements(&self, key: &JobKey) -> BTreeMap<HostId, Share> {
        let Some(job) = self.view.jobs.get(key) else { return BTreeMap::new() };
        let placed = job.tasks.values().filter(|it| it.is_active()).filter_map(|task| {
            let at = task.placement()?.clone();
            Some(Placed { task: task.key.clone(), attempt: task.attempt, at })
        });
        shares(placed.collect())
    }

    pub(super) fn waiting(&self, key: &JobKey) -> InstanceSet {
        let tasks = self.view.jobs.get(key).into_iter().flat_map(|it| it.tasks.values());
        let waiting = tasks.filter(|it| it.is_active() && it.placement().is_none());
        waiting.map(|it| it.key.instance).collect()
    }

    fn round(&mut self) -> bool {
        self.matchmaker.catch_up(&self.view);
        let placed = self.matchmaker.round(self.now);
        for Placed { task, attempt, at } in &placed {
            self.tell(task, &Event::Placed { attempt: *attempt, at: at.clone() });
            self.matchmaker.answered(task, *attempt);
        }
        !placed.is_empty()
    }

    fn tell(&mut self, task: &TaskKey, event: &Event) {
        let task = self.view.task_of(task).unwrap();
        if let Ok(next) = task.step(self.now, event) {
            let changes = next.changes(Some(task));
            self.commit(changes);
        }
    }

    fn commit(&mut self, changes: Vec<Change>) {
        self.view.apply(&Committed { seq: self.view.seq + 1, changes });
    }
}
