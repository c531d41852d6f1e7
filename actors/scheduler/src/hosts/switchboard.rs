//! Which hosts are connected.

use std::collections::BTreeMap;

use actix::prelude::*;
use airglow_kit::{Incarnation, Lifeline, To};
use airglow_model::{
    host::{Event, Rules},
    ids::{HostId, MachineId},
    wire::{Answer, Hello, Question, ToExecutor},
};
use tokio::sync::{mpsc, oneshot};

use crate::{Unanswered, host::Hosts, messages::Happened};

/// Each host's newest session. A host that connects again has forgotten the connection before,
/// whatever that one still believes, so the older session ends without being the host's end.
pub(crate) struct Switchboard {
    hosts: Addr<Hosts>,
    rules: Rules,
    lines: BTreeMap<HostId, Line>,
    newest: u64,
    _lifeline: Lifeline<Incarnation>,
}

struct Line {
    session: u64,
    hello: Hello,
    orders: mpsc::UnboundedSender<Order>,
}

/// What a session is asked to do. When nobody can ask any more, another has taken its place.
#[derive(Debug)]
pub(crate) enum Order {
    Say(ToExecutor),
    Ask { question: Question, reply: oneshot::Sender<Result<Answer, Unanswered>> },
}

/// A host has connected. The answer is its session's number.
#[derive(Debug, Message)]
#[rtype(result = "u64")]
pub(crate) struct PlugIn {
    pub(crate) hello: Hello,
    pub(crate) machine: MachineId,
    pub(crate) orders: mpsc::UnboundedSender<Order>,
}

/// Whoever is connected as this host is not welcome any more.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Expel(pub(crate) HostId);

#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Unplugged {
    pub(crate) host: HostId,
    pub(crate) session: u64,
}

/// A host that has woken up asks to be told again whether it is connected.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Repeat(pub(crate) HostId);

#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Tell {
    pub(crate) host: HostId,
    pub(crate) order: ToExecutor,
}

/// Ask this host, or all that are connected, what they have. The answer is how many were asked.
#[derive(Debug, Message)]
#[rtype(result = "usize")]
pub(crate) struct TakeStock(pub(crate) Option<HostId>);

#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Ask {
    pub(crate) host: HostId,
    pub(crate) question: Question,
    pub(crate) reply: oneshot::Sender<Result<Answer, Unanswered>>,
}

impl Switchboard {
    pub(crate) fn new(hosts: Addr<Hosts>, rules: Rules, lifeline: Lifeline<Incarnation>) -> Self {
        Self { hosts, rules, lines: BTreeMap::new(), newest: 0, _lifeline: lifeline }
    }

    fn disconnected(&self) -> Event {
        Event::Disconnected { patience: self.rules.unreachable_after }
    }
}

impl Actor for Switchboard {
    type Context = Context<Self>;
}

impl Handler<PlugIn> for Switchboard {
    type Result = u64;

    fn handle(&mut self, plug: PlugIn, _: &mut Self::Context) -> u64 {
        let PlugIn { hello, machine, orders } = plug;
        self.newest += 1;
        let (host, session) = (hello.host.clone(), self.newest);
        let line = Line { session, hello: hello.clone(), orders };
        self.lines.insert(host.clone(), line);
        self.hosts.do_send(To(host.clone(), Happened(Event::Identified(machine))));
        self.hosts.do_send(To(host, Happened(Event::Connected(hello))));
        session
    }
}

impl Handler<Unplugged> for Switchboard {
    type Result = ();

    fn handle(&mut self, Unplugged { host, session }: Unplugged, _: &mut Self::Context) {
        if self.lines.get(&host).is_some_and(|it| it.session == session) {
            self.lines.remove(&host);
            self.hosts.do_send(To(host, Happened(self.disconnected())));
        }
    }
}

impl Handler<Expel> for Switchboard {
    type Result = ();

    /// Its session ends when nobody can order it to do anything.
    fn handle(&mut self, Expel(host): Expel, _: &mut Self::Context) {
        self.lines.remove(&host);
    }
}

impl Handler<Repeat> for Switchboard {
    type Result = ();

    fn handle(&mut self, Repeat(host): Repeat, _: &mut Self::Context) {
        let line = self.lines.get(&host);
        let event =
            line.map_or_else(|| self.disconnected(), |it| Event::Connected(it.hello.clone()));
        self.hosts.do_send(To(host, Happened(event)));
    }
}

impl Handler<Tell> for Switchboard {
    type Result = ();

    fn handle(&mut self, Tell { host, order }: Tell, _: &mut Self::Context) {
        let sent =
            self.lines.get(&host).is_some_and(|it| it.orders.send(Order::Say(order)).is_ok());
        if !sent {
            tracing::debug!(%host, "not connected, so the order waits for its inventory");
        }
    }
}

impl Handler<TakeStock> for Switchboard {
    type Result = usize;

    fn handle(&mut self, TakeStock(host): TakeStock, _: &mut Self::Context) -> usize {
        let meant =
            self.lines.iter().filter(|(it, _)| host.as_ref().is_none_or(|host| host == *it));
        let ask = |line: &Line| line.orders.send(Order::Say(ToExecutor::TakeStock)).is_ok();
        meant.filter(|(_, line)| ask(line)).count()
    }
}

impl Handler<Ask> for Switchboard {
    type Result = ();

    fn handle(&mut self, Ask { host, question, reply }: Ask, _: &mut Self::Context) {
        let Some(line) = self.lines.get(&host) else {
            // Whoever asked may not wait any more.
            reply.send(Err(Unanswered::NotConnected(host))).ok();
            return;
        };
        // If the session has just ended, the reply is dropped with the order, which says so.
        line.orders.send(Order::Ask { question, reply }).ok();
    }
}
