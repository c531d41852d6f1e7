//! A whole cluster in one thread, of nothing but the model: what is decided, without anybody who
//! carries it out. Each story in `stories/` is commands, `----`, and what everybody decided.
//! `UPDATE=1 cargo test -p airglow-model --test stories` writes down what is decided now.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{
    collections::{BTreeMap, VecDeque},
    fmt::Write as _,
    fs,
    path::Path,
    sync::Arc,
    time::Duration,
};

use airglow_model::{
    config::TaskConfig,
    host::{self, Host},
    ids::{HostId, JobKey, TaskId, TaskKey},
    job::{self, Job, Unwanted},
    machine::{Machine, Timestamp},
    matching::{Matchmaker, Placed, Scheduling},
    reconcile::{self, Correction},
    record::{Change, Committed, Record, RecordKey},
    resources::Resources,
    spec::{JobSpec, Limits},
    task::{self, Policy, Task},
    view::View,
    wire::{Capacity, Hello, Inventoried, RunState},
};
use serde_json::{Value, json};

#[test]
fn stories_end_as_they_are_told() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/stories");
    let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|it| it.unwrap().path()).collect();
    paths.sort();
    for path in paths {
        let told = fs::read_to_string(&path).unwrap();
        let now = retell(&told);
        if std::env::var_os("UPDATE").is_some() {
            fs::write(&path, now).unwrap();
        } else {
            assert_eq!(now, told, "{}", path.display());
        }
    }
}

/// The story with what is decided now in place of what was.
fn retell(told: &str) -> String {
    let mut cluster = Cluster::default();
    let mut now = String::new();
    for (i, scene) in told.split("\n\n").enumerate() {
        let commands = scene.split("----").next().unwrap().trim_end();
        let blank = if i == 0 { "" } else { "\n" };
        writeln!(now, "{blank}{commands}\n----").unwrap();
        for command in commands.lines().filter(|it| !it.starts_with('#')) {
            cluster.obey(command);
        }
        now += &std::mem::take(&mut cluster.out);
    }
    now
}

#[derive(Default)]
struct Cluster {
    now: Timestamp,
    /// What would be on disk.
    records: BTreeMap<RecordKey, Record>,
    jobs: BTreeMap<JobKey, Job>,
    tasks: BTreeMap<TaskKey, Task>,
    hosts: BTreeMap<HostId, Host>,
    machines: BTreeMap<HostId, Computer>,
    todo: VecDeque<Todo>,
    out: String,
}

enum Todo {
    Tell(TaskKey, task::Event),
    Ask(task::Effect),
}

/// A host as it really is, whatever the scheduler knows of it.
struct Computer {
    cores: u64,
    rack: String,
    connected: bool,
    has: BTreeMap<TaskId, Inventoried>,
    unsent: Vec<Inventoried>,
}

impl Cluster {
    fn obey(&mut self, command: &str) {
        let words: Vec<&str> = command.split_whitespace().collect();
        let option = |name: &str| {
            words.iter().find_map(|it| it.strip_prefix(name)).and_then(|it| it.strip_prefix('='))
        };
        match words[..] {
            ["host", name, ..] => {
                let computer = Computer {
                    cores: option("cores").map_or(4, |it| it.parse().unwrap()),
                    rack: option("rack").unwrap_or("r1").into(),
                    connected: false,
                    has: BTreeMap::new(),
                    unsent: Vec::new(),
                };
                self.machines.insert(name.into(), computer);
                self.connect(&name.into());
            }
            ["create", name, instances, ..] => {
                let config = Arc::new(config(name, &words, option));
                let instances = instances.parse().unwrap();
                self.job(name, &job::Event::Created { config, instances, by: "ada".into() });
            }
            ["add", name, instances] => {
                self.job(name, &job::Event::Added { instances: instances.parse().unwrap() });
            }
            ["kill", name, instances] => {
                let message = "by ada".into();
                self.job(
                    name,
                    &job::Event::KillAsked { instances: instances.parse().unwrap(), message },
                );
            }
            ["restart", task] => {
                self.tell(task, task::Event::RestartAsked { message: "by ada".into() });
            }
            ["drain", task] => {
                let attempt = self.tasks[&task_key(task)].attempt;
                let message = "by ada".into();
                self.tell(task, task::Event::DrainAsked { attempt, message });
            }
            ["say", task, state] => self.say(task, state),
            // Nothing that is said to it arrives, and nobody has noticed yet.
            ["deafen", name] => self.machines.get_mut(&name.into()).unwrap().connected = false,
            ["cut", name] => self.cut(&name.into()),
            ["connect", name] => self.connect(&name.into()),
            ["wipe", name] => {
                self.machines.get_mut(&name.into()).unwrap().has.clear();
            }
            ["wait", seconds] => self.wait(Duration::from_secs(seconds.parse().unwrap())),
            ["crash"] => self.crash(),
            ["show", name] => self.show(name),
            ["why", name] => self.why(name),
            _ => panic!("what is {command}?"),
        }
        self.settle();
    }

    /// Until everybody has heard everything and nobody waits who could be placed.
    fn settle(&mut self) {
        loop {
            while let Some(todo) = self.todo.pop_front() {
                match todo {
                    Todo::Tell(key, event) => self.step(&key, &event),
                    Todo::Ask(effect) => self.ask(&effect),
                }
            }
            for Placed { task, attempt, at } in self.matchmaker().round(self.now) {
                self.todo.push_back(Todo::Tell(task, task::Event::Placed { attempt, at }));
            }
            if self.todo.is_empty() {
                return;
            }
        }
    }

    fn commit(&mut self, changes: Vec<Change>) {
        for Change { key, record } in changes {
            match record {
                Some(record) => _ = self.records.insert(key, record),
                None => _ = self.records.remove(&key),
            }
        }
    }

    fn job(&mut self, name: &str, event: &job::Event) {
        let key = job_key(name);
        let job = self.jobs.entry(key.clone()).or_insert_with(|| Job::unborn(key.clone()));
        match job.step(self.now, event) {
            Ok(next) => {
                self.commit(next.changes(None));
                self.jobs.insert(key.clone(), next);
                self.enter_job(&key);
            }
            Err(rejected) => writeln!(self.out, "{name}: {rejected}").unwrap(),
        }
    }

    fn enter_job(&mut self, key: &JobKey) {
        for effect in self.jobs[key].effects() {
            match effect {
                job::Effect::Ensure(wanted) => {
                    let Record::Config(config) =
                        &self.records[&RecordKey::Config(key.clone(), wanted.config)]
                    else {
                        panic!("{key} has no configuration")
                    };
                    let policy = Policy {
                        service: config.is_service(),
                        max_task_failures: config.max_task_failures,
                        partition: config.spec.partition_policy.clone(),
                    };
                    let (config, generation) = (wanted.config, wanted.generation);
                    for instance in wanted.instances.iter() {
                        let event = task::Event::Wanted {
                            config,
                            generation,
                            policy: policy.clone(),
                            message: String::new(),
                        };
                        self.todo.push_back(Todo::Tell(key.task(instance), event));
                    }
                }
                job::Effect::Kill(Unwanted { instances, generation, message }) => {
                    for instance in instances.iter() {
                        let event = task::Event::KillAsked { generation, message: message.clone() };
                        self.todo.push_back(Todo::Tell(key.task(instance), event));
                    }
                }
            }
        }
    }

    fn tell(&mut self, task: &str, event: task::Event) {
        self.todo.push_back(Todo::Tell(task_key(task), event));
    }

    fn step(&mut self, key: &TaskKey, event: &task::Event) {
        let task = self.tasks.entry(key.clone()).or_insert_with(|| Task::unborn(key.clone()));
        let Ok(next) = task.step(self.now, event) else { return };
        let before = std::mem::replace(task, next.clone());
        let (from, to) = (in_short(&before), in_short(&next));
        let changes = next.changes(Some(&before));
        let ended = changes.iter().find_map(|it| match &it.record {
            Some(Record::History(run)) if before.is_active() => Some(run.state.status().name()),
            _ => None,
        });
        let ended = ended.map(|it| format!("{it}, ")).unwrap_or_default();
        writeln!(self.out, "{} {from} → {ended}{to}", brief(key)).unwrap();
        self.commit(changes);
        self.todo.extend(next.effects().into_iter().map(Todo::Ask));
    }

    fn ask(&mut self, effect: &task::Effect) {
        match effect {
            task::Effect::Seek { .. } => {}
            task::Effect::Launch { at, id, attempt, .. } => {
                let lost = if self.machines[&at.host].connected { "" } else { " (not heard)" };
                writeln!(self.out, "  launch {} on {}{lost}", number(id), at.host).unwrap();
                let task = self.task_of(id);
                let computer = self.machines.get_mut(&at.host).unwrap();
                if computer.connected && !computer.has.contains_key(id) {
                    let (task_id, attempt) = (id.clone(), *attempt);
                    let it = Inventoried { task, attempt, task_id, state: RunState::Starting };
                    computer.has.insert(id.clone(), it);
                    self.report(&at.host, id, RunState::Starting);
                    self.report(&at.host, id, RunState::Running);
                }
            }
            task::Effect::Kill { host, id, reason } => {
                let computer = &self.machines[host];
                if !computer.has.contains_key(id) {
                    return; // nothing there to be killed
                }
                let lost = if computer.connected { "" } else { " (not heard)" };
                writeln!(self.out, "  kill {} on {host}: {reason}{lost}", number(id)).unwrap();
                if computer.connected {
                    self.report(host, id, RunState::Killed);
                }
            }
        }
    }

    fn task_of(&self, id: &TaskId) -> TaskKey {
        let has = |it: &&Task| it.run.as_ref().is_some_and(|run| run.id == *id);
        self.tasks.values().find(has).unwrap().key.clone()
    }

    /// The host has something to say of a run, now or when it can be heard again.
    fn report(&mut self, host: &HostId, id: &TaskId, state: RunState) {
        let computer = self.machines.get_mut(host).unwrap();
        let Some(it) = computer.has.get_mut(id) else { return };
        it.state = state;
        let it = it.clone();
        computer.unsent.push(it);
        if computer.connected {
            self.send(host);
        }
    }

    fn send(&mut self, host: &HostId) {
        let computer = self.machines.get_mut(host).unwrap();
        for it in std::mem::take(&mut computer.unsent) {
            if it.state.is_terminal() {
                computer.has.remove(&it.task_id);
            }
            let (attempt, state, message) = (it.attempt, it.state, String::new());
            let event = task::Event::Reported { attempt, state, message };
            self.todo.push_back(Todo::Tell(it.task, event));
        }
    }

    fn say(&mut self, task: &str, state: &str) {
        let run = self.tasks[&task_key(task)].run.clone().unwrap();
        let host = run.state.placement().unwrap().host.clone();
        let state = serde_json::from_value(state.to_uppercase().into()).unwrap();
        self.report(&host, &run.id, state);
    }

    fn host(&mut self, id: &HostId, event: &host::Event) {
        let host = self.hosts.entry(id.clone()).or_insert_with(|| Host::unknown(id.clone()));
        let Ok(next) = host.step(self.now, event) else { return };
        writeln!(self.out, "{id} {} → {}", host.contact.name(), next.contact.name()).unwrap();
        *host = next.clone();
        self.commit(next.changes(None));
        if next.effects().contains(&host::Effect::Partition) {
            for key in self.tasks.keys() {
                let event = task::Event::HostUnreachable { host: id.clone() };
                self.todo.push_back(Todo::Tell(key.clone(), event));
            }
        }
    }

    fn cut(&mut self, id: &HostId) {
        self.machines.get_mut(id).unwrap().connected = false;
        self.host(id, &host::Event::Disconnected { patience: host::UNREACHABLE_AFTER });
    }

    fn connect(&mut self, id: &HostId) {
        let computer = self.machines.get_mut(id).unwrap();
        computer.connected = true;
        let capacity =
            Resources { cpu_milli: computer.cores * 1000, ram_mb: 1, disk_mb: 1, gpus: 0 };
        let rack = computer.rack.clone();
        let inventory: Vec<_> = computer.has.values().cloned().collect();
        self.host(
            id,
            &host::Event::Connected(Hello {
                attributes: [("rack".into(), [rack].into())].into(),
                capacity: Capacity {
                    resources: capacity,
                    ports: vec![(31000, 31009)],
                    ..Capacity::default()
                },
                ..Hello::of(id.clone(), "1")
            }),
        );
        for correction in reconcile::compare(id, self.tasks.values(), &inventory) {
            self.todo.push_back(match correction {
                Correction::Tell { task, event } => Todo::Tell(task, event),
                Correction::Ask(effect) => Todo::Ask(effect),
            });
        }
        self.send(id);
    }

    fn wait(&mut self, how_long: Duration) {
        let end = self.now + how_long;
        loop {
            self.settle();
            let hosts = self.hosts.iter().filter_map(|(id, it)| Some((it.deadline()?, id.clone())));
            let host = hosts.min_by_key(|((at, _), _)| *at);
            let tasks =
                self.tasks.iter().filter_map(|(key, it)| Some((it.deadline()?, key.clone())));
            let task = tasks.min_by_key(|((at, _), _)| *at);
            let next = host.iter().map(|it| it.0.0).chain(task.iter().map(|it| it.0.0)).min();
            let Some(next) = next.filter(|&it| it <= end) else { break };
            if self.now < next {
                self.now = next;
                writeln!(self.out, "({} s)", self.now.0 / 1000).unwrap();
            }
            if let Some(((_, event), id)) = host.filter(|it| it.0.0 <= next) {
                self.host(&id, &event);
            }
            if let Some(((_, event), key)) = task.filter(|it| it.0.0 <= next) {
                self.todo.push_back(Todo::Tell(key, event));
            }
        }
        self.now = end;
    }

    /// The scheduler forgets all that is not on disk, and asks for everything again.
    fn crash(&mut self) {
        self.todo.clear();
        self.jobs.clear();
        self.tasks.clear();
        for record in self.records.values().cloned() {
            match record {
                Record::Job(job) => _ = self.jobs.insert(job.key.clone(), job),
                Record::Task(task) => _ = self.tasks.insert(task.key.clone(), task),
                Record::Host(_)
                | Record::Config(_)
                | Record::History(_)
                | Record::Quota(_)
                | Record::Update(_)
                | Record::UpdateEvents(_)
                | Record::Notice(_)
                | Record::Audit(_)
                | Record::Cron(_)
                | Record::Template(_)
                | Record::Term(_)
                | Record::Tokens(_)
                | Record::Removal(_)
                | Record::User(_)
                | Record::Pass(_) => {}
            }
        }
        for key in self.jobs.keys().cloned().collect::<Vec<_>>() {
            self.enter_job(&key);
        }
        self.todo.extend(self.tasks.values().flat_map(Task::effects).map(Todo::Ask));
    }

    /// One that knows what is on disk, and who waits.
    fn matchmaker(&self) -> Matchmaker {
        let change = |(key, record): (&RecordKey, &Record)| Change {
            key: key.clone(),
            record: Some(record.clone()),
        };
        let mut view = View::default();
        view.apply(&Committed { seq: 1, changes: self.records.iter().map(change).collect() });
        let mut matchmaker = Matchmaker::new(Scheduling::default());
        matchmaker.catch_up(&view);
        for task in self.tasks.values() {
            for effect in task.effects() {
                if let task::Effect::Seek { attempt, config } = effect {
                    matchmaker.seek(self.now, task.key.clone(), attempt, config, &view);
                }
            }
        }
        matchmaker
    }

    fn show(&mut self, name: &str) {
        for task in self.tasks.values().filter(|it| it.key.job.name == name) {
            let at = task.placement().map(|it| format!(" on {}", it.host)).unwrap_or_default();
            writeln!(self.out, "{} {}{at}", brief(&task.key), in_short(task)).unwrap();
        }
        let history = self.records.values().filter_map(|it| match it {
            Record::History(run) => Some(run),
            Record::Job(_)
            | Record::Config(_)
            | Record::Task(_)
            | Record::Host(_)
            | Record::Quota(_)
            | Record::Update(_)
            | Record::UpdateEvents(_)
            | Record::Notice(_)
            | Record::Audit(_)
            | Record::Cron(_)
            | Record::Template(_)
            | Record::Term(_)
            | Record::Tokens(_)
            | Record::Removal(_)
            | Record::User(_)
            | Record::Pass(_) => None,
        });
        for run in history.filter(|it| it.id.0.starts_with(&format!("www-devel-{name}-"))) {
            let events: Vec<_> = run.events.iter().map(|it| it.status.name()).collect();
            writeln!(self.out, "  {} was {}", number(&run.id), events.join(" ")).unwrap();
        }
    }

    fn why(&mut self, name: &str) {
        let mut matchmaker = self.matchmaker();
        matchmaker.round(self.now);
        for (_, _, why) in matchmaker.reasons(self.now) {
            for it in &why.vetoes {
                writeln!(self.out, "{name}: {} on {} of {}", it.reason, it.hosts, why.hosts)
                    .unwrap();
            }
            let Some((host, lack)) = &why.nearest else { continue };
            writeln!(self.out, "{name}: {host} {lack}").unwrap();
        }
    }
}

fn config<'a>(name: &str, words: &[&str], option: impl Fn(&str) -> Option<&'a str>) -> TaskConfig {
    let number = |name: &str, default: i64| option(name).map_or(default, |it| it.parse().unwrap());
    let ports =
        option("ports").map(|it| format!("{{{{thermos.ports[{it}]}}}}")).unwrap_or_default();
    let constraints: Value = option("rack").map_or_else(|| json!({}), |it| json!({ "rack": it }));
    // How long an instance may be out of reach before another takes its place.
    let partition = match option("partition") {
        None => Value::Null,
        Some("never") => json!({ "reschedule": false }),
        Some(secs) => json!({ "delay_secs": secs.parse::<i64>().unwrap() }),
    };
    let spec: JobSpec = serde_json::from_value(json!({
        "cluster": "c", "role": "www", "name": name, "partition_policy": partition,
        "service": words.contains(&"service"),
        "max_task_failures": number("failures", 1),
        "constraints": constraints,
        "task": {
            "name": name,
            "processes": [{ "name": "p", "cmdline": ports }],
            "resources": { "cpu": number("cores", 1), "ram": 1 << 20, "disk": 1 << 20 },
        },
    }))
    .unwrap();
    let limits = Limits { tasks_per_job_max: 100, ..Limits::usual("c") };
    let config = spec.check(&limits).unwrap().config;
    // Only cores run short in these stories.
    TaskConfig { resources: Resources { ram_mb: 0, disk_mb: 0, ..config.resources }, ..config }
}

fn job_key(name: &str) -> JobKey {
    JobKey::new("www", "devel", name)
}

fn task_key(text: &str) -> TaskKey {
    let (name, instance) = text.split_once('/').unwrap();
    job_key(name).task(instance.parse().unwrap())
}

fn brief(key: &TaskKey) -> String {
    format!("{}/{}", key.job.name, key.instance)
}

fn number(id: &TaskId) -> String {
    let mut parts = id.0.rsplit('-');
    let (attempt, _, instance, name) = (parts.next(), parts.next(), parts.next(), parts.next());
    format!("{}/{}#{}", name.unwrap(), instance.unwrap(), attempt.unwrap())
}

fn in_short(task: &Task) -> String {
    match &task.run {
        Some(run) => format!("{}#{}", run.state.status(), run.attempt.0),
        None => "nothing".into(),
    }
}
