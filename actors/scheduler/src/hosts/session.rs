//! One host's connection, from its greeting to its end.

use std::{
    collections::{BTreeMap, VecDeque},
    net::SocketAddr,
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use actix::prelude::*;
use airglow_kit::{
    Incarnation, Lifeline, To,
    identity::{Authority, Role},
    link::{self, Link, LinkError, Peer, Receiver, Sender, Unsent},
    now,
};
use airglow_model::{
    ids::{HostId, MachineId, TaskId},
    joining,
    machine::Timestamp,
    reconcile::{self, Correction},
    reports::{Acks, Arrival, Concern},
    task::{Effect, Event, Task},
    view::{Note, View},
    wire::{
        Answer, Hello, Incompatible, Inventoried, PROTOCOLS, ProcessView, Question, Speaker,
        Status, ToExecutor, ToScheduler, Welcome,
    },
};
use airglow_store::{ReadModel, Scribe};
use tokio::{
    sync::{mpsc, oneshot},
    time::MissedTickBehavior,
};

use super::{Order, PlugIn, Switchboard, Unplugged, order, renewal};
use crate::{
    Stats, Unanswered,
    host::Hosts,
    messages::{Happened, Receipt, Registered, Settled},
    peers::House,
    task::Tasks,
    term::{Term, Unsurpassed},
};

/// Gives every connection a session.
pub(crate) struct Sessions {
    exchange: Rc<Exchange>,
    _lifeline: Lifeline<Incarnation>,
}

/// What sessions need of the rest.
pub(crate) struct Exchange {
    pub(crate) cluster: String,
    /// Where hosts find it, and who else there is.
    pub(crate) house: Arc<House>,
    pub(crate) term: Term,
    pub(crate) view: ReadModel,
    pub(crate) scribe: Scribe,
    pub(crate) tasks: Addr<Tasks>,
    pub(crate) hosts: Addr<Hosts>,
    pub(crate) switchboard: Addr<Switchboard>,
    pub(crate) stats: Stats,
    pub(crate) authority: Arc<Authority>,
}

/// Somebody with a certificate is at the door.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Arrived(pub(crate) Peer, pub(crate) Link);

impl Sessions {
    pub(crate) fn new(exchange: Exchange, lifeline: Lifeline<Incarnation>) -> Self {
        Self { exchange: Rc::new(exchange), _lifeline: lifeline }
    }
}

impl Actor for Sessions {
    type Context = Context<Self>;
}

impl Handler<Arrived> for Sessions {
    type Result = ();

    /// A task of its own: a session that panics ends a connection, and the host makes another.
    fn handle(&mut self, Arrived(peer, link): Arrived, _: &mut Self::Context) {
        let exchange = self.exchange.clone();
        actix_rt::spawn(async move {
            let name = peer.name.clone();
            match serve(exchange, peer, link).await {
                Ok(()) => tracing::info!(host = name, "disconnected"),
                Err(why) => tracing::warn!(host = name, error = %why, "disconnected"),
            }
        });
    }
}

/// How long a host may think about a question.
const PATIENCE: Duration = Duration::from_secs(10);

/// What changes often is shown this often.
const TICK: Duration = Duration::from_millis(200);

/// A report that an entity lost in a crash is told again after so many ticks: it may need a moment.
const TICKS_TO_RETELL: u32 = 5;

/// How many corrections are made before anything else is listened to.
const CORRECTED_AT_ONCE: usize = 64;

/// That a host is still there is news so often at most.
const HEARD_EVERY: Duration = Duration::from_secs(15);

#[derive(Debug, thiserror::Error)]
enum End {
    #[error(transparent)]
    Link(#[from] LinkError),
    #[error(transparent)]
    Unsent(#[from] Unsent),
    #[error("it says that it is {0}, and its certificate says otherwise")]
    Impostor(HostId),
    #[error("it is no agent")]
    NoAgent,
    #[error("{0}")]
    Incompatible(Incompatible),
    #[error("it has obeyed a scheduler of term {0}, and this one cannot lead in a later one")]
    Replaced(u64),
    #[error("it does not greet, or it does so twice")]
    Unmannered,
    #[error("{0}")]
    Unwelcome(joining::Refusal),
    #[error("the scheduler is restarting")]
    Restarting,
}

struct Session {
    host: HostId,
    /// As its certificate has it.
    machine: Option<MachineId>,
    /// What its newest inventory has shown to be wrong, and has still to be said. There may be more
    /// than a link holds, so it is said as the link has room.
    corrections: VecDeque<Correction>,
    exchange: Rc<Exchange>,
    says: Sender<ToExecutor>,
    acks: Acks,
    settled: mpsc::UnboundedSender<(u64, Settled)>,
    /// Reports that were lost, to be told again.
    lost: Vec<u64>,
    asked: BTreeMap<u64, Asked>,
    requests: u64,
    /// The newest state of processes since the last tick.
    processes: BTreeMap<TaskId, Vec<ProcessView>>,
    heard_at: Timestamp,
    ticks: u32,
}

struct Asked {
    until: Timestamp,
    reply: oneshot::Sender<Result<Answer, Unanswered>>,
}

/// However the session ends, the switchboard hears of it.
struct Presence {
    host: HostId,
    session: u64,
    switchboard: Addr<Switchboard>,
}

impl Drop for Presence {
    fn drop(&mut self) {
        let host = self.host.clone();
        self.switchboard.do_send(Unplugged { host, session: self.session });
    }
}

async fn serve(exchange: Rc<Exchange>, peer: Peer, link: Link) -> Result<(), End> {
    let (says, mut hears) = link.split::<ToExecutor, ToScheduler>();
    let hello = greeting(&peer, &mut hears).await?;
    match exchange.welcome(&peer, &hello).await {
        Ok(welcome) => says.send(&ToExecutor::Welcome(welcome))?,
        Err(end) => {
            link::part(says, hears, &ToExecutor::Refused { why: end.to_string() }).await;
            return Err(end);
        }
    }
    let host = hello.host.clone();
    tracing::info!(%host, addr = %peer.addr, "connected");

    let (orders, mut ordered) = mpsc::unbounded_channel();
    let machine = peer.machine();
    let plugged = exchange.switchboard.send(PlugIn { hello, machine, orders }).await;
    let session = plugged.map_err(|_| End::Restarting)?;
    let switchboard = exchange.switchboard.clone();
    let _presence = Presence { host: host.clone(), session, switchboard };
    // It may have been removed since it was let in.
    let welcome = |view: &View| joining::may_be(view, &host, peer.machine.as_ref());
    exchange.view.read(welcome).map_err(End::Unwelcome)?;
    let (settled, mut settling) = mpsc::unbounded_channel();
    let mut session = Session::new((host, peer.machine), exchange, says, settled);
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            heard = hears.next() => match heard? {
                Some(message) => session.hear(message)?,
                None => return Ok(()),
            },
            // After the corrections, which were found first; and with them kept waiting by a host
            // that takes its time, instead of ending the connection.
            () = session.says.room(), if !session.may_obey() => session.correct()?,
            order = ordered.recv(), if session.may_obey() => match order {
                Some(order) => session.obey(order)?,
                None => return Ok(()),
            },
            Some((seq, how)) = settling.recv() => session.settle(seq, how)?,
            _ = tick.tick(), if session.awaits_tick() => session.tick()?,
        }
    }
}

async fn greeting(peer: &Peer, hears: &mut Receiver<ToScheduler>) -> Result<Hello, End> {
    let Some(ToScheduler::Hello(hello)) = hears.next().await? else { return Err(End::Unmannered) };
    if peer.role != Role::Agent {
        return Err(End::NoAgent);
    }
    if *hello.host.0 != *peer.name {
        return Err(End::Impostor(hello.host));
    }
    Ok(hello)
}

impl Exchange {
    /// # Errors
    /// Why this host cannot be spoken with.
    async fn welcome(&self, peer: &Peer, hello: &Hello) -> Result<Welcome, End> {
        let protocol = PROTOCOLS.common(hello.protocols()).ok_or_else(|| incompatible(hello))?;
        let term = self.term.for_host(hello.term).await;
        let term = term.map_err(|Unsurpassed| End::Replaced(hello.term))?;
        let mut schedulers = self.house.schedulers();
        if schedulers.is_empty() {
            schedulers.push(self.found_at(peer));
        }
        Ok(Welcome { cluster: self.cluster.clone(), protocol, term, schedulers })
    }

    /// Where hosts find this scheduler: where this one has, if it listens everywhere.
    fn found_at(&self, peer: &Peer) -> SocketAddr {
        let mesh = self.house.me.mesh;
        let ip = mesh.ip();
        let ip = if ip.is_unspecified() { peer.called.ip().to_canonical() } else { ip };
        SocketAddr::new(ip, mesh.port())
    }
}

fn incompatible(hello: &Hello) -> End {
    let ours = Speaker { version: env!("CARGO_PKG_VERSION").to_owned(), protocols: PROTOCOLS };
    let theirs = Speaker { version: hello.version.clone(), protocols: hello.protocols() };
    End::Incompatible(Incompatible { scheduler: ours, agent: theirs })
}

impl Session {
    fn new(
        (host, machine): (HostId, Option<MachineId>),
        exchange: Rc<Exchange>,
        says: Sender<ToExecutor>,
        settled: mpsc::UnboundedSender<(u64, Settled)>,
    ) -> Self {
        Self {
            host,
            machine,
            corrections: VecDeque::new(),
            exchange,
            says,
            acks: Acks::default(),
            settled,
            lost: Vec::new(),
            asked: BTreeMap::new(),
            requests: 0,
            processes: BTreeMap::new(),
            heard_at: Timestamp::default(),
            ticks: 0,
        }
    }

    fn hear(&mut self, message: ToScheduler) -> Result<(), End> {
        match message {
            ToScheduler::Hello(_) => return Err(End::Unmannered),
            ToScheduler::Inventory { tasks } => self.reconcile(&tasks),
            ToScheduler::Status(status) => {
                // They were said before it, and are to be seen before it.
                if status.state.is_terminal() {
                    self.show_processes();
                }
                self.report(status)?;
            }
            ToScheduler::Processes { task_id, processes } => {
                self.processes.insert(task_id, processes);
            }
            ToScheduler::Answer { request, answer } => {
                if let Some(asked) = self.asked.remove(&request) {
                    // Whoever asked may not wait any more.
                    asked.reply.send(Ok(answer)).ok();
                }
            }
            ToScheduler::Renew { machine, request } => self.renew(machine, &request)?,
            ToScheduler::Ping { at } => {
                self.says.send(&ToExecutor::Pong)?;
                self.note_heard(at);
            }
            ToScheduler::Unknown => tracing::debug!(host = %self.host, "it said something new"),
        }
        Ok(())
    }

    fn renew(&self, machine: MachineId, request: &str) -> Result<(), Unsent> {
        let known = (&self.host, self.machine.as_ref());
        let renewed = renewal::renew(&self.exchange, known, machine, request);
        renewed.map_or(Ok(()), |it| self.say(&it))
    }

    fn obey(&mut self, order: Order) -> Result<(), End> {
        match order {
            Order::Say(message) => self.say(&message)?,
            Order::Ask { question, reply } => self.ask(question, reply)?,
        }
        Ok(())
    }

    fn ask(
        &mut self,
        question: Question,
        reply: oneshot::Sender<Result<Answer, Unanswered>>,
    ) -> Result<(), Unsent> {
        self.requests += 1;
        let request = self.requests;
        self.asked.insert(request, Asked { until: now() + PATIENCE, reply });
        self.say(&ToExecutor::Ask { request, question })
    }

    /// A message that no link can carry is the sender's bug, not the host's.
    fn say(&self, message: &ToExecutor) -> Result<(), Unsent> {
        match self.says.send(message) {
            Err(Unsent::TooLong(bytes)) => {
                tracing::error!(host = %self.host, bytes, "too long to be said");
                Ok(())
            }
            sent => sent,
        }
    }

    fn perform(&self, effect: Effect) -> Result<(), Unsent> {
        let tell = self.exchange.view.read(|view| order(view, effect));
        tell.map_or(Ok(()), |it| self.say(&it.order))
    }

    /// What is still to be said of an older inventory is found again in this one.
    fn reconcile(&mut self, reported: &[Inventoried]) {
        let corrections = self.exchange.view.read(|view| {
            let there = view.hosts.get(&self.host).into_iter().flat_map(|it| &it.tasks);
            reconcile::compare(&self.host, there.filter_map(|it| view.task_of(it)), reported)
        });
        self.exchange.stats.inventories.inc();
        self.exchange.stats.corrections.inc_by(corrections.len() as u64);
        self.corrections = corrections.into();
    }

    fn may_obey(&self) -> bool {
        self.corrections.is_empty() && self.says.has_room()
    }

    /// A few, so that the link is heard in between.
    fn correct(&mut self) -> Result<(), Unsent> {
        for _ in 0..CORRECTED_AT_ONCE {
            if !self.says.has_room() {
                break;
            }
            let Some(correction) = self.corrections.pop_front() else { break };
            tracing::debug!(host = %self.host, ?correction, "host and records differ");
            match correction {
                Correction::Tell { task, event } => {
                    self.exchange.tasks.do_send(To(task, Happened(event)));
                }
                Correction::Ask(effect) => self.perform(effect)?,
            }
        }
        Ok(())
    }

    fn report(&mut self, status: Status) -> Result<(), Unsent> {
        self.exchange.stats.reported(status.state);
        match self.acks.arrived(&status) {
            Arrival::News => self.pass_on(status),
            Arrival::Repeated => Ok(()),
            Arrival::Settled => self.say(&ToExecutor::Ack { seq: self.acks.acked() }),
        }
    }

    /// To the task that it is about.
    fn pass_on(&mut self, status: Status) -> Result<(), Unsent> {
        let (concern, stray) = self.exchange.view.read(|view| {
            let slot = view.task_of(&status.task);
            let stray = |slot: &Task| slot.stray(&self.host, &status.task_id, status.state);
            let left_alone = view.quarantined.contains_key(&status.task.to_string());
            let nobody = || stray(&Task::unborn(status.task.clone()));
            let is_here = slot.is_some_and(|it| it.is_run_on(&self.host, &status.task_id));
            (Concern::of(is_here, left_alone, status.state), slot.map_or_else(nobody, stray))
        });
        if let Some(kill) = stray {
            self.perform(kill)?;
        }
        match concern {
            Concern::Nobody => return self.settle(status.seq, Settled::Committed),
            Concern::LeftAlone => return Ok(()),
            Concern::Instance => {}
        }
        let Status { seq, task, attempt, state, message, .. } = status;
        let (settled, event) = (self.settled.clone(), Event::Reported { attempt, state, message });
        // The session may have ended meanwhile: the host repeats itself on the next one.
        let receipt = Receipt::new(move |how| drop(settled.send((seq, how))));
        self.exchange.tasks.do_send(To(task, Registered { event, receipt }));
        Ok(())
    }

    /// A host shows what runs there and nothing else.
    fn has(&self, task: &Task) -> bool {
        task.placement().is_some_and(|at| at.host == self.host)
    }

    fn settle(&mut self, seq: u64, how: Settled) -> Result<(), Unsent> {
        match how {
            Settled::Committed | Settled::Rejected(_) => match self.acks.settled(seq) {
                Some(seq) => self.say(&ToExecutor::Ack { seq }),
                None => Ok(()),
            },
            Settled::Lost => {
                self.lost.push(seq);
                Ok(())
            }
        }
    }

    /// One that waits for nothing sleeps: there are thousands of them.
    fn awaits_tick(&self) -> bool {
        !(self.processes.is_empty() && self.asked.is_empty() && self.lost.is_empty())
    }

    fn tick(&mut self) -> Result<(), Unsent> {
        self.ticks = self.ticks.wrapping_add(1);
        self.show_processes();
        let at = now();
        for (_, asked) in self.asked.extract_if(.., |_, it| it.until <= at) {
            asked.reply.send(Err(Unanswered::TimedOut(self.host.clone()))).ok();
        }
        if self.ticks.is_multiple_of(TICKS_TO_RETELL) {
            for seq in std::mem::take(&mut self.lost) {
                if let Some(status) = self.acks.unsettled(seq).cloned() {
                    self.pass_on(status)?;
                }
            }
        }
        Ok(())
    }

    fn show_processes(&mut self) {
        for (id, processes) in std::mem::take(&mut self.processes) {
            let task = self
                .exchange
                .view
                .read(|view| view.current(&id).filter(|it| self.has(it)).map(|it| it.key.clone()));
            if let Some(task) = task {
                let processes = Arc::new(processes);
                self.exchange.scribe.note(Note::Processes { task, id, processes });
            }
        }
    }

    fn note_heard(&mut self, theirs: Option<Timestamp>) {
        let at = now();
        let skew_ms = theirs.map(|it| it.0.cast_signed().saturating_sub(at.0.cast_signed()));
        if at.since(self.heard_at) >= HEARD_EVERY {
            self.heard_at = at;
            self.exchange.scribe.note(Note::Heard { host: self.host.clone(), at, skew_ms });
        }
    }
}
