//! Hosts that only pretend: real links, no processes.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use airglow_kit::{
    identity::Identity,
    link::{self, LinkError},
    now,
    outbox::Outbox,
};
use airglow_model::{
    ids::{HostId, TaskId},
    machine::Timestamp,
    resources::{Attributes, Resources},
    wire::{
        Answer, Capacity, Hello, Inventoried, Launch, RunState, Status, ToExecutor, ToScheduler,
        Welcome,
    },
};
use tokio::{sync::Notify, task::JoinHandle};

/// A host that keeps what it runs over any number of connections, as a real one does.
pub(crate) struct FakeHost {
    pub(crate) desk: Arc<Desk>,
    task: JoinHandle<()>,
}

pub(crate) struct Desk {
    id: HostId,
    capacity: Capacity,
    attributes: Attributes,
    state: Mutex<Known>,
    /// There is something to send, or the connection should be dropped.
    news: Notify,
}

pub(crate) struct Known {
    pub(crate) tasks: BTreeMap<TaskId, Running>,
    /// How often it was asked to start each task, whether or not it did.
    pub(crate) launches: BTreeMap<TaskId, u32>,
    pub(crate) kills: BTreeMap<TaskId, u32>,
    pub(crate) connections: u32,
    pub(crate) refused: u32,
    pub(crate) welcomes: Vec<Welcome>,
    /// How far its clock is ahead.
    pub(crate) skew_ms: i64,
    /// Why a scheduler would have nothing to do with it.
    pub(crate) told_off: Vec<String>,
    /// What it says of itself, if that is not the usual.
    pub(crate) greets: Option<Hello>,
    outbox: Outbox<Status>,
    /// Launches that get lost before they arrive.
    pub(crate) deaf_for: u32,
    /// It starts tasks and does not say so.
    pub(crate) silent: bool,
    hang_up: bool,
}

#[derive(Clone)]
pub(crate) struct Running {
    pub(crate) launch: Launch,
    pub(crate) state: RunState,
}

impl FakeHost {
    pub(crate) fn start(addr: SocketAddr, identity: Identity, capacity: Capacity) -> Self {
        Self::with(addr, identity, (capacity, Attributes::new()))
    }

    pub(crate) fn with(
        addr: SocketAddr,
        identity: Identity,
        (capacity, attributes): (Capacity, Attributes),
    ) -> Self {
        let id = HostId(identity.name().into());
        let state = Mutex::new(Known::new());
        let desk = Arc::new(Desk { id, capacity, attributes, state, news: Notify::new() });
        let task = tokio::spawn(live(addr, identity, desk.clone()));
        Self { desk, task }
    }
}

impl Drop for FakeHost {
    fn drop(&mut self) {
        self.task.abort();
    }
}

pub(crate) fn capacity(cpus: u64) -> Capacity {
    let resources =
        Resources { cpu_milli: cpus * 1000, ram_mb: 1 << 20, disk_mb: 1 << 20, gpus: 0 };
    Capacity { resources, ports: vec![(31_000, 31_019)], ..Capacity::default() }
}

/// Connects, again and again.
async fn live(addr: SocketAddr, identity: Identity, desk: Arc<Desk>) {
    loop {
        let Err(_) = converse(addr, &identity, &desk).await else { continue };
        desk.known().refused += 1;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn converse(addr: SocketAddr, identity: &Identity, desk: &Desk) -> Result<(), LinkError> {
    let link = link::dial(addr, identity).await?;
    let (says, mut hears) = link.split::<ToScheduler, ToExecutor>();
    let say = |message: &ToScheduler| says.send(message).is_ok();
    desk.known().connections += 1;
    say(&ToScheduler::Hello(desk.hello()));
    say(&ToScheduler::Inventory { tasks: desk.inventory() });
    let mut sent = 0;
    let mut heartbeat = tokio::time::interval(link::HEARTBEAT);
    loop {
        for status in desk.unsent(&mut sent) {
            say(&ToScheduler::Status(status));
        }
        tokio::select! {
            heard = hears.next() => match heard? {
                Some(message) => desk.hear(message, say),
                None => return Ok(()),
            },
            _ = heartbeat.tick() => {
                say(&ToScheduler::Ping { at: Some(desk.clock()) });
            }
            () = desk.news.notified() => {
                if std::mem::take(&mut desk.known().hang_up) {
                    return Ok(());
                }
            }
        }
    }
}

impl Desk {
    pub(crate) fn known(&self) -> MutexGuard<'_, Known> {
        self.state.lock().unwrap()
    }

    /// Ends the connection; it makes another at once.
    pub(crate) fn hang_up(&self) {
        self.known().hang_up = true;
        self.news.notify_one();
    }

    /// On the next connection, which it makes at once, and later ones.
    pub(crate) fn greets_as(&self, hello: Hello) {
        self.known().greets = Some(hello);
        self.hang_up();
    }

    /// What its clock shows.
    fn clock(&self) -> Timestamp {
        self.known().clock()
    }

    /// Everything that it has reported was acknowledged.
    pub(crate) fn is_heard(&self) -> bool {
        self.known().outbox.is_empty()
    }

    /// This task is so now, and it says so.
    pub(crate) fn report(&self, id: &TaskId, state: RunState) {
        let mut known = self.known();
        let running = known.tasks.get_mut(id).expect("it is here");
        running.state = state;
        let launch = running.launch.clone();
        known.put(&launch, state);
        self.news.notify_one();
    }

    /// As if it had started this by itself.
    pub(crate) fn smuggle(&self, launch: Launch) {
        let id = launch.task_id.clone();
        self.known().tasks.insert(id, Running { launch, state: RunState::Running });
    }

    fn hello(&self) -> Hello {
        self.known().greets.clone().unwrap_or_else(|| Hello {
            attributes: self.attributes.clone(),
            capacity: self.capacity.clone(),
            ..Hello::of(self.id.clone(), "0")
        })
    }

    fn inventory(&self) -> Vec<Inventoried> {
        let item = |it: &Running| Inventoried {
            task: it.launch.task.clone(),
            attempt: it.launch.attempt,
            task_id: it.launch.task_id.clone(),
            state: it.state,
        };
        self.known().tasks.values().map(item).collect()
    }

    fn unsent(&self, sent: &mut u64) -> Vec<Status> {
        let known = self.known();
        let pending = known.outbox.pending();
        let unsent: Vec<_> = pending
            .filter(|(seq, _)| seq > sent)
            .map(|(seq, it)| Status { seq, ..it.clone() })
            .collect();
        *sent = unsent.last().map_or(*sent, |it| it.seq);
        unsent
    }

    fn hear(&self, message: ToExecutor, say: impl Fn(&ToScheduler) -> bool) {
        let mut known = self.known();
        match message {
            ToExecutor::Welcome(welcome) => known.welcomes.push(welcome),
            ToExecutor::Refused { why } => known.told_off.push(why),
            ToExecutor::Elsewhere { .. }
            | ToExecutor::Renewed { .. }
            | ToExecutor::Pong
            | ToExecutor::Unknown => {}
            ToExecutor::Ack { seq } => known.outbox.ack(seq),
            ToExecutor::Launch(launch) => known.launch(*launch),
            ToExecutor::Kill { task_id, .. } => known.kill(task_id),
            ToExecutor::TakeStock => {
                drop(known);
                say(&ToScheduler::Inventory { tasks: self.inventory() });
            }
            ToExecutor::Ask { request, .. } => {
                let answer = Answer::NotFound { what: "no such log".into() };
                say(&ToScheduler::Answer { request, answer });
            }
        }
    }
}

impl Known {
    fn new() -> Self {
        Self {
            tasks: BTreeMap::new(),
            launches: BTreeMap::new(),
            kills: BTreeMap::new(),
            connections: 0,
            refused: 0,
            welcomes: Vec::new(),
            told_off: Vec::new(),
            skew_ms: 0,
            greets: None,
            outbox: Outbox::after(0),
            deaf_for: 0,
            silent: false,
            hang_up: false,
        }
    }

    fn clock(&self) -> Timestamp {
        Timestamp(now().0.saturating_add_signed(self.skew_ms))
    }

    fn launch(&mut self, launch: Launch) {
        let id = launch.task_id.clone();
        if self.deaf_for > 0 {
            self.deaf_for -= 1;
            return;
        }
        *self.launches.entry(id.clone()).or_default() += 1;
        if self.tasks.contains_key(&id) {
            return;
        }
        let running = Running { launch: launch.clone(), state: RunState::Running };
        self.tasks.insert(id, running);
        if !self.silent {
            self.put(&launch, RunState::Starting);
            self.put(&launch, RunState::Running);
        }
    }

    fn kill(&mut self, id: TaskId) {
        *self.kills.entry(id.clone()).or_default() += 1;
        let Some(running) = self.tasks.get_mut(&id) else { return };
        if !running.state.is_terminal() {
            running.state = RunState::Killed;
            let launch = running.launch.clone();
            self.put(&launch, RunState::Killed);
        }
    }

    fn put(&mut self, launch: &Launch, state: RunState) {
        let status = Status {
            seq: 0,
            task: launch.task.clone(),
            attempt: launch.attempt,
            task_id: launch.task_id.clone(),
            state,
            message: String::new(),
            at: self.clock(),
        };
        self.outbox.push(status);
    }
}
